"""What the scheme does not protect: attacks of a dishonest Alice, Bob and Trent on the state as written, and on the twirled one.

Figures are those of the specification, found here from the state vector, and once more by drawing.
"""

import numpy as np
import pytest

from heliograph.core.entropy import SimRandom
from heliograph.protocols.qot.gates import beaver_choice, beaver_messages, transfer
from heliograph.protocols.qot.inner_product import one_hot, random_bits, uniform
from heliograph.protocols.qot.laws import IDEAL_CODES, halves, ideal
from heliograph.protocols.qot.preparation import Prepared
from heliograph.protocols.qot.states import DrawnStates

H = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0)


def density(state: str) -> np.ndarray:
    """Return the state of the four qubits b1, b0, s, t, (16, 16): as written, or with a random Z on each of them, which leaves the diagonal."""
    psi = np.zeros(16)
    psi[list(IDEAL_CODES)] = 8.0**-0.5
    rho = np.outer(psi, psi)
    return rho if state == "coherent" else np.diag(np.diag(rho))


def x_law(state: str, qubits: str) -> np.ndarray:
    """Return the law of the four outcomes, (2, 2, 2, 2), where the marked qubits are measured in X: such as `xxzz`."""
    change = np.ones((1, 1))
    for basis in qubits:
        change = np.kron(change, H if basis == "x" else np.eye(2))
    return np.diag(change @ density(state) @ change.T).reshape(2, 2, 2, 2)


def guess_of_s(outcome: np.ndarray, coin: np.ndarray) -> np.ndarray:
    """Return Alice's guess of s from her X outcomes 2 b1 + b0: certain for (0, 1) and (1, 0), a coin otherwise."""
    return np.where(outcome == 1, 0, np.where(outcome == 2, 1, coin))


@pytest.mark.parametrize(("state", "success"), [("coherent", 0.75), ("twirled", 0.5)])
def test_alice_learns_bobs_choice_by_measuring_in_x(state, success):
    law = x_law(state, "xxzz").sum(axis=3)

    exact = law[0, 1, 0] + law[1, 0, 1] + (law[0, 0].sum() + law[1, 1].sum()) / 2
    drawn = np.random.default_rng(1).choice(8, 200_000, p=law.ravel())
    guess = guess_of_s(drawn >> 1, np.random.default_rng(2).integers(0, 2, drawn.size))

    assert exact == pytest.approx(success, abs=1e-12)
    assert abs((guess == (drawn & 1)).mean() - success) < 4 * np.sqrt(0.25 / drawn.size)


@pytest.mark.parametrize(("state", "success"), [("coherent", 0.950), ("twirled", 0.5)])
def test_in_index_mode_bob_hands_alice_many_states_with_the_same_s(state, success):
    law, n, trials = x_law(state, "xxzz").sum(axis=3).ravel(), 8, 50_000
    drawn = np.random.default_rng(3).choice(8, (trials, n), p=law)
    choice = np.random.default_rng(4).integers(0, 2, trials)
    named = (drawn & 1) == choice[:, None]
    certain = named & np.isin(drawn >> 1, (1, 2))
    first = certain.argmax(axis=1)
    told = guess_of_s(np.take_along_axis(drawn >> 1, first[:, None], axis=1)[:, 0], np.zeros(trials, int))
    guess = np.where(certain.any(axis=1), told, np.random.default_rng(5).integers(0, 2, trials))

    # Given K named states, all are inconclusive with 2^-K, and then she guesses: 1 - 2^-(K+1).
    assert abs((guess == choice).mean() - success) < 4 * np.sqrt(success * (1 - success) / trials) + 5e-4
    if state == "coherent":
        assert 1 - 0.5 * 0.75**n == pytest.approx(success, abs=5e-4)


def bobs_states(state: str) -> dict[tuple[int, int], np.ndarray]:
    """Return Bob's two qubits, (4, 4), for each of Alice's bits (b1, b0) that she measured."""
    blocks = density(state).reshape(4, 4, 4, 4)
    found = {(b1, b0): blocks[2 * b1 + b0, :, 2 * b1 + b0, :] for b1 in (0, 1) for b0 in (0, 1)}
    return {bits: rho / np.trace(rho) for bits, rho in found.items()}


def pretty_good_guess(states: list[np.ndarray]) -> float:
    """Return the chance that the pretty good measurement names the right one of equally likely states."""
    values, vectors = np.linalg.eigh(sum(states) / len(states))
    root = vectors @ np.diag([1 / np.sqrt(v) if v > 1e-12 else 0.0 for v in values]) @ vectors.T
    return sum(float(np.trace(root @ rho @ root @ rho)) for rho in states) / len(states) ** 2


def helstrom(one: np.ndarray, other: np.ndarray) -> float:
    """Return the best chance to tell two equally likely states apart."""
    return 0.5 + 0.25 * float(np.abs(np.linalg.eigvalsh(one - other)).sum())


@pytest.mark.parametrize(("state", "both", "parity", "named_later"), [("coherent", 0.72855, 0.75, 0.85355), ("twirled", 0.5, 0.5, 0.75)])
def test_bob_who_keeps_his_qubits_learns_more_than_one_message(state, both, parity, named_later):
    rho = bobs_states(state)

    assert pretty_good_guess(list(rho.values())) == pytest.approx(both, abs=1e-5)
    assert helstrom((rho[0, 0] + rho[1, 1]) / 2, (rho[0, 1] + rho[1, 0]) / 2) == pytest.approx(parity, abs=1e-5)
    assert helstrom((rho[0, 0] + rho[1, 0]) / 2, (rho[0, 1] + rho[1, 1]) / 2) == pytest.approx(named_later, abs=1e-5)


def x_check(state: str) -> float:
    """Return the chance that all four measured in X pass the check of a pure state."""
    law = x_law(state, "xxxx")
    return float(law[0, 0, 0, 0] + law[0, 1, :, 1].sum() + law[1, 0, :, 1].sum())


def test_a_dealer_who_keeps_a_copy_is_seen_in_x_and_not_in_z():
    """A copy entangled with the state is, for the parties, the twirl: the diagonal is untouched, everything else is gone."""
    assert np.diag(density("twirled")) == pytest.approx(np.diag(density("coherent")))
    assert x_check("coherent") == pytest.approx(1.0)
    assert x_check("twirled") == pytest.approx(0.3125)
    for state in ("coherent", "twirled"):
        assert Prepared.of(density(state)).x_pass == pytest.approx(x_check(state), abs=1e-12)


def test_whoever_decodes_every_shot_learns_the_other_vector():
    u, v, shots = np.array([0.1, 0.3, 0.2, 0.25, 0.05]), np.array([0.4, 0.2, 0.1, 0.1, 0.15]), 400_000
    alice, bob, states = SimRandom(6), SimRandom(7), DrawnStates(ideal(), SimRandom(8))
    mine, theirs, pads = one_hot(u, uniform(alice, shots)), one_hot(v, uniform(bob, shots)), random_bits(alice, shots, 5)

    outputs = transfer(states, pads.ravel(), (mine ^ pads).ravel(), theirs.ravel()).reshape(shots, 5)
    z = np.bitwise_xor.reduce(outputs ^ pads, axis=1)

    leaked = np.array([z[mine[:, j] == 1].mean() for j in range(5)])
    np.testing.assert_allclose(leaked, v, atol=0.01)


def test_a_state_used_twice_gives_away_the_difference_of_two_messages():
    """Why the cursor burns states: the pad of a second message under the same state cancels against that of the first."""
    rng = np.random.default_rng(9)
    choice, codes = np.zeros(1000, np.uint8), DrawnStates(ideal(), SimRandom(10)).next(1000)
    alice, bob = halves(codes)
    first, second, other = rng.integers(0, 2, (3, 1000), np.uint8)
    d = beaver_choice(choice, bob)

    seen = beaver_messages(first, other, alice, d)[0] ^ beaver_messages(second, other, alice, d)[0]

    assert np.array_equal(seen, first ^ second)
