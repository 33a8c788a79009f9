"""States before they are measured: what X gives, and what the second party finds after the first."""

import numpy as np
import pytest

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import DesyncError, ParameterError
from heliograph.protocols.qot.laws import halves, ideal, law_of, preset
from heliograph.protocols.qot.preparation import Basis, Half, Prepared, Qubits, calibrated_pass, density, x_test
from heliograph.protocols.qpu import open_backend


def test_the_golden_shares_that_pass_in_x():
    assert Prepared.of_circuit("paper").x_pass == pytest.approx(1.0, abs=1e-12)
    assert Prepared.of_circuit("one_ccx").x_pass == pytest.approx(1.0, abs=1e-12)
    assert Prepared.of(density("rccx")).x_pass == pytest.approx(0.375, abs=1e-12)
    assert Prepared.of_circuit("paper").twirled().x_pass == pytest.approx(0.3125, abs=1e-12)
    assert Prepared.dephased(preset("santiago")).x_pass == pytest.approx(0.3125, abs=1e-12)


def test_the_share_that_passes_is_measured_with_the_circuit_in_x():
    assert calibrated_pass(open_backend("local"), 1000, seed=1) == 1.0
    assert calibrated_pass(open_backend("local"), 10_000, name="rccx", seed=1) == pytest.approx(0.375, abs=0.02)


@pytest.mark.slow
def test_the_share_that_passes_on_a_device_is_measured_with_its_noise():
    assert calibrated_pass(open_backend("fake:santiago"), 40_000, seed=1) == pytest.approx(0.879, abs=0.01)


@pytest.mark.parametrize("name", ["paper", "one_ccx", "rccx"])
def test_circuits_differ_in_x_and_not_in_z(name):
    assert Prepared.of(density(name)).law == pytest.approx(ideal(), abs=1e-12)


def test_noise_of_gates_costs_purity():
    shares = [Prepared.of_circuit("paper", cx_error).x_pass for cx_error in (0.0, 0.006, 0.05)]

    assert shares[0] > shares[1] > shares[2] > 0.3125


def test_a_relative_phase_is_not_offered_as_the_coherent_state():
    with pytest.raises(ParameterError, match="rccx"):
        Prepared.of_circuit("rccx")


@pytest.mark.parametrize("bad", [np.eye(16), np.eye(4) / 4, np.diag([2.0, -1.0, *[0.0] * 14]), np.triu(np.full((16, 16), 1 / 16)), np.full((16, 16), np.nan)])
def test_what_is_no_state_is_refused(bad):
    with pytest.raises(ParameterError):
        Prepared.of(bad)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("bases", [(a, b) for a in Basis for b in Basis])
def test_outcomes_follow_the_law_of_both_bases_whoever_measures_first(bases, first):
    """The law is found here from the state vector, one qubit after the other."""
    n, psi = 200_000, np.sqrt(ideal())
    h = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0)
    change = np.ones((1, 1))
    for basis in bases:
        for _ in range(2):
            change = np.kron(change, h if basis is Basis.X else np.eye(2))
    halves = [Half(qubits, party) for qubits in [Qubits(Prepared.of_circuit(), n, SimRandom(1))] for party in (0, 1)]

    found: dict[int, np.ndarray] = {party: halves[party].measure_all(bases[party]) for party in (first, 1 - first)}

    np.testing.assert_allclose(law_of(4 * found[0] + found[1]), (change @ psi) ** 2, atol=5 * np.sqrt(0.25 / n))


def test_a_qubit_is_measured_once():
    half = Half(Qubits(Prepared.of_circuit(), 10, SimRandom(1)), 0)
    half.measure(np.arange(10) < 5)

    with pytest.raises(DesyncError, match="measured before"):
        half.measure(np.arange(10) < 6, Basis.X)
    assert half.measure(np.arange(10) >= 5, Basis.X).size == 5


def test_alice_who_measures_in_x_learns_bobs_bit_unless_the_states_are_twirled():
    for prepared, success in ((Prepared.of_circuit(), 0.75), (Prepared.of_circuit().twirled(), 0.5)):
        qubits, n = Qubits(prepared, 100_000, SimRandom(2)), 100_000
        hers, s = Half(qubits, 0).measure_all(Basis.X), Half(qubits, 1).measure_all() >> 1
        guess = np.where(hers == 1, 0, np.where(hers == 2, 1, np.arange(n) & 1))
        assert abs((guess == s).mean() - success) < 4 * np.sqrt(0.25 / n)


def test_what_passes_in_x():
    codes = np.arange(16, dtype=np.uint8)

    assert np.flatnonzero(x_test(*halves(codes))).tolist() == [0, 5, 7, 9, 11]
