"""Inner products: what noise does to them, their estimate, and the tiers against each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import NoSignal, ParameterError, StatesExhausted
from heliograph.protocols.qot.accuracy import (
    Knobs,
    best_block,
    block_deviation,
    choose_knobs,
    deviation_bound,
    estimate,
    flipped_share,
    outcome_probability,
    repeated_error,
    shift_of_estimate,
    validation_deviation,
    validation_states,
)
from heliograph.protocols.qot.inner_product import binomial_inner_product, blocks_of, inner_product, one_hot, uniform, weights
from heliograph.protocols.qot.laws import error_rate, ideal, iid, preset
from heliograph.protocols.qot.states import DrawnStates

U, V = np.array([0.1, 0.3, 0.2, 0.25, 0.05]), np.array([0.4, 0.2, 0.1, 0.1, 0.15])
PRODUCT = 0.1525


@pytest.mark.parametrize(
    ("error", "share", "chance"),
    [(0.0, 0.0, 0.1525), (0.005, 0.024505, 0.169531), (0.05, 0.204755, 0.294805), (0.086784, 0.307245, 0.366035), (0.179, 0.445469, 0.462101)],
)
def test_the_published_probabilities(error, share, chance):
    assert float(U @ V) == pytest.approx(PRODUCT, abs=1e-15)
    assert flipped_share(error, 5) == pytest.approx(share, abs=1e-6)
    assert outcome_probability(PRODUCT, error, 5) == pytest.approx(chance, abs=1e-6)
    assert estimate(chance, error, 5) == pytest.approx(PRODUCT, abs=1e-4)


DEVIATIONS = {
    0.005: ([0.0113, 0.0118, 0.0126, 0.0260, 0.0305], (12, 0.0126), (50, 0.0240)),
    0.0868: ([0.0135, 0.0290, 0.110, 1e5, 2e6], (3, 0.0396), (3, 0.105)),
    0.179: ([0.0174, 0.103, 2.28], (1, 0.0603), (1, 0.160)),
}


@pytest.mark.parametrize("error", DEVIATIONS)
def test_the_published_deviations_and_best_blocks(error):
    bounds, *best = DEVIATIONS[error]
    for m, bound in zip((1, 5, 12, 84, 100), bounds, strict=False):
        assert deviation_bound(error, m, 2000) == pytest.approx(bound, rel=0.5 if bound > 1e4 else 0.005)
    for m, (_, deviation) in zip((12, 84), best, strict=True):
        assert block_deviation(error, m, best_block(error, m), 2000) <= deviation * 1.005


@given(error=st.floats(1e-4, 0.3), m=st.integers(1, 200))
def test_no_other_block_is_better(error, m):
    chosen = block_deviation(error, m, best_block(error, m), 2000)

    assert chosen <= min(block_deviation(error, m, size, 2000) for size in range(1, m + 1)) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("error", "repetitions", "left"),
    [
        (0.087, 3, 0.0214),
        (0.087, 5, 0.0058),
        (0.087, 9, 4.7e-4),
        (0.179, 3, 0.0847),
        (0.179, 5, 0.0431),
        (0.179, 9, 0.0122),
        (0.179, 15, 0.0020),
        (0.179, 21, 3.6e-4),
    ],
)
def test_the_published_errors_of_a_majority(error, repetitions, left):
    assert repeated_error(error, repetitions) == pytest.approx(left, rel=0.02)


def test_an_even_number_has_no_majority():
    with pytest.raises(ParameterError):
        repeated_error(0.1, 2)


def test_enough_validation_states_keep_the_shift_below_half_the_shot_noise():
    shift = abs(shift_of_estimate(0.0, 0.0868, 5, validation_deviation(0.0868, 20_000)))
    assert shift == pytest.approx(0.0084 * 0.5 / (0.5 - 0.0) * 1.43, rel=0.1)

    k = validation_states(0.0868, 5, 2000)

    assert abs(shift_of_estimate(0.0, 0.0868, 5, validation_deviation(0.0868, k))) <= deviation_bound(0.0868, 5, 2000) / 2 * (1 + 1e-9)


def test_knobs_are_chosen_for_the_wanted_deviation():
    assert choose_knobs(0.005, 84, 2000, 0.03) == Knobs(best_block(0.005, 84), 1, 2000)
    knobs = choose_knobs(0.179, 84, 2000, 0.05)
    assert knobs.repetitions > 1
    assert knobs.deviation(0.179, 84) <= 0.05
    with pytest.raises(NoSignal):
        choose_knobs(0.49, 84, 100, 0.01)


@pytest.mark.parametrize("name", ["ideal", "paper_sim", "santiago"])
def test_the_estimate_is_unbiased_on_every_noise(name):
    law, shots = preset(name), 1_000_000
    error = error_rate(law)

    counted = inner_product(DrawnStates(law, SimRandom(1)), U, V, shots, SimRandom(2), SimRandom(3))

    sd = np.sqrt(outcome_probability(PRODUCT, error, 5) * (1 - outcome_probability(PRODUCT, error, 5)) / shots) / (1 - 2 * error) ** 5
    assert abs(counted.estimate(error) - PRODUCT) < 4 * sd


def test_counts_drawn_at_once_follow_the_law_of_the_shots():
    error, shots = error_rate(preset("santiago")), 2000
    joint = [inner_product(DrawnStates(preset("santiago"), SimRandom(k)), U, V, shots, SimRandom(100 + k), SimRandom(200 + k)).ones for k in range(200)]
    drawn = binomial_inner_product(np.full(20_000, PRODUCT), error, 5, shots, np.random.default_rng(5))

    mean, spread = drawn.mean(), drawn.std()
    assert mean / shots == pytest.approx(outcome_probability(PRODUCT, error, 5), abs=4 * spread / shots / np.sqrt(drawn.size))
    assert abs(np.mean(joint) - mean) < 4 * spread / np.sqrt(len(joint))
    assert np.std(joint) == pytest.approx(spread, rel=0.25)


def test_draws_hit_a_coordinate_as_often_as_its_weight_says():
    draws = one_hot(U, uniform(SimRandom(4), 400_000))

    assert draws.sum(axis=1).max() == 1
    np.testing.assert_allclose(draws.mean(axis=0), U, atol=4 * np.sqrt(0.25 / 400_000))
    assert (draws.sum(axis=1) == 0).mean() == pytest.approx(1 - U.sum(), abs=0.003)


@pytest.mark.parametrize(
    ("u", "v"), [([-0.1, 0.5], [0.5, 0.5]), ([0.5, 0.6], [0.5, 0.5]), ([np.nan, 0.1], [0.5, 0.5]), ([[0.5]], [0.5]), ([0.5], [0.5, 0.5]), ([], [])]
)
def test_what_cannot_be_drawn_from_is_refused_before_a_state_is_used(u, v):
    source = DrawnStates(ideal(), SimRandom(1))

    with pytest.raises(ParameterError):
        inner_product(source, u, v, 10, SimRandom(2), SimRandom(3))
    assert source.cursor.used == 0


def test_too_few_states_are_told():
    with pytest.raises(StatesExhausted):
        inner_product(DrawnStates(iid(0.1), SimRandom(1), limit=49), U, V, 10, SimRandom(2), SimRandom(3))


def test_blocks_are_filled_up_with_nothing():
    assert blocks_of(weights(U, "u"), 2).tolist() == [[0.1, 0.3], [0.2, 0.25], [0.05, 0.0]]
    with pytest.raises(ParameterError):
        blocks_of(U, 0)
