"""Privacy amplification against SciPy's transform, and the verification hash against Poly1305."""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.poly1305 import Poly1305
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from heliograph.postprocess.amplification import amplify
from heliograph.postprocess.verification import polynomial_tag

from ..harness import Race, row

BITS = 1_000_000
HASHED_BYTES = 1 << 24


@row("toeplitz_vs_scipy", peer="scipy.fft", package="scipy", unit="Mbit/s")
def toeplitz_vs_scipy() -> Race:
    """Ours begins and ends with packed bits and chooses its way itself; SciPy gets its bits as floats, and only transforms, product and rounding are timed."""
    rng = np.random.default_rng(1)
    m = BITS // 2
    q = BITS - m
    key, seed = rng.integers(0, 256, BITS // 8, np.uint8), rng.integers(0, 256, BITS // 8, np.uint8)
    seed[-1] &= 127
    k, s = np.unpackbits(key, bitorder="little"), np.unpackbits(seed, count=BITS - 1, bitorder="little")
    first, row_bits, length = k[:q].astype(np.float64), s.astype(np.float64), next_fast_len(BITS - 1, real=True)

    def theirs() -> NDArray[np.int64]:
        sums = irfft(rfft(row_bits, length) * rfft(first, length), length)
        return np.rint(sums[q - 1 : q - 1 + m]).astype(np.int64) & 1

    assert np.array_equal(np.unpackbits(amplify(key, BITS, seed, m), count=m, bitorder="little"), theirs() ^ k[q:])
    return Race(lambda: amplify(key, BITS, seed, m), theirs, BITS / 1e6)


@row("verify_vs_poly1305", peer="cryptography", package="cryptography", unit="GB/s")
def verify_vs_poly1305() -> Race:
    packed = np.random.default_rng(1).integers(0, 256, HASHED_BYTES, np.uint8)
    message, one_time_key = packed.tobytes(), bytes(range(32))
    key = int.from_bytes(one_time_key[:8], "little")
    return Race(lambda: polynomial_tag(packed, 8 * HASHED_BYTES, key), lambda: Poly1305.generate_tag(one_time_key, message), HASHED_BYTES / 1e9)
