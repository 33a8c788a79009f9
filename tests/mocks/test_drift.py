"""Random walks that anybody may ask for any time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from heliograph.mocks.optics.drift import STEP_PS, Walk
from heliograph.mocks.randomness import Seeds

MINUTE_PS = 60 * 10**12


def test_a_walk_starts_at_zero_and_spreads_as_the_square_root_of_time() -> None:
    walks = [Walk(Seeds(seed), "bias im1", 0.1) for seed in range(400)]

    assert all(walk.at(0) == 0.0 for walk in walks)
    for minutes in (1, 4):
        spread = np.std([walk.at(minutes * MINUTE_PS) for walk in walks])
        assert abs(spread / (0.1 * np.sqrt(minutes)) - 1.0) < 0.15


def test_a_walk_of_nothing_stands_still() -> None:
    walk = Walk(Seeds(1), "bias im1", 0.0)

    assert not walk.moves
    assert walk.at(100 * MINUTE_PS) == 0.0


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=8), st.integers(0, 1000))
def test_the_order_of_questions_changes_no_answer(steps: list[int], seed: int) -> None:
    walk, other = Walk(Seeds(seed), "laser", 1.0), Walk(Seeds(seed), "laser", 1.0)

    forwards = {step: walk.at(step * STEP_PS) for step in sorted(steps)}

    assert [other.at(step * STEP_PS) for step in steps] == [forwards[step] for step in steps]


def test_each_element_walks_its_own_way() -> None:
    seeds = Seeds(7)
    assert Walk(seeds, "bias im1", 1.0).at(MINUTE_PS) != Walk(seeds, "bias im2", 1.0).at(MINUTE_PS)
