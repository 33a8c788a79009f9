"""Room for widgets where the text is large and the window small, and the default arrangement of panels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtWidgets import QDockWidget, QScrollArea, QWidget

from ..pages.page import TOP, Page

_LEFT_PX = 290
"""Width of the left column in a window of common size."""


class Scrolled(QScrollArea):
    """A widget that scrolls up and down where it does not fit; it is always as wide as it must be."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self._inside = widget
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(widget)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Take another width where what is inside needs one."""
        if event.type() == QEvent.Type.LayoutRequest and watched is self._inside:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the width of what is inside, and a few lines."""
        return QSize(self._inside.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width(), 4 * self.fontMetrics().height())


def scrolled(widget: QWidget) -> Scrolled:
    """Return a widget in an area that scrolls."""
    return Scrolled(widget)


def arrange(page: Page, left: Sequence[QDockWidget], rows: Sequence[Sequence[QDockWidget]], *, widths: Sequence[Sequence[int]], heights: Sequence[int]) -> bool:
    """Stack panels on the left, and rows of panels beside them; panels that stand so already stay where they are, and only the room is shared out.

    widths: of the panels of each row, as shares of what is beside the left.  heights: of the rows, as shares of the page.
    Returns whether the panels were placed, so that what the rows do not name is to be placed, too.
    """
    across, down = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
    placed = page.is_stacked or not page.isVisible()
    if placed:
        _place(page, left, rows)
    # Sizes that do not fill the page would be cut or stretched unevenly.
    beside = (page.width() if page.isVisible() else _LEFT_PX + sum(widths[0])) - _LEFT_PX
    page.resizeDocks([left[0], rows[0][0]], [_LEFT_PX, beside], across)
    for row, wide in zip(rows, widths, strict=True):
        page.resizeDocks(list(row), [beside * one // sum(wide) for one in wide], across)
    high = page.height() if page.isVisible() else sum(heights)
    page.resizeDocks([row[0] for row in rows], [high * one // sum(heights) for one in heights], down)
    if page.isVisible() and len(left) > 1:
        # Those below take what they need, a third of the page at most; a form is the better the higher it is.
        below = [min(dock.sizeHint().height(), high // (2 + len(left))) if dock.sizeHint().isValid() else high // 4 for dock in left[1:]]
        page.resizeDocks(list(left), [high - sum(below), *below], down)
    return placed


def _place(page: Page, left: Sequence[QDockWidget], rows: Sequence[Sequence[QDockWidget]]) -> None:
    across, down = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
    with page.placing():
        for dock in [*left, *(dock for row in rows for dock in row)]:
            page.addDockWidget(TOP, dock)
        page.splitDockWidget(left[0], rows[0][0], across)
        for above, below in pairwise(left):
            page.splitDockWidget(above, below, down)
        for first, second in pairwise(rows):
            page.splitDockWidget(first[0], second[0], down)
        for row in rows:
            for one, other in pairwise(row):
                page.splitDockWidget(one, other, across)
