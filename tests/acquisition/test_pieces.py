"""Recordings with pauses between them: no slot is shifted, whatever is left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition.patterns import preamble
from heliograph.acquisition.pieces import Pieces
from heliograph.acquisition.timetags import Events, EventSelector, SlotTiming
from heliograph.instruments.roles import Gap, TagBatch

PHASES = (5900.0, 3700.0)


def empty(begin: int, end: int, gaps: tuple[Gap, ...] = ()) -> TagBatch:
    return TagBatch(0, np.empty(0, np.int64), np.empty(0, np.uint8), begin, end, gaps)


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)), min_size=1, max_size=8), st.integers(1, 3000), st.integers(1, 3000))
def test_every_recording_begins_on_a_frame_of_pattern_and_sync(pieces, slots, divider):
    timing = SlotTiming(pattern_slots=slots, sync_divider=divider)
    block, end, seq = Pieces(timing), 0, 0
    for length, more in pieces:
        placed = block.place(empty(0, length, (Gap(1, 2, "dead-time"),)))
        assert (placed.t_begin_ps, placed.seq) == (end, seq)
        assert placed.gaps == (Gap(end + 1, end + 2, "dead-time"),)
        filler = block.cut(empty(length, length + more) if more else None)
        if filler is None:
            assert placed.t_end_ps == block.end_ps
            end, seq = block.end_ps, seq + 1
            continue
        assert filler.t_begin_ps == placed.t_end_ps
        assert filler.t_end_ps % (timing.slot_ps * slots) == filler.t_end_ps % timing.sync_ps == 0
        assert 0 <= filler.t_end_ps - (placed.t_end_ps + more) < block.frame_ps
        end, seq = filler.t_end_ps, seq + 2
    assert block.slots == end // timing.slot_ps


def test_events_of_all_pieces_are_those_of_light_that_was_never_cut(shine):
    """Each recording starts afresh at time 0; joined, its events lie in the slots they would have had behind those of the others."""
    timing = SlotTiming()
    phase = preamble(10_000, "A").phases_rad
    block, selector, found, expected = Pieces(timing), EventSelector(timing, PHASES), [], []
    for seed, slots in ((1, 200_000), (2, 150_000), (3, 170_000)):
        light = shine(seed, phase, slots)
        recording = TagBatch(0, light.t, light.ch, 0, slots * 10_000)
        first_slot = block.slots
        found.append(selector.feed(block.place(recording)))
        if (filler := block.cut()) is not None:
            found.append(selector.feed(filler))
        alone = EventSelector(timing, PHASES)
        events = Events.joined([alone.feed(recording), alone.flush()])
        expected.append(Events(events.slot + first_slot, events.detector))
    found.append(selector.flush())

    joined, apart = Events.joined(found), Events.joined(expected)
    assert len(joined) == pytest.approx(len(apart), abs=3)
    both = np.isin(joined.slot, apart.slot)
    assert both.mean() > 0.999
    assert selector.report.slots_lost == 0


def test_what_was_withheld_is_filled_and_counts_as_sent():
    block = Pieces(SlotTiming())
    block.place(empty(0, 200_000_000_000))
    filler = block.cut(empty(200_000_040_000, 400_000_040_000))

    assert filler is not None
    assert filler.gaps == (Gap(200_000_000_000, 400_100_000_000, "suspended"),)
    assert block.slots == 40_010_000
