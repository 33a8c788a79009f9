"""How long a run still takes: what its progress tells, and until that says something what its procedure declares; smoothed.

What is declared is time of the bench, which on a simulated one is not that of the wall; progress is known by the wall's clock on either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ...core.errors import ConfigError
from ...core.units import parse

LEAST_PROGRESS = 0.02
LEAST_S = 2.0
LEAST_DECLARED_S = 0.5
"""Sooner for a procedure that declares its duration: its progress is even."""
SMOOTHING = 0.2
"""Share of what is new that enters the estimate at a tick."""
_REPEATS = {"sweeps", "passes"}
"""Parameters of scans that go over their points an unknown number of times."""
_CLOCK = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
"""A duration as Python prints it."""


def declared_s(procedure: Any) -> float | None:
    """Return the seconds that a procedure declares: by PyMeasure's `get_estimates`, else by the parameters that say so; None where nothing does."""
    with suppress(NotImplementedError):
        told = told_s(procedure.get_estimates())
        if told is not None:
            return told
    given = procedure.parameter_values()
    for name in ("duration_s", "seconds"):
        if isinstance(given.get(name), int | float):
            return float(given[name])
    once = {"points", "period_s"} <= set(given) and not _REPEATS & set(given)
    return float(given["points"]) * float(given["period_s"]) if once else None


def told_s(told: Any) -> float | None:
    """Return the seconds in what a procedure of PyMeasure tells of itself, None where there are none.

    told: seconds; or its estimates by label, as a mapping or in pairs, of which one such as ("Duration", "90 s") says how long it takes.
    """
    if isinstance(told, int | float) and not isinstance(told, bool):
        return float(told) if isfinite(told) and told >= 0.0 else None
    pairs = told.items() if isinstance(told, Mapping) else told
    if not isinstance(pairs, Iterable) or isinstance(pairs, str):
        return None
    named = [(str(pair[0]).lower(), pair[1]) for pair in pairs if isinstance(pair, tuple | list) and len(pair) == 2]
    return next((seconds for label, value in named if "duration" in label and (seconds := _seconds(value)) is not None), None)


def _seconds(value: Any) -> float | None:
    """Return the seconds in a number, in a text such as "90 s" or "1.5 min", or in one such as "0:01:30"."""
    if not isinstance(value, str):
        return told_s(value) if isinstance(value, int | float) else None
    clock = _CLOCK.fullmatch(value.strip())
    if clock:
        days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        return 86400.0 * days + 3600.0 * hours + 60.0 * minutes + seconds
    with suppress(ConfigError):
        return told_s(parse(value.strip(), "s"))
    return None


def is_known(declared: float | None, elapsed_s: float, progress: float) -> bool:
    """Say whether progress tells how long a run takes.  Arguments as those of `remaining_s`."""
    return progress >= LEAST_PROGRESS and elapsed_s >= (LEAST_S if declared is None else LEAST_DECLARED_S)


def remaining_s(declared: float | None, elapsed_s: float, progress: float) -> float | None:
    """Return the seconds of the wall's clock that are left; None where nobody can know.

    declared: seconds in all, None where nobody said.  progress: 0 to 1.
    """
    if is_known(declared, elapsed_s, progress):
        return elapsed_s * (1.0 - min(progress, 1.0)) / min(progress, 1.0)
    return declared - elapsed_s if declared is not None and elapsed_s <= declared else None


@dataclass(slots=True)
class Estimate:
    """What is left of one run.  declared: seconds in all, None where nobody said.  left_s: the estimate now, None where there is none."""

    declared: float | None = None
    left_s: float | None = None
    _elapsed_s: float = 0.0
    _known: bool = False

    def __post_init__(self) -> None:
        self.left_s = self.declared

    def tick(self, elapsed_s: float, progress: float) -> None:
        """Take in how the run stands: a fifth of what is new counts."""
        new, passed_s = remaining_s(self.declared, elapsed_s, progress), elapsed_s - self._elapsed_s
        before, self._known = self._known, is_known(self.declared, elapsed_s, progress)
        self._elapsed_s = elapsed_s
        if new is None or self.left_s is None or before != self._known:
            self.left_s = new
        else:
            old = self.left_s - passed_s
            self.left_s = max(0.0, old + SMOOTHING * (new - old))
