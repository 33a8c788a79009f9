"""Compiled kernel of `live`: one pass over merged tags. `_live_plain` says the same in plain form."""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from ._slot_clock import BAD_PERIODS, BRIDGE, KI, KP, LOST, SYNC


def _read(kind: types.Type) -> types.Array:
    return types.Array(kind, 1, "C", readonly=True)


_SIGNATURE = types.int64(
    _read(types.int64), _read(types.uint8), _read(types.uint8), types.int64[::1], types.float64[::1], types.int64, types.float64,
    _read(types.float64), _read(types.float64), types.uint32[:, ::1], types.uint32[:, ::1], types.int64[::1],
)  # fmt: skip


@numba.njit(_SIGNATURE, cache=True)
def fold(
    t: NDArray[np.int64],
    channel: NDArray[np.uint8],
    roles: NDArray[np.uint8],
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    divider: int,
    half_gate: float,
    centre: NDArray[np.float64],
    half: NDArray[np.float64],
    histogram: NDArray[np.uint32],
    pairs: NDArray[np.uint32],
    seen: NDArray[np.int64],
) -> int:
    """Add these tags to a histogram, to the slots clicked by one or both detectors, and to the tags of every channel; return 0.

    ints: sync tag followed last (ps), its number, stray tags in a row, slots clicked last at D1 and D2.  floats: fraction, period (ps), as in `_slot_clock`.
    centre, half: of each detector's gate, in slots.  Returns LOST if the sync was lost; what came before is counted.
    """
    base, first, bad_run = ints[0], ints[1] * divider, ints[2]
    last = ints[3:5]
    fraction, period = floats[0], floats[1]
    rate = divider / period
    offset = fraction * rate
    bins = histogram.shape[1]
    for i in range(t.size):
        seen[channel[i]] += 1
        role = roles[channel[i]]
        if role < SYNC:
            place = float(t[i] - base) * rate - offset
            part = place - np.floor(place)
            histogram[role, min(np.int64(part * bins), bins - 1)] += 1
            shifted = place - centre[role] + 0.5
            near = np.floor(shifted)
            slot = np.int64(near) + first
            if abs(shifted - near - 0.5) <= half[role] and slot != last[role]:
                last[role] = slot
                pairs[role, role] += 1
                if last[1 - role] == slot:
                    pairs[0, 1] += 1
                    pairs[1, 0] += 1
        elif role == SYNC:
            since = float(t[i] - base) - fraction
            passed, error, kp, ki = 1, since - period, KP, KI
            if abs(error) > half_gate:
                passed = max(1, int(np.floor(since / period + 0.5)))
                error = since - passed * period
                if passed > BRIDGE and abs(error) <= 0.25 * period:
                    kp, ki = 1.0, 0.0
                elif abs(error) > half_gate:
                    bad_run += 1
                    if bad_run > BAD_PERIODS:
                        return LOST
                    continue
            base = t[i]
            fraction = (kp - 1.0) * error
            period += ki * error
            first += passed * divider
            bad_run = 0
            rate = divider / period
            offset = fraction * rate
    ints[0], ints[1], ints[2] = base, first // divider, bad_run
    floats[0], floats[1] = fraction, period
    return 0
