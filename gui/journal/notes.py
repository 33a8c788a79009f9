"""The field in which an operator notes something."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QWidget

from ..badges import plain
from ..desk import Desk
from ..offering import offer


class NoteField(QWidget):
    """A note, and the run that it is about."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.text, self.run, self.add = QLineEdit(), QLineEdit(), QPushButton("Add &the note")
        self.text.setAccessibleName("Note")
        self.text.setPlaceholderText("what you saw or did; it goes into the log and into the file of the run that is on")
        self.text.setMaxLength(2000)
        self.run.setAccessibleName("Run of the note")
        self.run.setPlaceholderText("the run that is on")
        for widget in (self.text, self.run, self.add):
            widget.setMinimumHeight(24)
        self.add.setAccessibleName("Add the note")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(plain("N&ote", buddy=self.text))
        layout.addWidget(self.text, 4)
        layout.addWidget(plain("about run", buddy=self.run))
        layout.addWidget(self.run, 1)
        layout.addWidget(self.add)
        self.text.textChanged.connect(lambda _: self.enable())
        self.text.returnPressed.connect(self.note)
        self.add.clicked.connect(self.note)
        desk.control_changed.connect(self.enable)
        self.enable()

    def note(self) -> None:
        """Send the note; the field is emptied once it is in the journal."""
        if self.add.isEnabled():
            self.desk.ask("note", {"text": self.text.text().strip(), "run": self.run.text().strip()}, then=lambda _: self.text.clear())

    def enable(self) -> None:
        """Offer what can be asked for now."""
        offer(self.add, "" if self.text.text().strip() else "the note is empty", "Enter in the field does the same.")
