"""What can be said of tags while they come in: arrivals folded to the slot, slots clicked by one detector or by both, tags of every channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..core.errors import SyncError
from . import _live_plain
from ._slot_clock import SYNC, WARM_TAGS, lock, locked
from .timetags import Engine, SlotTiming

BINS = 500
"""Parts of a slot in which arrivals are counted."""
LEAST_RESULTANT = 0.5
"""Circular concentration of arrivals below which they have no centre (see `alignment`)."""
_NEVER = -(2**62)


@dataclass(frozen=True, slots=True)
class Folded:
    """Counts of a stretch of tags.

    histogram: uint32 (2, BINS), arrivals of D1 and D2 in the slot, from the sync tag.  pairs: uint32 (2, 2), slots in which both clicked inside their gates,
    on the diagonal those of one detector, whatever the other did.
    """

    histogram: NDArray[np.uint32] = field(default_factory=lambda: np.zeros((2, BINS), np.uint32))
    pairs: NDArray[np.uint32] = field(default_factory=lambda: np.zeros((2, 2), np.uint32))


class Folding:
    """Follows the sync tags of a stream and counts its clicks.  gates: (low, high) in the slot (ps) of D1 and D2; they may reach over its ends.

    Where there is no sync that can be followed, tags are counted by channel only, and the clock is sought again in the next batch.
    """

    def __init__(self, timing: SlotTiming, *, engine: Engine = "auto") -> None:
        self.timing = timing
        self.gates = ((0.0, float(timing.slot_ps)), (0.0, float(timing.slot_ps)))
        self._roles = timing.roles
        self._fold = _kernel(engine)
        self._ints: NDArray[np.int64] | None = None
        self._floats = np.zeros(2)

    def feed(self, t: NDArray[np.int64], channel: NDArray[np.uint8], into: Folded) -> NDArray[np.int64]:
        """Add tags, times (n,) in order with channels (n,), to what was counted; return how many came from each of the 256 channels."""
        t, channel = np.ascontiguousarray(t, np.int64), np.ascontiguousarray(channel, np.uint8)
        if self._ints is None and not self._locked(t, channel):
            return np.bincount(channel, minlength=256)
        seen = np.zeros(256, np.int64)
        centre, half = self._gates_in_slots()
        given = (self.timing.sync_divider, self.timing.gate_ps / 2, centre, half, into.histogram, into.pairs, seen)
        if self._fold(t, channel, self._roles, self._ints, self._floats, *given) < 0:
            self._ints = None
            return np.bincount(channel, minlength=256)
        return seen

    def _gates_in_slots(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        edges = np.array(self.gates, float) / self.timing.slot_ps
        return edges.mean(axis=1), (edges[:, 1] - edges[:, 0]) / 2.0

    def _locked(self, t: NDArray[np.int64], channel: NDArray[np.uint8]) -> bool:
        """Find the clock by the first sync tags of a batch; False if there is none."""
        try:
            state = locked(lock(t[self._roles[channel] == SYNC][:WARM_TAGS], self.timing.sync_ps, self.timing.gate_ps / 2))
        except SyncError:
            return False
        self._ints, self._floats = np.array([state.ints[0], state.ints[1], 0, _NEVER, _NEVER]), state.floats
        return True


def centres_ps(histogram: NDArray[np.uint32], slot_ps: int) -> tuple[float, float] | None:
    """Return where in the slot the arrivals of D1 and D2 have their centres (ps); None if one of them has no preferred place."""
    turns = np.exp(2j * np.pi * (np.arange(histogram.shape[1]) + 0.5) / histogram.shape[1])
    means = [complex(row @ turns) / max(int(row.sum()), 1) for row in histogram]
    if any(abs(mean) < LEAST_RESULTANT for mean in means):
        return None
    first, second = (float(np.angle(mean) / (2 * np.pi) % 1.0 * slot_ps) for mean in means)
    return first, second


def _kernel(engine: Engine) -> Callable[..., int]:
    if engine == "numpy":
        return _live_plain.fold
    try:
        from . import _live_numba
    except ImportError:
        if engine == "numba":
            raise
        return _live_plain.fold
    compiled: Callable[..., int] = _live_numba.fold
    return compiled


def envelope(values: NDArray[np.float64], columns: int) -> NDArray[np.int64]:
    """Return which of n values stand for all of them in a plot of so many pixel columns: smallest and largest of each block, in order of occurrence.

    values: float (n,).  Blocks have one length, the last may be shorter.  A value that is no number stands only for a block that holds no other, and then the
    block's first and last are returned, so that the gap stays.  Source: peak decimation as in oscilloscopes; the envelope is exact.
    """
    if values.size == 0:
        return np.empty(0, np.int64)
    length = max(1, -(-values.size // max(1, columns)))
    blocks = -(-values.size // length)
    padded = np.full(blocks * length, np.nan)
    padded[: values.size] = values
    table = padded.reshape(blocks, length)
    empty = np.isnan(table)
    begin = np.arange(blocks) * length
    low = begin + np.where(empty, np.inf, table).argmin(axis=1)
    high = begin + np.where(empty, -np.inf, table).argmax(axis=1)
    none = empty.all(axis=1)
    low[none], high[none] = begin[none], np.minimum(begin + length, values.size)[none] - 1
    return np.stack((np.minimum(low, high), np.maximum(low, high)), axis=1).ravel()


def decimated(x: NDArray[np.float64], y: NDArray[np.float64], columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a curve, float (n,) each, as its envelope in so many pixel columns: two points a block, at the x of its begin and of its end."""
    length = max(1, -(-y.size // max(1, columns)))
    begin = np.arange(0, y.size, length)
    edges: NDArray[np.int64] = np.stack((begin, np.minimum(begin + length, y.size) - 1), axis=1).ravel()
    kept: NDArray[np.float64] = y[envelope(y, columns)]
    return x[edges], kept


def peak_rows(rows: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return at most `most` rows of a table (n, columns), the first and those in which a column but the first has a peak, in order."""
    n, columns = rows.shape
    if n <= most or columns < 2:
        return rows[:: max(1, -(-n // most))] if n > most else rows
    blocks = max(1, (most - 1) // (2 * (columns - 1)))
    chosen = np.unique(np.concatenate([[0], *(envelope(rows[:, k], blocks) for k in range(1, columns))]))
    kept: NDArray[np.float64] = rows[chosen]
    return kept
