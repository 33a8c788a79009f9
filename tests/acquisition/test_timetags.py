from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.acquisition.timetags import Engine, Events, EventSelector, SlotTiming, select_by_line
from heliograph.core.errors import ConfigError, ParameterError, SyncError, TagStreamError
from heliograph.instruments.roles import Gap, TagBatch
from heliograph.instruments.station import Station, default_text

from .conftest import Light

PHASES = (5900.0, 3700.0)
FLAT = np.zeros(10_000)


def run(batches: Iterable[TagBatch], timing: SlotTiming, engine: Engine = "auto", phases: tuple[float, float] = PHASES) -> tuple[Events, EventSelector]:
    selector = EventSelector(timing, phases, engine=engine)
    events = Events.joined([*(selector.feed(batch) for batch in batches), selector.flush()])
    return events, selector


def same(a: Events, b: Events) -> bool:
    return np.array_equal(a.slot, b.slot) and np.array_equal(a.detector, b.detector)


def by_hand(clicks: list[tuple[int, int]], *, sync: Iterable[int] = range(80), seq: int = 0) -> TagBatch:
    """Return a batch of clicks (ps, channel) and sync tags (numbers)."""
    tags = sorted([(number * 10_000_000, 3) for number in sync] + clicks)
    return TagBatch(seq, np.array([t for t, _ in tags], np.int64), np.array([ch for _, ch in tags], np.uint8), 0, 10**9)


def test_each_click_lands_in_its_slot_and_detector(timing):
    batch = by_hand([(7 * 10_000 + 5900, 1), (1_000 * 10_000 + 3700, 2), (79_999 * 10_000 + 5000, 1)])

    events, _ = run([batch], timing)

    assert events.slot.tolist() == [7, 1000, 79_999]
    assert events.detector.tolist() == [0, 1, 0]


def test_clicks_before_the_first_sync_tag_are_counted_from_the_recording_start(timing):
    batch = by_hand([(2_500 * 10_000 + 5900, 1)], sync=range(4, 80))

    events, _ = run([batch], timing)

    assert events.slot.tolist() == [2500]


@pytest.mark.parametrize("ppm", [-40, 0, 40])
def test_the_slots_sent_are_counted_by_the_sync_also_where_the_taggers_clock_is_off(timing, shine, ppm):
    light = shine(7, FLAT, 200_000, ppm=ppm, delays_ps=(0.0, 0.0))
    end = round(light.slots * 10_000 * (1 + ppm * 1e-6))

    _, selector = run([TagBatch(0, light.t, light.ch, 0, end)], timing, phases=(5000.0, 5000.0))

    assert selector.slots == light.slots


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_only_clicks_inside_the_gate_count(timing, engine):
    centre = 5900
    batch = by_hand([(slot * 10_000 + centre + stray, 1) for slot, stray in ((3, -1001), (5, -999), (7, 0), (9, 999), (11, 1001))])

    events, selector = run([batch], timing, engine)

    assert events.slot.tolist() == [5, 7, 9]
    assert selector.report.outside == 2


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_a_slot_with_two_clicks_is_withdrawn_whoever_clicked(timing, engine):
    clicks = [
        (10 * 10_000 + 5900, 1),
        (10 * 10_000 + 3700, 2),
        (12 * 10_000 + 5900, 1),
        (20 * 10_000 + 5500, 1),
        (20 * 10_000 + 5900, 1),
        (20 * 10_000 + 6100, 1),
    ]

    events, selector = run([by_hand(clicks)], timing, engine)

    assert events.slot.tolist() == [12]
    assert selector.report.doubles == 2


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_a_slot_clicked_in_three_batches_is_withdrawn_once(timing, engine):
    click = 79_500 * 10_000
    whole = by_hand([(79_400 * 10_000 + 5900, 1), (click + 3700, 2), (click + 5900, 1), (click + 6100, 1), (click + 6300, 1)])
    batches = Light(whole.t_ps, whole.ch, 80_000).cut([whole.t_ps.size - back for back in (3, 2, 1)])

    events, selector = run(batches, timing, engine)

    assert events.slot.tolist() == [79_400]
    assert selector.report.doubles == 1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 40_000), max_size=12), engine=st.sampled_from(["numba", "numpy"]))
def test_any_chunking_gives_the_events_of_one_shot(shine, seed, cuts, engine):
    light = shine(seed, FLAT, 200_000, mu_t=0.05, sync_loss=0.02)
    timing = SlotTiming()

    whole, one = run([light.batch()], timing)
    parts, many = run(light.cut([cut % light.t.size for cut in cuts]), timing, engine)

    assert same(whole, parts)
    assert one.report == many.report
    assert len(whole) > 100


@st.composite
def rough_tags(draw: st.DrawFn) -> TagBatch:
    """A short recording with everything in it: missing and stray sync, crowded slots, clicks around the gate's borders and behind, a channel nobody uses."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    number = np.flatnonzero(rng.random(600) >= draw(st.sampled_from([0.0, 0.05, 0.4])))
    number = number[(number < 100) | (number >= 100 + draw(st.sampled_from([0, 15, 40])))]
    stray = (rng.random(number.size) < draw(st.sampled_from([0.0, 0.02]))) * rng.integers(-4_000_000, 4_000_000, number.size)
    sync = number * 10_000_000 + rng.integers(-20, 21, number.size) + stray
    slot = rng.integers(0, 600_000, 20_000) // draw(st.sampled_from([1, 30])) + draw(st.integers(0, 500_000))
    role = rng.integers(0, 2, slot.size)
    click = slot * 10_000 + np.array([5900, 3700])[role] + np.rint(rng.normal(0, 500, slot.size)).astype(np.int64)
    idle = rng.integers(0, 6_000_000_000, 50)
    t = np.concatenate((sync, click, idle))
    ch = np.concatenate((np.full(sync.size, 3), role + 1, np.full(idle.size, 9))).astype(np.uint8)
    t, ch = t[t >= 0], ch[t >= 0]
    order = np.argsort(t, kind="stable")
    return TagBatch(0, t[order], ch[order], 0, 20_000_000_000)


@settings(max_examples=60, deadline=None)
@given(batch=rough_tags(), cuts=st.lists(st.integers(0, 21_000), max_size=6))
def test_both_engines_select_the_same_events_whatever_comes(batch, cuts):
    light = Light(batch.t_ps, batch.ch, 2_000_000)
    parts = light.cut([cut % light.t.size for cut in cuts])
    engines: tuple[Engine, ...] = ("numba", "numpy")
    outcomes: list[object] = []
    for engine, batches in product(engines, ([light.batch()], parts)):
        try:
            events, selector = run(batches, SlotTiming(), engine)
            outcomes.append((events.slot.tolist(), events.detector.tolist(), selector.report))
        except SyncError as error:
            # A stray tag right behind a long hole takes the clock with it.
            outcomes.append(str(error))

    assert outcomes.count(outcomes[0]) == len(outcomes)


@pytest.mark.parametrize("ppm", [-10.0, 0.0, 10.0])
def test_loop_and_least_squares_select_the_same_events(shine, timing, ppm):
    recording = shine(5, FLAT, 3_000_000, mu_t=0.02, ppm=ppm, sync_loss=0.01)

    by_loop, selector = run([recording.batch()], timing)
    by_line = select_by_line([recording.batch()], timing, PHASES)

    different = np.setxor1d(by_loop.slot * 2 + by_loop.detector, by_line.slot * 2 + by_line.detector).size
    assert len(by_line) > 50_000
    assert different <= 1e-5 * len(by_line)
    assert selector.report.sync_lost > 0


def test_an_overflow_loses_its_slots_and_never_shifts_later_ones(shine, timing):
    recording = shine(6, FLAT, 2_000_000, ppm=7.0)
    begin, end = 4_000_000_000, 9_000_000_000
    whole, _ = run([recording.batch()], timing)

    holed, selector = run([recording.without(begin, end)], timing)

    inside = (whole.slot >= begin // 10_000 - 1) & (whole.slot <= end // 10_000 + 1)
    assert np.array_equal(holed.slot[holed.slot > end // 10_000 + 1], whole.slot[whole.slot > end // 10_000 + 1])
    assert len(holed) >= len(whole) - inside.sum()
    assert selector.report.slots_lost == 500_000
    assert selector.report.gaps == 1


def test_a_stray_sync_tag_is_ignored(shine, timing):
    recording = shine(7, FLAT, 1_000_000)
    stray = np.array([123_456_789, 5_000_123_456])
    t = np.concatenate((recording.t, stray))
    order = np.argsort(t, kind="stable")
    batch = TagBatch(0, t[order], np.concatenate((recording.ch, [3, 3])).astype(np.uint8)[order], 0, 10**11)

    events, selector = run([batch], timing)

    assert same(events, run([recording.batch()], timing)[0])
    assert selector.report.sync_bad == 2


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_a_clock_that_jumps_raises_sync_error(timing, engine):
    jumped = [number * 10_000_000 + (3_000 if number > 100 else 0) for number in range(200)]
    batch = TagBatch(0, np.array(jumped, np.int64), np.full(200, 3, np.uint8), 0, 10**10)
    selector = EventSelector(timing, PHASES, engine=engine)

    with pytest.raises(SyncError):
        selector.feed(batch)


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_stray_sync_tags_that_good_ones_separate_are_ignored_however_many(timing, engine):
    good = [number * 10_000_000 for number in range(200)]
    t = np.array(sorted(good + [at + 4_000_000 for at in good[80::2]]), np.int64)

    _, selector = run([TagBatch(0, t, np.full(t.size, 3, np.uint8), 0, 10**10)], timing, engine)

    assert (selector.report.syncs, selector.report.sync_bad) == (200, 60)


@pytest.mark.parametrize("engine", ["numba", "numpy"])
def test_a_batch_with_tags_from_before_the_last_one_is_refused_and_changes_nothing(timing, engine):
    first = by_hand([(79_500 * 10_000 + 5900, 1)])
    second = TagBatch(7, first.t_ps[-1:] - 1, first.ch[-1:], first.t_end_ps, first.t_end_ps + 10)
    selector = EventSelector(timing, PHASES, engine=engine)
    selector.feed(first)

    with pytest.raises(TagStreamError, match="batch 7: tags are out of order"):
        selector.feed(second)

    assert selector.flush().slot.tolist() == [79_500]
    assert selector.report.clicks == 1


def test_without_sync_there_are_no_events_but_an_error(timing):
    selector = EventSelector(timing, PHASES)
    selector.feed(by_hand([(5900, 1)], sync=()))

    with pytest.raises(SyncError, match="no sync tag"):
        selector.flush()


def test_tags_out_of_order_are_refused_and_nothing_is_taken(shine, timing):
    recording = shine(8, FLAT, 500_000)
    first, second = recording.cut([recording.t.size // 2])
    selector = EventSelector(timing, PHASES)
    before = selector.feed(first)
    damaged = TagBatch(second.seq, second.t_ps[::-1], second.ch[::-1], second.t_begin_ps, second.t_end_ps)

    with pytest.raises(TagStreamError):
        selector.feed(damaged)
    with pytest.raises(TagStreamError):
        selector.feed(first)

    events = Events.joined((before, selector.feed(second), selector.flush()))
    assert same(events, run([recording.batch()], timing)[0])


def test_slots_of_the_dead_time_between_sub_acquisitions_are_counted_as_lost(timing):
    batch = TagBatch(0, np.arange(100, dtype=np.int64) * 10_000_000, np.full(100, 3, np.uint8), 0, 10**9, (Gap(999_960_000, 10**9, "dead-time", None),))

    _, selector = run([batch], timing)

    assert selector.report.slots_lost == 4


def test_a_recording_without_tags_has_no_events(timing):
    events, selector = run([TagBatch(0, np.empty(0, np.int64), np.empty(0, np.uint8), 0, 10**11)], timing)

    assert len(events) == 0
    assert selector.report.clicks == 0


def test_timing_comes_from_the_station():
    text = default_text()

    assert SlotTiming.of(Station.parse(text, Path("demo.toml"))) == SlotTiming()
    with pytest.raises(ConfigError, match="D1, D2 and sync"):
        SlotTiming.of(Station.parse(text.replace(b"D2 = 2, ", b"E2 = 2, ").replace(b"inputs.D2", b"inputs.E2"), Path("demo.toml")))


def test_impossible_timing_is_refused(timing):
    with pytest.raises(ParameterError):
        SlotTiming(gate_ps=6000)
    with pytest.raises(ParameterError):
        SlotTiming(d1=2)
    with pytest.raises(ParameterError):
        EventSelector(timing, (0.0, 9000.0))
