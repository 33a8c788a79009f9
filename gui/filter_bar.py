"""The fields above a table that say which of its rows are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QPushButton, QWidget

from . import words
from .badges import Value
from .fields import labelled
from .flow import Flow

ALL = "all"
_MARGIN_PX = 10


class FilterBar(QWidget):
    """Fields, a button that shows everything, and how much is shown.

    what: is filtered, in the plural.  fields: label with its mnemonic, accessible name, the field, and what stands in an empty one.
    letters: how many have room in a line, where not twenty.  changed: the operator wants to see others.
    """

    changed = Signal()

    def __init__(self, what: str, fields: Sequence[tuple[str, str, QLineEdit | QComboBox, str]], letters: Mapping[QLineEdit, int] | None = None) -> None:
        super().__init__()
        self._fields, self._letters = [field for _, _, field, _ in fields], letters or {}
        self.all, self.shown = QPushButton("Show a&ll"), Value(f"{what.capitalize()} shown", "0")
        self._flow = Flow(self, _MARGIN_PX)
        for label, name, field, hint in fields:
            field.setAccessibleName(name)
            field.setMinimumHeight(24)
            if isinstance(field, QLineEdit):
                field.setPlaceholderText(hint)
                field.setClearButtonEnabled(True)
                field.textChanged.connect(lambda _: self.changed.emit())
            else:
                field.currentIndexChanged.connect(lambda _: self.changed.emit())
            self._flow.addWidget(labelled(label, field))
        self.all.setAccessibleName(f"Show all {what}")
        self.all.clicked.connect(self.reset)
        for widget in (self.all, self.shown):
            self.add(widget)
        self.retheme()

    def add(self, widget: QWidget) -> None:
        """Put something more at the end."""
        widget.setMinimumHeight(24)
        self._flow.addWidget(widget)

    def reset(self) -> None:
        """Show everything."""
        for field in self._fields:
            if isinstance(field, QLineEdit):
                field.clear()
            else:
                field.setCurrentIndex(0)

    def retheme(self) -> None:
        """Take another text size: some words fit into the fields."""
        for field in self._fields:
            if isinstance(field, QLineEdit):
                field.setMinimumWidth(field.fontMetrics().averageCharWidth() * self._letters.get(field, 20))


def offer_values(field: QComboBox, values: Iterable[str], *, as_names: bool = False) -> None:
    """Offer these values to choose from, too, beside all of them.  as_names: of procedures, as people say them."""
    if field.count() == 0:
        field.addItem(ALL, "")
        # It does not grow with what comes.
        field.setMinimumContentsLength(10)
        field.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    known = {field.itemData(at) for at in range(field.count())}
    for value in sorted(set(values) - known - {""}):
        field.addItem(words.spoken(value) if as_names else value, value)
