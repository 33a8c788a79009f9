"""Slots in which two channels clicked: an image on a logarithmic scale, and the numbers."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from ...control.topics import Coincidences as Payload
from ...control.topics import Source
from .. import words
from ..guarded import guarded
from ..tables import Column, Table
from .live import LiveChart


class CoincidenceMatrix(QWidget):
    """The matrix of two channels each, singles on its diagonal."""

    def __init__(self) -> None:
        super().__init__()
        self.chart = LiveChart("Coincidences", x="Channel", y="Channel")
        self.chart.describe_by(self._told)
        self.chart.plot.showGrid(x=False, y=False)
        self.table = Table("Coincidences in numbers", ["channels", Column("slots", number=True), Column("rate", number=True)])
        self._now: Payload | None = None
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.chart)
        split.addWidget(self.table)
        split.setSizes([300, 200])
        split.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(split)

    @guarded
    def show_coincidences(self, now: Payload) -> None:
        """Draw the matrix."""
        n = len(now.names)
        if self._now is None or self._now.names != now.names:
            for side in ("bottom", "left"):
                self.chart.plot.getAxis(side).setTicks([list(enumerate(now.names))])
            self.chart.set_ranges(x=(-0.5, n - 0.5), y=(-0.5, n - 0.5))
        self._now = now
        self.chart.set_source(now.source)
        self.chart.set_image(np.log10(1.0 + now.counts.astype(np.float64)), x=(-0.5, n - 0.5), y=(-0.5, n - 0.5), levels=(0.0, 7.0))
        self.table.set_rows(self._rows())

    def forget(self, source: Source) -> None:
        """Take what is drawn away."""
        self._now = None
        self.chart.clear()
        self.table.set_rows([])
        self.chart.blank(source)

    def _rows(self) -> list[list[str]]:
        now = self._now
        if now is None:
            return []
        pairs = [(first, second) for first in range(len(now.names)) for second in range(first, len(now.names))]
        pairs.sort(key=lambda pair: pair[0] == pair[1])
        return [[self._label(*pair), words.count(float(now.counts[pair])), self._rate(*pair)] for pair in pairs]

    def _label(self, first: int, second: int) -> str:
        names = self._now.names if self._now is not None else ()
        return f"{names[first]}, all" if first == second else f"{names[first]} and {names[second]}"

    def _rate(self, first: int, second: int) -> str:
        now = self._now
        return words.scaled(float(now.counts[first, second]) / now.duration_s, "Hz") if now is not None and now.duration_s > 0.0 else words.UNKNOWN

    def _told(self) -> str:
        return "; ".join(f"{label} {slots}, {rate}" for label, slots, rate in self._rows()) or "no data yet"
