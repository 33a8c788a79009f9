"""The runner: procedures one at a time, each into a run file, interruptible from anywhere.

A run goes on in the thread that calls `now` or `work`. Whoever wants it to end calls `abort`: then the next word that the procedure says, or its next word with
an instrument, raises what Ctrl-C would. The run file then says `aborted`, and why.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import HeliographError, ParameterError, RunAborted
from ..instruments.guard import turns
from .publishing import Topics

if TYPE_CHECKING:
    from ..acquisition.procedures.base import BenchProcedure
    from ..instruments.connect import Instruments

Progress = Callable[[str, Any], None]
"""Told what a procedure emits: ("progress", percent) or ("results", a row by column)."""
MOST_EMITTED = 10_000

log = logging.getLogger(__name__)


class RunState(StrEnum):
    """Where a run is on its way."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    ABORTED = "aborted"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        """Say whether nothing more will come."""
        return self in (RunState.DONE, RunState.ABORTED, RunState.FAILED)


class _Abort(KeyboardInterrupt):
    """Raised inside a run that is to end; a kind of Ctrl-C, so that procedures and run files treat it as one."""


@dataclass(eq=False, slots=True)
class Job:
    """One procedure to be run.

    who: process that wants it.  emitted: what it has said lately, `said` words in all.  cause: why somebody ended it.  why: it did not come to its end.
    error: what it raised, for the one who wants it.  path: of its run file.
    """

    number: int
    procedure: BenchProcedure
    folder: Path
    who: int = 0
    operator: str = ""
    purpose: str = ""
    seed: int | None = None
    state: RunState = RunState.QUEUED
    percent: float = 0.0
    path: Path | None = None
    error: BaseException | None = None
    cause: str = ""
    why: str = ""
    stop_early: bool = False
    emitted: deque[tuple[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_EMITTED))
    said: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    changed: threading.Condition = field(init=False)

    def __post_init__(self) -> None:
        # The lock itself is taken, not the condition: Ctrl-C between its taking and its use must not leave it taken.
        self.changed = threading.Condition(self.lock)

    @property
    def name(self) -> str:
        """Return the name of its procedure."""
        return type(self.procedure).__name__

    @property
    def written(self) -> Path:
        """Return the path of its run file; raises ParameterError before there is one."""
        if self.path is None:
            raise ParameterError("the run has written nothing yet", where=self.name)
        return self.path

    def row(self) -> dict[str, Any]:
        """Return how it is, as published."""
        path = str(self.path) if self.path else None
        return {"job": self.number, "procedure": self.name, "state": self.state.value, "percent": self.percent, "path": path, "why": self.why, "who": self.who}

    def enter(self, state: RunState) -> None:
        """Go on to another state."""
        with self.lock:
            self.state = state
            self.changed.notify_all()

    def say(self, topic: str, value: Any) -> None:
        """Note what the procedure emits."""
        with self.lock:
            self.emitted.append((topic, value))
            self.said += 1
            self.changed.notify_all()

    def since(self, number: int, wait_s: float) -> tuple[int, list[tuple[str, Any]]]:
        """Return what was emitted after the first `number` words, and the number now; waits a while if that is nothing."""
        with self.lock:
            self.changed.wait_for(lambda: self.said > number or self.state.over, wait_s)
            new = min(self.said - number, len(self.emitted))
            return self.said, list(itertools.islice(self.emitted, len(self.emitted) - new, None))


class Runner:
    """Runs procedures on the instruments of a station, one at a time.

    topics: told the state of the queue and the last row.
    """

    def __init__(self, instruments: Instruments, topics: Topics) -> None:
        self._instruments, self._topics = instruments, topics
        self._numbers = itertools.count(1)
        self._queue: deque[Job] = deque()
        self._ended: deque[Job] = deque(maxlen=50)
        self._job: Job | None = None
        self._thread: threading.Thread | None = None
        self._turn = threading.RLock()
        self._changed = threading.Condition(self._turn)
        self._closed = False

    @property
    def job(self) -> Job | None:
        """Return the run that is on, None if there is none."""
        return self._job

    def jobs(self) -> list[Job]:
        """Return the runs that are known: those that ended lately, the one that is on, those that wait."""
        with self._turn:
            return [*self._ended, *([self._job] if self._job else []), *self._queue]

    def find(self, number: int) -> Job:
        """Return a run by its number; raises ParameterError if there is none."""
        for job in self.jobs():
            if job.number == number:
                return job
        raise ParameterError(f"there is no run {number}", where="queue", remedy="It may have ended long ago: look for its run file.")

    def submit(self, procedure: BenchProcedure, folder: Path, **settings: Any) -> Job:
        """Put a procedure at the end of the queue. Raises what makes it impossible on this station."""
        procedure.instruments = self._instruments
        procedure.check()
        with self._turn:
            if self._closed:
                raise RunAborted("the owner of the bench is closing", where=type(procedure).__name__)
            job = Job(next(self._numbers), procedure, folder, **settings)
            self._queue.append(job)
            self._changed.notify_all()
        self._publish()
        return job

    def now(self, procedure: BenchProcedure, folder: Path, progress: Progress, **settings: Any) -> Job:
        """Run a procedure in this thread and return when it is done. Raises what it raises, and RunAborted if somebody else ended it."""
        procedure.instruments = self._instruments
        procedure.check()
        job = Job(next(self._numbers), procedure, folder, **settings)
        self._carry_out(job, progress)
        # Kept nowhere else, for its traceback holds every frame of the run.
        error, job.error = job.error, None
        if error is not None:
            raise error
        return job

    def work(self) -> None:
        """Run what is in the queue, in this thread, until `close`. What a procedure raises is kept with it; Ctrl-C passes through."""
        while (job := self._next()) is not None:
            self._carry_out(job, lambda _topic, _value: None)
            if job.error is not None and not isinstance(job.error, Exception):
                raise job.error
            if job.error is not None:
                _log(job, job.error)
                job.error.__traceback__ = None

    def _next(self) -> Job | None:
        with self._turn:
            while not self._queue and not self._closed:
                # A finite wait lets a signal handler run in between.
                self._changed.wait(1.0)
            return None if self._closed else self._queue.popleft()

    def close(self, cause: str) -> None:
        """End the run that is on, forget those that wait, and end `work`."""
        with self._turn:
            self._closed = True
            waiting = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        for job in waiting:
            self._give_up(job, cause)
        self.abort(cause)

    def abort(self, cause: str, job: Job | None = None) -> None:
        """End a run, by default the one that is on, which then does nothing more with its instruments but shut down; one that waits is taken out of the queue.

        Called by the run itself it does nothing: what it raises ends it.
        """
        with self._turn:
            target = job or self._job
            if target is None or target.state.over or self._thread is threading.current_thread():
                return
            target.cause = target.cause or cause
            if target is not self._job:
                self._queue.remove(target)
                self._give_up(target, cause)
            elif target.state is RunState.RUNNING and self._thread is not None and self._thread.ident is not None:
                turns.interrupt(self._thread.ident, _Abort)

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no run is on; say whether that came about."""
        with self._turn:
            return self._changed.wait_for(lambda: self._job is None, timeout_s)

    def _give_up(self, job: Job, cause: str) -> None:
        job.cause = job.why = cause
        job.error = RunAborted(cause, where=job.name, remedy="Nothing of it was begun.")
        job.enter(RunState.ABORTED)
        self._ended.append(job)
        self._publish()

    def _carry_out(self, job: Job, progress: Progress) -> None:
        """Run one job to its end; whatever it raises is kept in `job.error`."""
        with self._turn:
            if self._job is not None:
                raise ParameterError(f"{self._job.name} is running", where=job.name, remedy="Wait until it has ended, or abort it.")
            self._job, self._thread = job, threading.current_thread()
        try:
            carry_out(job, self._instruments, self._told(job, progress), self._publish)
        except BaseException as error:  # noqa: BLE001  kept for the one who wants it
            self._conclude(job, error)
        else:
            job.enter(RunState.DONE)
        finally:
            with self._turn:
                self._job, self._thread = None, None
                self._ended.append(job)
                self._changed.notify_all()
            self._publish()

    def _conclude(self, job: Job, error: BaseException) -> None:
        job.error = error if not job.cause else RunAborted(f"the run was ended: {job.cause}", where=job.name, remedy="Its run file keeps what was measured.")
        job.why = job.cause or str(error) or type(error).__name__
        job.enter(RunState.FAILED if isinstance(error, Exception) and not job.cause else RunState.ABORTED)

    def _told(self, job: Job, progress: Progress) -> Progress:
        def told(topic: str, value: Any) -> None:
            if job.cause and job.state is RunState.RUNNING:
                raise _Abort
            job.say(topic, value)
            if topic == "progress":
                job.percent = float(value)
                self._publish()
            elif topic == "results":
                self._topics.publish("row", {"job": job.number, "row": value})
            progress(topic, value)

        return told

    def _publish(self) -> None:
        self._topics.publish("queue", [job.row() for job in self.jobs()])


def _log(job: Job, error: BaseException) -> None:
    if isinstance(error, HeliographError):
        log.info("%s: %s", job.name, error)
    else:
        log.error("%s failed", job.name, exc_info=error)


def carry_out(job: Job, instruments: Instruments, told: Progress, changed: Callable[[], None]) -> None:
    """Run a job from its file's first line to its last; `job.path` is the file. Raises what the procedure raises."""
    from ..acquisition.runs import RunWriter

    job.enter(RunState.STARTING)
    changed()
    procedure = job.procedure
    calibrations = procedure.use_calibrations()
    procedure.check()
    writer = RunWriter.create(
        job.folder,
        job.name,
        procedure.parameter_values(),
        instruments.station,
        instruments.snapshot(),
        layout=procedure.run_layout(),
        calibrations=calibrations,
        seed=job.seed,
        operator=job.operator,
        purpose=job.purpose,
    )
    procedure.writer, job.path = writer, writer.path
    with writer:
        procedure.emit = told  # type: ignore[method-assign,assignment]  # as PyMeasure's workers do
        procedure.should_stop = lambda: job.stop_early  # type: ignore[method-assign]
        try:
            _steps(job, procedure)
        except BaseException as error:
            if not job.cause:
                raise
            writer.event("error", "bench", job.cause)
            raise _Abort from error


def _steps(job: Job, procedure: BenchProcedure) -> None:
    try:
        job.enter(RunState.RUNNING)
        if job.cause:
            raise _Abort
        procedure.startup()
        procedure.execute()
    except BaseException as error:
        _stopping(job)
        try:
            procedure.shutdown()
        except HeliographError as second:
            error.add_note(f"shutting down: {second}")
        raise
    _stopping(job)
    procedure.shutdown()


def _stopping(job: Job) -> None:
    """Let nothing interrupt the run any more."""
    job.enter(RunState.STOPPING)
    turns.interrupt(threading.get_ident(), None)
