"""Events as a model for a table: thousands of rows, of which only those are made that are looked at."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from ...control.topics import Event
from .. import theme, words
from ..badges import tip
from ..tables import icon

Index = QModelIndex | QPersistentModelIndex
TITLES = ("Time", "Severity", "Seen", "Source", "Text", "Run")
MOST = 20_000
"""Events that are kept; of more the oldest quarter is left out."""
ALARMS = ("warning", "error")


@dataclass(frozen=True, slots=True)
class Filter:
    """What is shown.  severities: any without one.  source: exactly this one.  text, run: found anywhere in it, whatever its case.  unseen: alarms only."""

    severities: frozenset[str] = frozenset()
    source: str = ""
    text: str = ""
    run: str = ""
    unseen: bool = False

    def takes(self, event: Event) -> bool:
        """Say whether an event is shown."""
        told = f"{event.text} {event.source}".lower()
        return (
            (not self.severities or event.severity in self.severities)
            and (not self.source or event.source == self.source)
            and (not self.run or self.run.lower() in event.run.lower())
            and (not self.unseen or (event.severity in ALARMS and not event.acknowledged))
            and all(word in told for word in self.text.lower().split())
        )


class Events(QAbstractTableModel):
    """All events in the order of their numbers as they came; `shown` has the places of those that pass the filter."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.shown: list[int] = []
        self.filter = Filter()
        self.sources: set[str] = set()
        self._places: dict[int, int] = {}

    # What comes

    def add(self, fresh: Iterable[Event]) -> None:
        """Append events; one that is known by its number is replaced: it was acknowledged."""
        first, changed, added = len(self.events), [], list[int]()
        for event in fresh:
            at = self._places.get(event.number) if event.number else None
            if at is not None:
                self.events[at] = event
                changed.append(at)
                continue
            if event.number:
                self._places[event.number] = len(self.events)
            self.events.append(event)
            self.sources.add(event.source)
        added = [at for at in range(first, len(self.events)) if self.filter.takes(self.events[at])]
        if added:
            rows = len(self.shown)
            self.beginInsertRows(QModelIndex(), rows, rows + len(added) - 1)
            self.shown += added
            self.endInsertRows()
        for at in changed:
            self._changed(at)
        if len(self.events) > MOST:
            self.set_events(self.events[MOST // 4 :])

    def _changed(self, at: int) -> None:
        row = bisect_left(self.shown, at)
        if row < len(self.shown) and self.shown[row] == at:
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(TITLES) - 1))

    def set_events(self, events: Sequence[Event]) -> None:
        """Replace all events."""
        self.beginResetModel()
        self.events = list(events)
        self._places = {event.number: at for at, event in enumerate(self.events) if event.number}
        self.sources = {event.source for event in self.events}
        self.shown = [at for at, event in enumerate(self.events) if self.filter.takes(event)]
        self.endResetModel()

    def merge(self, earlier: Sequence[Event]) -> None:
        """Take the journal; what came since and is not in it stands behind it."""
        known = {event.number for event in earlier}
        later = [event for event in self.events if event.number not in known or not event.number]
        self.set_events(sorted([*earlier, *later], key=lambda event: event.t))

    def set_filter(self, wanted: Filter) -> None:
        """Show other events."""
        if wanted != self.filter:
            self.filter = wanted
            self.set_events(self.events)

    def at(self, row: int) -> Event | None:
        """Return the event of a row that is shown."""
        return self.events[self.shown[row]] if 0 <= row < len(self.shown) else None

    # What Qt asks

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        """Return how many rows there are."""
        return 0 if parent.isValid() else len(self.shown)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        """Return how many columns there are."""
        return 0 if parent.isValid() else len(TITLES)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        """Return the title of a column."""
        return TITLES[section] if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what Qt asks of a cell."""
        event = self.at(index.row()) if index.isValid() else None
        if event is None:
            return None
        column = index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return cells(event)[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip(cells(event)[column])
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{TITLES[column]}: {cells(event)[column]}"
        if role == Qt.ItemDataRole.DecorationRole and column == 1:
            return icon(event.severity)
        if role == Qt.ItemDataRole.ForegroundRole and event.severity == "info":
            return QColor(theme.current().muted) if column in (0, 3, 5) else None
        return None


def cells(event: Event) -> tuple[str, ...]:
    """Return the texts of an event's row."""
    seen = ("seen" if event.acknowledged else "not yet") if event.severity in ALARMS else ""
    return words.clock(event.t, date=True), event.severity, seen, event.source, " ".join(event.text.split()), event.run


def line(event: Event) -> str:
    """Return an event as one line of text, to be copied."""
    return "\t".join(cells(event))
