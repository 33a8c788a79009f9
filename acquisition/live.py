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
