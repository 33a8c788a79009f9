"""Widgets as a person finds them: by what they are called; and what a person does with them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QFontMetrics, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractScrollArea, QApplication, QLabel, QLineEdit, QWidget


def control(root: QWidget, name: str, kind: type[QWidget] = QWidget) -> Any:
    """Return the visible widget of an accessible name."""
    found = [one for one in root.findChildren(kind) if one.accessibleName() == name and one.isVisible()]
    assert len(found) == 1, (
        f"{len(found)} widgets are called {name!r}: {sorted({one.accessibleName() for one in root.findChildren(QWidget) if one.isVisible()})}"
    )
    return found[0]


def press(qtbot: Any, root: QWidget, name: str) -> None:
    """Click a button."""
    qtbot.mouseClick(control(root, name, QAbstractButton), Qt.MouseButton.LeftButton)


def typed(qtbot: Any, root: QWidget, name: str, text: str) -> Any:
    """Type a text in place of what stands in a field, and Enter; return the field."""
    field = control(root, name, QLineEdit)
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Return)
    return field


def hold(qtbot: Any, root: QWidget, name: str, how_ms: int = 120) -> None:
    """Hold a button by the space bar."""
    button = control(root, name, QAbstractButton)
    button.setFocus()
    qtbot.keyPress(button, Qt.Key.Key_Space)
    qtbot.wait(how_ms)
    qtbot.keyRelease(button, Qt.Key.Key_Space)


def drag(view: QAbstractScrollArea, begin: QPoint, end: QPoint, steps: int = 8) -> None:
    """Drag the mouse over a view with the left button down; QTest's own moves have no button."""

    def send(kind: QEvent.Type, at: QPoint, button: Qt.MouseButton, buttons: Qt.MouseButton) -> None:
        place = QPointF(at)
        event = QMouseEvent(kind, place, QPointF(view.viewport().mapToGlobal(at)), button, buttons, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(view.viewport(), event)
        # pyqtgraph takes a hundred moves a second at most.
        QTest.qWait(12)

    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    send(QEvent.Type.MouseMove, begin, none, none)
    send(QEvent.Type.MouseButtonPress, begin, left, left)
    for step in range(1, steps + 1):
        send(QEvent.Type.MouseMove, begin + (end - begin) * step / steps, none, left)
    send(QEvent.Type.MouseButtonRelease, end, left, none)


def clipped(root: QWidget) -> list[str]:
    """Return the texts of visible labels and buttons that are wider or higher than their room."""
    found = []
    for label in root.findChildren(QLabel):
        if label.isVisible() and label.text():
            needed = label.heightForWidth(label.width()) if label.wordWrap() else QFontMetrics(label.font()).height()
            shown = label.text().replace("&", "") if label.buddy() is not None else label.text()
            wide = 0 if label.wordWrap() else QFontMetrics(label.font()).horizontalAdvance(shown)
            if wide > label.width() + 1 or needed > label.height() + 2:
                found.append(f"{label.text()!r}: {wide}x{needed} in {label.width()}x{label.height()}")
    buttons = [one for one in root.findChildren(QAbstractButton) if one.isVisible() and one.text()]
    narrow = [one for one in buttons if QFontMetrics(one.font()).horizontalAdvance(one.text().replace("&", "")) > one.width()]
    return [*found, *(f"button {one.text()!r} in {one.width()}" for one in narrow)]


def least_median_s(draw: Callable[[int], None], budget_s: float, batches: int = 4, ticks: int = 12) -> float:
    """Return the processor time of the middle one of a few redraws, paint included; the least of some batches, as other processes disturb the clock."""
    medians = []
    for batch in range(batches):
        spent = []
        for tick in range(ticks):
            begun = time.process_time()
            draw(batch * ticks + tick)
            QApplication.processEvents()
            spent.append(time.process_time() - begun)
        medians.append(statistics.median(spent))
        if medians[-1] <= budget_s:
            break
    return min(medians)


def focused() -> QWidget:
    """Return the widget that has the focus."""
    found = QApplication.focusWidget()
    assert found is not None
    return found
