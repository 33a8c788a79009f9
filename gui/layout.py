"""Where panels and windows stand: kept in the user's configuration folder, with a default for what is damaged or of another version."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QEvent, QObject, QRect, QSettings, QSize, Qt
from PySide6.QtGui import QGuiApplication, QMouseEvent, QUndoCommand
from PySide6.QtWidgets import QApplication, QWidget

from .desk import Desk
from .pages.page import Page

log = logging.getLogger(__name__)

VERSION = 1
PROFILE = "default"
SETTLE_TICKS = 20
"""Ticks after a change until it is written: two seconds."""


def settings() -> QSettings:
    """Return the user's preferences: an INI file in the user's configuration folder, written atomically."""
    found = QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "heliograph", "window")
    if found.status() != QSettings.Status.NoError:
        log.warning("%s cannot be read: defaults are used", found.fileName())
    return found


def key(page: str) -> str:
    """Return the key of a page's layout."""
    return f"layout/{VERSION}/{PROFILE}/{page}"


class Layouts:
    """The layouts of all pages.

    A page whose panels the operator has moved is restored once, saved two seconds after a change, when it is left and at the end, and undone by Ctrl+Z; any
    other is arranged by its size and the size of the text.
    """

    def __init__(self, desk: Desk, pages: Sequence[Page]) -> None:
        self._desk, self._pages = desk, pages
        self._default = {page.NAME: page.saveState(VERSION) for page in pages}
        self._last = dict(self._default)
        self._fitted: dict[str, object] = {}
        self._ticks = 0
        for page in pages:
            self._restore(page)
        self._marks = {page.NAME: _mark(page) for page in pages}
        self._drags = _Drags(pages)

    def _restore(self, page: Page) -> None:
        stored = self._desk.settings.value(key(page.NAME))
        if stored is None:
            return
        if not isinstance(stored, QByteArray) or not page.restoreState(stored, VERSION):
            log.warning("the stored layout of %s is of another version or damaged: the default is used", page.title())
            page.restoreState(self._default[page.NAME], VERSION)
            self._desk.settings.remove(key(page.NAME))
        for dock in page.panels():
            if dock.isFloating():
                move_in(dock)
        self._last[page.NAME] = page.saveState(VERSION)

    def is_own(self, page: Page) -> bool:
        """Say whether the operator has arranged a page."""
        return self._desk.settings.contains(key(page.NAME))

    def fit(self, page: Page) -> None:
        """Arrange a page that can be seen anew, where its size or the text now asks for another arrangement, and the operator has not made one."""
        text = QApplication.font().pointSizeF()
        now = (text, page.is_small)
        if self._fitted.get(page.NAME) == now or not page.isVisible() or self.is_own(page):
            return
        if self._shape_changed(page):
            # What the operator has just moved stays; it is saved soon.
            return
        self._fitted[page.NAME] = now
        page.lay_out()
        self._marks[page.NAME] = _mark(page)

    def _shape_changed(self, page: Page) -> bool:
        return _mark(page).shape != self._marks[page.NAME].shape

    def tick(self) -> None:
        """Look at the page that is shown; every two seconds whether the operator has moved something."""
        self._ticks += 1
        for page in self._pages:
            if page.isVisible():
                self.fit(page)
        if self._ticks % SETTLE_TICKS == 0:
            self.save()

    def save(self) -> None:
        """Write what the operator has changed."""
        for page in self._pages:
            # Of a page that cannot be seen only the panels that were torn off can.
            if page.isVisible() or _mark(page).torn_off != self._marks[page.NAME].torn_off:
                self._save(page)

    def _save(self, page: Page) -> None:
        state, before, dragged = page.saveState(VERSION), self._last[page.NAME], self._drags.take(page)
        if state == before:
            return
        mark, was = _mark(page), self._marks[page.NAME]
        # Panels also change their size along with window, text and what is in them; only what the operator does is undone.
        alone = (mark.size, mark.text) == (was.size, was.text)
        moved = mark.shape != was.shape or (dragged and alone and mark.rects != was.rects)
        if moved and alone:
            self._desk.undo.push(_Moved(self, page, before, state))
        self._last[page.NAME], self._marks[page.NAME] = state, mark
        if moved or self.is_own(page):
            self._keep(page, state)

    def _keep(self, page: Page, state: QByteArray) -> None:
        self._last[page.NAME], self._marks[page.NAME] = state, _mark(page)
        self._desk.settings.setValue(key(page.NAME), state)
        self._desk.settings.sync()

    def put(self, page: Page, state: QByteArray) -> None:
        """Arrange a page as it was, or as it comes: then by the size that it has now. The focus stays where it is."""
        focus = QApplication.focusWidget()
        page.restoreState(state, VERSION)
        if focus is not None and focus.isVisible():
            focus.setFocus()
        if state != self._default[page.NAME]:
            self._keep(page, page.saveState(VERSION))
            return
        self._desk.settings.remove(key(page.NAME))
        page.is_stacked = False
        self._fitted.pop(page.NAME, None)
        self._marks[page.NAME] = _mark(page)
        self.fit(page)
        self._last[page.NAME] = page.saveState(VERSION)

    def reset(self, page: Page) -> None:
        """Arrange a page as it comes."""
        self.save()
        self._desk.undo.push(_Moved(self, page, self._last[page.NAME], self._default[page.NAME], now=True))


class _Drags(QObject):
    """Notes on which pages the operator has dragged the edge between two panels."""

    def __init__(self, pages: Sequence[Page]) -> None:
        super().__init__()
        self._dragged: set[str] = set()
        for page in pages:
            page.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Look at a press; nothing lies where an edge is."""
        pressed = isinstance(event, QMouseEvent) and event.type() == QEvent.Type.MouseButtonPress
        if isinstance(watched, Page) and pressed and watched.childAt(event.position().toPoint()) is None:  # type: ignore[attr-defined]
            self._dragged.add(watched.NAME)
        return False

    def take(self, page: Page) -> bool:
        """Say whether an edge was dragged since this was asked last."""
        dragged = page.NAME in self._dragged
        self._dragged.discard(page.NAME)
        return dragged


@dataclass(frozen=True, slots=True)
class _Mark:
    """What a page looked like.

    shape: of each panel where it is, whether it floats, and where, or is closed, and what lies with it.  rects: of what can be seen, whichever panel it is.
    size and text: of the page, and of what is written.
    """

    shape: tuple[tuple[object, ...], ...]
    rects: tuple[tuple[int, int, int, int], ...]
    size: QSize
    text: float

    @property
    def torn_off(self) -> tuple[object, ...]:
        """Return of the panels that float where they are, and whether they are closed."""
        return tuple(one for one in self.shape if one[2] is not None)


def _mark(page: Page) -> _Mark:
    docks = sorted(page.panels(), key=lambda dock: dock.objectName())
    shape = tuple(
        (
            dock.objectName(),
            page.dockWidgetArea(dock),
            dock.geometry().getRect() if dock.isFloating() else None,
            dock.isHidden() and dock.testAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide),
            tuple(sorted(other.objectName() for other in page.tabifiedDockWidgets(dock))),
        )
        for dock in docks
    )
    seen = [dock.geometry() for dock in docks if dock.isVisible() and page.rect().intersects(dock.geometry())]
    return _Mark(shape, tuple(sorted((one.x(), one.y(), one.width(), one.height()) for one in seen)), page.size(), QApplication.font().pointSizeF())


class _Moved(QUndoCommand):
    """Panels of a page were moved.  now: they still have to be."""

    def __init__(self, layouts: Layouts, page: Page, before: QByteArray, after: QByteArray, *, now: bool = False) -> None:
        super().__init__(f"layout of {page.title()}")
        self._layouts, self._page, self._before, self._after = layouts, page, before, after
        self._done = not now

    def undo(self) -> None:
        """Move them back."""
        self._layouts.put(self._page, self._before)

    def redo(self) -> None:
        """Move them again; the operator has done it the first time."""
        if self._done:
            self._done = False
            return
        self._layouts.put(self._page, self._after)


def move_in(window: QWidget) -> None:
    """Move a window that lies off every screen onto the nearest one, and make one smaller that does not fit."""
    frame = window.frameGeometry()
    screens = [screen.availableGeometry() for screen in QGuiApplication.screens()]
    if not screens or any(_shows(screen, frame) for screen in screens):
        return
    screen = min(screens, key=lambda one: (one.center() - frame.center()).manhattanLength())
    size = frame.size().boundedTo(screen.size())
    window.resize(size)
    window.move(max(screen.left(), min(frame.left(), screen.right() - size.width())), max(screen.top(), min(frame.top(), screen.bottom() - size.height())))


def _shows(screen: QRect, frame: QRect) -> bool:
    """Say whether enough of a window can be seen to take hold of it."""
    seen = screen.intersected(frame)
    return seen.width() >= min(100, frame.width()) and seen.height() >= min(40, frame.height()) and frame.top() >= screen.top()
