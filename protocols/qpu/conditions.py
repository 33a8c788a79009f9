"""Conditions of `if_test` in the one form that is understood here: an XOR of classical bits and a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core.errors import QpuUnsupported

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

PORTABLE = "Write it as `if_test((bit, 1))` with an else branch, or in the XOR-free form (heliograph.protocols.qpu.feed_forward)."


@dataclass(frozen=True, slots=True)
class Condition:
    """True where the bits sum to an odd number. clbits: indices, each once.  constant: 1 turns the truth round.  plain: written as `(bit, value)`."""

    clbits: tuple[int, ...]
    constant: int
    plain: bool


ALWAYS = Condition((), 1, plain=False)


def condition_of(circuit: QuantumCircuit, condition: Any) -> Condition:
    """Read the condition of an `if_test` of this circuit. Raises QpuUnsupported for registers and for expressions other than XOR and NOT of bits."""
    from qiskit.circuit import Clbit

    if isinstance(condition, tuple):
        target, value = condition
        if not isinstance(target, Clbit):
            raise QpuUnsupported("a condition on a whole register", remedy=PORTABLE)
        return Condition((circuit.find_bit(target).index,), 1 - int(value), plain=True)
    bits, constant = _terms(circuit, condition)
    return Condition(tuple(sorted(bits)), constant, plain=False)


def _terms(circuit: QuantumCircuit, node: Any) -> tuple[frozenset[int], int]:
    from qiskit.circuit import Clbit
    from qiskit.circuit.classical import expr

    if isinstance(node, expr.Var) and isinstance(node.var, Clbit):
        return frozenset({circuit.find_bit(node.var).index}), 0
    if isinstance(node, expr.Value) and isinstance(node.value, bool | int):
        return frozenset(), int(node.value) & 1
    if isinstance(node, expr.Unary) and node.op in {expr.Unary.Op.LOGIC_NOT, expr.Unary.Op.BIT_NOT} and _boolean(node):
        bits, constant = _terms(circuit, node.operand)
        return bits, constant ^ 1
    if isinstance(node, expr.Binary) and node.op is expr.Binary.Op.BIT_XOR and _boolean(node):
        left, right = _terms(circuit, node.left), _terms(circuit, node.right)
        return left[0] ^ right[0], left[1] ^ right[1]
    raise QpuUnsupported("a condition that is no XOR of bits", remedy=PORTABLE)


def _boolean(node: Any) -> bool:
    from qiskit.circuit.classical import types

    return bool(node.type.kind is types.Bool)
