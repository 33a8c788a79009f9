"""The drawing of the optical path, with live values at every element; each element is a control that can be reached and read without a mouse."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi

from PySide6.QtCore import QPointF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QScrollArea, QSizePolicy, QWidget

from ..control.topics import CountRates, Element, InstrumentState, StationState
from . import schematic_layout, schematic_text, theme, unread
from .guarded import guarded
from .schematic_element import LINES, ElementButton, Scale
from .schematic_layout import Drawing, Spot, Wire
from .schematic_lines import paint_arrow, rounded, tip
from .schematic_text import LIGHT, NO_LIGHT, UNKNOWN_LIGHT, told

_STRETCH = 1.5
_SIGNAL = "signal"
_LEGEND = (LIGHT, NO_LIGHT, UNKNOWN_LIGHT, _SIGNAL)
_WIDTHS = {LIGHT: 2.2}
_DASHES = {_SIGNAL: [5.0, 4.0], UNKNOWN_LIGHT: [1.0, 3.0]}


class Canvas(QWidget):
    """Fibres and signal lines, and the elements on them. It lays itself out for a width, and is as high as that takes."""

    chosen = Signal(object)
    focused = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.is_stale = False
        self.scale = Scale(self.font())
        self.drawing = Drawing({}, (), 0.0, 0.0)
        self.buttons: dict[str, ElementButton] = {}
        self._elements: dict[str, Element] = {}
        self._light: dict[str, str] = {}
        self._cell = (1.0, 1.0)
        self._room = 0
        self.setAccessibleName("Optical path")

    def show_elements(self, elements: Mapping[str, Element], instruments: Mapping[str, InstrumentState], counts: CountRates | None) -> None:
        """Show elements and what is so at each."""
        same = {n: (e.kind, e.feeds, e.driven_by) for n, e in elements.items()} == {n: (e.kind, e.feeds, e.driven_by) for n, e in self._elements.items()}
        self._elements = dict(elements)
        if not same:
            self._rebuild()
        light, old = schematic_text.light(elements), unread.unread(instruments.values())
        behind = unread.behind(elements, old)
        for name, element in elements.items():
            self.buttons[name].show_told(element, told(element, instruments, counts, light[name], old=old, behind=name in behind))
        if light != self._light:
            self._light = light
            self.update()

    def _rebuild(self) -> None:
        for button in self.buttons.values():
            button.hide()
            button.deleteLater()
        self.buttons = {name: ElementButton(element, self) for name, element in self._elements.items()}
        self.lay_out(self._room)

    def lay_out(self, room: int) -> None:
        """Arrange everything for a width in pixels."""
        self._room = room
        self.scale = Scale(self.font())
        if not self._elements:
            return
        one_row = schematic_layout.draw(self._elements.values(), 1e6)
        least = self.scale.cell_width(one_row.spots)
        self.drawing = schematic_layout.draw(self._elements.values(), room / least)
        wide = min(max(least, room / self.drawing.width), least * _STRETCH)
        self._cell = wide, float(self.scale.cell_height)
        legend = self.scale.line + 2 * self.scale.pad
        size = QSize(max(room, round(self.drawing.width * wide)), round(self.drawing.height * self.scale.cell_height) + legend)
        self.setFixedSize(size)
        previous: QWidget | None = None
        for name in self.drawing.spots:
            self._put(self.buttons[name], self.drawing.spots[name])
            if previous is not None:
                QWidget.setTabOrder(previous, self.buttons[name])
            previous = self.buttons[name]
        self.update()

    @property
    def _left(self) -> float:
        return max(0.0, (self.width() - self.drawing.width * self._cell[0]) / 2)

    def at(self, x: float, y: float) -> QPointF:
        """Return the pixel of a place in cells."""
        return QPointF(self._left + x * self._cell[0], y * self._cell[1])

    def _put(self, button: ElementButton, spot: Spot) -> None:
        scale, middle = self.scale, self.at(spot.x, spot.y)
        button.beside = spot.beside
        told_now = button.told.values if button.told is not None else ()
        if spot.beside:
            text = scale.text_width(spot.element, beside=True, told=told_now)
            symbol = scale.symbol_width(spot.element.kind)
            width, height = 2.2 * scale.pad + symbol + text, max(1.5 * scale.unit, LINES * scale.line) + scale.pad
            button.setGeometry(round(middle.x() - 0.6 * scale.pad - symbol / 2), round(middle.y() - height / 2), round(width), round(height))
        else:
            width, height = (
                min(self._cell[0] - 4, max(scale.text_width(spot.element, beside=False, told=told_now), 2 * scale.unit) + 3 * scale.pad),
                schematic_text.most_lines(spot.element) * scale.line + 2 * scale.pad + 1.5 * scale.unit,
            )
            button.setGeometry(round(middle.x() - width / 2), round(middle.y() + scale.pad + 0.75 * scale.unit - height), round(width), round(height))
        button.show()

    def go(self, start: ElementButton, right: int, down: int) -> None:
        """Put the focus on the nearest element in a direction."""
        here, found = self.drawing.spots[start.element.name], []
        for name, spot in self.drawing.spots.items():
            along = (spot.x - here.x) * right + (spot.y - here.y) * down
            across = abs((spot.x - here.x) * down) + abs((spot.y - here.y) * right)
            if along > 0.1 and across < 2.5 * along + 0.1:
                found.append((along + 2.0 * across, name))
        if found:
            self.buttons[min(found)[1]].setFocus(Qt.FocusReason.TabFocusReason)

    # Lines

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw fibres, signal lines and the key to them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        # Lit ones last: where lines cross, light runs over the dark.
        for wire in sorted(self.drawing.wires, key=lambda wire: self._carries(wire) == LIGHT):
            self._paint_wire(painter, wire)
        self._paint_legend(painter)
        painter.end()

    def _carries(self, wire: Wire) -> str:
        """Return what a line carries: a word of the legend."""
        shown = self.buttons[wire.source].told
        return _SIGNAL if wire.electrical else UNKNOWN_LIGHT if shown is None or self.is_stale else shown.light

    def _pen(self, carries: str) -> QPen:
        now, stroke = theme.current(), self.scale.stroke
        colour = {LIGHT: now.warning, _SIGNAL: now.series[2]}.get(carries, now.line)
        pen = QPen(QColor(now.line if self.is_stale else colour), stroke * _WIDTHS.get(carries, 0.9))
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        if carries in _DASHES:
            pen.setDashPattern(_DASHES[carries])
        return pen

    def _paint_wire(self, painter: QPainter, wire: Wire) -> None:
        pen = self._pen(self._carries(wire))
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        points = [self.at(x, y) for x, y in wire.points]
        painter.drawPath(rounded(points, self.scale.unit * 0.5))
        if wire.ring:
            self._paint_ring_arrows(painter, points, pen)
            return
        kinds = [self._elements[wire.source].kind, self._elements[wire.target].kind]
        paint_arrow(painter, *tip(points[-2], points[-1], kinds[1], self.scale.unit), self._arrow_size(pen), pen.color())
        if wire.both:
            paint_arrow(painter, *tip(points[1], points[0], kinds[0], self.scale.unit), self._arrow_size(pen), pen.color())

    def _arrow_size(self, pen: QPen) -> float:
        return max(self.scale.line * 0.42, pen.widthF() * 3.2)

    def _paint_ring_arrows(self, painter: QPainter, points: list[QPointF], pen: QPen) -> None:
        """Draw one arrow each way, for light runs both ways round: out along the upper port, out along the lower one."""
        size, out = self._arrow_size(pen), points[3].x() - points[0].x()
        side = 1 if points[1].x() > points[0].x() else -1
        middle = points[0].x() + out * 0.62
        for y in (points[0].y(), points[-1].y()):
            paint_arrow(painter, QPointF(middle + side * size / 2, y), 0.0 if side > 0 else pi, size, pen.color())

    def _paint_legend(self, painter: QPainter) -> None:
        scale, now = self.scale, theme.current()
        x, y = float(scale.pad), self.height() - scale.pad - scale.line / 2
        for word in _LEGEND:
            painter.setPen(self._pen(word))
            painter.drawLine(QPointF(x, y), QPointF(x + 2 * scale.line, y))
            x += 2 * scale.line + scale.pad
            painter.setPen(QColor(now.muted))
            painter.drawText(QPointF(x, y + scale.metrics.ascent() / 2 - 1), word)
            x += scale.metrics.horizontalAdvance(word) + 4 * scale.pad


class Schematic(QScrollArea):
    """The drawing in a view that scrolls where it does not fit.  chosen: an element's `Element`."""

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.canvas = Canvas()
        self.setWidget(self.canvas)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Drawing of the optical path")
        self.canvas.chosen.connect(self.chosen)
        self.canvas.focused.connect(lambda button: self.ensureWidgetVisible(button, 20, 20))

    @guarded
    def show_station(self, station: StationState, counts: CountRates | None = None) -> None:
        """Show a station as it is now.  counts: of the run that is on."""
        self.canvas.show_elements(schematic_layout.joined(station.elements), {one.name: one for one in station.instruments}, counts)

    def controls(self) -> list[QWidget]:
        """Return the elements along the light."""
        return [self.canvas.buttons[name] for name in self.canvas.drawing.spots]

    def focus_first(self) -> None:
        """Put the focus on the first element."""
        for button in self.controls()[:1]:
            button.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def set_stale(self, stale: bool) -> None:
        """Grey everything while it may be out of date."""
        if stale != self.canvas.is_stale:
            self.canvas.is_stale = stale
            self.retheme_all()

    def retheme(self) -> None:
        """Take colours and text size of another theme."""
        self.canvas.lay_out(self.viewport().width())
        self.retheme_all()

    def retheme_all(self) -> None:
        """Draw everything anew."""
        self.canvas.update()
        for button in self.canvas.buttons.values():
            button.update()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Lay the drawing out for the new width."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.canvas.lay_out(self.viewport().width())
