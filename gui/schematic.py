"""The drawing of the optical path, with live values at every element; each element is a control that can be reached and read without a mouse."""

from __future__ import annotations

from collections.abc import Mapping
from math import atan2, cos, hypot, pi, sin

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QFont, QFontMetrics, QKeyEvent, QPainter, QPainterPath, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QScrollArea, QSizePolicy, QWidget

from ..control.topics import CountRates, Element, InstrumentState, StationState
from . import schematic_layout, schematic_text, symbols, theme, words
from .badges import draw_shape
from .guarded import guarded
from .schematic_layout import Drawing, Spot, Wire
from .schematic_text import LIGHT, NO_LIGHT, UNKNOWN_LIGHT, Told, told

_WIDEST = ("-99.9 dBm", "loss 60.0 dB", "999 kHz")
_WIDEST_BESIDE = ("-99.9 dBm", "999 kHz", "18.0 µA")
_WIDEST_TAGGER = ("99.9 Mtag/s", "9999 gaps")
_LINES = 4
_STRETCH = 1.5
_ARROWS = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1)}
_SIGNAL = "signal"
_LEGEND = (LIGHT, NO_LIGHT, UNKNOWN_LIGHT, _SIGNAL)
_WIDTHS = {LIGHT: 2.2}
_DASHES = {_SIGNAL: [5.0, 4.0], UNKNOWN_LIGHT: [1.0, 3.0]}


class Scale:
    """Sizes of the drawing in pixels, from the size of its text."""

    def __init__(self, font: QFont) -> None:
        self.font, self.bold = font, QFont(font)
        self.bold.setBold(True)
        self.metrics, self.bold_metrics = QFontMetrics(font), QFontMetrics(self.bold)
        self.line = self.metrics.height()
        self.unit = 1.4 * self.line
        self.stroke = max(1.4, self.line / 12)
        self.pad = round(self.line * 0.35)
        self.text_height = _LINES * self.line
        self.cell_height = self.text_height + round(1.6 * self.unit) + 3 * self.pad

    def cell_width(self, spots: Mapping[str, Spot]) -> float:
        """Return the least pitch at which no text is cut."""
        above = max((self._widest(spot.element, _WIDEST) for spot in spots.values() if not spot.beside), default=0)
        hung = [spot.element for spot in spots.values() if spot.beside]
        beside = max((self.symbol_width(one.kind) + self._widest(one, _WIDEST_BESIDE) for one in hung if one.kind != "tagger"), default=0.0)
        return max(above + 2 * self.pad, beside + 2.2 * self.pad, 2.6 * self.unit)

    def symbol_width(self, kind: str) -> float:
        """Return the width of a kind's symbol."""
        return 2 * symbols.half(kind)[0] * self.unit

    def _widest(self, element: Element, values: tuple[str, ...]) -> int:
        marked = self.metrics.horizontalAdvance("arming") + self.line
        return max(marked, self.bold_metrics.horizontalAdvance(schematic_text.label(element)), *map(self.metrics.horizontalAdvance, values))


class ElementButton(QAbstractButton):
    """One element: symbol, name, state and live values. Enter, Space or a click chooses it; arrow keys go to the next one in their direction."""

    def __init__(self, element: Element, canvas: Canvas) -> None:
        super().__init__(canvas)
        self.element, self.canvas = element, canvas
        self.told: Told | None = None
        self.beside = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(schematic_text.title(element))
        self.clicked.connect(lambda: canvas.chosen.emit(self.element))

    def show_told(self, element: Element, now: Told) -> None:
        """Show what is so now."""
        self.element = element
        if now == self.told:
            return
        self.told = now
        self.setAccessibleDescription(now.spoken)
        self.setToolTip(f"{schematic_text.title(element).removeprefix('Drawing: ')}: {now.spoken}")
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the size that the canvas gave it."""
        return self.size()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Choose it, or go on to another element."""
        if event.key() in _ARROWS:
            self.canvas.go(self, *_ARROWS[Qt.Key(event.key())])
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Come into view."""
        super().focusInEvent(event)
        self.canvas.focused.emit(self)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw it."""
        now, scale, painter = theme.current(), self.canvas.scale, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
        if self.hasFocus() or self.underMouse():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(now.ok), 2.0 if self.hasFocus() else 1.0))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1.5, 1.5, -1.5, -1.5), 5, 5)
        shown = self.told or Told("", (), "")
        ink = symbols.Ink.of(
            now,
            lit=shown.light == LIGHT and not self.canvas.is_stale,
            width=scale.stroke,
            letters=schematic_text.letters(self.element),
            variable=bool(self.element.driven_by),
            muted=self.canvas.is_stale,
        )
        symbols.paint(painter, self.element.kind, self.symbol_at(), scale.unit, ink)
        self._paint_text(painter, shown, scale, now)
        painter.end()

    def symbol_at(self) -> QPointF:
        """Return the middle of the symbol in this widget."""
        scale = self.canvas.scale
        if self.beside:
            return QPointF(0.6 * scale.pad + scale.symbol_width(self.element.kind) / 2, self.height() / 2)
        return QPointF(self.width() / 2, self.height() - scale.pad - 0.75 * scale.unit)

    def _paint_text(self, painter: QPainter, shown: Told, scale: Scale, now: theme.Theme) -> None:
        left = scale.pad * 1.6 + scale.symbol_width(self.element.kind) if self.beside else 0.0
        lines = 1 + bool(shown.state) + len(shown.values)
        top = (self.height() - lines * scale.line) / 2 if self.beside else self.height() - scale.pad - 1.5 * scale.unit - lines * scale.line
        row = QRectF(left, top, self.width() - left, scale.line)
        across = Qt.AlignmentFlag.AlignLeft if self.beside else Qt.AlignmentFlag.AlignHCenter
        painter.setPen(QColor(now.muted if self.canvas.is_stale else now.text))
        painter.setFont(scale.bold)
        painter.drawText(row, across | Qt.AlignmentFlag.AlignVCenter, schematic_text.label(self.element))
        painter.setFont(scale.font)
        if shown.state:
            row.translate(0, scale.line)
            self._paint_state(painter, "stale" if self.canvas.is_stale else shown.state, row, scale, now)
        for value in shown.values:
            row.translate(0, scale.line)
            painter.drawText(row, across | Qt.AlignmentFlag.AlignVCenter, value)

    def _paint_state(self, painter: QPainter, word: str, row: QRectF, scale: Scale, now: theme.Theme) -> None:
        seen, side = words.look(word), scale.line * 0.72
        wide = side + scale.line * 0.3 + scale.metrics.horizontalAdvance(word)
        left = row.left() if self.beside else row.center().x() - wide / 2
        draw_shape(painter, seen.shape, QRectF(left, row.center().y() - side / 2, side, side), now.role(seen.role))
        painter.drawText(QRectF(left + wide - scale.metrics.horizontalAdvance(word), row.top(), wide, row.height()), Qt.AlignmentFlag.AlignVCenter, word)


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
        light = schematic_text.light(elements)
        for name, element in elements.items():
            self.buttons[name].show_told(element, told(element, instruments, counts, light[name]))
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
        if spot.beside:
            text = self._text_width(button)
            symbol = scale.symbol_width(spot.element.kind)
            width, height = 2.2 * scale.pad + symbol + text, max(1.5 * scale.unit, _LINES * scale.line) + scale.pad
            button.setGeometry(round(middle.x() - 0.6 * scale.pad - symbol / 2), round(middle.y() - height / 2), round(width), round(height))
        else:
            width, height = (
                min(self._cell[0] - 4, max(self._text_width(button), 2 * scale.unit) + 3 * scale.pad),
                schematic_text.most_lines(spot.element) * scale.line + 2 * scale.pad + 1.5 * scale.unit,
            )
            button.setGeometry(round(middle.x() - width / 2), round(middle.y() + scale.pad + 0.75 * scale.unit - height), round(width), round(height))
        button.show()

    def _text_width(self, button: ElementButton) -> float:
        told = button.told.values if button.told is not None else ()
        usual = _WIDEST_TAGGER if button.element.kind == "tagger" else _WIDEST_BESIDE if button.beside else _WIDEST
        widest = max(map(self.scale.metrics.horizontalAdvance, (*told, *usual)))
        return max(widest, self.scale.bold_metrics.horizontalAdvance(schematic_text.label(button.element)))

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
        painter.drawPath(_rounded(points, self.scale.unit * 0.5))
        if wire.ring:
            self._paint_ring_arrows(painter, points, pen)
            return
        kinds = [self._elements[wire.source].kind, self._elements[wire.target].kind]
        _paint_arrow(painter, *_tip(points[-2], points[-1], kinds[1], self.scale.unit), self._arrow_size(pen), pen.color())
        if wire.both:
            _paint_arrow(painter, *_tip(points[1], points[0], kinds[0], self.scale.unit), self._arrow_size(pen), pen.color())

    def _arrow_size(self, pen: QPen) -> float:
        return max(self.scale.line * 0.42, pen.widthF() * 3.2)

    def _paint_ring_arrows(self, painter: QPainter, points: list[QPointF], pen: QPen) -> None:
        """Draw one arrow each way, for light runs both ways round: out along the upper port, out along the lower one."""
        size, out = self._arrow_size(pen), points[3].x() - points[0].x()
        side = 1 if points[1].x() > points[0].x() else -1
        middle = points[0].x() + out * 0.62
        for y in (points[0].y(), points[-1].y()):
            _paint_arrow(painter, QPointF(middle + side * size / 2, y), 0.0 if side > 0 else pi, size, pen.color())

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


def _rounded(points: list[QPointF], radius: float) -> QPainterPath:
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


def _tip(start: QPointF, end: QPointF, kind: str, unit: float) -> tuple[QPointF, float]:
    """Return where an arrow into a symbol ends, and its angle."""
    wide, high = symbols.half(kind)
    angle = atan2(end.y() - start.y(), end.x() - start.x())
    back = (wide if abs(cos(angle)) > abs(sin(angle)) else high) * unit
    return QPointF(end.x() - back * cos(angle), end.y() - back * sin(angle)), angle


def _paint_arrow(painter: QPainter, tip: QPointF, angle: float, size: float, colour: QColor) -> None:
    painter.save()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    back_points = [QPointF(tip.x() - size * cos(angle + turn), tip.y() - size * sin(angle + turn)) for turn in (0.4, -0.4)]
    painter.drawPolygon([tip, *back_points])
    painter.restore()
