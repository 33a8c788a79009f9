"""The public permutation of every Cascade pass: words shuffled, groups of 64 words transposed, rotated, shuffled again.

It moves whole 64-bit words, so that permuting a packed key costs little, yet position and bit can be computed from each other in closed form.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Permutation:
    """Tables of one pass for frames of n = 64 W bits; each is int64 (W,).

    sigma, tau: permutations of the words before and after the transposition.  sigma_inverse, tau_inverse: theirs.  rot: left rotation of every word, 0 to 63.
    """

    sigma: Index
    sigma_inverse: Index
    tau: Index
    tau_inverse: Index
    rot: Index

    def position(self, bit: Index) -> Index:
        """Return where the bits of a frame stand in this pass."""
        j = self.sigma_inverse[bit >> 6]
        j2 = (j & ~63) | (bit & 63)
        position: Index = 64 * self.tau[j2] + (((j & 63) + self.rot[j2]) & 63)
        return position

    def bit(self, position: Index) -> Index:
        """Return which bits stand at positions of this pass; inverse of `position`."""
        j2 = self.tau_inverse[position >> 6]
        j = (j2 & ~63) | ((position - self.rot[j2]) & 63)
        bit: Index = 64 * self.sigma[j] + (j2 & 63)
        return bit


def permutation(seed: bytes, index: int, n: int) -> Permutation:
    """Return the permutation of pass `index` >= 1 (pass 0 does not permute) for frames of n bits, n a multiple of 4096.

    17 W bytes of SHAKE-256("HGC1" | seed | index): two runs of W little-endian words whose stable argsorts are sigma and tau, then W rotations modulo 64.
    """
    words = n // 64
    stream = hashlib.shake_256(b"HGC1" + seed + bytes([index])).digest(17 * words)
    sigma = _stable_order(np.frombuffer(stream, "<u8", words))
    tau = _stable_order(np.frombuffer(stream, "<u8", words, 8 * words))
    rot = np.frombuffer(stream, np.uint8, words, 16 * words).astype(np.int64) & 63
    return Permutation(sigma, _inverse(sigma), tau, _inverse(tau), rot)


def _stable_order(keys: NDArray[np.uint64]) -> Index:
    """Return the stable argsort. Sorts that are not stable are several times faster, and equal keys next to never occur."""
    order = np.argsort(keys)
    in_order = keys[order]
    return np.argsort(keys, kind="stable") if (in_order[1:] == in_order[:-1]).any() else order


def _inverse(order: Index) -> Index:
    inverse = np.empty_like(order)
    inverse[order] = np.arange(order.size)
    return inverse
