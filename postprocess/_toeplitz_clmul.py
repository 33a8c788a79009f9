"""Toeplitz products of packed bits by carry-less multiplication; only where `_clmul.available()`."""

from __future__ import annotations

import numpy as np

from ._carryless import BASE_WORDS
from ._packed import Packed, Words, packed_of, words_of
from ._toeplitz_kernels import multiply_tiles

_LARGEST_WIDTH = 1 << 18
"""Words of a tile side, 2^24 bits: what larger tiles save in products, scratch memory and padding cost again."""


def product(seed_packed: Packed, key_packed: Packed, n: int, m: int) -> Packed:
    """Return T k[0:q] mod 2, m bits packed, with q = n - m; memory is about half a byte a seed bit."""
    q = n - m
    width = tile_words(m, q)
    rows, columns = -(-m // (64 * width)), -(-q // (64 * width))
    vector = (rows + columns) * width
    result = vector + columns * width
    memory = np.zeros(result + (rows + 5) * width, np.uint64)
    # Bit 64 * columns * width of the windows must be seed bit q - 1, which stands on the diagonal.
    _place(memory[:vector], seed_packed, 64 * columns * width - (q - 1))
    memory[vector:result][-((q + 63) // 64) :] = _first_bits(key_packed, q)[::-1]
    multiply_tiles(memory, vector, result, result + rows * width, width, rows, columns)
    return packed_of(memory[result : result + rows * width], m)


def tile_words(m: int, q: int) -> int:
    """Return the side of the square tiles that cover m x q bits with the fewest products."""
    widths = [BASE_WORDS]
    while widths[-1] < _LARGEST_WIDTH and 64 * widths[-1] < max(m, q):
        widths.append(2 * widths[-1])
    return min(widths, key=lambda width: -(-m // (64 * width)) * -(-q // (64 * width)) * 3 ** (width // BASE_WORDS).bit_length())


def shifted(packed: Packed, shift: int) -> Packed:
    """Return bits moved `shift` (0 to 7) places up; one byte longer."""
    longer = np.append(packed, np.uint8(0))
    if not shift:
        return longer
    moved = longer << np.uint8(shift)
    moved[1:] |= packed >> np.uint8(8 - shift)
    return moved


def _place(words: Words, packed: Packed, at: int) -> None:
    """Write packed bits into zero words from bit `at` on, as far as there are words."""
    octets = words.view(np.uint8)
    moved = shifted(packed, at & 7)
    end = min(octets.size, (at >> 3) + moved.size)
    octets[at >> 3 : end] = moved[: end - (at >> 3)]


def _first_bits(packed: Packed, count: int) -> Words:
    words = words_of(packed[: (count + 7) // 8], (count + 63) // 64)
    if count & 63:
        words[-1] &= np.uint64((1 << (count & 63)) - 1)
    return words
