"""Tables of text that keep their selection while their rows change, and that a screen reader can walk."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableView, QWidget

from . import theme, words
from .badges import tip
from .guarded import guarded

Index = QModelIndex | QPersistentModelIndex
MOST_ICONS = 256
"""Pictures that are kept: every word of state in some themes and text sizes."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.  number: aligned to the right.  wide: takes the room that is left."""

    title: str
    number: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell that is more than its text.  word: of state, which is drawn by shape and colour.  order: what it is sorted by."""

    text: str
    word: str = ""
    order: Any = None


Row = Sequence[str | Cell]


class Rows(QAbstractTableModel):
    """Rows of text.  A row's key tells it from the others; without one its place does."""

    def __init__(self, columns: Sequence[Column | str]) -> None:
        super().__init__()
        self.columns = [Column(one) if isinstance(one, str) else one for one in columns]
        self.rows: list[Row] = []
        self.keys: list[Hashable] = []

    def set_rows(self, rows: Sequence[Row], keys: Sequence[Hashable] | None = None) -> None:
        """Replace the rows; where the keys stay the same only their texts change."""
        keys = list(range(len(rows)) if keys is None else keys)
        if keys == self.keys:
            changed = [at for at, (old, new) in enumerate(zip(self.rows, rows, strict=True)) if tuple(old) != tuple(new)]
            self.rows = list(rows)
            if changed:
                self.dataChanged.emit(self.index(changed[0], 0), self.index(changed[-1], len(self.columns) - 1))
            return
        self.beginResetModel()
        self.rows, self.keys = list(rows), keys
        self.endResetModel()

    def cell(self, row: int, column: int) -> Cell:
        """Return one cell."""
        found = self.rows[row][column]
        return found if isinstance(found, Cell) else Cell(found)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        """Return how many rows there are."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008, N802
        """Return how many columns there are."""
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what Qt asks of a cell."""
        if not index.isValid() or index.row() >= len(self.rows):
            return None
        cell, column = self.cell(index.row(), index.column()), self.columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return cell.text
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip(cell.text)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{column.title}: {cell.text}"
        if role == Qt.ItemDataRole.TextAlignmentRole and column.number:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.DecorationRole and cell.word:
            return icon(cell.word)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        """Return the title of a column."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self.columns[section].title
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort the rows by a column."""

        def by(at: int) -> tuple[bool, Any]:
            cell = self.cell(at, column)
            return (cell.order is None, cell.text if cell.order is None else cell.order)

        places = sorted(range(len(self.rows)), key=by, reverse=order == Qt.SortOrder.DescendingOrder)
        self.layoutAboutToBeChanged.emit()
        self.rows, self.keys = [self.rows[at] for at in places], [self.keys[at] for at in places]
        self.layoutChanged.emit()


def icon(word: str) -> Any:
    """Return the shape of a word of state as an icon, which on a selected row has the colour of its text."""
    seen, now = words.look(word), theme.current()
    return _icon(seen.shape, now.role(seen.role), now.on_selection, QFontMetrics(QApplication.font()).height())


@lru_cache(maxsize=MOST_ICONS)
def _icon(shape: words.Shape, colour: str, selected: str, side: int) -> Any:
    # Qt keeps, up to 10 MB, what it made of each picture that it painted: one that is new at every painting fills that for nothing.
    from PySide6.QtGui import QIcon

    found = QIcon(_drawn(shape, colour, side))
    found.addPixmap(_drawn(shape, selected, side), QIcon.Mode.Selected)
    return found


def _drawn(shape: words.Shape, colour: str, side: int) -> Any:
    from PySide6.QtCore import QRectF
    from PySide6.QtGui import QPainter, QPixmap

    from .badges import draw_shape

    image = QPixmap(side, side)
    image.fill(QColor(0, 0, 0, 0))
    painter = QPainter(image)
    draw_shape(painter, shape, QRectF(0, 0, side, side), colour)
    painter.end()
    return image


class Table(QTableView):
    """A table of text.  name: accessible.  picked: called with the key of the row that is chosen by Enter or a double click."""

    def __init__(self, name: str, columns: Sequence[Column | str], picked: Callable[[Any], None] | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self.model_of_rows = Rows(columns)
        self._picked = picked
        self._stale = False
        self.setModel(self.model_of_rows)
        self.setAccessibleName(name)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAlternatingRowColors(True)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        for at, column in enumerate(self.model_of_rows.columns):
            header.setSectionResizeMode(at, QHeaderView.ResizeMode.Stretch if column.wide else QHeaderView.ResizeMode.ResizeToContents)
        if picked is not None:
            self.doubleClicked.connect(lambda index: picked(self.model_of_rows.keys[index.row()]))

    @guarded
    def set_rows(self, rows: Sequence[Row], keys: Sequence[Hashable] | None = None) -> None:
        """Replace the rows and keep what is selected and where the cursor stands, by key."""
        chosen, now = self.chosen(), self.current_key()
        before = self.model_of_rows.keys
        self.model_of_rows.set_rows(rows, keys)
        if self.model_of_rows.keys == before or not (chosen or now is not None):
            return
        self._select(set(chosen), now)

    def _select(self, chosen: set[Any], now: Any) -> None:
        selection = self.selectionModel()
        flags = selection.SelectionFlag.Select | selection.SelectionFlag.Rows
        for at, key in enumerate(self.model_of_rows.keys):
            if key == now:
                selection.setCurrentIndex(self.model_of_rows.index(at, 0), selection.SelectionFlag.NoUpdate)
            if key in chosen:
                selection.select(self.model_of_rows.index(at, 0), flags)

    def chosen(self) -> list[Any]:
        """Return the keys of the selected rows, in their order."""
        return [self.model_of_rows.keys[at] for at in sorted({index.row() for index in self.selectionModel().selectedRows()})]

    def current_key(self) -> Any:
        """Return the key of the row at the cursor, None without one."""
        at = self.currentIndex().row()
        return self.model_of_rows.keys[at] if 0 <= at < len(self.model_of_rows.keys) else None

    def choose(self, key: Hashable) -> None:
        """Select the row of a key, and no other."""
        if key in self.model_of_rows.keys:
            self.selectRow(self.model_of_rows.keys.index(key))

    def set_stale(self, stale: bool) -> None:
        """Grey the table while it may be out of date."""
        if stale != self._stale:
            self._stale = stale
            self.setAccessibleName(f"{self.name}, stale" if stale else self.name)
            self.retheme()

    def retheme(self) -> None:
        """Take colours and text size of another theme."""
        now, colours = theme.current(), theme.palette(theme.current())
        if self._stale:
            colours.setColor(colours.ColorRole.Text, QColor(now.muted))
        self.setPalette(colours)
        self.verticalHeader().setDefaultSectionSize(max(24, self.fontMetrics().height() + 8))
        self.setIconSize(QSize(self.fontMetrics().height(), self.fontMetrics().height()))
        for at in range(self.horizontalHeader().count()):
            # The widths that were measured hold for the text size and the icons of before.
            self.horizontalHeader().setSectionResizeMode(at, self.horizontalHeader().sectionResizeMode(at))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Pick a row by Enter, copy the selected ones by Ctrl+C as tab-separated text."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._picked is not None and self.current_key() is not None:
            self._picked(self.current_key())
        elif event.matches(QKeySequence.StandardKey.Copy):
            QApplication.clipboard().setText(self.copied())
        else:
            super().keyPressEvent(event)

    def copied(self) -> str:
        """Return the selected rows, with titles, as tab-separated text."""
        places = sorted({index.row() for index in self.selectionModel().selectedRows()})
        lines = [[column.title for column in self.model_of_rows.columns]]
        lines += [[self.model_of_rows.cell(at, column).text for column in range(len(self.model_of_rows.columns))] for at in places]
        return "\n".join("\t".join(line) for line in lines)


def monospaced() -> QFont:
    """Return the fixed-width font at the application's size."""
    from PySide6.QtGui import QFontDatabase

    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    font.setPointSizeF(QApplication.font().pointSizeF())
    return font
