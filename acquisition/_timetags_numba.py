"""Compiled kernel of `timetags`: one pass over merged tags. `_timetags_numpy` says the same in plain form."""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from ._slot_clock import BAD_PERIODS, BRIDGE, DISORDER, KI, KP, LOST, SYNC, At

BASE, COUNT, LAST_SLOT, LAST_DETECTOR, PENDING = int(At.BASE), int(At.COUNT), int(At.LAST_SLOT), int(At.LAST_DETECTOR), int(At.PENDING)
BAD_RUN, SYNCS, SYNC_LOST, SYNC_BAD = int(At.BAD_RUN), int(At.SYNCS), int(At.SYNC_LOST), int(At.SYNC_BAD)
CLICKS, OUTSIDE, DOUBLES, LATE, LAST_PS = int(At.CLICKS), int(At.OUTSIDE), int(At.DOUBLES), int(At.LATE), int(At.LAST_PS)


def _read(kind: types.Type) -> types.Array:
    return types.Array(kind, 1, "C", readonly=True)


_SIGNATURE = types.int64(
    _read(types.int64), _read(types.uint8), _read(types.uint8), types.int64[::1], types.float64[::1], types.int64, types.float64, _read(types.float64),
    types.int64[::1], types.uint8[::1],
)  # fmt: skip


@numba.njit(_SIGNATURE, cache=True)
def select(  # noqa: C901, PLR0912, PLR0915  one loop, so that its state stays in registers
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
    """Write the events released by these tags and return how many; the outputs hold one more than there are tags.

    Returns DISORDER or LOST if the tags are out of order or the sync was lost; nothing is taken then.
    """
    base, count, last_slot, pending = ints[BASE], ints[COUNT], ints[LAST_SLOT], ints[PENDING]
    last_ps, bad_run = ints[LAST_PS], ints[BAD_RUN]
    syncs = sync_lost = sync_bad = ignored = outside = doubles = late = 0
    fraction, period = floats[0], floats[1]
    rate = divider / period
    half = half_gate * rate
    d1, d2 = (fraction + phase[0]) * rate - 0.5, (fraction + phase[1]) * rate - 0.5
    first = count * divider
    # Unsigned, because a signed index is looked at once a tag whether it counts from the end.
    one, n_out = np.uint64(1), np.uint64(0)
    if pending == 1:
        out_slot[n_out], out_detector[n_out] = last_slot, ints[LAST_DETECTOR]
        n_out = one
    for i in range(t.size):
        if t[i] < last_ps:
            return DISORDER
        last_ps = t[i]
        role = roles[channel[i]]
        if role < SYNC:
            place = float(t[i] - base) * rate - (d2 if role else d1)
            whole = np.floor(place)
            slot = np.int64(whole) + first
            inside = abs(place - whole - 0.5) <= half
            if slot > last_slot and inside:
                # Written at once and taken back if the slot clicks again: nearly every event stays.
                out_slot[n_out], out_detector[n_out] = slot, role
                n_out += one
                last_slot, pending = slot, 1
            elif not inside or slot < 0:
                outside += 1
            elif slot < last_slot:
                late += 1
            elif pending == 1:
                n_out -= one
                pending = 2
                doubles += 1
        elif role == SYNC:
            since = float(t[i] - base) - fraction
            passed, error, kp, ki = 1, since - period, KP, KI
            if abs(error) > half_gate:
                passed = max(1, int(np.floor(since / period + 0.5)))
                error = since - passed * period
                if passed > BRIDGE and abs(error) <= 0.25 * period:
                    kp, ki = 1.0, 0.0
                elif abs(error) > half_gate:
                    sync_bad += 1
                    bad_run += 1
                    if bad_run > BAD_PERIODS:
                        return LOST
                    continue
            base = t[i]
            fraction = (kp - 1.0) * error
            period += ki * error
            first += passed * divider
            syncs += 1
            sync_lost += passed - 1
            bad_run = 0
            rate = divider / period
            half = half_gate * rate
            d1, d2 = (fraction + phase[0]) * rate - 0.5, (fraction + phase[1]) * rate - 0.5
        else:
            ignored += 1
    if pending == 1:
        n_out -= one
        ints[LAST_DETECTOR] = out_detector[n_out]
    ints[BASE], ints[LAST_SLOT], ints[PENDING] = base, last_slot, pending
    ints[LAST_PS], ints[BAD_RUN] = last_ps, bad_run
    ints[COUNT] += syncs + sync_lost
    ints[SYNCS] += syncs
    ints[SYNC_LOST] += sync_lost
    ints[SYNC_BAD] += sync_bad
    ints[CLICKS] += t.size - syncs - sync_bad - ignored
    ints[OUTSIDE] += outside
    ints[DOUBLES] += doubles
    ints[LATE] += late
    floats[0], floats[1] = fraction, period
    return int(n_out)
