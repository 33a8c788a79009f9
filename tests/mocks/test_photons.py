from __future__ import annotations

import numpy as np
import pytest

from heliograph.core.physics import click_law
from heliograph.mocks.optics.light import SAMPLES, Carving
from heliograph.mocks.optics.photons import chunk_clicks, histogram, pulse_clicks

CARVING = Carving(np.full(4, 0.1), np.zeros(4), np.full(SAMPLES, 0.1), 5)


def test_positions_are_sorted_distinct_and_inside():
    found = pulse_clicks(np.array([0.5, 0.0, 2.0, 0.1]), 1000, np.random.default_rng(1))
    assert np.all(np.diff(found) > 0)
    assert found[0] >= 0
    assert found[-1] < 4000
    assert not np.any(found % 4 == 1)


@pytest.mark.parametrize("mean", [1e-3, 0.1, 1.0])
def test_a_slot_clicks_with_probability_one_minus_exp(mean):
    periods = 400_000
    found = len(pulse_clicks(np.array([mean]), periods, np.random.default_rng(3)))
    p = -np.expm1(-mean)
    assert abs(found - periods * p) < 5 * np.sqrt(periods * p * (1 - p))


def test_darks_are_uniform_in_time_and_drawn_once():
    times = chunk_clicks(np.zeros(4), 0.0, CARVING, 250_000, 10_000, (100.0, 1e-6), np.random.default_rng(4))
    assert len(times) == pytest.approx(10_000, abs=500)
    phases = np.histogram(times % 10_000, bins=10)[0]
    assert np.all(np.abs(phases - 1000) < 5 * np.sqrt(1000))


def test_pulses_come_at_the_middle_of_the_slot_with_gaussian_jitter():
    times = chunk_clicks(np.full(4, 0.05), 0.0, CARVING, 100_000, 10_000, (100.0, 0.0), np.random.default_rng(5))
    within = times % 10_000 - 5000
    assert abs(within.mean()) < 5 * 100 / np.sqrt(len(times))
    assert within.std() == pytest.approx(100.0, rel=0.05)


def test_light_between_the_pulses_follows_its_profile():
    profile = np.zeros(SAMPLES)
    profile[[2, 8]] = 0.25, 0.75
    carving = Carving(np.zeros(4), np.zeros(4), profile, 5)
    times = chunk_clicks(np.zeros(4), 0.01, carving, 100_000, 10_000, (0.0, 0.0), np.random.default_rng(6))
    samples, counts = np.unique(times % 10_000, return_counts=True)
    assert samples.tolist() == [2000, 8000]
    assert counts.sum() == pytest.approx(4000, abs=5 * 64)
    assert counts[1] / counts.sum() == pytest.approx(0.75, abs=0.05)


def test_a_histogram_is_one_multinomial_a_slot():
    means = np.array([[2e-3, 1e-5], [3e-5, 2.5e-3]])
    found = histogram(means, (1e-7, 1e-7), 2_000_000, np.random.default_rng(7))
    law = click_law(means[0], means[1], (1e-7, 1e-7))
    expected = 2_000_000 * np.stack([law.only_d1, law.only_d2, law.both], axis=1)
    assert np.all(np.abs(found - expected) < 5 * np.sqrt(expected) + 1)
