"""Forms made of what the owner says a procedure needs: PyMeasure's input widgets, with names, mnemonics, units and limits for every field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import fill
from typing import Any

from pymeasure.display.widgets import InputsWidget
from pymeasure.experiment import BooleanParameter, FloatParameter, IntegerParameter, ListParameter, Parameter, Procedure
from PySide6.QtCore import QEvent, QLocale, QObject, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QLabel, QLineEdit, QVBoxLayout, QWidget

from ..control.topics import ParameterForm, ProcedureForm
from . import theme, words
from .badges import plain, tip

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
        return FloatParameter(asked.label, units=unit, minimum=low, maximum=high, default=_number(asked.default, low, high))
    if asked.kind == "integer":
        bounds = (max(int(low), -(2**31)), min(int(high), 2**31 - 1))
        return IntegerParameter(asked.label, units=unit, minimum=bounds[0], maximum=bounds[1], default=int(_number(asked.default, *bounds)))
    if asked.kind == "boolean":
        return BooleanParameter(asked.label, default=_true(asked.default))
    if asked.kind == "choice" and asked.choices:
        default = asked.default if asked.default in asked.choices else asked.choices[0]
        return ListParameter(asked.label, choices=list(asked.choices), default=default)
    return Parameter(asked.label, default=asked.default)


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    return min(max(value, low), high)


def _true(text: str) -> bool:
    return text.strip().lower() in ("true", "yes", "on", "1")


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

    values: texts by name instead of the defaults.  changed: the operator has changed something.  The accessible name of a field is the parameter's label.
    """

    changed = Signal()

    def __init__(self, procedure: ProcedureForm, values: Mapping[str, str] | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.procedure = procedure
        self.setAccessibleName(f"Parameters of {procedure.title or procedure.name}")
        self._inputs = InputsWidget(procedure_class(procedure), inputs=[_PREFIX + one.name for one in procedure.parameters], parent=self)
        self._complaints: dict[str, QLabel] = {}
        self._guard = WheelGuard(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._inputs)
        marked = mnemonics([f"{one.label}:" for one in procedure.parameters])
        for one, label in zip(procedure.parameters, marked, strict=True):
            self._dress(one, label)
        self.set_texts(values or {})

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
        if isinstance(field, QAbstractSpinBox) and (inside := field.findChild(QLineEdit)) is not None:
            inside.setTextMargins(4, 0, 4, 0)
        title = self._inputs.labels.get(_PREFIX + asked.name)
        if title is not None:
            title.setTextFormat(plain().textFormat())
            title.setText(label)
            title.setWordWrap(True)
            title.setBuddy(field)
        elif isinstance(field, QCheckBox):
            # Qt breaks the texts of labels alone.
            field.setText(fill(label.rstrip(":"), _LINE))
        changed = _change_of(field)
        if changed is not None:
            changed.connect(lambda *_: self._edited(asked.name))

    def _edited(self, name: str) -> None:
        self.complain(name, "")
        self.changed.emit()

    def texts(self) -> dict[str, str]:
        """Return every parameter as text, as `enqueue` takes it."""
        return {one.name: _text(self.field(one.name), one) for one in self.procedure.parameters}

    def set_texts(self, values: Mapping[str, str]) -> None:
        """Fill fields; a text that is none of a field's kind leaves it as it is."""
        for one in self.procedure.parameters:
            if one.name in values:
                _fill(self.field(one.name), one, str(values[one.name]))

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
        field.setAccessibleDescription(f"Not taken: {problem}" if problem else _describe(asked))

    def retheme(self) -> None:
        """Take the colours of another theme."""
        colours = theme.palette(theme.current())
        colours.setColor(colours.ColorRole.WindowText, QColor(theme.current().failure))
        for label in self._complaints.values():
            label.setPalette(colours)


def _describe(asked: ParameterForm) -> str:
    """Return range, unit and name of a parameter."""
    unit = f" {asked.unit}" if asked.unit else ""
    if asked.low is not None and asked.high is not None:
        return f"{words.number(asked.low)} to {words.number(asked.high)}{unit} ({asked.name})"
    return f"in {asked.unit} ({asked.name})" if asked.unit else asked.name


def _change_of(field: QWidget) -> Any:
    if isinstance(field, QAbstractSpinBox):
        return getattr(field, "valueChanged", None)
    if isinstance(field, QComboBox):
        return field.currentIndexChanged
    if isinstance(field, QCheckBox):
        return field.toggled
    return field.textChanged if isinstance(field, QLineEdit) else None


def _text(field: Any, asked: ParameterForm) -> str:
    if isinstance(field, QAbstractSpinBox):
        field.interpretText()
    value = field.value()
    return repr(float(value)) if asked.kind == "float" else str(value)


def _fill(field: Any, asked: ParameterForm, text: str) -> None:
    try:
        if asked.kind == "float":
            field.setValue(float(text))
        elif asked.kind == "integer":
            field.setValue(int(float(text)))
        elif asked.kind == "boolean":
            field.setValue(_true(text))
        else:
            field.setValue(text)
    except ValueError:
        return


class WheelGuard(QObject):
    """Keeps the wheel from changing a value: it scrolls what is around the field instead."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Turn the wheel away."""
        if event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)
