"""Transfers in both modes: bit-exact goldens, every input, and what noise does to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import ParameterError
from heliograph.protocols.qot.gates import (
    and_messages,
    beaver_choice,
    beaver_messages,
    beaver_output,
    mean_states,
    offered,
    or_messages,
    picked,
    restart_probability,
    states_for,
    suitable,
    transfer,
    transfer_by_index,
)
from heliograph.protocols.qot.laws import IDEAL_CODES, halves, ideal, iid
from heliograph.protocols.qot.states import DrawnStates, MeasuredStates


def bits(text: str) -> np.ndarray:
    return np.array([int(bit) for bit in text], np.uint8)


ALL = np.array(np.meshgrid(IDEAL_CODES, (0, 1), (0, 1), (0, 1))).reshape(4, -1).astype(np.uint8)


def test_the_golden_of_the_derandomised_mode():
    codes = np.array([8, 2, 15, 5], np.uint8)
    (alice, bob), choice = halves(codes), bits("0011")

    d = beaver_choice(choice, bob)
    e0, e1 = beaver_messages(bits("1010"), bits("0111"), alice, d)

    assert (d.tolist(), e0.tolist(), e1.tolist()) == ([0, 1, 0, 1], [1, 0, 0, 0], [1, 1, 0, 0])
    assert beaver_output(e0, e1, choice, bob).tolist() == [1, 0, 1, 1]


def test_every_state_with_every_input_transfers_the_chosen_message():
    codes, m0, m1, choice = ALL

    assert np.array_equal(transfer(MeasuredStates(codes), m0, m1, choice), np.where(choice, m1, m0))


def test_the_golden_of_the_index_mode():
    codes = np.array([[8, 2, 15, 5, 0, 13, 6, 11]], np.uint8)

    alice, bob = halves(codes)
    named = offered(bits("1"), bob)
    fits = suitable(bits("1"), bits("0"), alice, named)

    assert np.packbits(named, bitorder="little").tobytes() == b"\xc6"
    assert np.flatnonzero(named).tolist() == [1, 2, 6, 7]
    assert np.flatnonzero(fits).tolist() == [6]
    pick = picked(fits, np.array([0.5]))
    assert pick.tolist() == [6]
    assert codes[0, pick[0]] & 1 == 0


def messages(gates: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    m0, m1, choice = np.random.default_rng(seed).integers(0, 2, (3, gates), np.uint8)
    return m0, m1, choice


def test_a_million_noiseless_transfers_have_no_error():
    m0, m1, choice = messages(1_000_000, 1)

    assert np.array_equal(transfer(DrawnStates(ideal(), SimRandom(1)), m0, m1, choice), np.where(choice, m1, m0))


@pytest.mark.parametrize("error", [0.005, 0.0868, 0.179])
def test_independent_flips_are_the_error_of_a_transfer_in_both_modes(error):
    m0, m1, choice = messages(200_000, 2)
    wanted = np.where(choice, m1, m0)

    derandomised = transfer(DrawnStates(iid(error), SimRandom(2)), m0, m1, choice)
    indexed = transfer_by_index(DrawnStates(iid(error), SimRandom(3)), m0, m1, choice, np.random.default_rng(4), 32).output

    for found in (derandomised, indexed):
        assert abs((found != wanted).mean() - error) < 4 * np.sqrt(error * (1 - error) / wanted.size)


@pytest.mark.parametrize(("n", "states", "failure"), [(8, 12.188, 0.3436), (32, 32.452, 1.394e-2), (64, 64.012, 1.943e-4)])
def test_attempts_of_the_index_mode_fail_as_often_as_they_must(n, states, failure):
    gates = 100_000
    m0, m1, choice = messages(gates, 5)

    found = transfer_by_index(DrawnStates(ideal(), SimRandom(6)), m0, m1, choice, np.random.default_rng(7), n)

    assert mean_states(n) == pytest.approx(states, rel=1e-4)
    assert restart_probability(n) == pytest.approx(failure, rel=1e-3)
    assert np.array_equal(found.output, np.where(choice, m1, m0))
    assert found.states / gates == pytest.approx(states, rel=0.01)
    attempts = found.states / n
    assert abs(found.restarts / attempts - failure) < 4 * np.sqrt(failure / attempts)


def test_states_an_attempt_takes_for_a_wanted_failure():
    assert [states_for(bound) for bound in (1e-3, 1e-6, 1e-9)] == [52, 104, 156]
    assert mean_states(1) == pytest.approx(8.0)
    with pytest.raises(ParameterError):
        states_for(0.0)


@given(st.lists(st.tuples(*[st.integers(0, 1)] * 4), min_size=1, max_size=64), st.sampled_from(["and", "or"]))
def test_gates_on_encoded_wires_compute_under_the_pads(rows, kind):
    wire, bit, wire_pad, output_pad = np.array(rows, np.uint8).T
    pair = (and_messages if kind == "and" else or_messages)(wire_pad, bit, output_pad)

    encoded = transfer(DrawnStates(ideal(), SimRandom(8)), *pair, wire ^ wire_pad)

    assert np.array_equal(encoded ^ output_pad, wire & bit if kind == "and" else wire | bit)


def test_an_or_of_two_draws_is_one_with_the_published_probability():
    rng, shots = np.random.default_rng(9), 400_000
    a, b, pad = (rng.random(shots) < 0.2).astype(np.uint8), (rng.random(shots) < 0.3).astype(np.uint8), rng.integers(0, 2, shots, np.uint8)

    out = transfer(DrawnStates(ideal(), SimRandom(10)), *or_messages(np.zeros_like(a), a, pad), b) ^ pad

    assert out.mean() == pytest.approx(0.44, abs=4 * np.sqrt(0.25 / shots))
