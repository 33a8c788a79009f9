"""A procedure to choose, with its form below: what starts a run, and what puts one into the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFormLayout, QVBoxLayout, QWidget

from ..control.topics import ProcedureForm
from . import letters, words
from .badges import plain, tip
from .forms import Form

_FIRST = "CountRates"


class FormChoice(QWidget):
    """The form of the procedure that is chosen. What was typed into a form is kept for when its procedure is chosen again.

    nothing: said where no procedure is offered.  proposed: what a form begins with into which nothing was typed yet, by the name of its procedure.
    taken: letters of the page around it, which fields of the form do not take.  changed: another form stands here.
    """

    changed = Signal()

    def __init__(self, nothing: str, proposed: Callable[[str], Mapping[str, str]] = lambda _name: {}, *, taken: str = "") -> None:
        super().__init__()
        self._taken = f"{letters.WINDOW}C{taken}"
        self._nothing, self._proposed = nothing, proposed
        self._forms: dict[str, ProcedureForm] = {}
        self._kept: dict[str, Mapping[str, str]] = {}
        self._begun: Mapping[str, str] = {}
        self._edited: Mapping[str, str] | None = None
        self.form: Form | None = None
        self.choice, self.about = QComboBox(), plain(wrap=True)
        self.choice.setAccessibleName("Procedure")
        self.choice.setMinimumContentsLength(12)
        self.choice.setMinimumHeight(24)
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.currentIndexChanged.connect(lambda _: self._turn())
        head = QFormLayout()
        head.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        head.addRow(plain("Pro&cedure", buddy=self.choice), self.choice)
        self._place = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(head)
        layout.addWidget(self.about)
        layout.addLayout(self._place)

    @property
    def chosen(self) -> ProcedureForm | None:
        """Return what is chosen, None where nothing is offered."""
        return self._forms.get(self.choice.currentData())

    @property
    def names(self) -> frozenset[str]:
        """Return what there is to choose from."""
        return frozenset(self._forms)

    def take(self, forms: Iterable[ProcedureForm]) -> None:
        """Offer these; the one that is chosen stays so."""
        offered = {one.name: one for one in forms}
        if offered == self._forms:
            return
        before = self.choice.currentData() or _FIRST
        same = self.form is not None and list(offered) == list(self._forms) and offered[self.form.procedure.name] == self.form.procedure
        self._forms = offered
        if same:
            # What is being typed is left alone.
            return
        self.choice.blockSignals(True)
        self.choice.clear()
        for form in offered.values():
            self.choice.addItem(words.spoken(form.name), form.name)
        self.choice.blockSignals(False)
        self._turn(before)

    def fill(self, name: str, parameters: Mapping[str, str]) -> None:
        """Show the form of a procedure that is offered, filled."""
        self._keep()
        self._kept[name] = dict(parameters)
        self.form = None
        self._turn(name)

    def edit(self, name: str, parameters: Mapping[str, str]) -> None:
        """Show the form of a procedure with parameters that are to be changed, until `leave`; what is typed meanwhile is not kept."""
        self._keep()
        self._edited, self.form = parameters, None
        self._turn(name)

    def leave(self) -> None:
        """Edit nothing any more."""
        self._edited, self.form = None, None
        self._turn()

    def _keep(self) -> None:
        # What nobody has touched begins with what is proposed then.
        if self.form is not None and self._edited is None and (now := self.form.drafts()) != self._begun:
            self._kept[self.form.procedure.name] = now

    def _turn(self, name: str | None = None) -> None:
        """Show the form of what is chosen, or of this one, which is chosen first."""
        self._keep()
        if name is not None:
            self.choice.blockSignals(True)
            self.choice.setCurrentIndex(max(0, self.choice.findData(name)))
            self.choice.blockSignals(False)
        while self._place.count():
            item = self._place.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.form, chosen = None, self.chosen
        origin = f" It is a procedure of {chosen.foreign}." if chosen is not None and chosen.foreign else ""
        self.about.setText(f"{chosen.title.rstrip('.')}.{origin}" if chosen is not None else self._nothing)
        self.about.setToolTip(tip(chosen.text) if chosen is not None else "")
        if chosen is not None:
            begun = self._edited if self._edited is not None else self._kept.get(chosen.name) or _offered(chosen, self._proposed(chosen.name))
            self.form = Form(chosen, begun, taken=self._taken)
            self._begun = self.form.drafts()
            self._place.addWidget(self.form)
        self.changed.emit()


def _offered(form: ProcedureForm, proposed: Mapping[str, str]) -> Mapping[str, str]:
    """Return of what is proposed that which can be chosen."""
    choices = {one.name: one.choices for one in form.parameters if one.choices}
    return {name: text for name, text in proposed.items() if name not in choices or text in choices[name]}
