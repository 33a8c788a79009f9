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
        # Blocks begin at whole multiples since the first sample ever, so that the curve does not flicker as it moves on.
        t, y = envelope(t, y, size := -(-self._n // COLUMNS), gone=self._gone % size)
        return t - t[-1], y

    def range_of(self, channel: int, seconds: float) -> tuple[float, float] | None:
        """Return the least and the largest value of a channel over the last seconds; None where nothing is known."""
        t = self._t[self._first : self._first + self._n]
        if not self._n:
            return None
        values = self._y[self._first : self._first + self._n, channel][t >= t[-1] - seconds]
        known = values[np.isfinite(values)]
        return (float(known.min()), float(known.max())) if known.size else None


def envelope(t: Floats, y: Floats, size: int, gone: int = 0) -> tuple[Floats, Floats]:
    """Return begin and end of each block, float64 (2 m,), and the least and the largest value in it in order of occurrence, float64 (2 m, n).

    t: float64 (k,), y: float64 (k, n), k > 0.  size: samples of a block; the last one may be shorter.  gone: samples that the first block no longer has.
    The extremes are exact; a block with a NaN in it is NaN. Source: peak decimation, as in oscilloscopes.
    """
    if size == 1:
        return t, y
    edges = np.append(np.append(0, np.arange(size - gone, len(t), size)), len(t))
    # The first and the last sample once more, until all blocks are equal, change neither extremes nor their order.
    blocks = np.pad(y.T, ((0, 0), (gone, (edges.size - 1) * size - gone - len(t))), mode="edge").reshape(y.shape[1], -1, size)
    low, high = blocks.argmin(axis=2), blocks.argmax(axis=2)
    both = np.take_along_axis(blocks, np.stack([np.minimum(low, high), np.maximum(low, high)], axis=2), axis=2)
    return np.stack([t[edges[:-1]], t[edges[1:] - 1]], axis=1).reshape(-1), both.reshape(y.shape[1], -1).T
