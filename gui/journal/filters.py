"""The fields that say which events are shown."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QPushButton, QWidget

from ..badges import Value
from ..fields import labelled
from ..flow import Flow
from .events import Filter

_SEVERITIES: tuple[tuple[str, frozenset[str], bool], ...] = (
    ("all", frozenset(), False),
    ("warnings and errors", frozenset({"warning", "error"}), False),
    ("not acknowledged", frozenset(), True),
    ("errors", frozenset({"error"}), False),
    ("warnings", frozenset({"warning"}), False),
    ("notes", frozenset({"note"}), False),
    ("infos", frozenset({"info"}), False),
)
_ALL = "all"


class Filters(QWidget):
    """Severity, source, text and run.  changed: the operator wants to see others."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.severity, self.source, self.text, self.run = QComboBox(), QComboBox(), QLineEdit(), QLineEdit()
        self.clear, self.shown = QPushButton("Show a&ll"), Value("Events shown", "0")
        for name, _, _ in _SEVERITIES:
            self.severity.addItem(name)
        self.source.addItem(_ALL, "")
        self.source.setMinimumContentsLength(10)
        self.source.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        flow = Flow(self, 10)
        fields = (
            ("Se&verity", "Severity of the events", self.severity, ""),
            ("S&ource", "Source of the events", self.source, ""),
            ("Te&xt", "Text of the events", self.text, "words, Ctrl+F"),
            ("R&un", "Run of the events", self.run, "part of its id"),
        )
        for label, name, field, hint in fields:
            field.setAccessibleName(name)
            field.setMinimumHeight(24)
            if isinstance(field, QLineEdit):
                field.setPlaceholderText(hint)
                field.setClearButtonEnabled(True)
                field.textChanged.connect(lambda _: self.changed.emit())
            else:
                field.currentIndexChanged.connect(lambda _: self.changed.emit())
            flow.addWidget(labelled(label, field))
        self.clear.setAccessibleName("Show all events")
        self.clear.setMinimumHeight(24)
        self.clear.clicked.connect(self.reset)
        flow.addWidget(self.clear)
        flow.addWidget(self.shown)
        self.retheme()

    def wanted(self) -> Filter:
        """Return what the fields say."""
        _, severities, unseen = _SEVERITIES[max(0, self.severity.currentIndex())]
        return Filter(severities, self.source.currentData() or "", self.text.text(), self.run.text().strip(), unseen)

    def reset(self) -> None:
        """Show everything."""
        self.severity.setCurrentIndex(0)
        self.source.setCurrentIndex(0)
        self.text.clear()
        self.run.clear()

    def add_sources(self, sources: Iterable[str]) -> None:
        """Offer these sources, too."""
        known = {self.source.itemData(at) for at in range(self.source.count())}
        for one in sorted(set(sources) - known):
            self.source.addItem(one, one)

    def retheme(self) -> None:
        """Take another text size: some words fit into the fields."""
        for field in (self.text, self.run):
            field.setMinimumWidth(field.fontMetrics().averageCharWidth() * 20)
