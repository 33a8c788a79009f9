"""Compiled form of `sifting`, 64 events at a time. `_sifting_numpy` says the same in plain form."""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

Packed = NDArray[np.uint8]
Word = np.uint64
Words = NDArray[np.uint64]
Slots = NDArray[np.int64]


def look_up(slot: Slots, detector: NDArray[np.uint8], symbols: NDArray[np.uint8], offset: int, flip: bool) -> tuple[Packed, Packed]:
    """Return packed bases and bits at the slots of a pattern that repeats and whose element 0 passes in slot `offset`.

    symbols: uint8, one an element, basis + 2 bit.  flip: invert the bit where the detector is 1.
    """
    found = np.empty((2, (slot.size + 63) // 64), "<u8")
    _look_up(np.ascontiguousarray(slot), np.ascontiguousarray(detector), symbols, offset, np.uint64(flip), found[0], found[1])
    return _bytes(found[0], slot.size), _bytes(found[1], slot.size)


def look_up_packed(slot: Slots, detector: NDArray[np.uint8], basis: Packed, bit: Packed, offset: int, flip: bool) -> tuple[Packed, Packed]:
    """Return packed bases and bits at the slots of a pattern that does not repeat, given as packed planes whose element 0 passes in slot `offset`."""
    found = np.empty((2, (slot.size + 63) // 64), "<u8")
    _look_up_packed(np.ascontiguousarray(slot), np.ascontiguousarray(detector), basis, bit, offset, np.uint64(flip), found[0], found[1])
    return _bytes(found[0], slot.size), _bytes(found[1], slot.size)


def keep_equal(basis: Packed, bit: Packed, other_basis: Packed, n: int) -> tuple[Packed, int, Packed, int]:
    """Return the packed bits at equal bases and their number, first those in X, then those in Y."""
    kept, counts = np.empty((2, (n + 63) // 64 + 1), "<u8"), np.empty(2, np.int64)
    _keep_equal(_words(basis), _words(bit), _words(other_basis), n, kept[0], kept[1], counts)
    n_x, n_y = counts.tolist()
    return _bytes(kept[0], n_x), n_x, _bytes(kept[1], n_y), n_y


def _words(plane: Packed) -> Words:
    words = np.zeros((plane.size + 7) // 8, "<u8")
    words.view(np.uint8)[: plane.size] = plane
    return words


def _bytes(words: Words, n: int) -> Packed:
    return words.view(np.uint8)[: (n + 7) // 8].copy()


def _read(kind: types.Type) -> types.Array:
    return types.Array(kind, 1, "C", readonly=True)


# In all loops indices are unsigned, because a signed one is looked at whether it counts from the end.
@numba.njit(types.void(_read(types.int64), _read(types.uint8), _read(types.uint8), types.int64, types.uint64, types.uint64[::1], types.uint64[::1]), cache=True)
def _look_up(slot: Slots, detector: NDArray[np.uint8], symbols: NDArray[np.uint8], offset: int, flip: Word, out_basis: Words, out_bit: Words) -> None:
    one, n, period = np.uint64(1), np.uint64(slot.size), np.uint64(symbols.size)
    begin, i = np.uint64(offset), np.uint64(0)
    for word in range(out_basis.size):
        bases = bits = np.uint64(0)
        for at in range(min(np.uint64(64), n - i)):
            place = np.uint64(slot[i]) - begin
            # Slots rise, so the division is needed once a frame.
            if place >= period:
                begin += np.uint64(np.int64(place) // symbols.size * symbols.size)
                place = np.uint64(slot[i]) - begin
            symbol = np.uint64(symbols[place])
            bases |= (symbol & one) << at
            bits |= (symbol >> one ^ np.uint64(detector[i]) & flip) << at
            i += one
        out_basis[word], out_bit[word] = bases, bits


@numba.njit(
    types.void(_read(types.int64), _read(types.uint8), _read(types.uint8), _read(types.uint8), types.int64, types.uint64, types.uint64[::1], types.uint64[::1]),
    cache=True,
)
def _look_up_packed(slot: Slots, detector: NDArray[np.uint8], basis: Packed, bit: Packed, offset: int, flip: Word, out_basis: Words, out_bit: Words) -> None:
    one, three, seven, n = np.uint64(1), np.uint64(3), np.uint64(7), np.uint64(slot.size)
    begin, i = np.uint64(offset), np.uint64(0)
    for word in range(out_basis.size):
        bases = bits = np.uint64(0)
        for at in range(min(np.uint64(64), n - i)):
            place = np.uint64(slot[i]) - begin
            byte, shift = place >> three, place & seven
            bases |= (np.uint64(basis[byte]) >> shift & one) << at
            bits |= ((np.uint64(bit[byte]) >> shift ^ np.uint64(detector[i]) & flip) & one) << at
            i += one
        out_basis[word], out_bit[word] = bases, bits


@numba.njit(types.uint64(types.uint64, types.uint64), cache=True)
def _gather(bits: Word, mask: Word) -> Word:
    """Return the bits under the mask moved together at the low end, in six rounds that move by 1, 2, 4 ... 32 places."""
    one = np.uint64(1)
    bits &= mask
    gaps = ~mask << one
    for step in range(6):
        # Parity of the gaps below each bit: whether its distance still to go has this power of two in it.
        odd = gaps
        for spread in range(6):
            odd ^= odd << np.uint64(1 << spread)
        move = odd & mask
        by = np.uint64(1 << step)
        mask = (mask ^ move) | (move >> by)
        moving = bits & move
        bits = (bits ^ moving) | (moving >> by)
        gaps &= ~odd
    return bits


@numba.njit(types.uint64(types.uint64), cache=True)
def _count(bits: Word) -> Word:
    """Return the number of ones, summed in pairs, fours, bytes, and all bytes by one multiplication."""
    bits -= bits >> np.uint64(1) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + (bits >> np.uint64(2) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return bits * np.uint64(0x0101010101010101) >> np.uint64(56)


@numba.njit(types.uint64(types.uint64[::1], types.uint64, types.uint64, types.uint64), cache=True)
def _append(out: Words, filled: Word, bits: Word, n: Word) -> Word:
    """Write n bits behind the first `filled` ones, zeros behind them, and return how many there are then."""
    word, free = filled >> np.uint64(6), filled & np.uint64(63)
    out[word] |= bits << free
    out[word + np.uint64(1)] = bits >> np.uint64(1) >> np.uint64(63) - free
    return filled + n


@numba.njit(
    types.void(_read(types.uint64), _read(types.uint64), _read(types.uint64), types.int64, types.uint64[::1], types.uint64[::1], types.int64[::1]),
    cache=True,
)  # fmt: skip
def _keep_equal(basis: Words, bit: Words, other_basis: Words, n: int, out_x: Words, out_y: Words, counts: NDArray[np.int64]) -> None:
    full = ~np.uint64(0)
    n_x = n_y = np.uint64(0)
    out_x[0] = out_y[0] = np.uint64(0)
    for word in range(basis.size):
        there = full if 64 * word + 64 <= n else full >> np.uint64(64 * word + 64 - n)
        x = ~(basis[word] | other_basis[word]) & there
        y = basis[word] & other_basis[word] & there
        n_x = _append(out_x, n_x, _gather(bit[word], x), _count(x))
        n_y = _append(out_y, n_y, _gather(bit[word], y), _count(y))
    counts[0], counts[1] = n_x, n_y
