import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.physics import (
    click_law,
    collision_margin_s,
    dead_time_rate,
    fibre_delay_s,
    interference,
    loss_db,
    modulator_transmission,
    phase_rad,
    photons_per_pulse,
    pulse_power_w,
    train_fractions,
    transmission,
)

NM_1550 = 1550.12e-9
SLOT_S = 1e-8


@pytest.mark.parametrize(("mu", "power_w", "dbm"), [(0.017, 2.178514e-13, -96.618), (0.0085, 1.089257e-13, -99.629)])
def test_mean_photon_number_and_power(mu, power_w, dbm):
    assert pulse_power_w(mu, NM_1550, 1e8) == pytest.approx(power_w, rel=1e-6)
    assert 10 * math.log10(float(pulse_power_w(mu, NM_1550, 1e8)) / 1e-3) == pytest.approx(dbm, abs=5e-4)
    assert photons_per_pulse(pulse_power_w(mu, NM_1550, 1e8), NM_1550, 1e8) == pytest.approx(mu, rel=1e-12)


def test_the_budget_from_laser_to_user_exit():
    assert loss_db(pulse_power_w(0.017, NM_1550, 1e8) / 15e-3) == pytest.approx(108.38, abs=5e-3)


@pytest.mark.parametrize(
    ("phase", "d1", "d2", "both"),
    [(0.0, 2.463288e-3, 2.740267e-5, 6.766921e-8), (math.pi / 2, 1.243225e-3, 1.365997e-3, 1.702687e-6), (math.pi, 2.494407e-5, 2.706065e-3, 6.768513e-8)],
)
def test_click_law_goldens(phase, d1, d2, both):
    clicks = click_law(*interference((0.0085 * 0.209, 0.0085 * 0.209), phase, 0.98, (0.701156, 0.770355)), (1e-7, 1e-7))

    assert (float(clicks.only_d1), float(clicks.only_d2), float(clicks.both)) == pytest.approx((d1, d2, both), rel=1e-6)


def test_the_wrong_port_gets_half_of_what_visibility_lacks():
    right, wrong = interference((0.01, 0.01), 0.0, 0.98, (1.0, 1.0))

    assert wrong / (right + wrong) == pytest.approx((1 - 0.98) / 2)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-7, 7), st.floats(0, 1))
def test_interference_keeps_the_energy_and_is_never_negative(a, b, phase, visibility):
    d1, d2 = interference((a, b), phase, visibility, (1.0, 1.0))

    assert float(d1 + d2) == pytest.approx(a + b, abs=1e-12)
    assert min(float(d1), float(d2)) >= -1e-15


def test_arrays_broadcast():
    phases = np.linspace(0, 2 * np.pi, 7)

    d1, _ = interference((0.01, 0.01), phases, 0.98, (0.7, 0.77))

    assert d1.shape == (7,)
    assert d1 == pytest.approx([float(interference((0.01, 0.01), p, 0.98, (0.7, 0.77))[0]) for p in phases])


@pytest.mark.parametrize(("fraction", "transmitted"), [(0.0, 1e-3), (0.25, 0.147300), (0.5, 0.5005), (1.0, 1.0)])
def test_intensity_modulator_of_30_db(fraction, transmitted):
    assert modulator_transmission(5.0 * fraction, 5.0) == pytest.approx(transmitted, abs=5e-7)
    assert modulator_transmission(5.0 * fraction + 0.3, 5.0, bias_v=0.3) == pytest.approx(transmitted, abs=5e-7)


def test_attenuation():
    assert transmission(12.34) == pytest.approx(0.05834451, rel=1e-7)
    assert loss_db(transmission(12.34)) == pytest.approx(12.34)


def test_a_phase_modulator_turns_by_pi_at_v_pi():
    assert phase_rad([0.0, 2.5, -5.0], 5.0) == pytest.approx([0.0, math.pi / 2, -math.pi])


def test_dead_time_of_30_ns_at_a_million_clicks():
    assert dead_time_rate(1e6, 30e-9) == pytest.approx(970_873.8, abs=0.05)


@pytest.mark.parametrize(("distance_m", "apart_ns", "margin_ns"), [(1000.0, 9.552, 0.448), (1000.5, 4.655, 4.655)])
def test_where_the_two_trains_of_a_loop_pass_a_user(distance_m, apart_ns, margin_ns):
    cw, ccw = train_fractions(distance_m, 6000.0, SLOT_S)

    assert collision_margin_s(distance_m, 6000.0, SLOT_S) * 1e9 == pytest.approx(margin_ns, abs=5e-4)
    assert ((ccw - cw) % 1.0) * 10 == pytest.approx(apart_ns, abs=5e-4)


def test_five_nanoseconds_are_a_metre_of_fibre_there_and_back():
    assert fibre_delay_s(1.0210) == pytest.approx(5e-9, rel=1e-4)


@given(st.floats(0, 6000))
def test_margins_and_fractions_stay_in_their_slot(distance_m):
    assert 0 <= collision_margin_s(distance_m, 6000.0, SLOT_S) <= SLOT_S / 2
    assert all(0 <= fraction < 1 for fraction in train_fractions(distance_m, 6000.0, SLOT_S))
