from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.physics import modulator_transmission, photons_per_pulse
from heliograph.mocks.optics.light import DARK, SAMPLES, Carver, Drive, carve, user_photons

CARVER = Carver(5.0, 2.0, 30.0)


def pulse(bias_v: float = 0.0) -> Drive:
    volts = np.zeros(SAMPLES)
    volts[5] = 2.5
    return Drive(volts + bias_v, 1e8, True)


def test_mean_photon_number_goldens():
    assert photons_per_pulse(2.178514e-13, 1550.12e-9, 1e8) == pytest.approx(0.017, rel=1e-6)
    # 10 mW, a tenth carved out, 60 dB fixed, half at the beam splitter: what the input attenuator must take to leave 0.017.
    needed_db = 10 * np.log10(10e-3 * 0.1 * 1e-6 / 2 / 2.178514e-13)
    assert user_photons(10e-3, np.array(0.1), 60.0 + needed_db, 1550.12e-9, 1e8) == pytest.approx(0.017, rel=1e-6)


def test_fifteen_milliwatts_are_108_38_db_above_the_user_exit():
    assert 10 * np.log10(15e-3 / 2.178514e-13) == pytest.approx(108.38, abs=0.005)


@pytest.mark.parametrize(("volts", "expected"), [(0.0, 1e-3), (0.25, 0.147300), (0.5, 0.5005), (1.0, 1.0)])
def test_intensity_modulator_goldens(volts, expected):
    assert modulator_transmission(volts * 5.0, 5.0) == pytest.approx(expected, abs=5e-7)


def test_two_modulators_carve_a_tenth_of_the_light_out():
    found = carve([pulse(), pulse()], [CARVER, CARVER], 4, 10e-9)

    assert found.bright == 5
    np.testing.assert_allclose(found.pulse, 0.1)
    np.testing.assert_allclose(found.leak, 0.9e-6)
    np.testing.assert_allclose(found.leak_profile, [1 / 9] * 5 + [0.0] + [1 / 9] * 4)


def test_a_drifted_bias_lets_light_through_between_the_pulses():
    found = carve([pulse(0.5), pulse(0.5)], [CARVER, CARVER], 4, 10e-9)

    dark = float(modulator_transmission(1.0, 5.0)) ** 2
    np.testing.assert_allclose(found.leak, 0.9 * dark)
    np.testing.assert_allclose(found.pulse, 0.1 * float(modulator_transmission(6.0, 5.0)) ** 2)


def test_modulators_that_are_off_let_the_floor_through_all_the_time():
    found = carve([DARK, DARK], [CARVER, CARVER], 3, 10e-9)
    np.testing.assert_allclose(found.pulse + found.leak, 1e-6)


@given(st.integers(1, 50), st.integers(0, 10_000))
def test_every_sample_of_a_record_is_found_at_its_middle_in_any_cycle(points, cycle):
    volts = np.arange(points, dtype=float)
    rate = 1e9 / points
    times = (cycle * points + np.arange(points) + 0.5) / 1e9
    np.testing.assert_array_equal(Drive(volts, rate, True).at(times), volts)
