"""What the spacing of one detector's clicks tells: its dead time, and how often a click brings another one after it.

Light without structure makes clicks that do not know of each other. What is missing at short lags is dead time, what is too much are afterpulses.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import CalibrationError, ParameterError
from . import _autocorrelation_numpy

Engine = Literal["auto", "numba", "numpy"]
EDGE_INTERVALS = 12
"""Intervals of the shortest ones between which the edge of the dead time is extrapolated."""
_REMEDY = "Record longer, or send more light."


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its standard deviation."""

    value: float
    sigma: float


class Autocorrelation:
    """Histogram of the time between any two clicks of one detector, fed batch by batch; pairs are sought within a batch.

    bin_ps, bins: width and number of the histogram's bins.  clicks: tags fed so far.  span_s: time they cover.
    """

    def __init__(self, bin_ps: int = 1000, bins: int = 10_000, *, engine: Engine = "auto") -> None:
        if bin_ps < 1 or bins < 2:
            raise ParameterError(f"{bins} bins of {bin_ps} ps", where="autocorrelation", remedy="Give two bins of a picosecond or more.")
        self.bin_ps, self.bins = bin_ps, bins
        self.clicks, self.span_s = 0, 0.0
        self._pairs = np.zeros(bins, np.int64)
        self._shortest = np.empty(0, np.int64)
        self._engine = _engine(engine)

    def feed(self, t_ps: NDArray[np.int64], span_s: float) -> None:
        """Add the clicks of one detector in one batch: sorted int64 (n,) picoseconds, and the time the batch covers. Raises ParameterError."""
        if t_ps.dtype != np.int64 or t_ps.ndim != 1 or (t_ps[1:] < t_ps[:-1]).any():
            raise ParameterError("tags are sorted int64 picoseconds", where="autocorrelation")
        self._pairs += self._engine.pair_histogram(np.ascontiguousarray(t_ps), self.bin_ps, self.bins)
        self._shortest = _least(np.concatenate((self._shortest, np.diff(t_ps))), 2 * EDGE_INTERVALS)
        self.clicks += t_ps.size
        self.span_s += span_s

    @property
    def pairs(self) -> NDArray[np.int64]:
        """Return the number of pairs by lag, int64 (bins,)."""
        return self._pairs.copy()

    @property
    def lags_s(self) -> NDArray[np.float64]:
        """Return the centres of the bins (s), float64 (bins,)."""
        return np.asarray((np.arange(self.bins) + 0.5) * self.bin_ps * 1e-12, np.float64)

    @property
    def rate_hz(self) -> float:
        """Return the mean click rate (1/s)."""
        return self.clicks / self.span_s if self.span_s > 0.0 else 0.0

    def normalised(self) -> NDArray[np.float64]:
        """Return g2 by lag, float64 (bins,): 1 where clicks do not know of each other."""
        level = self._level()
        return self._pairs / level if level > 0.0 else np.zeros(self.bins)

    def dead_time_s(self) -> Estimate:
        """Return the time after a click in which no other can come.

        The shortest intervals are spread evenly behind the edge; the edge is as far below the k-th of them as the 2k-th lies above it.
        Raises CalibrationError for too few clicks.
        """
        if self._shortest.size < 2 * EDGE_INTERVALS:
            raise CalibrationError(f"{self.clicks} clicks are too few to find the dead time", where="autocorrelation", remedy=_REMEDY)
        near, far = (float(self._shortest[k - 1]) for k in (EDGE_INTERVALS, 2 * EDGE_INTERVALS))
        edge = max(2.0 * near - far, 0.0)
        apart = (far - edge) / (2 * EDGE_INTERVALS)
        # A tag is a whole number of picoseconds.
        return Estimate(edge * 1e-12, sqrt(2.0 * EDGE_INTERVALS * apart**2 + 1.0 / 6.0) * 1e-12)

    def afterpulse(self, dead_time_s: float, reach_s: float = 1e-6) -> Estimate:
        """Return the probability that a click is followed by one it caused, within `reach_s`.

        Pairs beyond those of long lags are counted. A dead time alone takes r d - (r d)^2 / 2 of a pair away from each click, and whoever was caused may
        cause another.  Raises ParameterError if the histogram has no long lags beyond the reach, CalibrationError for too few clicks.
        """
        near = round(reach_s * 1e12 / self.bin_ps)
        if not 0 < near <= self.bins // 2:
            raise ParameterError(f"a reach of {reach_s * 1e9:g} ns in a histogram of {self.bins * self.bin_ps / 1e3:g} ns", where="afterpulse")
        far = self._pairs[near:]
        if self.clicks < 1000 or far.sum() < 100:
            raise CalibrationError(f"{self.clicks} clicks are too few to find afterpulses", where="autocorrelation", remedy=_REMEDY)
        expected = float(far.mean()) * near
        spread = sqrt(float(self._pairs[:near].sum()) + expected * near / far.size)
        lost = self.rate_hz * dead_time_s
        caused = (float(self._pairs[:near].sum()) - expected) / self.clicks + lost - lost**2 / 2.0
        sigma = spread / self.clicks
        return Estimate(caused / (1.0 + caused), sigma / (1.0 + caused) ** 2)

    def _level(self) -> float:
        return float(self._pairs[self.bins // 2 :].mean())


def _least(values: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    kept = values if values.size <= n else np.partition(values, n - 1)[:n]
    return np.sort(kept)


def _engine(engine: Engine) -> ModuleType:
    if engine == "numpy":
        return _autocorrelation_numpy
    try:
        from . import _autocorrelation_numba
    except ImportError:
        if engine == "numba":
            raise
        return _autocorrelation_numpy
    return _autocorrelation_numba
