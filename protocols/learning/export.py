"""The same ansatz as a Qiskit circuit, for simulators and devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ParameterError
from .encoding import normalised
from .qnn import Rotations, ring

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def to_circuit(
    n_qubits: int,
    n_layers: int,
    encoding: Literal["angle", "amplitude"] = "angle",
    *,
    sample: NDArray[np.floating] | None = None,
    rotations: Rotations = "ry_rz",
    measure: bool = True,
) -> QuantumCircuit:
    """Return encoding, layers and read-out with named parameters `x_i` (angle encoding) and `t_l_i_k`.

    Our qubit i is Qiskit's qubit i and classical bit i.  sample: values of the amplitude encoding, (D,) with D <= 2^n_qubits; it is fixed in the circuit.
    Raises `ParameterError` where an amplitude encoding has no sample.
    """
    from qiskit import QuantumCircuit
    from qiskit.circuit import Parameter

    circuit = QuantumCircuit(n_qubits, n_qubits) if measure else QuantumCircuit(n_qubits)
    if encoding == "amplitude":
        if sample is None:
            raise ParameterError("the amplitude encoding is fixed in the circuit and needs its sample", where="sample")
        circuit.prepare_state(_little_endian(normalised(sample, n_qubits)[0]), range(n_qubits))
    else:
        for i in range(n_qubits):
            circuit.ry(Parameter(f"x_{i}"), i)
    for layer in range(n_layers):
        for i in range(n_qubits):
            angles = [Parameter(f"t_{layer}_{i}_{k}") for k in range(2)]
            if rotations == "ry_rz":
                circuit.ry(angles[0], i)
            circuit.rz(angles[1], i)
            if rotations == "rz_ry":
                circuit.ry(angles[0], i)
        for control, target in ring(n_qubits):
            circuit.cx(control, target)
    if measure:
        circuit.measure(range(n_qubits), range(n_qubits))
    return circuit


def bindings(theta: NDArray[np.floating], x: NDArray[np.floating] | None = None) -> dict[str, float]:
    """Return values by parameter name for `QuantumCircuit.assign_parameters`: theta (L, n, 2) and, for the angle encoding, x (n,), rad."""
    values = {f"t_{layer}_{i}_{k}": float(theta[layer, i, k]) for layer, i, k in np.ndindex(*theta.shape)}
    return values | {f"x_{i}": float(value) for i, value in enumerate(() if x is None else x)}


def _little_endian(amplitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reorder amplitudes from qubit 0 most significant (ours) to qubit 0 least significant (Qiskit's)."""
    n = amplitudes.size.bit_length() - 1
    return amplitudes.reshape([2] * n).transpose(range(n)[::-1]).reshape(-1)
