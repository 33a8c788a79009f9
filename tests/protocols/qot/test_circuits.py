"""Circuits that prepare the state."""

from typing import Any, cast

import numpy as np
import pytest
from qiskit import transpile
from qiskit.quantum_info import Statevector

from heliograph.core.errors import ParameterError
from heliograph.protocols.qot.circuits import CX_COUNT, state_circuit
from heliograph.protocols.qot.laws import ideal


def law(name: Any) -> np.ndarray:
    """Return the exact law of a circuit; Qiskit counts qubit 0 as the lowest bit, a code has it as the highest."""
    return Statevector(state_circuit(name, measured=False)).probabilities([3, 2, 1, 0])


@pytest.mark.parametrize("name", CX_COUNT)
def test_all_circuits_have_the_law_of_the_noiseless_state(name):
    np.testing.assert_allclose(law(name), ideal(), atol=1e-12)


@pytest.mark.parametrize(("name", "fidelity"), [("one_ccx", 1.0), ("rccx", 0.25)])
def test_only_a_relative_phase_makes_another_state(name, fidelity):
    state, paper = (Statevector(state_circuit(one, measured=False)) for one in (name, "paper"))

    assert abs(np.vdot(paper.data, state.data)) ** 2 == pytest.approx(fidelity, abs=1e-12)


@pytest.mark.parametrize("name", CX_COUNT)
def test_circuits_cost_as_many_cnots_as_they_say(name):
    compiled = transpile(state_circuit(name), basis_gates=["cx", "u"], optimization_level=2, seed_transpiler=0)

    assert compiled.count_ops()["cx"] == CX_COUNT[name]


@pytest.mark.parametrize(("name", "share"), [("paper", 1.0), ("one_ccx", 1.0), ("rccx", 0.375)])
def test_the_x_check_passes_as_often_as_the_state_lets_it(name, share):
    circuit = state_circuit(name, measured=False)
    circuit.h(range(4))
    p = Statevector(circuit).probabilities([3, 2, 1, 0]).reshape(2, 2, 2, 2)

    assert p[0, 0, 0, 0] + p[0, 1, :, 1].sum() + p[1, 0, :, 1].sum() == pytest.approx(share, abs=1e-12)


def test_an_unknown_circuit_is_named():
    with pytest.raises(ParameterError, match="rccx"):
        state_circuit(cast(Any, "other"))
