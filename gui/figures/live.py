"""Charts of what is measured now: they say so when it is a replay, or old."""

from __future__ import annotations

from typing import Any

from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QApplication

from ...control.topics import Source
from ..plots import Chart
from ..theme import current

_MARGIN_PX = 4.0
"""Of a line of text."""


class LiveChart(Chart):
    """A chart that says above it that nothing came yet, that a run file is played (REPLAY), or that nothing new came (stale)."""

    def __init__(self, name: str, **axes: Any) -> None:
        self._source: Source = "live"
        self._empty = True
        super().__init__(name, **axes)
        self._entitle()

    def set_source(self, source: Source) -> None:
        """Say where the data come from."""
        if source != self._source:
            self._source = source
            self._entitle()

    def set_stale(self, stale: bool) -> None:
        """Grey the chart and say why."""
        if stale != self._stale:
            super().set_stale(stale)
            self._entitle()

    def blank(self, source: Source) -> None:
        """Say that there is nothing: not yet, or in the run that is replayed."""
        self._source, self._empty = source, True
        self._entitle()
        self._summed_at = float("-inf")
        self.tell()

    def retheme(self) -> None:
        """Take the colours and the text size of the present theme."""
        super().retheme()
        self._entitle()

    def clear(self) -> None:
        """Take everything away."""
        super().clear()
        self._empty = True
        self._entitle()

    def _summarise(self) -> None:
        if self._empty:
            self._empty = False
            self._entitle()
        super()._summarise()

    def _entitle(self) -> None:
        nothing = "no data" if self._source == "replay" else "no data yet"
        words = (["REPLAY"] if self._source == "replay" else []) + ([nothing] if self._empty else []) + (["stale"] if self._stale else [])
        colour = current().muted if self._stale else current().series[3]
        self.plot.setTitle(", ".join(words), color=colour, size=f"{QApplication.font().pointSizeF():g}pt")
        # The room is kept while there is nothing to say, so that the chart stays as it is.
        high = QFontMetricsF(QApplication.font()).height() + 2 * _MARGIN_PX
        self.plot.titleLabel.setMaximumHeight(high)
        self.plot.layout.setRowFixedHeight(0, high)

    def summary(self) -> str:
        """Return what the chart shows, and whether it is a replay."""
        told = super().summary()
        return f"replay, {told}" if self._source == "replay" else told
