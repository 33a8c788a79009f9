"""Spacing of clicks: the compiled kernel against the plain one, and dead time and afterpulses against clicks made with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition import _autocorrelation_numba, _autocorrelation_numpy
from heliograph.acquisition.autocorrelation import Autocorrelation
from heliograph.core.errors import CalibrationError, ParameterError

SPAN_S = 0.2


def clicks(seed: int, *, rate_hz: float, dead_ps: int, afterpulse: float = 0.0, tau_ps: float = 1e5) -> np.ndarray:
    """Return the clicks of SPAN_S, one after the other, by the words of the model: dead time, then what the last click caused."""
    rng = np.random.default_rng(seed)
    times: list[int] = []
    light, caused = rng.exponential(1e12 / rate_hz), np.inf
    while min(light, caused) < SPAN_S * 1e12:
        t = min(light, caused)
        if t == caused:
            caused = np.inf
        if t == light:
            light += rng.exponential(1e12 / rate_hz)
        if not times or t - times[-1] >= dead_ps:
            times.append(int(t))
            if rng.random() < afterpulse:
                caused = t + dead_ps + rng.exponential(tau_ps)
    return np.array(times, np.int64)


@given(
    gaps=st.lists(st.integers(0, 4000), max_size=60),
    bin_ps=st.integers(1, 900),
    bins=st.integers(2, 40),
)
def test_the_compiled_kernel_counts_what_the_plain_one_counts(gaps, bin_ps, bins):
    t = np.cumsum(np.array(gaps, np.int64))

    fast = _autocorrelation_numba.pair_histogram(t, bin_ps, bins)

    assert fast.tolist() == _autocorrelation_numpy.pair_histogram(t, bin_ps, bins).tolist()
    assert fast.sum() == sum(int(b - a) < bin_ps * bins for i, a in enumerate(t) for b in t[i + 1 :])


def test_pairs_of_any_order_are_counted_by_their_lag():
    found = Autocorrelation(1000, 10)
    found.feed(np.array([0, 2500, 2900, 9000, 100_000], np.int64), 1e-6)

    assert found.pairs.tolist() == [1, 0, 2, 0, 0, 0, 2, 0, 0, 1]


@pytest.mark.parametrize(("dead_ps", "afterpulse"), [(30_000, 0.0), (47_300, 0.06), (12_345, 0.02)])
def test_dead_time_and_afterpulses_are_those_the_clicks_were_made_with(dead_ps, afterpulse):
    found = Autocorrelation()
    for seed in range(4):
        found.feed(clicks(seed, rate_hz=3e5, dead_ps=dead_ps, afterpulse=afterpulse), SPAN_S)

    dead, caused = found.dead_time_s(), found.afterpulse(found.dead_time_s().value)

    assert abs(dead.value - dead_ps * 1e-12) < 4.0 * dead.sigma
    assert dead.sigma < 1e-9
    assert abs(caused.value - afterpulse) < 4.0 * caused.sigma
    assert caused.sigma < 2e-3


def test_one_stray_interval_does_not_pass_for_the_dead_time():
    t = clicks(1, rate_hz=3e5, dead_ps=30_000)
    found = Autocorrelation()
    found.feed(np.sort(np.append(t, t[100] + 500)), SPAN_S)

    assert found.dead_time_s().value == pytest.approx(30e-9, abs=1.5e-9)


def test_lags_beyond_the_dead_time_are_as_likely_as_chance():
    found = Autocorrelation(10_000, 1000)
    for seed in range(4):
        found.feed(clicks(seed, rate_hz=3e5, dead_ps=30_000), SPAN_S)

    g2 = found.normalised()

    assert (g2[:3] == 0.0).all()
    assert g2[10:].mean() == pytest.approx(1.0, abs=0.02)
    assert found.rate_hz == pytest.approx(3e5 / (1 + 3e5 * 30e-9), rel=0.01)


def test_what_cannot_be_evaluated_is_refused():
    with pytest.raises(ParameterError, match="bins"):
        Autocorrelation(0, 10)
    found = Autocorrelation()
    with pytest.raises(ParameterError, match="sorted"):
        found.feed(np.array([5, 3], np.int64), 1.0)
    with pytest.raises(CalibrationError, match="too few"):
        found.dead_time_s()
    with pytest.raises(CalibrationError, match="too few"):
        found.afterpulse(30e-9)
    with pytest.raises(ParameterError, match="reach"):
        found.afterpulse(30e-9, reach_s=9e-6)
