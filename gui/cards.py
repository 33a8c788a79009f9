"""One card an instrument: its state, who it is, its set-points as wanted, accepted and measured, its last error, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QPushButton, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from ..control.topics import InstrumentState, Quantity
from ..core.errors import HeliographError
from . import theme, unread, words
from .arming_rows import STEP_DB
from .badges import Badge, Value, plain, tip
from .card_rows import SET_S, Reading, Switch, header, limited, request, set_point
from .desk import Desk
from .flow import Flow
from .guarded import guarded
from .offering import offer
from .quantity import QuantityField

ACTS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Attenuator": (("Home", "Home", "home"),),
    "PolarisationController": (("Home", "Home", "home"),),
    "BiasController": (("Working point", "Find the working point of", "calibrate"),),
    "TagSource": (("Set up inputs", "Set up the inputs of", "configure_inputs"),),
}
"""By role: text of a button, what it does, and the member of the role that does it."""


_ROUNDING_DB = 0.05
Row = QuantityField | Switch | Reading


class Card(QWidget):
    """One instrument."""

    def __init__(self, desk: Desk, state: InstrumentState) -> None:
        super().__init__()
        self.desk, self.name, self.role = desk, state.name, state.role
        self.marked = self._old = False
        self._unread, self._read_at = "", 0.0
        self._last_error, self._failing = "", False
        self.rows: dict[str, Row] = {}
        self._kinds: tuple[tuple[str, str, str], ...] = ()
        self._quantities: tuple[Quantity, ...] = ()
        self.setAccessibleName(f"Card of {self.name}")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.title = plain(self.name)
        self.badge = Badge(self.name, state.state)
        self.simulated = Badge("", "simulated" if state.simulated else "hardware")
        self.identity, self.age = Value(f"{self.name}, identity"), Value(f"{self.name}, age")
        self.error = plain(wrap=True)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(6)
        self._head = header()
        self._head.hide()
        self.buttons: list[QPushButton] = []
        self.doing = Badge(f"{self.name}, act", "pending")
        self.doing.hide()
        self._here: tuple[bool, bool] | None = None
        self._arrange(state.role)
        desk.control_changed.connect(self._allow)
        self.show_state(state, 0.0)

    def _arrange(self, role: str) -> None:
        head = Flow()
        for widget in (self.title, self.badge, self.simulated, self.doing):
            head.addWidget(widget)
        self.identity.setWordWrap(True)
        foot = Flow()
        foot.addWidget(self.age)
        for text, what, member in ACTS.get(role, ()):
            foot.addWidget(self._button(text, f"{what} {self.name}", partial(self._act, member, text)))
        self.safe = self._button("Make safe", f"Make {self.name} safe", lambda: self._act("to_safe", "Make safe"))
        self.service = self._button("", "", self._serve)
        foot.addWidget(self.safe)
        foot.addWidget(self.service)
        inside = QVBoxLayout(self)
        inside.setContentsMargins(12, 10, 12, 10)
        inside.setSpacing(6)
        inside.addLayout(head)
        inside.addWidget(self.identity)
        inside.addWidget(self.error)
        inside.addWidget(self._head)
        inside.addLayout(self._rows)
        inside.addLayout(foot)
        self.retheme()

    def _button(self, text: str, name: str, act: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setAccessibleName(name)
        button.setAutoDefault(False)
        button.clicked.connect(lambda _checked=False: act())
        self.buttons.append(button)
        return button

    # What is shown

    def show_state(self, now: InstrumentState, late_s: float, *, old: bool = False) -> bool:
        """Show an instrument as it is now; say whether the card's height may have changed.  late_s: how long ago it was read.  old: its values are stale."""
        kinds = tuple((one.label, one.member, one.unit) for one in now.quantities)
        rebuilt = kinds != self._kinds
        if rebuilt:
            self._rebuild(now)
            self._kinds = kinds
        self._quantities = now.quantities
        self.badge.set_state(now.state)
        self.simulated.set_state("simulated" if now.simulated else "hardware")
        self.identity.show_text(now.identity or "nobody has answered yet")
        self.identity.setToolTip(tip(f"{now.role} at {now.address}"))
        told = self._told_error(now)
        grown = rebuilt or bool(told) == self.error.isHidden() or len(told) != len(self.error.text())
        self.error.setText(told)
        self.error.setVisible(bool(told))
        for one in now.quantities:
            row = self.rows[one.label]
            row.show_quantity(one)
            if isinstance(row, QuantityField) and row.label.text() != limited(one):
                row.label.setText(limited(one))
        grown |= self._show_service(now)
        self._unread = "let go, not read" if now.state == "released" else "" if now.read_t else "never read"
        self._read_at = time.monotonic() - late_s
        # The end of the owner's silence takes the mark of every value away.
        if old or old != self._old:
            self._old = old
            for value in (value for row in self.rows.values() for value in row.findChildren(Value)):
                value.set_stale(old)
        self.show_age()
        return grown

    def _told_error(self, now: InstrumentState) -> str:
        """Return what is wrong and since when, or what was, muted."""
        told = f"{words.clock(now.error_t)}  {now.why}".strip(" -") if now.why else ""
        if now.why and now.state != "released":
            self._last_error = told
        if bool(told) != self._failing:
            self._failing = bool(told)
            self._colour_error()
        return told or (f"Over, last error: {self._last_error}" if self._last_error else "")

    def show_age(self) -> None:
        """Show how long ago it was read."""
        age_s = time.monotonic() - self._read_at
        self.age.show_text(self._unread or f"read {words.duration(age_s)} ago{', stale' if self._old or age_s > words.STALE_S else ''}")

    def _rebuild(self, now: InstrumentState) -> None:
        for row in self.rows.values():
            self._rows.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = {one.label: self._row(one) for one in now.quantities}
        for row in self.rows.values():
            self._rows.addWidget(row)
        self._head.setVisible(any(isinstance(row, QuantityField) for row in self.rows.values()))
        self._allow()

    def _row(self, one: Quantity) -> Row:
        if not one.member or isinstance(one.measured, str):
            return Reading(self.name, one.label)
        if isinstance(one.measured, bool) or (one.unit == "" and one.measured is None):
            switch = Switch(self.name, one.label)
            switch.asked.connect(lambda on: self._set(switch, one.member, on))
            return switch
        field = set_point(self.name, one)
        field.asked.connect(lambda value: self._set(field, one.member, value))
        return field

    def _allow(self) -> None:
        """Let only the window that controls the bench change something; the way to the safe state is open to everybody."""
        may, why = self.desk.controls, self.desk.view_only_why
        for widget in self.controls():
            if widget in (self.safe, self.service):
                continue
            widget.setEnabled(may)
            if not may:
                widget.setToolTip(tip(why))

    def _show_service(self, now: InstrumentState) -> bool:
        """Offer to let the instrument go, or to take it back, and nothing else while it is away; say whether that changed."""
        away, here = now.state == "released", self._here
        self._here = away, now.can_home
        if self._here != here:
            self.service.setText("Take back" if away else "Release")
            self.service.setAccessibleName(f"Take {self.name} back from service" if away else f"Release {self.name} for service")
            for button in self.buttons:
                button.setVisible(button is self.service or not (away or (button.text() == "Home" and not now.can_home)))
        state = (self.desk.latest("safety") or {}).get("state", "SAFE")
        unsafe = "" if away or state == "SAFE" else f"the bench is {state.lower()}; make it safe first"
        about = "Opens its line again; the same device must answer." if away else "Closes its line, so that it can be unplugged or used by other software."
        offer(self.service, "" if self.desk.controls and not unsafe else unsafe or self.desk.view_only_why, about)
        return self._here != here

    def controls(self) -> list[QWidget]:
        """Return what takes the focus, as it is read."""
        found: list[QWidget] = []
        for row in self.rows.values():
            found += [row.edit] if isinstance(row, QuantityField) else [row.on, row.off] if isinstance(row, Switch) else []
        return [*found, *self.buttons]

    # What is asked

    def _set(self, row: QuantityField | Switch, member: str, value: float | bool) -> None:
        why = self._opens_too_far(member, value)
        if why:
            row.complain(why)
            self.fit()
            return
        topic, body = request(self.name, member, value)

        def failed(error: HeliographError) -> None:
            row.complain(f"{error.message}. {error.remedy}".strip())
            self.fit()

        self.desk.ask(topic, body, failed=failed, timeout_s=SET_S)

    def _opens_too_far(self, member: str, value: float | bool) -> str:
        """Return why an attenuator may not be opened so far at once: with light on, it lets light through in small steps, as the wizard does."""
        safety = self.desk.latest("safety") or {}
        now = next((one.measured for one in self._quantities if one.member == member and one.unit == "dB"), None)
        if self.role != "Attenuator" or isinstance(value, bool) or safety.get("state", "SAFE") in ("SAFE", "TRIPPED"):
            return ""
        if isinstance(now, int | float) and not self._old and value >= float(now) - STEP_DB - _ROUNDING_DB:
            return ""
        reads = "its attenuation is not known" if self._old or not isinstance(now, int | float) else f"it reads {words.quantity(now, 'dB')}"
        return f"Not sent: the bench is {safety['state'].lower()}, {reads}, and one step opens by {STEP_DB:g} dB at most. Use row 5 of Arming."

    def _act(self, member: str, text: str) -> None:
        self._ask(text, "call", {"name": self.name, "member": member, "args": [], "kwargs": {}})

    def _serve(self) -> None:
        """Let the instrument go, or take it back."""
        self._ask(self.service.text(), "take_back" if self._here is not None and self._here[0] else "release_instrument", {"name": self.name})

    def _ask(self, what: str, topic: str, body: dict[str, Any]) -> None:
        """Ask for something that takes a while; what it is stands on the card meanwhile."""
        self.doing.set_state("pending", what)
        self.doing.show()

        def failed(error: HeliographError) -> None:
            self.doing.hide()
            self.desk.notice(error)

        self.desk.ask(topic, body, then=self._done, failed=failed, timeout_s=SET_S)

    def _done(self, reply: Any) -> None:
        self.doing.hide()
        for one in reply if isinstance(reply, list | tuple) else [reply]:
            if getattr(one, "state", "") == "FAILED":
                self.desk.notice(f"{one.name} could not be made safe: {one.detail}. Use the red button, then look at the device itself.")

    # Looks

    def fit(self) -> None:
        """Have the cards arranged anew."""
        parent = self.parentWidget()
        if isinstance(parent, Grid):
            parent.arrange()

    def mark(self, marked: bool) -> None:
        """Show that it is the one that was looked for."""
        self.marked = marked
        self.update()

    def retheme(self) -> None:
        """Take colours and text size of another theme."""
        font = self.font()
        font.setBold(True)
        self.title.setFont(font)
        self._colour_error()
        colours = self._head.palette()
        colours.setColor(self._head.foregroundRole(), QColor(theme.current().muted))
        self._head.setPalette(colours)
        self.update()

    def _colour_error(self) -> None:
        """Give an error its colour, muted once it is over."""
        now, colours = theme.current(), self.error.palette()
        colours.setColor(self.error.foregroundRole(), QColor(now.failure if self._failing else now.muted))
        self.error.setPalette(colours)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the card's ground and edge."""
        now, painter = theme.current(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        wide = 2.5 if self.marked else 1.0
        painter.setPen(QPen(QColor(now.ok if self.marked else now.line), wide))
        painter.setBrush(QColor(now.raised))
        inset = wide / 2 + 0.5
        painter.drawRoundedRect(self.rect().toRectF().adjusted(inset, inset, -inset, -inset), 6, 6)
        painter.end()


class Grid(QWidget):
    """Cards in as many columns as fit; each goes below the shortest one."""

    GAP = 10

    def __init__(self) -> None:
        super().__init__()
        self.cards: dict[str, Card] = {}
        self._room = 0

    def arrange(self, room: int = 0) -> None:
        """Place the cards for a width in pixels; for the same one without."""
        self._room = room or self._room
        least = max([self.fontMetrics().averageCharWidth() * 54, *(card.minimumSizeHint().width() for card in self.cards.values())])
        columns = max(1, (self._room + self.GAP) // (least + self.GAP))
        wide = max(least, (self._room - (columns - 1) * self.GAP) // columns)
        ends = [0] * columns
        for card in self.cards.values():
            at = ends.index(min(ends))
            layout = card.layout()
            high = max(layout.totalHeightForWidth(wide) if layout is not None and layout.hasHeightForWidth() else 0, card.minimumSizeHint().height())
            card.setGeometry(at * (wide + self.GAP), ends[at], wide, high)
            ends[at] += high + self.GAP
        self.setFixedSize(max(self._room, columns * (wide + self.GAP) - self.GAP), max([*ends, 1]))


class Cards(QScrollArea):
    """The cards of all instruments, in the order of the station."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.grid = Grid()
        self.setWidget(self.grid)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName("Cards of the instruments")
        desk.ticked.connect(self._look_at_the_clock)

    @guarded
    def show_instruments(self, instruments: Sequence[InstrumentState], late_s: float) -> None:
        """Show every instrument as it is now.  late_s: how long ago the owner told."""
        names = [one.name for one in instruments]
        changed = names != list(self.grid.cards)
        if changed:
            self._rebuild(instruments)
        ages, old = unread.ages(instruments), unread.unread(instruments)
        for one in instruments:
            changed |= self.grid.cards[one.name].show_state(one, late_s + ages.get(one.name, 0.0), old=one.name in old)
        if changed:
            self.grid.arrange(self.viewport().width())

    def _look_at_the_clock(self) -> None:
        """Let the ages grow while nothing is told of instruments, whatever else comes."""
        if self.isVisible() and (self.desk.age_s("station") or 0.0) > words.STALE_S:
            for card in self.grid.cards.values():
                card.show_age()

    def _rebuild(self, instruments: Sequence[InstrumentState]) -> None:
        for card in self.grid.cards.values():
            card.hide()
            card.deleteLater()
        self.grid.cards = {one.name: Card(self.desk, one) for one in instruments}
        for card in self.grid.cards.values():
            card.setParent(self.grid)
            card.show()

    def controls(self) -> list[QWidget]:
        """Return what takes the focus, card after card."""
        return [widget for card in self.grid.cards.values() for widget in card.controls()]

    def go_to(self, name: str) -> bool:
        """Mark the card of an instrument, bring it into view and put the focus on its first control; say whether there is one."""
        for card in self.grid.cards.values():
            card.mark(card.name == name)
        found = self.grid.cards.get(name)
        if found is None:
            return False
        self.ensureWidgetVisible(found, 0, 10)
        self.verticalScrollBar().setValue(min(found.mapTo(self.grid, QPoint(0, 0)).y(), self.verticalScrollBar().maximum()))
        fields = [row.edit for row in found.rows.values() if isinstance(row, QuantityField) and row.edit.isEnabled()]
        (fields[0] if fields else found.safe).setFocus(Qt.FocusReason.ShortcutFocusReason)
        return True

    def retheme(self) -> None:
        """Take text size of another theme."""
        self.grid.arrange(self.viewport().width())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Arrange the cards for the new width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.grid.arrange(self.viewport().width())
