"""A button for acts that switch something on, delete or cost: it acts when it has been held for a second, by mouse or by key."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QSize, Qt, QTimerEvent, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QMessageBox, QPushButton, QWidget

HOLD_MS = 1000
_KEYS = (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter)


class HoldButton(QPushButton):
    """Emits `held` after one second; letting go earlier, leaving it or losing the focus does nothing.

    text: with its mnemonic, which brings the focus to it and never acts.  name: accessible; what a hold does.
    """

    held = Signal()

    def __init__(self, text: str, name: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self._timer = 0
        self._label = text
        self.setAccessibleName(name or text.replace("&", ""))
        self.setAccessibleDescription("Hold for one second, by mouse or with Space.")
        self.setToolTip("Hold for one second")
        self.setAutoDefault(False)

    def setText(self, text: str) -> None:  # noqa: N802
        """Show another text."""
        self._label = text
        super().setText(text)

    @property
    def holding(self) -> bool:
        """Say whether it is being held."""
        return bool(self._timer)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return room for both texts."""
        return super().sizeHint().expandedTo(QSize(self.fontMetrics().horizontalAdvance(_HOLDING) + 24, 24))

    def _begin(self) -> None:
        if not self._timer and self.isEnabled():
            self.setDown(True)
            super().setText(_HOLDING)
            self._timer = self.startTimer(HOLD_MS, Qt.TimerType.PreciseTimer)

    def _end(self) -> None:
        if self._timer:
            self.killTimer(self._timer)
            self._timer = 0
            super().setText(self._label)
            self.setDown(False)

    def timerEvent(self, event: QTimerEvent) -> None:  # noqa: N802
        """Act."""
        if event.timerId() == self._timer:
            self._end()
            self.held.emit()
        else:
            super().timerEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Begin."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._begin()
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Give up where the mouse leaves."""
        if not self.rect().contains(event.position().toPoint()):
            self._end()
        event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Give up."""
        self._end()
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Begin; the repeats of a held key are no presses."""
        if event.key() not in _KEYS:
            super().keyPressEvent(event)
        elif not event.isAutoRepeat():
            self._begin()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Give up."""
        if event.key() not in _KEYS:
            super().keyReleaseEvent(event)
        elif not event.isAutoRepeat():
            self._end()

    def event(self, event: QEvent) -> bool:
        """Take the focus where its letter is pressed; Qt would press and release it, which does nothing."""
        if event.type() == QEvent.Type.Shortcut:
            self.setFocus(Qt.FocusReason.ShortcutFocusReason)
            return True
        return super().event(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Give up."""
        self._end()
        super().focusOutEvent(event)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Give up where it is switched off."""
        if event.type() == QEvent.Type.EnabledChange and not self.isEnabled():
            self._end()
        super().changeEvent(event)


def answer_by_hold(box: QMessageBox, text: str, act: Callable[[], object]) -> HoldButton:
    """Add an answer to a question that destroys something: it counts once it was held, by mouse or key, and never by a press."""
    button = HoldButton(text, parent=box)
    box.addButton(button, QMessageBox.ButtonRole.DestructiveRole)
    button.held.connect(box.accept)
    button.held.connect(act)
    return button


_HOLDING = "keep holding"
