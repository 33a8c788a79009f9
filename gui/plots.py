"""Charts: axes with labels and units, curves told apart by colour, dash and end label, a text summary and a table of the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any
from weakref import WeakSet

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QKeySequence, QShortcut
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget
from shiboken6 import isValid

from . import theme, words
from .axis import Axis, spread
from .guarded import guarded

MOST_POINTS = 10_000
SUMMARY_S = 1.0
_LEAST_LETTERS, _LEAST_LINES = 23, 11
"""Least size of a chart in letters and lines of the present text."""
_MOST_OF_NAMES = 0.42
"""Share of a chart that the name of a curve may take."""
_LINE = 1.12
"""Heights of a text between two names that stand above each other."""
MOST_ROWS = 2_000
"""Of a data table."""


@dataclass(slots=True)
class _Curve:
    """One curve as it was given, and what draws it."""

    item: Any
    series: int
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    steps: bool = False
    end: Any = None


@dataclass(slots=True)
class _Drawn:
    """Everything else on a chart, by name."""

    bars: Any = None
    bar_values: dict[str, float] = field(default_factory=dict)
    image: Any = None
    limits: dict[str, tuple[Any, float, int]] = field(default_factory=dict)
    regions: dict[str, Any] = field(default_factory=dict)
    region_names: dict[str, Any] = field(default_factory=dict)
    region_series: dict[str, int] = field(default_factory=dict)


_COLUMNS, _LINES = 12, 7
"""Least size of a chart that can be read, in heights of a line of text."""


class Chart(QWidget):
    """One plot.

    name: accessible.  x, y: labels of the axes, with their units; with `si` an axis chooses the prefix of its unit itself.  plot: pyqtgraph's PlotItem.
    ends_right: curves have their names on the right of their last points instead of on the left; whoever sets the range leaves room for them.
    """

    def __init__(
        self,
        name: str,
        *,
        x: str,
        x_unit: str = "",
        y: str,
        y_unit: str = "",
        si: bool = True,
        log_y: bool = False,
        ends_right: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._ends_right = ends_right
        self.name = name
        self._labels = {"bottom": (x, x_unit), "left": (y, y_unit)}
        self._si, self._stale, self._log = si, False, log_y
        self._curves: dict[str, _Curve] = {}
        self._drawn = _Drawn()
        self._summed_at = -SUMMARY_S
        self._extra: Callable[[], str] | None = None
        self.view = pg.PlotWidget(self, axisItems={side: Axis(side) for side in ("bottom", "left")})
        self.plot = self.view.getPlotItem()
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.setLogMode(y=log_y)
        self.plot.showGrid(x=True, y=True, alpha=0.15)
        # Of three sets of grid lines the finest are hardly seen, and cost most of a painting.
        for side in ("bottom", "left"):
            self.plot.getAxis(side).setStyle(maxTickLevel=1)
        self.plot.getViewBox().setMouseEnabled(x=False, y=False)
        self.view.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.view.setAccessibleName(name)
        self.setFocusProxy(self.view)
        self.setAccessibleName(name)
        box = self.plot.getViewBox()
        box.sigResized.connect(self._place_ends)
        box.sigYRangeChanged.connect(self._place_ends)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)
        table = QShortcut(QKeySequence("Ctrl+T"), self, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
        table.activated.connect(self.show_table)
        _unsaid.add(self)
        # A subclass that has more to colour is not made yet.
        Chart.retheme(self)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return room for a small plot: Qt's view asks for as much as it has, and would never shrink again beside what flows."""
        line = self.fontMetrics().height()
        return QSize(_COLUMNS * line, _LINES * line)

    # What is drawn

    @guarded
    def set_curve(self, name: str, x: Any, y: Any, *, series: int | None = None, points: bool = False) -> None:
        """Draw a curve, or move it.  x, y: float (n,), NaN leaves a gap.  series: its colour and dash, counted from 0; without it the next free one."""
        self._put(name, np.asarray(x, np.float64), np.asarray(y, np.float64), series, steps=False, points=points)

    @guarded
    def set_steps(self, name: str, edges: Any, counts: Any, *, series: int | None = None) -> None:
        """Draw a histogram.  edges: float (n + 1,).  counts: (n,)."""
        self._put(name, np.asarray(edges, np.float64), np.asarray(counts, np.float64), series, steps=True, points=False)

    def _put(self, name: str, x: NDArray[np.float64], y: NDArray[np.float64], series: int | None, *, steps: bool, points: bool) -> None:
        x, y = x[-MOST_POINTS:], y[-MOST_POINTS:]
        curve = self._curves.get(name)
        if curve is None:
            taken = {one.series for one in self._curves.values()}
            number = series if series is not None else next(at for at in range(len(taken) + 1) if at not in taken)
            item = self.plot.plot(pen=theme.pen(number), stepMode="center" if steps else None, connect="finite")
            end = pg.TextItem(
                f" {name}" if self._ends_right else name, color=theme.current().series[number % 5], anchor=(0, 0.5) if self._ends_right else (1, 1)
            )
            self.plot.addItem(end, ignoreBounds=True)
            curve = self._curves[name] = _Curve(item, number, x, y, steps, end)
            self._dress(curve)
            if points:
                item.setSymbol(theme.SYMBOLS[number % 5])
                item.setSymbolSize(6)
                self._dress(curve)
        curve.x, curve.y = x, y
        # pyqtgraph cannot say how large a curve is that has no point at all.
        curve.item.setData(*((x, y) if np.isfinite(y).any() else ([], [])), stepMode="center" if steps and np.isfinite(y).any() else None)
        self._place_ends()
        self._summarise()

    def drop_curves(self, keep: Sequence[str] = ()) -> None:
        """Take curves away."""
        for name in [one for one in self._curves if one not in keep]:
            curve = self._curves.pop(name)
            self.plot.removeItem(curve.item)
            self.plot.removeItem(curve.end)

    @guarded
    def set_bars(self, values: dict[str, float], *, series: int = 0) -> None:
        """Draw one bar for each name; a value that is NaN has none."""
        heights = np.array([0.0 if not np.isfinite(one) else one for one in values.values()])
        if list(values) != list(self._drawn.bar_values) or self._drawn.bars is None:
            if self._drawn.bars is not None:
                self.plot.removeItem(self._drawn.bars)
            colour = theme.current().series[series]
            self._drawn.bars = pg.BarGraphItem(x=np.arange(len(values)), height=heights, width=0.6, brush=colour, pen=colour)
            self.plot.addItem(self._drawn.bars)
            self.plot.getAxis("bottom").setTicks([list(enumerate(values))])
            self.plot.setXRange(-0.6, len(values) - 0.4, padding=0)
        else:
            self._drawn.bars.setOpts(height=heights)
        self._drawn.bar_values = dict(values)
        self._summarise()

    @guarded
    def set_image(self, image: Any, *, x: tuple[float, float], y: tuple[float, float], levels: tuple[float, float] | None = None) -> None:
        """Draw a density, or a matrix.  image: (columns, rows), first index along x.  x, y: where it lies.  levels: values of the ends of the colours."""
        if self._drawn.image is None:
            self._drawn.image = pg.ImageItem(axisOrder="col-major")
            self._drawn.image.setLookupTable(_ramp(theme.current().series[0]))
            self.plot.addItem(self._drawn.image)
        self._drawn.image.setImage(np.asarray(image), autoLevels=levels is None, **({} if levels is None else {"levels": levels}))
        self._drawn.image.setRect(QRectF(x[0], y[0], x[1] - x[0], y[1] - y[0]))
        self._summarise()

    @guarded
    def set_limit_line(self, name: str, value: float, text: str = "", *, series: int = 1, vertical: bool = False) -> None:
        """Draw a limit across the chart with its label; NaN takes it away."""
        known = self._drawn.limits.get(name)
        if known is not None and (known[1] == value or not np.isfinite(value)):
            if not np.isfinite(value):
                self.plot.removeItem(known[0])
                del self._drawn.limits[name]
            return
        if not np.isfinite(value):
            return
        if known is None:
            place = {"position": 0.04, "anchors": [(0, 1), (0, 0)], "color": theme.current().series[series]}
            line = pg.InfiniteLine(angle=90 if vertical else 0, pen=theme.pen(series), label=text or name, labelOpts=place)
            self.plot.addItem(line)
        else:
            line = known[0]
        line.setValue(np.log10(value) if self._log and not vertical and value > 0 else value)
        self._drawn.limits[name] = (line, value, series)

    @guarded
    def set_region(self, name: str, low: float, high: float, moved: Callable[[float, float], None] | None = None, *, series: int = 2) -> None:
        """Draw a stretch of the x axis.  moved: called with its new ends when the operator has dragged them; without it they are fixed."""
        region = self._drawn.regions.get(name)
        if region is None:
            region = pg.LinearRegionItem((low, high), movable=moved is not None)
            region.setZValue(-5)
            label = pg.InfLineLabel(region.lines[0], name, position=1.0, anchors=[(0, 0), (0, 0)])
            if moved is not None:
                region.sigRegionChangeFinished.connect(lambda one: moved(*(float(end) for end in one.getRegion())))
            self.plot.addItem(region, ignoreBounds=True)
            self._drawn.regions[name], self._drawn.region_names[name], self._drawn.region_series[name] = region, label, series
            self._dress_region(name)
            self._place_ends()
        elif not any(line.moving for line in region.lines) and not region.moving:
            region.blockSignals(True)
            region.setRegion((low, high))
            region.blockSignals(False)

    def set_ranges(self, *, x: tuple[float, float] | None = None, y: tuple[float, float] | None = None) -> None:
        """Fix the ranges of the axes; None leaves one as it is."""
        if x is not None:
            self.plot.setXRange(*x, padding=0)
        if y is not None:
            self.plot.setYRange(*y, padding=0)
            self._place_ends()

    def clear(self) -> None:
        """Take everything away."""
        self.drop_curves()
        self.plot.clear()
        self._drawn = _Drawn()
        self.plot.getAxis("bottom").setTicks(None)

    def _place_ends(self, *_box: object) -> None:
        """Put each curve's label at its last point, one above the other where they would overlap, and none outside of the chart."""
        (low, high), room = self.plot.getViewBox().viewRange()[1], max(1.0, float(self.plot.getViewBox().height()))
        metrics = QFontMetricsF(QApplication.font())
        apart = _LINE * metrics.height() * (high - low) / room
        ends = []
        for name, curve in self._curves.items():
            x, y = _last(curve)
            text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, _MOST_OF_NAMES * self.plot.getViewBox().width())
            text = f" {text}" if self._ends_right else text
            if text != curve.end.toPlainText():
                curve.end.setText(text)
            curve.end.setVisible(bool(np.isfinite(y)))
            if np.isfinite(y):
                ends.append((float(np.log10(y)) if self._log and y > 0 else y, x, curve))
        ends.sort(key=lambda one: one[0])
        below, above = (0.5, 0.5) if self._ends_right else (0.0, 1.0)
        places = spread([one[0] for one in ends], low + below * apart, high - above * apart, apart)
        for (_, x, curve), at in zip(ends, places, strict=True):
            curve.end.setPos(x, at)
        for row, label in enumerate(self._drawn.region_names.values()):
            label.setPosition(max(0.0, 1.0 - row * apart / (high - low)))

    # How it looks

    def set_axes(self, *, x: str, x_unit: str = "", y: str, y_unit: str = "") -> None:
        """Give the axes other labels and units."""
        labels = {"bottom": (x, x_unit), "left": (y, y_unit)}
        if labels != self._labels:
            self._labels = labels
            self.retheme()

    def retheme(self) -> None:
        """Take the colours and the text size of the present theme."""
        now, font = theme.current(), QApplication.font()
        metrics = QFontMetricsF(font)
        # Where a panel is smaller it scrolls.
        self.setMinimumSize(round(_LEAST_LETTERS * metrics.averageCharWidth()), round(_LEAST_LINES * metrics.height()))
        self.view.setBackground(now.ground)
        for side, (label, unit) in self._labels.items():
            axis = self.plot.getAxis(side)
            axis.setPen(now.line)
            axis.setTextPen(now.muted if self._stale else now.text)
            axis.setStyle(tickFont=font)
            style = {"color": now.text, "font-size": f"{font.pointSizeF():g}pt"}
            if self._si and unit:
                axis.setLabel(escape(label), units=escape(unit), **style)
                axis.enableAutoSIPrefix(True)
            else:
                # Without this pyqtgraph multiplies values below 1 by a thousand, though its prefixes are switched off.
                axis.setLabel(escape(f"{label} ({unit})" if unit else label), siPrefixEnableRanges=(), **style)
                axis.enableAutoSIPrefix(False)
        for curve in self._curves.values():
            self._dress(curve)
        for line, _, series in self._drawn.limits.values():
            line.setPen(theme.pen(series))
            line.label.setColor(now.series[series])
            line.label.setFont(font)
        for name in self._drawn.regions:
            self._dress_region(name)
        if self._drawn.image is not None:
            self._drawn.image.setLookupTable(_ramp(now.muted if self._stale else now.series[0]))
        if self._drawn.bars is not None:
            colour = now.muted if self._stale else now.series[0]
            self._drawn.bars.setOpts(brush=colour, pen=colour)

    def _dress(self, curve: _Curve) -> None:
        now, pen = theme.current(), theme.pen(curve.series)
        colour = now.muted if self._stale else now.series[curve.series % 5]
        pen.setColor(QColor(colour))
        curve.item.setPen(pen)
        if curve.item.opts.get("symbol") is not None:
            curve.item.setSymbolPen(colour)
            curve.item.setSymbolBrush(now.ground)
        curve.end.setColor(QColor(colour))
        curve.end.setFont(QApplication.font())

    def _dress_region(self, name: str) -> None:
        region, label, series = self._drawn.regions[name], self._drawn.region_names[name], self._drawn.region_series[name]
        now, pen = theme.current(), theme.pen(series)
        colour = now.muted if self._stale else now.series[series % 5]
        pen.setColor(QColor(colour))
        for act, alpha in ((region.setBrush, 40), (region.setHoverBrush, 80)):
            filled = QColor(colour)
            filled.setAlpha(alpha)
            act(filled)
        for line in region.lines:
            line.setPen(pen)
        label.setColor(colour)
        label.setFont(QApplication.font())

    def set_stale(self, stale: bool) -> None:
        """Grey the chart while it may be out of date; the last frame stays."""
        if stale != self._stale:
            self._stale = stale
            self.retheme()
            self._summed_at = -SUMMARY_S
            self._summarise()

    # What is read out

    def describe_by(self, told: Callable[[], str]) -> None:
        """Let the page say what the chart shows, instead of the last value and the range of each curve."""
        self._extra = told

    def _summarise(self) -> None:
        self.tell()

    def tell(self) -> None:
        """Say what the chart shows, once a second at most; what comes sooner is told by `tell_untold`."""
        now = time.monotonic()
        if now - self._summed_at < SUMMARY_S:
            _untold.add(self)
            return
        self._summed_at = now
        self._say()

    def _say(self) -> None:
        text = self.summary()
        self.view.setAccessibleDescription(text)
        self.setAccessibleDescription(text)

    def summary(self) -> str:
        """Return what the chart shows: "QBER X 1.20 %, range 0.900 to 1.60 %"."""
        stale = ", stale" if self._stale else ""
        if self._extra is not None:
            return self._extra() + stale
        unit = self._labels["left"][1]
        parts = [f"{name} {words.quantity(value, unit)}" for name, value in self._drawn.bar_values.items()]
        for name, curve in self._curves.items():
            finite = curve.y[np.isfinite(curve.y)]
            if finite.size:
                low, high = words.quantity(float(finite.min()), unit), words.quantity(float(finite.max()), unit)
                parts.append(f"{name} {words.quantity(float(finite[-1]), unit)}, range {low} to {high}")
        parts += [f"limit {name} {words.quantity(value, unit)}" for name, (_, value, _) in self._drawn.limits.items()]
        return ("; ".join(parts) or "no data yet") + stale

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return titles and rows of the data that are drawn."""
        (x, x_unit), (y, y_unit) = self._labels["bottom"], self._labels["left"]
        if self._drawn.bar_values:
            return [x, _title(y, y_unit)], [[name, words.quantity(value, y_unit)] for name, value in self._drawn.bar_values.items()]
        if not self._curves:
            return [_title(x, x_unit), _title(y, y_unit)], []
        titles, rows = ["curve", _title(x, x_unit), _title(y, y_unit)], []
        for name, curve in self._curves.items():
            pairs = list(zip(curve.x.tolist(), curve.y.tolist(), strict=False))[-MOST_ROWS:]
            rows += [[name, f"{at:.6g}", "-" if value != value else f"{value:.6g}"] for at, value in pairs]  # noqa: PLR0124
        return titles, rows

    def show_table(self) -> QWidget:
        """Open a window with the data as a table."""
        from .tables import Table

        titles, rows = self.table()
        window = QWidget(self, Qt.WindowType.Window)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.setWindowTitle(" - ".join(filter(None, (f"Data of {self.name}", self.window().windowTitle()))))
        table = Table(f"Data of {self.name}", titles)
        table.retheme()
        table.set_rows(rows)
        QVBoxLayout(window).addWidget(table)
        QShortcut(QKeySequence("Ctrl+W"), window).activated.connect(window.close)
        window.resize(480, 420)
        window.show()
        table.setFocus()
        return window


_untold: WeakSet[Chart] = WeakSet()
"""Charts of which the last change was not told, for they had told one less than a second before."""
_unsaid: WeakSet[Chart] = WeakSet()
"""Charts that are new, and say so as soon as they are whole; this does not keep their first data waiting."""


def tell_untold() -> None:
    """Let each chart say what it shows, whose last change came less than a second after the one before; the tick asks for it."""
    while _unsaid:
        chart = _unsaid.pop()
        if isValid(chart) and not chart.view.accessibleDescription():
            chart._say()  # noqa: SLF001
    for chart in list(_untold):
        _untold.discard(chart)
        if isValid(chart):
            chart.tell()


def _title(label: str, unit: str) -> str:
    return f"{label} ({unit})" if unit else label


def _last(curve: _Curve) -> tuple[float, float]:
    good = np.flatnonzero(np.isfinite(curve.y))
    return (float(curve.x[min(good[-1], len(curve.x) - 1)]), float(curve.y[good[-1]])) if good.size else (0.0, float("nan"))


def _ramp(middle: str) -> NDArray[np.uint8]:
    """Return 256 colours from the ground of the theme to its text by way of one in between: brightness runs one way, for every kind of eye."""
    now = theme.current()
    stops = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (now.ground, middle, now.text)], float)
    where = np.linspace(0, 2, 256)
    return np.stack([np.interp(where, [0, 1, 2], stops[:, at]) for at in range(3)], axis=1).astype(np.uint8)
