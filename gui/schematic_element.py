"""One element in the drawing of the optical path: a control with symbol, name, state and live values; and the sizes of the drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFocusEvent, QFont, QFontMetrics, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton

from ..control.topics import Element
from . import schematic_text, symbols, theme, words
from .badges import draw_shape, tip
from .schematic_layout import Spot
from .schematic_text import LIGHT, Told

if TYPE_CHECKING:
    from .schematic import Canvas

_WIDEST = ("-99.9 dBm", "loss 60.0 dB", "999 kHz")
_WIDEST_BESIDE = ("-99.9 dBm", "999 kHz", "18.0 µA", "stale 59 s")
_WIDEST_TAGGER = ("99.9 Mtag/s", "9999 gaps")
LINES = 4
"""Most lines of text at an element."""
_ARROWS = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1)}


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
        self.text_height = LINES * self.line
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

    def text_width(self, element: Element, *, beside: bool, told: Iterable[str] = ()) -> float:
        """Return the room for the text of an element, whatever its values are later."""
        usual = _WIDEST_TAGGER if element.kind == "tagger" else _WIDEST_BESIDE if beside else _WIDEST
        return self._widest(element, (*told, *usual))

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
        self.setToolTip(tip(f"{schematic_text.title(element).removeprefix('Drawing: ')}: {now.spoken}"))
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
        if shown.old:
            painter.setPen(QColor(now.muted))
        for value in shown.values:
            row.translate(0, scale.line)
            painter.drawText(row, across | Qt.AlignmentFlag.AlignVCenter, value)

    def _paint_state(self, painter: QPainter, word: str, row: QRectF, scale: Scale, now: theme.Theme) -> None:
        seen, side = words.look(word), scale.line * 0.72
        wide = side + scale.line * 0.3 + scale.metrics.horizontalAdvance(word)
        left = row.left() if self.beside else row.center().x() - wide / 2
        draw_shape(painter, seen.shape, QRectF(left, row.center().y() - side / 2, side, side), now.role(seen.role))
        painter.drawText(QRectF(left + wide - scale.metrics.horizontalAdvance(word), row.top(), wide, row.height()), Qt.AlignmentFlag.AlignVCenter, word)
