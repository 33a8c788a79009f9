"""Events of a Swabian Time Tagger as batches: tags, and everything from which the device says that tags are missing as gaps."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import NotMonotonic
from .roles import Gap, TagBatch
from .tag_windows import TagWindows


class EventType(IntEnum):
    """What an entry of the stream is."""

    TAG = 0
    ERROR = 1
    OVERFLOW_BEGIN = 2
    OVERFLOW_END = 3
    MISSED = 4


class EventBatches:
    """Turns the buffers of a stream into batches, any cutting of the stream into buffers giving the same ones.

    width_ps: of a batch.  channels: of the tagger, by name. With a channel `frame` the recording begins at its first tag, else at the first tag of all.
    """

    def __init__(self, width_ps: int, channels: Mapping[str, int]) -> None:
        self.windows = TagWindows(width_ps, channels)
        self._last_ps: int | None = None
        self._overflow_ps: int | None = None
        self._missed = 0
        self._cut_ps: int | None = None

    def feed(self, t_ps: ArrayLike, channels: ArrayLike, types: ArrayLike, missed: ArrayLike) -> list[TagBatch]:
        """Return the batches that a buffer completes.

        t_ps: int64 (n,), not decreasing.  channels: int (n,); those of falling edges are negative.  types: see `EventType`.  missed: tags missed, at entries
        of type MISSED.  An overflow is one gap from its begin to its end, with the sum of what was missed in it. An error, and tags missed outside an overflow,
        are a gap back to the entry before.  Raises NotMonotonic.
        """
        times, kinds = np.asarray(t_ps, np.int64), np.asarray(types, np.int64)
        if times.size == 0:
            return []
        if (self._last_ps is not None and times[0] < self._last_ps) or bool((np.diff(times) < 0).any()):
            raise NotMonotonic("the times go back", remedy="Measure again.")
        gaps = [] if self._cut_ps is None else [Gap(self._cut_ps, int(times[0]), "buffer-full")]
        self._cut_ps = None
        gaps += self._gaps(times, kinds, np.asarray(missed, np.int64))
        self._last_ps = int(times[-1])
        tags = kinds == EventType.TAG
        numbers = np.abs(np.asarray(channels, np.int64)).astype(np.uint8)
        # What an overflow that goes on has cost is not known yet, so its batch waits.
        known = self._last_ps if self._overflow_ps is None else self._overflow_ps
        return self.windows.feed(times[tags], numbers[tags], known, gaps)

    def cut(self) -> None:
        """Say that a buffer was full: what came between it and the next one is not known."""
        self._cut_ps = self._last_ps

    def _gaps(self, times: NDArray[np.int64], kinds: NDArray[np.int64], missed: NDArray[np.int64]) -> list[Gap]:
        found = []
        for k in np.flatnonzero(kinds != EventType.TAG).tolist():
            now = int(times[k])
            before = int(times[k - 1]) if k else self._last_ps if self._last_ps is not None else now
            match EventType(int(kinds[k])):
                case EventType.OVERFLOW_BEGIN if self._overflow_ps is None:
                    self._overflow_ps, self._missed = now, 0
                case EventType.OVERFLOW_END if self._overflow_ps is not None:
                    found.append(Gap(self._overflow_ps, now, "overflow", self._missed))
                    self._overflow_ps = None
                case EventType.OVERFLOW_END:
                    found.append(Gap(before, now, "overflow"))
                case EventType.MISSED if self._overflow_ps is not None:
                    self._missed += int(missed[k])
                case EventType.MISSED:
                    found.append(Gap(before, now, "missed", int(missed[k])))
                case EventType.ERROR:
                    found.append(Gap(before, now, "device-error"))
        return found
