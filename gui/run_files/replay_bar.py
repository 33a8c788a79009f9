"""The bar by which a run is replayed."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QSlider, QVBoxLayout, QWidget

from ...control.topics import ReplayState, RunSummary
from .. import words
from ..badges import Badge, Value, plain
from ..desk import Desk
from ..flow import Flow
from ..forms import WheelGuard
from ..guarded import guarded
from ..offering import offer

SPEEDS = (1, 2, 5, 10, 20, 50, 100)
_BEGIN_S = 60.0
"""How long it may take to open a run file."""


class ReplayBar(QWidget):
    """Play, pause, seek, speed, back to live. What it shows is what the owner said of the replay.  ended: the bench is live again."""

    ended = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.run: RunSummary | None = None
        self.now: ReplayState | None = None
        self._asked = False
        self.state, self.which = Badge("Replay", "idle", titled=True), Value("Run of the replay", "no run is chosen")
        self.play, self.back = QPushButton("Play"), QPushButton("Back to live")
        self.slider, self.position, self.speed = QSlider(Qt.Orientation.Horizontal), Value("Time in the replay"), QComboBox()
        self.acquire, self.key = QPushButton("Show on Ac&quire"), QPushButton("Show on &Key")
        self._guard = WheelGuard(self)
        self._lay_out()
        self.play.clicked.connect(lambda _=False: self.play_or_pause())
        self.back.clicked.connect(lambda _=False: self.stop())
        self.slider.valueChanged.connect(self._seek)
        self.speed.currentIndexChanged.connect(lambda _: self._speed())
        self.acquire.clicked.connect(lambda _=False: desk.show_page("acquire"))
        self.key.clicked.connect(lambda _=False: desk.show_page("key"))
        desk.connected.connect(lambda _: self._over())
        self.enable()

    def _lay_out(self) -> None:
        self.slider.setAccessibleName("Time in the run")
        self.slider.setTracking(False)
        self.slider.setMinimumSize(120, 24)
        self.slider.installEventFilter(self._guard)
        self.speed.setAccessibleName("Speed of the replay")
        for speed in SPEEDS:
            self.speed.addItem(f"{speed}x", float(speed))
        self.speed.installEventFilter(self._guard)
        head, acts = QWidget(), QWidget()
        first, flow = Flow(head, 12), Flow(acts)
        for widget in (self.state, self.which):
            first.addWidget(widget)
        self.back.setAccessibleName("Back to live")
        self.acquire.setAccessibleName("Show on Acquire")
        self.key.setAccessibleName("Show on Key")
        for control in (self.play, self.back, self.speed, self.acquire, self.key):
            control.setMinimumHeight(24)
        for part in (self.play, self.back, plain("Speed", buddy=self.speed), self.speed, self.acquire, self.key):
            flow.addWidget(part)
        line = QHBoxLayout()
        line.addWidget(self.slider, 1)
        line.addWidget(self.position)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(head)
        layout.addWidget(acts)
        layout.addLayout(line)

    @property
    def playing(self) -> bool:
        """Say whether a run takes the place of the bench's figures."""
        return self._asked

    # What is there

    def choose(self, run: RunSummary | None) -> None:
        """Take the run that would be played."""
        self.run = run
        self.enable()

    @guarded
    def show_state(self, now: ReplayState) -> None:
        """Show how far the replay is."""
        if not self._asked:
            return
        self.now = now
        at = f"{words.duration(now.t_s)} of {words.duration(now.duration_s)}"
        self.position.show_text(at)
        if not self.slider.isSliderDown():
            self.slider.blockSignals(True)
            self.slider.setRange(0, max(1, round(now.duration_s * 1e3)))
            self.slider.setSingleStep(max(1, round(now.duration_s * 10)))
            self.slider.setPageStep(max(1, round(now.duration_s * 100)))
            self.slider.setValue(round(now.t_s * 1e3))
            self.slider.blockSignals(False)
        self.slider.setAccessibleDescription(at)
        self.enable()

    def enable(self) -> None:
        """Offer what can be done now, and say why not."""
        now = self.now if self._asked else None
        whole = "" if self.run is not None and self.run.state != "damaged" else "no run is chosen" if self.run is None else "the run file is damaged"
        if now is None:
            self.state.set_state("idle", "other pages show the bench")
            self.which.show_text(self.run.run if self.run is not None else "no run is chosen")
            self.position.show_text(words.UNKNOWN)
        else:
            word = "failed" if now.why else "done" if now.over else "paused" if now.paused else "running"
            self.state.set_state(word, now.why or f"{now.speed:g}x")
            self.which.show_text(f"REPLAY {now.run}")
        on = now is not None and not (now.paused or now.over or now.why)
        again = now is not None and now.over
        self.play.setText("Pa&use" if on else "Play again" if again else "Play")
        self.play.setAccessibleName("Pause the replay" if on else "Play the run again" if again else "Play the run")
        offer(self.play, "" if now is not None else whole, "Plays the run file in the widgets of this page, of Acquire and of Key (Ctrl+Shift+R).")
        offer(self.back, "" if self._asked else "nothing is replayed", "Ends the replay: every page shows the bench again.")
        self.slider.setEnabled(now is not None and not now.why)
        self.slider.setToolTip("Time in the run" if now is not None else "Not now: nothing is replayed")
        for button, page in ((self.acquire, "Acquire"), (self.key, "Key")):
            offer(button, "" if now is not None else "nothing is replayed", f"Goes to the {page} page, which shows the replay, marked so.")

    # Acts

    def play_or_pause(self) -> None:
        """Begin, pause, go on, or play once more."""
        now = self.now if self._asked else None
        if now is None:
            self.begin()
        elif now.over:
            self.desk.ask("replay_seek", {"t_s": 0.0}, then=lambda _: self.desk.ask("replay_pause", {"on": False}))
        elif not now.why:
            self.desk.ask("replay_pause", {"on": not now.paused})

    def begin(self) -> None:
        """Play the run that is chosen."""
        if self.run is None or not self.play.isEnabled():
            return
        body = {"path": self.run.path, "speed": self.speed.currentData()}
        self._asked, self.now = True, None
        self.desk.set_replaying(self.run.run)
        self.desk.ask("replay", body, then=self._began, failed=self._refused, timeout_s=_BEGIN_S)
        self.enable()

    def _began(self, state: ReplayState | None) -> None:
        if state is not None:
            self.show_state(state)
            self.desk.announce(f"Replay of {state.run}")

    def _refused(self, error: object) -> None:
        self._over()
        self.desk.notice(str(error))

    def stop(self) -> None:
        """End the replay."""
        if self._asked:
            self.desk.ask("replay_stop", timeout_s=_BEGIN_S)
            self._over()

    def _over(self) -> None:
        was, self._asked, self.now = self._asked, False, None
        self.slider.blockSignals(True)
        self.slider.setValue(0)
        self.slider.blockSignals(False)
        self.enable()
        self.desk.set_replaying("")
        if was:
            self.ended.emit()

    def _seek(self, ms: int) -> None:
        if self._asked:
            self.desk.ask("replay_seek", {"t_s": ms * 1e-3}, timeout_s=_BEGIN_S)

    def _speed(self) -> None:
        if self._asked:
            self.desk.ask("replay_speed", {"speed": self.speed.currentData()})
