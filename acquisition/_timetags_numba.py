"""Compiled kernel of `timetags`: one pass over merged tags. `_timetags_numpy` says the same in plain form."""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from ._slot_clock import BAD_PERIODS, BRIDGE, KI, KP, SYNC, At

BASE, COUNT, LAST_SLOT, LAST_DETECTOR, PENDING = int(At.BASE), int(At.COUNT), int(At.LAST_SLOT), int(At.LAST_DETECTOR), int(At.PENDING)
BAD_RUN, SYNCS, SYNC_LOST, SYNC_BAD = int(At.BAD_RUN), int(At.SYNCS), int(At.SYNC_LOST), int(At.SYNC_BAD)
CLICKS, OUTSIDE, DOUBLES, LATE = int(At.CLICKS), int(At.OUTSIDE), int(At.DOUBLES), int(At.LATE)


def _read(kind: types.Type) -> types.Array:
    return types.Array(kind, 1, "C", readonly=True)


_SIGNATURE = types.int64(
    _read(types.int64), _read(types.uint8), _read(types.uint8), types.int64[::1], types.float64[::1], types.int64, types.float64, _read(types.float64),
    types.int64[::1], types.uint8[::1],
)  # fmt: skip


@numba.njit(_SIGNATURE, cache=True)
def select(  # noqa: C901, PLR0915  one loop, so that its state stays in registers
    t: NDArray[np.int64],
    channel: NDArray[np.uint8],
    roles: NDArray[np.uint8],
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    divider: int,
    half_gate: float,
    phase: NDArray[np.float64],
    out_slot: NDArray[np.int64],
    out_detector: NDArray[np.uint8],
) -> int:
    """Write the events released by these tags and return how many, or -1 if the sync was lost."""
    base, count, last_slot, pending = ints[BASE], ints[COUNT], ints[LAST_SLOT], ints[PENDING]
    last_detector, bad_run = ints[LAST_DETECTOR], ints[BAD_RUN]
    syncs = sync_lost = sync_bad = clicks = outside = doubles = late = 0
    fraction, period = floats[0], floats[1]
    slot_ps = period / divider
    n_out = 0
    for i in range(t.size):
        role = roles[channel[i]]
        if role < SYNC:
            clicks += 1
            place = (float(t[i] - base) - fraction - phase[role]) / slot_ps
            nearest = np.floor(place + 0.5)
            slot = np.int64(nearest) + count * divider
            if abs(place - nearest) * slot_ps > half_gate or slot < 0:
                outside += 1
            elif slot < last_slot:
                late += 1
            elif slot == last_slot:
                if pending == 1:
                    pending = 2
                    doubles += 1
            else:
                if pending == 1:
                    out_slot[n_out] = last_slot
                    out_detector[n_out] = last_detector
                    n_out += 1
                last_slot, last_detector, pending = slot, role, 1
        elif role == SYNC:
            since = float(t[i] - base) - fraction
            passed = max(1.0, np.floor(since / period + 0.5))
            error = since - passed * period
            rejoin = passed > BRIDGE and abs(error) <= 0.25 * period
            if abs(error) <= half_gate or rejoin:
                fraction += passed * period + (error if rejoin else KP * error)
                period += 0.0 if rejoin else KI * error
                whole = np.floor(fraction)
                base += np.int64(whole)
                fraction -= whole
                count += int(passed)
                slot_ps = period / divider
                syncs += 1
                sync_lost += int(passed) - 1
                bad_run = 0
            else:
                sync_bad += 1
                bad_run += 1
                if bad_run > BAD_PERIODS:
                    n_out = -1
                    break
    ints[BASE], ints[COUNT], ints[LAST_SLOT], ints[PENDING] = base, count, last_slot, pending
    ints[LAST_DETECTOR], ints[BAD_RUN] = last_detector, bad_run
    ints[SYNCS] += syncs
    ints[SYNC_LOST] += sync_lost
    ints[SYNC_BAD] += sync_bad
    ints[CLICKS] += clicks
    ints[OUTSIDE] += outside
    ints[DOUBLES] += doubles
    ints[LATE] += late
    floats[0], floats[1] = fraction, period
    return n_out
