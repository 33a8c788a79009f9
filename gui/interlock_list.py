"""The conditions for light on biased detectors: which hold, what stands against the others since when, and how to clear it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QScrollArea, QVBoxLayout, QWidget

from ..control.topics import Interlock
from . import words
from .badges import Badge, Value, plain
from .guarded import guarded


class _Row(QWidget):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.badge = Badge(f"Interlock {name}")
        self.since, self.cause, self.clear = Value(f"{name}, since"), Value(f"{name}, cause"), Value(f"{name}, to clear")
        for label in (self.cause, self.clear):
            label.setWordWrap(True)
        title = plain(name, wrap=True)
        font = title.font()
        font.setBold(True)
        title.setFont(font)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 4)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(0, 1)
        grid.addWidget(title, 0, 0)
        grid.addWidget(self.badge, 0, 1)
        grid.addWidget(self.since, 0, 2)
        grid.addWidget(self.cause, 1, 0, 1, 3)
        grid.addWidget(self.clear, 2, 0, 1, 3)

    def show_interlock(self, now: Interlock) -> None:
        self.badge.set_state("closed" if now.holds else "open")
        self.since.show_text(f"since {words.clock(now.since)}" if now.since else "")
        self.cause.show_text(now.cause)
        self.clear.show_text("" if now.holds else f"To clear it: {now.clear}")
        self.clear.setVisible(not now.holds)


class Interlocks(QScrollArea):
    """All interlocks, the open ones first."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Interlocks")
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.summary = Value("Interlocks", "nothing is known yet")
        inside = QWidget()
        self._rows = QVBoxLayout(inside)
        self._rows.setContentsMargins(4, 4, 4, 4)
        self._rows.addWidget(self.summary)
        self._rows.addStretch(1)
        self.setWidget(inside)
        self._shown: dict[str, _Row] = {}

    @guarded
    def show_interlocks(self, interlocks: Sequence[Interlock]) -> None:
        """Show the interlocks as they are now."""
        ordered = sorted(interlocks, key=lambda one: one.holds)
        if [one.name for one in ordered] != list(self._shown):
            self._rebuild([one.name for one in ordered])
        for one in ordered:
            self._shown[one.name].show_interlock(one)
        against = [one for one in ordered if not one.holds]
        self.summary.show_text(f"{len(against)} open: {against[0].name}" if against else f"All {len(ordered)} closed" if ordered else "The bench has none")

    def _rebuild(self, names: Sequence[str]) -> None:
        before, self._shown = self._shown, {}
        for row in before.values():
            self._rows.removeWidget(row)
        for at, name in enumerate(names):
            self._shown[name] = before.pop(name) if name in before else _Row(name)
            self._rows.insertWidget(at + 1, self._shown[name])
        for row in before.values():
            row.hide()
            row.deleteLater()
