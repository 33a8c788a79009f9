"""Quantities that the operator types: the text that is taken, and a field that shows what was wanted, what was accepted and what is measured."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from math import isclose, isfinite
from typing import Protocol, get_args
from weakref import WeakSet

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence, QWheelEvent
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget
from shiboken6 import isValid

from ..control.topics import Quantity
from ..core import units
from ..core.errors import ConfigError, LimitError, ParameterError
from . import theme, words
from .badges import Badge, Value, plain, tip

PENDING_S = 2.0
UNITS: dict[str, tuple[str, ...]] = {
    "W": ("mW", "uW", "dBm"), "V": ("V", "mV"), "A": ("mA", "uA", "A"), "s": ("s", "ms", "us", "ns"), "Hz": ("Hz", "kHz", "MHz", "GHz"), "m": ("nm", "um", "m"),
    "rad": ("rad", "deg"), "degC": ("degC", "°C"), "dB": ("dB",),
}  # fmt: skip
"""Units that are offered, by the SI unit of the value; every prefix is taken."""
_PREFIXED = ("W", "V", "A", "s", "Hz", "m")
_PREFIXES = ("T", "G", "M", "k", "", "m", "u", "n", "p", "f")
_ALSO = {"s": ("min", "h")}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WITHOUT_UNIT = ("", "counts", "bit", "bits", "steps", "deg")
_MOST_DIGITS = 18
_SAME = 1e-11
"""Relative difference by which what is typed may lie beyond a limit and be the limit itself: a limit is shown to twelve digits."""


def parse(
    text: str, unit: str, *, low: float | None = None, high: float | None = None, source: str = "station", where: str = "", unit_beside: bool = False
) -> float:
    """Return the SI value of what was typed, such as "10 mW" or "-30 dBm".

    unit: SI unit of the value, "" for a bare number.  low, high: limits, SI.  source: of the limits.
    unit_beside: the unit stands beside the field, so that a number without one counts in it.
    Raises ParameterError for what is no such quantity, LimitError for one out of range; both say what would be taken.
    """
    if unit in _WITHOUT_UNIT or unit not in get_args(units.Dimension) or (unit_beside and _unit_of(text) in ("", unit)):
        value = _bare(text, unit, where)
    else:
        value = _with_unit(text, unit, where)
    typed = _NUMBER.match(text.strip())
    if not value and typed is not None and re.search("[1-9]", re.split("[eE]", typed[0])[0]):
        raise ParameterError(f"{text.strip()!r} is too small to be told from 0", where=where, remedy="Type 0 where 0 is meant.")
    shown = (lambda limit: f"{words.exact(limit)} {unit}".rstrip()) if unit_beside else lambda limit: _limit(limit, text, unit)
    if low is not None and value < low and isclose(value, low, rel_tol=_SAME):
        value = low
    elif high is not None and value > high and isclose(value, high, rel_tol=_SAME):
        value = high
    _check_limits(value, low, high, shown, source, where)
    return value


def parse_whole(text: str, unit: str = "", *, low: float | None = None, high: float | None = None, source: str = "station", where: str = "") -> int:
    """Return the whole number that was typed, such as "25" or "1e2", never another one. Arguments and errors as those of `parse`."""
    number = text.strip().removesuffix(unit).strip() if unit else text.strip()
    try:
        value = Decimal(number) if _NUMBER.fullmatch(number) else None
    except InvalidOperation:
        value = None
    if value is None or value != value.to_integral_value():
        raise ParameterError(_no(text, "whole number", unit), where=where, remedy="Use digits, as in 25.")
    _check_limits(value, low, high, lambda limit: f"{words.exact(limit)} {unit}".rstrip(), source, where)
    if value and value.adjusted() >= _MOST_DIGITS:
        raise ParameterError(f"{text.strip()!r} is too large", where=where, remedy=f"Use at most {_MOST_DIGITS} digits.")
    return int(value) if value else 0


def _check_limits(value: float | Decimal, low: float | None, high: float | None, shown: Callable[[float], str], source: str, where: str) -> None:
    if high is not None and value > high:
        raise LimitError(f"limit {shown(high)} ({source})", where=where, remedy="Nothing was sent.")
    if low is not None and value < low:
        raise LimitError(f"least {shown(low)} ({source})", where=where, remedy="Nothing was sent.")


def _limit(value: float, text: str, unit: str) -> str:
    """Return a limit with all its digits; where dBm were typed, in dBm, too."""
    told = words.in_full(value, unit)
    return f"{words.dbm(value)} ({told})" if _unit_of(text) == "dBm" else told


def _unit_of(text: str) -> str:
    return _NUMBER.sub("", text.strip(), count=1).strip()


def _no(text: str, what: str, unit: str) -> str:
    """Return that a text is none of what is wanted."""
    if not text.strip():
        return f"a {what} is missing"
    if "," in text:
        return f"{text.strip()!r} has a comma: use a point"
    return f"{text.strip()!r} is no {what}{f' in {unit}' if unit else ''}"


def _bare(text: str, unit: str, where: str) -> float:
    number = text.strip().removesuffix(unit).strip() if unit else text.strip()
    if _NUMBER.fullmatch(number) is None or not isfinite(float(number)):
        raise ParameterError(_no(text, "number", unit), where=where, remedy="Use digits and a point, as in 1.5.")
    return float(number)


def _with_unit(text: str, unit: str, where: str) -> float:
    stripped = text.strip().replace("µ", "u").replace("μ", "u")
    found = _NUMBER.match(stripped)
    choices = (*UNITS[unit], *_ALSO.get(unit, ()))
    if found is None or "," in text:
        raise ParameterError(_no(text, "quantity", unit), where=where, remedy=f"Type a number and a unit, as in 1.5 {choices[0]}; a point, not a comma.")
    typed = stripped[found.end() :].strip()
    if not typed:
        raise ParameterError(f"unit missing: {', '.join(choices)}", where=where)
    if typed not in _taken(unit):
        raise ParameterError(f"{typed!r} is not one of {', '.join(choices)}", where=where, remedy=f"Type it as in 1.5 {choices[0]}; a point, not a comma.")
    try:
        value = units.parse(f"{found[0]} {typed}", unit)  # type: ignore[arg-type]
    except ConfigError as error:
        raise ParameterError(error.message, where=where, remedy=error.remedy) from error
    return value


def _taken(unit: str) -> tuple[str, ...]:
    """Return every unit that is taken for a value."""
    return (*UNITS[unit], *_ALSO.get(unit, ()), *(prefix + unit for prefix in _PREFIXES if unit in _PREFIXED))


def typed(value: float | None, unit: str) -> str:
    """Return a value as it would be typed, so that `parse` returns the same to six digits."""
    if value is None or not isfinite(value):
        return ""
    if unit in UNITS and unit not in ("dB", "degC", "rad"):
        return units.show(value, unit, 6)
    return f"{value:.6g} {unit}".rstrip()


def step(text: str, cursor: int, up: bool) -> tuple[str, int]:
    """Return a text with the digit left of the cursor stepped, and where the cursor then stands; unchanged where there is none."""
    found = _NUMBER.search(text)
    if found is None:
        return text, cursor
    mantissa = found[0].lower().partition("e")[0]
    start = text.index(mantissa)
    whole, _, part = mantissa.partition(".")
    at = min(max(cursor - start, 1), len(mantissa))
    if mantissa[at - 1] in "+-" or (mantissa[at - 1] == "." and at == 1):
        at += 1
    place = len(whole) - at if at <= len(whole) else -(at - len(whole) - 1)
    if mantissa[at - 1] == ".":
        place = 0
    value = float(mantissa) + (1 if up else -1) * 10.0**place
    changed = f"{value:.{len(part)}f}" if part else f"{value:.0f}"
    moved = len(changed) - len(mantissa)
    return text[:start] + changed + text[start + len(mantissa) :], cursor + moved


class QuantityEdit(QLineEdit):
    """The field itself: what is typed stays there, marked where it is not taken; arrows step the digit at the cursor; the wheel does nothing.

    entered: with the SI value, by Enter.  refused: with the reason.
    """

    entered = Signal(float)
    refused = Signal(str)

    def __init__(
        self, name: str, unit: str, *, low: float | None = None, high: float | None = None, source: str = "station", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.name, self.unit, self.low, self.high, self.source = name, unit, low, high, source
        self.setAccessibleName(name)
        self.problem = ""
        self._old = False
        self.setMinimumHeight(24)
        self.setPlaceholderText(f"in {', '.join(UNITS[unit][:2])}" if unit in UNITS else "")
        self.textEdited.connect(lambda _text: self.mark(""))
        self.mark("")

    def value(self) -> float:
        """Return what is typed, SI. Raises ParameterError or LimitError."""
        return parse(self.text(), self.unit, low=self.low, high=self.high, source=self.source, where=self.name)

    def submit(self) -> None:
        """Take what is typed, or say why not."""
        try:
            value = self.value()
        except (ParameterError, LimitError) as error:
            self.mark(error.message)
            self.refused.emit(error.message)
        else:
            self.mark("")
            self.entered.emit(value)

    def mark(self, problem: str) -> None:
        """Mark the field as refused, and say why; an empty text takes that away."""
        self.problem = problem
        told = problem or ", ".join(filter(None, (self.about(), "stale" if self._old else "")))
        self.setAccessibleDescription(f"Not sent: {problem}" if problem else told)
        self.setToolTip(tip(told))
        self.retheme()

    def about(self) -> str:
        """Return what is taken, in words."""
        if self.low is None and self.high is None:
            return ""
        shown = [words.UNKNOWN if one is None else words.in_full(one, self.unit) for one in (self.low, self.high)]
        return f"{shown[0]} to {shown[1]} ({self.source})"

    def set_limits(self, low: float | None, high: float | None) -> None:
        """Take other limits."""
        if (low, high) != (self.low, self.high):
            self.low, self.high = low, high
            self.mark(self.problem)

    def grey(self, old: bool) -> None:
        """Write what stands here in grey while it may be out of date; not what is being typed."""
        if old != self._old:
            self._old = old
            self.mark(self.problem)

    def retheme(self) -> None:
        """Take the colours of another theme."""
        now, colours = theme.current(), theme.palette(theme.current())
        if self.problem or (self._old and not self.isModified()):
            colours.setColor(colours.ColorRole.Text, QColor(now.failure if self.problem else now.muted))
        self.setPalette(colours)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter takes the value, arrows step a digit."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.submit()
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down) and not event.modifiers():
            text, cursor = step(self.text(), self.cursorPosition(), event.key() == Qt.Key.Key_Up)
            self.setText(text)
            self.setCursorPosition(cursor)
            self.mark("")
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Leave Ctrl+Z and Ctrl+Y to the window where there is nothing to be undone here."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride:
            undo, redo = (event.matches(key) for key in (QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo))
            if (undo and not self.isUndoAvailable()) or (redo and not self.isRedoAvailable()):
                event.ignore()
                return False
        return super().event(event)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave the value alone."""
        event.ignore()


class QuantityField(QWidget):
    """A set-point: wanted, accepted, measured. It is pending from sending until the read-back agrees or two seconds have passed.

    label: with its mnemonic.  asked: emitted with the SI value that the operator wants.  The accessible name of the field is "LABEL, wanted".
    """

    asked = Signal(float)

    def __init__(
        self, label: str, unit: str, *, low: float | None = None, high: float | None = None, source: str = "station", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        name = label.replace("&", "")
        self.name, self.unit = name, unit
        self.edit = QuantityEdit(f"{name}, wanted", unit, low=low, high=high, source=source)
        self.accepted, self.measured = Value(f"{name}, accepted"), Value(f"{name}, measured")
        self.state, self.complaint = Badge("", "", parent=self), plain(wrap=True)
        self.complaint.hide()
        self.label = plain(label, buddy=self.edit)
        self._sent: tuple[float, float] | None = None
        self._late: float | None = None
        self._read: object = None
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.label, 0, 0, 1, 2)
        grid.addWidget(self.state, 0, 2)
        for column, (title, widget) in enumerate((("wanted", self.edit), ("accepted", self.accepted), ("measured", self.measured))):
            grid.addWidget(widget, 1, column)
            widget.setToolTip(title)
        grid.addWidget(self.complaint, 2, 0, 1, 3)
        self.edit.entered.connect(self._entered)
        self.edit.refused.connect(self._refused)
        self.state.hide()

    @property
    def pending(self) -> bool:
        """Say whether something was sent that the device has not confirmed yet."""
        return self._sent is not None

    def _entered(self, value: float) -> None:
        self.complaint.hide()
        self._sent, self._late = (value, time.monotonic()), None
        self._show_state("pending", "")
        settle_in_time(self)
        self.asked.emit(value)

    def _refused(self, why: str) -> None:
        self.complain(why)

    def complain(self, why: str) -> None:
        """Show a refusal under the field; nothing is pending then."""
        self._sent = self._late = None
        self._show_state("", "")
        self.complaint.setText(why)
        self.complaint.setAccessibleName(f"{self.name}, not sent: {why}")
        self.complaint.show()

    def show_quantity(self, now: Quantity) -> None:
        """Show what the owner says; the field itself is left alone while it has the focus or holds something that was not taken."""
        self.edit.set_limits(now.low, now.high)
        self.accepted.show_text(words.quantity(now.accepted, now.unit))
        self.measured.show_text(words.quantity(now.measured, now.unit))
        if not self.edit.hasFocus() and not self.edit.problem and not self.pending and isinstance(now.wanted, float):
            self.edit.setText(typed(now.wanted, now.unit))
        self._read = now.measured if now.measured is not None else now.accepted
        self.settle()

    def settle(self) -> bool:
        """Look whether the read-back agrees, or has not in time; say whether anything is pending no longer."""
        wanted = self._sent[0] if self._sent is not None else self._late
        if wanted is not None and _agrees(self._read, wanted):
            self._sent = self._late = None
            self._show_state("", "")
        elif self._sent is None or time.monotonic() - self._sent[1] > PENDING_S:
            self._sent, self._late = None, wanted
            if wanted is not None:
                self._show_state("suspect", f"reads {words.quantity(self._read, self.unit)}")
        return self._sent is None

    def _show_state(self, word: str, detail: str) -> None:
        self.state.title = self.name
        self.state.setVisible(bool(word))
        if word:
            self.state.set_state(word, detail)

    def units(self) -> Sequence[str]:
        """Return the units that are taken."""
        return UNITS.get(self.unit, ())


def _agrees(read: object, wanted: float) -> bool:
    return isinstance(read, int | float) and not isinstance(read, bool) and abs(read - wanted) <= 1e-2 * abs(wanted) + 1e-12


class Pending(Protocol):
    """What was sent and is not confirmed yet.  state: its badge."""

    state: Badge

    def settle(self) -> bool:
        """Look at the clock; say whether anything is pending no longer."""
        ...


_pending: WeakSet[Pending] = WeakSet()


def settle_in_time(one: Pending) -> None:
    """Let the tick ask something to settle until it has, whether or not the owner says anything more."""
    _pending.add(one)


def settle_pending() -> None:
    """Ask everything to settle that is pending; the tick does so."""
    for one in list(_pending):
        if not isValid(one.state) or one.settle():
            _pending.discard(one)
