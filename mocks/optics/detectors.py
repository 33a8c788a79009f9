"""Single-photon detectors: efficiency against bias, dark counts, dead time, afterpulses."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from ...core.physics import dead_time_rate

Times = NDArray[np.int64]

HALF_BIAS = 0.8
"""Bias, as a share of the nominal one, at which half of the plateau efficiency is reached."""
BIAS_WIDTH = 0.04
"""Width of the efficiency step, as a share of the nominal bias."""
SWITCHING = 1.45
"""Bias, as a share of the nominal one, above which a nanowire stays normal until its bias is taken to zero."""


def bias_factor(bias: float, nominal: float) -> float:
    """Return the efficiency at a bias over the efficiency at the nominal one: a sigmoid, 0 without bias."""
    if bias <= 0.0:
        return 0.0
    return _step(bias / nominal) / _step(1.0)


def _step(share: float) -> float:
    return 1.0 / (1.0 + exp(-(share - HALF_BIAS) / BIAS_WIDTH))


def click_rate(rate_hz: float, dead_s: float, afterpulse: float) -> float:
    """Return the rate of clicks that a rate of photons and dark counts gives, afterpulses included, behind a non-paralysable dead time.

    Each of c clicks spawns another one with some probability, and of all of them a share c d falls into a dead time: c = (r + p c)(1 - c d).
    """
    if afterpulse == 0.0 or dead_s == 0.0:
        return float(dead_time_rate(rate_hz, dead_s)) / (1.0 - afterpulse)
    half = (1.0 - afterpulse + rate_hz * dead_s) / 2.0
    return (sqrt(half**2 + afterpulse * dead_s * rate_hz) - half) / (afterpulse * dead_s)


@dataclass(slots=True)
class DeadTime:
    """A non-paralysable dead time that carries its state from one chunk of clicks to the next.

    dead_ps: int.  A click is kept if it comes at least dead_ps after the last kept one.
    """

    dead_ps: int
    _last: int = field(default=-(2**62))

    def keep(self, times: Times) -> Times:
        """Return the kept ones of sorted times (ps), which follow those given before."""
        if not len(times):
            return times
        close = np.empty(len(times), bool)
        close[0] = times[0] - self._last < self.dead_ps
        np.less(np.diff(times), self.dead_ps, out=close[1:])
        kept = ~close
        last, before = self._last, -1
        # Only clicks close behind another can be lost; a click behind a longer gap is kept whatever became of those before it.
        for i in np.flatnonzero(close).tolist():
            if i != before + 1 and i > 0:
                last = int(times[i - 1])
            t = int(times[i])
            if t - last >= self.dead_ps:
                kept[i] = True
                last = t
            before = i
        out = times[kept]
        if len(out):
            self._last = int(out[-1])
        return out


@dataclass(slots=True)
class Afterpulsing:
    """Dead time with afterpulses: every kept click spawns, with some probability, another one after dead + Exp(tau).

    dead_ps, tau_ps: ps.  probability: of an afterpulse per kept click.
    """

    dead_ps: int
    probability: float
    tau_ps: float
    _last: int = field(default=-(2**62))
    _waiting: list[int] = field(default_factory=list)

    def keep(self, times: Times, until: int, generator: np.random.Generator) -> Times:
        """Return kept clicks and afterpulses before `until` (ps); later afterpulses wait for the next call."""
        for t in times.tolist():
            heapq.heappush(self._waiting, t)
        kept: list[int] = []
        while self._waiting and self._waiting[0] < until:
            t = heapq.heappop(self._waiting)
            if t - self._last < self.dead_ps:
                continue
            self._last = t
            kept.append(t)
            if generator.random() < self.probability:
                heapq.heappush(self._waiting, t + self.dead_ps + round(generator.exponential(self.tau_ps)))
        return np.array(kept, np.int64)
