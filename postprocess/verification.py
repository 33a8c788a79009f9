"""Are both keys equal? A polynomial hash over GF(2^64) whose key is drawn after error correction.

Field: modulo x^64 + x^4 + x^3 + x + 1, bit i stands for x^i. Words m_0, m_1, .. are little-endian and zero-padded. Horner: h = 0; per word h = h K + m;
then h = h K + (length in bits); tag = h K. Two different keys of the same length collide with probability at most (words + 2) / 2^64.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from ..core.errors import ParameterError
from . import _clmul
from ._packed import Packed, Words, checked, words_of

_MASK = (1 << 64) - 1
_REDUCTION = 0b11011
_FEWEST_LANES = 64


def multiply(a: int, b: int) -> int:
    """Return the product of two field elements, each 0 to 2^64 - 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = (a << 1) ^ (_REDUCTION if a >> 63 else 0)
        a &= _MASK
        b >>= 1
    return product


def polynomial_tag(packed: Packed, n_bits: int, key: int) -> int:
    """Return the 64-bit tag of a key of `n_bits` packed bits.

    key: 64 random bits, fresh, drawn after the bits are settled.  Raises ParameterError where packing or key are not what they should be.
    """
    _check_key(key)
    words = words_of(checked(packed, n_bits, "packed"), (n_bits + 63) // 64)
    horner = _horner_in_groups if _clmul.available() else _horner
    return _finish(horner(words, key), n_bits, key)


class PolynomialTag:
    """The same tag of bytes that come in parts, cut anywhere.

    key: as for `polynomial_tag`.
    """

    def __init__(self, key: int) -> None:
        _check_key(key)
        self._key, self._h, self._bits, self._rest = key, 0, 0, b""

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._bits += 8 * len(data)
        whole = self._rest + data
        self._rest = whole[len(whole) // 8 * 8 :]
        self._run(whole[: len(whole) // 8 * 8])

    def value(self) -> int:
        """Return the tag of all bytes, of which there must be one; nothing may follow."""
        self._run(self._rest.ljust(8, b"\0") if self._rest else b"")
        return _finish(self._h, self._bits, self._key)

    def _run(self, whole: bytes) -> None:
        if whole:
            # What Horner's rule has reached goes on as the first word.
            words = np.concatenate([np.array([self._h], np.uint64), np.frombuffer(whole, "<u8").astype(np.uint64, copy=False)])
            self._h = (_horner_in_groups if _clmul.available() else _horner)(words, self._key)


def polynomial_tag_plain(packed: Packed, n_bits: int, key: int) -> int:
    """Return the same tag word by word in Python integers, in the form of the text."""
    _check_key(key)
    h = 0
    for word in words_of(checked(packed, n_bits, "packed"), (n_bits + 63) // 64).tolist():
        h = multiply(h, key) ^ word
    return _finish(h, n_bits, key)


def _check_key(key: int) -> None:
    if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key <= _MASK:
        raise ParameterError("the hash key is not a 64-bit number", where="key", remedy="Draw 8 random bytes, little-endian.")


def _finish(h: int, n_bits: int, key: int) -> int:
    return multiply(multiply(h, key) ^ n_bits, key)


def _horner_in_groups(words: Words, key: int) -> int:
    """Run Horner's rule over groups of words by carry-less multiplication; only where `_clmul.available()`."""
    from . import _verification_kernels as kernels

    powers = [1]
    for _ in range(kernels.GROUP):
        powers.append(multiply(powers[-1], key))
    # Leading zero words change nothing, so the first group is filled up in front.
    grouped = np.concatenate([np.zeros(-words.size % kernels.GROUP, np.uint64), words])
    return int(kernels.horner(grouped, np.array(powers[-2::-1] + powers[-1:], np.uint64)))


def _horner(words: Words, key: int) -> int:
    """Run Horner's rule in lanes: lane i takes words i, i + L, .. with K^L, then one short run with K joins the lanes."""
    lanes = max(_FEWEST_LANES, isqrt(words.size))
    rows = -(-words.size // lanes)
    # Leading zero words change nothing, so the grid is filled up in front.
    grid = np.concatenate([np.zeros(rows * lanes - words.size, np.uint64), words]).reshape(rows, lanes)
    table = _table(_power(key, lanes))
    h = np.zeros(lanes, np.uint64)
    for row in grid:
        h = _times(table, h) ^ row
    steps = [column.tolist() for column in _table(key)]
    joined = 0
    for word in h.tolist():
        joined = word ^ _times_one(steps, joined)
    return joined


def _power(key: int, exponent: int) -> int:
    result = 1
    while exponent:
        if exponent & 1:
            result = multiply(result, key)
        key = multiply(key, key)
        exponent >>= 1
    return result


def _table(factor: int) -> Words:
    """Return factor times every value of every byte of a word: shape (8, 256)."""
    table = np.zeros((8, 256), np.uint64)
    for bit in range(64):
        byte, low = bit >> 3, 1 << (bit & 7)
        table[byte, low : 2 * low] = table[byte, :low] ^ np.uint64(factor)
        factor = ((factor << 1) ^ (_REDUCTION if factor >> 63 else 0)) & _MASK
    return table


def _times(table: Words, values: Words) -> Words:
    octets = values.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)
    product: Words = table[0][octets[:, 0]]
    for byte in range(1, 8):
        product ^= table[byte][octets[:, byte]]
    return product


def _times_one(steps: list[list[int]], value: int) -> int:
    product = 0
    for column in steps:
        product ^= column[value & 255]
        value >>= 8
    return product
