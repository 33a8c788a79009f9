"""A circuit as a flat list of steps that the local simulator can take: matrices on wires, measurements, resets, branches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import QpuUnsupported
from .conditions import Condition, condition_of
from .gates import CLOSED
from .simplify import simplified

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

Values = Mapping[str, float]
WIDEST = 3
"""Wider gates are taken apart: one entry of a matrix costs a pass over a slice of the state."""


@dataclass(frozen=True)
class Step:
    """One thing to do. kind: gate, measure, reset or branch.  wires: Qiskit's qubit indices in the operation's order.  angles: numbers and expressions."""

    kind: str
    wires: tuple[int, ...]
    operation: Any = None
    clbit: int = -1
    condition: Condition | None = None
    blocks: tuple[tuple[Step, ...], ...] = field(default=())

    angles: tuple[Any, ...] = ()

    @property
    def shape(self) -> tuple[Any, ...]:
        """Return what two gates must have in common to be taken together, angles aside."""
        fixed = tuple(one.tobytes() for one in self.operation.params if isinstance(one, np.ndarray)) if self.operation is not None else ()
        control = getattr(self.operation, "ctrl_state", None)
        return (self.kind, self.operation.name if self.operation is not None else "", control, self.wires, self.clbit, fixed)


def steps_of(circuit: QuantumCircuit) -> tuple[Step, ...]:
    """Return the steps of a circuit. Raises QpuUnsupported for operations that are no gates."""
    plain = simplified(circuit)
    return tuple(_steps(plain, plain, range(plain.num_qubits)))


def _steps(circuit: QuantumCircuit, inner: QuantumCircuit, place: Sequence[int]) -> Iterator[Step]:
    for instruction in inner.data:
        operation = instruction.operation
        wires = tuple(place[inner.find_bit(qubit).index] for qubit in instruction.qubits)
        if operation.name == "measure":
            yield Step("measure", wires, clbit=circuit.find_bit(instruction.clbits[0]).index)
        elif operation.name == "reset":
            yield Step("reset", wires)
        elif operation.name == "if_else":
            blocks = tuple(tuple(_steps(circuit, block, wires)) for block in operation.blocks)
            yield Step("branch", wires, condition=condition_of(circuit, operation.condition), blocks=blocks)
        elif operation.name not in {"barrier", "delay"}:
            yield from _gate(circuit, operation, wires)


def _gate(circuit: QuantumCircuit, operation: Any, wires: tuple[int, ...]) -> Iterator[Step]:
    if len(wires) <= WIDEST and hasattr(type(operation), "__array__"):
        angles = tuple(one for one in operation.params if not isinstance(one, np.ndarray))
        yield Step("gate", wires, operation, angles=angles)
    elif getattr(operation, "definition", None) is not None:
        yield from _steps(circuit, operation.definition, wires)
    else:
        raise QpuUnsupported(f"the operation {operation.name}", remedy="Use gates with a matrix or a definition.")


def matrix(steps: Sequence[Step], values: Sequence[Values]) -> NDArray[np.complex128]:
    """Return a gate for many works, whose steps have one shape.

    The result is (2^k, 2^k) where it is the same for all, else (works, 2^k, 2^k); the last wire is most significant.
    """
    angles = np.array([[_number(one, bound) for one in step.angles] for step, bound in zip(steps, values, strict=True)])
    if angles.size == 0 or (angles == angles[0]).all():
        return _bound(steps[0].operation, angles[0] if angles.size else ())
    if steps[0].operation.name in CLOSED:
        return CLOSED[steps[0].operation.name](*angles.T)
    return np.stack([_bound(step.operation, row) for step, row in zip(steps, angles, strict=True)])


def _bound(operation: Any, angles: Sequence[float] | NDArray[np.float64]) -> NDArray[np.complex128]:
    if not operation.params or isinstance(operation.params[0], np.ndarray):
        return np.asarray(operation.to_matrix(), np.complex128)
    fixed = operation.to_mutable() if hasattr(operation, "to_mutable") else operation.copy()
    fixed.params = [float(angle) for angle in angles]
    return np.asarray(fixed.to_matrix(), np.complex128)


def _number(parameter: Any, values: Values) -> float:
    names = getattr(parameter, "parameters", ())
    if not names:
        return float(parameter)
    if (name := str(getattr(parameter, "name", ""))) in values:
        return float(values[name])
    return float(parameter.bind({one: values[one.name] for one in names}).numeric())
