"""Compiled parts that both parties use: parities of intervals, permuting packed planes, positions.

A plane is a frame's bits in the order of one pass, uint64 (W,). A node is an interval of positions whose size is a power of two, written as
`start << 5 | log2(size)`. Geometry 0 is a full frame, 1 the last one. Only modules that need the compiler import this one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numpy.typing import NDArray

from .._compiled import compiled, intrinsic

Planes = NDArray[np.uint64]
Tables = NDArray[np.int32]

SIGMA, SIGMA_INVERSE, TAU, TAU_INVERSE, ROT = range(5)
START_SHIFT, SIZE_MASK = 5, 31
_WORD = ir.IntType(64)
_TYPES: Any = types


@intrinsic
def _ones(_typing: Any, word: Any) -> Any:
    """Return how many bits of a word are 1."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return word(word), generate


@compiled
def parity(plane: Planes, start: int, log_size: int) -> int:
    """Return the parity of an interval."""
    # Unsigned indices need no check for negative ones, so that the loop becomes a few wide instructions.
    first = np.uint64(start >> 6)
    word = plane[first]
    if log_size < 6:
        mask = (np.uint64(1) << np.uint64(1 << log_size)) - np.uint64(1)
        return int(_ones((word >> np.uint64(start & 63)) & mask) & np.uint64(1))
    if log_size > 6:
        for index in range(np.uint64(1), np.uint64(1) << np.uint64(log_size - 6)):
            word ^= plane[first + index]
    return int(_ones(word) & np.uint64(1))


def _low_half(step: int) -> int:
    """Return the 64-bit mask of the bits whose number lacks bit `step`."""
    return sum(1 << bit for bit in range(64) if not bit & step)


@intrinsic
def _transpose(_typing: Any, block: Any) -> Any:
    """Transpose a 64 x 64 bit matrix in place: uint64 (64,), bit c of row r becomes bit r of row c."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, eight = context.make_array(signature.args[0])(context, builder, arguments[0]).data, ir.VectorType(_WORD, 8)
        places = [builder.bitcast(builder.gep(data, [ir.Constant(_WORD, row)]), eight.as_pointer()) for row in range(0, 64, 8)]
        rows = [builder.load(place, align=8) for place in places]
        for step in (32, 16, 8):
            _swap_between(builder, rows, step)
        for step in (4, 2, 1):
            rows = [_swapped_within(builder, row, step) for row in rows]
        for row, place in zip(rows, places, strict=True):
            builder.store(row, place, align=8)
        return context.get_dummy_value()

    return _TYPES.void(block), generate


def _swap_between(builder: Any, rows: list[Any], step: int) -> None:
    """Exchange the upper halves of rows with the lower halves of those `step` below; eight rows a vector."""
    by, mask = (ir.Constant(rows[0].type, [value] * 8) for value in (step, _low_half(step)))
    for upper in range(8):
        lower = upper + step // 8
        if not upper & step // 8:
            swap = builder.and_(builder.xor(builder.lshr(rows[upper], by), rows[lower]), mask)
            rows[lower] = builder.xor(rows[lower], swap)
            rows[upper] = builder.xor(rows[upper], builder.shl(swap, by))


def _swapped_within(builder: Any, row: Any, step: int) -> Any:
    """Do the same among the eight rows of one vector."""
    kind = row.type
    by, low, high = (ir.Constant(kind, [value] * 8) for value in (step, _low_half(step), _low_half(step) << step))
    other = builder.shuffle_vector(row, row, ir.Constant(ir.VectorType(ir.IntType(32), 8), [lane ^ step for lane in range(8)]))
    as_upper = builder.or_(builder.and_(row, low), builder.shl(builder.and_(other, low), by))
    as_lower = builder.or_(builder.and_(row, high), builder.and_(builder.lshr(other, by), low))
    return builder.select(ir.Constant(ir.VectorType(ir.IntType(1), 8), [not lane & step for lane in range(8)]), as_upper, as_lower)


@compiled
def permute(source: Planes, target: Planes, table: Tables, words: int) -> None:
    """Write the plane of a pass, given the key's words; table: of that pass (5, W)."""
    block = np.empty(64, np.uint64)
    for group in range(np.uint64(0), np.uint64(words), np.uint64(64)):
        for j in range(np.uint64(64)):
            block[j] = source[np.uint64(table[SIGMA, group + j])]
        _transpose(block)
        for j in range(np.uint64(64)):
            turn = np.uint64(table[ROT, group + j])
            word = block[j]
            target[np.uint64(table[TAU, group + j])] = (word << turn) | (word >> ((np.uint64(64) - turn) & np.uint64(63)))


@compiled
def position_of(tables: Tables, index: int, bit: int) -> int:
    """Return the position of a key bit in a pass; tables: of all passes (passes, 5, W)."""
    if index == 0:
        return bit
    j = tables[index, SIGMA_INVERSE, bit >> 6]
    j2 = (j & ~63) | (bit & 63)
    return int(64 * tables[index, TAU, j2] + (((j & 63) + tables[index, ROT, j2]) & 63))


@compiled
def bit_at(tables: Tables, index: int, position: int) -> int:
    """Return the key bit at a position of a pass."""
    if index == 0:
        return position
    j2 = tables[index, TAU_INVERSE, position >> 6]
    j = (j2 & ~63) | ((position - tables[index, ROT, j2]) & 63)
    return int(64 * tables[index, SIGMA, j] + (j2 & 63))


@compiled
def put_u32(out: NDArray[np.uint8], at: int, value: int) -> None:
    """Write a little-endian u32."""
    for byte in range(4):
        out[at + byte] = (value >> (8 * byte)) & 255


@compiled
def get_u32(message: NDArray[np.uint8], at: int) -> int:
    """Read a little-endian u32."""
    return int(message[at]) | int(message[at + 1]) << 8 | int(message[at + 2]) << 16 | int(message[at + 3]) << 24
