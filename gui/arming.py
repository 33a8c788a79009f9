"""Arming: five rows from the safe state to light, each with its state and read-back. It only asks; order and limits are the arbiter's, in the owner."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractButton, QComboBox, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ..control.topics import CountRates, StationState
from ..core.errors import ArmRefused, HeliographError
from . import arming_rows, theme, words
from .arming_rows import ROWS, STEP_DB, Ask
from .badges import Badge, Value, plain, tip
from .card_rows import SET_S, request
from .desk import Desk
from .flow import Flow
from .forms import WheelGuard
from .guarded import guarded
from .hold import HoldButton
from .quantity import QuantityEdit, typed

ARM_S = 180.0
"""Longest wait for a bench whose attenuators move first."""
_RATE_PERIOD_S = 0.1


class _Step(QWidget):
    """One row: number and title, state, what is read back, and the button that starts it."""

    def __init__(self, number: int, row: arming_rows.Row, start: Callable[[], None]) -> None:
        super().__init__()
        self.badge = Badge(f"{number} {row.title}", "idle")
        self.told = Value(f"{row.title}, read back")
        self.told.setWordWrap(True)
        self.button: QPushButton
        if row.hazard:
            self.button = HoldButton("Start, hold", f"Start: {row.title}")
            self.button.held.connect(start)
        else:
            self.button = QPushButton("Start")
            self.button.setAccessibleName(f"Start: {row.title}")
            self.button.clicked.connect(lambda _checked=False: start())
        self.button.setAutoDefault(False)
        # A grid would give a text across its columns too little height.
        head, column = QHBoxLayout(), QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        head.addWidget(plain(f"{number}  {row.title}", wrap=True), 1)
        head.addWidget(self.badge)
        head.addWidget(self.button)
        column.addLayout(head)
        column.addWidget(self.told)


class Arming(QWidget):
    """The wizard. A refusal stops it, is told, and puts the focus on the safe button."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._station: StationState | None = None
        self._counts: CountRates | None = None
        self._state, self._stale = "", False
        self._active: int | None = None
        self._arming = False
        self._done: set[int] = set()
        self._causes: list[str] = []
        self._failed: int | None = None
        self._lowering: tuple[str, str, float] | None = None
        self._rates: list[str] = []
        self._counted = 0.0
        self._made_safe: int | None = None
        self.setAccessibleName("Arming")
        self.state = Badge("Safety", "unknown")
        self.cause = Value("Cause")
        self.cause.setWordWrap(True)
        self.arm = HoldButton("Ar&m, hold 1 s", "Arm")
        self.arm.setAccessibleDescription("Runs rows 1 to 4: attenuators closed, meters dark, detectors biased, then light. Hold for one second.")
        self.reset = HoldButton("Reset a&fter the trip, hold 1 s", "Reset after the trip")
        self.refusal = plain(wrap=True)
        self.steps = [_Step(at + 1, row, lambda at=at: self._start(at)) for at, row in enumerate(ROWS)]  # type: ignore[misc]
        self.which, self.target = QComboBox(), QuantityEdit("Lower to, wanted", "dB")
        self.stop = QPushButton("S&top")
        self._arrange()
        self.arm.held.connect(self._arm)
        self.reset.held.connect(self._reset)
        self.stop.clicked.connect(lambda _checked=False: self._stop())
        self.which.currentTextChanged.connect(lambda _name: self._limit_target())
        desk.control_changed.connect(self._allow)
        self._show_rows()
        self._allow()

    def _arrange(self) -> None:
        self.which.setAccessibleName("Attenuator to lower")
        self._guard = WheelGuard(self)
        self.which.installEventFilter(self._guard)
        self.stop.setAccessibleName("Stop lowering")
        self.stop.setAutoDefault(False)
        self.reset.hide()
        self.refusal.hide()
        top = Flow()
        top.addWidget(self.state)
        top.addWidget(self.reset)
        top.addWidget(self.arm)
        lower = QGridLayout()
        for column, (title, widget) in enumerate((("Attenuator", self.which), ("Lower to", self.target))):
            lower.addWidget(plain(title, buddy=widget), 0, column)
            lower.addWidget(widget, 1, column)
        lower.addWidget(self.stop, 1, 2)
        inside = QVBoxLayout(self)
        inside.setContentsMargins(4, 4, 4, 4)
        inside.addLayout(top)
        for widget in (self.cause, self.refusal, *self.steps):
            inside.addWidget(widget)
        inside.addLayout(lower)
        inside.addStretch(1)
        self.retheme()

    # What is shown

    def set_stale(self, stale: bool) -> None:
        """Say that the state is the last one known while the owner is silent."""
        self._stale = stale
        self.state.set_state(self._state.lower() or "unknown", "last known" if stale and self._state else "")
        self._show_rows()

    @guarded
    def show_safety(self, now: Mapping[str, Any]) -> None:
        """Show the safety state, and whether the bench can be armed or reset."""
        before, self._state = self._state, str(now.get("state", ""))
        self.set_stale(self._stale)
        reports = [f"{one['name']} {one['state']} {one.get('detail', '')}".rstrip() for one in now.get("reports") or ()]
        self._causes = [f"Cause: {now['cause']}"] if now.get("cause") else []
        self._causes += [f"Made safe: {', '.join(reports)}"] if reports and self._state != "ARMED" else []
        self._show_causes()
        if before != self._state and self._state in ("SAFE", "TRIPPED"):
            self._done.clear()
            self._lowering, self._rates = None, []
        self._allow()
        self._show_rows()

    @guarded
    def show_station(self, station: StationState, counts: CountRates | None = None) -> None:
        """Show what the instruments read back.  counts: rates of the run that is on, None without one."""
        self._station, self._counts = station, counts
        self._show_causes()
        names = [one.name for one, _ in arming_rows.attenuations(station)]
        if names != [self.which.itemText(at) for at in range(self.which.count())]:
            self.which.clear()
            self.which.addItems(names)
        self._limit_target()
        self._show_rows()

    @guarded
    def show_counts(self, counts: CountRates | None) -> None:
        """Show the rates of the run that is on."""
        self._counts = counts
        self._show_rows()

    def _show_causes(self) -> None:
        """Tell what the owner said, and what is open: arming closes some of that itself, and is refused for the rest."""
        lines = [*self._causes, *(arming_rows.against(self._station) if self._station is not None else [])]
        self.cause.show_text("\n".join(lines) or ("No cause stands against arming." if self._station is not None else words.UNKNOWN))

    def _limit_target(self) -> None:
        found = self._attenuation(self.which.currentText())
        if found is not None:
            self.target.set_limits(found[1].low, found[1].high)
            if not self.target.text() and found[1].operate is not None:
                self.target.setText(typed(found[1].operate, "dB"))

    def _attenuation(self, name: str) -> Any:
        found = arming_rows.attenuations(self._station) if self._station is not None else []
        return next(((one, quantity) for one, quantity in found if one.name == name), None)

    def _show_rows(self) -> None:
        for at, step in enumerate(self.steps):
            step.badge.set_state(self._word(at))
            if self._station is not None:
                told = arming_rows.read_back(at, self._station, self._counts)
                step.told.show_text(", ".join([told, *self._own_rates()]) if at == 4 and self._counts is None else told)
                step.told.set_stale(self._stale or not arming_rows.fresh(at, self._station))
                if step.told.heightForWidth(step.told.width()) != step.told.height():
                    # Else a text of more lines is cut until the next event.
                    step.updateGeometry()

    def _own_rates(self) -> list[str]:
        """Return the rates that were counted on the way down, and how old they are."""
        age_s = time.monotonic() - self._counted
        return [*self._rates, f"counted {words.duration(age_s)} ago"] if self._rates and age_s > words.STALE_S else self._rates

    def _word(self, at: int) -> str:
        if at == self._failed:
            return "failed"
        if self._stale:
            return "unknown"
        reached = self._reads(at)
        if self._arming:
            first = next((row for row in range(4) if not self._reads(row)), 3)
            return "running" if at == first else "done" if at < first else "idle"
        if at == self._active:
            return "running"
        if at == 4:
            return "done" if at in self._done and not self._reads(0) else "idle"
        return "done" if reached and (at in self._done or (self._state == "ARMED" and at in (2, 3))) else "idle"

    def _reads(self, at: int) -> bool:
        """Say whether the instruments read back now what a row is for."""
        return self._station is not None and arming_rows.reached(at, self._station) and arming_rows.fresh(at, self._station)

    def _allow(self) -> None:
        may, busy = self.desk.controls, self._active is not None or self._arming
        why = "" if may else self.desk.view_only_why
        tripped = self._state == "TRIPPED"
        self.arm.setEnabled(may and not busy and not tripped)
        self.arm.setToolTip(tip(why) or ("Reset the bench first" if tripped else "Hold for one second"))
        self.reset.setVisible(tripped)
        self.reset.setEnabled(may and not busy)
        for step in self.steps:
            step.button.setEnabled(may and not busy and not tripped)
            if why:
                step.button.setToolTip(tip(why))
        self.stop.setEnabled(self._lowering is not None)

    # What is asked

    def _begin(self, row: int | None, *, arming: bool = False) -> None:
        self._active, self._arming, self._failed = row, arming, None
        self.refusal.hide()
        self._allow()
        self._show_rows()

    def _end(self, *done: int) -> None:
        self._active, self._arming, self._lowering = None, False, None
        self._done |= set(done)
        self._allow()
        self._show_rows()

    def _refused(self, error: HeliographError) -> None:
        """Stop, name the rule, and leave the safe button focused."""
        row = self._active
        if self._arming and self._station is not None:
            row = arming_rows.row_of(error.where, self._station)
        self._end()
        self._failed = row
        told = f"Refused by {type(error).__name__}: {error}"
        self.refusal.setText(told)
        self.refusal.setAccessibleName(told)
        self.refusal.show()
        self._show_rows()
        self.desk.announce(told)
        focus_safe(self)

    def _arm(self) -> None:
        self._begin(None, arming=True)
        self.desk.ask("arm", {}, then=lambda _reply: self._end(0, 1, 2, 3), failed=self._refused, timeout_s=ARM_S)

    def _reset(self) -> None:
        self._begin(None)
        self.desk.ask("reset", {}, then=lambda _reply: self._end(), failed=self._refused, timeout_s=SET_S)

    def _start(self, row: int) -> None:
        if self._station is None:
            return
        self._begin(row)
        self._made_safe = None
        if row == 4:
            self._judged(self._lower)
            return
        station = self._station
        self._judged(lambda: self._ask_all(arming_rows.asks(row, station), lambda: self._end(row)))

    def _judged(self, act: Callable[[], None]) -> None:
        """Do something, and stop where that cannot be done."""
        try:
            act()
        except HeliographError as error:
            self._refused(error)

    def _ask_all(self, asks: list[Ask], done: Callable[[], None]) -> None:
        """Send requests one after the other; the first refusal is the last."""
        if not asks:
            done()
            return
        first, *rest = asks
        self._ask(first, lambda _reply: self._ask_all(rest, done))

    def _ask(self, ask: Ask, then: Callable[[Any], None]) -> None:
        """Send one request, unless the bench was made safe since the row was started: nothing of it may follow the way down."""

        def told(status: Mapping[str, Any]) -> None:
            times = status.get("made_safe")
            if self._made_safe is None:
                self._made_safe = times
            if times != self._made_safe:
                remedy = "See why, then start it again."
                self._refused(ArmRefused("the bench was made safe since this row was started", where=ROWS[self._active or 0].title, remedy=remedy))
                return
            self.desk.ask(ask[0], ask[1], then=then, failed=self._refused, timeout_s=SET_S)

        self.desk.ask("status", {}, then=told, failed=self._refused, timeout_s=SET_S)

    def _lower(self) -> None:
        found = self._attenuation(self.which.currentText())
        if found is None:
            raise ArmRefused("no attenuator is chosen", where="row 5", remedy="Choose one, and type how far it may open.")
        one, quantity = found
        if not isinstance(quantity.measured, int | float):
            raise ArmRefused("its attenuation is not known", where=one.name, remedy="Home it.")
        target = self.target.value()
        self._lowering = one.name, quantity.member, target
        self._allow()
        self._lower_from(float(quantity.measured))

    def _lower_from(self, now_db: float) -> None:
        if self._lowering is None:
            self._end()
            return
        name, member, target = self._lowering
        if now_db <= target:
            self._end(4)
            return
        wanted = max(target, now_db - STEP_DB)
        self._ask(request(name, member, wanted), lambda _reply: self._stepped(wanted))

    def _stepped(self, now_db: float) -> None:
        """Look at the count rates after a step, by the run that is on or by asking the detectors."""
        self.steps[4].told.show_text(f"{self.which.currentText()} {words.quantity(now_db, 'dB')}")
        detectors = [] if self._station is None else [one.name for one in self._station.instruments if one.role == "PhotonDetector" and one.state == "armed"]
        if self._counts is not None or not detectors:
            self._lower_from(now_db)
            return
        self._rates = []
        self._count(detectors, lambda: self._lower_from(now_db))

    def _count(self, detectors: list[str], then: Callable[[], None]) -> None:
        if not detectors:
            self._counted = time.monotonic()
            self._show_rows()
            then()
            return
        name, *rest = detectors

        def counted(reply: Any) -> None:
            found = [float(count) / float(reply.period_s) for count in getattr(reply, "n", ())]
            limit = self._rate_limit(name)
            self._rates += [f"{name} {at} {words.scaled(rate, 'Hz')}{limit}" for at, rate in enumerate(found, 1)]
            self._count(rest, then)

        self._ask(("call", {"name": name, "member": "counts", "args": [_RATE_PERIOD_S], "kwargs": {}}), counted)

    def _rate_limit(self, name: str) -> str:
        one = next((one for one in self._station.instruments if one.name == name), None) if self._station is not None else None
        high = next((quantity.high for quantity in one.quantities if quantity.unit == "Hz" and quantity.high is not None), None) if one else None
        return "" if high is None else f" of {words.scaled(high, 'Hz')}"

    def _stop(self) -> None:
        self._lowering = None
        self._allow()

    def retheme(self) -> None:
        """Take the colours of another theme."""
        colours = self.refusal.palette()
        colours.setColor(self.refusal.foregroundRole(), QColor(theme.current().failure))
        self.refusal.setPalette(colours)


def focus_safe(widget: QWidget) -> bool:
    """Put the focus on the safe button of a widget's window; say whether there is one."""
    for button in widget.window().findChildren(QAbstractButton):
        if button.accessibleName() == "Make safe" and button.isVisible():
            button.setFocus(Qt.FocusReason.OtherFocusReason)
            return True
    return False
