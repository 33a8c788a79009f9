from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.physics import click_law, collision_margin_s, interference, train_fractions
from heliograph.mocks.optics.light import Drive
from heliograph.mocks.optics.sagnac import Loop, User, arms, collides, net_phase, phase_and_visibility, user_visibility

LOOP = Loop(6000.0, 10e-9, 8)
EFFICIENCY = (0.701156, 0.770355)


def user(name: str, distance_m: float = 1000.5, loss_db: float = 2.8, **more: float) -> User:
    settings = {"v_pi": 5.0, "gain": 2.0, "gate_s": 1e-9, "error_x": 0.004, "error_y": 0.002}
    return User(name=name, distance_m=distance_m, loss_db=loss_db, **(settings | more))


def gates(phases: list[float], fraction: float) -> Drive:
    volts = np.zeros((len(phases), 10))
    volts[:, int(10 * fraction)] = np.array(phases) / np.pi * 5.0 / 2.0
    return Drive(volts.ravel(), 1.0 / (len(phases) * 10e-9), True)


OFF = Drive(np.ones(10), 1e8, False)


def test_collision_goldens():
    assert collision_margin_s(1000.0, 6000.0, 10e-9) == pytest.approx(0.448e-9, abs=1e-12)
    assert collides(user("A", 1000.0), LOOP)
    assert not collides(user("A", 1000.5), LOOP)


@pytest.mark.parametrize(("side", "sign", "offset"), [(0, 1.0, 3), (1, -1.0, 5)])
def test_a_user_shifts_the_train_whose_gate_it_drives_and_only_by_its_own_offset(side, sign, offset):
    phases = [0.0, np.pi / 2, np.pi, 3 * np.pi / 2, 0.0, 0.0, np.pi, np.pi]
    fraction = train_fractions(1000.5, 6000.0, 10e-9)[side]

    found = net_phase(user("A"), gates(phases, fraction), (3, 5), LOOP)

    np.testing.assert_allclose(found, sign * np.roll(phases, offset), atol=1e-12)


def test_a_user_where_the_trains_collide_encodes_nothing():
    fraction = train_fractions(1000.0, 6000.0, 10e-9)[0]
    np.testing.assert_array_equal(net_phase(user("A", 1000.0), gates([np.pi] * 8, fraction), (0, 0), LOOP), 0.0)


@given(st.floats(0.0, 0.2), st.floats(0.0, 0.2))
def test_visibility_at_the_four_phases_is_that_of_the_basis(error_x, error_y):
    found = user_visibility(np.array([0.0, np.pi / 2, np.pi, 3 * np.pi / 2]), error_x, error_y)
    x, y = 1 - 2 * error_x, 1 - 2 * error_y
    np.testing.assert_allclose(found, [x, y, x, y], atol=1e-12)


def test_pair_errors_replace_those_of_the_users_when_exactly_these_two_modulate():
    users = [user("A"), user("B", 2500.45)]
    drives = {"A": gates([0.0] * 8, 0.25), "B": gates([0.0] * 8, 0.25)}
    offsets = {"A": (0, 0), "B": (0, 0)}

    _, alone = phase_and_visibility(users, drives | {"B": OFF}, offsets, LOOP, {"A-B": (0.02, 0.01)})
    _, both = phase_and_visibility(users, drives, offsets, LOOP, {"A-B": (0.02, 0.01)})
    _, plain = phase_and_visibility(users, drives, offsets, LOOP, {})

    np.testing.assert_allclose(alone, 1 - 2 * 0.004)
    np.testing.assert_allclose(both, 1 - 2 * 0.02)
    np.testing.assert_allclose(plain, (1 - 2 * 0.004) ** 2)


def test_a_modulator_that_is_off_adds_neither_phase_nor_noise():
    phase, visibility = phase_and_visibility([user("A")], {"A": OFF}, {"A": (1, 2)}, LOOP, {})
    np.testing.assert_array_equal(phase, 0.0)
    np.testing.assert_array_equal(visibility, 1.0)


def test_the_trains_return_through_the_users_that_modulate_else_through_the_most_transparent_arms():
    users = [user("A"), user("B"), user("C")]
    on = gates([0.0] * 8, 0.25)
    loss = {"A": 3.8, "B": 62.8, "C": 6.8}

    assert arms(users, {"A": on, "B": on, "C": OFF}, loss) == ("A", "B")
    assert arms(users, {"A": OFF, "B": OFF, "C": on}, loss) == ("A", "C")
    assert arms(users, {"A": OFF, "B": OFF, "C": OFF}, loss) == ("A", "C")


@pytest.mark.parametrize(
    ("phase", "expected"),
    [(0.0, (2.463288e-3, 2.740267e-5, 6.766921e-8)), (np.pi / 2, (1.243225e-3, 1.365997e-3, 1.702687e-6)), (np.pi, (2.494407e-5, 2.706065e-3, 6.768513e-8))],
)
def test_click_law_goldens(phase, expected):
    law = click_law(*interference((0.0085 * 0.209, 0.0085 * 0.209), phase, 0.98, EFFICIENCY), (1e-7, 1e-7))
    np.testing.assert_allclose([law.only_d1, law.only_d2, law.both], expected, rtol=1e-6)


USERS = {"A": (0.00373, 0.00312), "B": (0.00400, 0.00192), "C": (0.00695, 0.00790), "D": (0.00676, 0.00575)}


@pytest.mark.parametrize(
    ("pair", "mu", "loss_db", "expected"),
    [
        ("AB", 0.017, 3.80, (207373176, 168048177, 1289039, 2074726, 10398)),
        ("AC", 0.0085, 6.80, (52193511, 42281475, 450391, 521993, 5739)),
        ("AD", 0.0089, 6.80, (54645789, 44268278, 463115, 546524, 4841)),
    ],
)
def test_default_bench_counts(pair, mu, loss_db, expected):
    """Expected counts of 200 s for an unlimited random pattern without dead time, p_X = 0.9."""
    pulses, mu_t = 2e10, mu * 10 ** (-loss_db / 10)

    def cross() -> float:
        law = click_law(*interference((mu_t, mu_t), np.pi / 2, 1.0, EFFICIENCY), (1e-7, 1e-7))
        return float(law.only_d1 + law.only_d2)

    def same(basis: int) -> tuple[float, float]:
        visibility = (1 - 2 * USERS[pair[0]][basis]) * (1 - 2 * USERS[pair[1]][basis])
        laws = [click_law(*interference((mu_t, mu_t), phase, visibility, EFFICIENCY), (1e-7, 1e-7)) for phase in (0.0, np.pi)]
        clicks = sum(float(law.only_d1 + law.only_d2) for law in laws) / 2
        return clicks, (float(laws[0].only_d2) + float(laws[1].only_d1)) / 2

    (x, x_errors), (y, y_errors) = same(0), same(1)
    found = pulses * np.array([0.81 * x + 0.01 * y + 0.18 * cross(), 0.81 * x, 0.81 * x_errors, 0.01 * y, 0.01 * y_errors])

    np.testing.assert_allclose(found, expected, atol=1.0)
