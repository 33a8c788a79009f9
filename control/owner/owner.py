"""The owner of a bench: the one process that speaks to its instruments, with arbiter, runner, watchdog, and a socket at which others attach.

`heliograph bench own` is an owner and nothing else; a script that opens a bench nobody owns becomes its owner for as long as it has it open. At most one client
controls the bench at a time, the first that asks; the script that owns a bench always does. When the controller goes, the bench becomes safe, unless the
station may be left alone.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...core.errors import ArmRefused, HeliographError
from ...instruments.guard.dead_man import DeadMan
from ...instruments.roles import SafeReport
from ...instruments.station import Station
from ..link import address
from ..queueing.order import Queue
from ..queueing.runner import Job, Runner
from . import idle
from .controllers import Controllers
from .journal import FOLDER, Journal
from .last_one import LastOne
from .publishing import Topics
from .safe_events import SafeEvents
from .watchdog_plan import plan
from .way_down import WayDown

if TYPE_CHECKING:
    from ...acquisition.calibrations import Calibrations
    from ...instruments.connect import Instruments
    from ...instruments.guard.arbiter import Event
    from ..queueing.jobs import Entry
    from ..queueing.tasks import Task, Workers
    from ..run_files.figures import LiveFigures
    from ..watching.interlock_rows import Guards
    from ..watching.station_watch import StationWatch
    from .follow_up import StoreReader
    from .job_reader import JobReader
    from .session import Session

log = logging.getLogger(__name__)

CLOSING = "the owner of the bench is closing"
_SETTLE_S = 0.2
_LONGEST_RUN_END_S = 10.0


class Owner:
    """One open bench and everything that guards it. Use `owning`.

    folder: where run files go; the journal of a shared bench is kept in it, and the key stores beside it.
    shared: others may control it, and this process does not.  tether: file that keeps a simulated bench alive, for the watchdog; -1 without one.
    """

    def __init__(self, station: Station, folder: Path, *, shared: bool = False) -> None:
        self.station, self.folder = station, folder
        self.instruments: Instruments
        self.runner: Runner
        self.journal = Journal(folder / FOLDER if shared else None, station.info.name)
        self.topics = Topics(self.journal.keep)
        self._safe_events = SafeEvents(self.topics, self.journal)
        self.queue = Queue(self.topics)
        self.controllers = Controllers(station.path, shared=shared)
        self.clients = LastOne()
        self.workers: Workers
        self.live: LiveFigures
        self.stores: StoreReader
        self.jobs: JobReader
        self.watch: StationWatch
        self.tether = -1
        self._watchdog: DeadMan | None = None
        self._addresses: Mapping[str, Mapping[str, str]] = {}
        self._watching = threading.RLock()
        self._cause = self._ended = ""
        self._looking: list[threading.Thread] = []
        self._to_look = threading.Event()
        self._closing = threading.Event()
        self._telling, self._ends = threading.RLock(), ExitStack()
        self._way_down = WayDown()

    def start_watchdog(self) -> None:
        """Start the watchdog's process, which takes a moment; `watched` waits for it."""
        with self._watching:
            if self._watchdog is None:
                drivers = [entry.wire.driver for entry in self.station.instruments.values()]
                self._watchdog = DeadMan(drivers, self.make_safe, self._watchdog_lost, keep=[self.tether] if self.tether >= 0 else [])
                if self._addresses:
                    self._watchdog.begin(plan(self.station, self._addresses))

    def opened(self, instruments: Instruments, addresses: Mapping[str, Mapping[str, str]]) -> None:
        """Take over the connected instruments."""
        self.instruments, self._addresses = instruments, addresses
        instruments.share()
        self.runner = Runner(instruments, self.topics, self.queue)
        self._ends.callback(self._join)
        self._open_queue()
        self._open_watch()
        address(self.station.path, "rescue").unlink(missing_ok=True)
        instruments.arbiter.before_hazard = self._before_hazard
        instruments.arbiter.subscribe(self._heard)
        with self._watching:
            if self._watchdog is not None:
                self._watchdog.begin(plan(self.station, self._addresses))
        self.tell()
        # Ends come in the opposite order: the bench is made safe before anything is waited for.
        self._ends.callback(self.end, CLOSING)
        self._start(partial(idle.watch, self._look_idle, self._closing, self.topics), "watch idle")

    def _open_queue(self) -> None:
        from ..queueing.tasks import Workers
        from ..run_files.figures import LiveFigures
        from .follow_up import FollowUp, StoreReader
        from .job_reader import JobReader

        self.live = LiveFigures(self.topics)
        self.stores = StoreReader(self.store, self.topics)
        self.jobs = JobReader(self.topics, self.station.path)
        self.workers = Workers(self.queue, self.topics, self.station.path, self.store, self.folder, self.stores.read)
        after = FollowUp(self.calibrations, self.workers)
        self.runner.concluded, self.runner.following = after.concluded, after.following
        self.runner.begun = lambda _job, writer: self.live.begin(writer)
        self._ends.callback(self.workers.close, CLOSING)
        self._ends.callback(self.runner.close, CLOSING)
        self.queue.publish()
        if self.controllers.shared:
            self.workers.start()
            self.stores.read_soon()
            self.live.remember(self.store, self.station)

    def _open_watch(self) -> None:
        from ..watching.station_watch import StationWatch

        self.watch = StationWatch(self.instruments, self.calibrations, self.topics, self._guards)
        self._ends.callback(self.watch.close)
        self.watch.start()

    def _guards(self) -> Guards:
        from ..watching.interlock_rows import Guards

        watchdog, arbiter = self._watchdog, self.instruments.arbiter
        cause = arbiter.cause if arbiter.state == "TRIPPED" else ""
        return Guards(cause, watchdog.pid if watchdog is not None and watchdog.alive else None, begun=watchdog is not None)

    @property
    def store(self) -> Path:
        """Return the folder of the key stores: `store`, beside that of the runs."""
        return self.folder.resolve().parent / "store"

    @property
    def calibrations(self) -> Calibrations:
        """Return the calibrations of the station."""
        from ...acquisition.calibrations import Calibrations

        return Calibrations.of(self.station)

    def _start(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        self._looking = [one for one in self._looking if one.is_alive()] + [thread]

    def _look_idle(self) -> None:
        busy = bool(self.queue.on("bench") or self.queue.on("worker"))
        if busy:
            self.queue.publish(soon=True)
        if self.clients.has_gone(busy=busy or bool(self.queue.waits), dark=self.instruments.arbiter.state in ("SAFE", "TRIPPED")):
            self.end_soon("everybody left the bench")
        if self.instruments.arbiter.state == "ARMED" and self.runner.job is None:
            self.instruments.arbiter.look()

    def end_soon(self, cause: str) -> None:
        """Do what `end` does, in another thread; a signal handler may call it."""
        self._start(lambda: self.end(cause), "end")

    def end(self, cause: str) -> None:
        """End the run that is on and begin no other, and make the bench safe at once if it is not; nothing lights it any more."""
        self._closing.set()
        self._ended = self._ended or cause
        self.runner.close(cause)
        if self.instruments.arbiter.state == "SAFE":
            return
        with self._way_down.under_way():
            self._say_safe("info", cause, self.instruments.make_safe())
        # What a client had on the way to an instrument may have come after it.
        self.runner.wait_idle(_SETTLE_S)
        if not all(_is_safe(one) for one in self.instruments.values()):
            self._say_safe("error", f"{cause}, again", self.instruments.make_safe())

    @property
    def ended(self) -> str:
        """Return why the bench was told to end; empty if it was not."""
        return self._ended

    def settle(self) -> None:
        """Make the bench safe, then end whatever is under way in other threads; a second call does nothing. It works as far as `opened` came."""
        self._ends.close()

    def _join(self) -> None:
        self._closing.set()
        for thread in self._looking:
            if thread is not threading.current_thread():
                thread.join(_LONGEST_RUN_END_S)

    def close(self) -> None:
        """End the watchdog, once everything is safe and closed; a second call does nothing."""
        with self._watching:
            if self._watchdog is not None:
                self._watchdog.close()

    # Hazard

    def arm(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Switch on bias and light in the safe order, watched. Raises what `Instruments.arm` does, InterlockError without a watchdog.

        wanted: says whether who asked still wants it; it may take a moment to begin, and nobody arms for one who is gone.
        """
        self.renew_watchdog()
        self._cause = ""
        with self._way_down.over():
            generation = self.instruments.arbiter.generation
            if not wanted():
                raise ArmRefused("who asked for light is gone", where=str(self.station.path), remedy="Ask again.")
        self.instruments.arm(since=generation)
        self.tell()

    def renew_watchdog(self) -> None:
        """Start another watchdog where the last one is gone, and return once it watches; on a bench that has tripped, nothing happens before its reset."""
        if self.instruments.arbiter.state == "TRIPPED":
            return
        with self._watching:
            if self._watchdog is not None and self._watchdog.gone:
                self._watchdog.close()
                self._watchdog = None
        self.watched()

    def watched(self) -> None:
        """Return once the watchdog watches; raises InterlockError if it does not come up."""
        self.start_watchdog()
        if self._watchdog is not None:
            self._watchdog.wait_ready()
        if self._addresses:
            # Who looks on may have been told that none watches.
            self.tell()

    def _before_hazard(self) -> None:
        """Refuse hazard without a watchdog, which the first one starts, and on a bench that is being closed."""
        if self._closing.is_set():
            raise ArmRefused(CLOSING, where=str(self.station.path), remedy="Open it again.")
        if self._watchdog is not None and self._watchdog.alive:
            return
        if self._watchdog is not None and self._watchdog.gone:
            raise ArmRefused("the watchdog is gone", where=str(self.station.path), remedy="Reset the bench and arm it: that starts another one.")
        self.watched()

    def abort(self, entry: Entry, cause: str) -> None:
        """End a run or a task, or take it out of the queue."""
        if isinstance(entry, Job):
            self.runner.abort(cause, entry)
        else:
            self.workers.abort(cause, cast("Task", entry))

    def _end_run(self, cause: str) -> None:
        """End the run that is on, and begin no other until somebody says so."""
        # Held first: what waits would else begin as soon as the run has ended.
        if self.queue.waits and not self.queue.held:
            self.queue.hold(cause)
        self.runner.abort(cause)

    def make_safe(self, cause: str) -> list[SafeReport]:
        """End the run that is on and make everything safe, from any thread; returns how it went, within 2 s. The bench is looked at again afterwards."""
        cause = self._cause = self._by_name(cause)
        self._end_run(cause)
        with self._way_down.under_way():
            reports = self.instruments.make_safe()
        self._say_safe("warning", cause, reports)
        self._look_again_later()
        return reports

    def _by_name(self, cause: str) -> str:
        """Return a cause with the name of the controller, where the watchdog knows only its process; nothing is looked up meanwhile."""
        pid = self.controllers.pid if self.controllers.shared else None
        return f"asked for by {self.controllers.who}" if pid is not None and cause == f"asked for by process {pid}" else cause

    def _look_again_later(self) -> None:
        if not self._to_look.is_set():
            self._to_look.set()
            self._start(self._look_again, "look again")

    def _look_again(self) -> None:
        """Catch a command that was under way while the bench was made safe: repeat it if something is not as it should be."""
        self.runner.wait_idle(_LONGEST_RUN_END_S)
        if self._closing.wait(_SETTLE_S):
            return
        self._to_look.clear()
        # Asked before and after: in between somebody else may have begun to arm the bench.
        if self._should_be_dark and not all(_is_safe(one) for one in self.instruments.values()) and self._should_be_dark:
            self._say_safe("error", f"{self.instruments.arbiter.cause or self._cause}, again", self.instruments.make_safe())

    @property
    def _should_be_dark(self) -> bool:
        left_alone = self.controllers.nobody and not self.station.info.allow_unattended
        return left_alone or self.instruments.arbiter.state in ("SAFE", "TRIPPED")

    def reset(self) -> None:
        """Leave TRIPPED, on the word of the controller. Raises Tripped if something is not confirmed safe."""
        try:
            self.instruments.arbiter.reset()
            self._cause = ""
        finally:
            self.tell()

    def _watchdog_lost(self, cause: str) -> None:
        log.error("%s; the bench is made safe", cause)
        self._end_run(cause)
        self._say_safe("error", cause, self.instruments.arbiter.trip(cause))

    def _say_safe(self, severity: Any, cause: str, reports: list[SafeReport]) -> None:
        self._safe_events.tell(severity, cause, reports)
        self.tell()

    def _heard(self, event: Event) -> None:
        """Pass on what the arbiter tells; a trip ends a run of another thread, and the bench is looked at again after it."""
        if event.kind != "state":
            job = self.runner.job
            self.topics.event("info" if event.kind == "info" else "error", event.name or "bench", event.text, run=job.run_id if job is not None else "")
            if event.kind == "alarm":
                self._look_again_later()
        elif event.state == "TRIPPED":
            self._end_run(self.instruments.arbiter.cause)
        else:
            if event.state == "ARMED":
                self.topics.event("info", "bench", "the bench is armed")
            self.queue.look_again()
        self.tell()

    # Control

    def take_control(self, session: Session) -> None:
        """Make a client the controller; raises InstrumentLocked, which names the process that is."""
        if self.controllers.take(session):
            self.topics.event("info", "bench", f"{session.who} controls the bench")
            self.tell()

    def ask_for_control(self, session: Session) -> str | None:
        """Ask the controller to hand over; where there is none, take control. Return whose process was asked."""
        asked = self.controllers.ask(session)
        if asked is None:
            self.take_control(session)
            return None
        self.topics.event("warning", "bench", f"{session.who} asks {asked} for control of the bench")
        self.tell()
        return asked

    def hand_over(self, session: Session, to: int | None) -> int:
        """Let the controller hand over to a client that asked, with everything that it wanted of the queue; the bench stays as it is."""
        new = self.controllers.hand_over(session, to)
        for entry in self.queue.entries():
            if entry.who == session.pid and not entry.state.over:
                entry.who = new.pid
        self.topics.event("info", "bench", f"{session.who} gave control of the bench to {new.who}")
        self.queue.publish()
        self.tell()
        return new.pid

    def keep_control(self, session: Session) -> None:
        """Let the controller turn down whoever asks for control. Raises InstrumentLocked for another client."""
        if self.controllers.asking is not None:
            self.controllers.refuse(session)
            self.topics.event("info", "bench", f"{session.who} keeps control of the bench")
            self.tell()

    def release(self, session: Session) -> list[SafeReport]:
        """Let the controller leave in order: its runs end, the bench is made safe, others may control it. Nothing happens for another client."""
        with self._way_down.under_way():
            if not self._give_up_control(session):
                return []
            cause = f"{session.who} left"
            self._end_all_of(session.pid, cause)
            reports = self.instruments.make_safe()
        self._say_safe("info", cause, reports)
        return reports

    def left(self, session: Session) -> None:
        """Note that a client has gone, without a word if it was the controller: then the bench is made safe at once, unless it may be left alone."""
        cause = f"the controller, {session.who}, is gone"
        with self._way_down.under_way():
            if not self._give_up_control(session):
                return
            if self.station.info.allow_unattended:
                self.topics.event("warning", "bench", f"{cause}; the station may be left alone")
                return
            self._end_all_of(session.pid, cause)
            self.make_safe(cause)

    def _end_all_of(self, pid: int, cause: str) -> None:
        """End what a process wanted of the queue; what a worker has begun is finished, for a block of key is tried once."""
        on = self.queue.on("worker")
        for entry in self.queue.entries():
            if entry.who == pid and entry is not on and not entry.state.over:
                self.abort(entry, cause)

    def _give_up_control(self, session: Session) -> bool:
        if not self.controllers.give_up(session):
            return False
        self.tell()
        return True

    # Telling

    def status(self) -> dict[str, Any]:
        """Return how the bench is: state and cause, who controls it, the run that is on, the last safe state, and how often it was made safe."""
        arbiter, job, asking = self.instruments.arbiter, self.runner.job, self.controllers.asking
        return {
            "state": str(arbiter.state),
            "cause": arbiter.cause or self._cause,
            "owner": os.getpid(),
            "controller": self.controllers.pid,
            "holder": self.controllers.who,
            "asked": asking.pid if asking is not None else None,
            "asker": asking.who if asking is not None else None,
            "watchdog": self._watchdog.pid if self._watchdog is not None and self._watchdog.alive else None,
            "unattended": self.station.info.allow_unattended,
            "run": asdict(job.row()) if job else None,
            "reports": [asdict(report) for report in arbiter.reports],
            "made_safe": arbiter.generation,
            "released": list(arbiter.released),
        }

    def tell(self) -> None:
        """Publish how the bench is, and tell the watchdog."""
        # Who reads the state last must be who tells it last; whoever holds this lock waits for no other thread.
        with self._telling:
            told = self.status()
            self.topics.publish("safety", told)
            if self._watchdog is not None:
                self._watchdog.tell({name: told[name] for name in ("state", "cause", "controller", "holder", "run", "unattended", "released")})
        self.watch.soon()


def _is_safe(one: Any) -> bool:
    try:
        return bool(one.released or one.is_safe())
    except HeliographError:
        return False
