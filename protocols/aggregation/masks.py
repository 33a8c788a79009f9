"""Pair masks in Z_2^q that cancel in the sum.

For clients i < j the pair shares s_ij; client k adds m_k = sum over j > k of s_kj minus sum over j < k of s_jk (mod 2^q), so the masks of a round sum to 0.
Addition, never XOR. One word masks one entry of one round, once.  Source: arXiv:2501.12709, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ...core.errors import ConfigError, ParameterError
from .quantiser import WIRE_WIDTHS, Words, word_type


def key_bits(d: int, q: int) -> int:
    """Return the key that one pair spends in one round: d q bits. Raises `ConfigError` for d = 0 or a width that cannot be masked."""
    if d <= 0:
        raise ConfigError("the model has no trainable parameter", where="d")
    if q not in WIRE_WIDTHS:
        raise ConfigError(f"words of {q} bits cannot be masked", where="q", remedy="Use 8, 16 or 32.")
    return d * q


def pair_words(material: bytes, d: int, q: int) -> Words:
    """Read the first d q bits of a pair's key, keys joined in the order of their ids, as little-endian words: unsigned (d,).

    Raises `ParameterError` where the material is too short; what is left over must be burned, never kept.
    """
    needed = key_bits(d, q) // 8
    if len(material) < needed:
        raise ParameterError(f"{needed} bytes of key are needed, {len(material)} came", where="pair key")
    return np.frombuffer(material[:needed], dtype=word_type(q)).copy()


def mask(above: Iterable[Words], below: Iterable[Words], d: int, q: int) -> Words:
    """Return one client's mask: the words shared with later clients minus those shared with earlier ones, mod 2^q: unsigned (d,)."""
    key_bits(d, q)
    total = np.zeros(d, dtype=word_type(q))
    for words in above:
        total += words
    for words in below:
        total -= words
    return total


def sum_words(uploads: Sequence[Words], q: int) -> Words:
    """Return the sum of uploads mod 2^q: unsigned (d,), for 2 <= q <= 32. Needs at least one upload."""
    total = np.zeros_like(uploads[0], dtype=np.uint64)
    for words in uploads:
        total += words
    return np.mod(total, np.uint64(2**q)).astype(word_type(q))
