from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from heliograph.acquisition.alignment import arrival_histogram, find_phase
from heliograph.acquisition.live import BINS, Folded, Folding, centres_ps
from heliograph.acquisition.timetags import EventSelector, SlotTiming

FLAT = np.full(10_000, np.pi / 2)


def folded(light, cuts=(), engine="auto", gates=None) -> tuple[Folded, NDArray[np.int64]]:
    folding, into = Folding(SlotTiming(), engine=engine), Folded()
    folding.gates = gates or folding.gates
    return into, np.sum([folding.feed(batch.t_ps, batch.ch, into) for batch in light.cut(cuts)], axis=0)


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(500, 4000), max_size=4), ppm=st.sampled_from([-40.0, 0.0, 40.0]), low=st.integers(-5000, 9000))
def test_the_compiled_kernel_counts_what_the_plain_one_does(shine, seed, cuts, ppm, low):
    light = shine(seed, FLAT, 100_000, mu_t=0.02, ppm=ppm, sync_loss=0.05)
    gates = ((float(low), low + 2000.0), (3000.0, 5000.0))

    fast, slow = (folded(light, cuts, engine, gates) for engine in ("numba", "numpy"))

    assert np.array_equal(fast[0].histogram, slow[0].histogram)
    assert np.array_equal(fast[0].pairs, slow[0].pairs)
    assert np.array_equal(fast[1], slow[1])
    assert fast[1][1:4].sum() == light.t.size


def test_arrivals_are_folded_where_a_straight_clock_line_puts_them(shine):
    light = shine(3, FLAT, 400_000, mu_t=0.02, ppm=30.0)

    found, _ = folded(light)

    expected = arrival_histogram([light.batch()], SlotTiming(), BINS)
    assert found.histogram.sum() == expected.sum()
    assert np.abs(np.cumsum(found.histogram, axis=1) - np.cumsum(expected, axis=1)).max() < 0.03 * expected.sum()
    centres, phases = centres_ps(found.histogram, 10_000), find_phase([light.batch()], SlotTiming())
    assert centres == pytest.approx((phases.d1_ps, phases.d2_ps), abs=10.0)


def test_slots_clicked_by_both_detectors_are_those_that_selection_withdraws(shine):
    light = shine(5, FLAT, 400_000, mu_t=0.1, jitter_ps=50.0)
    phases = find_phase([light.batch()], SlotTiming())
    gates = tuple((centre - 1000.0, centre + 1000.0) for centre in phases.pair)

    found, _ = folded(light, gates=gates)

    selector = EventSelector(SlotTiming(), phases.pair)
    events = len(selector.feed(light.batch())) + len(selector.flush())
    assert found.pairs[0, 1] == found.pairs[1, 0] == pytest.approx(selector.report.doubles, abs=3)
    assert found.pairs[0, 0] + found.pairs[1, 1] - 2 * found.pairs[0, 1] == pytest.approx(events, abs=6)
    assert found.pairs[0, 1] > 100


def test_light_without_pulses_has_no_centre():
    assert centres_ps(np.ones((2, BINS), np.uint32), 10_000) is None
    assert centres_ps(np.zeros((2, BINS), np.uint32), 10_000) is None


def test_tags_without_sync_are_counted_by_channel(shine):
    light = shine(7, FLAT, 50_000, sync_loss=1.0)

    found, seen = folded(light)

    assert seen.sum() == light.t.size > 0
    assert not found.histogram.any()
