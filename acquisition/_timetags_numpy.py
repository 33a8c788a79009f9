"""NumPy form of `timetags`, to be read beside the text it implements and to run where no compiler is installed.

Same arguments and results as the compiled kernel. The loop over sync tags is linear as long as none is missing, so a stretch of them is solved by blocks with
the loop's impulse response; only around missing and stray tags it is stepped. The clock then agrees with the compiled one to rounding, 1e-7 ps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import floor

import numpy as np
from numpy.typing import NDArray

from ._slot_clock import BAD_PERIODS, BRIDGE, DISORDER, KI, KP, LOST, SYNC, At, Line

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Detectors = NDArray[np.uint8]
BLOCK, STRETCH = 64, 4096
"""Sync tags solved by one product, and looked at together."""


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
    out_detector: Detectors,
) -> int:
    """Write the events released by these tags and return how many; the outputs hold one more than there are tags.

    Returns DISORDER or LOST if the tags are out of order or the sync was lost; nothing is taken then.
    """
    if t.size == 0:
        return 0
    if t[0] < ints[At.LAST_PS] or (t[1:] < t[:-1]).any():
        return DISORDER
    role = roles.take(channel)
    is_click = role < SYNC
    at_sync = np.flatnonzero(role == SYNC)
    track = _follow(t[at_sync], ints, floats, half_gate)
    if track is None:
        return LOST
    clicks, at_click = _clicks_between(is_click, at_sync), np.flatnonzero(is_click)
    slot, detector = _slots(t.take(at_click), role.take(at_click), clicks, track, divider, half_gate, phase)
    ints[At.LAST_PS] = t[-1]
    ints[At.CLICKS] += at_click.size
    ints[At.OUTSIDE] += at_click.size - slot.size
    return _single(slot, detector, ints, out_slot, out_detector)


@dataclass(slots=True)
class Track:
    """The clock before the first and after each of n sync tags, arrays (n + 1,): sync tag followed last (ps), its number, fraction (ps), period (ps)."""

    base: Ints
    count: Ints
    fraction: Floats
    period: Floats
    bad_run: int
    bad: int = 0


def _follow(sync: Ints, ints: Ints, floats: Floats, half_gate: float) -> Track | None:
    """Run the loop over sync tags and keep where it ends; None, and nothing is kept, if the sync was lost."""
    n = sync.size + 1
    track = Track(np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n), np.empty(n), int(ints[At.BAD_RUN]))
    track.base[0], track.count[0], track.fraction[0], track.period[0] = ints[At.BASE], ints[At.COUNT], *floats
    done = 0
    while done < sync.size:
        done += _glide(track, sync[done : done + STRETCH], done, half_gate)
        if done < sync.size:
            _step(track, int(sync[done]), done, half_gate)
            done += 1
        if track.bad_run > BAD_PERIODS:
            return None
    syncs, passed = sync.size - track.bad, track.count[-1] - track.count[0]
    ints[[At.BASE, At.COUNT, At.BAD_RUN]] = track.base[-1], track.count[-1], track.bad_run
    ints[[At.SYNCS, At.SYNC_LOST, At.SYNC_BAD]] += syncs, passed - syncs, track.bad
    floats[:] = track.fraction[-1], track.period[-1]
    return track


def _glide(track: Track, sync: Ints, done: int, half_gate: float) -> int:
    """Follow sync tags as far as none is missing or stray, and return how many."""
    step = np.diff(sync, prepend=track.base[done]) - track.period[done]
    step = step[: _first(np.abs(step) > 2 * half_gate)]
    error = _errors(step, track.fraction[done])
    n = _first(np.abs(error) > half_gate)
    after = slice(done + 1, done + 1 + n)
    track.base[after], track.count[after] = sync[:n], np.arange(track.count[done] + 1, track.count[done] + 1 + n)
    track.fraction[after], track.period[after] = (KP - 1.0) * error[:n], track.period[done] + KI * np.cumsum(error[:n])
    track.bad_run = 0 if n else track.bad_run
    return n


def _first(found: NDArray[np.bool_]) -> int:
    """Return where the first True is, or the length."""
    return int(found.argmax()) if found.any() else found.size


def _errors(step: Floats, fraction: float) -> Floats:
    """Return the errors e (n,) of the loop for steps (n,) between sync tags less the period at the start."""
    response = _response()
    rows = np.zeros((-(-step.size // BLOCK), BLOCK + 2))
    rows[:, :BLOCK].flat[: step.size] = step
    excess = 0.0
    # A block passes on what its last error and the sum of its errors leave.
    last_row, sum_row = response[-1], response.sum(axis=0)
    for row, last, total in zip(rows, (rows @ last_row).tolist(), (rows @ sum_row).tolist(), strict=True):
        row[BLOCK:] = fraction, excess
        last += last_row[BLOCK] * fraction + last_row[BLOCK + 1] * excess
        total += sum_row[BLOCK] * fraction + sum_row[BLOCK + 1] * excess
        fraction, excess = (KP - 1.0) * last, excess + KI * total
    errors: Floats = (rows @ response.T).ravel()[: step.size]
    return errors


@lru_cache(maxsize=1)
def _response() -> Floats:
    """Return the loop's errors in a block (BLOCK, BLOCK + 2) for a unit step at each place, for a unit fraction, for a unit excess of the period."""
    rows = np.eye(BLOCK, BLOCK + 2)
    fraction, excess = np.zeros(BLOCK + 2), np.zeros(BLOCK + 2)
    fraction[BLOCK], excess[BLOCK + 1] = 1.0, 1.0
    for row in rows:
        row -= fraction + excess
        fraction, excess = (KP - 1.0) * row, excess + KI * row
    return rows


def _step(track: Track, t: int, done: int, half_gate: float) -> None:
    """Follow, bridge to, or ignore one sync tag."""
    base, count, fraction, period = int(track.base[done]), int(track.count[done]), float(track.fraction[done]), float(track.period[done])
    since = (t - base) - fraction
    passed = max(1, floor(since / period + 0.5))
    error = since - passed * period
    kp, ki = (1.0, 0.0) if passed > BRIDGE and abs(error) <= 0.25 * period else (KP, KI)
    if abs(error) <= half_gate or ki == 0.0:
        base, count, fraction, period, track.bad_run = t, count + passed, (kp - 1.0) * error, period + ki * error, 0
    else:
        track.bad_run += 1
        track.bad += 1
    track.base[done + 1], track.count[done + 1], track.fraction[done + 1], track.period[done + 1] = base, count, fraction, period


def _clicks_between(is_click: NDArray[np.bool_], at_sync: Ints) -> Ints:
    """Return the number of clicks before the first and after each sync tag."""
    if np.count_nonzero(is_click) + at_sync.size == is_click.size:
        return np.diff(at_sync, prepend=-1, append=is_click.size) - 1
    before = np.cumsum(is_click)
    return np.diff(before[at_sync], prepend=0, append=before[-1])


def _slots(t: Ints, detector: Detectors, clicks: Ints, track: Track, divider: int, half_gate: float, phase: Floats) -> tuple[Ints, Detectors]:
    """Return slots and detectors of the clicks inside their gates. clicks: how many belong to each place of the track."""
    rate = divider / track.period
    d1, d2 = ((track.fraction + delay) * rate - 0.5 for delay in phase)
    t -= np.repeat(track.base, clicks)
    place: Floats = np.multiply(t, np.repeat(rate, clicks))
    delay = np.repeat(d1, clicks)
    np.copyto(delay, np.repeat(d2, clicks), where=detector.view(bool))
    place -= delay
    whole = np.floor(place)
    place -= whole + 0.5
    inside = np.abs(place, out=place) <= np.repeat(half_gate * rate, clicks)
    slot = whole.astype(np.int64)
    slot += np.repeat(divider * track.count, clicks)
    inside &= slot >= 0
    return (slot, detector) if inside.all() else (slot[inside], detector[inside])


def _single(slot: Ints, detector: Detectors, ints: Ints, out_slot: Ints, out_detector: Detectors) -> int:
    """Withdraw every slot that was clicked more than once; the last slot waits for the next chunk."""
    last_slot, waiting = ints[At.LAST_SLOT], int(ints[At.PENDING])
    slot, detector = np.concatenate(([last_slot], slot)), np.concatenate((ints[At.LAST_DETECTOR : At.LAST_DETECTOR + 1].astype(np.uint8), detector))
    step = np.diff(slot)
    if step.min(initial=0) < 0:
        on_time = slot >= np.maximum.accumulate(slot)
        ints[At.LATE] += slot.size - np.count_nonzero(on_time)
        slot, detector = slot[on_time], detector[on_time]
        step = np.diff(slot)
    again = np.flatnonzero(step == 0)
    single = np.ones(slot.size, bool)
    single[again] = single[again + 1] = False
    # The carried slot is no event if none was waiting, and was already counted as double if it was withdrawn before.
    single[0] &= waiting == 1
    carried_again = again.size > 0 and again[0] == 0
    ints[At.DOUBLES] += np.count_nonzero(np.diff(again, prepend=-2) != 1) - int(carried_again and waiting != 1)
    moved = slot[-1] > last_slot
    ints[At.LAST_SLOT], ints[At.LAST_DETECTOR] = slot[-1], detector[-1]
    ints[At.PENDING] = 1 if single[-1] else 2 if moved or waiting else 0
    single[-1] = False
    n = int(np.count_nonzero(single))
    out_slot[:n], out_detector[:n] = slot[single], detector[single]
    return n


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
