"""Toeplitz products by float64 Fourier transforms: in one piece, or in square tiles with bounded memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.errors import PrecisionError
from ._packed import Packed

Bits = NDArray[np.uint8]
Spectrum = NDArray[np.complex128]

LARGEST_ERROR = 0.25
TILE_BITS = 1 << 21
_ROW_TILES = 4


def product(seed: Bits, key: Bits, m: int) -> Bits:
    """Return T key mod 2, uint8 (m,), by one cyclic convolution of length >= n - 1; wrap-around reaches only values that nobody uses.

    seed: uint8 (n - 1,).  key: uint8 (q,) with q = n - m.  Memory is about 40 bytes a seed bit.  Raises PrecisionError.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    length = next_fast_len(seed.size, real=True)
    # Double precision is a must: in single precision the sums are wrong from about 1e6 bits on.
    spectrum = rfft(seed.astype(np.float64), length)
    spectrum *= rfft(key.astype(np.float64), length)
    return odd(irfft(spectrum, length, overwrite_x=True)[key.size - 1 : key.size - 1 + m])


def product_in_tiles(seed_packed: Packed, key_packed: Packed, n: int, m: int, tile: int = TILE_BITS) -> Packed:
    """Return the same, packed, from packed bits and in square tiles of `tile` bits (a multiple of 8): 4 row tiles at a time share transforms of seed and key.

    Memory is about 250 bytes a bit of a tile, whatever the length of the key.  Raises PrecisionError.
    """
    from scipy.fft import irfft

    result = np.empty((m + 7) // 8, np.uint8)
    for first in range(0, -(-m // tile), _ROW_TILES):
        rows = range(first, min(first + _ROW_TILES, -(-m // tile)))
        for row, spectrum in zip(rows, _row_sums(_Bits(seed_packed, n - 1), _Bits(key_packed, n - m), tile, rows), strict=True):
            size = min(tile, m - row * tile)
            bits = odd(irfft(spectrum, 2 * tile, overwrite_x=True)[tile - 1 : tile - 1 + size])
            result[row * tile // 8 : (row * tile + size + 7) // 8] = np.packbits(bits, bitorder="little")
    return result


class _Bits(NamedTuple):
    """The first `size` of packed bits."""

    packed: Packed
    size: int

    def spectrum(self, start: int, count: int, tile: int) -> Spectrum:
        """Return the transform, of length 2 * tile, of bits start .. start + count - 1, zero outside of what there is."""
        from scipy.fft import rfft

        padded = np.zeros(2 * tile)
        low, high = max(start, 0), min(start + count, self.size)
        if low < high:
            octets = self.packed[low >> 3 : (high + 7) >> 3]
            padded[low - start : high - start] = np.unpackbits(octets, bitorder="little")[low & 7 : (low & 7) + high - low]
        spectrum: Spectrum = rfft(padded, overwrite_x=True)
        return spectrum


def _row_sums(seed: _Bits, key: _Bits, tile: int, rows: range) -> list[Spectrum]:
    """Return for every row tile the sum over all column tiles of seed spectrum times key spectrum."""
    sums: list[Spectrum] = [np.zeros(tile + 1, np.complex128) for _ in rows]
    window = [seed.spectrum(row * tile + key.size - tile, 2 * tile - 1, tile) for row in rows]
    for column in range(-(-key.size // tile)):
        if column:
            # Only row - column matters: the window slides by one tile, from the last row to the first.
            window = [seed.spectrum((rows[0] - column) * tile + key.size - tile, 2 * tile - 1, tile), *window[:-1]]
        part = key.spectrum(column * tile, tile, tile)
        for total, spectrum in zip(sums, window, strict=True):
            total += spectrum * part
    return sums


def odd(sums: NDArray[np.float64]) -> Bits:
    """Return which of the sums, whole numbers but for rounding, are odd; PrecisionError where one is off by a quarter."""
    whole = np.rint(sums)
    error = float(np.max(np.abs(sums - whole)))
    if not error < LARGEST_ERROR:
        raise PrecisionError(f"rounding is off by {error:.3g}, a bit could be wrong", where="amplification", remedy="Use smaller blocks; no output was made.")
    return (whole.astype(np.int64) & 1).astype(np.uint8)
