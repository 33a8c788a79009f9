"""The fields that say which events are shown."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtWidgets import QComboBox, QLineEdit

from ..filter_bar import ALL, FilterBar, offer_values
from .events import Filter

_SEVERITIES: tuple[tuple[str, frozenset[str], bool], ...] = (
    (ALL, frozenset(), False),
    ("warnings and errors", frozenset({"warning", "error"}), False),
    ("not acknowledged", frozenset(), True),
    ("errors", frozenset({"error"}), False),
    ("warnings", frozenset({"warning"}), False),
    ("notes", frozenset({"note"}), False),
    ("infos", frozenset({"info"}), False),
)


class Filters(FilterBar):
    """Severity, source, text and run.  changed: the operator wants to see others."""

    def __init__(self) -> None:
        self.severity, self.source, self.text, self.run = QComboBox(), QComboBox(), QLineEdit(), QLineEdit()
        for name, _, _ in _SEVERITIES:
            self.severity.addItem(name)
        offer_values(self.source, ())
        fields: tuple[tuple[str, str, QLineEdit | QComboBox, str], ...] = (
            ("&Severity", "Severity of the events", self.severity, ""),
            ("Sou&rce", "Source of the events", self.source, ""),
            ("Te&xt", "Text of the events", self.text, "words, Ctrl+F"),
            ("R&un", "Run of the events", self.run, "part of its id"),
        )
        super().__init__("events", fields)

    def wanted(self) -> Filter:
        """Return what the fields say."""
        _, severities, unseen = _SEVERITIES[max(0, self.severity.currentIndex())]
        return Filter(severities, self.source.currentData() or "", self.text.text(), self.run.text().strip(), unseen)

    def add_sources(self, sources: Iterable[str]) -> None:
        """Offer these sources, too."""
        offer_values(self.source, sources)
