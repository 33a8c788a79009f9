"""Toeplitz products by carry-less multiplication: square tiles, halved as in Karatsuba's rule down to a few words.

A tile of W words is given by a window S of 2W words, bit 64 W + 64 i + b of which belongs to row 64 i + b and column 0; vectors are stored with their words in
reverse order, so that both factors of a sum of products run upwards. Everything lies in one array of words, named by offsets.
"""

from __future__ import annotations

from ._carryless import BASE_WORDS, add_words, square_base
from ._compiled import compiled
from ._packed import Words


@compiled
def _add_all(memory: Words, target: int, a: int, b: int, count: int) -> None:
    for word in range(0, count, 16):
        add_words(memory, target + word, a + word, b + word)


@compiled
def _square(memory: Words, s: int, v: int, y: int, width: int, free: int) -> None:
    """Add the product of a square tile of `width` words to y; 5 `width` words from `free` on are scratch.

    With T = [[T1, T0], [T2, T1]] and the vector (v0, v1): y0 = (T0 + T1) v1 + T1 (v0 + v1), y1 = (T1 + T2) v0 + T1 (v0 + v1).
    """
    if width <= BASE_WORDS:
        square_base(memory, s, v, y)
        return
    half = width >> 1
    outer, both, shared, rest = free, free + 3 * half, free + 4 * half, free + 5 * half
    _add_all(memory, outer, s, s + half, 3 * half)
    _add_all(memory, both, v, v + half, half)
    for word in range(shared, shared + half):
        memory[word] = 0
    _square(memory, s + half, both, shared, half, rest)
    _square(memory, outer, v, y, half, rest)
    _square(memory, outer + half, v + half, y + half, half, rest)
    _add_all(memory, y, y, shared, half)
    _add_all(memory, y + half, y + half, shared, half)


@compiled
def multiply_tiles(memory: Words, vector: int, result: int, free: int, width: int, rows: int, columns: int) -> None:
    """Add the product of rows x columns tiles to `result`.

    The windows begin at word 0, one every `width` words, from the last column's of the first row on; `vector`, `result`: where the reversed vector and the
    result begin; `free`: 5 `width` words of scratch.
    """
    for row in range(rows):
        for column in range(columns):
            window = (row - column + columns - 1) * width
            _square(memory, window, vector + (columns - 1 - column) * width, result + row * width, width, free)
