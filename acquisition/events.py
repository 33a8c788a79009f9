"""Events: what travels from time tags to sifting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ParameterError


@dataclass(frozen=True, slots=True)
class Events:
    """Slots in which exactly one detector clicked inside its gate.

    slot: int64 (n,), strictly increasing, counted from the frame trigger that began the recording.
    detector: uint8 (n,), 0 for D1 and 1 for D2.
    Raises ParameterError if the arrays do not fit each other or the slots do not increase.
    """

    slot: NDArray[np.int64]
    detector: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.slot.shape != self.detector.shape or self.slot.ndim != 1 or self.slot.dtype != np.int64 or self.detector.dtype != np.uint8:
            raise ParameterError("events are int64 slots and uint8 detectors of one length", where="events")
        if self.slot.size and (self.detector.max() > 1 or (self.slot[1:] <= self.slot[:-1]).any()):
            raise ParameterError("slots increase strictly and detectors are 0 or 1", where="events")

    def __len__(self) -> int:
        return int(self.slot.size)

    @classmethod
    def checked(cls, slot: NDArray[np.int64], detector: NDArray[np.uint8]) -> Events:
        """Return events from arrays that are known to be right, as a kernel's outputs and parts of events are; nothing is looked at again."""
        events = object.__new__(cls)
        object.__setattr__(events, "slot", slot)
        object.__setattr__(events, "detector", detector)
        return events

    @classmethod
    def none(cls) -> Events:
        """Return no events."""
        return cls(np.empty(0, np.int64), np.empty(0, np.uint8))

    @classmethod
    def joined(cls, parts: Iterable[Events]) -> Events:
        """Return consecutive parts as one."""
        chunks = [part for part in parts if len(part)]
        if not chunks:
            return cls.none()
        return cls(np.concatenate([part.slot for part in chunks]), np.concatenate([part.detector for part in chunks]))

    def between(self, first_slot: int, end_slot: int) -> Events:
        """Return the events with first_slot <= slot < end_slot."""
        low, high = np.searchsorted(self.slot, (first_slot, end_slot))
        return Events.checked(self.slot[low:high], self.detector[low:high])


def difference(events: Events, pattern_slots: int) -> NDArray[np.int64]:
    """Return D1 minus D2 events (pattern_slots,) in each slot of the folded pattern."""
    sign = 1.0 - 2.0 * events.detector
    return np.rint(np.bincount(events.slot % pattern_slots, weights=sign, minlength=pattern_slots)).astype(np.int64)
