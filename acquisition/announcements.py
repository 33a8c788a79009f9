"""Eve's announcement: which slots gave an event, and in which detector.

One LEB128 number an event, (gap << 1) | d: gap counts slots from the previous event, for the first one from the block's first slot; d is 0 for D1, 1 for D2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..core.errors import AnnouncementError, ParameterError
from .events import Events

_LONGEST = 9
CHUNK = 1 << 20
"""Bytes of an announcement decoded at once."""


def encode_events(events: Events, first_slot: int = 0) -> bytes:
    """Return the announcement of events, the first gap counted from `first_slot`.

    Chunks encoded with the last slot of the chunk before as `first_slot` join to what one call gives.
    Raises ParameterError if an event lies before `first_slot`.
    """
    if events.slot.size == 0:
        return b""
    gaps = np.diff(events.slot, prepend=np.int64(first_slot))
    if gaps[0] < 0:
        raise ParameterError(f"slot {int(events.slot[0])} lies before the first slot {first_slot}", where="events")
    values = (gaps.astype(np.uint64) << np.uint64(1)) | events.detector
    lengths = np.ones(values.size, np.int64)
    for more in range(1, _LONGEST):
        lengths += values >> np.uint64(7 * more) != 0
    ends = np.cumsum(lengths)
    out = np.empty(int(ends[-1]), np.uint8)
    for place in range(int(lengths.max())):
        have = lengths > place
        part = (values[have] >> np.uint64(7 * place)).astype(np.uint8) & np.uint8(0x7F)
        out[(ends - lengths)[have] + place] = part | np.where(lengths[have] > place + 1, np.uint8(0x80), np.uint8(0))
    return out.tobytes()


def decode_events(announcement: bytes | memoryview, first_slot: int, n_slots: int) -> Events:
    """Return the announced events of the block [first_slot, first_slot + n_slots).

    Raises AnnouncementError if a number is cut off, longer than nine bytes or padded, if a slot repeats, or if one lies outside the block.
    """
    if not announcement:
        return Events(np.empty(0, np.int64), np.empty(0, np.uint8))
    raw = np.frombuffer(announcement, np.uint8)
    values = _numbers(raw)
    gaps = (values >> np.uint64(1)).astype(np.int64)
    if gaps.max() >= n_slots:
        raise AnnouncementError(f"a gap of {int(gaps.max())} slots does not fit into a block of {n_slots}", remedy="The block is aborted.")
    if np.any(gaps[1:] == 0):
        raise AnnouncementError("a slot is announced twice", remedy="The block is aborted.")
    slot = first_slot + np.cumsum(gaps)
    if slot[-1] >= first_slot + n_slots:
        raise AnnouncementError(f"slot {int(slot[-1])} lies outside the block of {n_slots} slots from {first_slot}", remedy="The block is aborted.")
    return Events(slot, (values & np.uint64(1)).astype(np.uint8))


def decode_chunks(announcement: bytes, first_slot: int, n_slots: int, chunk: int = CHUNK) -> Iterator[Events]:
    """Return the announced events of the block by chunks of at most `chunk` bytes (at least 9), for blocks whose events are not to be held at once.

    Raises AnnouncementError as `decode_events` does, when it comes to the place.
    """
    raw, begin, last, end_slot = memoryview(announcement), 0, first_slot, first_slot + n_slots
    while begin < len(raw):
        end = begin + chunk
        if end < len(raw):
            # A number ends at its first byte below 0x80.
            while end > begin and raw[end - 1] >= 0x80:
                end -= 1
            end = end if end > begin else begin + chunk
        events = decode_events(raw[begin:end], last, end_slot - last)
        if begin and events.slot[0] == last:
            raise AnnouncementError("a slot is announced twice", remedy="The block is aborted.")
        yield events
        begin, last = end, int(events.slot[-1])


def _numbers(raw: NDArray[np.uint8]) -> NDArray[np.uint64]:
    last = np.flatnonzero(raw < 0x80)
    if last.size == 0 or last[-1] != raw.size - 1:
        raise AnnouncementError("the last number is cut off", remedy="Ask for the announcement again.")
    starts = np.concatenate(([0], last[:-1] + 1))
    lengths = last - starts + 1
    if lengths.max() > _LONGEST:
        raise AnnouncementError(f"a number has {int(lengths.max())} bytes, at most {_LONGEST} are allowed", remedy="The block is aborted.")
    if np.any((lengths > 1) & (raw[last] == 0)):
        raise AnnouncementError("a number is padded with zeros", remedy="The block is aborted.")
    values = np.zeros(last.size, np.uint64)
    for place in range(int(lengths.max())):
        have = lengths > place
        values[have] |= (raw[starts[have] + place].astype(np.uint64) & np.uint64(0x7F)) << np.uint64(7 * place)
    return values
