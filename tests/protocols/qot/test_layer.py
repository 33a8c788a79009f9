"""A layer evaluated by transfers: the synthetic stand-in of the specification, signs, bias, blocks and refusals."""

import numpy as np
import pytest

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import NoSignal, ParameterError
from heliograph.protocols.qot.accuracy import Knobs
from heliograph.protocols.qot.laws import iid
from heliograph.protocols.qot.layer import SecureLayer, evaluate_binomial, evaluate_joint, majority, refuse_without_signal
from heliograph.protocols.qot.states import DrawnStates

W = np.array([[0.8, -0.7, 0.6, -0.6, 0.1], [-0.8, 0.7, -0.6, 0.6, -0.1]])
ACCURACY = {5: (0.9980, 0.9981, 0.9976, 0.9811), 1: (0.9981, 0.9981, 0.9979, 0.9973)}
RMS = (0.128, 0.139, 0.432, 1.570)
ERRORS = (0.0, 0.005, 0.0868, 0.179)


@pytest.fixture(scope="module")
def synthetic():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 50_000)
    centre = np.array([[3, 0.2, 2.5, 0.1, 1], [0.2, 2.8, 0.1, 2.2, 1]])
    return y, np.maximum(centre[y] + 0.8 * rng.standard_normal((50_000, 5)), 0)


def test_without_noise_the_stand_in_is_told_apart_as_published(synthetic):
    y, x = synthetic
    assert ((x @ W.T).argmax(axis=1) == y).mean() == pytest.approx(0.9982, abs=1e-4)


@pytest.mark.parametrize("block", [5, 1])
@pytest.mark.parametrize(("place", "error"), list(enumerate(ERRORS)))
def test_the_stand_in_is_told_apart_as_published(synthetic, block, place, error):
    y, x = synthetic

    found = evaluate_binomial(SecureLayer.of(W, None, Knobs(block), scale=1.5), x, error, np.random.default_rng(7))

    assert (found.argmax(axis=1) == y).mean() == pytest.approx(ACCURACY[block][place], abs=0.003)
    if block == 5:
        assert np.sqrt(((found - x @ W.T) ** 2).mean()) == pytest.approx(RMS[place], rel=0.02)


@pytest.mark.parametrize("block", [5, 2])
def test_transferred_gates_agree_with_drawn_counts(synthetic, block):
    _, x = synthetic
    layer, error = SecureLayer.of(W, [0.1, -0.2], Knobs(block, 1, 500), scale=1.7), 0.05
    states = DrawnStates(iid(error), SimRandom(1))
    exact = x[:40] @ W.T + [0.1, -0.2]

    joint = evaluate_joint(layer, x[:40], error, states, SimRandom(2), SimRandom(3)) - exact
    drawn = evaluate_binomial(layer, np.repeat(x[:40], 50, axis=0), error, np.random.default_rng(4)) - np.repeat(exact, 50, axis=0)

    assert states.cursor.used == 40 * layer.transfers
    for found in (joint, drawn):
        assert abs(found.mean()) < 4 * found.std() / np.sqrt(found.size)
    assert joint.std() == pytest.approx(drawn.std(), rel=0.25)


def test_repetition_buys_accuracy_with_transfers():
    once, thrice = (SecureLayer.of(W, None, Knobs(5, repetitions, 2000)) for repetitions in (1, 3))

    assert thrice.transfers == 3 * once.transfers
    assert thrice.deviation(0.179) < 0.5 * once.deviation(0.179)
    found = evaluate_joint(thrice, np.array([[1.0, 2.0, 0.5, 0.1, 0.2]]), 0.179, DrawnStates(iid(0.179), SimRandom(5)), SimRandom(6), SimRandom(7))
    exact = np.array([[1.0, 2.0, 0.5, 0.1, 0.2]]) @ W.T
    assert np.abs(found - exact).max() < 5 * 3.8 * thrice.deviation(0.179)
    assert majority([np.array([1, 0, 1], np.uint8), np.array([1, 0, 0], np.uint8), np.array([0, 1, 0], np.uint8)]).tolist() == [1, 0, 0]


def test_the_bias_is_a_coordinate_of_its_own():
    layer = SecureLayer.of(np.zeros((1, 2)) + 1e-12, [0.7], Knobs(3, 1, 200_000))

    found = evaluate_binomial(layer, np.zeros((1, 2)), 0.0, np.random.default_rng(1))

    assert found[0, 0] == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize(
    ("weights", "bias", "scale", "named"),
    [
        ([[1.0, np.nan]], None, None, "finite"),
        ([[1.0, 2.0]], [1.0, 2.0], None, "bias"),
        ([[0.5, 0.5], [2.0, 1.0]], None, 1.5, "row 1"),
        ([[0.0, 0.0]], None, None, "scale"),
        ([1.0, 2.0], None, None, "matrix"),
    ],
)
def test_layers_that_cannot_be_are_refused(weights, bias, scale, named):
    with pytest.raises(ParameterError, match=named):
        SecureLayer.of(weights, bias, Knobs(2), scale=scale)


@pytest.mark.parametrize("inputs", [[[1.0, -1.0]], [[np.inf, 1.0]], [[1.0]], [1.0, 2.0]])
def test_inputs_that_cannot_be_drawn_from_are_refused(inputs):
    with pytest.raises(ParameterError):
        evaluate_binomial(SecureLayer.of([[1.0, 1.0]], None, Knobs(2)), inputs, 0.0, np.random.default_rng(1))


def test_a_layer_that_would_drown_in_noise_is_refused():
    layer = SecureLayer.of(np.full((1, 84), 0.01), None, Knobs(84))

    with pytest.raises(NoSignal):
        refuse_without_signal(layer, 0.0868, 0.2)
    refuse_without_signal(SecureLayer.of(np.full((1, 84), 0.01), None, Knobs(3)), 0.0868, 0.2)
