"""What quantum jobs cost and may cost, in words."""

from __future__ import annotations

from collections.abc import Sequence

from ...control.topics import QpuLimit
from .. import words

_NAMES = {"usd": "cost", "qpu_seconds": "time on devices"}


def money(amount: float, currency: str) -> str:
    """Return an amount: "1.25 USD", "0.0004 USD"."""
    return f"{amount:.2f} {currency}" if amount == 0 or abs(amount) >= 0.01 else f"{amount:.2g} {currency}"


def quantity(value: float, unit: str) -> str:
    """Return a quantity of what is limited: "1.25 USD", "90 s", "20 000 shots"."""
    if unit.isupper():
        return money(value, unit)
    return f"{words.count(value)} {unit}" if value == int(value) else f"{words.exact(value)} {unit}"


def standing(limits: Sequence[QpuLimit]) -> str:
    """Return in one line what is spent of each cap: "time on devices 60 s of 200 s, 2 of 5 jobs"; one that is not set allows nothing."""
    return ", ".join(_spent_of(one) for one in limits) or words.UNKNOWN


def _spent_of(one: QpuLimit) -> str:
    spent, cap = (quantity(value, one.unit) for value in (one.spent, one.cap or 0.0))
    if one.name not in _NAMES:
        spent = spent.removesuffix(f" {one.unit}")
    return f"{_NAMES.get(one.name, '')} {spent} of {cap}".strip()
