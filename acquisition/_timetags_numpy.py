"""Plain form of `timetags`, to be read beside the text it implements and to run where no compiler is installed."""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

from ._slot_clock import BAD_PERIODS, BRIDGE, KI, KP, SYNC, At, Line

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def select(
    t: Ints,
    channel: NDArray[np.uint8],
    roles: NDArray[np.uint8],
    ints: Ints,
    floats: Floats,
    divider: int,
    half_gate: float,
    phase: Floats,
    out_slot: Ints,
    out_detector: NDArray[np.uint8],
) -> int:
    """Write the events released by these tags and return how many, or -1 if the sync was lost."""
    role = roles[channel]
    at_sync, at_click = np.flatnonzero(role == SYNC), np.flatnonzero(role < SYNC)
    track = _follow(t[at_sync], ints, floats, half_gate)
    if track is None:
        return -1
    base, count, fraction, period = track
    now = np.searchsorted(at_sync, at_click)
    detector, slot_ps = role[at_click], period[now] / divider
    place = ((t[at_click] - base[now]).astype(float) - fraction[now] - phase[detector]) / slot_ps
    nearest = np.floor(place + 0.5)
    slot = nearest.astype(np.int64) + count[now] * divider
    inside = (np.abs(place - nearest) * slot_ps <= half_gate) & (slot >= 0)
    ints[At.CLICKS] += at_click.size
    ints[At.OUTSIDE] += at_click.size - np.count_nonzero(inside)
    return _single(slot[inside], detector[inside], ints, out_slot, out_detector)


def _follow(sync: Ints, ints: Ints, floats: Floats, half_gate: float) -> tuple[Ints, Ints, Floats, Floats] | None:
    """Run the loop over sync tags; return base, count, fraction and period before the first and after each (n + 1,)."""
    bases, counts = np.empty(sync.size + 1, np.int64), np.empty(sync.size + 1, np.int64)
    fractions, periods = np.empty(sync.size + 1), np.empty(sync.size + 1)
    base, count, bad_run = int(ints[At.BASE]), int(ints[At.COUNT]), int(ints[At.BAD_RUN])
    fraction, period = float(floats[0]), float(floats[1])
    bases[0], counts[0], fractions[0], periods[0] = base, count, fraction, period
    for i, t in enumerate(sync.tolist(), start=1):
        since = (t - base) - fraction
        passed = max(1, floor(since / period + 0.5))
        error = since - passed * period
        rejoin = passed > BRIDGE and abs(error) <= 0.25 * period
        if abs(error) <= half_gate or rejoin:
            fraction += passed * period + (error if rejoin else KP * error)
            period += 0.0 if rejoin else KI * error
            base, fraction = base + floor(fraction), fraction - floor(fraction)
            count, bad_run = count + passed, 0
            ints[At.SYNCS] += 1
            ints[At.SYNC_LOST] += passed - 1
        else:
            bad_run += 1
            ints[At.SYNC_BAD] += 1
            if bad_run > BAD_PERIODS:
                return None
        bases[i], counts[i], fractions[i], periods[i] = base, count, fraction, period
    ints[At.BASE], ints[At.COUNT], ints[At.BAD_RUN] = base, count, bad_run
    floats[:] = fraction, period
    return bases, counts, fractions, periods


def _single(slot: Ints, detector: NDArray[np.uint8], ints: Ints, out_slot: Ints, out_detector: NDArray[np.uint8]) -> int:
    """Withdraw every slot that was clicked more than once; the last slot waits for the next chunk."""
    highest = np.maximum.accumulate(np.concatenate((ints[At.LAST_SLOT : At.LAST_SLOT + 1], slot)))
    on_time = slot >= highest[:-1]
    ints[At.LATE] += slot.size - np.count_nonzero(on_time)
    slot, detector = slot[on_time], detector[on_time]
    if slot.size == 0:
        return 0
    waiting = int(ints[At.PENDING])
    slot = np.concatenate((ints[At.LAST_SLOT : At.LAST_SLOT + 1], slot))
    detector = np.concatenate((ints[At.LAST_DETECTOR : At.LAST_DETECTOR + 1].astype(np.uint8), detector))
    first = np.flatnonzero(np.concatenate(([True], slot[1:] != slot[:-1])))
    size = np.diff(first, append=slot.size)
    # The carried slot counts as already multiple when it was withdrawn before, and as no event when none was waiting.
    pending = np.where(size > 1, 2, 1)
    pending[0] = waiting if size[0] == 1 or waiting == 0 else 2
    ints[At.DOUBLES] += np.count_nonzero(pending == 2) - (waiting == 2)
    released = first[:-1][pending[:-1] == 1]
    out_slot[: released.size], out_detector[: released.size] = slot[released], detector[released]
    ints[At.LAST_SLOT], ints[At.LAST_DETECTOR], ints[At.PENDING] = slot[first[-1]], detector[first[-1]], pending[-1]
    return int(released.size)


def on_line(t: Ints, role: NDArray[np.uint8], line: Line, divider: int, half_gate: float, phase: Floats) -> tuple[Ints, NDArray[np.uint8]]:
    """Return slots and detectors selected against one straight clock line: the reference for the loop.

    t, role: (n,) detector tags only, in time order.
    """
    slot_ps = line.period_ps / divider
    place = ((t - line.base_ps) - line.offset_ps - phase[role]) / slot_ps
    nearest = np.floor(place + 0.5)
    slot = nearest.astype(np.int64) + line.first * divider
    inside = (np.abs(place - nearest) * slot_ps <= half_gate) & (slot >= 0)
    single, index, times = np.unique(slot[inside], return_index=True, return_counts=True)
    return single[times == 1], role[inside][index[times == 1]]
