"""What all back-ends do alike: check, translate, book, send, remember. The order of these steps is the promise of this package.

Nothing is sent that was not on disk as an intent before, and nothing is waited for before the provider's name of it is on disk; so a client that dies at any
point neither pays twice nor loses what it paid for.
"""

from __future__ import annotations

import uuid as uuids
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ...core.credentials import Secrets, hidden_of, no_secrets, without_in
from ...core.errors import QpuBudgetExceeded, QpuConfigError, QpuError, QpuJobFailed, QpuUnavailable, QpuUnsupported
from . import budget
from .circuits import ReadWork, read_works
from .interface import Cost, JobStatus, Limits, Work
from .jobs import ProviderJob
from .ledger import UNRESOLVED, JobHistory, note
from .projects import JobFile, Part, Project, SentWork
from .records import versions
from .retries import Patience, retried
from .samples import Samples
from .settings import Budget, Settings, load_settings
from .vendors import unclear, vendor_errors

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

LOST_AFTER_NS: Final = 600 * 10**9
REMEMBERED: Final = 256
"""Jobs without a project that can be resumed; what is older is forgotten, so that long loops do not fill the memory."""
Bits = NDArray[np.uint8]


@dataclass(frozen=True)
class Plan:
    """A job that is ready to be sent. payloads, layouts: by work; what the provider gets, and what is needed to read its columns."""

    works: list[ReadWork]
    shots: int
    seed: int | None
    parts: tuple[Part, ...]
    payloads: list[Any]
    layouts: list[dict[str, Any]]


class ProviderBackend(ABC):
    """Base of all back-ends; a subclass says how its provider is spoken to.

    cloud: circuits leave this machine, and the budget guard stands before it.  simulated: samples come from a simulation.

    name: the configuration string it was made from.  project: where jobs are remembered; clouds need one, without it a local job lives as long as this object.
    """

    cloud = False
    simulated = True

    @property
    def immediate(self) -> bool:
        """Return whether samples are there when `submit` returns, and nowhere else."""
        return not self.cloud

    def __init__(
        self, name: str, limits: Limits, *, project: Project | None = None, settings: Settings | None = None, patience: Patience | None = None
    ) -> None:
        self.name = name
        self.limits = limits
        self.project = project
        self.settings = settings or (project.settings if project else Settings())
        self.patience = patience or Patience()
        self._remembered: dict[str, ProviderJob] = {}
        if self.cloud and project is None:
            raise QpuConfigError("a cloud back-end needs a project folder", where=name, remedy="Name one; its ledger is what makes jobs safe.")

    # What a provider is asked; each of these may raise what it likes.

    @abstractmethod
    def translate(self, work: ReadWork, seed: int | None) -> tuple[Any, dict[str, Any]]:
        """Return what the provider gets for a work, and the layout of its answer."""

    @abstractmethod
    def send(self, plan: Plan, index: int, uuid: str, tags: Sequence[str]) -> str:
        """Send part `index` once and return the provider's name of it."""

    @abstractmethod
    def state(self, provider_id: str) -> tuple[JobStatus, str]:
        """Return where a part stands, and the reason if it failed."""

    @abstractmethod
    def fetch(self, provider_id: str, file: JobFile, part: Part) -> list[Bits]:
        """Return the samples of a part that is done, for each of its works uint8 (shots, clbits)."""

    def withdraw(self, provider_id: str) -> None:
        """Ask the provider to give a part up; what runs at once has ended before."""
        raise QpuUnsupported("cancelling", where=self.name, remedy="Let it run.")

    def search(self, uuid: str, since_ns: int) -> dict[int, str]:
        """Return the provider's names of the parts that carry our uuid."""
        return {}

    def position(self, provider_id: str) -> int | None:
        """Return the place of a part that waits in the provider's queue, None where that is not told. It costs nothing, and is asked after `state`."""
        return None

    def usage(self, provider_id: str) -> float | None:
        """Return the seconds that a part took on the device, None where they are not told."""
        return None

    def calibration(self) -> dict[str, Any] | None:
        """Return the device's calibration as it is now."""
        return None

    def ordered(self, provider_id: str) -> bool:
        """Return whether the rows of a part stand in the order of the shots."""
        return True

    def compile(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Return a circuit in the gates of the device; the same where the provider compiles."""
        return circuit

    def parts(self, works: int, shots: int, seed: int | None) -> tuple[Part, ...]:
        """Return into which jobs at the provider one job is cut."""
        return (Part(tuple(range(works)), shots),)

    def price(self, parts: Sequence[Part]) -> Cost:
        """Return what the parts cost."""
        return Cost(len(parts), sum(part.shots * len(part.works) for part in parts))

    def secrets(self) -> Secrets:
        """Return what must be in no text."""
        return no_secrets

    def clean(self, told: Any) -> Any:
        """Return what a provider told without the credentials that it may have quoted."""
        return without_in(told, hidden_of(self.secrets()))

    # The interface.

    def cost(self, works: Sequence[Work], shots: int) -> Cost:
        """Return what `submit` of the same would take. Nothing is sent."""
        read_works(works, shots, self.limits, self.name)
        with vendor_errors(self.name, secrets=self.secrets()):
            return self.price(self.parts(len(works), shots, None))

    def submit(self, works: Sequence[Work], shots: int, *, seed: int | None = None, tags: Sequence[str] = ()) -> ProviderJob:
        """Send works, `shots` for each. When this returns, job and provider's names are on disk.

        seed: of a simulation; the project's own where it is None.  Raises QpuConfigError, QpuUnsupported or QpuBudgetExceeded if nothing was sent, QpuAuthError
        or QpuRateLimited if the provider refused, QpuUnavailable where nobody knows: then the job is in the ledger and `resume` looks for it.
        """
        plan = self._plan(works, shots, seed)
        uuid = uuids.uuid4().hex
        file = self._file(plan)
        self._intend(uuid, file, self._priced(plan.parts), [self._priced((part,)) for part in plan.parts], tags)
        ids: dict[int, str] = {}
        for index in range(len(plan.parts)):
            if index not in ids:
                ids |= self._sent(plan, index, uuid, tags)
        job = ProviderJob(self, uuid, file, ids)
        self._remember(job)
        if self.immediate and self.project:
            job.result()
        return job

    def run(self, works: Sequence[Work], shots: int, *, seed: int | None = None, tags: Sequence[str] = (), timeout: float | None = None) -> list[Samples]:
        """Submit and wait for the samples, at most `timeout` seconds."""
        return self.submit(works, shots, seed=seed, tags=tags).result(timeout)

    def compiled(self, work: Work) -> QuantumCircuit:
        """Return the circuit as the device gets it, in its own gates and on its own qubits where we compile it; elsewhere as it was given."""
        with vendor_errors(self.name, secrets=self.secrets()):
            return self.compile(work.circuit)

    def probabilities(self, work: Work) -> NDArray[np.float64]:
        """Return the exact law over the classical bits: float64 (2^c,), bit 0 most significant.

        Only where `limits.exact`, and for static circuits; elsewhere QpuUnsupported or QpuConfigError is raised.
        """
        raise QpuUnsupported("an exact law", where=self.name, remedy="Sample it, or choose local, aer or braket:sv.")

    def resume(self, uuid: str) -> ProviderJob:
        """Return a job again, after a time-out or in another process; where nobody knows whether it was sent, the provider is asked.

        Raises QpuConfigError if there is nothing to come back to, QpuUnavailable if the provider does not know the job (yet).
        """
        if self.project is None:
            if uuid not in self._remembered:
                raise QpuConfigError("jobs without a project folder end with their process", where=f"job {uuid}", remedy="Name a project next time.")
            return self._remembered[uuid]
        history, file = self._history(uuid)
        if history.unanswered:
            self._look_up(history)
        return ProviderJob(self, uuid, file, history.provider_ids, history)

    def give_up(self, uuid: str) -> bool:
        """Say on purpose that a job without an answer was never sent, ten minutes after its intent at the earliest; returns False if the provider has it.

        Its cost is free again; where some parts were sent, the others count as never sent, and the job can be resumed. Raises QpuConfigError where it is too
        early or the job is not of that kind, QpuUnavailable where the provider does not answer.
        """
        ledger, (history, _) = self._place(uuid).ledger, self._history(uuid)
        if not history.unanswered:
            raise QpuConfigError(f"the job is {history.state}, there is nothing to give up", where=f"job {uuid}", remedy="See heliograph qpu jobs.")
        try:
            self._look_up(history)
        except QpuUnavailable as error:
            if error.__cause__ is not None:
                raise
        if len(history.provider_ids) == history.parts:
            return False
        if ledger.clock_ns() - history.intent["t_ns"] < LOST_AFTER_NS:
            raise QpuConfigError("it is too early to give the job up; providers list new jobs late", where=f"job {uuid}", remedy="Wait ten minutes.")
        ledger.append("lost", uuid=uuid)
        return True

    def unanswered(self) -> list[str]:
        """Return the jobs of this project's back-end of which nobody knows whether they were sent. They are never settled without the operator."""
        jobs = self.project.ledger.jobs().values() if self.project else ()
        return [job.uuid for job in jobs if job.unanswered and job.intent["backend"] == self.name]

    # The steps.

    def _remember(self, job: ProviderJob) -> None:
        self._remembered[job.uuid] = job
        if len(self._remembered) > REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))

    def _plan(self, works: Sequence[Work], shots: int, seed: int | None) -> Plan:
        if seed is not None and not self.limits.seedable:
            raise QpuUnsupported("a seed", where=self.name, remedy="Leave it out: a device draws its own.")
        if seed is None and self.limits.seedable:
            seed = self.settings.seed
        read = read_works(works, shots, self.limits, self.name)
        with vendor_errors(self.name, secrets=self.secrets()):
            translated = [self.translate(work, seed) for work in read]
            parts = self.parts(len(read), shots, seed)
        return Plan(read, shots, seed, parts, [payload for payload, _ in translated], [layout for _, layout in translated])

    def _priced(self, parts: Sequence[Part]) -> Cost:
        with vendor_errors(self.name, secrets=self.secrets()):
            return self.price(parts)

    def _file(self, plan: Plan) -> JobFile:
        # Texts and hashes cost milliseconds a circuit and are needed only where something is remembered.
        remembered = self.project is not None
        sent = tuple(
            SentWork(work.qasm3 if remembered else "", work.hash if remembered else "", work.values, work.cregs, layout)
            for work, layout in zip(plan.works, plan.layouts, strict=True)
        )
        return JobFile(self.name, plan.shots, plan.seed, sent, plan.parts)

    def _intend(self, uuid: str, file: JobFile, cost: Cost, part_costs: Sequence[Cost], tags: Sequence[str]) -> None:
        if self.project is None:
            return
        fields = {
            "uuid": uuid,
            "backend": self.name,
            "cloud": self.cloud,
            "circuits": [work.hash for work in file.works],
            "shots": file.shots,
            "works": len(file.works),
            "parts": len(file.parts),
            "seed": file.seed,
            "seed_transpiler": self.settings.seed_transpiler,
            "cost": cost.as_dict(),
            "part_costs": [one.as_dict() for one in part_costs],
            "tags": list(tags),
            "versions": versions(),
        }
        with self.project.ledger.held() as book:
            if self.cloud:
                try:
                    budget.check(self._budget(self.project), budget.spent(self.project.ledger.jobs().values()), cost, self.name)
                except QpuBudgetExceeded as error:
                    note(book, "refused", **fields, reason=error.message)
                    raise
            self.project.write_job(uuid, file)
            note(book, "intent", **fields)

    def _budget(self, project: Project) -> Budget:
        """Return what the project allows now, while its ledger is held: its cap may have been changed since it was opened. Raises QpuConfigError."""
        return load_settings(project.folder).budget if self.settings is project.settings else self.settings.budget

    def _sent(self, plan: Plan, index: int, uuid: str, tags: Sequence[str]) -> dict[int, str]:
        try:
            with vendor_errors(self.name, uuid=uuid, secrets=self.secrets()):
                found = {index: self.clean(self.send(plan, index, uuid, tags))}
        except QpuError as error:
            return self._not_sent(error, index, uuid)
        self.note("submitted", uuid=uuid, provider_ids={str(index): found[index]})
        return found

    def _not_sent(self, error: QpuError, index: int, uuid: str) -> dict[int, str]:
        open_end = unclear(error.__cause__)
        self.note("error", uuid=uuid, part=index, reason=UNRESOLVED if open_end else type(error).__name__, text=error.message)
        if not open_end:
            raise error
        found: dict[int, str] = {}
        with suppress(QpuError):
            found = self._found(uuid, self.project.ledger.clock_ns() if self.project else 0)
        if index not in found:
            remedy = f"Nobody knows whether it was sent. Look again later: heliograph qpu resume {uuid}"
            raise QpuUnavailable(error.message, where=f"{self.name}, job {uuid}", remedy=remedy) from error.__cause__
        self.note("recovered", uuid=uuid, provider_ids={str(part): name for part, name in found.items()})
        return found

    def _place(self, uuid: str) -> Project:
        if self.project is None:
            raise QpuConfigError("there is no project folder", where=f"job {uuid}", remedy="Name one.")
        return self.project

    def _history(self, uuid: str) -> tuple[JobHistory, JobFile]:
        home = self._place(uuid)
        history = home.ledger.job(uuid)
        made_with = history.intent["backend"]
        if made_with != self.name:
            raise QpuConfigError(f"the job was made with {made_with}", where=f"job {uuid}", remedy=f"Open the back-end {made_with}.")
        if history.state in {"refused", "lost", "unsent"}:
            raise QpuConfigError(f"the job is {history.state}, nothing comes of it", where=f"job {uuid}", remedy="Submit it again on purpose.")
        return history, home.read_job(uuid)

    def _look_up(self, history: JobHistory) -> None:
        if self.immediate:
            raise QpuJobFailed(history.uuid, "the process that simulated it ended before there were samples")
        new = {part: name for part, name in self._found(history.uuid, history.intent["t_ns"]).items() if part not in history.provider_ids}
        if new:
            self.note("recovered", uuid=history.uuid, provider_ids={str(part): name for part, name in new.items()})
            history.provider_ids |= new
        if (known := len(history.provider_ids)) < history.parts:
            what = f"the provider knows {known} of {history.parts} parts of the job" if known else "the provider knows no such job"
            remedy = "Look again later; after ten minutes what is missing can be given up: heliograph qpu resume --lost."
            raise QpuUnavailable(what, where=f"{self.name}, job {history.uuid}", remedy=remedy)

    def _found(self, uuid: str, since_ns: int) -> dict[int, str]:
        def search() -> dict[int, str]:
            with vendor_errors(self.name, uuid=uuid, secrets=self.secrets()):
                return {part: self.clean(name) for part, name in self.search(uuid, since_ns).items()}

        return retried(search, self.patience)

    def note(self, event: str, **fields: Any) -> None:
        """Write a record into the ledger, if there is one."""
        if self.project is not None:
            self.project.ledger.append(event, **fields)
