"""The slot clock: its state, shared by both kernels, and its first lock.

Detector times become slots by their distance from sync tags, one every `divider` slots. A loop follows phase and period; floats hold short differences only,
absolute times stay int64 picoseconds. With D picoseconds and r periods between the sync tag followed last and this one, fraction f and period P:

    e = D - f - r P,    f = (KP - 1) e,    P = P + KI e

which is the loop f + r P + KP e seen from this tag; two numbers below a gate pass from tag to tag.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ..core.errors import SyncError

KP, KI = 0.1, 0.001
"""Loop gains for phase and period."""
BRIDGE = 16
"""Periods without sync after which the phase is taken from the next sync tag whole instead of by the loop."""
BAD_PERIODS = 10
"""Sync tags in a row that may stray by more than half a gate."""
WARM_TAGS = 64
"""Sync tags from which phase and period are first estimated."""
_DRIFT = 50e-6


class At(IntEnum):
    """Places in the int64 state."""

    BASE = 0
    COUNT = 1
    LAST_SLOT = 2
    LAST_DETECTOR = 3
    PENDING = 4
    BAD_RUN = 5
    SYNCS = 6
    SYNC_LOST = 7
    SYNC_BAD = 8
    CLICKS = 9
    OUTSIDE = 10
    DOUBLES = 11
    LATE = 12
    LAST_PS = 13


SYNC, IGNORED = 2, 3
"""Roles of a tag channel besides 0 for D1 and 1 for D2."""
LOST, DISORDER = -1, -2
"""What a kernel returns instead of a number of events."""
LONG_AGO = -(2**62)
"""A time (ps) before every tag."""


@dataclass(frozen=True, slots=True)
class State:
    """Everything that passes from one chunk to the next.

    ints: int64 (14,), see `At`; BASE is the sync tag followed last (ps), PENDING is 0 for no event waiting, 1 for one, 2 for one withdrawn.
    floats: float64 (2,), by how much the loop expects that tag later than it came (ps), period (ps).
    """

    ints: NDArray[np.int64]
    floats: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """Sync tag number `first` + j stands at base_ps + offset_ps + j period_ps."""

    base_ps: int
    offset_ps: float
    period_ps: float
    first: int

    def residual_ps(self, t_ps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far times are from the nearest sync tag of the line."""
        x = (t_ps - self.base_ps) - self.offset_ps
        return x - self.number(t_ps) * self.period_ps

    def number(self, t_ps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the number, from `first`, of the sync tag nearest to each time."""
        number: NDArray[np.float64] = np.rint(((t_ps - self.base_ps) - self.offset_ps) / self.period_ps)
        return number


def lock(sync_ps: NDArray[np.int64], period_ps: int, tolerance_ps: float) -> Line:
    """Return the line through the first sync tags, stray ones left out.

    sync_ps: int64 (n,), at most a few hundred.  period_ps: nominal.  tolerance_ps: how far a good tag may stray.
    Raises SyncError if fewer than half of the tags agree on one period.
    """
    if sync_ps.size == 0:
        raise SyncError("no sync tag came", where="sync channel", remedy="Check the sync cable, its threshold, and the reference clock.")
    apart = (sync_ps[:, None] - sync_ps[None, :]).astype(float)
    stray = np.abs(apart - np.rint(apart / period_ps) * period_ps)
    agree = stray <= 2 * tolerance_ps + _DRIFT * np.abs(apart)
    good = agree[np.argmax(agree.sum(axis=1))]
    if 2 * good.sum() < sync_ps.size:
        raise SyncError(f"only {int(good.sum())} of {sync_ps.size} sync tags agree on one period", where="sync channel", remedy="Check the reference clock.")
    return _line(sync_ps[good], np.rint((sync_ps[good] - sync_ps[good][0]) / period_ps), period_ps)


def _line(sync_ps: NDArray[np.int64], number: NDArray[np.float64], period_ps: int) -> Line:
    base = int(sync_ps[0])
    first = round(base / period_ps)
    if number[-1] == number[0]:
        return Line(base, 0.0, float(period_ps), first)
    x = (sync_ps - base).astype(float)
    centre = number.mean()
    slope = float(np.dot(number - centre, x - x.mean()) / np.dot(number - centre, number - centre))
    return Line(base, float(x.mean() - slope * centre), slope, first)


def fit_line(sync_ps: NDArray[np.int64], period_ps: int, tolerance_ps: float) -> Line:
    """Return the least-squares line through all sync tags of a recording; the window doubles, so that gaps and stray tags do not lead it astray."""
    line, size = lock(sync_ps[:WARM_TAGS], period_ps, tolerance_ps), min(WARM_TAGS, sync_ps.size)
    while size < sync_ps.size:
        size = min(2 * size, sync_ps.size)
        window = sync_ps[:size]
        good = np.abs(line.residual_ps(window)) <= 4 * tolerance_ps
        if 2 * good.sum() < size:
            raise SyncError("the sync tags do not lie on one line", where="sync channel", remedy="Check the reference clock.")
        number = line.number(window[good])
        line = _line(window[good], number - number[0], period_ps)
    return line


def locked(line: Line) -> State:
    """Return the state of a clock that expects the line's first sync tag next."""
    ints = np.zeros(len(At), np.int64)
    start = line.offset_ps - line.period_ps
    whole = int(np.floor(start))
    ints[At.BASE], ints[At.COUNT], ints[At.LAST_SLOT] = line.base_ps + whole, line.first - 1, -1
    ints[At.LAST_PS] = LONG_AGO
    return State(ints, np.array([start - whole, line.period_ps]))
