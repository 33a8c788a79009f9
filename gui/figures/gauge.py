"""How full one party's key store is, drawn as one bar."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from ...control.topics import StoreState
from ..guarded import guarded
from ..theme import current
from ..words import scaled

PARTS = (
    ("spendable", "ok", "solid", Qt.BrushStyle.SolidPattern),
    ("consumed", "warning", "dots", Qt.BrushStyle.Dense4Pattern),
    ("authentication", "third", "stripes", Qt.BrushStyle.BDiagPattern),
    ("burned", "fourth", "crossed", Qt.BrushStyle.DiagCrossPattern),
)
"""Parts of what was delivered, their colours and patterns."""
REST = "empty: serves the other direction, or is not confirmed yet"


def bits(value: float) -> str:
    """Return an amount of key: "504.3 kbit", "64 bit"."""
    return scaled(value, "bit", 4) if abs(value) >= 1000 else f"{value:.0f} bit"


def told(store: StoreState) -> str:
    """Return a store in words."""
    low = ", below the reserve" if store.spendable < store.reserve else ""
    kept = f", reserve {bits(store.reserve)}" if store.reserve else ""
    return f"{bits(store.spendable)} spendable of {bits(store.delivered)} delivered{kept}{low}"


class Gauge(QWidget):
    """A bar as long as what was delivered, with what may be spent, what was spent on what, and a mark where the reserve ends."""

    def __init__(self) -> None:
        super().__init__()
        self._store: StoreState | None = None
        self._stale = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @guarded
    def show_store(self, store: StoreState) -> None:
        """Draw a store."""
        if store != self._store:
            self._store = store
            self.setAccessibleName(f"Key store {store.pair} of {store.party}")
            self.setAccessibleDescription(told(store))
            self.update()

    def set_stale(self, stale: bool) -> None:
        """Grey the bar while it may be out of date."""
        if stale != self._stale:
            self._stale = stale
            self.update()

    def retheme(self) -> None:
        """Take the colours and the text size of another theme."""
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a bar as high as a line of text, and long enough to read."""
        return QSize(12 * self.fontMetrics().averageCharWidth(), self.fontMetrics().height() + 6)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the same."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the parts from the left, then the mark of the reserve."""
        if self._store is None:
            return
        theme, store = current(), self._store
        whole = float(max(store.delivered, store.spendable + store.consumed + store.authentication + store.burned, 1))
        box = QRectF(self.rect()).adjusted(1, 4, -1, -1)
        with QPainter(self) as painter:
            left = box.left()
            for name, role, _, pattern in PARTS:
                width = box.width() * getattr(store, name) / whole
                painter.fillRect(QRectF(left, box.top(), width, box.height()), QBrush(QColor(theme.muted if self._stale else theme.role(role)), pattern))
                left += width
            painter.setPen(QPen(QColor(theme.line), 1))
            painter.drawRect(box)
            if store.reserve:
                mark = box.left() + box.width() * min(1.0, store.reserve / whole)
                painter.setPen(QPen(QColor(theme.text), 2))
                painter.drawLine(round(mark), 0, round(mark), self.height())
