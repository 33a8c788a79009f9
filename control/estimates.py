"""How long a run still takes: what its procedure declares, else what its progress tells, smoothed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any

LEAST_PROGRESS = 0.02
LEAST_S = 2.0
SMOOTHING = 0.2
"""Share of what is new that enters the estimate at a tick."""
_REPEATS = {"sweeps", "passes"}
"""Parameters of scans that go over their points an unknown number of times."""


def declared_s(procedure: Any) -> float | None:
    """Return the seconds that a procedure declares: by PyMeasure's `get_estimates`, else by the parameters that say so; None where nothing does."""
    with suppress(NotImplementedError):
        told = procedure.get_estimates()
        if isinstance(told, int | float) and not isinstance(told, bool) and isfinite(told):
            return float(told)
    given = procedure.parameter_values()
    for name in ("duration_s", "seconds"):
        if name in given:
            return float(given[name])
    once = {"points", "period_s"} <= set(given) and not _REPEATS & set(given)
    return float(given["points"]) * float(given["period_s"]) if once else None


def remaining_s(declared: float | None, elapsed_s: float, progress: float) -> float | None:
    """Return the seconds that are left; None where nobody can know.

    declared: seconds in all, None where nobody said.  progress: 0 to 1.  A run that takes longer than declared is judged by its progress.
    """
    if declared is not None and elapsed_s <= declared:
        return declared - elapsed_s
    if progress >= LEAST_PROGRESS and elapsed_s >= LEAST_S:
        return elapsed_s * (1.0 - min(progress, 1.0)) / min(progress, 1.0)
    return None


@dataclass(slots=True)
class Estimate:
    """What is left of one run.  declared: seconds in all, None where nobody said.  left_s: the estimate now, None where there is none."""

    declared: float | None = None
    left_s: float | None = None
    _elapsed_s: float = 0.0

    def __post_init__(self) -> None:
        self.left_s = self.declared

    def tick(self, elapsed_s: float, progress: float) -> None:
        """Take in how the run stands: a fifth of what is new counts."""
        new, passed_s = remaining_s(self.declared, elapsed_s, progress), elapsed_s - self._elapsed_s
        self._elapsed_s = elapsed_s
        if new is None or self.left_s is None:
            self.left_s = new
        else:
            old = self.left_s - passed_s
            self.left_s = max(0.0, old + SMOOTHING * (new - old))
