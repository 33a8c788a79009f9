"""Privacy amplification by a modified Toeplitz matrix [T | I].

n key bits k become m final bits K = T k[0:q] + k[q:n] mod 2 with q = n - m and T[i, j] = s[i - j + q - 1], s the n - 1 seed bits. The family is universal, so
the final bits are secret up to the epsilon of the key length. The seed may be public, but is drawn after error correction, authenticated, and never used twice.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from ..core.errors import DependencyMissing, ParameterError
from . import _clmul, _toeplitz_fft
from ._packed import Packed, checked, unpacked

Method = Literal["clmul", "fft", "fft-tiles"]

_LARGEST_TRANSFORM = 1 << 23
"""Bits of a key up to which one transform of the whole key is the faster portable way."""


def amplify(key_packed: Packed, n: int, seed_packed: Packed, m: int, *, method: Method | None = None) -> Packed:
    """Return m final bits, packed, from n key bits and n - 1 seed bits.

    method: how the product is had, equal bit for bit: "clmul" by carry-less multiplication, "fft" by one float64 transform of length about n (40 bytes of
    memory a key bit), "fft-tiles" in tiles (0.6 GB whatever the length); None takes the fastest one that this machine has.
    Raises ParameterError naming `m`, `seed` or `key`, DependencyMissing for "clmul" without a compiler or a processor for it, PrecisionError where rounding
    came near to changing a bit (never seen).
    """
    _check(key_packed, n, seed_packed, m)
    if method is None:
        method = "clmul" if _clmul.available() else "fft" if n <= _LARGEST_TRANSFORM else "fft-tiles"
    product = _by_words if method == "clmul" else _by_transform if method == "fft" else _by_tiles
    return product(key_packed, n, seed_packed, m) ^ _last_bits(key_packed, n, m)


def amplify_direct(key_packed: Packed, n: int, seed_packed: Packed, m: int) -> Packed:
    """Return the same bits straight from the definition: for every key bit j that is 1, column j of T is added. For tests and small sizes."""
    _check(key_packed, n, seed_packed, m)
    key, seed = unpacked(key_packed, n), unpacked(seed_packed, n - 1)
    q = n - m
    result = key[q:].copy()
    for j in np.flatnonzero(key[:q]):
        result ^= seed[q - 1 - j : q - 1 - j + m]
    return np.packbits(result, bitorder="little")


def _check(key_packed: Packed, n: int, seed_packed: Packed, m: int) -> None:
    if not 1 <= m <= n - 1:
        raise ParameterError(f"{m} final bits cannot be had from {n}", where="m", remedy="Give 1 to n - 1.")
    checked(key_packed, n, "key")
    checked(seed_packed, n - 1, "seed")


def _by_words(key_packed: Packed, n: int, seed_packed: Packed, m: int) -> Packed:
    if not _clmul.available():
        raise DependencyMissing("there is no carry-less multiplication on this machine", where="amplification", remedy="Leave `method` out.")
    from . import _toeplitz_clmul

    return _toeplitz_clmul.product(seed_packed, key_packed, n, m)


def _by_transform(key_packed: Packed, n: int, seed_packed: Packed, m: int) -> Packed:
    bits = _toeplitz_fft.product(unpacked(seed_packed, n - 1), unpacked(key_packed, n)[: n - m], m)
    return np.packbits(bits, bitorder="little")


def _by_tiles(key_packed: Packed, n: int, seed_packed: Packed, m: int) -> Packed:
    return _toeplitz_fft.product_in_tiles(seed_packed, key_packed, n, m)


def _last_bits(packed: Packed, n: int, m: int) -> Packed:
    """Return the last m of n packed bits, packed."""
    byte, bit = divmod(n - m, 8)
    moved = packed[byte:] >> np.uint8(bit)
    if bit:
        moved[:-1] |= packed[byte + 1 :] << np.uint8(8 - bit)
    return moved[: (m + 7) // 8]
