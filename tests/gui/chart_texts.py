"""What cannot be read on a chart: labels that are cut or lost their unit, numbers and names that lie on each other."""

from __future__ import annotations

from itertools import combinations

import pyqtgraph as pg
from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import QWidget

from heliograph.gui.plots import Chart

_MARGIN_PX = 4.0
"""Around the glyphs of a text item."""


def findings(root: QWidget) -> list[str]:
    """Return the findings for all charts that can be seen."""
    return [found for chart in root.findChildren(Chart) if chart.isVisible() for found in _of_chart(chart)]


def _of_chart(chart: Chart) -> list[str]:
    least = chart.minimumSize()
    small = [f"{chart.name}: {chart.width()}x{chart.height()} px"] if chart.width() < least.width() or chart.height() < least.height() else []
    return [*small, *_axes(chart), *_texts(chart)]


def _axes(chart: Chart) -> list[str]:
    view, found = QRectF(chart.view.viewport().rect()), []
    for side, (name, unit) in chart._labels.items():
        axis = chart.plot.getAxis(side)
        text, box = axis.label.toPlainText().strip(), axis.label.sceneBoundingRect()
        if not view.adjusted(-_MARGIN_PX, -_MARGIN_PX, _MARGIN_PX, _MARGIN_PX).contains(box):
            found.append(f"{chart.name}, {side}: {text!r} is cut")
        if (unit and not text.endswith(f"{unit})")) or (len(name) > 3 and not text[:2].isalpha()):
            found.append(f"{chart.name}, {side}: {text!r} for {name} in {unit!r}")
        canvas = QPixmap(1, 1)
        painter = QPainter(canvas)
        _, _, ticks = axis.generateDrawSpecs(painter)
        painter.end()
        rects = [rect for rect, _, _ in ticks]
        found += [f"{chart.name}, {side}: numbers overlap" for one, other in combinations(rects, 2) if one.intersects(other)][:1]
        found += [f"{chart.name}, {side}: {word!r} is cut" for rect, _, word in ticks if not axis.boundingRect().adjusted(-1, -1, 1, 1).contains(rect)]
    return found


def _texts(chart: Chart) -> list[str]:
    area = chart.plot.getViewBox().sceneBoundingRect().adjusted(-2, -2, 2, 2)
    shown = [one for one in chart.plot.getViewBox().allChildren() if isinstance(one, pg.TextItem) and one.isVisible()]
    boxes = [(one.toPlainText().strip(), one.textItem.sceneBoundingRect().adjusted(_MARGIN_PX, _MARGIN_PX, -_MARGIN_PX, -_MARGIN_PX)) for one in shown]
    cut = [f"{chart.name}: {text!r} is cut" for text, box in boxes if area.intersects(box) and not area.contains(box)]
    ends = [(name, curve.end.textItem.sceneBoundingRect()) for name, curve in chart._curves.items() if curve.end.isVisible()]
    ends += [(name, label.textItem.sceneBoundingRect()) for name, label in chart._drawn.region_names.items()]
    inner = [(name, box.adjusted(_MARGIN_PX, _MARGIN_PX, -_MARGIN_PX, -_MARGIN_PX)) for name, box in ends]
    return cut + [f"{chart.name}: {one} and {other} overlap" for (one, box), (other, below) in combinations(inner, 2) if box.intersects(below)]
