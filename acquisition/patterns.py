"""Phase patterns of the users, and the voltages that make them.

A demo pattern is a finite record that a waveform generator replays; both parties' patterns of a pair are drawn together so that the composition of the frame
(how many slots share a basis) is exact.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from math import pi
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.entropy import RandomSource
from ..core.errors import ParameterError

Mode = Literal["demo", "qrng", "preamble"]
BRIGHT_POINT = 5
"""Waveform point of a slot, out of ten, in which the intensity modulators let light through."""
MAX_SWING_V = 5.0
"""Peak to peak of a waveform, which generators make symmetric about their offset."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What one party sends in the slots of a frame.

    basis: uint8 (n,), 0 for X and 1 for Y.  bit: uint8 (n,), 0 or 1.  mode: `demo` repeats every n slots and makes no real key; `preamble` is public.
    Raises ParameterError if the arrays differ in length, are empty, or hold anything but 0 and 1.
    """

    basis: NDArray[np.uint8] = field(repr=False)
    bit: NDArray[np.uint8] = field(repr=False)
    mode: Mode = "demo"

    def __post_init__(self) -> None:
        for name, plane in (("basis", self.basis), ("bit", self.bit)):
            if plane.ndim != 1 or plane.dtype != np.uint8 or plane.size == 0 or plane.max(initial=0) > 1:
                raise ParameterError("a pattern plane is a non-empty uint8 vector of 0 and 1", where=name)
        if self.basis.size != self.bit.size:
            raise ParameterError(f"{self.basis.size} bases for {self.bit.size} bits", where="pattern")

    def __len__(self) -> int:
        return int(self.basis.size)

    @property
    def phases_rad(self) -> NDArray[np.float64]:
        """Return the phases (n,): X sends 0 or pi, Y sends pi/2 or 3 pi/2."""
        return self.basis * (pi / 2) + self.bit * pi

    @property
    def reference(self) -> NDArray[np.float64]:
        """Return cos of the phases (n,), exact: +1 and -1 in X slots, 0 in Y slots."""
        return np.where(self.basis == 0, 1.0 - 2.0 * self.bit, 0.0)

    def phases_from(self, offset: int) -> NDArray[np.float64]:
        """Return the phases (n,) to load so that element 0 passes in slot 0, given the offset found for this user's train (`alignment.find_offset`).

        Two patterns drawn together overlap as they were drawn only if both users do this.
        """
        return np.roll(self.phases_rad, -offset)


def demo_patterns(source: RandomSource, n: int, n_y: int, overlap: int) -> tuple[Pattern, Pattern]:
    """Return the patterns of the Alice role and of the Bob role for one pair.

    n: slots of the frame.  n_y: Y slots of each party, exactly.  overlap: slots in which both send Y, exactly.
    Bits are balanced jointly inside each combination of bases, as far as its size allows. Raises ParameterError for an impossible composition.
    """
    if not 0 <= overlap <= n_y <= n or 2 * n_y - overlap > n:
        raise ParameterError(f"{n_y} Y slots each with {overlap} in common do not fit into {n} slots", where="overlap")
    order = _permutation(source.take(8 * n))
    bases, bits = np.zeros((2, n), np.uint8), np.zeros((2, n), np.uint8)
    # The remainders of X-X (equal bits first) and Y-Y (unequal bits first) offset each other in the frame's balance of equal against unequal bits.
    equal_first, unequal_first = ((0, 0), (1, 1), (0, 1), (1, 0)), ((0, 1), (1, 0), (0, 0), (1, 1))
    start = 0
    for (a, b), size in zip(((1, 1), (1, 0), (0, 1), (0, 0)), (overlap, n_y - overlap, n_y - overlap, n - 2 * n_y + overlap), strict=True):
        slots = order[start : start + size]
        combinations = np.array(unequal_first if a and b else equal_first, np.uint8)
        bases[0, slots], bases[1, slots] = a, b
        bits[:, slots] = combinations[np.arange(size) % 4].T
        start += size
    return Pattern(bases[0], bits[0]), Pattern(bases[1], bits[1])


def preamble(n: int, party: str) -> Pattern:
    """Return the public pattern of n slots that a party sends for alignment: a quarter Y, bits balanced, drawn from SHAKE-256 of the party's name."""
    if n < 8 or not party:
        raise ParameterError("a preamble has at least 8 slots and a party", where="preamble")
    order = _permutation(hashlib.shake_256(b"heliograph/preamble/" + party.encode()).digest(8 * n))
    basis, bit = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
    basis[order[: n // 4]] = 1
    bit[order] = np.arange(n) % 2
    return Pattern(basis, bit, "preamble")


def _permutation(raw: bytes) -> NDArray[np.int64]:
    return np.argsort(np.frombuffer(raw, "<u8"), kind="stable")


def gate_waveform(phases: ArrayLike, fraction: float, v_pi: float, gain: float, points_per_slot: int = 10) -> NDArray[np.float64]:
    """Return the generator's volts (n * points_per_slot,) for phases (n,) in radians.

    fraction: where in the slot the train to be modulated passes, in [0, 1).  v_pi: of the modulator.  gain: of the driver between generator and modulator.
    The voltage stands in one point of each slot and is zero elsewhere, so that the other train passes unmodulated. Phases are taken modulo 2 pi, from -pi
    to pi, which keeps the swing smallest: 3 pi/2 is made by -v_pi/2.
    """
    phase = np.asarray(phases, float)
    if not 0.0 <= fraction < 1.0:
        raise ParameterError(f"{fraction} is not in [0, 1)", where="fraction")
    if phase.ndim != 1 or phase.size == 0 or not np.isfinite(phase).all() or v_pi <= 0.0 or gain == 0.0:
        raise ParameterError("a gate waveform needs finite phases, a positive v_pi and a gain", where="phases")
    volts = np.zeros((phase.size, points_per_slot))
    volts[:, int(fraction * points_per_slot)] = (pi - (pi - phase) % (2.0 * pi)) / pi * v_pi / gain
    return volts.ravel()


def centred(volts: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return a waveform that a generator can make, symmetric about its offset, and the offset that is then missing (V).

    volts: float64 (n,). Within MAX_SWING_V about 0 V it is left as it is.
    """
    if 2.0 * float(np.abs(volts).max()) <= MAX_SWING_V:
        return volts, 0.0
    middle = (float(volts.max()) + float(volts.min())) / 2.0
    return volts - middle, middle


def carving_waveform(v_pi: float, gain: float, points_per_slot: int = 10, *, bright: int = BRIGHT_POINT) -> NDArray[np.float64]:
    """Return the generator's volts (points_per_slot,) of one slot for an intensity modulator: v_pi behind the driver in point `bright`, else zero."""
    if v_pi <= 0.0 or gain == 0.0 or not 0 <= bright < points_per_slot:
        raise ParameterError("a carving waveform needs a positive v_pi, a gain and a point inside the slot", where="carving")
    volts = np.zeros(points_per_slot)
    volts[bright] = v_pi / gain
    return volts
