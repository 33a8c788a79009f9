"""Avalanche diodes: how efficiency, darkness and temperature go, and what the world makes of detectors that differ."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from heliograph.mocks.layout import Layout
from heliograph.mocks.optics.avalanche import AMBIENT_DEGC, BREAKDOWN_V, NOMINAL_BIAS_V, NOMINAL_DEGC, Diode
from heliograph.mocks.world import World

from .conftest import plain_bench

COLD = Diode(NOMINAL_BIAS_V, cooled=True, start_degc=NOMINAL_DEGC)


def world(**sim: Any) -> World:
    found = World(Layout.of(plain_bench(**sim)))
    for detector in (0, 1):
        found.set_diode(detector, COLD)
    return found


def clicks(found: World, seconds: float, name: str = "D1") -> np.ndarray:
    return found.start_recording()[name].take(round(seconds * 1e12))


def test_the_efficiency_is_a_sigmoid_of_the_bias_above_breakdown():
    factors = [Diode(volts, cooled=True, start_degc=NOMINAL_DEGC).response(0) for volts in (0.0, 40.0, BREAKDOWN_V, 56.0, 57.0, 58.0, 60.0, 65.0)]

    assert factors[:3] == [0.0, 0.0, 0.0]
    assert all(low < high for low, high in pairwise(factors[2:]))
    assert factors[4] == pytest.approx(0.5, abs=0.01)
    assert factors[6] == pytest.approx(1.0)
    assert factors[7] < 1.01


def test_a_diode_gets_cold_with_bench_time_and_warm_again():
    warm = Diode(NOMINAL_BIAS_V)
    cooling = warm.held(0, cooled=True)
    after = cooling.held(round(2e12), cooled=False)

    assert warm.degc(10**14) == AMBIENT_DEGC
    assert [cooling.degc(round(t * 1e12)) for t in (0, 2, 20)] == pytest.approx([20.0, -20.0 + 40.0 / np.e, -20.0], abs=0.01)
    assert after.degc(round(2e12)) == pytest.approx(cooling.degc(round(2e12)))
    assert after.degc(round(30e12)) == pytest.approx(AMBIENT_DEGC, abs=0.01)


def test_a_warm_diode_is_less_efficient_and_darker():
    warm = Diode(NOMINAL_BIAS_V)

    assert COLD.darkness(0) == pytest.approx(1.0)
    assert 0.8 < warm.response(0) < 1.0
    assert warm.darkness(0) == pytest.approx(warm.response(0) * 2.0 ** (40.0 / 9.0))


def test_a_threshold_above_its_pulses_sees_nothing():
    assert Diode(NOMINAL_BIAS_V, triggers=False, cooled=True, start_degc=NOMINAL_DEGC).response(0) == 0.0


def test_darks_of_the_world_follow_bias_and_temperature_while_time_passes():
    found = world()
    found.set_diode(0, Diode(NOMINAL_BIAS_V).held(0, cooled=True))
    early, late = clicks(found, 0.5), clicks(found, 12.0)
    found.set_diode(1, Diode(50.0, cooled=True, start_degc=NOMINAL_DEGC))

    assert len(early) > 10 * 25
    assert (late > round(10e12)).sum() == pytest.approx(100, abs=50)
    assert len(clicks(found, 2.0, "D2")) == 0


def test_each_detector_has_a_dead_time_of_its_own():
    found = world(detectors={"D1": {"dead_time_s": 10e-6, "afterpulse": 0.0}, "D2": {"dead_time_s": 1e-6, "afterpulse": 0.0}})
    for detector in (0, 1):
        found.set_diode(detector, Diode(70.0, cooled=True, target_degc=60.0, start_degc=60.0))
    tags = [clicks(found, 1.0, name) for name in ("D1", "D2")]

    assert np.diff(tags[0]).min() >= 10_000_000
    assert 1_000_000 <= np.diff(tags[1]).min() < 2_000_000
    # A non-paralysable dead time saturates: r / (1 + r d), with r that of D2 before its own.
    rate_hz = len(tags[1]) / (1.0 - len(tags[1]) * 1e-6)
    assert len(tags[0]) == pytest.approx(rate_hz / (1.0 + rate_hz * 10e-6), rel=0.02)


def test_afterpulses_follow_clicks_as_often_as_the_station_says_and_by_default_in_one_of_a_hundred():
    said = world(detectors={"D1": {"afterpulse": 0.2, "afterpulse_tau_s": 50e-9, "dead_time_s": 100e-9}})
    for detector in (0, 1):
        said.set_diode(detector, Diode(NOMINAL_BIAS_V, cooled=True, target_degc=60.0, start_degc=60.0))
    recorded = said.start_recording()
    after = []
    for name in ("D1", "D2"):
        steps = np.diff(recorded[name].take(round(3e12)))
        after.append((steps < 1_000_000).sum() / len(steps))

    assert after[0] == pytest.approx(0.2, abs=0.02)
    assert after[1] == pytest.approx(0.01, abs=0.008)


def test_counts_and_tags_of_a_diode_tell_the_same_rate():
    found = world()
    found.set_diode(0, Diode(NOMINAL_BIAS_V, cooled=True, target_degc=60.0, start_degc=60.0))
    counted = found.counts(found.next_epoch("counts"), 0, 4.0)[0]

    assert len(clicks(found, 4.0)) == pytest.approx(counted, abs=5 * np.sqrt(2 * counted))


def test_a_nanowire_stays_as_it_is_without_a_diode():
    assert Layout.of(plain_bench()).detectors[0].dead_time_ps is None
    found = World(Layout.of(plain_bench()))
    found.set_bias(0, 18e-6)
    found.set_detectors_enabled(True)
    assert len(clicks(found, 2.0)) == pytest.approx(100, abs=50)


def test_each_detector_has_a_jitter_of_its_own():
    found = world(detectors={"D2": {"jitter_s": 400e-12, "afterpulse": 0.0}})

    assert [found.layout.detectors[k].on(found.layout.site, 0.0).jitter_ps for k in (0, 1)] == [100.0, 400.0]
