"""Eve's announcement: which slots gave an event, and in which detector.

One LEB128 number an event, (gap << 1) | d: gap counts slots from the previous event, for the first one from the block's first slot; d is 0 for D1, 1 for D2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..core.errors import AnnouncementError, ParameterError
from . import _announcements_numpy
from .events import Events

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
    return _pack(values).tobytes()


def decode_events(announcement: bytes | memoryview, first_slot: int, n_slots: int) -> Events:
    """Return the announced events of the block [first_slot, first_slot + n_slots).

    Raises AnnouncementError if a number is cut off, longer than nine bytes or padded, if a slot repeats, or if one lies outside the block.
    """
    if not announcement:
        return Events(np.empty(0, np.int64), np.empty(0, np.uint8))
    raw = np.frombuffer(announcement, np.uint8)
    values = _unpack(raw)
    gaps = (values >> np.uint64(1)).astype(np.int64)
    if gaps.max() >= n_slots:
        raise AnnouncementError(f"a gap of {int(gaps.max())} slots does not fit into a block of {n_slots}", remedy="The block is aborted.")
    if np.any(gaps[1:] == 0):
        raise AnnouncementError("a slot is announced twice", remedy="The block is aborted.")
    slot = first_slot + np.cumsum(gaps)
    # A sum of gaps that wraps around passes through negative slots.
    if slot.max() >= first_slot + n_slots or slot.min() < first_slot:
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


def _pack(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    try:
        from . import _announcements_numba as compiled
    except ImportError:
        return _announcements_numpy.pack(values)
    return compiled.pack(values)


def _unpack(raw: NDArray[np.uint8]) -> NDArray[np.uint64]:
    try:
        from . import _announcements_numba as compiled
    except ImportError:
        return _announcements_numpy.unpack(raw)
    found = compiled.unpack(raw)
    # The plain form says what is wrong.
    return _announcements_numpy.unpack(raw) if found is None else found
