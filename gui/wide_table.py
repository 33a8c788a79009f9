"""A table whose texts get the room that the other columns leave, but never less than some words: then it scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHeaderView, QWidget

from .guarded import guarded
from .tables import Column, Row, Table

_SAMPLED = 25
"""Rows whose texts decide how wide a column is."""


class WideTable(Table):
    """A table of text.  letters: least width of the columns that are wide."""

    def __init__(
        self, name: str, columns: Sequence[Column | str], picked: Callable[[Any], None] | None = None, parent: QWidget | None = None, *, letters: int = 22
    ) -> None:
        self._letters = letters
        super().__init__(name, columns, picked, parent)
        self._wide = [at for at, column in enumerate(self.model_of_rows.columns) if column.wide]
        self.horizontalHeader().setResizeContentsPrecision(_SAMPLED)
        for at in self._wide:
            self.horizontalHeader().setSectionResizeMode(at, QHeaderView.ResizeMode.Interactive)
        self.widen()

    @guarded
    def set_rows(self, rows: Sequence[Row], keys: Sequence[Hashable] | None = None) -> None:
        """Replace the rows and keep what is selected and where the cursor stands, by key."""
        Table.set_rows(self, rows, keys)
        self.widen()

    def widen(self) -> None:
        """Share the room again."""
        header, least = self.horizontalHeader(), self.fontMetrics().averageCharWidth() * self._letters
        others = [at for at in range(header.count()) if at not in self._wide]
        room = self.viewport().width() - sum(header.sectionSize(at) for at in others)
        for at in self._wide:
            self.setColumnWidth(at, max(least, room // max(1, len(self._wide))))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Share the room again."""
        super().resizeEvent(event)
        self.widen()

    def retheme(self) -> None:
        """Take colours and text size of another theme."""
        super().retheme()
        self.widen()
