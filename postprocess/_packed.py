"""Packed bits, LSB-first: bit i is byte i >> 3, position i & 7; padding is zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ParameterError

Packed = NDArray[np.uint8]
Words = NDArray[np.uint64]


def checked(packed: Packed, n_bits: int, where: str) -> Packed:
    """Return `packed` if it is `n_bits` bits as this house packs them.

    Raises ParameterError naming `where` for another type, another length, or padding that is not zero.
    """
    if not isinstance(packed, np.ndarray) or packed.dtype != np.uint8 or packed.ndim != 1:
        raise ParameterError("packed bits are a one-dimensional uint8 array", where=where, remedy="Pack with numpy.packbits(bits, bitorder='little').")
    if n_bits < 1 or packed.size != (n_bits + 7) // 8:
        raise ParameterError(f"{packed.size} bytes cannot hold {n_bits} bits exactly", where=where, remedy=f"Give {(n_bits + 7) // 8} bytes.")
    if n_bits % 8 and packed[-1] >> (n_bits % 8):
        raise ParameterError("the padding after the last bit is not zero", where=where, remedy="Clear the unused bits of the last byte.")
    return packed


def unpacked(packed: Packed, n_bits: int) -> NDArray[np.uint8]:
    """Return bits as uint8 (n_bits,)."""
    return np.unpackbits(packed, count=n_bits, bitorder="little")


def words_of(packed: Packed, n_words: int) -> Words:
    """Return a zero-padded copy as little-endian 64-bit words, bit i in word i >> 6 at position i & 63."""
    padded = np.zeros(8 * n_words, np.uint8)
    padded[: packed.size] = packed
    return padded.view("<u8").astype(np.uint64, copy=False)


def packed_of(words: Words, n_bits: int) -> Packed:
    """Return the first `n_bits` bits of words as packed bytes with zero padding; inverse of `words_of`."""
    packed = words.astype("<u8", copy=False).view(np.uint8)[: (n_bits + 7) // 8].copy()
    if n_bits % 8:
        packed[-1] &= (1 << (n_bits % 8)) - 1
    return packed
