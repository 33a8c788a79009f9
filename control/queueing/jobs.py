"""What stands in the queue: a run on the bench, or a task of a process beside it, from the wish to the end."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from ...core.errors import ParameterError
from ..topics import QueueRow
from .estimates import Estimate, declared_s

if TYPE_CHECKING:
    from ...acquisition.procedures.base import BenchProcedure, CheckedProcedure

Lane = Literal["bench", "worker"]
MOST_EMITTED = 10_000


class RunState(StrEnum):
    """Where a run is on its way."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    ABORTED = "aborted"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        """Say whether nothing more will come."""
        return self in (RunState.DONE, RunState.ABORTED, RunState.FAILED)

    @property
    def measures(self) -> bool:
        """Say whether the procedure is at its work, so that it can be paused and interrupted."""
        return self in (RunState.RUNNING, RunState.SUSPENDED, RunState.PAUSED)


@dataclass(eq=False, slots=True)
class Entry:
    """One thing that the queue has to do.

    procedure: what, with its parameters.  extra: what the queue itself is to do about it, by name and as text.
    who: process that wants it.  run_id: of the run that it is, or is about.
    followed: somebody waits for it, so it neither waits for a held queue nor holds it.
    completes: it is part of one that is done already, so it begins though the queue is held.
    pausing: somebody wants it to stand still.
    cause: why somebody ended it.  why: it did not come to its end, or stands still.  error: what it raised, for the one who wants it.
    """

    number: int
    procedure: CheckedProcedure
    who: int = 0
    operator: str = ""
    purpose: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    followed: bool = False
    completes: bool = False
    pausing: bool = False
    state: RunState = RunState.QUEUED
    percent: float = 0.0
    path: Path | None = None
    run_id: str = ""
    error: BaseException | None = None
    cause: str = ""
    why: str = ""
    began: float = 0.0
    ended: float = 0.0
    estimate: Estimate = field(init=False)
    lock: threading.Lock = field(default_factory=threading.Lock)
    changed: threading.Condition = field(init=False)
    _ran_s: float = 0.0
    _since: float | None = None

    def __post_init__(self) -> None:
        # The lock itself is taken, not the condition: Ctrl-C between its taking and its use must not leave it taken.
        self.changed = threading.Condition(self.lock)
        self.estimate = Estimate(declared_s(self.procedure))

    @property
    def lane(self) -> Lane:
        """Return where it is done."""
        return "bench"

    @property
    def name(self) -> str:
        """Return the name of its procedure."""
        return type(self.procedure).__name__

    @property
    def parameters(self) -> dict[str, str]:
        """Return its parameters as text, with which it can be made again."""
        return {**self.procedure.as_text(), **self.extra}

    @property
    def after(self) -> frozenset[str]:
        """Return the names of those that it waits for, where they stand before it in the queue."""
        return frozenset()

    def enter(self, state: RunState) -> None:
        """Go on to another state."""
        with self.lock:
            self.set_state(state)

    def set_state(self, state: RunState) -> None:
        """Go on to another state; `lock` must be held."""
        now = time.monotonic()
        if self._since is not None:
            self._ran_s += now - self._since
        self._since = now if state is RunState.RUNNING else None
        self.state = state
        if state is RunState.STARTING:
            self.began = self.began or time.time()
        if state.over:
            self.ended = time.time()
        self.changed.notify_all()

    def tick(self) -> None:
        """Estimate anew how long it takes."""
        ran_s = self._ran_s + (time.monotonic() - self._since if self._since is not None else 0.0)
        self.estimate.tick(ran_s, self.percent / 100.0)

    def row(self) -> QueueRow:
        """Return how it is, as published."""
        return QueueRow(
            self.number,
            self.lane,
            self.name,
            self.parameters,
            self.state.value,
            progress=min(1.0, max(0.0, self.percent / 100.0)),
            eta_s=None if self.state.over else self.estimate.left_s,
            began=self.began,
            ended=self.ended,
            path=str(self.path) if self.path else None,
            why=self.why,
            who=self.who,
            purpose=self.purpose,
            operator=self.operator,
        )

    def forget(self) -> None:
        """Let go of what nobody reads any more."""

    def remade(self, texts: Mapping[str, str]) -> tuple[CheckedProcedure, dict[str, str]]:
        """Return the procedure again with some parameters changed, and its extra ones. Raises ParameterError."""
        extra = {name: texts.get(name, value) for name, value in self.extra.items()}
        given = {**self.procedure.as_text(), **{name: text for name, text in texts.items() if name not in extra}}
        return type(self.procedure)(**given, **self.procedure.carried()), extra


@dataclass(eq=False, slots=True)
class Job(Entry):
    """One procedure to be run on the bench.

    folder: where its run file goes.  emitted: what it has said lately, `said` words in all.
    suspended: why a rule of the station does.  notes: for its run file.
    broken: its procedure could not be shut down.
    """

    folder: Path = field(default_factory=Path)
    seed: int | None = None
    stop_early: bool = False
    suspended: str = ""
    broken: bool = False
    notes: deque[str] = field(default_factory=deque)
    emitted: deque[tuple[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_EMITTED))
    said: int = 0

    @property
    def bench_procedure(self) -> BenchProcedure:
        """Return its procedure as one of the bench, which it is."""
        return cast("BenchProcedure", self.procedure)

    def row(self) -> QueueRow:
        """Return how it is, as published."""
        return replace(Entry.row(self), seed=self.seed)

    @property
    def written(self) -> Path:
        """Return the path of its run file; raises ParameterError before there is one."""
        if self.path is None:
            raise ParameterError("the run has written nothing yet", where=self.name)
        return self.path

    def say(self, topic: str, value: Any) -> None:
        """Note what the procedure emits."""
        with self.lock:
            self.emitted.append((topic, value))
            self.said += 1
            self.changed.notify_all()

    def forget(self) -> None:
        """Let go of what it said: some megabytes in a long run."""
        with self.lock:
            self.emitted.clear()

    def since(self, number: int, wait_s: float) -> tuple[int, list[tuple[str, Any]]]:
        """Return what was emitted after the first `number` words, and the number now; waits a while if that is nothing."""
        with self.lock:
            self.changed.wait_for(lambda: self.said > number or self.state.over, wait_s)
            new = min(self.said - number, len(self.emitted))
            return self.said, list(itertools.islice(self.emitted, len(self.emitted) - new, None))

    def pause(self, on: bool) -> None:
        """Have it stand still at its next word, or go on. Raises ParameterError for one that is not at its work."""
        with self.lock:
            if on and not self.state.measures:
                raise ParameterError(f"it is {self.state}", where=f"{self.name} {self.number}", remedy="Only a run that measures can be paused.")
            self.pausing = on
            self.changed.notify_all()

    def stop(self) -> None:
        """Have it end early, at its next word, and keep what it found."""
        with self.lock:
            self.stop_early = True
            self.changed.notify_all()
