from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from heliograph.mocks.optics.detectors import DeadTime
from heliograph.mocks.optics.tagging import Clicks, SyncEdges, window

CHUNK = 1_000_000


def clicks() -> Clicks:
    def draw(chunk: int) -> np.ndarray:
        # Some fall outside their chunk, as jitter makes them.
        return np.sort(np.random.default_rng(chunk).integers(-300, CHUNK + 300, 50))

    dead = DeadTime(5000)
    return Clicks(CHUNK, draw, lambda t, _until, _chunk: dead.keep(t), latest_ps=1000)


@given(st.lists(st.integers(1, 3_000_000), max_size=8))
def test_pieces_of_any_size_give_the_same_clicks(lengths):
    whole = clicks().take(10 * CHUNK)
    source, until, parts = clicks(), 0, []
    for length in lengths:
        until = min(until + length, 10 * CHUNK)
        parts.append(source.take(until))
    parts.append(source.take(10 * CHUNK))

    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert np.all(np.diff(whole) >= 5000)


def test_sync_edges_come_every_period_from_zero():
    edges = SyncEdges(10)
    assert edges.take(25).tolist() == [0, 10, 20]
    assert edges.take(30).tolist() == []
    assert edges.take(31).tolist() == [30]


def test_a_window_holds_what_is_stamped_inside_it_and_loses_what_came_before():
    edges = SyncEdges(10)
    assert window(edges, 0, 20, 3).tolist() == [3, 13]
    assert window(edges, 25, 45, 3).tolist() == [8, 18]


def test_a_negative_delay_looks_ahead_and_drops_what_would_be_before_the_start():
    edges = SyncEdges(10)
    assert window(edges, 0, 20, -3).tolist() == [7, 17]
