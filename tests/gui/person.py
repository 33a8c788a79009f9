"""Acts on the window as a person does, for pictures and tests: finds controls by what they are called, and sends keys and mouse to whatever lies there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QModelIndex, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QApplication, QComboBox, QMenu, QMenuBar, QScrollArea, QTabBar, QWidget

from heliograph.core.errors import BenchError

W = TypeVar("W", bound=QWidget)
LOOK_MS = 20
HELD_S = 1.15
"""A little more than what is asked for by buttons that are held."""
_MOST_TABS = 400
_CONTROL, _SHIFT, _NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
_LEFT = Qt.MouseButton.LeftButton


class Person:
    """Somebody in front of a window.  patience_s: how long they wait for what they expect; then BenchError is raised, with what can be seen instead."""

    def __init__(self, window: QWidget, patience_s: float = 20.0) -> None:
        self.window, self.patience_s = window, patience_s

    # Seeing

    def sees(self, name: str, kind: type[QWidget] = QWidget) -> bool:
        """Say whether a control of this name can be seen anywhere."""
        return bool(self._all(name, kind))

    def find(self, name: str, kind: type[W] = QWidget) -> W:  # type: ignore[assignment]
        """Return the control of an accessible name, in the window that is in front first. Raises BenchError if there is none, or more than one."""
        found = self._all(name, kind)
        if len(found) != 1:
            seen = sorted({called(one) for window in self._windows() for one in window.findChildren(QWidget) if one.isVisible()} - {""})
            raise BenchError(f"{len(found)} controls are called {name!r}", where=self.window.windowTitle(), remedy=f"Seen are {', '.join(seen)}.")
        return found[0]

    def _all(self, name: str, kind: type[W]) -> list[W]:
        for window in self._windows():
            found = [one for one in [window, *window.findChildren(kind)] if isinstance(one, kind) and one.isVisible() and called(one) == name]
            if found:
                shown = [one for one in found if not one.visibleRegion().isEmpty()]
                return shown if len(shown) == 1 else found
        return []

    def until(self, condition: Callable[[], Any], what: str = "", patience_s: float | None = None) -> float:
        """Wait until something holds, and return how long that took, seconds. Raises BenchError."""
        begun, longest = time.monotonic(), self.patience_s if patience_s is None else patience_s
        while not condition():
            if time.monotonic() - begun > longest:
                notices = [one.accessibleDescription() for one in self._all("Notice", QWidget)]
                raise BenchError(f"{what or 'what was waited for'} did not come in {longest:g} s", where=self.window.windowTitle(), remedy=" ".join(notices))
            QTest.qWait(LOOK_MS)
        return time.monotonic() - begun

    @property
    def focus(self) -> str:
        """Return what the control is called that has the focus."""
        found = QApplication.focusWidget()
        return called(found) if found is not None else ""

    # In front of what

    def _windows(self) -> list[QWidget]:
        """Return what is open of this window, in front first: another main window may stand beside it."""
        front = [QApplication.activePopupWidget(), QApplication.activeModalWidget(), self._active(), self.window]
        every = [*(one for one in front if one is not None), *(one for one in QApplication.topLevelWidgets() if one.isVisible() and self._owns(one))]
        return list(dict.fromkeys(every))

    def _front(self) -> QWidget:
        """Return the window that keys come to; where another main window is active, or none as after a dialog without a window manager, turn to this one."""
        over = QApplication.activePopupWidget() or QApplication.activeModalWidget()
        if over is None and self._active() is None:
            self.window.activateWindow()
        return (over or self._active() or self.window).window()

    def _active(self) -> QWidget | None:
        now = QApplication.activeWindow()
        return now if now is not None and self._owns(now) else None

    def _owns(self, widget: QWidget) -> bool:
        """Say whether a widget is the main window, or was opened by something in it."""
        above: QWidget | None = widget
        while above is not None and above is not self.window:
            above = above.parentWidget()
        return above is not None

    # By mouse

    def click(self, name: str, kind: type[QWidget] = QWidget) -> None:
        """Click the middle of a control."""
        self._click_at(*self._place(self.find(name, kind)))

    def hold(self, name: str, seconds: float = HELD_S) -> None:
        """Hold a control down by the mouse."""
        widget, at = self._place(self.find(name))
        handle, place = _in_window(widget, at)
        QTest.mousePress(handle, _LEFT, _NONE, place)
        _wait(seconds)
        QTest.mouseRelease(handle, _LEFT, _NONE, place)

    def choose(self, name: str, text: str) -> None:
        """Choose an entry of a list that drops down."""
        combo = self.find(name, QComboBox)
        at = combo.findText(text)
        if at < 0:
            raise BenchError(f"{text!r} is not in the list", where=name, remedy=", ".join(combo.itemText(one) for one in range(combo.count())))
        self._click_at(*self._place(combo))
        view = combo.view()
        self.until(view.isVisible, f"the list of {name}")
        self._click_row(view, view.model().index(at, combo.modelColumn()))
        self.until(lambda: not view.isVisible(), "the end of the list")

    def tab(self, bar: str, text: str) -> None:
        """Click a tab."""
        for tabs in self._all(bar, QTabBar):
            for at in range(tabs.count()):
                if tabs.tabText(at).replace("&", "") == text:
                    self._click_at(tabs, tabs.tabRect(at).center())
                    return
        raise BenchError(f"there is no tab {text!r}", where=bar)

    def row(self, table: str, text: str) -> None:
        """Click the first row of a table in which a text stands."""
        view = self.find(table, QAbstractItemView)
        model = view.model()
        for at in range(model.rowCount()):
            for column in range(model.columnCount()):
                if text in str(model.index(at, column).data()):
                    self._click_row(view, model.index(at, 0))
                    return
        raise BenchError(f"no row has {text!r}", where=table)

    def menu(self, *words: str) -> None:
        """Open menus one after the other, and take the last entry."""
        found = next(iter(self.window.findChildren(QMenuBar)))
        shown: QMenuBar | QMenu = found
        for word in words:
            action = next((one for one in shown.actions() if one.text().replace("&", "").partition("\t")[0] == word), None)
            if action is None:
                raise BenchError(f"there is no {word!r}", where="menu", remedy=", ".join(one.text() for one in shown.actions()))
            self._click_at(shown, shown.actionGeometry(action).center())
            opened = action.menu()
            if isinstance(opened, QMenu):
                self.until(opened.isVisible, f"menu {word}")
                shown = opened

    def _click_row(self, view: QAbstractItemView, index: QModelIndex) -> None:
        view.scrollTo(index)
        self._click_at(view.viewport(), view.visualRect(index).center())

    def _click_at(self, widget: QWidget, at: QPoint) -> None:
        QTest.mouseClick(*_click(widget, at))
        QTest.qWait(1)

    def _place(self, widget: QWidget) -> tuple[QWidget, QPoint]:
        """Return where to click a control; what is scrolled out of sight is scrolled to first. Raises BenchError where something covers it."""
        if not widget.isEnabled():
            raise BenchError(f"{called(widget)!r} is switched off", where=self.window.windowTitle(), remedy=widget.toolTip())
        _scroll_to(widget)
        seen = widget.visibleRegion().boundingRect()
        at = seen.center()
        top = widget.window()
        lies = top.childAt(widget.mapTo(top, at)) if top is not widget else widget
        if seen.isEmpty() or lies is None or not (lies is widget or widget.isAncestorOf(lies)):
            raise BenchError(f"{called(widget)!r} cannot be clicked", where=self.window.windowTitle(), remedy=f"{lies} lies there.")
        return widget, at

    # By keys

    def key(self, key: Qt.Key, *, control: bool = False, shift: bool = False, alt: bool = False, times: int = 1) -> None:
        """Press a key; it comes to the window in front, as from the system."""
        modifiers = (_CONTROL if control else _NONE) | (_SHIFT if shift else _NONE) | (Qt.KeyboardModifier.AltModifier if alt else _NONE)
        for _ in range(times):
            QTest.keyClick(self._front().windowHandle(), key, modifiers)
        QTest.qWait(1)

    def hold_key(self, key: Qt.Key = Qt.Key.Key_Space, seconds: float = HELD_S, *, control: bool = False, shift: bool = False) -> None:
        """Hold a key down."""
        modifiers = (_CONTROL if control else _NONE) | (_SHIFT if shift else _NONE)
        QTest.keyPress(self._front().windowHandle(), key, modifiers)
        _wait(seconds)
        QTest.keyRelease(self._front().windowHandle(), key, modifiers)

    def write(self, text: str, *, over: bool = True) -> None:
        """Type a text.  over: in place of the one that is there."""
        if over:
            self.key(Qt.Key.Key_A, control=True)
        for letter in text:
            QTest.keyClick(self._front().windowHandle(), ord(letter))
        QTest.qWait(1)

    def tab_to(self, name: str, *, back: bool = False) -> int:
        """Press Tab until a control has the focus; return how often. Raises BenchError if it never does."""
        for pressed in range(_MOST_TABS):
            if self.focus == name:
                return pressed
            self.key(Qt.Key.Key_Backtab if back else Qt.Key.Key_Tab, shift=back, control=self._keeps_tab())
        raise BenchError(f"Tab never comes to {name!r}", where=self.window.windowTitle())

    def _keeps_tab(self) -> bool:
        """Say whether the focus is on something in which Tab is a letter, or goes from cell to cell."""
        now = QApplication.focusWidget()
        return isinstance(now, QAbstractItemView) and now.tabKeyNavigation()

    def page(self, number: int) -> None:
        """Go to a page by its key."""
        self.key(Qt.Key(int(Qt.Key.Key_0) + number), control=True)

    def pick(self, text: str) -> None:
        """Choose, by keys, an entry of the list that drops down from the control with the focus."""
        combo = QApplication.focusWidget()
        if not isinstance(combo, QComboBox) or combo.findText(text) < 0:
            raise BenchError(f"{text!r} cannot be chosen here", where=self.focus)
        steps = combo.findText(text) - combo.currentIndex()
        self.key(Qt.Key.Key_Down if steps > 0 else Qt.Key.Key_Up, times=abs(steps))


def _wait(seconds: float) -> None:
    """Wait, and let happen what was due meanwhile: QTest's own wait may end with a sleep that a busy computer makes a long one."""
    QTest.qWait(round(seconds * 1000))
    QApplication.processEvents()


def called(widget: QWidget) -> str:
    """Return what a screen reader calls a control."""
    if widget.accessibleName() or not isinstance(widget, QAbstractButton):
        return widget.accessibleName()
    return widget.text().replace("&&", "\0").replace("&", "").replace("\0", "&")


def _in_window(widget: QWidget, at: QPoint) -> tuple[Any, QPoint]:
    top = widget.window()
    return top.windowHandle(), widget.mapTo(top, at)


def _click(widget: QWidget, at: QPoint) -> tuple[Any, Qt.MouseButton, Qt.KeyboardModifier, QPoint]:
    handle, place = _in_window(widget, at)
    return handle, _LEFT, _NONE, place


def _scroll_to(widget: QWidget) -> None:
    """Turn the wheel of everything that scrolls around a control until it is in sight."""
    above = widget.parentWidget()
    while above is not None:
        if isinstance(above, QScrollArea):
            above.ensureWidgetVisible(widget)
        above = above.parentWidget()
