"""Light in pieces: recordings with pauses between them, placed one behind the other on the time of one block."""

from __future__ import annotations

from dataclasses import replace
from math import lcm
from typing import TYPE_CHECKING

import numpy as np

from .timetags import SlotTiming

if TYPE_CHECKING:
    from ..instruments.roles import TagBatch


class Pieces:
    """Places the batches of recordings, each of which begins on the frame trigger, so that patterns and sync tags go on as if nothing had been between.

    The block's time stands still in a pause, except for what is left until the next frame.  end_ps: where the block ends so far.
    cuts: recordings that were ended before the block was.
    """

    def __init__(self, timing: SlotTiming) -> None:
        # Every sync tag and element 0 of every pattern fall on such a time.
        self.frame_ps = lcm(timing.pattern_slots, timing.sync_divider) * timing.slot_ps
        self._slot_ps = timing.slot_ps
        self._base_ps = 0
        self._seq = 0
        self.end_ps, self.cuts = 0, 0

    @property
    def slots(self) -> int:
        """Return the slots of the block so far, in whole pulses of the users' own clock."""
        return round(self.end_ps / self._slot_ps)

    def place(self, batch: TagBatch) -> TagBatch:
        """Return a batch of the recording that goes on, in the block's time and numbering; an int64 of picoseconds lasts for 106 days."""
        gaps = tuple(replace(gap, t0_ps=gap.t0_ps + self._base_ps, t1_ps=gap.t1_ps + self._base_ps) for gap in batch.gaps)
        placed = replace(
            batch,
            seq=self._seq,
            t_ps=batch.t_ps + self._base_ps if self._base_ps else batch.t_ps,
            t_begin_ps=batch.t_begin_ps + self._base_ps,
            t_end_ps=batch.t_end_ps + self._base_ps,
            gaps=gaps,
        )
        self._seq, self.end_ps = self._seq + 1, placed.t_end_ps
        return placed

    def cut(self, withheld: TagBatch | None = None) -> TagBatch | None:
        """End the recording; return the batch without tags that fills the block up to the next frame, where the next recording will begin, if any is needed.

        withheld: a last batch of the recording, during which the users may have stopped: it is filled, too.
        """
        from ..instruments.roles import Gap, TagBatch

        begin = self.end_ps
        until = begin if withheld is None else withheld.t_end_ps + self._base_ps
        self._base_ps = self.end_ps = -(-until // self.frame_ps) * self.frame_ps
        self.cuts += 1
        if self.end_ps == begin:
            return None
        self._seq += 1
        return TagBatch(self._seq - 1, np.empty(0, np.int64), np.empty(0, np.uint8), begin, self.end_ps, (Gap(begin, self.end_ps, "suspended"),))
