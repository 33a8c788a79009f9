"""Real updates to q-bit words and back, without a wrap of the sum.

Symbols: q word width in bits, S = 2^(q-1) - 1 largest magnitude, alpha quantiser range, step alpha / S.  Source: arXiv:2501.12709 (Algorithm 1) and
doi:10.1109/TIFS.2017.2787987; the headroom K/2 for rounding is derived, see `safe_range`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ConfigError, ParameterError

WIRE_WIDTHS = (8, 16, 32)
Words = NDArray[np.unsignedinteger[Any]]


class QuantiserRange(UserWarning):
    """The public bound fits the updates badly: too many entries are clipped, or nearly all of them vanish."""


def largest_magnitude(q: int) -> int:
    """Return S = 2^(q-1) - 1. Raises `ConfigError` outside 2 <= q <= 32."""
    if not 2 <= q <= 32:
        raise ConfigError(f"a word of {q} bits is not possible", where="q", remedy="Choose 8, 16 or 32 (2 to 32 in one process).")
    return int(2 ** (q - 1) - 1)


def word_type(q: int) -> np.dtype[Any]:
    """Return the little-endian unsigned type that holds one word of q bits."""
    largest_magnitude(q)
    return np.dtype("<u1" if q <= 8 else "<u2" if q <= 16 else "<u4")


def safe_range(bound: float, q: int, clients: int) -> float:
    """Return the smallest alpha at which no weighted sum of updates within the bound wraps.

    bound: B, largest abs(update entry).  clients: K; their weights sum to 1.  Each rounding may add 1/2, hence alpha = B S / (S - K/2) and not B.
    Raises `ConfigError` where B is not positive or the words are too short for K clients.
    """
    magnitude = largest_magnitude(q)
    if not (math.isfinite(bound) and bound > 0):
        raise ConfigError(f"the bound of the updates must be positive, not {bound}", where="bound")
    if 2 * magnitude <= clients:
        raise ConfigError(f"{clients} clients cannot be summed in words of {q} bits", where="q", remedy="Use longer words or fewer clients in a round.")
    return bound * magnitude / (magnitude - clients / 2)


def quantise(x: NDArray[np.float64], alpha: float, q: int) -> NDArray[np.int64]:
    """Return the signed integers nearest to x S / alpha, half to even, saturated at S: int64 (d,).

    x: float64 (d,), already weighted.  alpha > 0.  Raises `ParameterError` (a range error) where x is not finite.
    """
    if not (math.isfinite(alpha) and alpha > 0):
        raise ConfigError(f"the quantiser range must be positive, not {alpha}", where="alpha")
    x = np.asarray(x, dtype=np.float64)
    if not np.isfinite(x).all():
        entry = int(np.flatnonzero(~np.isfinite(x))[0])
        raise ParameterError("an update is not finite", where=f"entry {entry}", remedy="Lower the learning rate, or look for a broken sample.")
    # (abs(x) * S) / alpha in this order: abs(x) / step differs in the last bit, and all clients must agree with the reference.
    return (np.sign(x) * np.rint((np.minimum(np.abs(x), alpha) * largest_magnitude(q)) / alpha)).astype(np.int64)


def to_words(v: NDArray[np.int64], q: int) -> Words:
    """Return v mod 2^q (two's complement) in the unsigned type of `word_type`."""
    words: Words = np.mod(v, 2**q).astype(word_type(q))
    return words


def dequantise(words: Words, alpha: float, q: int) -> NDArray[np.float64]:
    """Return the reals that a sum of words stands for: float64 (d,). Words above S are negative."""
    magnitude = largest_magnitude(q)
    signed = np.asarray(words).astype(np.int64)
    return np.where(signed > magnitude, signed - 2**q, signed) * alpha / magnitude


@dataclass(frozen=True, slots=True)
class RangeStatistics:
    """How well the range fits one update; it stays with the client.

    peak: max abs(x) / alpha.  clipped: fraction of entries beyond the bound.  nonzero: fraction of words that are not 0.
    """

    peak: float
    clipped: float
    nonzero: float

    @classmethod
    def of(cls, update: NDArray[np.float64], weight: float, bound: float, alpha: float, q: int) -> RangeStatistics:
        """Measure an update before clipping: float64 (d,), d > 0."""
        x = weight * np.clip(update, -bound, bound)
        words = quantise(x, alpha, q)
        return cls(float(np.max(np.abs(x)) / alpha), float(np.mean(np.abs(update) > bound)), float(np.mean(words != 0)))

    def complaint(self, update: NDArray[np.float64]) -> str | None:
        """Return what is wrong with the range and the bound to use instead, or None where it fits."""
        if self.clipped <= 0.01 and self.nonzero >= 0.05:
            return None
        suggested = 1.5 * float(np.max(np.abs(update)))
        cause = f"{self.clipped:.1%} of the update is clipped" if self.clipped > 0.01 else f"only {self.nonzero:.1%} of the words are nonzero"
        return f"{cause}; a bound of {suggested:.2g} fits this update"
