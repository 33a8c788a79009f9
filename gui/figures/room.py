"""Room on charts for texts whose size follows the operator's wish: names of curves on the right, labels at the top, numbers below."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from PySide6.QtCore import QObject
from PySide6.QtGui import QFontMetricsF
from PySide6.QtWidgets import QApplication

from ..desk import Desk
from ..plots import Chart

_MOST = 0.5
"""Share of a chart that texts may take, however small it is."""
_MARGINS_PX = 8.0
"""Of a text on a chart."""
_DATA = 0.6
"""Share of a chart that the numbers below it may count on."""


def _metrics() -> QFontMetricsF:
    return QFontMetricsF(QApplication.font())


def with_names(chart: Chart, low: float, high: float, names: Iterable[str]) -> tuple[float, float]:
    """Return the range of the x axis that shows all from low to high, and the names of the curves on the right."""
    wide = max((_metrics().horizontalAdvance(f"  {name} ") for name in names), default=0.0)
    return low, high + _room(wide + _MARGINS_PX, chart.plot.getViewBox().width()) * (high - low)


def with_labels(chart: Chart, low: float, high: float, lines: float = 1.3) -> tuple[float, float]:
    """Return the range of the y axis that shows all from low to high, and so many lines of text above."""
    return low, high + _room(lines * _metrics().height() + _MARGINS_PX, chart.plot.getViewBox().height()) * (high - low)


def _room(text: float, whole: float) -> float:
    """Return the room for a text as a share of what is shown besides."""
    share = min(_MOST, text / max(whole, 1.0))
    return share / (1.0 - share)


def whole_ticks(chart: Chart, first: int, last: int) -> None:
    """Mark whole numbers on the x axis, as many as have room, the last one among them."""
    fit = max(1, int(_DATA * chart.plot.getViewBox().width() / _metrics().horizontalAdvance(f"{last}  ")))
    stride = next(step for step in _strides() if (last - first) / step < fit)
    ticks = [at for at in range(first, last + 1) if at % stride == 0] or [last]
    chart.plot.getAxis("bottom").setTicks([[(at, str(at)) for at in ticks]])


def _strides() -> Iterable[int]:
    scale = 1
    while True:
        yield from (scale, 2 * scale, 5 * scale)
        scale *= 10


class Refit(QObject):
    """Draws again when a chart has another size, or the text: room for texts is a share of both.

    page: whose charts these are, with which it ends.  again: draws what there is.
    """

    def __init__(self, page: QObject, desk: Desk, charts: Sequence[Chart], again: Callable[[], None]) -> None:
        super().__init__(page)
        self._charts, self._again = charts, again
        self._before: list[object] = []
        desk.ticked.connect(self._look)

    def _look(self) -> None:
        boxes = [chart.plot.getViewBox() for chart in self._charts if chart.isVisible()]
        now: list[object] = [*((round(box.width()), round(box.height())) for box in boxes), _metrics().height()]
        if boxes and now != self._before:
            self._before = now
            self._again()
