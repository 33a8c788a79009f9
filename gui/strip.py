"""The strip: how the bench is, on every page: simulated or not, safety, interlocks, run, key, age of the data; and the safe button."""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Callable, Sequence

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QProgressBar, QPushButton, QSizePolicy, QWidget

from ..control.topics import QueueRow, QueueState, StationState, StoreStates
from . import theme, words
from .badges import Badge, Value, tip
from .desk import Desk, Passing
from .flow import Flow
from .guarded import guarded
from .held import short, waiting
from .hold import HoldButton
from .rescue import is_silent, told_safety
from .safe import SafeButton

_CONTROL = "who asks for control"


def bench_row(queue: QueueState | None) -> QueueRow | None:
    """Return the run that is on the bench now, None without one."""
    return next((row for row in queue.rows if row.lane == "bench" and row.on), None) if queue is not None else None


def task_row(queue: QueueState) -> QueueRow | None:
    """Return the task that is done beside the bench now, None without one."""
    return min((row for row in queue.rows if row.lane == "worker" and row.on), key=lambda row: row.state == "paused", default=None)


def on_now(queue: QueueState | None) -> QueueRow | None:
    """Return the run that is on the bench, else the task beside it, None where nothing is on."""
    return bench_row(queue) or (task_row(queue) if queue is not None else None)


def pause_or_go_on(desk: Desk) -> None:
    """Pause the run that is on the bench at its next checkpoint, or let it go on; tell where there is none."""
    row = bench_row(desk.latest("queue"))
    if row is None:
        desk.notice("No run is on the bench now.")
    else:
        desk.ask("resume" if row.state == "paused" else "pause", {"job": row.job})


def how_far(row: QueueRow) -> str:
    """Return what is done, how far it is, and how long it still takes."""
    left = f"{words.duration(row.eta_s)} left" if row.eta_s is not None else "time left unknown"
    return f"{words.spoken(row.procedure)} {words.percent(row.progress, 2)}, {left}"


def operator() -> str:
    """Return who sits here: user@host."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "operator"
    return f"{user}@{platform.node()}"


class Strip(QFrame):
    """Shows what the owner last confirmed, and its age.  press: of the safe button.  refused: why an owner that is there has told nothing yet."""

    def __init__(self, desk: Desk, press: Callable[[], None]) -> None:
        super().__init__()
        self._desk = desk
        self._asked: int | None = None
        self._waiting_for = ""
        self.refused = ""
        self.interval_ms = 100
        self.setAccessibleName("Bench at a glance")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.nothing = Value("Bench", "No bench is open")
        self.mode = Badge("Bench", "unknown", loud=True)
        self.safety = Badge("Safety", "unknown", titled=True)
        self.interlocks = Badge("Interlocks", "unknown", titled=True)
        self.owner = Badge("Owner", "lost", titled=True)
        self.run = Badge("Run", "idle", "no run")
        self.abort = HoldButton("Abort (hold)", "Abort the run")
        self.key = Gauge()
        self.age = Value("Data age")
        self.pace = Value("Drawing")
        self.view_only = Badge("Control", "view only", titled=True)
        self.take_over = HoldButton("Take over (hold)", "Take over control")
        self.hand_over, self.keep = HoldButton("Give control (hold)", "Give control"), QPushButton("Keep control")
        self.go_on = QPushButton("Go on")
        self.watchdog = Badge("Watchdog", "missing", "no watchdog: control locked")
        self.safe = SafeButton(press)
        self._flow, inside = _flowing(self.items())
        for widget in (self.owner, self.abort, self.go_on, self.pace, self.view_only, self.take_over, self.hand_over, self.keep, self.watchdog):
            widget.hide()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 4, 6, 4)
        layout.addWidget(inside, 1)
        layout.addWidget(self.safe, 0, Qt.AlignmentFlag.AlignTop)
        self.abort.held.connect(self.abort_run)
        self.take_over.held.connect(self._ask_for_control)
        self.hand_over.held.connect(lambda: desk.ask("yield_control", {"to": self._asked}))
        self.hand_over.setToolTip("Gives control of the bench to who asks for it; what runs goes on. Hold for one second.")
        self.go_on.setAccessibleName("Let the queue go on")
        self.go_on.setToolTip("Begins what waits in the queue again.")
        self.go_on.setMinimumHeight(24)
        self.go_on.clicked.connect(lambda: desk.ask("go_on"))
        self.keep.setAccessibleName("Keep control")
        self.keep.setToolTip("Turns down who asks for control of the bench.")
        self.keep.setMinimumHeight(24)
        self.keep.clicked.connect(lambda: desk.ask("keep_control"))

    def items(self) -> list[QWidget]:
        """Return what stands in the strip beside the safe button, in order."""
        bench = [self.nothing, self.mode, self.safety, self.interlocks, self.owner]
        return [
            *bench,
            self.run,
            self.abort,
            self.go_on,
            self.key,
            self.age,
            self.pace,
            self.watchdog,
            self.view_only,
            self.take_over,
            self.hand_over,
            self.keep,
        ]

    def abort_run(self) -> None:
        """Abort the run that is on, or the task where only that is."""
        row = on_now(self._desk.latest("queue"))
        if row is not None:
            self._desk.ask("abort", {"job": row.job}, timeout_s=15.0)
        else:
            self._desk.notice("Nothing is on that could be aborted.")

    def _ask_for_control(self) -> None:
        """Ask the controller to hand over; it has to agree."""
        self._desk.ask("take_over", then=self._was_asked)

    def _was_asked(self, whom: str | None) -> None:
        self._waiting_for = whom or ""
        self._desk.notice(f"{whom} was asked for control of the bench." if whom else "Control taken.")

    def tick(self, changed: frozenset[str]) -> None:
        """Show what changed, and how old it all is."""
        desk = self._desk
        if "station" in changed and (station := desk.latest("station")) is not None:
            self._station(station)
        if "safety" in changed and (safety := desk.latest("safety")) is not None:
            self._safety(safety)
        if "queue" in changed and (queue := desk.latest("queue")) is not None:
            self._queue(queue)
        if "stores" in changed and (stores := desk.latest("stores")) is not None:
            self.key.show_stores(stores)
        self._ages()
        self._standing()
        # What grew has its room before it is drawn.
        self._flow.activate()

    def _station(self, station: StationState) -> None:
        self.mode.set_state(station.mode.lower(), station.name)
        against = [one for one in station.interlocks if not one.holds]
        if against:
            self.interlocks.set_state("open", f"{len(against)} open: {against[0].cause}")
        else:
            self.interlocks.set_state("closed", f"all {len(station.interlocks)}" if station.interlocks else "")

    def _safety(self, safety: dict[str, object]) -> None:
        self.watchdog.setVisible(safety.get("watchdog") is None)
        asked = safety.get("asked")
        if asked != self._asked and isinstance(asked, int) and self._desk.controls:
            asker = safety.get("asker") or f"Process {asked}"
            self._desk.notice(Passing(f"{asker} asks for control of the bench. Hold Give control in the strip, or press Keep control.", _CONTROL))
        if asked is None and self._asked is not None:
            self._desk.settle(_CONTROL, "That was answered.")
        if asked is None and self._asked is not None and self._waiting_for:
            given = safety.get("controller") == os.getpid()
            self._desk.notice("Control was given to this window." if given else f"{self._waiting_for} keeps control of the bench.")
            self._waiting_for = ""
        self._asked = asked if isinstance(asked, int) else None

    def _queue(self, queue: QueueState) -> None:
        run, task = bench_row(queue), task_row(queue)
        row = on_now(queue)
        self.abort.setVisible(row is not None)
        if row is None:
            wait = len(waiting(queue))
            told = f"{wait} in the queue" if wait else "no run"
            if queue.held:
                self.run.set_state("paused", f"queue held: {short(queue.held)}, {told}")
            else:
                self.run.set_state("idle", told)
            return
        self.abort.setToolTip(f"Aborts {words.spoken(row.procedure)}, job {row.job}. Hold for one second, or hold Ctrl+Shift+A.")
        after = f"; then the queue is held: {short(queue.held)}" if queue.held else ""
        beside = "" if task is None else f"; beside it {how_far(task)}" if run is not None else ", beside the bench"
        self.run.set_state(row.state, f"{how_far(row)}{beside}{after}")

    def _ages(self) -> None:
        age = self._desk.age_s()
        stale = is_silent(self._desk)
        self.safety.set_state(*told_safety(self._desk))
        self.age.show_text(f"data {words.age(age)}")
        self.nothing.setVisible(self._desk.station is None)
        self.age.setVisible(self._desk.station is not None)
        for widget in (self.mode, self.safety, self.interlocks, self.run, self.key):
            widget.setVisible(self._desk.station is not None)
            widget.set_stale(stale and (widget is not self.safety or self._desk.rescued is None))
        self.pace.setVisible(self.interval_ms > 100)
        self.pace.show_text(f"drawing every {self.interval_ms} ms")

    def _standing(self) -> None:
        desk = self._desk
        gone = desk.station is not None and not desk.is_connected and desk.age_s() is not None
        self.owner.setVisible(gone or (bool(self.refused) and not desk.is_connected))
        if gone:
            self.owner.set_state("lost", f"safety: {self.safety.told}")
        elif self.refused:
            self.owner.set_state("lost", self.refused)
        watching = desk.is_connected and not desk.controls
        self.view_only.setVisible(watching)
        self.take_over.setVisible(watching)
        for button in (self.hand_over, self.keep):
            button.setVisible(desk.controls and desk.is_connected and self._asked is not None)
        queue = desk.latest("queue")
        self.go_on.setVisible(desk.controls and desk.is_connected and queue is not None and bool(queue.held))
        if watching:
            self.view_only.set_state("view only", desk.view_only_why)


class Gauge(QProgressBar):
    """The store that holds least: how much of what it ever got can still be spent."""

    def __init__(self) -> None:
        super().__init__()
        self._text, self._stale = "no key", False
        self.setRange(0, 1000)
        self.setValue(0)
        self.setMinimumHeight(24)
        self._say("no key")

    def _say(self, text: str) -> None:
        self._text = text
        self.setFormat(text.replace("%", "%%"))
        self.setAccessibleName(f"Key store: {text}{', stale' if self._stale else ''}")
        self.setToolTip(tip(f"Key store: {text}"))
        self.setFixedWidth(QFontMetrics(QApplication.font()).horizontalAdvance(text) + 32)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the text in one colour, and how full it is below."""
        now, painter = theme.current(), QPainter(self)
        inside = self.rect().adjusted(0, 0, -1, -1)
        thick = max(4, self.height() // 6)
        full = round((inside.width() - 2) * self.value() / self.maximum())
        painter.fillRect(inside, QColor(now.base))
        painter.fillRect(QRect(inside.left() + 1, inside.bottom() - thick, full, thick), QColor(now.muted if self._stale else now.ok))
        painter.setPen(QColor(now.line))
        painter.drawRect(inside)
        painter.setPen(QColor(now.muted if self._stale else now.text))
        painter.drawText(inside.adjusted(0, 0, 0, -thick), Qt.AlignmentFlag.AlignCenter, self._text)
        painter.end()

    def set_stale(self, stale: bool) -> None:
        """Grey it while it may be out of date."""
        if stale != self._stale:
            self._stale = stale
            self.setEnabled(not stale)
            self._say(self._text)

    @guarded
    def show_stores(self, stores: StoreStates) -> None:
        """Show the pair with the least key."""
        if not stores.stores:
            self.setValue(0)
            self._say("no key")
            return
        least = min(stores.stores, key=lambda one: one.spendable)
        self.setValue(round(1000 * least.spendable / max(1, least.delivered)))
        low = ", below reserve" if least.spendable < least.reserve else ""
        self._say(f"key {least.pair} {words.scaled(least.spendable, 'bit')}{low}")

    def retheme(self) -> None:
        """Take the text size of now."""
        self._say(self._text)


class SmallStrip(QFrame):
    """For panels that were torn off: what the strip says, in short, and the safe button."""

    def __init__(self, desk: Desk, press: Callable[[], None]) -> None:
        super().__init__()
        self._desk = desk
        self._stores = 0
        self.setAccessibleName("Bench at a glance, small")
        self.mode, self.safety, self.age = Badge("Bench", loud=True), Badge("Safety", titled=True), Value("Data age")
        self.interlocks, self.run, self.key = Badge("Interlocks", titled=True), Badge("Run", "idle", titled=True), Gauge()
        self.safe = SafeButton(press)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        self._flow, self._inside = _flowing((self.mode, self.safety, self.interlocks, self.run, self.key, self.age))
        layout.addWidget(self._inside, 1)
        layout.addWidget(self.safe, 0, Qt.AlignmentFlag.AlignTop)
        desk.ticked.connect(self._tick)
        self._tick()

    def _tick(self) -> None:
        station, row, stores = self._desk.latest("station"), on_now(self._desk.latest("queue")), self._desk.latest("stores")
        if station is not None:
            self.mode.set_state(station.mode.lower())
            against = sum(not one.holds for one in station.interlocks)
            self.interlocks.set_state("open" if against else "closed", str(against) if against else "")
        self.run.set_state(*((row.state, words.percent(row.progress, 2)) if row is not None else ("idle",)))
        if stores is not None and self._stores != self._desk.version("stores"):
            self._stores = self._desk.version("stores")
            self.key.show_stores(stores)
        self.safety.set_state(*told_safety(self._desk))
        self.age.show_text(f"data {words.age(self._desk.age_s())}")
        silent = is_silent(self._desk)
        for widget in (self.mode, self.interlocks, self.run, self.key):
            widget.set_stale(silent)
        self.safety.set_stale(silent and self._desk.rescued is None)
        self._fit()

    def _fit(self) -> None:
        """Keep room for every line: what is below it scrolls."""
        self._inside.setMinimumHeight(self._flow.heightForWidth(self._inside.width()))
        self._flow.activate()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Fit the lines to another width."""
        super().resizeEvent(event)
        self._fit()


def _flowing(widgets: Sequence[QWidget]) -> tuple[Flow, QWidget]:
    """Lay widgets beside each other, in as many lines as the width asks for; return that layout and what it fills."""
    inside = QWidget()
    flow = Flow(inside, 10)
    for widget in widgets:
        flow.addWidget(widget)
    policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)
    inside.setSizePolicy(policy)
    return flow, inside
