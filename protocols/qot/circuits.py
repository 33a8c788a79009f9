"""Circuits that prepare the state of a transfer: qubits 0 to 3 carry b1, b0, s and t, and are measured into classical bits 0 to 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ...core.errors import ParameterError

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

Name = Literal["paper", "one_ccx", "rccx"]
CX_COUNT: dict[str, int] = {"paper": 12, "one_ccx": 8, "rccx": 5}
"""CNOTs of each circuit with all-to-all coupling."""


def state_circuit(name: Name = "paper", *, measured: bool = True, in_x: bool = False) -> QuantumCircuit:
    """Return the circuit of a state.

    name: `paper` (H, Toffoli and X, reconstructed), `one_ccx` (the same state with one Toffoli), `rccx` (the same law, with a relative phase: only for parties
    that measure in the computational basis).  measured: into the register `c`.  in_x: whether X is measured on all four, for the X test, instead of Z.
    """
    from qiskit import QuantumCircuit

    if name not in CX_COUNT:
        raise ParameterError(f"no circuit is called {name!r}", where="circuit", remedy=f"Choose one of {', '.join(CX_COUNT)}.")
    circuit = QuantumCircuit(4)
    for qubit in (0, 1, 2):
        circuit.h(qubit)
    if name == "paper":
        circuit.ccx(2, 0, 3)
        circuit.x(2)
        circuit.ccx(2, 1, 3)
        circuit.x(2)
    else:
        # With b1 read as b1 xor b0, which is as uniform, t = b0 xor s (b1 xor b0); the last CNOT puts b1 back in its qubit.
        circuit.cx(1, 3)
        (circuit.ccx if name == "one_ccx" else circuit.rccx)(2, 0, 3)
        circuit.cx(1, 0)
    if in_x:
        circuit.h(range(4))
    return _measured(circuit) if measured else circuit


def _measured(circuit: QuantumCircuit) -> QuantumCircuit:
    from qiskit import ClassicalRegister

    register = ClassicalRegister(4, "c")
    circuit.add_register(register)
    circuit.measure(range(4), register)
    return circuit
