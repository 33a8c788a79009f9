"""Plain form of the numbers in an announcement: LEB128, seven bits a byte, lowest first, 0x80 set in all but the last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.errors import AnnouncementError

LONGEST = 9
"""Bytes of a number, at most."""


def pack(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the numbers one behind another."""
    lengths = np.ones(values.size, np.int64)
    for more in range(1, LONGEST):
        lengths += values >> np.uint64(7 * more) != 0
    ends = np.cumsum(lengths)
    out = np.empty(int(ends[-1]), np.uint8)
    for place in range(int(lengths.max())):
        have = lengths > place
        part = (values[have] >> np.uint64(7 * place)).astype(np.uint8) & np.uint8(0x7F)
        out[(ends - lengths)[have] + place] = part | np.where(lengths[have] > place + 1, np.uint8(0x80), np.uint8(0))
    return out


def unpack(raw: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the numbers. Raises AnnouncementError if one is cut off, too long, or padded."""
    last = np.flatnonzero(raw < 0x80)
    if last.size == 0 or last[-1] != raw.size - 1:
        raise AnnouncementError("the last number is cut off", remedy="Ask for the announcement again.")
    starts = np.concatenate(([0], last[:-1] + 1))
    lengths = last - starts + 1
    if lengths.max() > LONGEST:
        raise AnnouncementError(f"a number has {int(lengths.max())} bytes, at most {LONGEST} are allowed", remedy="The block is aborted.")
    if np.any((lengths > 1) & (raw[last] == 0)):
        raise AnnouncementError("a number is padded with zeros", remedy="The block is aborted.")
    values = np.zeros(last.size, np.uint64)
    for place in range(int(lengths.max())):
        have = lengths > place
        values[have] |= (raw[starts[have] + place].astype(np.uint64) & np.uint64(0x7F)) << np.uint64(7 * place)
    return values
