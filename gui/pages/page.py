"""What every page is: a window of movable panels that is redrawn when one of its topics has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from PySide6.QtCore import QChildEvent, QEvent, QSize, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QDockWidget, QMainWindow, QScrollArea, QTabBar, QVBoxLayout, QWidget

from .. import access
from ..desk import Desk
from ..plots import Chart

LEFT, RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
TOP, BOTTOM = Qt.DockWidgetArea.TopDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea


class Page(QMainWindow):
    """One view. Subclasses draw in `redraw` and nowhere else, and ask by `desk.ask`.

    NAME: file-safe.  TITLE: with the mnemonic of its tab, if any.  TOPICS: that it is redrawn for; "event" gives a tuple of the events that are new to it.
    """

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    TOPICS: ClassVar[frozenset[str]]

    def __init__(self, desk: Desk) -> None:
        super().__init__(None, Qt.WindowType.Widget)
        self.desk = desk
        self.is_stale = False
        self._actions: list[QAction] = []
        self.setObjectName(f"page-{self.NAME}")
        self.setAccessibleName(self.title())
        self.setDockOptions(QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.AllowTabbedDocks)

    @classmethod
    def title(cls) -> str:
        """Return the title without its mnemonic."""
        return cls.TITLE.replace("&", "")

    def redraw(self, topic: str, payload: Any) -> None:
        """Draw what a topic says now; called only while the page can be seen, ten times a second at most."""
        raise NotImplementedError

    def panel(self, name: str, widget: QWidget, area: Qt.DockWidgetArea = TOP) -> QDockWidget:
        """Put a widget into a panel that can be moved, torn off and hidden.  name: its title, which is also its key in the stored layout."""
        dock = Panel(name, widget, self)
        self.addDockWidget(area, dock)
        return dock

    def panels(self) -> list[QDockWidget]:
        """Return the panels, in the order of reading."""
        return sorted(self.findChildren(QDockWidget), key=lambda dock: (dock.isFloating(), dock.y(), dock.x()))

    def action(self, text: str, act: Callable[[], Any], shortcut: str = "", *, name: str = "") -> QAction:
        """Make an act of this page with its shortcut; it is listed in the page's menu and works while the page is shown."""
        action = QAction(text, self)
        action.setObjectName(name or text.replace("&", ""))
        if shortcut:
            action.setShortcut(QKeySequence(shortcut))
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.triggered.connect(lambda _checked=False: act())
        self.addAction(action)
        self._actions.append(action)
        return action

    def menu_actions(self) -> list[QAction]:
        """Return every act of this page."""
        return list(self._actions)

    def stale(self, stale: bool) -> None:
        """Grey every value, or no longer: the owner has not been heard of for two seconds."""
        self.is_stale = stale
        for widget in self.findChildren(QWidget):
            mark = getattr(widget, "set_stale", None)
            if mark is not None:
                mark(stale)

    def retheme(self) -> None:
        """Give every widget that paints itself the colours and the text size of the present theme."""
        for widget in self.findChildren(QWidget):
            change = getattr(widget, "retheme", None)
            if change is not None:
                change()

    def texts(self) -> list[str]:
        """Return what a screen reader finds on this page, in order."""
        return access.texts(self)

    def can_be_seen(self) -> bool:
        """Say whether any of it is on the screen: the page, or a panel that was torn off."""
        return self.isVisible() or any(dock.isFloating() and dock.isVisible() for dock in self.findChildren(QDockWidget))

    def enqueue(self) -> None:
        """Put what this page starts into the queue (Ctrl+Enter); a page that starts nothing goes to the queue."""
        self.desk.show_page("queue")

    def wish(self, wanted: Any) -> None:
        """Show what another page sent the operator here for, such as a run's path; a page that is sent to overrides this."""

    def childEvent(self, event: QChildEvent) -> None:  # noqa: N802
        """Let the tabs of panels that lie on each other keep their whole titles."""
        super().childEvent(event)
        tabs = event.child()
        if event.type() == QEvent.Type.ChildPolished and isinstance(tabs, QTabBar):
            tabs.setElideMode(Qt.TextElideMode.ElideNone)
            tabs.setUsesScrollButtons(True)
            tabs.setAccessibleName("Panels")

    def filter_field(self) -> QWidget | None:
        """Return the field that Ctrl+F goes to, if the page has one."""
        return None

    def default_layout(self) -> None:
        """Arrange the panels as they were made; a page with a better idea overrides this."""

    def shown_first(self) -> None:
        """Ask for what the page needs besides its topics; called when it is shown for the first time."""


class Panel(QDockWidget):
    """A movable panel; torn off it carries a small strip of its own, so that the safe button is in every window.

    strip: makes that strip; set by the window.
    """

    strip: ClassVar[Callable[[], QWidget] | None] = None

    def __init__(self, name: str, widget: QWidget, page: Page) -> None:
        super().__init__(name, page)
        self.setObjectName(f"{page.NAME}-{name}")
        self.setAccessibleName(name)
        self._strip: QWidget | None = None
        self._inside = QWidget()
        self._layout = QVBoxLayout(self._inside)
        self._layout.setContentsMargins(4, 4, 4, 4)
        self._layout.addWidget(widget if isinstance(widget, QAbstractScrollArea | Chart) else Scroll(widget))
        self._content = widget
        self.setWidget(self._inside)
        self.topLevelChanged.connect(self._torn_off)

    def _torn_off(self, floating: bool) -> None:
        if floating and self._strip is None and Panel.strip is not None:
            self._strip = Panel.strip()
            self._layout.insertWidget(0, self._strip)
        if self._strip is not None:
            self._strip.setVisible(floating)

    def retheme(self) -> None:
        """Take the text size of now: the title of a panel has a font of its own."""
        self.setFont(QApplication.font())

    def focus(self) -> None:
        """Bring the panel to the front and put the focus on the first control in it."""
        self.raise_()
        found = first_control(self._content)
        (found or self._content).setFocus(Qt.FocusReason.ShortcutFocusReason)


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
