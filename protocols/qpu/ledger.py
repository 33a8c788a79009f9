"""The job ledger: what was to be sent, what was sent, and what came of it, each on disk before the next step.

Record kinds of `core.ledger` in `qpu-ledger.jsonl`, all with `uuid`; docs/reference/qpu-ledger.md has their fields.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import QpuConfigError, StorageError
from ...core.ledger import Ledger, records
from .interface import JobStatus

FILE = "qpu-ledger.jsonl"
UNRESOLVED = "unresolved"
_PREFIX = "qpu_"
_WAIT_S = 30.0
_FREE = frozenset({JobStatus.FAILED, JobStatus.CANCELLED})


@dataclass
class JobHistory:
    """What the ledger says about one job.

    provider_ids, part_states: by part.  error: class name of what ended the submission, or `unresolved`.  lost: the operator gave up what has no answer.
    position: in the provider's queue, when it was last asked.  imported: SHA-256 by work of what somebody else measured and was taken in by hand.
    """

    uuid: str
    intent: dict[str, Any]
    provider_ids: dict[int, str] = field(default_factory=dict)
    part_states: dict[int, JobStatus] = field(default_factory=dict)
    status: JobStatus | None = None
    reason: str = ""
    position: int | None = None
    error: str = ""
    refused: bool = False
    lost: bool = False
    sha256: dict[int, str] = field(default_factory=dict)
    recorded: bool = False
    imported: dict[int, str] = field(default_factory=dict)
    usage: float | None = None

    @property
    def parts(self) -> int:
        """Return into how many jobs at the provider it was cut."""
        return int(self.intent["parts"])

    @property
    def unanswered(self) -> bool:
        """Return whether nobody knows if the provider got all of it: the client died or the line broke in between."""
        broken = self.error in {"", UNRESOLVED}
        return broken and not (self.refused or self.lost or self.recorded) and self.status is None and len(self.provider_ids) < self.parts

    @property
    def state(self) -> str:
        """Return one word for people: refused, lost, unsent, unanswered, or a job status."""
        if self.refused:
            return "refused"
        if self.lost and not self.provider_ids:
            return "lost"
        if self.unanswered:
            return "unanswered"
        if self.error not in {"", UNRESOLVED} and not self.provider_ids:
            return "unsent"
        return str(self.status or JobStatus.QUEUED)

    @property
    def counted(self) -> tuple[int, ...]:
        """Return the parts that take from the budget: all that were sent or may have been, but for those that failed or were cancelled."""
        if self.refused:
            return ()
        settled = self.lost or self.error not in {"", UNRESOLVED}
        return tuple(part for part in range(self.parts) if (part in self.provider_ids or not settled) and self._state_of(part) not in _FREE)

    @property
    def counts(self) -> bool:
        """Return whether any of it takes from the budget."""
        return bool(self.counted)

    @property
    def cost(self) -> dict[str, Any]:
        """Return what it takes from the budget; all that was meant where some part counts and the ledger tells no costs of parts."""
        parts = self.intent.get("part_costs")
        if parts is None or len(self.counted) == self.parts:
            return {name: value if self.counts else 0 for name, value in self.intent["cost"].items()}
        return {name: sum(parts[part][name] or 0 for part in self.counted) for name in self.intent["cost"]}

    def _state_of(self, part: int) -> JobStatus | None:
        return self.status if self.parts == 1 else self.part_states.get(part)


class JobLedger:
    """The ledger of one project; several processes may write, one at a time, and wait for each other.

    path: of the file.  clock_ns: source of the times.  Raises LedgerCorrupt if a line was altered, StorageError if it cannot be written.
    """

    def __init__(self, path: Path, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.path = path
        self.clock_ns = clock_ns

    def append(self, event: str, **fields: Any) -> None:
        """Write one record; it is on disk when this returns."""
        with self.held() as book:
            book.append(_PREFIX + event, **fields)

    @contextmanager
    def held(self) -> Iterator[Ledger]:
        """Keep every other writer out while the block runs; waits up to 30 s for its turn."""
        book = self._opened()
        with book:
            yield book

    def _opened(self) -> Ledger:
        end = time.monotonic() + _WAIT_S
        while True:
            try:
                return Ledger(self.path, clock_ns=self.clock_ns)
            except StorageError as error:
                if not isinstance(error.__cause__, BlockingIOError) or time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def jobs(self) -> dict[str, JobHistory]:
        """Return every job by its uuid, the oldest first."""
        return histories(records(self.path)) if self.path.exists() else {}

    def job(self, uuid: str) -> JobHistory:
        """Return one job by its name or the beginning of it. Raises QpuConfigError unless there is exactly one."""
        found = [job for name, job in self.jobs().items() if uuid and name.startswith(uuid)]
        if len(found) != 1:
            what = "there are several such jobs" if found else "there is no such job"
            raise QpuConfigError(what, where=f"{self.path}, job {uuid}", remedy="List them: heliograph qpu jobs.")
        return found[0]


def note(book: Ledger, event: str, **fields: Any) -> None:
    """Write one record into a ledger that is held."""
    book.append(_PREFIX + event, **fields)


def histories(rows: Iterable[dict[str, Any]]) -> dict[str, JobHistory]:
    """Return what records say, job by job; kinds and fields that are not known are passed over."""
    found: dict[str, JobHistory] = {}
    for row in rows:
        event, uuid = str(row["kind"]).removeprefix(_PREFIX), row.get("uuid")
        if event in {"intent", "refused"}:
            found[str(uuid)] = JobHistory(str(uuid), row, refused=event == "refused")
        elif uuid in found:
            _apply(found[uuid], event, row)
    return found


def _apply(job: JobHistory, event: str, row: dict[str, Any]) -> None:
    if event in {"submitted", "recovered"}:
        job.provider_ids |= {int(part): name for part, name in row["provider_ids"].items()}
    elif event == "state" and not (job.status and job.status.final):
        job.status, job.reason = JobStatus(row["state"]), row.get("reason", "")
        job.position = None
        job.part_states |= {int(part): JobStatus(state) for part, state in row.get("parts", {}).items()}
    elif event == "position":
        job.position = row["position"] if job.status in {None, JobStatus.QUEUED} else None
    elif event == "result":
        job.position = None
        job.sha256 |= {int(work): digest for work, digest in row["sha256"].items()}
        job.recorded = job.recorded or bool(row["whole"])
        job.usage = row.get("usage", job.usage)
    elif event == "imported":
        job.imported |= {int(work): digest for work, digest in row["sha256"].items()}
    elif event == "error":
        job.error = row["reason"]
    elif event == "lost":
        job.lost = True
