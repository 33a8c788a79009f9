"""Calibrations: which are good, stale, missing or suspect, and one button that queues what has to be made, in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ..control.topics import CalibrationState, StationState
from . import words
from .badges import Value, tip
from .desk import Desk
from .flow import Flow
from .guarded import guarded
from .tables import Cell, Column
from .wide_table import WideTable

_COLUMNS = (
    Column("Calibration"),
    Column("State"),
    Column("Order", number=True),
    Column("Value", wide=True),
    Column("Age", number=True),
    Column("Good until", number=True),
)
_WORST_FIRST = ("suspect", "missing", "stale", "good")


class CalibrationPanel(QWidget):
    """The calibrations of the station."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._order: tuple[str, ...] = ()
        self._known = self._made = self._armed = False
        self.table = WideTable("Calibrations", _COLUMNS, letters=36)
        self.told = Value("Calibrations to make", "nothing is known yet")
        self.queue = QPushButton("&Queue them in order")
        self.queue.setAccessibleName("Queue missing and stale calibrations")
        self.queue.setAutoDefault(False)
        self.queue.clicked.connect(lambda _checked=False: self._queue())
        line = Flow()
        line.addWidget(self.told)
        line.addWidget(self.queue)
        inside = QVBoxLayout(self)
        inside.setContentsMargins(4, 4, 4, 4)
        inside.addLayout(line)
        inside.addWidget(self.table)
        desk.control_changed.connect(self._allow)
        self._allow()

    @guarded
    def show_station(self, station: StationState, *, now: float | None = None) -> None:
        """Show the calibrations of a station, first what is to be made, in order.  now: Unix time; the present without it."""
        present = time.time() if now is None else now
        places = {name: at for at, name in enumerate(station.order, 1)}
        ordered = sorted(station.calibrations, key=lambda one: (places.get(one.name, len(places) + 1), _WORST_FIRST.index(one.state), one.name))
        self.table.set_rows([_row(one, places.get(one.name), present) for one in ordered], [one.name for one in ordered])
        self._known, self._order, self._made = True, station.order, bool(station.calibrations)
        self._say()
        self._allow()

    def show_safety(self, state: str) -> None:
        """Note the state of the bench: calibrations need light."""
        self._armed = state == "ARMED"
        if self._known:
            self._say()

    def _say(self) -> None:
        if not self._order:
            self.told.show_text("All calibrations are good." if self._made else "The station uses no calibration.")
            return
        self.told.show_text(f"{len(self._order)} to make, {self._order[0]} first{'' if self._armed else '; arm the bench before'}")

    def _allow(self) -> None:
        self.queue.setEnabled(self.desk.controls and bool(self._order))
        self.queue.setToolTip("" if self.desk.controls else tip(self.desk.view_only_why))

    def _queue(self) -> None:
        self.queue.setEnabled(False)
        self.desk.ask("calibrate", {}, then=self._queued, failed=self._refused)

    def _queued(self, _reply: Any) -> None:
        first = "" if self._armed else " Arm the bench: they need light."
        self.desk.notice(f"{len(self._order)} calibrations wait in the queue, in this order: {', '.join(self._order)}.{first} Page Queue shows them.")
        self._allow()

    def _refused(self, error: Any) -> None:
        self.desk.notice(error)
        self._allow()


def _row(one: CalibrationState, place: int | None, now: float) -> Sequence[str | Cell]:
    age_s = max(0.0, now - one.taken)
    needs = f" (after {', '.join(one.needs)})" if one.needs and one.state != "good" else ""
    return (
        one.name,
        Cell(one.state, one.state, _WORST_FIRST.index(one.state)),
        Cell("" if place is None else str(place), order=place),
        f"{one.text}{needs}",
        Cell(words.duration(age_s) if one.taken else words.UNKNOWN, order=-one.taken if one.taken else None),
        Cell(words.clock(one.until, date=True)[:16] if one.until else words.UNKNOWN, order=one.until),
    )
