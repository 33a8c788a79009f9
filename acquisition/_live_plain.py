"""Plain form of `live`'s kernel, tag by tag, to be read beside the text it implements; slow."""

from __future__ import annotations

from math import floor

import numpy as np
from numpy.typing import NDArray

from ._slot_clock import BAD_PERIODS, BRIDGE, KI, KP, LOST, SYNC


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
    """Add tags as the compiled kernel does: same arguments, same results."""
    for time, number in zip(t.tolist(), channel.tolist(), strict=True):
        seen[number] += 1
        role = int(roles[number])
        if role < SYNC:
            rate = divider / float(floats[1])
            place = (time - int(ints[0])) * rate - float(floats[0]) * rate
            bins = histogram.shape[1]
            histogram[role, min(int((place - floor(place)) * bins), bins - 1)] += 1
            _click(role, place, int(ints[1]) * divider, ints[3:5], float(centre[role]), float(half[role]), pairs)
        elif role == SYNC and not _follow(time, ints, floats, half_gate):
            return LOST
    return 0


def _click(role: int, place: float, first: int, last: NDArray[np.int64], centre: float, half: float, pairs: NDArray[np.uint32]) -> None:
    """Count a click inside its gate once a slot, and its slot if the other detector clicked there."""
    near = floor(place - centre + 0.5)
    slot = near + first
    if abs(place - centre + 0.5 - near - 0.5) > half or slot == last[role]:
        return
    last[role] = slot
    pairs[role, role] += 1
    if last[1 - role] == slot:
        pairs[0, 1] += 1
        pairs[1, 0] += 1


def _follow(time: int, ints: NDArray[np.int64], floats: NDArray[np.float64], half_gate: float) -> bool:
    """Follow, bridge to, or ignore one sync tag; False once too many strayed."""
    fraction, period = float(floats[0]), float(floats[1])
    since = (time - int(ints[0])) - fraction
    passed = max(1, floor(since / period + 0.5)) if abs(since - period) > half_gate else 1
    error = since - passed * period
    bridged = abs(since - period) > half_gate and passed > BRIDGE and abs(error) <= 0.25 * period
    if abs(error) > half_gate and not bridged:
        ints[2] += 1
        return bool(ints[2] <= BAD_PERIODS)
    kp, ki = (1.0, 0.0) if bridged else (KP, KI)
    ints[0], ints[1], ints[2] = time, ints[1] + passed, 0
    floats[:] = (kp - 1.0) * error, period + ki * error
    return True
