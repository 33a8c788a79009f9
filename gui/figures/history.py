"""The last minutes of a few values that come several times a second, thinned so that they are cheap to draw."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...control.topics import Source

Floats = NDArray[np.float64]

STRIP_S = 600.0
MOST = 6000
"""Samples that are kept: ten a second for ten minutes."""
COLUMNS = 600
"""Blocks at most that are drawn; of each the least and the largest value."""


class History:
    """Values of a few channels over the last minutes.

    Within a run time is the run's own. Between live runs the pause is kept, and nothing is drawn there; a replay that jumps, or another source, begins anew.
    clock: seconds, monotonic.
    """

    def __init__(self, seconds: float = STRIP_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._kind: tuple[Source, tuple[str, ...]] = ("live", ())
        self._run, self._last_s, self._base = "", 0.0, 0.0
        self._first, self._n, self._gone = 0, 0, 0
        self._t, self._y = np.zeros(2 * MOST), np.zeros((2 * MOST, 0))

    def add(self, run: str, source: Source, t_s: float, names: tuple[str, ...], values: Floats) -> None:
        """Append what was read.  t_s: time in the run.  values: float64 (n,), one for each name."""
        if (source, names) != self._kind or (run == self._run and t_s < self._last_s) or (run != self._run and source == "replay"):
            self._begin(source, names)
        if not run or run != self._run:
            self._next_run(run, source, t_s)
        if self._n and run == self._run and t_s == self._last_s:
            return
        self._append(self._base + t_s, values)
        self._last_s = t_s

    def _begin(self, source: Source, names: tuple[str, ...]) -> None:
        self._kind, self._run = (source, names), ""
        self._first, self._n, self._gone = 0, 0, 0
        self._y = np.zeros((2 * MOST, len(names)))

    def _next_run(self, run: str, source: Source, t_s: float) -> None:
        end = self._t[self._first + self._n - 1] if self._n else -np.inf
        self._run, self._base = run, 0.0 if source == "replay" else max(self._clock() - t_s, end + 0.1 - t_s)
        if self._n:
            self._append(end + 0.05, np.full(self._y.shape[1], np.nan))

    def _append(self, t: float, values: Floats) -> None:
        if self._first + self._n == 2 * MOST:
            self._t[: self._n], self._y[: self._n] = self._t[self._first :], self._y[self._first :]
            self._first = 0
        self._t[self._first + self._n], self._y[self._first + self._n] = t, values
        self._n += 1
        kept = self._t[self._first : self._first + self._n]
        gone = max(self._n - MOST, int(np.searchsorted(kept, t - self._seconds)))
        self._first, self._n, self._gone = self._first + gone, self._n - gone, self._gone + gone

    def seconds(self) -> float:
        """Return the time from the first sample that is kept to the last."""
        return float(self._t[self._first + self._n - 1] - self._t[self._first]) if self._n else 0.0

    def curves(self) -> tuple[Floats, Floats]:
        """Return what to draw: seconds before the last sample, float64 (m,) up to 0, and values, float64 (m, n).

        Of more than COLUMNS samples the least and the largest of equal blocks stand; a block with a pause in it is NaN.
        """
        t, y = self._t[self._first : self._first + self._n], self._y[self._first : self._first + self._n]
        if not self._n:
            return t, y
        size = -(-self._n // COLUMNS)
        if size == 1:
            return t - t[-1], y
        # Blocks begin at whole multiples since the first sample ever, so that the curve does not flicker as it moves on.
        begin = -self._gone % size
        edges = np.append(np.arange(begin, self._n, size), self._n)
        low = np.minimum.reduceat(y, edges[:-1], axis=0)
        high = np.maximum.reduceat(y, edges[:-1], axis=0)
        times = np.stack([t[edges[:-1]], t[edges[1:] - 1]], axis=1).reshape(-1)
        return times - t[-1], np.stack([low, high], axis=1).reshape(2 * low.shape[0], -1)

    def range_of(self, channel: int, seconds: float) -> tuple[float, float] | None:
        """Return the least and the largest value of a channel over the last seconds; None where nothing is known."""
        t = self._t[self._first : self._first + self._n]
        if not self._n:
            return None
        values = self._y[self._first : self._first + self._n, channel][t >= t[-1] - seconds]
        known = values[np.isfinite(values)]
        return (float(known.min()), float(known.max())) if known.size else None
