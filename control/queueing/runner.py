"""The runner: procedures one at a time, each into a run file, interruptible from anywhere.

A run goes on in the thread that calls `now` or `work`. Whoever wants it to end calls `abort`: then the next word that the procedure says, or its next word with
an instrument, raises what Ctrl-C would. The run file then says `aborted`, and why.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...core.errors import HeliographError, ParameterError, RunAborted
from ...instruments.guard import turns
from ..owner.publishing import Topics
from .execution import Abort, Execution, Progress
from .jobs import MOST_EMITTED, Entry, Job, RunState
from .news import tell_begin, tell_state
from .order import Queue

if TYPE_CHECKING:
    from ...acquisition.procedures.base import BenchProcedure
    from ...acquisition.runs import RunWriter
    from ...instruments.connect import Instruments

__all__ = ["MOST_EMITTED", "Job", "Progress", "RunState", "Runner"]

log = logging.getLogger(__name__)


class Runner:
    """Runs procedures on the instruments of a station, one at a time.

    topics: told the state of the queue and the last row.  queue: in which they wait, its own by default.
    begun, concluded, following: for the owner to fill in: told when a run has a file and when it is done; gives what is to be done after it.
    """

    def __init__(self, instruments: Instruments, topics: Topics, queue: Queue | None = None) -> None:
        self._instruments, self._topics = instruments, topics
        self.queue = queue if queue is not None else Queue(topics)
        self.queue.not_yet = self._not_yet
        self._thread: threading.Thread | None = None
        self.begun: Callable[[Job, RunWriter], None] = lambda _job, _writer: None
        self.concluded: Callable[[Job], None] = lambda _job: None
        self.following: Callable[[Job], Iterable[Entry]] = lambda _job: ()

    def _not_yet(self, entry: Entry) -> str:
        """Return why a run has to wait: for an armed bench, if it needs one."""
        if not isinstance(entry, Job) or not entry.bench_procedure.needs_armed or not (unlit := self._instruments.arbiter.unlit):
            return ""
        return f"waits until the bench is armed: {unlit}"

    @property
    def job(self) -> Job | None:
        """Return the run that is on, None if there is none."""
        return cast("Job | None", self.queue.on("bench"))

    def jobs(self) -> list[Job]:
        """Return the runs that are known: those that ended lately, the one that is on, those that wait."""
        return [entry for entry in self.queue.entries() if isinstance(entry, Job)]

    def find(self, number: int) -> Job:
        """Return a run by its number; raises ParameterError if there is none."""
        entry = self.queue.find(number)
        if not isinstance(entry, Job):
            raise ParameterError(f"{entry.name} {number} is no run on the bench", where="queue")
        return entry

    def made(self, procedure: BenchProcedure, folder: Path, **settings: Any) -> Job:
        """Return a run that is in no queue yet. Raises what makes it impossible on this station."""
        procedure.instruments = self._instruments
        procedure.check()
        return Job(self.queue.number(), procedure, folder=folder, **settings)

    def submit(self, procedure: BenchProcedure, folder: Path, **settings: Any) -> Job:
        """Put a procedure at the end of the queue. Raises what makes it impossible on this station."""
        job = self.made(procedure, folder, **settings)
        self.queue.add(job)
        return job

    def again(self, job: Job, texts: Mapping[str, str]) -> Job:
        """Return a run like another one, in no queue yet, with some parameters changed. Raises ParameterError, and what makes it impossible."""
        procedure, extra = job.remade(texts)
        settings = {"who": job.who, "operator": job.operator, "purpose": job.purpose, "seed": job.seed, "followed": job.followed}
        return self.made(cast("BenchProcedure", procedure), job.folder, extra=extra, **settings)

    def now(self, procedure: BenchProcedure, folder: Path, progress: Progress, **settings: Any) -> Job:
        """Run a procedure in this thread and return when it is done. Raises what it raises, and RunAborted if somebody else ended it."""
        job = self.made(procedure, folder, followed=True, **settings)
        self.queue.begin(job)
        self._carry_out(job, progress)
        # Kept nowhere else, for its traceback holds every frame of the run.
        error, job.error = job.error, None
        if error is not None:
            raise error
        return job

    def work(self) -> None:
        """Run what is in the queue, in this thread, until `close`. What a procedure raises is kept with it; Ctrl-C passes through."""
        while (job := self.queue.take("bench")) is not None:
            self._carry_out(cast(Job, job), lambda _topic, _value: None)
            if job.error is not None and not isinstance(job.error, Exception):
                raise job.error
            if job.error is not None:
                _log(job, job.error)
                job.error.__traceback__ = None

    def close(self, cause: str) -> None:
        """End the run that is on, forget those that wait, and end `work`."""
        self.queue.close(cause)
        self.abort(cause)

    def abort(self, cause: str, job: Job | None = None) -> None:
        """End a run, by default the one that is on, which then does nothing more with its instruments but shut down; one that waits is taken out of the queue.

        Called by the run itself it does nothing: what it raises ends it.
        """
        target = job or self.job
        if target is None or self._thread is threading.current_thread() or self.queue.give_up(target, cause):
            return
        with target.lock:
            if target.state.over:
                return
            target.cause = target.cause or cause
            thread = self._thread
            if target.state.measures and thread is not None and thread.ident is not None:
                turns.interrupt(thread.ident, Abort)
            target.changed.notify_all()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no run is on; say whether that came about."""
        return self.queue.wait_idle("bench", timeout_s)

    def _carry_out(self, job: Job, progress: Progress) -> None:
        """Run one job to its end; whatever it raises is kept in `job.error`."""
        self._thread = threading.current_thread()
        told = self._told(job, progress)
        execution = Execution(job, self._instruments, told=told, changed=self.queue.publish, begun=self._has_begun, concluded=self.concluded)
        following: Iterable[Entry] = ()
        try:
            execution.run()
            following = self.following(job)
        except BaseException as error:  # noqa: BLE001  kept for the one who wants it
            self._conclude(job, error)
        else:
            job.why = "stopped early" if job.stop_early else ""
            job.enter(RunState.DONE)
        finally:
            self._thread = None
            self.queue.end(job, following)
            tell_state(self._topics, job)

    def _has_begun(self, job: Job, writer: RunWriter) -> None:
        tell_begin(self._topics, job)
        self.begun(job, writer)

    def _conclude(self, job: Job, error: BaseException) -> None:
        ended = job.cause and not job.broken
        job.error = RunAborted(f"the run was ended: {job.cause}", where=job.name, remedy="Its run file keeps what was measured.") if ended else error
        job.why = (job.cause if ended else "") or str(error) or type(error).__name__
        failed = job.broken or (isinstance(error, Exception) and not job.cause)
        job.enter(RunState.FAILED if failed else RunState.ABORTED)

    def _told(self, job: Job, progress: Progress) -> Progress:
        def told(topic: str, value: Any) -> None:
            if topic == "progress":
                self.queue.publish(soon=True)
            elif topic == "results":
                self._topics.publish("row", {"job": job.number, "row": value})
            elif topic == "suspended":
                text = f"is suspended: {value}" if value else "goes on"
                self._topics.event("warning" if value else "info", "queue", f"{job.name} {job.number} {text}", run=job.run_id)
                return
            progress(topic, value)

        return told


def _log(job: Entry, error: BaseException) -> None:
    if isinstance(error, HeliographError):
        log.info("%s: %s", job.name, error)
    else:
        log.error("%s failed", job.name, exc_info=error)
