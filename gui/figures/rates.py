"""Count rates: a bar for each channel between its dark counts and its limit, and the last ten minutes."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtGui import QColor, QFontMetricsF
from PySide6.QtWidgets import QApplication, QCheckBox, QVBoxLayout, QWidget

from ...control.topics import CountRates, Source
from .. import theme, words
from ..guarded import guarded
from .history import STRIP_S, History
from .live import LiveChart
from .room import with_labels

_FLOOR_HZ = 10.0
"""Where bars begin: their axis is logarithmic."""
_HALF_WIDTH, _HALF_MARK = 0.22, 0.42
_FAR = 20.0
"""Times the rate: a limit beyond that would flatten the strip, and is left to the bars."""


class RateBars(LiveChart):
    """A bar for each channel, with a mark at its dark counts and one at its limit, on a logarithmic axis."""

    def __init__(self) -> None:
        self._shown: CountRates | None = None
        self._bars = pg.BarGraphItem(x0=[], x1=[], y0=[], y1=[])
        self._dark, self._limit = pg.PlotDataItem(connect="pairs"), pg.PlotDataItem(connect="pairs")
        super().__init__("Count rates", x="Channel", y="Rate", y_unit="Hz", log_y=True, si=False)
        self._labels_of_marks = {name: pg.TextItem(name, anchor=(0.5, 1)) for name in ("dark", "limit")}
        self.plot.getAxis("left").setTicks([[(at, words.scaled(10.0**at, "", 1).strip()) for at in range(1, 12)]])
        for item in (self._bars, self._dark, self._limit):
            self.plot.addItem(item)
        for label in self._labels_of_marks.values():
            self.plot.addItem(label, ignoreBounds=True)
        self.retheme()
        self.describe_by(self._told)

    @guarded
    def show_rates(self, now: CountRates) -> None:
        """Draw the rates of now."""
        if self._shown is None or self._shown.names != now.names:
            self.plot.getAxis("bottom").setTicks([list(enumerate(now.names))])
            self.plot.setXRange(-0.6, len(now.names) - 0.4, padding=0)
        self._shown = now
        places, low = np.arange(len(now.names)), np.log10(_FLOOR_HZ)
        tops = np.maximum(np.log10(np.maximum(np.nan_to_num(now.rates_hz), _FLOOR_HZ)), low)
        self._bars.setOpts(x0=places - _HALF_WIDTH, x1=places + _HALF_WIDTH, y0=np.full(places.size, low), y1=tops)
        for name, item, heights in (("dark", self._dark, now.dark_hz), ("limit", self._limit, now.limit_hz)):
            known = _marks(item, heights)
            self._labels_of_marks[name].setVisible(known.size > 0)
            if known.size:
                self._labels_of_marks[name].setPos(known.size / 2.0 - 0.5, float(np.log10(known.max())))
        highest = np.nanmax(np.concatenate([now.rates_hz, now.limit_hz, [1e3]]))
        self.set_ranges(y=with_labels(self, low, float(np.log10(highest))))
        self._summarise()

    def forget(self, source: Source) -> None:
        """Take what is drawn away."""
        self._shown = None
        self._bars.setOpts(x0=[], x1=[], y0=[], y1=[])
        for name, item in (("dark", self._dark), ("limit", self._limit)):
            item.setData([], [])
            self._labels_of_marks[name].hide()
        self.blank(source)

    def retheme(self) -> None:
        """Take the colours and the text size of the present theme."""
        super().retheme()
        now = theme.current()
        bar = QColor(now.muted if self._stale else now.series[0])
        self._bars.setOpts(brush=bar, pen=bar)
        for name, item, series in (("dark", self._dark, 2), ("limit", self._limit, 1)):
            item.setPen(theme.pen(series))
            self._labels_of_marks[name].setColor(now.series[series])
            self._labels_of_marks[name].setFont(QApplication.font())
            self._labels_of_marks[name].fill = pg.mkBrush(now.ground)

    def _told(self) -> str:
        return "; ".join(" ".join(cells) for cells in _rows(self._shown)) if self._shown else "no data yet"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return a row for each channel."""
        return ["channel", "rate", "dark counts", "limit"], _rows(self._shown) if self._shown else []


def _marks(item: pg.PlotDataItem, heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw a short line across each bar whose mark is known; returns where these lie."""
    known = np.flatnonzero(np.isfinite(heights) & (heights > 0.0))
    x = np.stack([known - _HALF_MARK, known + _HALF_MARK], axis=1).reshape(-1)
    item.setData(x, np.repeat(heights[known], 2))
    return heights[known]


def _rows(now: CountRates) -> list[list[str]]:
    """Return name, rate, dark counts and limit of each channel in words."""
    columns = zip(now.names, now.rates_hz.tolist(), now.dark_hz.tolist(), now.limit_hz.tolist(), strict=True)
    return [[name, words.scaled(rate, "Hz"), f"dark {words.scaled(dark, 'Hz')}", f"limit {words.scaled(limit, 'Hz')}"] for name, rate, dark, limit in columns]


class RateStrip(QWidget):
    """The rates of the last ten minutes, with a line at the lowest limit and at the highest dark counts, or zoomed to the rates alone."""

    def __init__(self) -> None:
        super().__init__()
        self.chart = LiveChart("Count rates, 10 minutes", x="Time before the last reading", x_unit="s", y="Rate", y_unit="Hz")
        self.chart.describe_by(self._told)
        self.zoom = QCheckBox("&Zoom to the rates")
        self.zoom.setAccessibleName("Zoom to the rates")
        self.zoom.setAccessibleDescription("Leaves the limit and zero out of the range of the strip.")
        self.zoom.toggled.connect(lambda _: self._set_range())
        self._history: History | None = None
        self._now: CountRates | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.chart, 1)
        layout.addWidget(self.zoom)
        self.retheme()

    def retheme(self) -> None:
        """Take another text size."""
        self.zoom.setMinimumHeight(max(24, round(QFontMetricsF(QApplication.font()).height()) + 4))

    @guarded
    def show_history(self, history: History, now: CountRates) -> None:
        """Draw what was kept, up to now."""
        if self._now is None or now.names != self._now.names:
            self.chart.drop_curves()
        self._history, self._now = history, now
        self.chart.set_source(now.source)
        t, rates = history.curves()
        for at, name in enumerate(now.names):
            self.chart.set_curve(name, t, rates[:, at], series=at)
        self.chart.set_limit_line("limit", _known(now.limit_hz).min(initial=np.inf), "limit", series=1)
        self.chart.set_limit_line("dark", _known(now.dark_hz).max(initial=0.0), "dark counts", series=2)
        self._set_range()

    def forget(self, source: Source) -> None:
        """Take what is drawn away."""
        self._history = self._now = None
        self.chart.drop_curves()
        for name in ("limit", "dark"):
            self.chart.set_limit_line(name, float("nan"))
        self.chart.blank(source)

    def _set_range(self) -> None:
        """Show zero and, unless the rates are far below it, the limit; or the rates alone."""
        if self._history is None or self._now is None:
            return
        both = [one for at in range(len(self._now.names)) if (one := self._history.range_of(at, STRIP_S)) is not None]
        low, high = (min(one[0] for one in both), max(one[1] for one in both)) if both else (0.0, 1.0)
        limit = _known(self._now.limit_hz).min(initial=np.inf)
        if self.zoom.isChecked():
            room = max(0.1 * (high - low), 0.005 * high, 1.0)
            low, high = low - room, high + room
        else:
            low, high = with_labels(self.chart, 0.0, limit if limit < _FAR * high else max(1.2 * high, 1.0))
        self.chart.set_ranges(x=(-max(10.0, self._history.seconds()), 0.0), y=(low, high))

    def _told(self) -> str:
        if self._history is None or self._now is None:
            return "no data yet"
        now, parts = self._now, []
        if now.low_hz is not None and now.high_hz is not None:
            for name, *rates in zip(now.names, now.rates_hz.tolist(), now.low_hz.tolist(), now.high_hz.tolist(), strict=True):
                last, low, high = (words.scaled(one, "Hz") for one in rates)
                parts.append(f"{name} {last}, 60 s range {low} to {high}")
        return "; ".join(parts) or "no data yet"


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]
