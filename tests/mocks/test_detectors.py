from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.physics import dead_time_rate
from heliograph.mocks.optics.detectors import Afterpulsing, DeadTime, bias_factor, click_rate


def plain_dead_time(times: list[int], dead: int) -> list[int]:
    kept: list[int] = []
    for t in times:
        if not kept or t - kept[-1] >= dead:
            kept.append(t)
    return kept


@pytest.mark.parametrize(
    ("times", "kept"),
    [
        ([0, 10, 20, 30, 40, 59, 60], [0, 30, 60]),
        ([0, 29, 58, 87], [0, 58]),
        ([5, 5, 5], [5]),
        ([0, 30, 60], [0, 30, 60]),
        ([], []),
    ],
)
def test_dead_time_is_not_prolonged_by_lost_clicks(times, kept):
    assert DeadTime(30).keep(np.array(times, np.int64)).tolist() == kept


@given(st.lists(st.integers(0, 400)), st.integers(0, 50), st.lists(st.integers(0, 400), max_size=5))
def test_dead_time_equals_the_plain_law_in_any_chunking(times, dead, cuts):
    times = sorted(times)
    law = DeadTime(dead)
    edges = [0, *sorted(min(c, len(times)) for c in cuts), len(times)]

    found = [t for a, b in itertools.pairwise(edges) for t in law.keep(np.array(times[a:b], np.int64)).tolist()]

    assert found == plain_dead_time(times, dead)


def test_dead_time_rate_golden_and_simulated():
    assert dead_time_rate(1e6, 30e-9) == pytest.approx(970_873.8, abs=0.05)
    times = np.sort(np.random.default_rng(1).integers(0, 10**12, 1_000_000))
    assert len(DeadTime(30_000).keep(times)) == pytest.approx(970_873.8, abs=5 * 970)


def test_every_kept_click_spawns_an_afterpulse_with_the_given_probability():
    clicks = np.arange(0, 10_000_000_000, 1_000_000)
    law = Afterpulsing(30_000, 0.05, 100_000.0)

    found = law.keep(clicks, 10_000_000_000, np.random.default_rng(2))

    # A geometric chain: 1 + p + p^2 ...; those lost behind the next click are negligible at these distances.
    assert len(found) == pytest.approx(len(clicks) / 0.95, abs=5 * np.sqrt(550))
    assert np.diff(found).min() >= 30_000


def test_afterpulses_wait_for_their_chunk():
    law = Afterpulsing(10, 1.0, 1e-9)
    first = law.keep(np.array([0]), 25, np.random.default_rng(0))
    second = law.keep(np.array([], np.int64), 45, np.random.default_rng(0))
    assert first.tolist() == [0, 10, 20]
    assert second.tolist() == [30, 40]


def test_efficiency_follows_the_bias():
    assert bias_factor(18e-6, 18e-6) == pytest.approx(1.0)
    assert bias_factor(0.0, 18e-6) == 0.0
    factors = [bias_factor(b * 1e-6, 18e-6) for b in (10, 13, 15, 16.2, 18, 20)]
    assert factors == sorted(factors)
    assert factors[3] == pytest.approx(0.930, abs=0.001)


@pytest.mark.parametrize(("rate_hz", "dead_s", "afterpulse"), [(1e6, 30e-9, 0.0), (3e5, 40e-9, 0.05), (2e6, 50e-9, 0.02), (1e5, 0.0, 0.1)])
def test_the_mean_click_rate_is_that_of_clicks_made_one_by_one(rate_hz, dead_s, afterpulse):
    generator = np.random.default_rng(4)
    span_ps = 10**12
    light = np.sort(generator.integers(0, span_ps, generator.poisson(rate_hz)))

    clicks = len(Afterpulsing(round(dead_s * 1e12), afterpulse, 1e5).keep(light, span_ps, generator))

    assert clicks == pytest.approx(click_rate(rate_hz, dead_s, afterpulse), rel=4.0 / np.sqrt(clicks) + 1e-3)
