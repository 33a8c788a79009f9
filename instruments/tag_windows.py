"""A stream of tags cut into batches: every batch says which time it covers, and every time from which nothing is known is a gap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .roles import Gap, TagBatch

Times = NDArray[np.int64]
Channels = NDArray[np.uint8]
FRAME = "frame"
"""Name, in a tagger's `map`, of the input that gets the frame trigger: there a recording begins."""


class TagWindows:
    """Collects tags until a window is complete.

    width_ps: of a window.  channels: tagger channels by name; tags of others are dropped.
    origin_ps: time of the stream at which the recording begins. Where it is None, the first tag of the channel `frame` begins it, and without such a channel
    the first tag of all.  What was before is dropped.
    """

    def __init__(self, width_ps: int, channels: Mapping[str, int], *, origin_ps: int | None = None) -> None:
        self._width_ps = width_ps
        self._wanted = np.zeros(256, bool)
        self._wanted[list(channels.values())] = True
        self._frame = channels.get(FRAME)
        self._origin_ps = origin_ps
        self._held: list[tuple[Times, Channels]] = []
        self._gaps: list[Gap] = []
        self._next = 0
        self._known_ps = 0

    @property
    def started(self) -> bool:
        """Say whether the recording has begun."""
        return self._origin_ps is not None

    @property
    def known_ps(self) -> int:
        """Return the time, from the recording's begin, before which everything has been told."""
        return self._known_ps

    def feed(self, t_ps: Times, channels: Channels, until_ps: int, gaps: Sequence[Gap] = ()) -> list[TagBatch]:
        """Take the next tags and return the batches that are complete now.

        t_ps, channels: (n,), in order of time, all later than those before.  until_ps: everything before this time of the stream has been told.
        gaps: in times of the stream, those that have ended.
        """
        wanted = self._wanted[channels]
        t_ps, channels = t_ps[wanted], channels[wanted]
        if self._origin_ps is None:
            first = self._first(channels)
            if first is None:
                return []
            self._origin_ps = int(t_ps[first])
        origin = self._origin_ps
        inside = int(np.searchsorted(t_ps, origin))
        if t_ps.size > inside:
            self._held.append((t_ps[inside:] - origin, channels[inside:]))
        self._gaps += [replace(gap, t0_ps=max(0, gap.t0_ps - origin), t1_ps=gap.t1_ps - origin) for gap in gaps if gap.t1_ps >= origin]
        self._known_ps = max(self._known_ps, until_ps - origin)
        return list(self._complete())

    def _first(self, channels: Channels) -> int | None:
        """Return the place of the tag with which the recording begins."""
        begins = np.flatnonzero(channels == self._frame) if self._frame is not None else np.arange(channels.size)
        return int(begins[0]) if begins.size else None

    def _complete(self) -> Iterable[TagBatch]:
        while self._known_ps >= (self._next + 1) * self._width_ps:
            yield self._cut()

    def close(self, reason: str) -> TagBatch:
        """Return the window that is not complete: from the last time that is known to its end it is a gap."""
        begin = self._next * self._width_ps
        self._gaps.append(Gap(max(begin, self._known_ps), begin + self._width_ps, reason))
        self._known_ps = begin + self._width_ps
        return self._cut()

    def _cut(self) -> TagBatch:
        begin, end = self._next * self._width_ps, (self._next + 1) * self._width_ps
        t_ps = np.concatenate([t for t, _ in self._held]) if self._held else np.empty(0, np.int64)
        channels = np.concatenate([c for _, c in self._held]) if self._held else np.empty(0, np.uint8)
        cut = int(np.searchsorted(t_ps, end))
        self._held = [(t_ps[cut:], channels[cut:])] if cut < t_ps.size else []
        batch = TagBatch(self._next, t_ps[:cut], channels[:cut], begin, end, self._gaps_until(end))
        self._next += 1
        return batch

    def _gaps_until(self, end: int) -> tuple[Gap, ...]:
        """Take the gaps, or the parts of them, before a time; the last part of a gap has the number that was missed."""
        ready = [gap for gap in self._gaps if gap.t0_ps < end]
        longer = [gap for gap in ready if gap.t1_ps > end]
        self._gaps = [replace(gap, t0_ps=end) for gap in longer] + [gap for gap in self._gaps if gap.t0_ps >= end]
        return tuple(Gap(gap.t0_ps, end, gap.reason) if gap.t1_ps > end else gap for gap in ready)
