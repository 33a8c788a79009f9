"""State as people see it: a shape, a word and a colour; and labels of values that grey when they are stale."""

from __future__ import annotations

from html import escape
from math import cos, pi, sin

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from . import theme, words


def draw_shape(painter: QPainter, shape: words.Shape, box: QRectF, colour: str) -> None:
    """Draw the shape of a state into a square."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    edge = max(1.5, box.width() / 8)
    painter.setPen(QPen(QColor(colour), edge, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    inner = box.adjusted(edge, edge, -edge, -edge)
    outlined = shape in ("ring", "circle", "hourglass")
    painter.setBrush(Qt.BrushStyle.NoBrush if outlined else QColor(colour))
    if shape in _CORNERS:
        painter.drawPolygon(QPolygonF([_at(inner, x, y) for x, y in _CORNERS[shape]]))
        if shape == "octagon":
            # Small, it would pass for a disc.
            painter.setPen(QPen(QColor(_away_from(colour)), edge * 1.4))
            painter.drawLine(_at(inner, 0.2, 0.5), _at(inner, 0.8, 0.5))
    elif shape in _LINES:
        for line in _LINES[shape]:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(QPolygonF([_at(inner, x, y) for x, y in line]))
    else:
        painter.drawEllipse(inner)
        if shape == "circle":
            painter.setBrush(QColor(colour))
            painter.drawEllipse(inner.center(), inner.width() / 6, inner.height() / 6)
    painter.restore()


def _away_from(colour: str) -> str:
    """Return black or white, whichever stands out more."""
    return max("#000000", "#FFFFFF", key=lambda one: theme.contrast(one, colour))


_OCTAGON = [(0.5 + 0.54 * cos(pi / 8 + k * pi / 4), 0.5 + 0.54 * sin(pi / 8 + k * pi / 4)) for k in range(8)]
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "triangle": [(0.5, 0.0), (1.0, 0.95), (0.0, 0.95)],
    "diamond": [(0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)],
    "square": [(0.05, 0.05), (0.95, 0.05), (0.95, 0.95), (0.05, 0.95)],
    "octagon": _OCTAGON,
    "hourglass": [(0.1, 0.0), (0.9, 0.0), (0.1, 1.0), (0.9, 1.0)],
}
_LINES: dict[str, list[list[tuple[float, float]]]] = {
    "cross": [[(0.1, 0.1), (0.9, 0.9)], [(0.9, 0.1), (0.1, 0.9)]],
    "bar": [[(0.3, 0.05), (0.3, 0.95)], [(0.7, 0.05), (0.7, 0.95)]],
    "chevron": [[(0.25, 0.0), (0.8, 0.5), (0.25, 1.0)]],
    "tick": [[(0.0, 0.55), (0.38, 0.95), (1.0, 0.1)]],
}


def _at(box: QRectF, x: float, y: float) -> QPointF:
    return QPointF(box.left() + x * box.width(), box.top() + y * box.height())


class Badge(QWidget):
    """One state: its shape, its word, and where there is room what stands behind it.

    title: what is in this state; the accessible name is "title: word, detail".  titled: the title is shown, too.
    loud: its word is in capitals.
    """

    def __init__(self, title: str, word: str = "unknown", detail: str = "", parent: QWidget | None = None, *, titled: bool = False, loud: bool = False) -> None:
        super().__init__(parent)
        self.title, self.word, self.detail, self.titled, self._loud = title, "", "", titled, loud
        self._stale = False
        self.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
        self.set_state(word, detail)

    def set_state(self, word: str, detail: str = "") -> None:
        """Show another state.  word: of `words.VOCABULARY`.  detail: behind the word; all of it is in the accessible name."""
        if (word, detail) == (self.word, self.detail):
            return
        self.word, self.detail = word, detail
        self._named()
        self.updateGeometry()
        self.update()

    def set_stale(self, stale: bool) -> None:
        """Grey the state while it may be out of date."""
        if stale != self._stale:
            self._stale = stale
            self._named()
            self.update()

    def _named(self) -> None:
        told = f"{self.title}: {self.told}".removeprefix(": ")
        self.setAccessibleName(f"{told}, stale" if self._stale else told)
        self.setToolTip(tip(told))

    @property
    def told(self) -> str:
        """Return the word and what stands behind it."""
        return f"{self.word}, {self.detail}" if self.detail else self.word

    @property
    def shown(self) -> str:
        """Return the text beside the shape."""
        told = self.told if not self._loud else self.told.replace(self.word, self.word.upper(), 1)
        return f"{self.title}: {told}" if self.titled else told

    def retheme(self) -> None:
        """Take the colours of another theme."""
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return room for shape and text."""
        metrics = QFontMetrics(self.font())
        return QSize(metrics.height() + metrics.horizontalAdvance(self.shown) + 16, max(24, metrics.height() + 8))

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return room for shape and word."""
        metrics = QFontMetrics(self.font())
        least = f"{self.title}: {self.word}" if self.titled else self.word
        return QSize(metrics.height() + metrics.horizontalAdvance(least) + 16, max(24, metrics.height() + 8))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw shape and text."""
        painter = QPainter(self)
        metrics = QFontMetrics(self.font())
        seen, now = words.look(self.word), theme.current()
        side = metrics.height() - 2
        box = QRectF(4, (self.height() - side) / 2, side, side)
        draw_shape(painter, seen.shape, box, now.muted if self._stale else now.role(seen.role))
        painter.setPen(QColor(now.muted if self._stale else now.text))
        left = round(box.right()) + 6
        room = self.rect().adjusted(left, 0, -2, 0)
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, metrics.elidedText(self.shown, Qt.TextElideMode.ElideRight, room.width()))
        painter.end()


class Value(QLabel):
    """One value with its unit, plain text, greyed while it is stale.  name: what it is, for screen readers ("name: text")."""

    def __init__(self, name: str, text: str = words.UNKNOWN, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self._stale = False
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
        self.show_text(text)

    def show_text(self, text: str) -> None:
        """Show another text."""
        if text != self.text() or not self.accessibleName():
            self.setText(text)
            self._named()

    def _named(self) -> None:
        told = f"{self.name}: {self.text()}"
        self.setAccessibleName(f"{told}, stale" if self._stale and not told.endswith(", stale") else told)

    def set_stale(self, stale: bool) -> None:
        """Grey the value while it may be out of date."""
        if stale != self._stale:
            self._stale = stale
            self.retheme()
            self._named()

    def retheme(self) -> None:
        """Take the colours of another theme."""
        colours = self.palette()
        colours.setColor(self.foregroundRole(), self._colour)
        self.setPalette(colours)

    @property
    def _colour(self) -> QColor:
        now = theme.current()
        return QColor(now.muted if self._stale else now.text)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw it, as all else, in the colours of now, also where nobody told it that they have changed."""
        if self.palette().color(self.foregroundRole()) != self._colour:
            self.retheme()
        super().paintEvent(event)


def tip(text: str) -> str:
    """Return a tool tip in which markup that came with data stands as it is: Qt reads markup in every tool tip."""
    return f"<qt>{escape(text)}</qt>" if "<" in text or "&lt;" in text else text


def plain(text: str = "", *, buddy: QWidget | None = None, wrap: bool = False) -> QLabel:
    """Return a label of plain text; text that comes from data may carry markup, which must not be read as such."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(wrap)
    if buddy is not None:
        label.setBuddy(buddy)
    return label
