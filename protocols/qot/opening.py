"""Opening a count and nothing else: both send masked, shuffled shares, with dummies among them, to somebody who colludes with neither.

Whoever decodes shot by shot learns the other's vector. Here the aggregator sees bits in an order it does not know, padded by dummies of which it does not know
how many are ones, and returns the number of ones; Alice takes the dummies off. Order, masks and dummies follow from 32 bytes of common key by SHAKE-256, so
against the aggregator this is computational; that the count itself is hidden from it holds up to a distance of `hidden_to`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from ...core.errors import FrameError, ParameterError, RunRepeated
from .gates import Bits

SEED_BYTES = 32
DUMMIES_PER_BIT = 9
"""Dummies of a counted opening for each real bit, usually: the aggregator's count then tells at most 1/9 in total variation."""
_LABEL = b"heliograph-qot-open"


@dataclass(frozen=True, slots=True)
class Shuffle:
    """What Alice and Bob derive for one output.

    order: int64 (bits + dummies,).  masks: uint8 of that size.  dummies: uint8 (dummies,), their ones are `extra`.
    """

    order: np.ndarray
    masks: Bits
    dummies: Bits

    @classmethod
    def of(cls, seed: bytes, number: int, bits: int, dummies: int, *, run: int = 0) -> Self:
        """Return the shuffle of the output of this number in this run, which is derived once and used once.  bits: real ones.  Raises ParameterError."""
        if len(seed) != SEED_BYTES or bits < 1 or dummies < 0 or not (0 <= number < 1 << 64 and 0 <= run < 1 << 64):
            raise ParameterError(f"{bits} bits and {dummies} dummies under {len(seed)} bytes of seed", where="opening")
        n = bits + dummies
        stream = hashlib.shake_256(_LABEL + seed + run.to_bytes(8, "little") + number.to_bytes(8, "little")).digest(8 * n + (n + 7) // 8 + 16)
        lots = np.frombuffer(stream[: 8 * n], "<u8")
        masks = np.unpackbits(np.frombuffer(stream[8 * n : -16], np.uint8), count=n, bitorder="little")
        # 128 bits modulo D + 1 are uniform but for a part in 2^96 or so.
        extra = int.from_bytes(stream[-16:], "little") % (dummies + 1)
        return cls(np.argsort(lots, kind="stable"), masks, (np.arange(dummies) < extra).astype(np.uint8))

    @property
    def extra(self) -> int:
        """Return how many dummies are ones."""
        return int(self.dummies.sum())

    def share(self, own: Bits, *, with_dummies: bool) -> Bits:
        """Return what one party sends, uint8 (bits + dummies,).  own: its bits.  with_dummies: exactly one of the two carries them."""
        tail = self.dummies if with_dummies else np.zeros_like(self.dummies)
        whole = np.concatenate([own, tail])
        if whole.size != self.order.size:
            raise ParameterError(f"{own.size} bits, {self.order.size - self.dummies.size} were agreed on", where="opening")
        return np.asarray((whole ^ self.masks)[self.order])


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """One party's copy of the common key of shuffles, and which runs have had theirs: a second one of the same number is refused.

    seed: 32 bytes, shared by Alice and Bob and by nobody else. Each makes one of these when the seed is drawn, and keeps it as long as the seed.
    Raises ParameterError for another length.
    """

    seed: bytes = field(repr=False)
    _used: set[int] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != SEED_BYTES:
            raise ParameterError(f"{len(self.seed)} bytes of seed cannot mask shares", where="opening", remedy=f"{SEED_BYTES} bytes of common key are needed.")

    def begin(self, run: int) -> None:
        """Count a run as begun. Raises RunRepeated if one of this number has begun before."""
        if run in self._used:
            raise RunRepeated(run)
        self._used.add(run)


def count_ones(first: Bits, second: Bits) -> int:
    """Return what the aggregator finds in two shares: the number of ones of their parity. Raises FrameError if they are not of one size."""
    if first.size != second.size:
        raise FrameError(f"shares of {first.size:,} and {second.size:,} bits", where="opening")
    return int((first ^ second).sum())


def hidden_to(bits: int, dummies: int) -> float:
    """Return how far, in total variation, the count that the aggregator sees can tell two counts of `bits` apart: bits / (dummies + 1)."""
    return min(1.0, bits / (dummies + 1))
