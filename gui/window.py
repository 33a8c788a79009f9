"""The window: strip, notices, pages, menus. It shows what the owner confirmed and sends what the operator wants."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QEvent, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QFontMetrics, QGuiApplication
from PySide6.QtWidgets import QApplication, QMainWindow, QMessageBox, QStackedWidget, QTabBar, QVBoxLayout, QWidget

from ..core.errors import BenchError
from . import announce, layout, sheet, theme, words
from .desk import Desk, Passing
from .held import QueueNotices
from .hold import HoldButton, answer_by_hold
from .menus import Menus
from .notices import Notices
from .opening import Opening
from .pages import registry
from .pages.page import Page, Panel, first_control
from .rescue import Rescue, failed, is_silent
from .safe import Keys, SafePanel, Safety
from .strip import SmallStrip, Strip, pause_or_go_on
from .tick import Tick
from .welcome import FirstLight, Welcome, remember

log = logging.getLogger(__name__)

TEXT_SIZES = (100, 110, 125, 150, 175, 200)
RESIZE_MS = 150
_GEOMETRY = f"layout/{layout.VERSION}/{layout.PROFILE}/window"
_START = "Bench, Start the bench, starts it again."
_OWNER = "the owner that is gone"
_BY_HAND = "Switch the light off by hand, now."


class Window(QMainWindow):
    """The main window of one bench.  closed: emitted once everything has been left in order.

    unwanted: asked before each page is made; once it says so no more are, for the window is to be closed.
    """

    closed = Signal()

    def __init__(self, desk: Desk, *, pages: list[type[Page]] | None = None, unwanted: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self.desk = desk
        self._classes = registry.classes() if pages is None else pages
        self._point_size = QApplication.font().pointSizeF()
        self._over = False
        # Widgets that are made before would keep the sizes of a text that is not theirs.
        self._dress()
        self.asks_before_closing = True
        self._ends_bench = False
        self.safety = Safety(desk)
        self.rescue = Rescue(desk, self.safety)
        self._lost = False
        self.keys = Keys()
        self.opening = Opening(desk, self.safety)
        self.strip = Strip(desk, self.safety.press)
        self.safe_panel = SafePanel(desk)
        self.notices = Notices()
        self.first_light = FirstLight(desk)
        self.announcer = announce.Announcer(desk)
        self.welcome = Welcome(desk)
        self.tabs, self.stack = QTabBar(), QStackedWidget()
        self._shown: set[str] = set()
        self._restyled: set[str] = set()
        self._resized = QTimer(self, singleShot=True, interval=RESIZE_MS)
        self._resized.timeout.connect(self.apply_appearance)
        self._build()
        self.pages = self._make_pages(unwanted)
        self.layouts = layout.Layouts(desk, self.pages)
        self.tick = Tick(desk, self.pages, (self.opening, self.strip, self.announcer, self.first_light, QueueNotices(desk)))
        self.menus = Menus(self)
        self._connect()
        self.apply_appearance()
        self._titled()
        self._place()
        self.tick.start()

    # Made once

    def _build(self) -> None:
        self.setObjectName("window")
        self.setAnimated(False)
        self.tabs.setAccessibleName("Pages")
        self.tabs.setExpanding(False)
        self.tabs.setDrawBase(False)
        self.tabs.setUsesScrollButtons(True)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        for widget in (self.strip, self.safe_panel, self.notices, self.first_light, self.tabs):
            column.addWidget(widget)
        column.addWidget(self.stack, 1)
        self.setCentralWidget(inside)
        self.stack.addWidget(self.welcome)
        self.tabs.hide()

    def _connect(self) -> None:
        desk, safety = self.desk, self.safety
        QApplication.instance().installEventFilter(self.keys)  # type: ignore[union-attr]
        self.keys.safe.connect(safety.press)
        self.keys.abort.connect(self.abort)
        safety.asked.connect(self.safe_panel.asked)
        safety.made.connect(self.safe_panel.made)
        safety.failed.connect(self.safe_panel.failed)
        self.rescue.found.connect(self._rescued)
        desk.noticed.connect(self._notice)
        desk.settled.connect(self.notices.settle)
        desk.announced.connect(lambda text: announce.say(self, text))
        desk.page_wanted.connect(self.show_page)
        desk.control_changed.connect(self._control_changed)
        desk.connected.connect(self._connected)
        desk.ticked.connect(self._ticked)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._scheme_changed)
        self.opening.began.connect(self._began)
        self.opening.progress.connect(self._progress)
        self.opening.given_up.connect(self._given_up)
        self.welcome.simulate.connect(self.opening.simulate)
        self.welcome.chosen.connect(self.opening.open)
        self.tabs.currentChanged.connect(lambda at: self._show(self.pages[at]) if 0 <= at < len(self.pages) else None)

    def _make_pages(self, unwanted: Callable[[], bool]) -> list[Page]:
        pages = [one(self.desk) for one in self._classes if not unwanted()]
        for number, page in enumerate(pages, 1):
            page.small_strip = lambda: SmallStrip(self.desk, self.safety.press)
            page.default_layout()
            self.stack.addWidget(page)
            self.tabs.addTab(page.title())
            self.tabs.setTabToolTip(number - 1, f"{page.title()} (Ctrl+{number})")
        return pages

    def _place(self) -> None:
        """Take the place of last time."""
        stored = self.desk.settings.value(_GEOMETRY)
        if not (isinstance(stored, QByteArray) and self.restoreGeometry(stored)):
            room = self.screen().availableGeometry()
            self.resize(min(1440, room.width()), min(900, room.height()))
        layout.move_in(self)

    # The bench

    def _began(self, station: Path) -> None:
        remember(self.desk, station)
        self.safe_panel.hide()
        self.tabs.show()
        self._titled()
        if self.pages:
            self._show(self.pages[0])

    def _given_up(self) -> None:
        """Offer the choice again: the bench that was chosen could not be opened."""
        self.tabs.hide()
        self.stack.setCurrentWidget(self.welcome)
        self._titled()

    def _progress(self, text: str) -> None:
        self.welcome.doing(text)
        self.statusBar().showMessage(text)
        self.statusBar().setVisible(bool(text))
        if text:
            self.desk.announce(text)

    def _connected(self, here: bool) -> None:
        lost, self._lost = self._lost, not here
        if not here:
            at = words.clock(time.time())
            self.safe_panel.grow_old()
            error = BenchError(f"the owner of the bench was lost at {at}; what its watchdog did is looked for", where="bench", remedy=_START)
            self.desk.notice(Passing(error, _OWNER))
            self.rescue.look()
            return
        self.rescue.stop()
        self.statusBar().hide()
        if lost:
            self.desk.settle(_OWNER, f"The bench is back since {words.clock(time.time())}.")
            standing = "this window controls it" if self.desk.controls else self.desk.view_only_why
            self.desk.notice(f"The bench is back at {words.clock(time.time())}: {standing}.")

    def _rescued(self, told: dict[str, Any]) -> None:
        """Tell what the watchdog did once the owner was gone."""
        self.safe_panel.made(told)
        at, wrong = words.clock(float(told.get("time") or 0.0)), failed(told)
        did = f"could NOT make {', '.join(wrong)} safe" if wrong else "made the bench safe"
        what = f"the owner of the bench is gone ({told.get('cause', 'cause unknown')}); the {told.get('by', 'watchdog')} {did} at {at}"
        error = BenchError(what, where="bench", remedy=f"{_BY_HAND} {_START}" if wrong else _START)
        self.desk.notice(error if wrong else Passing(error, _OWNER))

    def _control_changed(self) -> None:
        self.menus.enable()

    def _titled(self) -> None:
        station = self.desk.latest("station")
        named = station.name if station is not None else self.desk.station.name if self.desk.station is not None else ""
        mode = station.mode if station is not None else ""
        title = ", ".join(part for part in (f"{named} - Heliograph" if named else "Heliograph", mode) if part)
        if title != self.windowTitle():
            self.setWindowTitle(title)
            for panel in (one for page in self.pages for one in page.panels() if isinstance(one, Panel)):
                panel.named()

    def _ticked(self) -> None:
        """Look at the clock: staleness, title, pace, layouts."""
        for page in self.pages:
            stale = self.desk.station is not None and is_silent(self.desk, page.HEARD_BY)
            if page.is_stale != stale and page.can_be_seen():
                page.stale(stale)
        self.strip.interval_ms = self.tick.pace.interval_ms
        self.strip.refused = self.opening.refused.message if self.opening.refused is not None else ""
        self._titled()
        safety = self.desk.latest("safety")
        if safety is not None:
            self.safe_panel.follow(safety)
        self.menus.enable_bars()
        self.layouts.tick()

    # Pages

    @property
    def page(self) -> Page | None:
        """Return the page that is shown."""
        now = self.stack.currentWidget()
        return now if isinstance(now, Page) else None

    def show_page(self, name: str, wish: object = None) -> None:
        """Show a page, and pass on what it is wanted for."""
        for page in self.pages:
            if name == page.NAME:
                self._show(page)
                if wish is not None:
                    page.wish(wish)

    def _show(self, page: Page) -> None:
        if self.page is not page:
            # Of a page that cannot be seen, nobody can say later what the operator has moved.
            self.layouts.save()
        self.stack.setCurrentWidget(page)
        self.tabs.setCurrentIndex(self.pages.index(page))
        if page.NAME in self._restyled:
            # Widgets that cannot be seen learn of other sizes when they can.
            self._restyled.discard(page.NAME)
            QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
            page.retheme()
        if page.NAME not in self._shown:
            self._shown.add(page.NAME)
            page.shown_first()
        self.menus.page_changed(page)
        self.tick.tick()

    def next_panel(self, by: int) -> None:
        """Put the focus into the next panel of the page, the strip included."""
        page = self.page
        panels: list[QWidget] = [self.strip, *([dock for dock in page.panels() if dock.isVisible()] if page is not None else [self.welcome])]
        focus = QApplication.focusWidget()
        now = next((at for at, panel in enumerate(panels) if focus is not None and (panel is focus or panel.isAncestorOf(focus))), -1 if by > 0 else 0)
        target = panels[(now + by) % len(panels)]
        if isinstance(target, Panel):
            target.focus()
        elif (control := first_control(target)) is not None:
            self.activateWindow()
            control.setFocus(Qt.FocusReason.ShortcutFocusReason)

    # Appearance

    @property
    def text_size(self) -> int:
        """Return the text size, percent."""
        stored = self.desk.settings.value("appearance/text", 100)
        try:
            return min(max(int(str(stored)), TEXT_SIZES[0]), TEXT_SIZES[-1])
        except ValueError:
            return TEXT_SIZES[0]

    def set_text_size(self, percent: int) -> None:
        """Change the text size."""
        self.desk.settings.setValue("appearance/text", percent)
        self.apply_appearance()

    def step_text_size(self, by: int | None) -> None:
        """Make the text larger or smaller by a step, or normal; once keys are no longer pressed, for one step keeps the event loop some tenths of a second."""
        now = min(range(len(TEXT_SIZES)), key=lambda at: abs(TEXT_SIZES[at] - self.text_size))
        wanted = TEXT_SIZES[0 if by is None else min(max(now + by, 0), len(TEXT_SIZES) - 1)]
        self.desk.settings.setValue("appearance/text", wanted)
        self._resized.start()

    @property
    def theme_choice(self) -> str:
        """Return the theme that was chosen."""
        return str(self.desk.settings.value("appearance/theme", "system"))

    def set_theme(self, choice: str) -> None:
        """Change the theme; data and layout stay."""
        self.desk.settings.setValue("appearance/theme", choice)
        self.apply_appearance()

    def _scheme_changed(self) -> None:
        """Follow the desktop to its other colours, where they are to be those of the system."""
        if not self._over and theme.resolve(self.theme_choice) is not theme.current():
            self.apply_appearance()

    def apply_appearance(self) -> None:
        """Give everything the colours and the text size of the preferences."""
        self._dress()
        # What pages arrange themselves is measured anew once the layouts inside know their new sizes.
        QApplication.sendPostedEvents(None, QEvent.Type.LayoutRequest.value)
        for page in self.pages:
            page.retheme()
        self._restyled = {page.NAME for page in self.pages if not page.isVisible()}
        for widget in self.findChildren(QWidget):
            change = getattr(widget, "retheme", None)
            if change is not None and not any(page.isAncestorOf(widget) for page in self.pages):
                change()
        if self.page is not None:
            self.layouts.fit(self.page)
        self.menus.enable()
        self.desk.theme_changed.emit()

    def _dress(self) -> None:
        """Give the application the colours and the text size of the preferences."""
        app = QApplication.instance()
        if not isinstance(app, QApplication):
            return
        # Changing a sheet keeps the event loop three times as long as taking it away and giving a new one.
        app.setStyleSheet("")
        theme.apply(app, theme.resolve(self.theme_choice))
        font = app.font()
        font.setPointSizeF(self._point_size * self.text_size / 100)
        app.setFont(font)
        app.setStyleSheet(sheet.sheet(theme.current(), QFontMetrics(font).height()))

    # Acts

    @property
    def abort_button(self) -> HoldButton:
        """Return the button that Ctrl+Shift+A stands for: the one of the page that is shown, where it has one, else the strip's."""
        return (self.page.abort_button() if self.page is not None else None) or self.strip.abort

    def abort(self) -> None:
        """Do what the button does."""
        button = self.abort_button
        if button is self.strip.abort or button.isEnabled():
            button.held.emit()
        else:
            self.desk.notice(f"{button.accessibleDescription()}.")

    def pause(self) -> None:
        """Pause the run at its next checkpoint, or let it go on."""
        pause_or_go_on(self.desk)

    def hold(self) -> None:
        """Begin nothing more after the run that is on; or go on."""
        queue = self.desk.latest("queue")
        if queue is not None and queue.held:
            self.desk.ask("go_on")
        else:
            self.desk.ask("hold", {"on": True, "why": "stop after this"})

    def filter(self) -> None:
        """Go to the filter of the page."""
        field = self.page.filter_field() if self.page is not None else None
        if field is not None:
            field.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _notice(self, what: object) -> None:
        self.notices.tell(what)
        announce.say(self.notices, self.notices.earlier[-1].text, urgent=True)

    # The end

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Leave the bench in order; where that would end what others do on it, or a run, the operator decides."""
        if self._over:
            event.accept()
            return
        if self.asks_before_closing and self.opening.owns and (ends := self._what_ends()):
            event.ignore()
            self._ask_whether_to_close(ends)
            return
        self.leave()
        event.accept()

    def _what_ends(self) -> list[str]:
        """Return what would come to an end, or into the dark, along with the bench that was started here."""
        queue, safety = self.desk.latest("queue"), self.desk.latest("safety") or {}
        ends = [f"{words.spoken(row.procedure)}, job {row.job}, is {row.state}." for row in (queue.rows if queue is not None else ()) if row.on]
        return ends + ([f"{holder} controls the bench, which becomes safe."] if (holder := self._other_holder(safety)) else [])

    def _other_holder(self, safety: dict[str, Any]) -> str:
        """Return who else controls the bench, empty where nobody does."""
        controller = safety.get("controller")
        return "" if controller in (None, os.getpid()) else str(safety.get("holder") or f"Process {controller}")

    def _ask_whether_to_close(self, ends: list[str]) -> None:
        told = " ".join([*ends, "Closing this window ends the bench, which was started here, and all that is done on it."])
        box = QMessageBox(QMessageBox.Icon.NoIcon, "End the bench?", told, parent=self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setOption(QMessageBox.Option.DontUseNativeDialog)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        answer_by_hold(box, "&End the bench and close (hold)", self._end_and_close)
        if self._other_holder(self.desk.latest("safety") or {}):
            box.addButton("&Leave it to them and close", QMessageBox.ButtonRole.AcceptRole).clicked.connect(self._close_alone)
        box.setDefaultButton(box.addButton("&Keep the window", QMessageBox.ButtonRole.RejectRole))
        box.open()

    def _end_and_close(self) -> None:
        """Close without asking, and end the bench whoever controls it."""
        self._ends_bench = True
        self.close_now()

    def _close_alone(self) -> None:
        """Close without asking, and let the bench go on for who controls it."""
        self.opening.let_go()
        self.close_now()

    def close_now(self) -> None:
        """Close without asking."""
        self.asks_before_closing = False
        self.close()

    def leave(self) -> None:
        """Save what is to be kept, leave the bench, end what was started here, unless somebody else controls it and nobody said that it is to end."""
        if self._over:
            return
        self._over = True
        self.rescue.stop()
        self.tick.stop()
        self._resized.stop()
        self.layouts.save()
        self.desk.settings.setValue(_GEOMETRY, self.saveGeometry())
        self.desk.settings.sync()
        self.hide()
        app = QApplication.instance()
        if app is not None:
            app.removeEventFilter(self.keys)
        if not self._ends_bench and self._other_holder(self.desk.latest("safety") or {}):
            self.opening.let_go()
        self.opening.close()
        self.desk.close()
        self.closed.emit()
