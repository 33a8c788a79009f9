"""What a procedure found, with each standard deviation beside its value, told by the names in the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...control.topics import Scalar
from .. import words

_UNITS = {"v": "V", "s": "s", "hz": "Hz", "db": "dB", "deg": "deg", "degc": "°C", "w": "W", "ps": "ps", "ns": "ns", "bit": "bit"}
_LABELS = {
    "arms": "Arm",
    "chi2": "Reduced chi²",
    "clockwise": "Clockwise train",
    "counter": "Counter-clockwise train",
    "d1": "D1",
    "d1_expected": "D1, expected",
    "d2": "D2",
    "d2_expected": "D2, expected",
    "duration": "Measured for",
    "er": "Extinction ratio",
    "input": "Input attenuator",
    "mu": "Photons per pulse",
    "null": "Darkest at",
    "offset": "Bright fringe of D1",
    "v_pi": "Half-wave voltage",
    "worst": "Largest deviation",
}
_WHOLE = {
    "preamble.e_x": "QBER X before",
    "preamble.e_y": "QBER Y before",
    "preamble.n_x": "Events X before",
    "preamble.n_y": "Events Y before",
    "seconds": "Seconds of light",
}
_SHARES = ("preamble.e_x", "preamble.e_y")
_BY_DETECTOR = ("mean", "dark", "eta", "dead", "afterpulse")
"""What is told of each detector, by its number."""
_NOT_SHOWN = ("calibration.", "selection.", "alignment.", "phases.")
"""What is told elsewhere, or twice."""
_SCALED = ("Hz", "s", "V", "W")
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


@dataclass(frozen=True, slots=True)
class Found:
    """One value of a result.  sigma: its standard deviation, None where none is told.  unit: empty for a number without one."""

    label: str
    value: Scalar
    unit: str
    sigma: float | None = None


def found(result: Mapping[str, Scalar]) -> list[Found]:
    """Return the values of a result, those with an uncertainty first: `v_pi_v` is half-wave voltage in volts, and `v_pi_sigma_v` its standard deviation."""
    parts = {name: _split(name) for name in result if not name.startswith(_NOT_SHOWN)}
    sigmas = {(head[: -len("_sigma")], unit): result[name] for name, (head, unit) in parts.items() if head.endswith("_sigma")}
    listed = []
    for name, (head, unit) in parts.items():
        if head.endswith("_sigma"):
            continue
        sigma = sigmas.get((head, unit))
        unit = "%" if head in _SHARES else unit
        listed.append(Found(_label(head), result[name], unit, float(sigma) if isinstance(sigma, int | float) else None))
    return sorted(listed, key=lambda one: one.sigma is None)


def _split(name: str) -> tuple[str, str]:
    """Return a name without its unit, and the unit; the number of a part stays with the name."""
    whole, dot, part = name.partition(".")
    head, _, tail = whole.rpartition("_")
    return (head + dot + part, _UNITS[tail]) if head and tail in _UNITS and whole not in _LABELS else (name, "")


def _label(head: str) -> str:
    if head in _WHOLE:
        return _WHOLE[head]
    whole, _, part = head.partition(".")
    label = _LABELS.get(whole, whole.replace("_", " ").capitalize())
    if whole in _BY_DETECTOR and part.isdigit():
        part = f"D{part}"
    return f"{label}, {part.replace('_', ' ').replace('.', ', ')}" if part else label


def text(one: Found) -> str:
    """Return a value in words, with its uncertainty: "5.006(3) V"."""
    value = float(one.value) if isinstance(one.value, int | float) and not isinstance(one.value, bool) else None
    if value is None:
        return words.quantity(one.value)
    if one.sigma is None:
        if one.unit == "%":
            return words.percent(value)
        counted = not one.unit and value.is_integer() and (isinstance(one.value, int) or abs(value) >= 1000.0)
        return words.count(value) if counted else words.quantity(value, one.unit)
    if one.unit in _SCALED and (value or one.sigma):
        factor, prefix = _prefix(max(abs(value), one.sigma))
        return words.uncertain(value / factor, one.sigma / factor, f"{prefix}{one.unit}")
    return words.uncertain(value, one.sigma, one.unit)


def _prefix(value: float) -> tuple[float, str]:
    """Return the SI prefix that suits a value."""
    return next(((factor, prefix) for factor, prefix in _PREFIXES if abs(value) >= factor), _PREFIXES[-1])
