"""Symbols of the optical path: one small line drawing a kind, in a box of 2 by 1.5 units around the middle, on the line of the light."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, radians, sin

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QPainter, QPainterPath, QPen, QPolygonF

from .theme import Theme

_MIDDLE = QPointF(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Ink:
    """What a symbol is drawn with.  line: its strokes.  fill: what hides the fibre behind it.  light: of its beam.  letters: in it, for users."""

    line: QColor
    fill: QColor
    light: QColor
    width: float
    letters: str = ""
    variable: bool = False

    @classmethod
    def of(cls, theme: Theme, *, lit: bool, width: float, letters: str = "", variable: bool = False, muted: bool = False) -> Ink:
        """Return the ink of a theme."""
        line = QColor(theme.muted if muted else theme.text)
        return cls(line, QColor(theme.base), QColor(theme.warning if lit else theme.line), width, letters, variable)


def paint(painter: QPainter, kind: str, at: QPointF, unit: float, ink: Ink) -> None:
    """Draw the symbol of a kind with its middle at a point.  unit: pixels. A kind without a symbol of its own is a plain box."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(at)
    painter.scale(unit, unit)
    painter.setPen(QPen(ink.line, ink.width / unit, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    painter.setBrush(QBrush(ink.fill))
    _SYMBOLS.get(kind.lower(), _box)(painter, ink)
    painter.restore()


def half(kind: str) -> tuple[float, float]:
    """Return half the width and half the height of a kind's symbol, units; a line ends there."""
    return _HALVES.get(kind.lower(), (0.8, 0.5))


def _clear(painter: QPainter) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _thin(painter: QPainter, ink: Ink, colour: QColor | None = None, factor: float = 0.75) -> None:
    pen = painter.pen()
    pen.setWidthF(pen.widthF() * factor)
    pen.setColor(colour or ink.line)
    painter.setPen(pen)
    _clear(painter)


def _arrow(painter: QPainter, tip: QPointF, angle: float, size: float, colour: QColor) -> None:
    """Fill a small arrow head that points along an angle (rad, clockwise from the right)."""
    back = [QPointF(tip.x() - size * cos(angle + side), tip.y() - size * sin(angle + side)) for side in (0.42, -0.42)]
    painter.save()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawPolygon(QPolygonF([tip, *back]))
    painter.restore()


def _box(painter: QPainter, _ink: Ink) -> None:
    painter.drawRoundedRect(QRectF(-0.8, -0.5, 1.6, 1.0), 0.1, 0.1)


def _laser(painter: QPainter, ink: Ink) -> None:
    painter.drawRoundedRect(QRectF(-0.95, -0.5, 1.7, 1.0), 0.12, 0.12)
    painter.drawRect(QRectF(0.75, -0.18, 0.2, 0.36))
    _thin(painter, ink, ink.light, 1.2)
    # The sign of laser light: a beam out of a burst of rays.
    middle = QPointF(-0.3, 0.0)
    for k in range(8):
        angle = k * pi / 4
        long = 0.34 if k % 2 == 0 else 0.24
        painter.drawLine(QLineF(middle + QPointF(0.1 * cos(angle), 0.1 * sin(angle)), middle + QPointF(long * cos(angle), long * sin(angle))))
    painter.drawLine(QLineF(0.0, 0.0, 0.6, 0.0))


def _modulator(painter: QPainter, ink: Ink) -> None:
    painter.drawRect(QRectF(-0.95, -0.45, 1.9, 0.9))
    path = QPainterPath(QPointF(-0.95, 0.0))
    path.lineTo(-0.75, 0.0)
    path.cubicTo(-0.55, 0.0, -0.6, -0.17, -0.4, -0.17)
    path.lineTo(0.4, -0.17)
    path.cubicTo(0.6, -0.17, 0.55, 0.0, 0.75, 0.0)
    path.lineTo(0.95, 0.0)
    _thin(painter, ink, factor=0.8)
    painter.drawPath(path)
    painter.scale(1.0, -1.0)
    painter.drawPath(path)
    painter.scale(1.0, -1.0)
    painter.setBrush(ink.line)
    painter.drawRect(QRectF(-0.36, -0.36, 0.72, 0.07))
    painter.drawRect(QRectF(-0.36, 0.29, 0.72, 0.07))
    painter.drawRect(QRectF(-0.36, -0.035, 0.72, 0.07))


def _attenuator(painter: QPainter, ink: Ink) -> None:
    wedge = QPainterPath(QPointF(-0.7, 0.45))
    wedge.lineTo(0.7, 0.45)
    wedge.lineTo(0.7, -0.45)
    wedge.closeSubpath()
    painter.drawRect(QRectF(-0.7, -0.45, 1.4, 0.9))
    shade = QColor(ink.line)
    shade.setAlphaF(0.28)
    painter.fillPath(wedge, shade)
    if ink.variable:
        painter.drawLine(QLineF(-0.75, 0.66, 0.68, -0.6))
        _arrow(painter, QPointF(0.82, -0.72), -0.724, 0.3, ink.line)


def _tap(painter: QPainter, ink: Ink) -> None:
    painter.drawRoundedRect(QRectF(-0.6, -0.36, 1.2, 0.72), 0.1, 0.1)
    _thin(painter, ink, ink.light, 1.0)
    painter.drawLine(QLineF(-0.6, 0.0, 0.6, 0.0))
    path = QPainterPath(QPointF(-0.45, 0.0))
    path.cubicTo(-0.1, 0.02, 0.0, 0.05, 0.0, 0.36)
    painter.drawPath(path)


def _polarisation(painter: QPainter, _ink: Ink) -> None:
    for x in (-0.6, 0.0, 0.6):
        painter.drawEllipse(QPointF(x, -0.12), 0.24, 0.42)
        painter.drawLine(QLineF(x, 0.3, x, 0.5))


def _circulator(painter: QPainter, ink: Ink) -> None:
    painter.drawEllipse(_MIDDLE, 0.62, 0.62)
    _clear(painter)
    painter.drawArc(QRectF(-0.34, -0.34, 0.68, 0.68), 160 * 16, -250 * 16)
    end = radians(90)
    _arrow(painter, QPointF(0.34 * cos(end) - 0.2, 0.34 * sin(end)), pi, 0.26, ink.line)


def _splitter(painter: QPainter, ink: Ink) -> None:
    painter.drawRect(QRectF(-0.55, -0.55, 1.1, 1.1))
    painter.drawLine(QLineF(-0.55, -0.55, 0.55, 0.55))
    _thin(painter, ink)


def _loop(painter: QPainter, _ink: Ink) -> None:
    _clear(painter)
    for x in (-0.26, 0.0, 0.26):
        painter.drawEllipse(QPointF(x, -0.34), 0.34, 0.34)


def _letters(painter: QPainter, ink: Ink, size: float) -> None:
    font = QFont(painter.font())
    # Painted in units, where one is some twenty pixels: a font cannot be smaller than a pixel, so it is drawn large and scaled down.
    font.setPixelSize(100)
    font.setBold(True)
    painter.save()
    painter.setFont(font)
    painter.scale(size / 100, size / 100)
    painter.setPen(ink.line)
    painter.drawText(QRectF(-200, -100, 400, 200), Qt.AlignmentFlag.AlignCenter, ink.letters)
    painter.restore()


def _user(painter: QPainter, ink: Ink) -> None:
    painter.drawRoundedRect(QRectF(-0.62, -0.55, 1.24, 1.1), 0.26, 0.26)
    _letters(painter, ink, 0.72 if len(ink.letters) == 1 else 0.5)


def _detector(painter: QPainter, _ink: Ink) -> None:
    # Hangs below the fibre that ends in it, so its window is on top.
    path = QPainterPath(QPointF(-0.6, -0.4))
    path.lineTo(0.6, -0.4)
    path.lineTo(0.6, -0.12)
    path.cubicTo(0.6, 0.68, -0.6, 0.68, -0.6, -0.12)
    path.closeSubpath()
    painter.drawPath(path)
    painter.drawLine(QLineF(-0.6, -0.18, 0.6, -0.18))


def _meter(painter: QPainter, ink: Ink) -> None:
    painter.drawEllipse(_MIDDLE, 0.55, 0.55)
    _thin(painter, ink)
    painter.drawArc(QRectF(-0.36, -0.3, 0.72, 0.72), 30 * 16, 120 * 16)
    painter.drawLine(QLineF(0.0, 0.26, 0.26, -0.16))
    painter.setBrush(ink.line)
    painter.drawEllipse(QPointF(0.0, 0.26), 0.05, 0.05)


def _tagger(painter: QPainter, ink: Ink) -> None:
    painter.drawRoundedRect(QRectF(-0.85, -0.5, 1.7, 1.0), 0.1, 0.1)
    _thin(painter, ink, factor=0.9)
    level, steps = 0.22, ((-0.65, 0.22), (-0.45, -0.24), (-0.3, 0.22), (-0.02, -0.24), (0.13, 0.22), (0.33, -0.24), (0.48, 0.22), (0.65, 0.22))
    path = QPainterPath(QPointF(steps[0][0], level))
    for x, y in steps[1:]:
        path.lineTo(x, level)
        path.lineTo(x, y)
        level = y
    painter.drawPath(path)


def _generator(painter: QPainter, ink: Ink) -> None:
    painter.drawEllipse(_MIDDLE, 0.55, 0.55)
    path = QPainterPath(QPointF(-0.34, 0.0))
    path.cubicTo(-0.22, -0.42, -0.12, -0.42, 0.0, 0.0)
    path.cubicTo(0.12, 0.42, 0.22, 0.42, 0.34, 0.0)
    _thin(painter, ink)
    painter.drawPath(path)


_SYMBOLS: dict[str, Callable[[QPainter, Ink], None]] = {
    "laser": _laser, "modulator": _modulator, "attenuator": _attenuator, "tap": _tap, "polarisation": _polarisation, "circulator": _circulator,
    "splitter": _splitter, "loop": _loop, "user": _user, "detector": _detector, "meter": _meter, "tagger": _tagger, "generator": _generator,
    "source": _generator, "driver": _generator,
}  # fmt: skip
_HALVES: dict[str, tuple[float, float]] = {
    "laser": (0.95, 0.5), "modulator": (0.95, 0.45), "attenuator": (0.7, 0.45), "tap": (0.6, 0.36), "polarisation": (0.6, 0.5), "circulator": (0.62, 0.62),
    "splitter": (0.55, 0.55), "loop": (0.5, 0.05), "user": (0.62, 0.55), "detector": (0.6, 0.4), "meter": (0.55, 0.55), "tagger": (0.85, 0.5),
    "generator": (0.55, 0.55), "source": (0.55, 0.55), "driver": (0.55, 0.55),
}  # fmt: skip
