"""The rows of a card: a value that is read, a switch, a set-point, each with what it asks the owner for."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QPushButton, QWidget

from ..control.topics import Quantity
from . import words
from .badges import Value, plain
from .flow import Flow
from .hold import HoldButton
from .quantity import QuantityField

SET_S = 60.0
"""Longest wait for a device that moves."""


def request(name: str, member: str, value: Any) -> tuple[str, dict[str, Any]]:
    """Return topic and body of the request that sets a member; `set_bias:1` is a call with the numbers behind the colon before the value."""
    method, colon, before = member.partition(":")
    if not colon:
        return "set", {"name": name, "member": member, "value": value}
    return "call", {"name": name, "member": method, "args": [*(int(one) for one in before.split(",")), value], "kwargs": {}}


class Reading(QWidget):
    """A value that is only read."""

    def __init__(self, owner: str, label: str) -> None:
        super().__init__()
        self.value = Value(f"{owner}, {label}")
        grid = _thirds(self)
        grid.addWidget(plain(label), 0, 0, 1, 2)
        grid.addWidget(self.value, 0, 2)

    def show_quantity(self, now: Quantity) -> None:
        """Show what is measured."""
        self.value.show_text(_read(now))


class Switch(QWidget):
    """Something that is on or off: off by a press, on by holding for a second.  asked: what the operator wants."""

    asked = Signal(bool)

    def __init__(self, owner: str, label: str) -> None:
        super().__init__()
        self.value = Value(f"{owner}, {label}")
        self.on, self.off = HoldButton("On, hold", f"{owner}, {label}: switch on"), QPushButton("Off")
        self.off.setAccessibleName(f"{owner}, {label}: switch off")
        self.off.setAutoDefault(False)
        self.complaint = plain(wrap=True)
        self.complaint.hide()
        buttons = Flow()
        buttons.addWidget(self.on)
        buttons.addWidget(self.off)
        grid = _thirds(self)
        grid.addWidget(plain(label), 0, 0, 1, 2)
        grid.addWidget(self.value, 0, 2)
        grid.addLayout(buttons, 1, 0, 1, 3)
        grid.addWidget(self.complaint, 2, 0, 1, 3)
        self.on.held.connect(lambda: self._ask(True))
        self.off.clicked.connect(lambda: self._ask(False))

    def _ask(self, on: bool) -> None:
        self.complaint.hide()
        self.asked.emit(on)

    def complain(self, why: str) -> None:
        """Show a refusal."""
        self.complaint.setText(why)
        self.complaint.show()

    def show_quantity(self, now: Quantity) -> None:
        """Show what is so, and beside it what was wanted if that differs."""
        shown = words.quantity(now.measured, now.unit)
        wanted = now.wanted if now.wanted is not None else now.measured
        self.value.show_text(shown if wanted == now.measured else f"{shown}, wanted {words.quantity(now.wanted, now.unit)}")


def _thirds(widget: QWidget) -> QGridLayout:
    grid = QGridLayout(widget)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setVerticalSpacing(2)
    for column in range(3):
        grid.setColumnStretch(column, 1)
    return grid


def set_point(owner: str, one: Quantity) -> QuantityField:
    """Return the row of a quantity that can be set."""
    field = QuantityField(f"{owner} {one.label}", one.unit, low=one.low, high=one.high)
    field.label.setText(limited(one))
    grid = field.layout()
    if isinstance(grid, QGridLayout):
        grid.setVerticalSpacing(2)
        for column in range(3):
            grid.setColumnStretch(column, 1)
    field.edit.setMinimumWidth(40)
    return field


def _read(now: Quantity) -> str:
    """Return what is measured; a wavelength in nanometres, for three digits of it tell nothing."""
    if now.unit == "m" and isinstance(now.measured, float) and 1e-7 < now.measured < 1e-5:
        return f"{now.measured * 1e9:.3f} nm"
    return words.quantity(now.measured, now.unit)


def limited(one: Quantity) -> str:
    """Return a label with the limits of the station."""
    if one.low is None and one.high is None:
        return one.label
    low, high = (words.UNKNOWN if limit is None else words.in_full(limit, one.unit) for limit in (one.low, one.high))
    return f"{one.label}, {low} to {high}"


def header() -> QWidget:
    """Return the titles of the three columns."""
    titles = QWidget()
    grid = _thirds(titles)
    for column, title in enumerate(("wanted", "accepted", "measured")):
        grid.addWidget(plain(title), 0, column)
    return titles
