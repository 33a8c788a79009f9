"""Privacy amplification by a modified Toeplitz matrix [T | I].

n key bits k become m final bits K = T k[0:q] + k[q:n] mod 2 with q = n - m and T[i, j] = s[i - j + q - 1], s the n - 1 seed bits. The family is universal, so
the final bits are secret up to the epsilon of the key length. The seed may be public, but is drawn after error correction, authenticated, and never used twice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ParameterError, PrecisionError
from ._packed import Packed, checked, unpacked

_LARGEST_ERROR = 0.25


def amplify(key_packed: Packed, n: int, seed_packed: Packed, m: int) -> Packed:
    """Return m final bits, packed, from n key bits and n - 1 seed bits.

    The product is one convolution by float64 FFT of length about n; memory is about 40 bytes a key bit.
    Raises ParameterError naming `m`, `seed` or `key`, PrecisionError where rounding came near to changing a bit (never seen below 2^25 bits).
    """
    key, seed = _inputs(key_packed, n, seed_packed, m)
    q = n - m
    sums = _convolved(seed, key[:q])[q - 1 : q - 1 + m]
    return np.packbits((sums & 1).astype(np.uint8) ^ key[q:], bitorder="little")


def amplify_direct(key_packed: Packed, n: int, seed_packed: Packed, m: int) -> Packed:
    """Return the same bits straight from the definition: for every key bit j that is 1, column j of T is added. For tests and small sizes."""
    key, seed = _inputs(key_packed, n, seed_packed, m)
    q = n - m
    result = key[q:].copy()
    for j in np.flatnonzero(key[:q]):
        result ^= seed[q - 1 - j : q - 1 - j + m]
    return np.packbits(result, bitorder="little")


def _inputs(key_packed: Packed, n: int, seed_packed: Packed, m: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if not 1 <= m <= n - 1:
        raise ParameterError(f"{m} final bits cannot be had from {n}", where="m", remedy="Give 1 to n - 1.")
    key = checked(key_packed, n, "key")
    return unpacked(key, n), unpacked(checked(seed_packed, n - 1, "seed"), n - 1)


def _convolved(seed: NDArray[np.uint8], key: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the cyclic convolution at a length >= len(seed); wrap-around reaches only the first len(key) - 1 values, which nobody uses."""
    from scipy.fft import irfft, next_fast_len, rfft

    length = next_fast_len(seed.size, real=True)
    # Double precision is a must: in single precision the sums are wrong from about 1e6 bits on.
    spectrum = rfft(seed.astype(np.float64), length)
    spectrum *= rfft(key.astype(np.float64), length)
    return _rounded(irfft(spectrum, length, overwrite_x=True))


def _rounded(sums: NDArray[np.float64]) -> NDArray[np.int64]:
    whole = np.rint(sums)
    error = float(np.max(np.abs(sums - whole)))
    if not error < _LARGEST_ERROR:
        raise PrecisionError(f"rounding is off by {error:.3g}, a bit could be wrong", where="amplification", remedy="Use smaller blocks; no output was made.")
    return whole.astype(np.int64)
