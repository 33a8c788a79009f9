"""The form from which something is put into the queue, or by which something that waits is changed."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QFormLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from ...control.topics import ProcedureForm, QueueRow, QueueState
from ...core.errors import HeliographError
from .. import words
from ..badges import Value, plain, tip
from ..desk import Desk
from ..figures.areas import scrolled
from ..figures.start import operator, spoken
from ..flow import Flow
from ..forms import Form
from ..offering import offer
from . import rows
from .edits import Edits

_FIRST = "CountRates"
_ADD = "Puts this at the end of the queue (Ctrl+Enter)."


class Composer(QWidget):
    """Choose a procedure, fill its form, put it into the queue; or change one that waits."""

    def __init__(self, desk: Desk, edits: Edits) -> None:
        super().__init__()
        self.desk, self._edits = desk, edits
        self._forms: dict[str, ProcedureForm] = {}
        self._kept: dict[str, dict[str, str]] = {}
        self._wished: tuple[str, Mapping[str, str]] | None = None
        self._row: QueueRow | None = None
        self.form: Form | None = None
        self.choice, self.purpose, self.about = QComboBox(), QLineEdit(), plain(wrap=True)
        self.length = Value("Takes about")
        self.editing = Value("Form", "A new job")
        self.add, self.save, self.cancel = QPushButton("Add to the &queue"), QPushButton("&Save changes"), QPushButton("&Leave as it was")
        self._lay_out()
        self.add.clicked.connect(self.enqueue)
        self.save.clicked.connect(self.change)
        self.cancel.clicked.connect(self.leave)
        desk.control_changed.connect(self.enable)
        desk.connected.connect(lambda here: self.reread() if here else None)
        self.enable()

    def _lay_out(self) -> None:
        self.choice.setAccessibleName("Procedure")
        self.choice.setMinimumContentsLength(12)
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.currentIndexChanged.connect(lambda _: self._choose())
        self.purpose.setAccessibleName("Purpose")
        self.purpose.setPlaceholderText("why, in a few words")
        self.editing.setWordWrap(True)
        for widget in (self.choice, self.purpose, self.add, self.save, self.cancel):
            widget.setMinimumHeight(24)
        for button in (self.add, self.save, self.cancel):
            button.setAccessibleName(button.text().replace("&", ""))
        asked = QWidget()
        above = QVBoxLayout(asked)
        above.setContentsMargins(0, 0, 0, 0)
        head, tail = QFormLayout(), QFormLayout()
        for lines in (head, tail):
            lines.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        head.addRow(self.editing)
        head.addRow(plain("P&rocedure", buddy=self.choice), self.choice)
        self._place = QVBoxLayout()
        tail.addRow(plain("P&urpose", buddy=self.purpose), self.purpose)
        tail.addRow(plain("Takes about"), self.length)
        above.addLayout(head)
        above.addWidget(self.about)
        above.addLayout(self._place)
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

    def _take(self, forms: tuple[ProcedureForm, ...] | None) -> None:
        offered = {one.name: one for one in forms or ()}
        if offered != self._forms:
            before = self.choice.currentData() or _FIRST
            self._forms = offered
            self.choice.blockSignals(True)
            self.choice.clear()
            for form in offered.values():
                self.choice.addItem(spoken(form.name), form.name)
            self.choice.setCurrentIndex(max(0, self.choice.findData(before)))
            self.choice.blockSignals(False)
            self._choose()
        if self._wished is not None:
            self.fill(*self._wished)

    def fill(self, procedure: str, parameters: Mapping[str, str]) -> None:
        """Show the form of a procedure with these parameters; as soon as it is known what there is."""
        if not self._forms:
            self._wished = (procedure, parameters)
            return
        self._wished = None
        if procedure not in self._forms:
            self.desk.notice(f"{procedure} is no procedure of this bench: it cannot be put into the queue.")
            return
        self._kept[procedure] = dict(parameters)
        self.form = None
        self.choice.setCurrentIndex(self.choice.findData(procedure))
        self._choose()

    def _choose(self) -> None:
        """Show the form of the procedure that is chosen; what was typed into the one before is kept for when it is chosen again."""
        if self.form is not None and self._row is None:
            self._kept[self.form.procedure.name] = self.form.texts()
        while self._place.count():
            item = self._place.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.form = None
        chosen = self._forms.get(self.choice.currentData())
        self.about.setText(f"{chosen.title.rstrip('.')}." if chosen is not None else "Nothing can be queued while no bench is open.")
        self.about.setToolTip(tip(chosen.text) if chosen is not None else "")
        self.length.show_text(words.duration(chosen.duration_s if chosen is not None else None))
        if chosen is not None:
            self.form = Form(chosen, self._row.parameters if self._row is not None else self._kept.get(chosen.name))
            self._place.addWidget(self.form)
        self.enable()

    # Acts

    def enqueue(self) -> None:
        """Put the procedure into the queue as the form says; while a job is edited, save that."""
        if self._row is not None:
            self.change()
        elif self.form is not None and self.add.isEnabled():
            body = {"procedure": self.form.procedure.name, "parameters": self.form.texts(), "purpose": self.purpose.text().strip()}
            self._edits.add({**body, "operator": operator(self.desk), "seed": None}, failed=self._refused)

    def begin(self, row: QueueRow) -> None:
        """Show the parameters of a job that waits, to be changed."""
        if row.procedure not in self._forms:
            self.desk.notice(f"{row.procedure} was put into the queue by a script: its parameters cannot be changed here.")
            return
        if self.form is not None and self._row is None:
            self._kept[self.form.procedure.name] = self.form.texts()
        self._row, self.form = row, None
        self.choice.blockSignals(True)
        self.choice.setCurrentIndex(self.choice.findData(row.procedure))
        self.choice.blockSignals(False)
        self._choose()
        self.choice.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.focusNextChild()

    def change(self) -> None:
        """Save what was changed in a job that waits."""
        if self._row is not None and self.form is not None and self.save.isEnabled():
            self._edits.edit(self._row, self.form.texts(), self.leave, self._refused)

    def leave(self) -> None:
        """Edit no job any more."""
        if self._row is not None:
            self._row, self.form = None, None
            self._choose()

    def _refused(self, error: HeliographError) -> None:
        """Tell why, also below the field that is to blame."""
        if self.form is not None:
            told = error.where.replace(",", " ").split()
            for one in self.form.procedure.parameters:
                if one.name in told:
                    self.form.complain(one.name, error.message)
        self.desk.notice(error)

    def show_queue(self, now: QueueState) -> None:
        """Leave a job that has begun meanwhile."""
        row = self._row
        if row is not None and rows.place_of(now, row.job) is None:
            self.leave()
            self.desk.notice(f"Job {row.job} does not wait any more: its parameters stay what they were.")

    def enable(self) -> None:
        """Offer what can be asked for now."""
        why = "" if self.desk.controls else self.desk.view_only_why
        why = why or ("no bench is open" if self.form is None else "")
        row = self._row
        self.add.setVisible(row is None)
        self.save.setVisible(row is not None)
        self.cancel.setVisible(row is not None)
        self.choice.setEnabled(row is None)
        self.purpose.setEnabled(row is None)
        self.editing.show_text("A new job" if row is None else f"Changes of job {row.job}, which waits")
        offer(self.add, why, _ADD)
        offer(self.save, why, "Gives the job these parameters; it keeps its place (Ctrl+Enter).")
