"""What a screen reader finds: the texts of the accessibility tree."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtGui import QAccessible, QAccessibleInterface
from PySide6.QtWidgets import QWidget

MOST_CHILDREN = 400
"""Of one element that are read; a longer table is read so far."""


def texts(root: QWidget) -> list[str]:
    """Return the names, values and descriptions below a widget in order, without what is hidden, and without repetitions that follow each other."""
    # As for a screen reader: cells of a table that was filled anew are not found while Qt believes that nobody listens.
    QAccessible.setActive(True)
    found: list[str] = []
    for text in _walk(QAccessible.queryAccessibleInterface(root)):
        if text and (not found or found[-1] != text):
            found.append(text)
    return found


def _walk(element: QAccessibleInterface) -> Iterator[str]:
    state = element.state()
    if state.invisible and element.role() not in (QAccessible.Role.Cell, QAccessible.Role.ListItem):
        return
    for kind in (QAccessible.Text.Name, QAccessible.Text.Value, QAccessible.Text.Description):
        yield element.text(kind)
    for at in range(min(element.childCount(), MOST_CHILDREN)):
        child = element.child(at)
        if child is not None and child.isValid():
            yield from _walk(child)
