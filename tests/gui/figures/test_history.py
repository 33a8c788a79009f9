"""What the strips keep: ten minutes, no pause drawn over, the envelope exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.gui.figures.history import COLUMNS, MOST, History, envelope

NAMES = ("D1", "D2")


def history(clock=lambda: 0.0):
    return History(clock=clock)


def feed(made, values, run="r", source="live", period_s=0.1, begin_s=0.0):
    for at, value in enumerate(values):
        made.add(run, source, begin_s + at * period_s, NAMES, np.array([value, -value], float))


@pytest.mark.parametrize(
    "values, columns, drawn",
    [([0, 1, 2, 3, 9, -5, 6, 7], 4, [0, 1, 2, 3, 9, -5, 6, 7]), ([5, 1, 4, 8, 2, 2, 7, 0], 2, [1, 8, 7, 0]), ([2, 1, 3], 2, [2, 1, 3, 3])],
)
def test_extremes_are_drawn_in_order_of_occurrence(values, columns, drawn):
    size = -(-len(values) // columns)

    t, y = envelope(np.arange(len(values), dtype=float), np.array([values, np.negative(values)], float).T, size)

    assert y[:, 0].tolist() == drawn
    assert y[:, 1].tolist() == np.negative(drawn).tolist()
    assert t.tolist() == [at for begin in range(0, len(values), size) for at in (begin, min(begin + size, len(values)) - 1)]


def test_the_strip_draws_extremes_in_order_of_occurrence_after_old_samples_are_gone():
    made = history()
    feed(made, [*range(MOST + 5), 3, -2])

    x, y = made.curves()

    assert np.all(np.diff(x) >= 0.0)
    assert y[0, 0] == made._y[made._first, 0]
    assert y[-2:, 0].tolist() == [MOST + 4, -2.0]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=2000))
def test_what_is_drawn_has_the_extremes_of_what_was_measured(values):
    made = history()

    feed(made, values)

    x, y = made.curves()
    assert y[:, 0].max() == max(values)
    assert y[:, 0].min() == min(values)
    assert x[-1] == 0.0
    assert len(x) == len(y) <= 2 * COLUMNS + 2


def test_ten_minutes_at_ten_hertz_are_kept_and_no_more():
    made = history()

    feed(made, range(3 * MOST))

    x, y = made.curves()
    assert 599.0 <= made.seconds() <= 600.0
    assert y[-1, 0] == 3 * MOST - 1
    assert x[0] >= -600.0


def test_the_blocks_of_the_envelope_do_not_move_when_one_sample_comes():
    made = history()
    feed(made, np.arange(3050) % 7)
    before = made.curves()[1][:-2]

    made.add("r", "live", 305.0, NAMES, np.array([3.0, -3.0]))

    assert np.array_equal(made.curves()[1][: len(before)], before)


def test_between_two_runs_nothing_is_drawn():
    now = [0.0]
    made = history(lambda: now[0])
    feed(made, [1, 2, 3])
    now[0] = 30.0

    feed(made, [4, 5], run="s")

    x, y = made.curves()
    assert np.isnan(y[3]).all()
    assert list(y[:, 0][~np.isnan(y[:, 0])]) == [1, 2, 3, 4, 5]
    assert x[4] - x[2] > 25.0


def test_a_pause_is_still_seen_where_many_samples_are_drawn_as_one():
    now = [0.0]
    made = history(lambda: now[0])
    feed(made, range(2000))
    now[0] = 260.0

    feed(made, range(2000), run="s")

    assert np.isnan(made.curves()[1][:, 0]).any()


def test_a_replay_that_jumps_back_begins_anew():
    made = history()
    feed(made, [1, 2, 3], source="replay", begin_s=5.0)

    feed(made, [9], source="replay", begin_s=1.0)

    assert made.curves()[1].tolist() == [[9.0, -9.0]]


def test_the_same_moment_twice_counts_once():
    made = history()
    feed(made, [1, 2])

    made.add("r", "live", 0.1, NAMES, np.array([2.0, -2.0]))

    assert len(made.curves()[0]) == 2


def test_the_range_of_the_last_minute_leaves_out_what_is_older_and_unknown():
    made = history()
    feed(made, [100.0] + [1.0, 2.0, float("nan")] * 300)

    assert made.range_of(0, 60.0) == (1.0, 2.0)
    assert made.range_of(0, 600.0) == (1.0, 100.0)
    assert history().range_of(0, 60.0) is None
