"""Set-points of what counts: bias and trigger level of every detector, threshold and delay of every input of the tagger, beside the rates that they change."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QVBoxLayout, QWidget

from ...control.topics import InstrumentState, Quantity, StationState
from ...core.errors import HeliographError
from .. import unread, words
from ..badges import Badge, Value, plain, tip
from ..card_rows import SET_S, header, limited, request, set_point
from ..desk import Desk
from ..flow import Flow
from ..guarded import guarded
from ..quantity import QuantityField

ROLES = ("PhotonDetector", "TagSource")
_UNITS = ("A", "V", "s")


class InputGroup(QWidget):
    """The inputs of one instrument."""

    def __init__(self, desk: Desk, name: str, quantities: Sequence[Quantity]) -> None:
        super().__init__()
        self.desk, self.name = desk, name
        self.badge, self.age = Badge(name), Value(f"{name}, age")
        title = plain(name)
        font = title.font()
        font.setBold(True)
        title.setFont(font)
        head = Flow()
        for widget in (title, self.badge, self.age):
            head.addWidget(widget)
        inside = QVBoxLayout(self)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addLayout(head)
        inside.addWidget(header())
        self.rows: dict[str, QuantityField] = {}
        for one in quantities:
            row = self.rows[one.label] = set_point(name, one)
            row.asked.connect(lambda value, row=row, member=one.member: self._set(row, member, value))
            inside.addWidget(row)

    @guarded
    def show_state(self, now: InstrumentState, quantities: Sequence[Quantity], age_s: float | None, *, old: bool) -> None:
        """Show what is so now.  age_s: of the reading, None for never.  old: it is stale."""
        self.badge.set_state(now.state)
        self.age.show_text("never read" if age_s is None else f"read {words.duration(age_s)} ago{', stale' if old else ''}")
        for one in quantities:
            row = self.rows[one.label]
            row.show_quantity(one)
            if row.label.text() != limited(one):
                row.label.setText(limited(one))
            for value in (row.accepted, row.measured):
                value.set_stale(old)

    def allow(self, why_not: str) -> None:
        """Let values be typed, or say why not."""
        for row in self.rows.values():
            row.edit.setEnabled(not why_not)
            row.edit.setToolTip(tip(why_not or row.edit.accessibleDescription()))

    def _set(self, row: QuantityField, member: str, value: float) -> None:
        topic, body = request(self.name, member, value)

        def failed(error: HeliographError) -> None:
            row.complain(f"{error.message}. {error.remedy}".strip())

        self.desk.ask(topic, body, failed=failed, timeout_s=SET_S)


class Inputs(QWidget):
    """The inputs of all detectors and taggers of the station."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.setAccessibleName("Inputs of detectors and taggers")
        self.groups: dict[str, InputGroup] = {}
        self._kinds: tuple[object, ...] = ()
        self._now: StationState | None = None
        self.empty = plain("No detector and no tagger was read yet.", wrap=True)
        self._inside = QVBoxLayout(self)
        self._inside.setContentsMargins(4, 4, 4, 4)
        self._inside.addWidget(self.empty)
        self._inside.addStretch(1)
        desk.control_changed.connect(self._allow)
        desk.replay_changed.connect(self._allow)
        desk.ticked.connect(self._look_at_the_clock)

    @guarded
    def show_station(self, now: StationState, late_s: float = 0.0) -> None:
        """Show the inputs of a station as they are now.  late_s: how long ago the owner told."""
        self._now = now
        found = {one.name: (one, settable(one)) for one in now.instruments if one.role in ROLES and settable(one)}
        kinds = tuple((name, tuple((one.label, one.member) for one in quantities)) for name, (_, quantities) in found.items())
        if kinds != self._kinds:
            self._kinds = kinds
            self._rebuild({name: quantities for name, (_, quantities) in found.items()})
        ages, old = unread.ages(now.instruments), unread.unread(now.instruments)
        for name, (one, quantities) in found.items():
            age_s = ages[name] + late_s if name in ages else None
            self.groups[name].show_state(one, quantities, age_s, old=name in old or late_s > words.STALE_S)

    def _look_at_the_clock(self) -> None:
        """Let what is shown grow old while nothing is told of instruments, whatever else comes."""
        late_s = self.desk.age_s("station") or 0.0
        if self._now is not None and late_s > words.STALE_S and self.isVisible():
            self.show_station(self._now, late_s)

    def _rebuild(self, found: dict[str, list[Quantity]]) -> None:
        for group in self.groups.values():
            self._inside.removeWidget(group)
            group.hide()
            group.deleteLater()
        self.groups = {name: InputGroup(self.desk, name, quantities) for name, quantities in found.items()}
        for at, group in enumerate(self.groups.values()):
            self._inside.insertWidget(at, group)
        self.empty.setVisible(not self.groups)
        self._allow()

    def _allow(self) -> None:
        replayed = f"{self.desk.replaying} is replayed; press Back to live on the Runs page first" if self.desk.replaying else ""
        for group in self.groups.values():
            group.allow(replayed or ("" if self.desk.controls else self.desk.view_only_why))


def settable(one: InstrumentState) -> list[Quantity]:
    """Return the biases, thresholds and delays of an instrument that can be set."""
    return [quantity for quantity in one.quantities if quantity.member and quantity.unit in _UNITS]
