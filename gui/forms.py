"""Forms made of what the owner says a procedure needs: PyMeasure's input widgets, with names, mnemonics, units and limits for every field.

Nothing is silently turned into something else: what is no value of a field stays there, marked, and nothing comes out of the form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from textwrap import fill
from typing import Any

from pymeasure.display.widgets import InputsWidget
from pymeasure.experiment import BooleanParameter, FloatParameter, IntegerParameter, ListParameter, Parameter, Procedure
from PySide6.QtCore import QEvent, QLocale, QObject, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QCheckBox, QComboBox, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from ..control.topics import ParameterForm, ProcedureForm
from ..core.errors import HeliographError, ParameterError
from . import theme, words
from .badges import plain, tip
from .number_input import NumberInput, shown

_PREFIX = "asked_"
"""Before the names of parameters: PyMeasure makes them attributes of a widget, which has a `size` and a `width` of its own."""
_WIDEST = 1e15
_LINE = 24
"""Characters after which the text of a check box is broken."""


def procedure_class(form: ProcedureForm) -> type[Procedure]:
    """Return a PyMeasure procedure with the parameters of a form; it is never executed."""
    made: type[Procedure] = type(form.name, (Procedure,), {_PREFIX + one.name: parameter(one) for one in form.parameters})
    return made


def parameter(asked: ParameterForm) -> Parameter:
    """Return PyMeasure's parameter for one that a form asks for; a default that is none of its kind is left out."""
    low = -_WIDEST if asked.low is None else asked.low
    high = _WIDEST if asked.high is None else asked.high
    unit = asked.unit or None
    if asked.kind == "float":
        return FloatParameter(asked.label, units=unit, minimum=low, maximum=high, ui_class=NumberInput)
    if asked.kind == "integer":
        return IntegerParameter(asked.label, units=unit, minimum=int(low), maximum=int(high), ui_class=NumberInput)
    if asked.kind == "boolean":
        return BooleanParameter(asked.label, default=_true(asked.default))
    if asked.kind == "choice" and asked.choices:
        default = asked.default if asked.default in asked.choices else asked.choices[0]
        return ListParameter(asked.label, choices=list(asked.choices), default=default)
    return Parameter(asked.label, default=asked.default)


_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


def _true(text: str) -> bool:
    return text.strip().lower() in _TRUE


def mnemonics(labels: Iterable[str], taken: str = "") -> list[str]:
    """Return labels with a mnemonic each, no letter twice as far as they go; "&" in a label is kept as such."""
    used, found = set(taken.lower()), []
    for label in labels:
        plain_text = label.replace("&", "&&")
        at = next((place for place, letter in enumerate(plain_text) if letter.isalpha() and letter.isascii() and letter.lower() not in used), None)
        if at is None:
            found.append(plain_text)
            continue
        used.add(plain_text[at].lower())
        found.append(f"{plain_text[:at]}&{plain_text[at:]}")
    return found


class Form(QWidget):
    """The parameters of one procedure.

    values: texts by name instead of the defaults.  taken: letters that lead elsewhere.  changed: the operator has changed something.
    The accessible name of a field is the parameter's label.
    """

    changed = Signal()

    def __init__(self, procedure: ProcedureForm, values: Mapping[str, str] | None = None, parent: QWidget | None = None, *, taken: str = "") -> None:
        super().__init__(parent)
        self.procedure = procedure
        self.setAccessibleName(f"Parameters of {procedure.title or procedure.name}")
        self._inputs = InputsWidget(procedure_class(procedure), inputs=[_PREFIX + one.name for one in procedure.parameters], parent=self)
        self._complaints: dict[str, QLabel] = {}
        self._unfit: dict[str, tuple[str, str]] = {}
        self._guard = WheelGuard(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._inputs)
        marked = mnemonics([f"{one.label} ({one.unit}):" if one.unit else f"{one.label}:" for one in procedure.parameters], taken)
        for one, label in zip(procedure.parameters, marked, strict=True):
            self._dress(one, label)
        self.set_texts({one.name: one.default for one in procedure.parameters if one.kind in ("float", "integer")} | dict(values or {}))

    def field(self, name: str) -> QWidget:
        """Return the input of a parameter."""
        found: QWidget = getattr(self._inputs, _PREFIX + name)
        return found

    def _dress(self, asked: ParameterForm, label: str) -> None:
        field = self.field(asked.name)
        field.setAccessibleName(asked.label)
        field.setAccessibleDescription(_describe(asked))
        field.setToolTip(tip(_describe(asked)))
        field.setMinimumHeight(24)
        field.setLocale(QLocale.c())
        field.installEventFilter(self._guard)
        if isinstance(field, NumberInput):
            field.source = words.spoken(self.procedure.name)
            field.refused.connect(lambda why: self.complain(asked.name, why))
        title = self._inputs.labels.get(_PREFIX + asked.name)
        if title is not None:
            title.setTextFormat(plain().textFormat())
            title.setText(label)
            title.setWordWrap(True)
            title.setBuddy(field)
        elif isinstance(field, QCheckBox):
            # Qt breaks the texts of labels alone.
            field.setText(fill(label.rstrip(":"), _LINE))
        if isinstance(field, QComboBox):
            field.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            field.setMinimumContentsLength(8)
            for at, text in enumerate(asked.labels):
                field.setItemText(at, text)
        for changed in _changes_of(field):
            changed.connect(lambda *_: self._edited(asked.name))

    def _edited(self, name: str) -> None:
        self._unfit.pop(name, None)
        self.complain(name, "")
        self.changed.emit()

    def texts(self) -> dict[str, str]:
        """Return every parameter as text, as `enqueue` takes it. Raises ParameterError or LimitError for what is none."""
        return {one.name: self._text(one) for one in self.procedure.parameters}

    def needs_armed(self) -> bool:
        """Say whether the procedure, as it is filled in, is begun on an armed bench only."""
        asked, box = self.procedure.needs_armed, self.procedure.needs_armed_if
        switch = self.field(box) if box and any(one.name == box for one in self.procedure.parameters) else None
        return asked and (not isinstance(switch, QCheckBox) or switch.isChecked())

    def check(self) -> bool:
        """Say whether everything is as it has to be; what is not is marked, says why, and has the focus."""
        wrong = []
        for one in self.procedure.parameters:
            try:
                self._text(one)
            except HeliographError as error:
                self.complain(one.name, error.message)
                wrong.append(self.field(one.name))
        if wrong:
            wrong[0].setFocus(Qt.FocusReason.OtherFocusReason)
            _scroll_to(wrong[0])
        return not wrong

    def _text(self, asked: ParameterForm) -> str:
        if asked.name in self._unfit:
            raise ParameterError(self._unfit[asked.name][0], where=asked.label)
        value = self.field(asked.name).value()  # type: ignore[attr-defined]
        return repr(float(value)) if asked.kind == "float" else str(value)

    def drafts(self) -> dict[str, str]:
        """Return what stands in every field, taken or not, as `set_texts` takes it."""
        fields = {one.name: self.field(one.name) for one in self.procedure.parameters}
        found = {name: field.text() if isinstance(field, QLineEdit) else str(field.value()) for name, field in fields.items()}  # type: ignore[attr-defined]
        return found | {name: text for name, (_, text) in self._unfit.items()}

    def set_texts(self, values: Mapping[str, str]) -> None:
        """Fill fields. What is no value of a number stays in its field; what is none of a list or a check box is told beside it until another one is chosen."""
        for one in self.procedure.parameters:
            if one.name in values:
                text = str(values[one.name])
                problem = _fill(self.field(one.name), one, text)
                self.complain(one.name, problem)
                if problem:
                    self._unfit[one.name] = problem, text

    def refuse(self, error: HeliographError) -> bool:
        """Show a refusal of the owner under the fields that it names, by their names or by what stands in them; say whether there is one."""
        stands = self.drafts()
        named = (
            [name for name in stands if name in _words(error.where)]
            or [name for name, text in stands.items() if text and repr(text) in error.message]
            or [name for name in stands if name in _words(f"{error.message} {error.remedy}")]
        )
        for name in named:
            self.complain(name, error.message)
        if named:
            _scroll_to(self.field(named[0]))
        return bool(named)

    def complain(self, name: str, problem: str) -> None:
        """Show under a field why its value is not taken; an empty text takes that away."""
        field, label = self.field(name), self._complaints.get(name)
        asked = next(one for one in self.procedure.parameters if one.name == name)
        if label is None and problem:
            label = self._complaints[name] = plain(wrap=True)
            layout = self._inputs.layout()
            layout.insertWidget(layout.indexOf(field) + 1, label)
        if label is not None:
            label.setText(problem)
            label.setVisible(bool(problem))
            self.retheme()
        if isinstance(field, NumberInput):
            field.mark(problem)
        field.setAccessibleDescription(f"Not taken: {problem}" if problem else _describe(asked))

    def retheme(self) -> None:
        """Take the colours of another theme."""
        colours = theme.palette(theme.current())
        colours.setColor(colours.ColorRole.WindowText, QColor(theme.current().failure))
        for label in self._complaints.values():
            label.setPalette(colours)


def _words(text: str) -> set[str]:
    return set(re.split(r"[^\w-]+", text))


def _describe(asked: ParameterForm) -> str:
    """Return range, unit and name of a parameter."""
    unit = f" {asked.unit}" if asked.unit else ""
    if asked.low is not None and asked.high is not None:
        return f"{words.exact(asked.low)} to {words.exact(asked.high)}{unit} ({asked.name})"
    return f"in {asked.unit} ({asked.name})" if asked.unit else asked.name


def _changes_of(field: QWidget) -> tuple[Any, ...]:
    if isinstance(field, QComboBox):
        # What was chosen already can be chosen, too.
        return field.currentIndexChanged, field.activated
    if isinstance(field, QCheckBox):
        return (field.toggled,)
    return (field.textChanged,) if isinstance(field, QLineEdit) else ()


def _fill(field: Any, asked: ParameterForm, text: str) -> str:
    """Put a text into a field; return why it is none of its values, if so."""
    if isinstance(field, QLineEdit):
        field.setText(shown(text) if isinstance(field, NumberInput) else text)
    elif asked.kind == "boolean":
        field.setValue(_true(text))
        return "" if text.strip().lower() in (*_TRUE, *_FALSE) else f"it was {text!r}, which is neither True nor False: set it"
    elif text in asked.choices:
        field.setValue(text)
    else:
        return f"it was {text!r}, which is not offered (any more): choose another one"
    return ""


def _scroll_to(field: QWidget) -> None:
    """Bring a field into sight."""
    above = field.parentWidget()
    while above is not None:
        if isinstance(above, QScrollArea):
            above.ensureWidgetVisible(field)
        above = above.parentWidget()


class WheelGuard(QObject):
    """Keeps the wheel from changing a value: it scrolls what is around the field instead."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Turn the wheel away."""
        if event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)
