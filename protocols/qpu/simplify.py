"""Circuits without what means nothing to a simulator or to Braket: barriers, delays, and `initialize` on fresh qubits as gates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.errors import QpuUnsupported

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

_IDLE = frozenset({"barrier", "delay"})


def simplified(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return the circuit with the same law: no barriers and delays, gates instead of `initialize`, no global phase.

    Raises QpuUnsupported for an `initialize` on qubits that were used before.
    """
    found = circuit.copy_empty_like()
    found.global_phase = 0
    used: set[int] = set()
    for instruction in circuit.data:
        operation, qubits = instruction.operation, {circuit.find_bit(qubit).index for qubit in instruction.qubits}
        if operation.name in _IDLE:
            continue
        if operation.name == "initialize":
            if qubits & used:
                raise QpuUnsupported("`initialize` on qubits that were used before", remedy="Prepare the state with gates, after a reset where there is one.")
            preparation = operation.definition
            for inner in preparation.data:
                if inner.operation.name != "reset":
                    found.append(inner.operation, [instruction.qubits[preparation.find_bit(qubit).index] for qubit in inner.qubits])
        else:
            found.append(instruction)
        used |= qubits
    return found
