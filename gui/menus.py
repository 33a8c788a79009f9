"""Menus: every act of the window and of the page that is shown, each with its shortcut."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QActionGroup, QFontMetrics, QKeySequence
from PySide6.QtWidgets import QApplication, QMenu, QPushButton

from . import theme
from .badges import tip
from .hold import HoldButton
from .pages.page import Page
from .plots import Chart
from .welcome import NOT_ARMED

if TYPE_CHECKING:
    from .window import Window

HELP = (
    "Keys\n\n"
    "Ctrl+.  or Esc twice: make the bench safe\n"
    "Ctrl+1 to Ctrl+{pages}: pages; F6, Shift+F6: next and last panel; Tab: next control\n"
    "Ctrl+Enter: queue; Ctrl+Shift+P: pause or go on; Ctrl+Shift+L: stop after this run; Ctrl+Shift+A, held: abort\n"
    "Ctrl+F: filter; F5: read everything again; Ctrl+T: data of the focused plot as a table\n"
    "Ctrl+Plus, Ctrl+Minus, Ctrl+0: text size; Ctrl+Alt+0: default layout; Ctrl+Z, Ctrl+Y: undo, redo\n"
    "F8, Shift+F8, Ctrl+F8: earlier notices; put the notice, the safe panel away; F7, Shift+F7, Ctrl+F7: the first steps\n"
    "F9, Shift+F9, Ctrl+F9: take over, give and keep control of the bench; the menu Act has the acts of the page, with their keys\n\n"
    "What switches something on, deletes or costs is held for one second. States have a shape, a word and a colour. "
    "What is greyed and says stale has not been confirmed for two seconds."
)


_NOBODY_ASKS = "Nobody asks for control of the bench now."


class Menus:
    """The menu bar of a window."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._bar = window.menuBar()
        self._own: list[QAction] = []
        self._need_control: list[QAction] = []
        self._of_bars: list[tuple[QAction, QPushButton, str]] = []
        self._bench, self._edit, self._act = (self._menu(title) for title in ("&Bench", "&Edit", "&Act"))
        self._view, self._page, self._panels, self._help = (self._menu(title) for title in ("&View", "&Page", "Pa&nels", "&Help"))
        self._themes: dict[str, QAction] = {}
        self._page_actions: list[QAction] = []
        self._fill_bench()
        self._fill_edit()
        self._fill_view()
        self._fill_act()
        self._fill_pages()
        self._add(self._help, "&Keys", self.show_help, "F1")

    def _menu(self, title: str) -> QMenu:
        menu = self._bar.addMenu(title)
        menu.setAccessibleName(title.replace("&", ""))
        menu.setToolTipsVisible(True)
        return menu

    def _add(self, menu: QMenu, text: str, act: Callable[[], object], shortcut: str = "", *, control: bool = False) -> QAction:
        action = QAction(text, self._window)
        if shortcut:
            action.setShortcuts([QKeySequence(one) for one in shortcut.split(" ")])
        action.triggered.connect(lambda _checked=False: act())
        menu.addAction(action)
        self._window.addAction(action)
        self._own.append(action)
        if control:
            self._need_control.append(action)
        return action

    def _add_button(self, menu: QMenu, text: str, button: QPushButton, shortcut: str, otherwise: str = "") -> None:
        """List the button of a bar that comes and goes: offered while it can be pressed; one that is to be held gets the focus.

        otherwise: said by its key while it is there and cannot be pressed.
        """
        press = button.setFocus if isinstance(button, HoldButton) else button.click
        action = self._add(menu, text, lambda: press() if button.isEnabled() else self._window.desk.notice(otherwise), shortcut)
        self._of_bars.append((action, button, otherwise))

    def _fill_bench(self) -> None:
        window, opening = self._window, self._window.opening
        self._add(self._bench, "&Simulated bench", opening.simulate, "Ctrl+Shift+I")
        self._add(self._bench, "&Open a station file…", window.welcome.ask_for_file, "Ctrl+O")
        self._add(self._bench, "S&tart the bench", opening.start, "Ctrl+Shift+O")
        self._bench.addSeparator()
        safe = self._add(self._bench, "&Make safe\tCtrl+.", window.safety.press)
        safe.setToolTip("Also Esc twice, in any window, menu or dialog")
        self._add(self._bench, "&Reset after a trip: hold the button", self._to_reset, "Ctrl+Shift+F5", control=True)
        self._add(self._bench, "Go to &arming (hold to arm)", lambda: window.desk.show_page("bench", "arming"), "Ctrl+Alt+A")
        self._add(self._bench, "Read everything a&gain", lambda: window.desk.ask("reread", timeout_s=15.0), "F5")
        self._bench.addSeparator()
        strip = window.strip
        self._add(self._bench, "Ta&ke over control: hold the button", lambda: self._to(strip.take_over, "This window controls the bench, or has none."), "F9")
        self._add(self._bench, "Gi&ve control: hold the button", lambda: self._to(strip.hand_over, _NOBODY_ASKS), "Shift+F9")
        self._add(self._bench, "Keep &control", lambda: strip.keep.click() if strip.keep.isVisible() else window.desk.notice(_NOBODY_ASKS), "Ctrl+F9")
        self._bench.addSeparator()
        first = window.first_light
        self._add_button(self._bench, "First steps: &1, arm: hold the button", first.arm, "F7")
        self._add_button(self._bench, "First steps: &2, start count rates", first.count, "Shift+F7", NOT_ARMED)
        self._add_button(self._bench, "First steps: &put away", first.not_now, "Ctrl+F7")
        self._bench.addSeparator()
        self._add(self._bench, "&Quit", window.close, "Ctrl+Q")

    def _fill_edit(self) -> None:
        undo = self._window.desk.undo
        for action, shortcut in ((undo.createUndoAction(self._window, "&Undo"), "Ctrl+Z"), (undo.createRedoAction(self._window, "&Redo"), "Ctrl+Y")):
            action.setShortcut(QKeySequence(shortcut))
            self._edit.addAction(action)
            self._window.addAction(action)
        self._add(self._edit, "&Filter", self._window.filter, "Ctrl+F")

    def _fill_view(self) -> None:
        window = self._window
        group = QActionGroup(window)
        for choice, text in zip(theme.CHOICES, ("Colours of the &system", "&Light", "&Dark", "&High contrast"), strict=True):
            key = f"Ctrl+Alt+{len(self._themes) + 1}"
            action = self._add(self._view, text, lambda choice=choice: window.set_theme(choice), key)  # type: ignore[misc]
            action.setCheckable(True)
            group.addAction(action)
            self._themes[choice] = action
        self._view.addSeparator()
        self._add(self._view, "Larger &text", lambda: window.step_text_size(1), "Ctrl++ Ctrl+=")
        self._add(self._view, "S&maller text", lambda: window.step_text_size(-1), "Ctrl+-")
        self._add(self._view, "&Normal text", lambda: window.step_text_size(None), "Ctrl+0")
        self._view.addSeparator()
        self._add(self._view, "N&ext panel", lambda: window.next_panel(1), "F6")
        self._add(self._view, "Last &panel", lambda: window.next_panel(-1), "Shift+F6")
        self._add(self._view, "&Reset the layout of this page", self._reset_layout, "Ctrl+Alt+0")
        # The key is heard by the plot itself.
        self._add(self._view, "Data of the focused plot as a ta&ble\tCtrl+T", self._to_table)
        self._view.addSeparator()
        self._add(self._view, "Show earlier n&otices", window.notices.show_earlier, "F8")
        self._add_button(self._view, "Dismiss the not&ice", window.notices.dismiss, "Shift+F8")
        self._add_button(self._view, "Put the safe panel a&way", window.safe_panel.away, "Ctrl+F8")

    def _fill_act(self) -> None:
        window = self._window
        self._add(self._act, "&Queue", lambda: window.page.enqueue() if window.page is not None else None, "Ctrl+Return Ctrl+Enter")
        self._add(self._act, "&Pause or go on", window.pause, "Ctrl+Shift+P", control=True)
        self._add(self._act, "Stop after this &run, or go on", window.hold, "Ctrl+Shift+L", control=True)
        self._add(self._act, "&Abort what is on: hold the button\tCtrl+Shift+A", self._to_abort)
        self._act.addSeparator()

    def _to_abort(self) -> None:
        """Put the focus on the button that aborts; the act itself is held for a second."""
        self._to(self._window.abort_button, "Nothing is on that could be aborted.")

    def _to(self, button: HoldButton, otherwise: str) -> None:
        """Put the focus on a button that has to be held, or say why it is not there."""
        if button.isVisible() and button.isEnabled():
            button.setFocus()
        else:
            self._window.desk.notice(otherwise)

    def _to_table(self) -> None:
        """Show the data of the plot with the focus as a table."""
        widget = QApplication.focusWidget()
        while widget is not None and not isinstance(widget, Chart):
            widget = widget.parentWidget()
        if widget is not None:
            widget.show_table()
        else:
            self._window.desk.notice("Put the focus on a plot first, by Tab or F6.")

    def _to_reset(self) -> None:
        """Go to the button that resets, beside the cause; the act itself is held for a second."""
        desk = self._window.desk
        if (desk.latest("safety") or {}).get("state") == "TRIPPED":
            desk.show_page("bench", "arming")
        else:
            desk.notice("The bench has not tripped: there is nothing to reset.")

    def _reset_layout(self) -> None:
        page = self._window.page
        if page is not None:
            self._window.layouts.reset(page)

    def _fill_pages(self) -> None:
        window = self._window
        for number, page in enumerate(window.pages, 1):
            self._add(self._page, f"&{number} {page.title()}", lambda name=page.NAME: window.show_page(name), f"Ctrl+{number}")  # type: ignore[misc]

    def page_changed(self, page: Page) -> None:
        """List the acts and the panels of a page; where it has an act for a key, the window's own one steps back."""
        for action in self._page_actions:
            self._act.removeAction(action)
        self._page_actions = page.menu_actions()
        self._act.addActions(self._page_actions)
        taken = {key.toString() for action in self._page_actions for key in action.shortcuts()}
        for action in self._own:
            action.setEnabled(not any(key.toString() in taken for key in action.shortcuts()))
        self._panels.clear()
        for dock in page.panels():
            self._panels.addAction(dock.toggleViewAction())
        self.enable()

    def enable(self) -> None:
        """Offer what this window may ask for."""
        desk = self._window.desk
        taken = {key.toString() for action in self._page_actions for key in action.shortcuts()}
        for action in self._need_control:
            action.setEnabled(desk.controls and not any(key.toString() in taken for key in action.shortcuts()))
            action.setToolTip("" if desk.controls else tip(desk.view_only_why))
        self.enable_bars()
        choice = self._window.theme_choice
        self._themes.get(choice, self._themes["system"]).setChecked(True)

    def enable_bars(self) -> None:
        """Offer the acts of the bars that are there now."""
        for action, button, otherwise in self._of_bars:
            action.setEnabled(button.isVisible() and (button.isEnabled() or bool(otherwise)))
            action.setToolTip("" if button.isEnabled() else otherwise)

    def show_help(self) -> None:
        """Show the keys, in a window that is not modal."""
        from PySide6.QtCore import Qt
        from PySide6.QtGui import QShortcut
        from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

        window = QWidget(self._window, Qt.WindowType.Window)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.setWindowTitle("Keys")
        text = QPlainTextEdit(HELP.format(pages=len(self._window.pages)))
        text.setReadOnly(True)
        text.setTabChangesFocus(True)
        text.setAccessibleName("Keys")
        QVBoxLayout(window).addWidget(text)
        QShortcut(QKeySequence("Ctrl+W"), window).activated.connect(window.close)
        metrics = QFontMetrics(QApplication.font())
        window.resize(metrics.averageCharWidth() * 90, metrics.height() * 20)
        window.show()
        text.setFocus()
