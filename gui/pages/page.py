"""What every page is: a window of movable panels that is redrawn when one of its topics has changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from PySide6.QtCore import QChildEvent, QEvent, Qt
from PySide6.QtGui import QAction, QFontMetrics, QKeySequence
from PySide6.QtWidgets import QAbstractButton, QApplication, QDockWidget, QMainWindow, QTabBar, QTabWidget, QWidget

from .. import access
from ..desk import Desk
from ..hold import HoldButton
from .panel import Panel, first_control

__all__ = ["BOTTOM", "LEFT", "RIGHT", "TOP", "Page", "Panel", "first_control"]

LEFT, RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
TOP, BOTTOM = Qt.DockWidgetArea.TopDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea
SMALL_LETTERS = 100
"""A window that is narrower than so many letters of the operator's text has no room for panels beside each other."""


class Page(QMainWindow):
    """One view. Subclasses draw in `redraw` and nowhere else, and ask by `desk.ask`.

    NAME: file-safe.  TITLE: with the mnemonic of its tab, if any.  TOPICS: that it is redrawn for; "event" gives a tuple of the events that are new to it.
    LINES: a window that is lower than so many lines of the operator's text has no room for its panels beside each other.
    HEARD_BY: topic whose silence makes it stale; empty: that of all of them.
    BESIDE: names of the panels that, where the page is small, stay beside the others instead of lying on them: what runs are started from.
    small_strip: makes the strip of a panel that is torn off; given by the window that the page is in.
    """

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    TOPICS: ClassVar[frozenset[str]]
    LINES: ClassVar[int] = 41
    HEARD_BY: ClassVar[str] = ""
    BESIDE: ClassVar[frozenset[str]] = frozenset()

    small_strip: Callable[[], QWidget] | None = None

    def __init__(self, desk: Desk) -> None:
        super().__init__(None, Qt.WindowType.Widget)
        self.desk = desk
        self.is_stale = False
        self.is_stacked = False
        self._actions: list[QAction] = []
        self._made: list[QDockWidget] = []
        self._areas: list[Qt.DockWidgetArea] = []
        self.setObjectName(f"page-{self.NAME}")
        self.setAccessibleName(self.title())
        self.setDockOptions(QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.AllowTabbedDocks)
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)

    @classmethod
    def title(cls) -> str:
        """Return the title without its mnemonic."""
        return cls.TITLE.replace("&", "")

    def redraw(self, topic: str, payload: Any) -> None:
        """Draw what a topic says now; called only while the page can be seen, ten times a second at most."""
        raise NotImplementedError

    def panel(self, name: str, widget: QWidget, area: Qt.DockWidgetArea = TOP) -> QDockWidget:
        """Put a widget into a panel that can be moved, torn off and hidden.  name: its title, which is also its key in the stored layout."""
        dock = Panel(name, self.NAME, widget, self, lambda: self.small_strip() if self.small_strip is not None else None)
        self._made.append(dock)
        self._areas.append(area)
        self.addDockWidget(area, dock)
        return dock

    def panels(self) -> list[QDockWidget]:
        """Return the panels, in the order of reading; those that lie on each other follow each other, whichever is in front."""
        return sorted(self._made, key=lambda dock: (dock.isFloating(), *self._place(dock), self._made.index(dock)))

    def _place(self, dock: QDockWidget) -> tuple[int, int]:
        """Return where a panel is read, (y, x): Qt puts the ones behind others far out of sight."""
        group = [dock, *self.tabifiedDockWidgets(dock)] if not dock.isFloating() else [dock]
        front = next((one for one in group if one.isVisible() and self.rect().intersects(one.geometry())), dock)
        return front.y(), front.x()

    def action(self, text: str, act: Callable[[], Any], shortcut: str = "", *, name: str = "") -> QAction:
        """Make an act of this page with its shortcut, or several with spaces between; it is listed in the page's menu and works while the page is shown."""
        action = QAction(text, self)
        action.setObjectName(name or text.replace("&", ""))
        if shortcut:
            action.setShortcuts([QKeySequence(one) for one in shortcut.split(" ")])
            # Of the whole window, while the page can be seen.
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        action.triggered.connect(lambda _checked=False: act())
        self.addAction(action)
        self._actions.append(action)
        return action

    def toggle(self, text: str, box: QAbstractButton, shortcut: str = "") -> QAction:
        """List what is on or off, as its box says: the act presses the box, and can do nothing that the box cannot."""

        def press() -> None:
            box.click()
            action.setChecked(box.isChecked())

        action = self.action(text, press, shortcut)
        action.setCheckable(True)
        action.setChecked(box.isChecked())
        box.toggled.connect(action.setChecked)
        return action

    def of(self, widget: QWidget, action: QAction) -> None:
        """Let the key of an act work in one widget only: elsewhere it means something else."""
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.removeAction(action)
        widget.addAction(action)

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

    def abort_button(self) -> HoldButton | None:
        """Return the button that Ctrl+Shift+A stands for while this page is shown, None where it is the strip's."""
        return None

    def filter_field(self) -> QWidget | None:
        """Return the field that Ctrl+F goes to, if the page has one."""
        return None

    def default_layout(self) -> None:
        """Arrange the panels as they were made; a page with a better idea overrides this."""
        if self.is_stacked:
            with self.placing():
                for dock, area in zip(self._made, self._areas, strict=True):
                    self.addDockWidget(area, dock)

    def lay_out(self) -> None:
        """Arrange the panels as fits the page: beside each other, or on each other with tabs where it is small for the operator's text."""
        if self.is_small:
            self._stack()
        else:
            self.default_layout()
            self.is_stacked = False

    @property
    def is_small(self) -> bool:
        """Say whether the window that the page is shown in is too small for panels beside each other."""
        # Not the page: notices and the like, which come and go above it, move no panels.
        text, whole = QFontMetrics(QApplication.font()), self.window()
        return self.isVisible() and (whole.width() < SMALL_LETTERS * text.averageCharWidth() or whole.height() < self.LINES * text.lineSpacing())

    @contextlib.contextmanager
    def placing(self) -> Iterator[None]:
        """Lay nothing out before all panels are placed: the window would grow for what stands beside each other on the way."""
        inside = self.layout()
        if inside is not None:
            inside.setEnabled(False)
        try:
            yield
        finally:
            if inside is not None:
                inside.setEnabled(True)
                inside.activate()

    def _stack(self) -> None:
        """Lay the panels on each other; what runs are started from stands beside them, as wide as it needs, where both have room."""
        beside = [dock for dock in self._made if dock.accessibleName() in self.BESIDE]
        others = [dock for dock in self._made if dock not in beside]
        least = [max((dock.minimumSizeHint().width() for dock in group), default=0) for group in (beside, others)]
        if sum(least) > self.width():
            beside, others = [], list(self._made)
        with self.placing():
            for dock in [*beside, *others]:
                dock.setFloating(False)
                self.addDockWidget(TOP, dock)
            if beside:
                self.splitDockWidget(beside[0], others[0], Qt.Orientation.Horizontal)
            for group in (beside, others):
                for dock in group[1:]:
                    self.tabifyDockWidget(group[0], dock)
        for group in (beside, others):
            if group:
                group[0].raise_()
        self.is_stacked = True
        if beside:
            needed = min(max(dock.sizeHint().width() for dock in beside), 2 * self.width() // 5)
            self.resizeDocks([beside[0], others[0]], [needed, self.width() - needed], Qt.Orientation.Horizontal)

    def shown_first(self) -> None:
        """Ask for what the page needs besides its topics; called when it is shown for the first time."""
