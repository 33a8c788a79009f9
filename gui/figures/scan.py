"""A scan as it grows: points, and what was found when it is over."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from ...control.topics import ScanRows, Source
from .. import theme, words
from ..guarded import guarded
from .areas import scrolled
from .facts import Facts
from .found import found, text
from .live import LiveChart
from .room import with_names

Floats = NDArray[np.float64]
_COLUMN = re.compile(r"(.*?)(?: \(([^)]*)\))?")
_MOST_SYMBOLS = 300
"""Points beyond which a scan is drawn as a line alone."""


@dataclass(frozen=True, slots=True)
class Series:
    """One column that is drawn.  at: its place.  sigma: that of its standard deviation, None without one."""

    name: str
    unit: str
    at: int
    sigma: int | None = None


def named(column: str) -> tuple[str, str]:
    """Return name and unit of a column such as "drive (V)"; clicks per second are hertz here."""
    found = _COLUMN.fullmatch(column)
    name, unit = (found[1], found[2] or "") if found else (column, "")
    return name, "Hz" if unit == "1/s" else unit


def series(columns: tuple[str, ...]) -> list[Series]:
    """Return the columns to draw against the first: those that have the unit of the last one that was measured. The others are in the table."""
    told = [named(column) for column in columns]
    measured = [at for at in range(1, len(told)) if not _is_sigma(told[at][0])]
    if not measured:
        return []
    unit = told[measured[-1]][1]
    after = {at: at + 1 if at + 1 < len(told) and _is_sigma(told[at + 1][0]) else None for at in measured}
    return [Series(_shown(told[at][0]), unit, at, after[at]) for at in measured if told[at][1] == unit]


def _is_sigma(name: str) -> bool:
    return name == "sigma" or name.endswith("_sigma")


def _shown(name: str) -> str:
    """Return a name as it is written: detectors are D1 and D2."""
    return name.upper() if re.fullmatch(r"d\d", name) else name


class Scan(QWidget):
    """The chart of a scan, and a list of what it found."""

    def __init__(self) -> None:
        super().__init__()
        self.chart = LiveChart("Scan", x="Setting", y="Value", ends_right=True)
        self.result = Facts("Result of the scan")
        self._below = scrolled(self.result)
        self._errors: dict[str, pg.ErrorBarItem] = {}
        self._now: ScanRows | None = None
        self._series: list[Series] = []
        self.chart.describe_by(self._told)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.chart)
        split.addWidget(self._below)
        split.setSizes([300, 120])
        split.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(split)
        self._below.hide()

    @guarded
    def show_scan(self, now: ScanRows) -> None:
        """Draw the rows that there are."""
        now = replace(now, rows=placed(now.rows))
        if self._now is None or (self._now.run, self._now.columns) != (now.run, now.columns):
            self._begin(now)
        self._now = now
        self.chart.set_source(now.source)
        for number, one in enumerate(self._series):
            x, y = without_returns(now.rows[:, 0], now.rows[:, one.at])
            self.chart.set_curve(one.name, x, y, series=number, points=len(now.rows) <= _MOST_SYMBOLS)
            if one.sigma is not None and len(now.rows):
                self._errors[one.name].setData(x=now.rows[:, 0], y=now.rows[:, one.at], height=2.0 * now.rows[:, one.sigma])
        self._fit(now)
        results = found(now.result) if now.over else []
        self._below.setVisible(bool(results))
        self.result.show_facts([(one.label, text(one)) for one in results])

    def forget(self, source: Source) -> None:
        """Take what is drawn away."""
        self._now, self._series = None, []
        self._errors.clear()
        self.chart.clear()
        self._below.hide()
        self.result.show_facts([])
        self.chart.blank(source)

    def _fit(self, now: ScanRows) -> None:
        """Show all points, and the names of the curves on the right."""
        x, y = now.rows[:, :1], now.rows[:, [one.at for one in self._series]]
        if not (np.isfinite(x).any() and np.isfinite(y).any()):
            return
        low, high, least, most = (float(one) for one in (np.nanmin(x), np.nanmax(x), np.nanmin(y), np.nanmax(y)))
        margin, room = 0.02 * (high - low) or 0.5, 0.06 * (most - least) or 0.02 * abs(most) or 0.5
        names = [one.name for one in self._series]
        self.chart.set_ranges(x=with_names(self.chart, low - margin, high + margin, names), y=(least - room, most + room))

    def _begin(self, now: ScanRows) -> None:
        """Take the axes of another scan."""
        self.chart.clear()
        self._errors.clear()
        self._series = series(now.columns)
        x, x_unit = named(now.columns[0]) if now.columns else ("Setting", "")
        unit = self._series[0].unit if self._series else ""
        label = "rate" if unit == "Hz" else ", ".join(one.name for one in self._series) or "value"
        self.chart.set_axes(x=x.capitalize(), x_unit=x_unit, y=label.capitalize(), y_unit=unit)
        for number, one in enumerate(self._series):
            if one.sigma is not None:
                self._errors[one.name] = pg.ErrorBarItem(pen=theme.current().series[number % 5])
                self.chart.plot.addItem(self._errors[one.name])

    def retheme(self) -> None:
        """Give the error bars the colours of the present theme."""
        for number, one in enumerate(self._series):
            if one.name in self._errors:
                self._errors[one.name].setOpts(pen=theme.current().series[number % 5])

    def _told(self) -> str:
        now = self._now
        if now is None or not len(now.rows) or not self._series:
            return "no data yet"
        x, unit = named(now.columns[0])
        last = "; ".join(f"{one.name} {words.quantity(float(now.rows[-1, one.at]), one.unit)}" for one in self._series)
        state = "over" if now.over else "going on"
        return f"{words.spoken(now.procedure)}, {len(now.rows)} points, {state}; last at {x} {words.quantity(float(now.rows[-1, 0]), unit)}: {last}"


def placed(rows: Floats) -> Floats:
    """Return the rows that have a place on the axis; what is infinite is a gap."""
    found: Floats = np.where(np.isfinite(rows), rows, np.nan)[np.isfinite(rows[:, :1]).all(axis=1)]
    return found


def without_returns(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return a curve with a gap wherever the setting goes back, so that passes are not joined."""
    steps = np.diff(x)
    back = np.flatnonzero(steps < 0.0) + 1
    if not back.size or (steps <= 0.0).all():
        return x, y
    return np.insert(x, back, np.nan), np.insert(y, back, np.nan)
