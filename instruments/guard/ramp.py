"""Small steps towards more light: by decibels for power and attenuation, by tenths for a bias, and how long a bias rests on each."""

from __future__ import annotations

from math import ceil, log10

STEP_DB = 1.0
"""Largest step towards more light on biased detectors."""
BIAS_SHARE = 0.1
"""Largest step of a bias, as a share of where it goes."""
BIAS_PAUSE_S = 0.1
"""Least time between two steps of a bias upwards."""
_DARKEST = 1e-4
"""Where a power that comes from zero begins, as a share of where it goes."""
_ROUNDING = 1e-9


def levels(quantity: str, start: float, target: float, scale: float | None = None) -> list[float]:
    """Return the values through which a quantity goes from start to target, the target last.

    quantity: `attenuation_db`, `power_w` or `bias` (a channel behind a colon is ignored).
    scale: bias for normal work, of which a step is a tenth; by default that of the target.
    """
    kind = quantity.partition(":")[0]
    if kind == "attenuation_db":
        return _even(start, target, STEP_DB)
    if kind == "power_w" and target > 0.0:
        first = max(start, _DARKEST * target)
        path = _even(10.0 * log10(first), 10.0 * log10(target), STEP_DB)
        return [*(10.0 ** (level / 10.0) for level in path[:-1]), target]
    if kind == "bias":
        return _even(start, target, BIAS_SHARE * abs(target if scale is None else scale))
    return [target]


def _even(start: float, target: float, step: float) -> list[float]:
    if step <= 0.0:
        return [target]
    count = max(1, ceil(abs(target - start) / step - _ROUNDING))
    return [start + (target - start) * k / count for k in range(1, count)] + [target]
