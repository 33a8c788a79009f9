"""What a batch of tags tells about the detectors: rates in short windows, and signs that somebody else's light controls them.

A detector cannot click twice within its dead time, and two detectors click together only by accident. Blinded detectors do both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from ..roles import TagBatch

if TYPE_CHECKING:
    from ..station import Station

SYNC = "sync"
_JITTERS = 8.5
"""Standard deviations of the jitter by which the distance of two tags may fall short of the dead time (six of a difference)."""
_RESOLUTION_S = 2e-9
"""By how much the coarsest tagger rounds a distance."""
_LEAST = 20.0
_VIOLATING_SHARE = 1e-4
_TIMES_ACCIDENTAL = 3.0
_SIGMAS = 6.0


@dataclass(frozen=True, slots=True)
class Expected:
    """What holds of honest clicks.  dead_ps: shortest distance of two tags of a detector.  slot_ps: length of a slot.  window_s: in which rates are judged."""

    dead_ps: float
    slot_ps: int
    window_s: float

    @classmethod
    def of(cls, station: Station, window_s: float) -> Expected:
        """Read a station."""
        site = station.optics.site
        return cls(max(0.0, (site.dead_time_s - _RESOLUTION_S - _JITTERS * site.jitter_s) * 1e12), station.clock.slot_ps, window_s)


def rates_hz(batch: TagBatch, detectors: Mapping[str, int], window_s: float) -> tuple[dict[str, float], float]:
    """Return the highest rate of each detector in the windows of a batch, and the length (s) of a window; none for an empty interval."""
    length_ps = batch.t_end_ps - batch.t_begin_ps
    if length_ps <= 0:
        return {}, 0.0
    count = max(1, round(length_ps * 1e-12 / window_s))
    edges = np.searchsorted(batch.t_ps, batch.t_begin_ps + np.arange(count + 1) * (length_ps / count))
    numbers = [np.bincount(batch.ch[a:b], minlength=256) for a, b in pairwise(edges.tolist())]
    each_s = length_ps * 1e-12 / count
    return {name: max(int(one[ch]) for one in numbers) / each_s for name, ch in detectors.items()}, each_s


def signs(batch: TagBatch, detectors: Mapping[str, int], expected: Expected) -> list[str]:
    """Return the signs of blinding in a batch, in words."""
    found: list[str] = []
    numbers: list[int] = []
    for name, ch in detectors.items():
        times = batch.t_ps[batch.ch == ch]
        numbers.append(times.size)
        close = int(np.count_nonzero(np.diff(times) < expected.dead_ps))
        if close > max(_LEAST, _VIOLATING_SHARE * times.size):
            found.append(f"{name}: {close:,} of {times.size:,} clicks come within the dead time of the one before")
    length_ps = batch.t_end_ps - batch.t_begin_ps
    if len(detectors) == 2 and length_ps > 0:
        accidental = numbers[0] * numbers[1] * expected.slot_ps / length_ps
        double = _doubles(batch, list(detectors.values()), expected.slot_ps)
        if double > _TIMES_ACCIDENTAL * accidental + _SIGMAS * sqrt(accidental) + _LEAST:
            found.append(f"{' and '.join(detectors)}: {double:,} double clicks, {accidental:,.0f} are expected by accident")
    return found


def _doubles(batch: TagBatch, channels: list[int], slot_ps: int) -> int:
    """Count neighbours of different detectors less than half a slot apart."""
    clicks = np.isin(batch.ch, channels)
    times, ch = batch.t_ps[clicks], batch.ch[clicks]
    return int(np.count_nonzero((np.diff(times) < slot_ps // 2) & (np.diff(ch.astype(np.int16)) != 0)))
