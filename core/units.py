"""The one place where text becomes a number with a unit.

Inside Heliograph every quantity is an SI float whose name ends in its unit; text such as "10 mW" exists at the borders only (station file, form, option).
"""

from __future__ import annotations

import re
from functools import cache
from math import inf, isfinite
from typing import TYPE_CHECKING, Literal

from .errors import ConfigError

if TYPE_CHECKING:
    import pint

Dimension = Literal["W", "V", "A", "s", "Hz", "m", "rad", "degC", "dB"]

_SHAPE = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-zµμ°]+)\s*\Z", re.ASCII)
_KEPT = {"dB": ("dB",), "degC": ("degC", "°C")}


@cache
def _registry() -> pint.UnitRegistry[float]:
    import pint

    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


def parse(text: str, dimension: Dimension, *, where: str = "") -> float:
    """Return the SI value of a quantity such as "10 mW", "1550.12 nm", "-3 dBm" or "60 dB".

    dimension: unit of the result; "W" also accepts dBm, "dB" stays in dB, "degC" in degrees Celsius.
    Raises ConfigError for a bare number, a wrong dimension, a decimal comma or a value that is not finite.
    """
    match = _SHAPE.match(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(f"{text!r} is not a number with a unit", where=where, remedy=f'Write it as "1.5 {dimension}", with a decimal point.')
    value = _in(float(match[1]), match[2], dimension)
    if value is None:
        raise ConfigError(f"{text!r} does not convert to {dimension}", where=where, remedy=f'Write it as "1.5 {dimension}", or in a unit of the same kind.')
    if not isfinite(value):
        raise ConfigError(f"{text!r} is not finite", where=where, remedy="Give a value that the bench can have.")
    return value


def _in(number: float, unit: str, dimension: Dimension) -> float | None:
    if unit == "dBm":
        if dimension != "W":
            return None
        return inf if number > 3000 else float(10.0 ** (number / 10.0)) * 1e-3
    if dimension in _KEPT:
        return number if unit in _KEPT[dimension] else None
    import pint

    try:
        return float(_registry().Quantity(number, unit).to(dimension).magnitude)
    except pint.PintError:
        return None


_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"))


def show(value: float, unit: str, digits: int = 4) -> str:
    """Return a value with an engineering prefix for people, such as `12.35 mW`."""
    if unit in ("dB", "degC") or value == 0.0:
        return f"{value:.{digits}g} {unit}"
    factor, prefix = next((pair for pair in _PREFIXES if abs(value) >= pair[0]), _PREFIXES[-1])
    return f"{value / factor:.{digits}g} {prefix}{unit}"
