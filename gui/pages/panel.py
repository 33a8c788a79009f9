"""Movable panels: a title with buttons that keyboard and screen reader reach, and room that scrolls where it is short."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractScrollArea, QDockWidget, QHBoxLayout, QLabel, QMainWindow, QScrollArea, QToolButton, QVBoxLayout, QWidget

from .. import theme


class Panel(QDockWidget):
    """A movable panel; torn off it carries a small strip of its own, so that the safe button is in every window.

    name: its title, which with the page's name is its key in the stored layout.  small_strip: makes that strip; None where the page is in no window.
    """

    def __init__(self, name: str, page_name: str, widget: QWidget, page: QMainWindow, small_strip: Callable[[], QWidget | None]) -> None:
        super().__init__(name, page)
        self.setObjectName(f"{page_name}-{name}")
        self.setAccessibleName(name)
        self._name = name
        self._strip: QWidget | None = None
        self._small_strip = small_strip
        self._inside = QWidget()
        self._layout = QVBoxLayout(self._inside)
        self._layout.setContentsMargins(4, 4, 4, 4)
        self._layout.addWidget(widget if isinstance(widget, QAbstractScrollArea) else Scroll(widget))
        self._content = widget
        self.setTitleBarWidget(TitleBar(self))
        self.setWidget(self._inside)
        self.topLevelChanged.connect(self._torn_off)

    def _torn_off(self, floating: bool) -> None:
        self.named()
        if floating and self._strip is None:
            self._strip = self._small_strip()
            if self._strip is not None:
                self._layout.insertWidget(0, self._strip)
        if self._strip is not None:
            self._strip.setVisible(floating)

    def named(self) -> None:
        """Take the title of the whole window up, if torn off: every window says whose data it shows, and that they are simulated."""
        above = self.parentWidget()
        whole = above.window().windowTitle() if above is not None else ""
        self.setWindowTitle(f"{self._name} - {whole}" if self.isFloating() and whole else self._name)
        self.toggleViewAction().setText(self._name)

    def focus(self) -> None:
        """Bring the panel to the front and put the focus on the first control in it, in whichever window it is."""
        self.raise_()
        self.window().activateWindow()
        found = first_control(self._content) or first_control(self)
        (found or self._content).setFocus(Qt.FocusReason.ShortcutFocusReason)


class TitleBar(QWidget):
    """Title, tear off, hide; dragged by its title."""

    def __init__(self, panel: QDockWidget) -> None:
        super().__init__(panel)
        label = QLabel(panel.windowTitle())
        label.setTextFormat(Qt.TextFormat.PlainText)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 2, 2, 0)
        layout.setSpacing(2)
        layout.addWidget(label, 1)
        for text, shape, act in (
            ("Tear off or put back", "window", lambda: panel.setFloating(not panel.isFloating())),
            ("Hide", "cross", panel.close),
        ):
            button = _Button(shape)
            button.setAccessibleName(f"{text} {panel.windowTitle()}")
            button.setToolTip(text)
            button.clicked.connect(act)
            layout.addWidget(button)


class _Button(QToolButton):
    """A small button with a sign that takes the colours of the theme."""

    def __init__(self, sign: str) -> None:
        super().__init__()
        self._sign = sign
        self.setAutoRaise(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return room for a finger's tip."""
        side = max(24, self.fontMetrics().height() + 4)
        return QSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the sign, and the focus around it."""
        now = theme.current()
        painter = QPainter(self)
        if self.underMouse() or self.hasFocus():
            painter.setPen(QPen(QColor(now.ok if self.hasFocus() else now.line), 2 if self.hasFocus() else 1))
            painter.drawRect(self.rect().adjusted(1, 1, -2, -2))
        painter.setPen(QPen(QColor(now.text), 1.4))
        side = max(8.0, self.height() * 0.4)
        box = QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)
        if self._sign == "cross":
            painter.drawLine(box.topLeft(), box.bottomRight())
            painter.drawLine(box.topRight(), box.bottomLeft())
        else:
            painter.drawRect(box.adjusted(side / 4, 0, 0, -side / 4))
            painter.drawRect(box.adjusted(0, side / 4, -side / 4, 0))
        painter.end()


class Scroll(QScrollArea):
    """Keeps what does not fit reachable, instead of cut off; asks for as much room as what is in it."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__()
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidgetResizable(True)
        self.setWidget(widget)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return what the widget asks for."""
        inside = self.widget()
        return inside.sizeHint() + QSize(2, 2) if inside is not None else super().sizeHint()


def first_control(inside: QWidget) -> QWidget | None:
    """Return the first widget that takes the focus by Tab."""
    candidates: Sequence[QWidget] = [inside, *inside.findChildren(QWidget)]
    return next((one for one in candidates if one.focusPolicy() & Qt.FocusPolicy.TabFocus and one.isVisible() and one.isEnabled()), None)
