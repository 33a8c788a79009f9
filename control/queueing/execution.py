"""One run from the first line of its file to the last. Whatever happens in between, its procedure is shut down, once, and in time.

What a procedure says (`emit`, `should_stop`) are its checkpoints: there it stands still while somebody pauses it, and there it ends when somebody aborts it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...core.errors import ArmRefused, DeviceFault, HeliographError
from ...instruments.guard import turns
from .jobs import Job, RunState

if TYPE_CHECKING:
    from ...acquisition.procedures.base import BenchProcedure
    from ...acquisition.runs import RunWriter
    from ...instruments.connect import Instruments

Progress = Callable[[str, Any], None]
"""Told what a procedure emits: ("progress", percent), ("results", a row by column), ("suspended", why, or nothing when it goes on)."""

SHUTDOWN_S = 10.0
_LOOK_S = 1.0
_NAP_S = 0.2

log = logging.getLogger(__name__)


class Abort(KeyboardInterrupt):
    """Raised inside a run that is to end; a kind of Ctrl-C, so that procedures and run files treat it as one."""


class Execution:
    """One run.

    told: hears what it emits.  changed: called when its state is another one.  begun: called with its writer once the run file is there.
    concluded: called when it is done and its file is closed; what it raises is a failure of the run.
    """

    def __init__(
        self,
        job: Job,
        instruments: Instruments,
        *,
        told: Progress,
        changed: Callable[[], None],
        begun: Callable[[Job, RunWriter], None] = lambda _job, _writer: None,
        concluded: Callable[[Job], None] = lambda _job: None,
    ) -> None:
        self._job, self._instruments = job, instruments
        self._told, self._changed, self._begun, self._concluded = told, changed, begun, concluded
        self._procedure: BenchProcedure = job.bench_procedure
        self._writer: RunWriter

    def run(self) -> None:
        """Go from beginning to end; `job.path` is the file. Raises what the procedure raises, DeviceFault if it could not be shut down (`job.broken`)."""
        try:
            self._run()
        except Abort:
            if self._procedure.SAFE_AFTER_ABORT:
                self._instruments.arbiter.secure()
            raise

    def _run(self) -> None:
        from ...acquisition.runs import RunWriter

        job, procedure = self._job, self._procedure
        self._enter(RunState.STARTING)
        self._check_armed()
        calibrations = procedure.use_calibrations()
        procedure.check()
        self._writer = procedure.writer = RunWriter.create(
            job.folder,
            job.name,
            procedure.parameter_values(),
            self._instruments.station,
            self._instruments.snapshot(),
            layout=procedure.run_layout(),
            calibrations=calibrations,
            seed=job.seed,
            operator=job.operator,
            purpose=job.purpose,
            foreign=procedure.foreign,
        )
        job.path, job.run_id = self._writer.path, self._writer.run_id
        self._begun(job, self._writer)
        with self._writer:
            procedure.emit = self._heard  # type: ignore[method-assign,assignment]  # as PyMeasure's workers do
            procedure.should_stop = self._asked_to_stop  # type: ignore[method-assign]
            try:
                self._steps()
            except BaseException as error:
                if not job.cause or job.broken:
                    raise
                self._writer.event("error", "bench", job.cause)
                raise Abort from error
            finally:
                # A full disk has been told already.
                with suppress(HeliographError):
                    self._write_notes()
        self._concluded(job)

    def _check_armed(self) -> None:
        """Raise ArmRefused, before anything is written, for a run that needs an armed bench on one that is not."""
        if self._procedure.needs_armed and (unlit := self._instruments.arbiter.unlit):
            raise ArmRefused(f"{unlit}, and the run needs light", where=self._job.name, remedy="Arm the bench first.")

    def _enter(self, state: RunState) -> None:
        self._job.enter(state)
        self._changed()

    def _steps(self) -> None:
        ended: BaseException | None = None
        try:
            self._enter(RunState.RUNNING)
            if self._job.cause:
                raise Abort
            self._procedure.startup()
            self._procedure.execute()
        except BaseException as error:  # noqa: BLE001  raised again once it is shut down
            ended = error
        self._stopping()
        failed = self._shut_down()
        if failed is not None and (ended is None or isinstance(ended, Abort)):
            raise failed
        if failed is not None and ended is not None:
            ended.add_note(f"shutting down: {failed.__cause__}")
        if ended is not None:
            raise ended

    def _stopping(self) -> None:
        """Let nothing interrupt the run any more."""
        with self._job.lock:
            self._job.set_state(RunState.STOPPING)
            turns.interrupt(threading.get_ident(), None)
        self._changed()

    def _shut_down(self) -> DeviceFault | None:
        """Shut the procedure down in a thread of its own, within its time; a failure trips the bench, and is returned."""
        raised, over, turn = list[BaseException](), threading.Event(), threading.Lock()

        def shut_down() -> None:
            try:
                self._procedure.shutdown()
            except BaseException as error:  # noqa: BLE001  told by the thread that waits
                raised.append(error)
            finally:
                # The next thread may have the same number.
                with turn:
                    turns.interrupt(threading.get_ident(), None)
                    over.set()

        thread = threading.Thread(target=shut_down, name=f"shutdown of {self._job.name}", daemon=True)
        thread.start()
        interrupted = _join(thread, SHUTDOWN_S)
        with turn:
            if not over.is_set() and thread.ident is not None:
                # Whatever it still wants of an instrument, it comes too late.
                turns.interrupt(thread.ident, Abort)
                raised.insert(0, TimeoutError(f"no end within {SHUTDOWN_S:g} s"))
        if raised:
            return self._tripped(raised[0])
        if interrupted is not None:
            raise interrupted
        return None

    def _tripped(self, error: BaseException) -> DeviceFault:
        self._job.broken = True
        told = error if isinstance(error, HeliographError) else f"{type(error).__name__}: {error}"
        self._instruments.arbiter.trip(f"{self._job.name} could not be shut down: {told}")
        failed = DeviceFault(f"it could not be shut down: {told}", where=self._job.name, remedy="The bench was made safe. Find the cause, then reset it.")
        failed.__cause__ = error
        return failed

    # Checkpoints

    def _heard(self, topic: str, value: Any) -> None:
        job = self._job
        if topic == "suspended":
            job.suspended = str(value)
            if job.state.measures:
                self._enter_work()
        self._checkpoint()
        if topic == "suspended":
            self._told(topic, value)
            return
        job.say(topic, value)
        if topic == "progress":
            job.percent = float(value)
        self._told(topic, value)

    def _asked_to_stop(self) -> bool:
        self._checkpoint()
        return self._job.stop_early

    def _checkpoint(self) -> None:
        job = self._job
        if not job.state.measures:
            return
        self._write_notes()
        if job.pausing and not job.cause:
            self._stand_still()
        if job.cause:
            raise Abort

    def _stand_still(self) -> None:
        """Wait until the run is to go on, or to end; the light stays as it is, and is looked at. Raises Tripped."""
        job, looked = self._job, time.monotonic()
        self._enter(RunState.PAUSED)
        while job.pausing and not job.cause and not job.stop_early:
            with job.lock:
                job.changed.wait(_NAP_S)
            self._write_notes()
            if time.monotonic() - looked >= _LOOK_S:
                looked = time.monotonic()
                self._instruments.arbiter.look()
        job.pausing = False
        self._enter_work()

    def _enter_work(self) -> None:
        job = self._job
        job.why = job.suspended
        self._enter(RunState.SUSPENDED if job.suspended else RunState.RUNNING)

    def _write_notes(self) -> None:
        while self._job.notes:
            self._writer.event("info", "note", self._job.notes.popleft())


def _join(thread: threading.Thread, seconds: float) -> KeyboardInterrupt | None:
    """Wait for a thread; Ctrl-C meanwhile is returned instead of raised, for a second one must not cut the shutdown short."""
    end, interrupted = time.monotonic() + seconds, None
    while thread.is_alive() and (left_s := end - time.monotonic()) > 0.0:
        try:
            thread.join(left_s)
        except KeyboardInterrupt as error:
            interrupted = error
    return interrupted
