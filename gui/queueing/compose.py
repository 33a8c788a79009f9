"""The form from which something is put into the queue, or by which something that waits is changed."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from ...control.topics import ProcedureForm, QueueRow, QueueState
from ...core.errors import HeliographError
from .. import words
from ..badges import Value, plain
from ..desk import Desk
from ..figures.areas import scrolled
from ..figures.start import operator
from ..flow import Flow
from ..form_choice import FormChoice
from ..forms import Form
from ..guarded import guarded
from ..offering import offer
from . import rows
from .edits import Edits

_FIRST = "CountRates"
_TAKEN = "OQSLUGRTFIMW"
"""Letters of this form and of the buttons beside it."""
_ADD = "Puts this at the end of the queue (Ctrl+Enter)."


class Composer(QWidget):
    """Choose a procedure, fill its form, put it into the queue; or change one that waits."""

    def __init__(self, desk: Desk, edits: Edits) -> None:
        super().__init__()
        self.desk, self._edits = desk, edits
        self._wished: tuple[str, Mapping[str, str]] | None = None
        self._row: QueueRow | None = None
        self._ended: frozenset[int] | None = None
        self.chooser, self.purpose = FormChoice("Nothing can be queued while no bench is open.", taken=_TAKEN), QLineEdit()
        self.choice = self.chooser.choice
        self.length = Value("Takes about")
        self.editing = Value("Form", "A new job")
        self.add, self.save, self.cancel = QPushButton("Add to the &queue"), QPushButton("&Save changes"), QPushButton("&Leave as it was")
        self._lay_out()
        self.chooser.changed.connect(self.enable)
        self.add.clicked.connect(self.enqueue)
        self.save.clicked.connect(self.change)
        self.cancel.clicked.connect(self.leave)
        desk.control_changed.connect(self.enable)
        desk.connected.connect(lambda here: self.reread() if here else None)
        self.enable()

    def _lay_out(self) -> None:
        self.purpose.setAccessibleName("Purpose")
        self.purpose.setPlaceholderText("why")
        self.editing.setWordWrap(True)
        for widget in (self.purpose, self.add, self.save, self.cancel):
            widget.setMinimumHeight(24)
        for button in (self.add, self.save, self.cancel):
            button.setAccessibleName(button.text().replace("&", ""))
        asked = QWidget()
        above = QVBoxLayout(asked)
        above.setContentsMargins(0, 0, 0, 0)
        tail = QFormLayout()
        tail.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        tail.addRow(plain("Purp&ose", buddy=self.purpose), self.purpose)
        tail.addRow(plain("Takes about"), self.length)
        above.addWidget(self.editing)
        above.addWidget(self.chooser)
        above.addLayout(tail)
        above.addStretch(1)
        acts = QWidget()
        flow = Flow(acts)
        for button in (self.add, self.save, self.cancel):
            flow.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        # The buttons stay in sight however long the form is.
        layout.addWidget(scrolled(asked), 1)
        layout.addWidget(acts)

    # What can be done

    def reread(self) -> None:
        """Ask the owner what can be put into the queue."""
        self.desk.ask("procedures", then=self._take, failed=lambda _: None)

    @property
    def form(self) -> Form | None:
        """Return the form that is shown, None where nothing is offered."""
        return self.chooser.form

    def _take(self, forms: tuple[ProcedureForm, ...] | None) -> None:
        self.chooser.take(forms or ())
        if self._wished is not None:
            self.fill(*self._wished)

    def fill(self, procedure: str, parameters: Mapping[str, str]) -> None:
        """Show the form of a procedure with these parameters; as soon as it is known what there is."""
        if not self.chooser.names:
            self._wished = (procedure, parameters)
            return
        self._wished = None
        if procedure not in self.chooser.names:
            self.desk.notice(f"{procedure} is no procedure of this bench: it cannot be put into the queue.")
            return
        self.leave()
        self.chooser.fill(procedure, parameters)

    # Acts

    def enqueue(self) -> None:
        """Put the procedure into the queue as the form says; while a job is edited, save that."""
        if self._row is not None:
            self.change()
        elif self.form is not None and self.add.isEnabled() and self.form.check():
            body = {"procedure": self.form.procedure.name, "parameters": self.form.texts(), "purpose": self.purpose.text().strip()}
            self._edits.add({**body, "operator": operator(self.desk), "seed": None}, failed=self._refused)

    def begin(self, row: QueueRow) -> None:
        """Show the parameters of a job that waits, to be changed."""
        if row.procedure not in self.chooser.names:
            self.desk.notice(f"{words.spoken(row.procedure)} was put into the queue by a script: its parameters cannot be changed here.")
            return
        self._row = row
        self.chooser.edit(row.procedure, row.parameters)
        self.choice.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.focusNextChild()

    def change(self) -> None:
        """Save what was changed in a job that waits."""
        if self._row is not None and self.form is not None and self.save.isEnabled() and self.form.check():
            self._edits.edit(self._row, self.form.texts(), self.leave, self._refused)

    def leave(self) -> None:
        """Edit no job any more."""
        if self._row is not None:
            self._row = None
            self.chooser.leave()

    def _refused(self, error: HeliographError) -> None:
        """Tell why, also below the field that is to blame."""
        if self.form is not None:
            self.form.refuse(error)
        self.desk.notice(error)

    @guarded
    def show_queue(self, now: QueueState) -> None:
        """Leave a job that has begun meanwhile."""
        ended = frozenset(one.job for one in now.rows if one.over)
        if self._ended is not None and ended != self._ended:
            self.reread()
        self._ended = ended
        row = self._row
        if row is not None and rows.place_of(now, row.job) is None:
            self.leave()
            self.desk.notice(f"Job {row.job} does not wait any more: its parameters stay what they were.")

    def enable(self) -> None:
        """Offer what can be asked for now."""
        why = "" if self.desk.controls else self.desk.view_only_why
        why = why or ("no bench is open" if self.form is None else "")
        row, chosen = self._row, self.chooser.chosen
        self.length.show_text(words.duration(chosen.duration_s if chosen is not None else None))
        self.add.setVisible(row is None)
        self.save.setVisible(row is not None)
        self.cancel.setVisible(row is not None)
        self.choice.setEnabled(row is None)
        self.purpose.setEnabled(row is None)
        self.editing.show_text("A new job" if row is None else f"Changes of job {row.job}, which waits")
        offer(self.add, why, _ADD)
        offer(self.save, why, "Gives the job these parameters; it keeps its place (Ctrl+Enter).")
