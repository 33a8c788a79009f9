"""A job after it was sent: asking where it stands, waiting, fetching each part once, recording before returning."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...core.errors import QpuCancelled, QpuConfigError, QpuError, QpuJobFailed, QpuQueueTimeout, StorageError
from .interface import JobStatus
from .ledger import JobHistory
from .projects import JobFile, Project
from .records import Record, now, versions
from .retries import retried
from .samples import Samples
from .vendors import conflict, vendor_errors

if TYPE_CHECKING:
    from .engine import ProviderBackend

Bits = NDArray[np.uint8]
Found = TypeVar("Found")
NEVER_SENT = "a part was never sent"


class ProviderJob:
    """A job of one back-end. Made by `submit` and `resume`.

    position: in the provider's queue, by the last answer; None where it does not wait or nothing was told.  seen: called after each answer of the provider.
    """

    def __init__(self, backend: ProviderBackend, uuid: str, file: JobFile, ids: dict[int, str], history: JobHistory | None = None) -> None:
        self.uuid = uuid
        self._backend = backend
        self._file = file
        self._ids = ids
        self._states: dict[int, tuple[JobStatus, str]] = {}
        self._bits: dict[int, list[Bits]] = {}
        self._samples: list[Samples] | None = None
        self._sha256 = dict(history.sha256) if history else {}
        self._recorded = bool(history and history.recorded)
        self._last = history.status if history else None
        self._reason = history.reason if history else ""
        self.position: int | None = None
        self.seen: Callable[[ProviderJob], None] = lambda _job: None
        self._noted = history.position if history else None
        self._tells_position = True

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """Return the provider's names of the parts that were sent, in order."""
        return tuple(name for _, name in sorted(self._ids.items()))

    def status(self) -> JobStatus:
        """Return where the job stands. The provider is asked, for as long as 15 min if it does not answer, unless the last answer was final."""
        if self._recorded:
            return JobStatus.DONE
        if self._last is not None and self._last.final:
            return self._last
        for part in range(len(self._file.parts)):
            if part not in self._states or not self._states[part][0].final:
                self._states[part] = self._asked(part)
        state, reason = _together(list(self._states.values()))
        if state is not self._last:
            parts = {str(part): str(one) for part, (one, _) in self._states.items()}
            self._backend.note("state", uuid=self.uuid, state=str(state), reason=reason, parts=parts)
            self._noted = None
        self._last, self._reason = state, reason
        self._look_in_queue()
        self.seen(self)
        return state

    def _look_in_queue(self) -> None:
        """Ask for the position of the first part that waits, once, and never after it was refused; nothing else depends on the answer."""
        waiting = [self._ids[part] for part, (state, _) in sorted(self._states.items()) if state is JobStatus.QUEUED and part in self._ids]
        if self._last is not JobStatus.QUEUED or not waiting or not self._tells_position:
            self.position = None
            return
        try:
            with vendor_errors(self._backend.name, uuid=self.uuid, secrets=self._backend.secrets()):
                self.position = self._backend.position(waiting[0])
        except QpuError:
            self.position, self._tells_position = None, False
        if self.position is not None and self.position != self._noted:
            with suppress(StorageError):
                self._backend.note("position", uuid=self.uuid, position=self.position)
                self._noted = self.position

    def result(self, timeout: float | None = None) -> list[Samples]:
        """Wait for the samples of every work, at most `timeout` seconds; they are recorded before they are returned, and later calls read the record.

        Raises QpuQueueTimeout, after which the job goes on; QpuJobFailed, after what there is was recorded; QpuCancelled; StorageError if the record could not
        be written: the samples are then kept in this object, and asking again tries again.
        """
        if self._samples is None:
            project = self._backend.project
            self._samples = recorded_samples(project, self.uuid, self._sha256) if project and self._recorded else self._waited(timeout)
        return self._samples

    def cancel(self) -> JobStatus:
        """Ask the provider to give up every part that has not ended, and return where the job stands."""
        if self.status().final:
            return self.status()
        for part, name in self._ids.items():
            if not self._states[part][0].final:
                self._give_up(name)
        self._backend.note("cancel", uuid=self.uuid)
        return self.status()

    def _give_up(self, name: str) -> None:
        try:
            self._ask(lambda: self._backend.withdraw(name))
        except QpuError as error:
            if not conflict(error.__cause__):
                raise
            raise QpuError(
                f"the provider did not cancel the job, which is {self.status()}", where=f"job {self.uuid}", remedy="Look at it again."
            ) from error.__cause__

    def _asked(self, part: int) -> tuple[JobStatus, str]:
        if part not in self._ids:
            return JobStatus.FAILED, NEVER_SENT
        state, reason = self._ask(lambda: self._backend.state(self._ids[part]))
        return state, self._backend.clean(reason)

    def _ask(self, call: Callable[[], Found]) -> Found:
        def asked() -> Found:
            with vendor_errors(self._backend.name, uuid=self.uuid, secrets=self._backend.secrets()):
                return call()

        try:
            return retried(asked, self._backend.patience)
        except QpuQueueTimeout as error:
            raise QpuQueueTimeout(self.uuid, error.waited_s) from error.__cause__

    def _waited(self, timeout: float | None) -> list[Samples]:
        state = self._final(timeout)
        self._fetch()
        found = {work: bits for work in range(len(self._file.works)) if (bits := self._bits_of(work)) is not None}
        whole = state is JobStatus.DONE
        samples = self._kept(found, whole)
        if whole:
            return [samples[work] for work in range(len(self._file.works))]
        if state is JobStatus.CANCELLED:
            raise QpuCancelled(self.uuid)
        missing = tuple(work for work in range(len(self._file.works)) if work not in {**self._sha256, **found})
        raise QpuJobFailed(self.uuid, self._reason, missing)

    def _final(self, timeout: float | None) -> JobStatus:
        patience = self._backend.patience
        start, attempt = patience.clock(), 0
        while not (state := self.status()).final:
            waited = patience.clock() - start
            if timeout is not None and waited >= timeout:
                raise QpuQueueTimeout(self.uuid, waited)
            delay = patience.delay_s(attempt)
            patience.sleep(delay if timeout is None else min(delay, timeout - waited))
            attempt += 1
        return state

    def _fetch(self) -> None:
        if not self._states and self._last is JobStatus.DONE:
            self._states = dict.fromkeys(self._ids, (JobStatus.DONE, ""))
        elif not self._states and not self._sha256 and len(self._file.parts) > 1:
            self._states = {part: self._asked(part) for part in range(len(self._file.parts))}
        for part, (state, _) in self._states.items():
            if state is JobStatus.DONE and part not in self._bits and not self._on_disk(part):
                self._bits[part] = self._ask(partial(self._backend.fetch, self._ids[part], self._file, self._file.parts[part]))

    def _on_disk(self, part: int) -> bool:
        """Use the records of a client that died before it could say so: some providers give a result only once."""
        project = self._backend.project
        works = self._file.parts[part].works
        if project is None or self._file.parts[part].shots != self._file.shots or not all(project.record_path(self.uuid, work).exists() for work in works):
            return False
        try:
            self._bits[part] = [project.read_record(self.uuid, work, self._sha256.get(work)).bits for work in works]
        except QpuConfigError:
            return False
        return True

    def _bits_of(self, work: int) -> Bits | None:
        pieces = []
        for index, part in enumerate(self._file.parts):
            if work in part.works:
                if index not in self._bits:
                    return None
                pieces.append(self._bits[index][part.works.index(work)])
        return np.concatenate(pieces)

    def _kept(self, found: dict[int, Bits], whole: bool) -> dict[int, Samples]:
        project = self._backend.project
        if project is None:
            return {work: Samples(bits, self._file.works[work].cregs, self._meta()) for work, bits in found.items()}
        try:
            kept = self._on_record(project, found, whole)
        except StorageError as error:
            remedy = "Free some disk space and ask for the result again."
            raise StorageError("the samples could not be recorded; they are kept in memory and at the provider", where=error.where, remedy=remedy) from error
        return {work: record.samples() for work, record in kept.items()}

    def _on_record(self, project: Project, found: dict[int, Bits], whole: bool) -> dict[int, Record]:
        new = [work for work in found if work not in self._sha256]
        calibration = (
            project.write_calibration(self.uuid, told) if new and (told := self._backend.clean(self._told(self._backend.calibration))) is not None else None
        )
        kept = {work: self._record(work, bits, calibration) for work, bits in found.items()}
        for work in new:
            project.write_record(self.uuid, work, kept[work])
        if new:
            self._book(project, {work: record.sha256 for work, record in kept.items()}, whole)
        return kept

    def _book(self, project: Project, digests: dict[int, str], whole: bool) -> None:
        used = [seconds for name in self.provider_ids if (seconds := self._told(partial(self._backend.usage, name))) is not None]
        usage = {"usage": sum(used)} if used else {}
        project.ledger.append("result", uuid=self.uuid, sha256={str(work): digest for work, digest in digests.items()}, whole=whole, **usage)
        self._sha256, self._recorded = digests, whole

    def _told(self, call: Callable[[], Found]) -> Found | None:
        """Return what the provider tells beside the samples, None where it does not: samples never wait for it."""
        with suppress(QpuError), vendor_errors(self._backend.name, uuid=self.uuid, secrets=self._backend.secrets()):
            return call()
        return None

    def _ordered(self) -> bool:
        return all(self._backend.ordered(name) for name in self.provider_ids)

    def _meta(self) -> dict[str, Any]:
        told = {"backend": self._backend.name, "simulated": self._backend.simulated, "seed": self._file.seed}
        return {**told, "ordered": self._ordered(), "provider_ids": list(self.provider_ids)}

    def _record(self, work: int, bits: Bits, calibration: str | None) -> Record:
        sent, backend = self._file.works[work], self._backend
        return Record(
            backend.name,
            now(),
            sent.qasm3,
            sent.hash,
            sent.params,
            self._file.shots,
            self._file.seed,
            sent.cregs,
            self._ordered(),
            self.provider_ids,
            versions(),
            bits,
            backend.simulated,
            calibration,
        )


def recorded_samples(project: Project, uuid: str, sha256: dict[int, str]) -> list[Samples]:
    """Return the samples of a job from its records, without asking anybody. Raises QpuConfigError if one is missing or was altered."""
    return [project.read_record(uuid, work, digest).samples() for work, digest in sorted(sha256.items())]


def _together(states: list[tuple[JobStatus, str]]) -> tuple[JobStatus, str]:
    """Return where a job stands whose parts stand so."""
    kinds = {state for state, _ in states}
    if any(not state.final for state in kinds):
        return (JobStatus.QUEUED if kinds == {JobStatus.QUEUED} else JobStatus.RUNNING), ""
    for worst in (JobStatus.FAILED, JobStatus.CANCELLED):
        if worst in kinds:
            return worst, next(reason for state, reason in states if state is worst)
    return JobStatus.DONE, ""
