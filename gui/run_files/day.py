"""The report of a day: what was run, key made and spent, alarms, notes."""

from __future__ import annotations

from PySide6.QtCore import QDate, QLocale
from PySide6.QtWidgets import QDateEdit, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from ..badges import plain
from ..desk import Desk
from ..figures.saving import ask_and_write
from ..flow import Flow
from ..forms import WheelGuard
from ..offering import offer
from ..tables import monospaced

_READ_S = 120.0
"""How long it may take to look through the runs of a day."""


class DayReport(QWidget):
    """Choose a day, read its report, save it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._of = ""
        self.day, self.make, self.save = QDateEdit(QDate.currentDate()), QPushButton("&Make the report"), QPushButton("&Save…")
        self.text = QPlainTextEdit()
        self._guard = WheelGuard(self)
        self._lay_out()
        self.make.clicked.connect(lambda _=False: self.ask())
        self.save.clicked.connect(lambda _=False: self.write())
        self.enable()

    def _lay_out(self) -> None:
        self.day.setAccessibleName("Day of the report")
        self.day.setLocale(QLocale.c())
        self.day.setDisplayFormat("yyyy-MM-dd")
        self.day.installEventFilter(self._guard)
        self.make.setAccessibleName("Make the report of the day")
        self.save.setAccessibleName("Save the report of the day")
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setAccessibleName("Report of the day")
        self.text.setPlaceholderText("Runs, key made and spent, alarms and notes of a day.")
        bar = QWidget()
        flow = Flow(bar)
        for widget in (plain("Day o&f the report", buddy=self.day), self.day, self.make, self.save):
            widget.setMinimumHeight(24)
            flow.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(bar)
        layout.addWidget(self.text, 1)
        self.retheme()

    def ask(self) -> None:
        """Ask for the report of the day that is chosen."""
        day = self.day.date().toString("yyyy-MM-dd")
        self.text.setPlainText("")
        self.text.setPlaceholderText("Looking through the runs of the day…")
        self.desk.ask("report", {"day": day}, then=lambda text: self._show(day, str(text)), failed=self._failed, timeout_s=_READ_S)

    def _show(self, day: str, text: str) -> None:
        self._of = day
        self.text.setPlainText(text)
        self.enable()

    def _failed(self, error: object) -> None:
        self.text.setPlaceholderText(f"There is no report: {error}")
        self.desk.notice(str(error))

    def write(self) -> None:
        """Write the report into a file that is asked for."""
        if self.save.isEnabled():
            ask_and_write(self.desk, self, "Save the report of the day", f"report-{self._of}.md", self.text.toPlainText)

    def enable(self) -> None:
        """Offer to save what there is."""
        offer(self.save, "" if self.text.toPlainText() else "no report is made yet", "Writes the report as Markdown.")

    def retheme(self) -> None:
        """Take another text size."""
        self.text.setFont(monospaced())
