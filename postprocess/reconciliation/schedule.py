"""What both parties must agree on before the first message: frames, block sizes per pass, the seed of the permutations."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from typing import Literal

from ...core.errors import ParameterError

SMALLEST_FRAME, LARGEST_FRAME = 2**12, 2**17
SMALLEST_TAIL = 2**14
"""Shorter frames fail too often to be used for a remainder; see docs/decisions/0009."""
LEAST_FRAMES = 12
"""Of a block: ten, and two for counts that are not those expected."""
_LOWEST_RATE, _HIGHEST_RATE = 0.002, 0.11
FIRST_EXPONENTS = range(4, 10)
"""log2 of the first block sizes that the rates in use lead to."""

Schedule = Literal["opt7"]


@dataclass(frozen=True, slots=True)
class CascadeParameters:
    """Parameters of one block's error correction, equal at both ends.

    q_est: expected error rate of the X bits (previous block, else E_y), used within [0.002, 0.11] until frames of this block tell better.  seed: 32 fresh
    public bytes, drawn after both keys are fixed.  block: number of the block, written into every message.  frame_bits: a power of two from 2^12 to 2^17.
    in_flight: frames worked on at a time.
    Raises ParameterError naming the field.
    """

    q_est: float
    seed: bytes
    block: int = 0
    frame_bits: int = LARGEST_FRAME
    schedule: Schedule = "opt7"
    in_flight: int = 64

    def __post_init__(self) -> None:
        for where, holds, remedy in (
            ("q_est", 0.0 <= self.q_est <= 1.0, "Give an error rate from 0 to 1."),
            ("seed", len(self.seed) == 32, "Give 32 bytes."),
            ("block", 0 <= self.block < 2**32, "Give 0 to 2^32 - 1."),
            ("frame_bits", self.frame_bits in frame_sizes(), "Give a power of two from 4096 to 131072."),
            ("schedule", self.schedule == "opt7", "Use opt7."),
            ("in_flight", 1 <= self.in_flight <= 1024, "Give 1 to 1024 frames."),
        ):
            if not holds:
                raise ParameterError(f"{getattr(self, where)!r} cannot be used", where=where, remedy=remedy)


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """How n_bits fall into frames: `full` frames of `frame_bits`, then at most one of `tail_bits` (0: none) that is filled up with zeros.

    Short frames fail more often and must be caught by their tags: measured at 1 % (5 %) errors, 8 % (86 %) of frames of 2^12 bits, 0.3 % (2.5 %) of 2^13, fewer
    than one in 2000 (0.5 %) of 2^14, none of 512 of 2^17.
    """

    n_bits: int
    frame_bits: int
    full: int
    tail_bits: int

    @classmethod
    def of(cls, n_bits: int, frame_bits: int) -> FrameLayout:
        """Return the layout of a block; the last frame takes the smallest allowed size that holds the remainder, from 2^14 (or `frame_bits`, if less) on."""
        if n_bits < 1:
            raise ParameterError("there is no bit to correct", where="n_bits", remedy="Give a sifted key.")
        full, rest = divmod(n_bits, frame_bits)
        least = max(rest, min(SMALLEST_TAIL, frame_bits))
        return cls(n_bits, frame_bits, full, next(size for size in frame_sizes() if size >= least) if rest else 0)

    @property
    def frames(self) -> int:
        """Return the number of frames."""
        return self.full + bool(self.tail_bits)

    @property
    def total_bits(self) -> int:
        """Return the number of bits with padding."""
        return self.full * self.frame_bits + self.tail_bits

    def bits_of(self, frame: int) -> int:
        """Return how many key bits a frame holds, padding not counted."""
        return min(self.frame_bits, self.n_bits - frame * self.frame_bits)


def frame_bits_for(n_bits: float) -> int:
    """Return the frame for a block of about so many bits: the largest of which it has a dozen, and 2^14 where it has fewer.

    One frame of ten that keeps an error is dropped; of fewer it would be more than the tenth above which the block is given up; see docs/decisions/0017.
    """
    return next((size for size in reversed(frame_sizes()) if size > SMALLEST_TAIL and LEAST_FRAMES * size <= n_bits), SMALLEST_TAIL)


def first_exponent(q: float) -> int:
    """Return log2 of the first block size for error rate q."""
    return ceil(log2(1.0 / min(max(q, _LOWEST_RATE), _HIGHEST_RATE)))


def block_sizes(q: float, n: int) -> tuple[int, ...]:
    """Return the block sizes of schedule `opt7` for error rate q: k_1 = 2^ceil(log2(1/q)), k_2 = 4 k_1, then 12 passes of n/2; none above n/2.

    Source: arXiv:1407.3257.
    """
    return tuple(1 << exponent for exponent in block_exponents(first_exponent(q), n))


def block_exponents(first: int, n: int) -> tuple[int, ...]:
    """Return log2 of the block sizes of every pass for a frame of n bits whose first blocks have 2^first bits."""
    half = n.bit_length() - 2
    return (min(first, half), min(first + 2, half), *[half] * 12)


def frame_sizes() -> tuple[int, ...]:
    """Return the allowed sizes of a frame (bits), the smallest first."""
    return tuple(1 << power for power in range(SMALLEST_FRAME.bit_length() - 1, LARGEST_FRAME.bit_length()))
