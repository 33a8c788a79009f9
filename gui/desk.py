"""All that a page may ask of the world outside: the latest state of each topic, requests to the owner, notices, preferences."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from PySide6.QtCore import QObject, QSettings, Qt, Signal
from PySide6.QtGui import QUndoStack

from ..control.link import REQUEST_S
from ..control.topics import EVENT, MOST_EVENTS, TOPICS, Event, Mailbox
from ..core.errors import BenchError, HeliographError
from . import theme

log = logging.getLogger(__name__)

EVENTS_A_TICK = 200


class Line(Protocol):
    """What carries requests to the owner."""

    def ask(self, topic: str, body: Any = None, *, timeout_s: float | None = REQUEST_S) -> Any:
        """Return what the owner answers, or raise its error; called in a worker thread."""
        ...


class Nobody:
    """The line of a window that is not attached to a bench."""

    def ask(self, topic: str, body: Any = None, *, timeout_s: float | None = REQUEST_S) -> Any:
        """Refuse."""
        raise BenchError("no bench is open in this window", where=topic, remedy="Choose the simulated bench, or open a station file (Bench menu).")


@dataclass(frozen=True, slots=True)
class Passing:
    """A notice that holds until what it is about is settled.  instead: it takes the place of the last one about the same."""

    what: HeliographError | str
    about: str
    instead: bool = False

    def __str__(self) -> str:
        return str(self.what)


class Desk(QObject):
    """What pages see of the bench.

    controls: this window controls the bench; if not, `view_only_why` says why.  `connected(bool)`: the owner came or went.  `ticked`: after each tick, for
    what has to look at the clock.  `noticed(error, text or Passing)`: something to tell.  `settled(about, text)`: what was told of it is over.
    `events`: all that came, the latest last.  rescued: what the watchdog of the owner that is gone did by itself, None while nothing is known of that.
    """

    connected = Signal(bool)
    control_changed = Signal()
    replay_changed = Signal()
    theme_changed = Signal()
    ticked = Signal()
    noticed = Signal(object)
    settled = Signal(str, str)
    announced = Signal(str)
    page_wanted = Signal(str, object)
    _answered = Signal()

    def __init__(self, line: Line | None = None, *, settings: QSettings | None = None, station: Path | None = None, threads: bool = True) -> None:
        super().__init__()
        self.line: Line = line or Nobody()
        self.station = station
        self.settings = settings or QSettings()
        self.undo = QUndoStack(self)
        self.controls = False
        self.view_only_why = "no bench is open in this window"
        self.is_connected = False
        self.replaying: str | None = None
        self.rescued: dict[str, Any] | None = None
        self.events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self.events_seen = 0
        self.mailbox = Mailbox(TOPICS)
        self._states: dict[str, Any] = {}
        self._versions: dict[str, int] = {}
        self._came: dict[str, float] = {}
        self._hearers: dict[str, list[Callable[[Any], None]]] = {}
        self._late_events: deque[Event] = deque()
        self._replies: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = threads
        self._over = False
        self._answered.connect(self._hand_out, Qt.ConnectionType.QueuedConnection)

    @property
    def theme(self) -> theme.Theme:
        """Return the colours of now."""
        return theme.current()

    # What the owner said

    def latest(self, topic: str) -> Any:
        """Return the latest payload of a topic, None while there is none."""
        return self._states.get(topic)

    def version(self, topic: str) -> int:
        """Return a number that grows whenever the topic's payload changes; 0 while there is none."""
        return self._versions.get(topic, 0) if topic != EVENT else self.events_seen

    def topics(self) -> tuple[str, ...]:
        """Return the topics of which a payload has come."""
        return tuple(self._versions)

    def events_since(self, seen: int) -> tuple[Event, ...]:
        """Return the events that came after the first `seen` ones, as far as they are kept."""
        fresh = min(self.events_seen - seen, len(self.events))
        return tuple(islice(self.events, len(self.events) - fresh, None))

    def age_s(self, topic: str | None = None) -> float | None:
        """Return how long ago the latest payload of a topic came, or of any topic, by the monotonic clock; None while there is none."""
        came = max(self._came.values(), default=None) if topic is None else self._came.get(topic)
        return None if came is None else time.monotonic() - came

    def inject(self, topic: str, payload: Any, *, came: float | None = None) -> None:
        """Take a payload as if the owner had sent it.  came: monotonic time of its arrival; now without it."""
        if topic == EVENT:
            self._late_events.append(payload)
        else:
            self._states[topic] = payload
            self._versions[topic] = self._versions.get(topic, 0) + 1
            for hear in self._hearers.get(topic, ()):
                hear(payload)
        self._came[topic] = time.monotonic() if came is None else came

    def hear(self, topic: str, act: Callable[[Any], None]) -> None:
        """Have every payload of a topic handed over as it is taken, also while no page is drawn: for what keeps a history. It must be quick, and not raise."""
        self._hearers.setdefault(topic, []).append(act)

    def collect(self) -> list[Event]:
        """Take what waits in the mailbox, at most so many events; returns these. Called by the tick."""
        for message in self.mailbox.take():
            # The mailbox itself adds an event of its own, without a time, where it had to leave some out.
            came, payload = message.body if isinstance(message.body, tuple) else (None, message.body)
            self.inject(message.topic, payload, came=came)
        fresh = [self._late_events.popleft() for _ in range(min(EVENTS_A_TICK, len(self._late_events)))]
        self.events.extend(fresh)
        self.events_seen += len(fresh)
        return fresh

    # Asking

    def ask(
        self,
        topic: str,
        body: Any = None,
        then: Callable[[Any], None] | None = None,
        failed: Callable[[HeliographError], None] | None = None,
        timeout_s: float | None = REQUEST_S,
    ) -> None:
        """Ask the owner; returns at once.

        then: called in the main thread with the reply.  failed: called there with the error; without it the error becomes a notice.
        """
        done = then or (lambda _reply: None)
        if not self._threads:
            self._answer(topic, body, done, failed or self.notice, timeout_s)
            self._hand_out()
            return
        arguments = (topic, body, done, failed or self.notice, timeout_s)
        threading.Thread(target=self._answer, args=arguments, name=f"ask {topic}", daemon=True).start()

    def _answer(self, topic: str, body: Any, then: Callable[[Any], None], failed: Callable[[HeliographError], None], timeout_s: float | None) -> None:
        try:
            reply = self.line.ask(topic, body, timeout_s=timeout_s)
        except HeliographError as error:
            self.later(lambda error=error: failed(error))  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001
            # The owner sends back whatever went wrong over there; here it is a notice and a line in the log.
            log.warning("%s: %s: %s", topic, type(error).__name__, error)
            told = BenchError(f"the request failed ({type(error).__name__}: {error})", where=topic, remedy="The log of the bench's owner says more.")
            self.later(lambda: failed(told))
        else:
            self.later(lambda: then(reply))

    def later(self, act: Callable[[], None]) -> None:
        """Have something done in the main thread; may be called from any thread."""
        self._replies.put(act)
        if not self._over and self._threads:
            self._answered.emit()

    def _hand_out(self) -> None:
        while True:
            try:
                act = self._replies.get_nowait()
            except queue.Empty:
                return
            if not self._over:
                act()

    def close(self) -> None:
        """Drop what is still asked for: nobody is there to hear it."""
        self._over = True

    # Telling

    def notice(self, what: HeliographError | str | Passing) -> None:
        """Tell the operator something, without a dialog: what, where, what to do."""
        self.noticed.emit(what)

    def settle(self, about: str, text: str) -> None:
        """Withdraw the notices about something that is over.  text: stands in place of what was to be done."""
        self.settled.emit(about, text)

    def announce(self, text: str) -> None:
        """Say something through the screen reader at once."""
        self.announced.emit(text)

    def show_page(self, name: str, wish: Any = None) -> None:
        """Go to another page.  wish: what it should show there, such as a run's path."""
        self.page_wanted.emit(name, wish)

    def set_control(self, controls: bool, why: str = "") -> None:
        """Note whether this window controls the bench."""
        if (controls, why) != (self.controls, self.view_only_why):
            self.controls, self.view_only_why = controls, "" if controls else why
            self.control_changed.emit()

    def set_replaying(self, run: str) -> None:
        """Note that a run is replayed in this window, or with an empty name that it shows the bench again."""
        if run != (self.replaying or ""):
            self.replaying = run
            self.replay_changed.emit()

    def is_stray(self, payload: Any) -> bool:
        """Say whether figures are of the bench while a run is replayed, or of a replay that is over: they are not to be mixed with the others."""
        return self.replaying is not None and (payload.source == "replay") != bool(self.replaying)

    def set_connected(self, connected: bool) -> None:
        """Note that the owner came or went."""
        if connected != self.is_connected:
            self.is_connected = connected
            self.rescued = None
            self.connected.emit(connected)
