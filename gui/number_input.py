"""The field of a number in a form of PyMeasure: its own spin boxes turn a text that they do not understand into another number, this one refuses it."""

from __future__ import annotations

import re
from typing import Any

from pymeasure.display.inputs import Input
from pymeasure.experiment import IntegerParameter

from . import words
from .quantity import QuantityEdit, parse, parse_whole

_PRINTED = re.compile(r"(-?\d+(?:\.\d+)?)(?:e([+-]\d+))?", re.ASCII)
_UNLIMITED = 1e9
"""PyMeasure's own limit of a parameter that has none; a form without one is given a wider one."""


class NumberInput(Input, QuantityEdit):
    """Field of a FloatParameter or an IntegerParameter: `ui_class` of such a parameter.

    A number without a unit counts in that of the parameter, which stands beside the field. Nothing but what the text says comes out of it.
    """

    def __init__(self, parameter: Any) -> None:
        self.is_whole = isinstance(parameter, IntegerParameter)
        low, high = (None if abs(one) > _UNLIMITED else float(one) for one in (parameter.minimum, parameter.maximum))
        super().__init__(parameter, name=parameter.name, unit=parameter.units or "", low=low, high=high, source="procedure")  # type: ignore[misc]
        self.editingFinished.connect(self.submit)

    def setValue(self, value: float) -> None:  # noqa: N802
        """Show a value."""
        self.setText(shown(repr(value)))

    def setSuffix(self, suffix: str) -> None:  # noqa: N802
        """Leave the unit beside the field."""

    def value(self) -> float:
        """Return the value that is typed, in the unit of the parameter. Raises ParameterError or LimitError."""
        if self.is_whole:
            return parse_whole(self.text(), self.unit, low=self.low, high=self.high, source=self.source, where=self.name)
        return parse(self.text(), self.unit, low=self.low, high=self.high, source=self.source, where=self.name, unit_beside=True)

    def about(self) -> str:
        """Return what is taken, in words."""
        low, high = ("" if one is None else words.exact(one) for one in (self.low, self.high))
        if low and high:
            span = f"{low} to {high}"
        elif low or high:
            span = f"at least {low}" if low else f"at most {high}"
        else:
            span = "a whole number" if self.is_whole else "a number"
        return f"{span} {self.unit}".rstrip()


def shown(text: str) -> str:
    """Return a number as it would be typed: 5 for 5.0, 1e-6 for 1e-06."""
    found = _PRINTED.fullmatch(text)
    return text if found is None else found[1].removesuffix(".0") + (f"e{int(found[2])}" if found[2] else "")
