"""Compiled form of the numbers in an announcement; `_announcements_numpy` is the plain one, which also says what is wrong with malformed bytes."""

from __future__ import annotations

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from ._announcements_numpy import LONGEST


def pack(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return LEB128 numbers one behind another."""
    out = np.empty(_packed_size(values), np.uint8)
    _pack(values, out)
    return out


def unpack(raw: NDArray[np.uint8]) -> NDArray[np.uint64] | None:
    """Return the numbers, or None if one is cut off, too long, or padded."""
    out = np.empty(np.count_nonzero(raw < 0x80), np.uint64)
    return out if _unpack(raw, out) == out.size else None


def _read(kind: types.Type) -> types.Array:
    return types.Array(kind, 1, "C", readonly=True)


@numba.njit(types.int64(_read(types.uint64)), cache=True)
def _packed_size(values: NDArray[np.uint64]) -> int:
    size = values.size
    for value in values:
        value >>= np.uint64(7)
        while value:
            size += 1
            value >>= np.uint64(7)
    return size


@numba.njit(types.void(_read(types.uint64), types.uint8[::1]), cache=True)
def _pack(values: NDArray[np.uint64], out: NDArray[np.uint8]) -> None:
    one, seven, more = np.uint64(1), np.uint64(7), np.uint64(0x80)
    at = np.uint64(0)
    for value in values:
        while value >= more:
            out[at] = value | more
            value >>= seven
            at += one
        out[at] = value
        at += one


@numba.njit(types.int64(_read(types.uint8), types.uint64[::1]), cache=True)
def _unpack(raw: NDArray[np.uint8], out: NDArray[np.uint64]) -> int:
    n, length, value = np.uint64(0), 0, np.uint64(0)
    for byte in raw:
        value |= np.uint64(byte & 0x7F) << np.uint64(7 * length)
        length += 1
        if byte >= 0x80:
            if length == LONGEST:
                return -1
        elif byte == 0 and length > 1:
            return -1
        else:
            out[n] = value
            n += np.uint64(1)
            length, value = 0, np.uint64(0)
    return -1 if length else int(n)
