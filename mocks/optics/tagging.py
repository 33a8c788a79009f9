"""What a time tagger records: clicks behind cables and delays, sync edges, and the windows of a recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .detectors import Times

_EMPTY = np.empty(0, np.int64)


class Source(Protocol):
    """Pulses at one input, before its delay; asked for in order of time."""

    def take(self, until_ps: int) -> Times:
        """Return the sorted times (ps) before `until_ps` that were not returned yet."""
        ...


@dataclass(slots=True)
class SyncEdges:
    """The pattern clock divided: one edge every `period_ps`, from 0."""

    period_ps: int
    _next: int = 0

    def take(self, until_ps: int) -> Times:
        """Return the edges before `until_ps`."""
        edges = np.arange(self._next, max(until_ps, self._next), self.period_ps, dtype=np.int64)
        self._next += len(edges) * self.period_ps
        return edges


@dataclass(slots=True)
class Clicks:
    """Clicks of one detector, drawn chunk by chunk and handed out in pieces of any size.

    chunk_ps: length of a chunk.  draw: chunk number -> sorted click times (ps from the chunk's start) before dead time.
    keep: sorted times, horizon and chunk number -> times that survive the dead time.  latest_ps: by how much a click may lie outside its chunk.
    """

    chunk_ps: int
    draw: Callable[[int], Times]
    keep: Callable[[Times, int, int], Times]
    latest_ps: int = 20_000
    _chunk: int = 0
    _loose: Times = field(default_factory=lambda: _EMPTY)
    _ready: Times = field(default_factory=lambda: _EMPTY)

    def take(self, until_ps: int) -> Times:
        """Return the kept clicks before `until_ps` that were not returned yet."""
        parts = [self._ready]
        while self._chunk * self.chunk_ps - self.latest_ps < until_ps:
            parts.append(self._next_chunk())
        ready = np.concatenate(parts)
        cut = int(np.searchsorted(ready, until_ps))
        self._ready = ready[cut:]
        return ready[:cut]

    def _next_chunk(self) -> Times:
        begin = self._chunk * self.chunk_ps
        times = np.concatenate([self._loose, self.draw(self._chunk) + begin])
        if len(self._loose):
            times.sort()
        # The next chunk may still add clicks just before its own start, so the last few wait for it.
        horizon = begin + self.chunk_ps - self.latest_ps
        cut = int(np.searchsorted(times, horizon))
        self._loose = times[cut:].copy()
        kept = self.keep(times[:cut], horizon, self._chunk)
        self._chunk += 1
        return kept


def window(source: Source, begin_ps: int, end_ps: int, delay_ps: int) -> Times:
    """Return the stamps of one input in [begin_ps, end_ps), counted from begin_ps; what came before the window is lost.

    delay_ps: cable and set delay; pulses at t are stamped t + delay_ps.
    """
    stamped = source.take(end_ps - delay_ps) + delay_ps
    return stamped[int(np.searchsorted(stamped, begin_ps)) :] - begin_ps
