"""The table of the queue."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from PySide6.QtWidgets import QAbstractItemView

from ..wide_table import WideTable
from .rows import COLUMNS


class QueueTable(WideTable):
    """One job a row; one of them is selected.  picked: called with a job by Enter or a double click."""

    def __init__(self, picked: Callable[[int], None]) -> None:
        super().__init__("Queue", COLUMNS, picked)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)

    def show_job(self, job: Hashable) -> None:
        """Scroll to a job, unless somebody works in the table."""
        keys = self.model_of_rows.keys
        if job in keys and not self.hasFocus():
            self.scrollTo(self.model_of_rows.index(keys.index(job), 0), QAbstractItemView.ScrollHint.PositionAtCenter)
