"""Where the pulses stand in the slot, and which slot carries the first element of each user's pattern.

Nothing is repaired silently: a weak or negative correlation, swapped detectors or a wrong sign are named in an AlignmentError.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.errors import AlignmentError, ParameterError
from .events import Events, difference
from .patterns import Pattern
from .timetags import EventSelector, SlotTiming, clock_line

if TYPE_CHECKING:
    from ..instruments.roles import TagBatch

LEAST_RESULTANT = 0.5
LEAST_PEAK_SD = 10.0
LARGEST_SECOND = 0.5
_REALIGN = "Check delays and light level, then align again."


@dataclass(frozen=True, slots=True)
class Phases:
    """Arrival of the pulse centre after the sync tag, modulo a slot, at D1 and D2.

    d1_ps: in [0, slot).  d2_ps: the one nearest to d1_ps, so that both detectors count the same slots.  resultant: circular concentration of each, 0 to 1.
    """

    d1_ps: float
    d2_ps: float
    resultant: tuple[float, float]

    @property
    def pair(self) -> tuple[float, float]:
        """Return (d1_ps, d2_ps), as `EventSelector` takes it."""
        return self.d1_ps, self.d2_ps


@dataclass(frozen=True, slots=True)
class Offset:
    """Slot, modulo the pattern, in which element 0 of a user's pattern passes.

    peak_sd: correlation peak in standard deviations of the other lags.  second_ratio: largest other lag over the peak.
    """

    slots: int
    peak_sd: float
    second_ratio: float


@dataclass(frozen=True, slots=True)
class JointErrors:
    """Error rates of the two public preambles sent at once: e_x of n_x events, e_y of n_y."""

    e_x: float
    e_y: float
    n_x: int
    n_y: int


def find_phase(batches: Iterable[TagBatch], timing: SlotTiming) -> Phases:
    """Return the pulse centre in the slot by circular mean, for each detector.

    Raises AlignmentError if a detector gave no tags, or tags without preferred place in the slot; SyncError without clock.
    """
    line, t, role = clock_line(batches, timing)
    period = line.period_ps / timing.sync_divider
    turns = ((t - line.base_ps) - line.offset_ps) / period
    means = [_circular_mean(turns[role == k], name) for k, name in enumerate(("D1", "D2"))]
    d1 = float(np.angle(means[0]) / (2 * np.pi) % 1.0 * period)
    d2 = d1 + float(np.angle(means[1] / means[0]) / (2 * np.pi) * period)
    return Phases(d1, d2, (float(abs(means[0])), float(abs(means[1]))))


def _circular_mean(turns: NDArray[np.float64], detector: str) -> complex:
    if turns.size == 0:
        raise AlignmentError("the detector gave no tags", where=detector, remedy="Check its cable, bias and tagger input.")
    mean = complex(np.exp(2j * np.pi * turns).mean())
    if abs(mean) < LEAST_RESULTANT:
        raise AlignmentError(
            f"clicks have no preferred place in the slot: resultant {abs(mean):.2f} of {turns.size} tags, {LEAST_RESULTANT} is needed",
            where=detector,
            remedy="Check that pulses are carved, that light outweighs dark counts, and the reference clock.",
        )
    return mean


def arrival_histogram(batches: Iterable[TagBatch], timing: SlotTiming, bins: int = 100) -> NDArray[np.int64]:
    """Return how many clicks of D1 and D2 fall into each part of the slot, int64 (2, bins), counted from the sync tag."""
    line, t, role = clock_line(batches, timing)
    part = (((t - line.base_ps) - line.offset_ps) * timing.sync_divider / line.period_ps) % 1.0
    place = np.minimum((part * bins).astype(np.int64), bins - 1)
    return np.stack([np.bincount(place[role == k], minlength=bins) for k in (0, 1)])


def find_offset(difference: NDArray[np.int64], pattern: Pattern) -> Offset:
    """Return the pattern offset of the one user who modulates, while all others send phase 0.

    difference: D1 minus D2 events (n,) in each slot of the folded frame (`events.difference`).
    Raises AlignmentError if the peak is below 10 standard deviations of the other lags, the second above half of it, or the peak negative.
    """
    n = len(pattern)
    if difference.shape != (n,):
        raise ParameterError(f"{difference.shape} differences for a pattern of {n} slots", where="difference")
    reference = pattern.reference
    spectrum = np.fft.rfft(difference - difference.mean()) * np.conj(np.fft.rfft(reference - reference.mean()))
    lags = np.fft.irfft(spectrum, n)
    peak = int(np.argmax(np.abs(lags)))
    others = np.delete(lags, peak)
    spread, height, second = float(others.std()), float(lags[peak]), float(np.abs(others).max())
    found = f"peak {abs(height) / spread:.1f} sd, second {second / abs(height):.2f} of it" if spread > 0.0 else "no clicks"
    if spread == 0.0 or abs(height) < LEAST_PEAK_SD * spread or second > LARGEST_SECOND * abs(height):
        raise AlignmentError(f"no certain pattern offset ({found}): too little light, a wrong pattern, or a clock slip", where="pattern", remedy=_REALIGN)
    if height < 0.0:
        raise AlignmentError(f"negative correlation ({found}): D1 and D2 are swapped", where="detectors", remedy="Exchange their cables or the channel map.")
    return Offset(peak, height / spread, second / height)


def align(batches: Iterable[TagBatch], timing: SlotTiming, pattern: Pattern, phases: Phases) -> Offset:
    """Return the offset of a user's pattern from a recording in which only that user modulates."""
    selector = EventSelector(timing, phases.pair)
    events = Events.joined([*(selector.feed(batch) for batch in batches), selector.flush()])
    return find_offset(difference(events, timing.pattern_slots), pattern)


def joint_check(events: Events, patterns: tuple[Pattern, Pattern], offsets: tuple[int, int], *, limits: tuple[float, float] = (0.11, 0.11)) -> JointErrors:
    """Return the error rates of two public patterns sent at once, before a block may start.

    patterns, offsets: of the Alice role and of the Bob role.  limits: largest E_x and E_y.
    Raises AlignmentError with the suspected cause if a rate exceeds its limit or nothing can be said of a basis.
    """
    (basis_a, bit_a), (basis_b, bit_b) = (
        (pattern.basis[index], pattern.bit[index])
        for pattern, offset in zip(patterns, offsets, strict=True)
        for index in [(events.slot - offset) % len(pattern)]
    )
    wrong = bit_a ^ bit_b ^ events.detector
    x, y = (wrong[(basis_a == basis_b) & (basis_a == basis)] for basis in (0, 1))
    if x.size == 0 or y.size == 0:
        raise AlignmentError(f"{x.size} X and {y.size} Y events are too few for the joint check", where="preamble", remedy="Record longer or send more light.")
    errors = JointErrors(float(x.mean()), float(y.mean()), int(x.size), int(y.size))
    cause = _suspect(errors, limits)
    if cause:
        raise AlignmentError(f"joint check E_x {errors.e_x:.3f}, E_y {errors.e_y:.3f} above limits {limits}: {cause}", where="preamble", remedy=_REALIGN)
    return errors


def _suspect(errors: JointErrors, limits: tuple[float, float]) -> str:
    if errors.e_x <= limits[0] and errors.e_y <= limits[1]:
        return ""
    if errors.e_x <= limits[0]:
        return "one user's pi/2 levels have the wrong sign" if errors.e_y > 0.5 else "gain or bias of a phase modulator"
    if errors.e_x > 0.75 and errors.e_y > 0.75:
        return "D1 and D2 are swapped"
    if 0.35 < errors.e_x < 0.65:
        return "an offset slipped, or a user sends another pattern"
    return "visibility is low: bias drift, polarisation, or unequal arms"
