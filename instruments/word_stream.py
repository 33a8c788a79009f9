"""One recording of a TDC1: words taken from the line, roll-overs counted, batches cut."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping

import numpy as np

from ..core.errors import DataLoss, StreamMismatch, Timeout
from .roles import Gap, TagBatch
from .s_fifteen import SFifteenTDC
from .tag_windows import FRAME, TagWindows
from .wire import tdc1

PATIENCE_S = 5.0
_LOOK_S = 0.05
_RHYTHM_PS, _ENOUGH = 12_500_000_000, 100
"""Longest time between two words, until so many of them have told it; housekeeping words are closer."""
_MARGIN_MS = 100
"""By how much longer the device records where the recording begins with a tag of the frame trigger."""


class WordBatches:
    """Turns the bytes of a stream into batches, any pieces giving the same ones.

    width_ps: of a batch.  channels: of the tagger, by name. With a channel `frame` the recording begins at its first tag, else with the stream.
    """

    def __init__(self, width_ps: int, channels: Mapping[str, int]) -> None:
        self._words = tdc1.WordDecoder()
        self._silent_s, self._rhythm_ps = 0.0, _RHYTHM_PS
        self.windows = TagWindows(width_ps, channels, origin_ps=None if FRAME in channels else 0)

    def feed(self, piece: bytes, silent_s: float = 0.0) -> list[TagBatch]:
        """Return the batches that a piece completes.

        silent_s: how long nothing had come before it. Longer than a roll-over it is a gap, and the times behind it may be wrong by whole roll-overs. Where the
        words go on as they came before, the line was slow and the device not silent: that is none.
        Raises NotMonotonic.
        """
        before_ps, self._silent_s = self._words.time_ps, max(self._silent_s, silent_s)
        t_ps, inputs = self._words.feed(piece)
        if t_ps.size == 0:
            return []
        silent = self._silent_s > tdc1.ROLL_OVER_S and t_ps[0] - before_ps > 2 * self._rhythm_ps
        gaps = (Gap(before_ps, int(t_ps[0]), "silence"),) if silent else ()
        self._silent_s = 0.0
        self._rhythm_ps = int(np.diff(t_ps).max()) if t_ps.size > _ENOUGH else _RHYTHM_PS
        return self.windows.feed(*tdc1.tags(t_ps, inputs), int(t_ps[-1]), gaps)


class WordRecording:
    """A recording in progress.

    driver: nothing else may speak to it meanwhile.  level_v: threshold.  channels: by name.  count: batches, None for endless.  where: for messages.
    `abandon` may be called from any thread; whoever reads is told by StreamMismatch.
    """

    def __init__(self, driver: SFifteenTDC, level_v: float, channels: Mapping[str, int], width_ps: int, count: int | None, *, where: str) -> None:
        self._driver, self._count, self._where = driver, count, where
        self._batches = WordBatches(width_ps, channels)
        self._ready: deque[TagBatch] = deque()
        self._read = 0
        self._silent_s = 0.0
        self._lock = threading.Lock()
        self._running = True
        driver.begin_stream(level_v, _time_ms(width_ps, count, margin=FRAME in channels))

    @property
    def complete(self) -> bool:
        """Say whether every batch of a finite recording has been read."""
        return self._count is not None and self._read >= self._count

    def batches(self) -> Iterator[TagBatch]:
        """Return the batches of a finite recording."""
        while not self.complete:
            yield self.read()

    def read(self, budget_s: float = PATIENCE_S) -> TagBatch:
        """Return the next batch; raises Timeout if nothing comes for the budget, NotMonotonic, StreamMismatch if the recording was ended meanwhile.

        If nothing comes any more of the last batch of a finite recording, the device has recorded its time: what was not told of that batch is a gap.
        """
        deadline = time.monotonic() + budget_s
        while not self._ready:
            if not self._batches.windows.started and time.monotonic() > deadline:
                raise Timeout("the frame trigger does not come", where=self._where, remedy="Check its cable, or take `frame` out of the map.")
            try:
                self._ready += self._batches.feed(*self._piece())
            except DataLoss as error:
                error.where = error.where or self._where
                raise
            if not self._ready and self._silent_s > budget_s:
                if self._count is None or self._read < self._count - 1 or not self._batches.windows.started:
                    raise Timeout("no words come", where=self._where, remedy="Check that the device is recording.")
                self._ready.append(self._batches.windows.close("silence"))
        self._read += 1
        return self._ready.popleft()

    def _piece(self) -> tuple[bytes, float]:
        """Return what came, and how long nothing had come before."""
        with self._lock:
            if not self._running:
                raise StreamMismatch(f"the recording was ended after {self._read} batches", remedy="Measure again.")
            began = time.monotonic()
            piece = self._driver.stream(_LOOK_S)
        silent_s = self._silent_s
        self._silent_s = 0.0 if piece else silent_s + time.monotonic() - began
        return piece, silent_s

    def abandon(self) -> None:
        """End the recording; a second call does nothing. Raises an InstrumentError."""
        with self._lock:
            if self._running:
                self._running = False
                self._driver.halt()


def _time_ms(width_ps: int, count: int | None, *, margin: bool) -> int:
    """Return for how long the device is told to stream; 0, endlessly, if it cannot be told."""
    if count is None:
        return 0
    time_ms = -(-count * width_ps // 10**9) + (_MARGIN_MS if margin else 0)
    return time_ms if time_ms <= tdc1.MAX_TIME_MS else 0
