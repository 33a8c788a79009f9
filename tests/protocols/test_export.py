import numpy as np
import pytest
import torch

from heliograph.core.errors import ParameterError
from heliograph.protocols.learning import encoding
from heliograph.protocols.learning.export import bindings, to_circuit
from heliograph.protocols.learning.qnn import Ansatz

SIZES = [(2, 1), (3, 2), (4, 3), (6, 2)]


def expectations_of(circuit):
    from qiskit.quantum_info import Pauli, Statevector

    state = Statevector(circuit)
    return [state.expectation_value(Pauli("Z"), [i]).real for i in range(circuit.num_qubits)]


def draws(n, layers):
    rng = np.random.default_rng(n)
    return rng.uniform(-3, 3, (layers, n, 2)), rng.uniform(-3, 3, n)


@pytest.mark.parametrize(("n", "layers"), SIZES)
@pytest.mark.parametrize("rotations", ["ry_rz", "rz_ry"])
def test_the_exported_circuit_gives_the_expectations_of_the_engine(n, layers, rotations):
    theta, x = draws(n, layers)
    ansatz = Ansatz(n, layers, rotations=rotations, dtype=torch.complex128)
    circuit = to_circuit(n, layers, rotations=rotations, measure=False).assign_parameters(bindings(theta, x))
    mine = ansatz.expectations(encoding.angle(torch.from_numpy(x)[None], torch.complex128), torch.from_numpy(theta))[0]
    assert expectations_of(circuit) == pytest.approx(mine.tolist(), abs=1e-9)


@pytest.mark.parametrize(("n", "layers"), SIZES[:3])
def test_amplitude_samples_are_exported_in_the_order_of_our_qubits(n, layers):
    theta, _ = draws(n, layers)
    sample = np.arange(1.0, 2**n)
    circuit = to_circuit(n, layers, "amplitude", sample=sample, measure=False).assign_parameters(bindings(theta))
    mine = Ansatz(n, layers, dtype=torch.complex128).expectations(encoding.amplitude(sample[None], n, torch.complex128), torch.from_numpy(theta))[0]
    assert expectations_of(circuit) == pytest.approx(mine.tolist(), abs=1e-9)


def test_parameters_are_named_and_every_qubit_is_measured_into_its_own_bit():
    circuit = to_circuit(4, 3)
    names = {parameter.name for parameter in circuit.parameters}
    assert names == {f"x_{i}" for i in range(4)} | {f"t_{layer}_{i}_{k}" for layer in range(3) for i in range(4) for k in range(2)}
    measured = [(circuit.find_bit(op.qubits[0]).index, circuit.find_bit(op.clbits[0]).index) for op in circuit.data if op.operation.name == "measure"]
    assert measured == [(i, i) for i in range(4)]
    assert circuit.count_ops()["cx"] == 12


def test_an_amplitude_circuit_needs_its_sample():
    with pytest.raises(ParameterError, match="sample"):
        to_circuit(2, 1, "amplitude")


@pytest.mark.filterwarnings("default")
def test_the_braket_local_simulator_agrees_with_the_engine():
    from braket.circuits import observables
    from braket.devices import LocalSimulator
    from qiskit_braket_provider import to_braket

    theta, x = draws(4, 3)
    circuit = to_braket(to_circuit(4, 3, measure=False).assign_parameters(bindings(theta, x)))
    for i in range(4):
        circuit.expectation(observables.Z(i))
    values = LocalSimulator().run(circuit, shots=0).result().values

    mine = Ansatz(4, 3, dtype=torch.complex128).expectations(encoding.angle(torch.from_numpy(x)[None], torch.complex128), torch.from_numpy(theta))[0]
    assert values == pytest.approx(mine.tolist(), abs=1e-9)
