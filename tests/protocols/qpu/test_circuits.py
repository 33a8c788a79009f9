import hashlib

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qasm3
from qiskit.circuit import Clbit, Parameter
from qiskit.circuit.classical import expr

from heliograph.core.errors import QpuConfigError, QpuUnsupported
from heliograph.protocols.qpu.circuits import circuit_hash, read_works
from heliograph.protocols.qpu.conditions import condition_of
from heliograph.protocols.qpu.interface import Limits, Work
from heliograph.protocols.qpu.qasm import load_qasm, parse_qasm
from heliograph.protocols.qpu.simplify import simplified

ALL = Limits(dynamic=True, expr_conditions=True, reset=True)
STATIC = Limits()


def measured(n=1, clbits=None):
    circuit = QuantumCircuit(n, clbits or n)
    circuit.measure(range(n), range(n))
    return circuit


def test_text_and_hash_of_the_published_circuit(paper):
    text = qasm3.dumps(paper)

    assert len(text) == 228
    assert hashlib.sha256(text.encode()).hexdigest() == "cb4c6b1f28f95258dc23dd18c6ff6ece5484fff1fd3b0b9f5e8f0fb80c768fe3"
    assert circuit_hash(paper) == "a25f2373a7f752f59642b26f8115e21a026b0f27ce6fbad9c4a2ed4d9936104e"


def test_the_hash_tells_angles_apart_that_the_text_does_not():
    angles = [np.pi / 2, np.pi / 2 + 1e-10]
    circuits = [measured() for _ in angles]
    for circuit, angle in zip(circuits, angles, strict=True):
        circuit.data.clear()
        circuit.ry(angle, 0)
        circuit.measure(0, 0)

    assert qasm3.dumps(circuits[0]) == qasm3.dumps(circuits[1])
    assert circuit_hash(circuits[0]) != circuit_hash(circuits[1])


def test_the_hash_knows_the_angles_inside_branches_and_the_bindings():
    def branched(angle):
        circuit = measured(2)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.ry(angle, 1)
        return circuit

    assert circuit_hash(branched(np.pi)) != circuit_hash(branched(np.pi + 1e-12))
    assert circuit_hash(measured(), [("a", 0.1)]) != circuit_hash(measured(), [("a", 0.2)])
    assert circuit_hash(measured(), [("a", 0.1), ("b", 1.0)]) == circuit_hash(measured(), [("b", 1.0), ("a", 0.1)])


def test_the_hash_knows_the_amplitudes_of_a_state_that_is_prepared():
    def prepared(phase):
        circuit = QuantumCircuit(1, 1)
        circuit.initialize(np.array([1, phase]) / np.sqrt(2), 0)
        circuit.measure(0, 0)
        return circuit

    assert circuit_hash(prepared(1j), text="") == circuit_hash(prepared(1j), text="")
    assert circuit_hash(prepared(1j), text="") != circuit_hash(prepared(-1j), text="")


def test_a_parameter_that_is_bound_twice_is_refused():
    circuit = QuantumCircuit(1, 1)
    circuit.ry(Parameter("a"), 0)
    circuit.measure(0, 0)

    with pytest.raises(QpuConfigError, match="Bind each once"):
        read_works([Work(circuit, (("a", 1.0), ("a", 1.0)))], 1, ALL, "here")


def test_a_circuit_with_a_reset_at_its_beginning_is_not_static():
    circuit = QuantumCircuit(1, 1)
    circuit.reset(0)
    circuit.measure(0, 0)

    (read,) = read_works([Work(circuit)], 1, ALL, "here")

    assert not read.needs.static
    assert not read.needs.midcircuit


def test_a_classical_variable_is_refused():
    circuit = measured()
    circuit.add_var("flag", expr.lift(False))

    with pytest.raises(QpuUnsupported, match="classical variable"):
        read_works([Work(circuit)], 1, ALL, "here")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(QpuConfigError, match="cannot be read") as caught:
        load_qasm(tmp_path / "none.qasm")

    assert "none.qasm" in caught.value.where


def _no_clbits():
    circuit = QuantumCircuit(1)
    circuit.h(0)
    return circuit


def _unmeasured_read():
    circuit = measured(2, 3)
    with circuit.if_test((circuit.clbits[2], 1)):
        circuit.x(0)
    return circuit


def _loose():
    circuit = QuantumCircuit([*QuantumRegister(1, "q")], [Clbit()])
    circuit.measure(0, 0)
    return circuit


def _overlapping():
    bits = [Clbit(), Clbit()]
    circuit = QuantumCircuit(QuantumRegister(1, "q"), ClassicalRegister(bits=bits, name="a"), ClassicalRegister(bits=bits[:1], name="b"))
    circuit.measure(0, 0)
    return circuit


def _rotated():
    circuit = QuantumCircuit(1, 1)
    circuit.ry(Parameter("a"), 0)
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize(
    ("circuit", "params", "shots", "limits", "says"),
    [
        (_no_clbits, {}, 1, ALL, "no classical bits"),
        (lambda: QuantumCircuit(1, 1), {}, 1, ALL, "measures nothing"),
        (_unmeasured_read, {}, 1, ALL, "read before"),
        (_loose, {}, 1, ALL, "exactly one register"),
        (_overlapping, {}, 1, ALL, "exactly one register"),
        (_rotated, {}, 1, ALL, "parameters"),
        (_rotated, {"b": 1.0}, 1, ALL, "parameters"),
        (_rotated, {"a": 1.0, "b": 1.0}, 1, ALL, "parameters"),
        (_rotated, {"a": float("nan")}, 1, ALL, "not finite"),
        (measured, {}, 0, ALL, "shots"),
        (measured, {}, 1.5, ALL, "shots"),
        (lambda: measured(4), {}, 1, Limits(max_qubits=3), "4 qubits"),
        (measured, {}, 9, Limits(max_shots=8), "shots"),
        (measured, {}, 9, Limits(max_executions=8), "executions"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(circuit, params, shots, limits, says):
    with pytest.raises(QpuConfigError, match=says) as caught:
        read_works([Work.of(circuit(), params)], shots, limits, "here")

    assert caught.value.where.startswith("here")
    assert caught.value.remedy


def test_no_work_and_too_many_works_are_refused():
    with pytest.raises(QpuConfigError, match="no work"):
        read_works([], 1, ALL, "here")
    with pytest.raises(QpuConfigError, match="works"):
        read_works([Work(measured())] * 3, 1, Limits(max_works=2), "here")


def _branching(condition):
    circuit = measured(2)
    with circuit.if_test(condition(circuit)):
        circuit.x(1)
    return circuit


def _nested():
    circuit = measured(3)
    with circuit.if_test((circuit.clbits[0], 1)), circuit.if_test((circuit.clbits[1], 1)):
        circuit.x(2)
    return circuit


def _inside(act):
    circuit = measured(2)
    with circuit.if_test((circuit.clbits[0], 1)):
        act(circuit)
    return circuit


def _while():
    circuit = measured(1)
    with circuit.while_loop((circuit.clbits[0], 1)):
        circuit.x(0)
    return circuit


def _for():
    circuit = measured(1)
    with circuit.for_loop(range(2)):
        circuit.x(0)
    return circuit


def _switch():
    circuit = measured(1)
    with circuit.switch(circuit.clbits[0]) as case, case(0):
        circuit.x(0)
    return circuit


def _reset():
    circuit = QuantumCircuit(1, 1)
    circuit.reset(0)
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize(
    ("circuit", "limits", "says"),
    [
        (lambda: _branching(lambda c: (c.clbits[0], 1)), STATIC, "feed-forward"),
        (lambda: _branching(lambda c: (c.cregs[0], 2)), ALL, "register"),
        (lambda: _branching(lambda c: expr.bit_xor(c.clbits[0], c.clbits[1])), Limits(dynamic=True), "expression"),
        (lambda: _branching(lambda c: expr.bit_and(c.clbits[0], c.clbits[1])), ALL, "XOR"),
        (_nested, ALL, "branch inside"),
        (lambda: _inside(lambda c: c.measure(1, 1)), ALL, "conditional measure"),
        (lambda: _inside(lambda c: c.reset(1)), ALL, "conditional reset"),
        (_while, ALL, "while"),
        (_for, ALL, "for loop"),
        (_switch, ALL, "switch"),
        (_reset, STATIC, "reset"),
    ],
)
def test_what_a_back_end_cannot_run_is_refused_with_another_way(circuit, limits, says):
    with pytest.raises(QpuUnsupported, match=says) as caught:
        read_works([Work(circuit())], 1, limits, "here")

    assert caught.value.remedy
    assert caught.value.feature


@pytest.mark.parametrize(
    ("condition", "clbits", "constant"),
    [
        (lambda c: (c.clbits[1], 1), (1,), 0),
        (lambda c: (c.clbits[1], 0), (1,), 1),
        (lambda c: expr.lift(c.clbits[0]), (0,), 0),
        (lambda c: expr.logic_not(c.clbits[0]), (0,), 1),
        (lambda c: expr.bit_xor(c.clbits[0], c.clbits[2]), (0, 2), 0),
        (lambda c: expr.bit_xor(expr.bit_xor(c.clbits[0], c.clbits[2]), expr.logic_not(c.clbits[0])), (2,), 1),
        (lambda c: expr.bit_xor(expr.lift(c.clbits[0]), expr.lift(True)), (0,), 1),
    ],
)
def test_conditions_are_read_as_an_xor(condition, clbits, constant):
    circuit = measured(3)

    found = condition_of(circuit, condition(circuit))

    assert (found.clbits, found.constant) == (clbits, constant)


def test_what_means_nothing_is_left_out():
    circuit = QuantumCircuit(2, 2, global_phase=1)
    circuit.initialize([0.6, 0, 0, 0.8], [0, 1])
    circuit.barrier()
    circuit.delay(10, 0)
    circuit.measure([0, 1], [0, 1])

    found = simplified(circuit)

    assert {one.operation.name for one in found.data} == {"state_preparation", "measure"}
    assert found.global_phase == 0
    circuit.initialize("0", 0)
    with pytest.raises(QpuUnsupported, match="initialize"):
        simplified(circuit)


def test_needs_of_a_static_and_of_a_dynamic_circuit(paper, dynamic_goldens):
    (static,) = read_works([Work(paper)], 1, ALL, "here")
    (dynamic,) = read_works([Work(dynamic_goldens["reset"][0])], 1, ALL, "here")

    assert static.needs.static
    assert static.needs.places == ((0, 0), (1, 1), (2, 2), (3, 3))
    assert (dynamic.needs.conditional, dynamic.needs.midcircuit, dynamic.needs.reset, dynamic.needs.expression) == (True, True, True, False)
    assert dynamic.needs.written == (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("h q[0];", "neither"),
        ("OPENQASM 3.0;\nnonsense q;", "understood"),
        ("OPENQASM 2.0;\nqreg q[1];\nfoo q[0];", "understood"),
        ("OPENQASM 9.0;", "neither"),
    ],
)
def test_a_file_that_is_no_circuit_is_named(text, says):
    with pytest.raises(QpuConfigError, match=says) as caught:
        parse_qasm(text, "x.qasm")

    assert caught.value.where == "x.qasm"


def test_both_versions_of_openqasm_are_read():
    two = parse_qasm('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\nh q[0];\ncx q[0],q[1];\nmeasure q -> c;', "a")
    three = parse_qasm('OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nh q[0];\ncx q[0],q[1];\nc = measure q;', "b")

    assert two.count_ops() == three.count_ops()
