"""Reading circuits before anything is done with them: what they need, whether they make sense, and the hash that names them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...core.errors import QpuConfigError, QpuUnsupported
from .conditions import PORTABLE, condition_of
from .interface import Limits, Work
from .samples import Registers

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

_REFUSED = {
    "while_loop": "a while loop",
    "for_loop": "a for loop",
    "switch_case": "a switch",
    "break_loop": "a break",
    "continue_loop": "a continue",
    "store": "a store",
}
_IDLE = frozenset({"barrier", "delay"})


@dataclass(frozen=True)
class Needs:
    """What a circuit asks of a back-end.

    midcircuit: something happens to a qubit after its measurement.  written: classical bits that are ever measured.  places: qubit and
    classical bit of the measurements; where two qubits go to one bit, the last holds.
    """

    conditional: bool
    expression: bool
    midcircuit: bool
    reset: bool
    written: tuple[int, ...]
    places: tuple[tuple[int, int], ...]

    @property
    def static(self) -> bool:
        """Return whether the circuit is gates and then measurements, nothing else."""
        return not (self.conditional or self.midcircuit or self.reset)


@dataclass(frozen=True)
class ReadWork:
    """A work that makes sense, with what was read in it."""

    work: Work
    needs: Needs

    @property
    def circuit(self) -> QuantumCircuit:
        """Return the circuit as it was given."""
        return self.work.circuit

    @property
    def cregs(self) -> Registers:
        """Return name and size of the classical registers, in the order they were added."""
        return tuple((register.name, register.size) for register in self.circuit.cregs)

    @property
    def values(self) -> dict[str, float]:
        """Return the parameters by name."""
        return dict(self.work.params)

    @cached_property
    def qasm3(self) -> str:
        """Return the circuit as OpenQASM 3. Raises QpuConfigError where it cannot be written so."""
        return qasm3_text(self.circuit)

    @cached_property
    def hash(self) -> str:
        """Return the name of circuit and parameters, see `circuit_hash`."""
        return circuit_hash(self.circuit, self.work.params, self.qasm3)


def read_works(works: Sequence[Work], shots: int, limits: Limits, where: str) -> list[ReadWork]:
    """Check works against what they mean and what a back-end can.

    Raises QpuConfigError or QpuUnsupported, naming the work and what to do about it; nothing was sent then.
    """
    if not works:
        raise QpuConfigError("no work was given", where=where, remedy="Give at least one circuit.")
    if not isinstance(shots, int) or shots < 1:
        raise QpuConfigError(f"{shots!r} shots were asked", where=where, remedy="Ask for one shot or more.")
    _check_amounts(len(works), shots, limits, where)
    known: dict[int, Needs] = {}
    found = []
    for index, work in enumerate(works):
        place = f"{where}, work {index}"
        if id(work.circuit) not in known:
            known[id(work.circuit)] = _needs(work.circuit, place)
            _check_limits(work.circuit, known[id(work.circuit)], limits, place)
        _check_parameters(work, place)
        found.append(ReadWork(work, known[id(work.circuit)]))
    return found


def _check_amounts(works: int, shots: int, limits: Limits, where: str) -> None:
    for what, asked, most in (("shots", shots, limits.max_shots), ("works", works, limits.max_works), ("executions", works * shots, limits.max_executions)):
        if most is not None and asked > most:
            raise QpuConfigError(f"{asked:,} {what} were asked, one job takes {most:,}", where=where, remedy="Make several jobs of it.")


def _check_parameters(work: Work, where: str) -> None:
    values, names = dict(work.params), {parameter.name for parameter in work.circuit.parameters}
    if len(values) != len(work.params) or values.keys() != names:
        raise QpuConfigError(
            f"the circuit has the parameters {sorted(names)}, values were given for {[name for name, _ in work.params]}", where=where, remedy="Bind each once."
        )
    if bad := [name for name, value in values.items() if not math.isfinite(value)]:
        raise QpuConfigError(f"the parameters {bad} are not finite", where=where, remedy="Give angles in rad.")


def _check_limits(circuit: QuantumCircuit, needs: Needs, limits: Limits, where: str) -> None:
    if limits.max_qubits is not None and circuit.num_qubits > limits.max_qubits:
        raise QpuConfigError(f"the circuit has {circuit.num_qubits} qubits, {limits.max_qubits} are there", where=where, remedy="Choose another back-end.")
    if (needs.conditional or needs.midcircuit) and not limits.dynamic:
        raise QpuUnsupported(
            "feed-forward or measurement in mid-circuit", where=where, remedy="Guess the bits and post-select (feed_forward), or choose a back-end that can."
        )
    if needs.expression and not limits.expr_conditions:
        raise QpuUnsupported("an expression as condition", where=where, remedy=PORTABLE)
    if needs.reset and not limits.reset:
        raise QpuUnsupported("reset", where=where, remedy="Use fresh qubits instead.")


def _needs(circuit: QuantumCircuit, where: str) -> Needs:
    if not circuit.clbits:
        raise QpuConfigError("the circuit has no classical bits", where=where, remedy="Add a classical register and measure into it.")
    if [bit for register in circuit.cregs for bit in register] != list(circuit.clbits):
        raise QpuConfigError("every classical bit must be in exactly one register", where=where, remedy="Use registers that do not overlap.")
    if circuit.num_vars:
        raise QpuUnsupported("a classical variable", where=where, remedy=PORTABLE)
    reader = _Reader(circuit)
    try:
        reader.read()
    except QpuUnsupported as error:
        error.where = error.where or where
        raise
    if not reader.written:
        raise QpuConfigError("the circuit measures nothing", where=where, remedy="Measure at least one qubit.")
    if unmeasured := sorted(reader.unmeasured):
        raise QpuConfigError(f"classical bits {unmeasured} are read before anything was measured into them", where=where, remedy="Measure first.")
    return Needs(reader.conditional, reader.expression, reader.midcircuit, reader.reset, tuple(sorted(reader.written)), reader.places)


class _Reader:
    """Walks once over a circuit."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        self._circuit = circuit
        self._measured: set[int] = set()
        self._qubit_of: dict[int, int] = {}
        self.written: set[int] = set()
        self.unmeasured: set[int] = set()
        self.conditional = self.expression = self.midcircuit = self.reset = False

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Return qubit and classical bit of the measurements that hold at the end."""
        return tuple((qubit, clbit) for clbit, qubit in self._qubit_of.items())

    def read(self) -> None:
        for instruction in self._circuit.data:
            name = instruction.operation.name
            qubits = {self._circuit.find_bit(qubit).index for qubit in instruction.qubits}
            if name in _REFUSED:
                raise QpuUnsupported(_REFUSED[name], remedy=PORTABLE)
            if name in _IDLE:
                continue
            self.midcircuit |= bool(qubits & self._measured)
            if name == "measure":
                self._measured |= qubits
                clbit = self._circuit.find_bit(instruction.clbits[0]).index
                self.written.add(clbit)
                self._qubit_of[clbit] = next(iter(qubits))
            elif name == "if_else":
                self._branch(instruction.operation)
            elif name == "reset":
                self.reset = True

    def _branch(self, operation: Any) -> None:
        condition = condition_of(self._circuit, operation.condition)
        self.conditional = True
        self.expression |= not condition.plain
        self.unmeasured |= set(condition.clbits) - self.written
        for block in operation.blocks:
            for inner in block.data:
                if inner.operation.name in {"if_else", *_REFUSED}:
                    raise QpuUnsupported("a branch inside a branch", remedy=PORTABLE)
                if inner.operation.name in {"measure", "reset"}:
                    raise QpuUnsupported(f"a conditional {inner.operation.name}", remedy="Do it outside the branch.")


def qasm3_text(circuit: QuantumCircuit) -> str:
    """Return a circuit as OpenQASM 3. Raises QpuConfigError where Qiskit cannot write it."""
    from qiskit import qasm3
    from qiskit.qasm3.exceptions import QASM3Error

    try:
        text: str = qasm3.dumps(circuit)
    except QASM3Error as error:
        raise QpuConfigError(f"the circuit cannot be written as OpenQASM 3 ({error})", where=circuit.name, remedy="Use gates that it knows.") from error
    return text


def circuit_hash(circuit: QuantumCircuit, params: Sequence[tuple[str, float]] = (), text: str | None = None) -> str:
    """Return the SHA-256 of OpenQASM 3, gate parameters in hexadecimal, and bindings.

    The text alone does not tell angles 1e-10 apart near multiples of pi, hence the numbers. It depends on Qiskit's exporter: compare within one version.
    """
    angles = ",".join(number.hex() for number in _numbers(circuit))
    bindings = ",".join(f"{name}={float(value).hex()}" for name, value in sorted(params))
    return hashlib.sha256("\0".join((qasm3_text(circuit) if text is None else text, angles, bindings)).encode()).hexdigest()


def _numbers(circuit: QuantumCircuit) -> Iterator[float]:
    for instruction in circuit.data:
        for parameter in instruction.operation.params:
            yield from _numbers_of(parameter)


def _numbers_of(parameter: Any) -> Iterator[float]:
    if hasattr(parameter, "data") and hasattr(parameter, "qubits"):
        yield from _numbers(parameter)
    elif hasattr(parameter, "flat"):
        for entry in parameter.flat:
            yield from (float(entry.real), float(entry.imag))
    elif isinstance(parameter, complex):
        yield from (parameter.real, parameter.imag)
    elif isinstance(parameter, int | float) or (hasattr(parameter, "parameters") and not parameter.parameters):
        yield float(parameter)
