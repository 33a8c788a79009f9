from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.acquisition.calibration import Fringe, fit_fringe
from heliograph.core.errors import CalibrationError, ParameterError


def scan(seed: int, *, v_pi: float = 2.5, visibility: float = 0.99, offset: float = 0.3, mean: float = 2e5, span: float = 5.5, points: int = 25) -> tuple:
    rng = np.random.default_rng(seed)
    volts = np.linspace(-span / 2, span / 2, points)
    swing = visibility * np.cos(np.pi * (volts - offset) / v_pi)
    rates = np.stack((mean * (1 + swing), 1.1 * mean * (1 - swing)), axis=1) + 50
    counted = rates / (1 + rates * 30e-9)
    return volts, rng.poisson(counted * 0.1)


def fit(volts: np.ndarray, counts: np.ndarray) -> Fringe:
    return fit_fringe(volts, counts, 0.1, gain=2.0, dead_time_s=30e-9, dark_hz=(50.0, 50.0))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), v_pi=st.floats(2.0, 3.0), visibility=st.floats(0.5, 1.0), offset=st.floats(-1.5, 1.5))
def test_half_wave_voltage_and_visibility_are_found_within_their_sigma(seed, v_pi, visibility, offset):
    fringe = fit(*scan(seed, v_pi=v_pi, visibility=visibility, offset=offset))

    assert abs(fringe.v_pi_v - 2.0 * v_pi) < 6 * fringe.v_pi_sigma_v
    assert abs(fringe.visibility - visibility) < 6 * fringe.visibility_sigma
    assert abs(fringe.offset_v - offset) < 6 * fringe.offset_sigma_v
    assert fringe.v_pi_sigma_v < 0.05
    assert fringe.mean_hz == pytest.approx((2e5, 2.2e5), rel=0.02)


def test_sigmas_cover_as_they_should():
    pulls = []
    for seed in range(200):
        fringe = fit(*scan(seed))
        pulls.append(((fringe.v_pi_v - 5.0) / fringe.v_pi_sigma_v, (fringe.visibility - 0.99) / fringe.visibility_sigma))

    assert np.std(pulls, axis=0) == pytest.approx(1.0, abs=0.2)
    assert np.mean(pulls, axis=0) == pytest.approx(0.0, abs=0.3)


def test_dead_time_is_taken_out():
    volts, counts = scan(1, mean=2e6)

    corrected = fit(volts, counts)
    raw = fit_fringe(volts, counts, 0.1, gain=2.0)

    assert abs(corrected.visibility - 0.99) < 5 * corrected.visibility_sigma
    assert raw.chi2 > 10 * corrected.chi2
    assert np.stack(corrected.rates_hz(volts), axis=1) == pytest.approx(counts / 0.1, rel=0.02, abs=2e3)


@pytest.mark.parametrize(
    ("volts", "counts"),
    [
        (np.linspace(-2, 2, 25), np.zeros((25, 2))),
        (np.linspace(-2, 2, 25), np.full((25, 2), 10_000)),
        scan(3, visibility=0.1),
        scan(3, v_pi=20.0),
    ],
)
def test_without_a_fringe_there_is_no_result(volts, counts):
    with pytest.raises(CalibrationError):
        fit(volts, counts)


def test_too_few_points_are_refused():
    with pytest.raises(ParameterError):
        fit_fringe([0, 1, 2], np.ones((3, 2)), 0.1)
