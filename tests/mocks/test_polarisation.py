"""Paddles and polarisation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.mocks.optics.polarisation import HORIZONTAL, overlap, paddles, rotated

ANGLE = st.floats(0.0, 170.0)


@pytest.mark.parametrize(("angles", "expected"), [((0, 0, 0), 1.0), ((0, 45, 0), 0.0), ((30, 50, 10), 0.530637)])
def test_paddle_goldens(angles: tuple[float, ...], expected: float) -> None:
    assert overlap(HORIZONTAL, [paddles(angles)]) == pytest.approx(expected, abs=1e-6)


@given(st.tuples(ANGLE, ANGLE, ANGLE), st.floats(-4, 4), st.floats(-4, 4))
def test_paddles_lose_no_light(angles: tuple[float, float, float], a: float, b: float) -> None:
    state = paddles(angles) @ rotated(HORIZONTAL, a, b)
    assert np.linalg.norm(state) == pytest.approx(1.0)
    assert 0.0 <= overlap(HORIZONTAL, [paddles(angles)]) <= 1.0


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_three_paddles_reach_the_right_state_from_any_drifted_one(a: float, b: float) -> None:
    drifted = rotated(HORIZONTAL, a, b)
    angles = range(0, 180, 15)
    best = max(overlap(drifted, [paddles((x, y, z))]) for x in angles for y in angles for z in (0, 45, 90, 135))
    assert best > 0.9


def test_a_quarter_turn_about_the_circular_axis_makes_light_diagonal() -> None:
    assert overlap(rotated(HORIZONTAL, 0.0, np.pi / 2), []) == pytest.approx(0.5)
    assert overlap(rotated(HORIZONTAL, 0.0, np.pi), []) == pytest.approx(0.0, abs=1e-12)
