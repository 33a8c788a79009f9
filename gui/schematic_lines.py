"""Lines of the drawing of the optical path: rounded corners and arrow heads."""

from __future__ import annotations

from math import atan2, cos, hypot, sin

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath

from . import symbols


def rounded(points: list[QPointF], radius: float) -> QPainterPath:
    """Return a line through points with rounded corners."""
    path = QPainterPath(points[0])
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        into, out = _toward(corner, before, radius), _toward(corner, after, radius)
        path.lineTo(into)
        path.quadTo(corner, out)
    path.lineTo(points[-1])
    return path


def _toward(start: QPointF, end: QPointF, distance: float) -> QPointF:
    long = hypot(end.x() - start.x(), end.y() - start.y())
    share = min(0.5, distance / long) if long else 0.0
    return start + (end - start) * share


def tip(start: QPointF, end: QPointF, kind: str, unit: float) -> tuple[QPointF, float]:
    """Return where an arrow into a symbol ends, and its angle."""
    wide, high = symbols.half(kind)
    angle = atan2(end.y() - start.y(), end.x() - start.x())
    back = (wide if abs(cos(angle)) > abs(sin(angle)) else high) * unit
    return QPointF(end.x() - back * cos(angle), end.y() - back * sin(angle)), angle


def paint_arrow(painter: QPainter, tip: QPointF, angle: float, size: float, colour: QColor) -> None:
    """Draw an arrow head that ends at a point."""
    painter.save()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    back_points = [QPointF(tip.x() - size * cos(angle + turn), tip.y() - size * sin(angle + turn)) for turn in (0.4, -0.4)]
    painter.drawPolygon([tip, *back_points])
    painter.restore()
