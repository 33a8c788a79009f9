"""SAFE: a red button in every window, `Ctrl+.`, or Esc twice; and what became of each device."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from PySide6.QtCore import QEvent, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QIcon, QKeyEvent, QPainter, QPixmap, QWindow
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QFrame, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ..core.errors import BenchError, HeliographError
from . import theme, words
from .badges import Badge, draw_shape, plain
from .desk import Desk
from .flow import Flow
from .guard import Guard
from .hold import HOLD_MS

log = logging.getLogger(__name__)

TWICE_S = 0.6
LEAST_PX = 44
EARLIER = "Earlier: "
_LEFT = (QEvent.Type.WindowDeactivate, QEvent.Type.ApplicationDeactivate)
_BY_HAND = "Switch the light off by hand, now."


class SafeButton(QPushButton):
    """Red, never off, one press."""

    def __init__(self, press: Callable[[], None], parent: QWidget | None = None) -> None:
        super().__init__("SAFE", parent)
        self.setObjectName("safe")
        self.setAccessibleName("Make safe")
        self.setAccessibleDescription("Light off, attenuators at maximum, detectors parked. Also Ctrl+. and Esc twice.")
        self.setToolTip("Make the bench safe, now (Ctrl+. or Esc twice)")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Minimum)
        self.setAutoDefault(False)
        self.pressed.connect(press)
        self.retheme()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter presses it, too."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.isAutoRepeat():
            self.pressed.emit()
        else:
            super().keyPressEvent(event)

    def retheme(self) -> None:
        """Take the text size of now; the colours are the same in every theme."""
        now, font = theme.current(), QFont(QApplication.font())
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 1.15)
        self.setFont(font)
        side = self.fontMetrics().height() + 2
        image = QPixmap(side, side)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        draw_shape(painter, "octagon", QRectF(0, 0, side, side), now.on_trip)
        painter.end()
        self.setIcon(QIcon(image))
        self.setIconSize(QSize(side, side))
        self.setStyleSheet(
            f"QPushButton#safe {{ background: {now.trip}; color: {now.on_trip}; border: 2px solid {now.trip}; border-radius: 4px; padding: 4px 14px;"
            f" min-height: {max(LEAST_PX - 12, side)}px; min-width: {max(LEAST_PX, side + self.fontMetrics().horizontalAdvance(self.text()) + 8)}px; }}"
            f" QPushButton#safe:focus {{ outline: 2px solid {now.on_trip}; }}"
            f" QPushButton#safe:pressed {{ background: #7A0016; }}"
        )


class Keys(QObject):
    """Watches the keys of every window, menu and dialog of the program: safe by `Ctrl+.` or Esc twice, abort by holding Ctrl+Shift+A.

    Only keys that come to a QWindow are looked at, which is each press once, before any widget sees it. The wheel changes no value in any field.
    """

    safe = Signal()
    abort = Signal()

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._escape = float("-inf")
        self._timer = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Look at a key; it goes on to where it was going, but for `Ctrl+.`."""
        kind = event.type()
        if kind == QEvent.Type.Wheel and isinstance(watched, QAbstractSpinBox | QComboBox):
            event.ignore()
            return True
        if kind in _LEFT:
            # The keys are let go of elsewhere, where nobody here hears it.
            self._let_go()
            return False
        if kind not in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease) or not isinstance(watched, QWindow) or not isinstance(event, QKeyEvent):
            return False
        if event.isAutoRepeat():
            return False
        return self._pressed(event) if kind == QEvent.Type.KeyPress else self._released(event)

    def _pressed(self, event: QKeyEvent) -> bool:
        control = Qt.KeyboardModifier.ControlModifier
        if event.key() == Qt.Key.Key_Period and event.modifiers() & control:
            self.safe.emit()
            return True
        if event.key() == Qt.Key.Key_A and event.modifiers() == control | Qt.KeyboardModifier.ShiftModifier:
            self._timer = self._timer or self.startTimer(HOLD_MS, Qt.TimerType.PreciseTimer)
            return False
        if event.key() != Qt.Key.Key_Escape:
            self._escape = float("-inf")
            return False
        now = self._clock()
        twice = now - self._escape <= TWICE_S
        self._escape = float("-inf") if twice else now
        if twice:
            self.safe.emit()
        return False

    def _released(self, event: QKeyEvent) -> bool:
        if event.key() in (Qt.Key.Key_A, Qt.Key.Key_Control, Qt.Key.Key_Shift):
            self._let_go()
        return False

    def _let_go(self) -> None:
        if self._timer:
            self.killTimer(self._timer)
            self._timer = 0

    def timerEvent(self, event: Any) -> None:  # noqa: N802
        """Abort: the keys were held for a second."""
        self._let_go()
        self.abort.emit()


class Safety(QObject):
    """Carries out a press: in a thread of its own, by the watchdog's line, whatever the owner does.

    asked: a press went out, with the names of the devices.  made: what came of it.  failed: no way worked.
    """

    asked = Signal(tuple)
    made = Signal(object)
    failed = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.guard: Guard | None = None

    def press(self) -> None:
        """Make the bench safe."""
        guard = self.guard
        if guard is None:
            self._desk.notice(BenchError("no bench is open in this window, so there is nothing to make safe", where="SAFE"))
            return
        threading.Thread(target=self._carry_out, args=(guard,), name="SAFE", daemon=True).start()
        station = self._desk.latest("station")
        self.asked.emit(tuple(one.name for one in station.instruments) if station is not None else ())
        self._desk.announce("SAFE was sent")

    def _carry_out(self, guard: Guard) -> None:
        try:
            told = guard.make_safe(self._desk.line)
        except Exception as error:
            log.exception("SAFE")
            wrong = error if isinstance(error, HeliographError) else BenchError(f"SAFE went wrong ({error!r})", where="SAFE", remedy=_BY_HAND)
            self._desk.later(lambda: self.failed.emit(wrong))
        else:
            self._desk.later(lambda: self.made.emit(told))


class SafePanel(QFrame):
    """What became of each device when the bench was made safe: confirmed, sent or failed, and when. It stays until it is put away."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.setAccessibleName("Safe state of each device")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._title = plain()
        self._badges: dict[str, Badge] = {}
        self._shown: Any = None
        self._begun = 0.0
        self._waits = False
        self._told: Any = None
        self._was_safe = False
        self.away = QPushButton("Put awa&y")
        self.away.setAccessibleName("Put the safe panel away")
        self.away.setAutoDefault(False)
        self.away.clicked.connect(self.put_away)
        top = QHBoxLayout()
        top.addWidget(self._title, 1)
        top.addWidget(self.away)
        self._devices = QWidget()
        self._flow = Flow(self._devices, 12)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self._devices)
        self.hide()

    def put_away(self) -> None:
        """Hide it; a focus that is in it, or nowhere, goes to the safe button of this window."""
        focus = QApplication.focusWidget()
        if focus is None or self.isAncestorOf(focus):
            for button in self.window().findChildren(SafeButton):
                if button.isVisible() and button.window() is self.window():
                    button.setFocus(Qt.FocusReason.OtherFocusReason)
        self.hide()

    def asked(self, names: Iterable[str]) -> None:
        """Show that a press went out: every device is waited for."""
        self._begun, self._waits, self._told, self._was_safe = time.monotonic(), True, None, False
        self._say(f"SAFE was sent at {words.clock(time.time())}; waiting for the devices")
        self._show(dict.fromkeys(names, ("sent", "no answer yet")))

    def made(self, told: Mapping[str, Any]) -> None:
        """Show what came of it; what was shown already is not told again."""
        key = (told.get("time"), told.get("by"))
        if told.get("time") and key == self._told:
            return
        took = f" in {time.monotonic() - self._begun:.1f} s" if self._waits else ""
        self._waits, self._told, self._was_safe = False, key, False
        at = words.clock(float(told.get("time") or time.time()))
        reports = list(told.get("reports", ()))
        failed = [one["name"] for one in reports if one["state"] == "FAILED"]
        verdict = f"NOT SAFE: {', '.join(failed)} failed. Switch off by hand." if failed else f"Made safe by {told.get('by', 'owner')}{took}"
        if not reports:
            verdict = "Nothing was there to be made safe: nobody has this bench open"
        self._say(f"{verdict} ({at}); {told.get('cause', 'asked for')}")
        self._show({one["name"]: (one["state"].lower(), " ".join(filter(None, (at, one.get("detail", ""))))) for one in reports})
        self._desk.announce(self._title.text())

    def failed(self, error: HeliographError) -> None:
        """Show that no way worked."""
        self._waits = False
        self._say(f"NOT SAFE: {error}")
        self._show(dict.fromkeys(self._badges, ("failed", "")))
        self._desk.announce(self._title.text())
        self._desk.notice(error)

    def follow(self, safety: Mapping[str, Any]) -> None:
        """Show the safe state that followed a trip, once; a press of this window's own is shown by its own answer.

        Once the bench has left the safe state, nothing is shown of it; nor is an earlier one while the bench is being made safe after a trip.
        """
        state = safety.get("state")
        if state in ("ARMING", "ARMED") and self._was_safe and not self._waits:
            self.hide()
        self._was_safe = state in ("SAFE", "TRIPPED")
        tripped = state == "TRIPPED"
        reports = [one if isinstance(one, Mapping) else asdict(one) for one in safety.get("reports", ())]
        shown = (str(safety.get("cause")), tuple((one["name"], one["state"]) for one in reports)) if tripped else None
        if tripped and not self._waits and shown != self._shown:
            if reports:
                self.made({"by": "the owner", "cause": safety.get("cause", ""), "reports": reports})
            else:
                self.hide()
        self._shown = shown

    def grow_old(self) -> None:
        """Mark what is shown as of earlier: whoever told it is gone."""
        if self._badges and not self._waits and not self._title.text().startswith(EARLIER):
            self._say(f"{EARLIER}{self._title.text()}")
            for badge in self._badges.values():
                badge.set_stale(True)

    def _say(self, text: str) -> None:
        self._title.setText(text)
        self._title.setWordWrap(True)
        self.setAccessibleDescription(text)

    def _show(self, states: Mapping[str, tuple[str, str]]) -> None:
        for name in [one for one in self._badges if one not in states]:
            self._badges.pop(name).deleteLater()
        for name, (word, detail) in states.items():
            if name not in self._badges:
                self._badges[name] = Badge(name, word, parent=self._devices, titled=True)
                self._flow.addWidget(self._badges[name])
            self._badges[name].set_state(word, detail)
            self._badges[name].set_stale(False)
        self._devices.setVisible(bool(states))
        self.show()

    def states(self) -> dict[str, str]:
        """Return the word of each device."""
        return {name: badge.word for name, badge in self._badges.items()}

    def retheme(self) -> None:
        """Take the colours of another theme."""
        for badge in self._badges.values():
            badge.retheme()
