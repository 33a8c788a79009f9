"""Compiled parts that both parties use: parities of intervals, permuting packed planes, positions.

A plane is a frame's bits in the order of one pass, uint64 (W,). A node is an interval of positions whose size is a power of two, written as
`start << 5 | log2(size)`. Geometry 0 is a full frame, 1 the last one. Only modules that need the compiler import this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

Planes = NDArray[np.uint64]
Tables = NDArray[np.int32]

SIGMA, SIGMA_INVERSE, TAU, TAU_INVERSE, ROT = range(5)
START_SHIFT, SIZE_MASK = 5, 31


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call and keep the machine code beside the module."""
    # The cache looks at the file of the function alone: whoever changes this module or the constants of `messages` must touch its callers, too.
    return cast(Callable[P, R], numba.njit(cache=True, nogil=True)(function))


@compiled
def parity(plane: Planes, start: int, log_size: int) -> int:
    """Return the parity of an interval."""
    if log_size >= 6:
        word = np.uint64(0)
        for index in range(start >> 6, (start + (1 << log_size)) >> 6):
            word ^= plane[index]
    else:
        mask = (np.uint64(1) << np.uint64(1 << log_size)) - np.uint64(1)
        word = (plane[start >> 6] >> np.uint64(start & 63)) & mask
    word ^= word >> np.uint64(32)
    word ^= word >> np.uint64(16)
    word ^= word >> np.uint64(8)
    word ^= word >> np.uint64(4)
    return (0x6996 >> int(word & np.uint64(15))) & 1


@compiled
def _transpose(block: Planes) -> None:
    step = 32
    mask = np.uint64(0x00000000FFFFFFFF)
    while step:
        shift = np.uint64(step)
        row = 0
        while row < 64:
            swap = ((block[row] >> shift) ^ block[row + step]) & mask
            block[row + step] ^= swap
            block[row] ^= swap << shift
            row = (row + step + 1) & ~step
        step >>= 1
        mask ^= mask << np.uint64(max(step, 1))


@compiled
def permute(source: Planes, target: Planes, table: Tables, words: int) -> None:
    """Write the plane of a pass, given the key's words; table: of that pass (5, W)."""
    block = np.empty(64, np.uint64)
    for group in range(0, words, 64):
        for j in range(64):
            block[j] = source[table[SIGMA, group + j]]
        _transpose(block)
        for j in range(64):
            turn = table[ROT, group + j]
            word = block[j]
            target[table[TAU, group + j]] = (word << np.uint64(turn)) | (word >> np.uint64((64 - turn) & 63))


@compiled
def position_of(table: Tables, bit: int) -> int:
    """Return the position of a key bit in a permuted pass."""
    j = table[SIGMA_INVERSE, bit >> 6]
    j2 = (j & ~63) | (bit & 63)
    return int(64 * table[TAU, j2] + (((j & 63) + table[ROT, j2]) & 63))


@compiled
def bit_at(table: Tables, position: int) -> int:
    """Return the key bit at a position of a permuted pass."""
    j2 = table[TAU_INVERSE, position >> 6]
    j = (j2 & ~63) | ((position - table[ROT, j2]) & 63)
    return int(64 * table[SIGMA, j] + (j2 & 63))


@compiled
def put_u32(out: NDArray[np.uint8], at: int, value: int) -> None:
    """Write a little-endian u32."""
    for byte in range(4):
        out[at + byte] = (value >> (8 * byte)) & 255


@compiled
def get_u32(message: NDArray[np.uint8], at: int) -> int:
    """Read a little-endian u32."""
    return int(message[at]) | int(message[at + 1]) << 8 | int(message[at + 2]) << 16 | int(message[at + 3]) << 24
