"""The table of events: it follows the latest one until somebody scrolls up."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QItemSelectionModel, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableView

from ...control.topics import Event
from .. import theme
from .events import TITLES, Events, line

_LETTERS = (19, 12, 8, 14, 0, 30)
"""Widths of the columns; the text gets what is left, but never less than some words."""
_TEXT_LETTERS = 36


class EventTable(QTableView):
    """Events, several of which can be selected.  followed: whether it follows the latest one.  picked: called with an event by Enter or a double click."""

    follows = Signal(bool)

    def __init__(self, model: Events, picked: Callable[[Event], None]) -> None:
        super().__init__()
        self.events = model
        self.following = True
        self._picked, self._stale = picked, False
        self.setModel(model)
        self.setAccessibleName("Events")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAlternatingRowColors(True)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.horizontalHeader().setHighlightSections(False)
        self.doubleClicked.connect(lambda index: self._pick(index.row()))
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        model.rowsInserted.connect(lambda *_: self._to_the_end())
        model.modelReset.connect(self._to_the_end)
        self.retheme()

    def _to_the_end(self) -> None:
        if self.following:
            self.scrollToBottom()

    def _scrolled(self, value: int) -> None:
        """Follow while the last row is in sight; rows that have just come have not moved the bar yet."""
        bar = self.verticalScrollBar()
        if bar.isSliderDown() or self.underMouse() or self.hasFocus():
            self.follow(value >= bar.maximum())

    def follow(self, on: bool) -> None:
        """Follow the latest event, or stand still."""
        if on != self.following:
            self.following = on
            self.follows.emit(on)
        self._to_the_end()

    def chosen(self) -> list[Event]:
        """Return the selected events, in their order."""
        rows = sorted({index.row() for index in self.selectionModel().selectedRows()})
        return [event for row in rows if (event := self.events.at(row)) is not None]

    def choose(self, numbers: set[int]) -> None:
        """Select the events of these numbers."""
        selection, flags = self.selectionModel(), QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for row in range(self.events.rowCount()):
            event = self.events.at(row)
            if event is not None and event.number in numbers:
                selection.select(self.events.index(row, 0), flags)

    def _pick(self, row: int) -> None:
        event = self.events.at(row)
        if event is not None:
            self._picked(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Begin at the last event: Qt would put the cursor on the first one, out of sight."""
        if not self.currentIndex().isValid() and self.events.rowCount():
            self.selectionModel().setCurrentIndex(self.events.index(self.events.rowCount() - 1, 0), QItemSelectionModel.SelectionFlag.NoUpdate)
        super().focusInEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Go to the run by Enter, copy by Ctrl+C."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._pick(self.currentIndex().row())
        elif event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        else:
            super().keyPressEvent(event)

    def copy(self) -> None:
        """Put the selected events on the clipboard, a line each."""
        QApplication.clipboard().setText("\n".join(["\t".join(TITLES), *(line(one) for one in self.chosen())]))

    def set_stale(self, stale: bool) -> None:
        """Grey the table while something may be missing from it."""
        if stale != self._stale:
            self._stale = stale
            self.setAccessibleName("Events, stale" if stale else "Events")
            self.retheme()

    def retheme(self) -> None:
        """Take colours and text size of another theme."""
        colours = theme.palette(theme.current())
        if self._stale:
            colours.setColor(colours.ColorRole.Text, QColor(theme.current().muted))
        self.setPalette(colours)
        self.verticalHeader().setDefaultSectionSize(max(24, self.fontMetrics().height() + 8))
        self.setIconSize(QSize(self.fontMetrics().height(), self.fontMetrics().height()))
        self._widen()
        self._to_the_end()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Give the texts what is left."""
        super().resizeEvent(event)
        self._widen()
        self._to_the_end()

    def _widen(self) -> None:
        letter = self.fontMetrics().horizontalAdvance("0")
        for at, letters in enumerate(_LETTERS):
            if letters:
                self.setColumnWidth(at, letter * (letters + 2))
        rest = self.viewport().width() - sum(letter * (letters + 2) for letters in _LETTERS if letters)
        self.setColumnWidth(_LETTERS.index(0), max(letter * _TEXT_LETTERS, rest))
