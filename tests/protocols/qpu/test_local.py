import itertools
import subprocess
import sys
import time

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Parameter
from qiskit.quantum_info import Statevector

from heliograph.core.errors import ParameterError, QpuConfigError, QpuUnsupported
from heliograph.protocols.qpu import Work, open_backend
from heliograph.protocols.qpu.factory import KNOWN, Known
from heliograph.protocols.qpu.feed_forward import accepted, direct_s, e2, e2_terms, guessed_s, guessed_shots, xor_free_s
from heliograph.protocols.qpu.local import LocalBackend

LIGHT = """
import sys, time
import numpy
start = time.process_time()
import {module}
took = time.process_time() - start
vendors = {{"qiskit", "qiskit_aer", "qiskit_ibm_runtime", "qiskit_braket_provider", "braket", "boto3", "botocore", "torch"}}
print(took, *(vendors & {{name.split(".")[0] for name in sys.modules}}))
"""


@pytest.fixture(scope="module")
def backend():
    return LocalBackend()


@pytest.mark.parametrize("module", ["heliograph", "heliograph.gui", "heliograph.acquisition", "heliograph.protocols.qpu", "heliograph.cli.qpu"])
def test_importing_loads_nothing_of_a_vendor_and_takes_at_most_half_a_second(module):
    runs = [subprocess.run([sys.executable, "-c", LIGHT.format(module=module)], capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]

    assert all(run[1:] == [] for run in runs)
    assert min(float(run[0]) for run in runs) <= 0.5


@pytest.mark.parametrize("name", ["straight", "crossed", "registers", "gap", "ends", "matrix", "nine"])
def test_every_shot_of_a_golden_circuit(backend, goldens, name):
    circuit, row = goldens[name]

    (samples,) = backend.run([Work(circuit)], 50)

    assert samples.bits.dtype == np.uint8
    assert samples.bits.tolist() == [row] * 50
    law = backend.probabilities(Work(circuit))
    assert law.argmax() == int("".join(map(str, row)), 2)
    assert law.max() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["branch", "reset"])
def test_every_shot_of_a_dynamic_golden_circuit(backend, dynamic_goldens, name):
    circuit, row = dynamic_goldens[name]

    assert backend.run([Work(circuit)], 50)[0].bits.tolist() == [row] * 50


def test_the_registers_of_a_circuit_stay_apart(backend, goldens):
    (samples,) = backend.run([Work(goldens["registers"][0])], 3)

    assert samples.cregs == (("a", 1), ("b", 1))
    assert samples.register("a").tolist() == [[1]] * 3
    assert samples.register("b").tolist() == [[0]] * 3
    assert samples.codes([1, 0]).tolist() == [1] * 3
    with pytest.raises(ParameterError, match="no classical register"):
        samples.register("d")


def test_the_published_circuit_has_its_exact_law_and_its_samples_follow_it(backend, paper, ideal, follows, in_order):
    (samples,) = backend.run([Work(paper)], 100_000, seed=1)

    np.testing.assert_allclose(backend.probabilities(Work(paper)), ideal, atol=1e-12)
    follows(samples.codes(), ideal)
    in_order(samples.codes())
    assert samples.ordered


def test_seeds(backend, paper):
    first, other = (samples.bits for samples in backend.run([Work(paper)] * 2, 500, seed=7))
    again = backend.run([Work(paper)] * 2, 500, seed=7)
    fresh = [backend.run([Work(paper)], 500)[0].bits for _ in range(2)]

    assert (first == again[0].bits).all()
    assert (other == again[1].bits).all()
    assert (first != other).any()
    assert (fresh[0] != fresh[1]).any()


def test_dynamic_samples_repeat_with_their_seed(backend):
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.h(0)
    circuit.measure(0, 1)
    runs = [backend.run([Work(circuit)], 300, seed=seed)[0].bits for seed in (5, 5, 6)]

    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()


@pytest.mark.parametrize("seed", range(12))
def test_laws_are_those_of_qiskit(backend, seed):
    from qiskit.circuit.random import random_circuit

    bare = random_circuit(4, 4, max_operands=3, seed=seed)
    circuit = bare.copy()
    circuit.measure_all()

    law = backend.probabilities(Work(circuit))

    # Qiskit's most significant bit is the last qubit.
    expected = np.asarray(Statevector(bare).probabilities()).reshape([2] * 4).transpose(3, 2, 1, 0).reshape(-1)
    np.testing.assert_allclose(law, expected, atol=1e-12)


def test_works_of_one_structure_are_taken_together_and_keep_their_own_angles(backend):
    angle = Parameter("a")
    swept = QuantumCircuit(2, 2)
    swept.ry(2 * angle, 0)
    swept.crx(angle, 0, 1)
    swept.measure([0, 1], [0, 1])
    fixed = [swept.assign_parameters({angle: value}) for value in (0.3, 2.0)]
    works = [Work.of(swept, {"a": 0.3}), Work.of(swept, {"a": 2.0}), *map(Work, fixed)]

    sampled = [np.bincount(samples.codes(), minlength=4) / 40_000 for samples in backend.run(works, 40_000, seed=3)]

    for work, law in zip(works, sampled, strict=True):
        np.testing.assert_allclose(law, backend.probabilities(work), atol=0.012)


def test_every_closed_form_is_the_gate(backend):
    from qiskit.circuit.library import CPhaseGate, PhaseGate, RXGate, RYGate, RZGate, UGate

    from heliograph.protocols.qpu.gates import CLOSED

    draw = np.random.default_rng(2)
    for gate in (RXGate, RYGate, RZGate, PhaseGate, UGate, CPhaseGate):
        angles = draw.uniform(-7, 7, (5, 3 if gate is UGate else 1))
        found = CLOSED[gate(*angles[0]).name](*angles.T)
        np.testing.assert_allclose(found, [gate(*row).to_matrix() for row in angles], atol=1e-14)


def test_wide_gates_and_prepared_states_are_taken_apart(backend):
    circuit = QuantumCircuit(4, 4)
    circuit.initialize([0.6, 0.8], 0)
    circuit.mcx([0, 1, 2], 3)
    circuit.initialize([0, 0, 0, 1], [1, 2])
    with pytest.raises(QpuUnsupported):
        backend.probabilities(Work(_measured(circuit)))
    circuit.data.pop()
    circuit.x([1, 2])
    circuit.mcx([0, 1, 2], 3)

    law = backend.probabilities(Work(_measured(circuit)))

    assert law[0b0110] == pytest.approx(0.36)
    assert law[0b1111] == pytest.approx(0.64)


def _measured(circuit):
    found = circuit.copy()
    found.measure(range(4), range(4))
    return found


def test_dynamic_and_wide_circuits_have_limits(backend, dynamic_goldens):
    wide = QuantumCircuit(13, 1)
    wide.measure(0, 0)
    wide.h(0)
    with pytest.raises(QpuConfigError, match="12 qubits"):
        backend.submit([Work(wide)], 1)
    with pytest.raises(QpuConfigError, match="20"):
        broad = QuantumCircuit(21, 1)
        broad.measure(0, 0)
        backend.submit([Work(broad)], 1)
    with pytest.raises(QpuConfigError, match="no exact law"):
        backend.probabilities(Work(dynamic_goldens["branch"][0]))


def test_a_given_law_is_sampled(paper, follows):
    law = np.random.default_rng(1).dirichlet(np.ones(16))
    backend = open_backend("local:joint", law=law)

    (samples,) = backend.run([Work(paper)], 50_000, seed=1)

    follows(samples.codes(), law)
    np.testing.assert_allclose(backend.probabilities(Work(paper)), law, atol=1e-15)
    with pytest.raises(QpuConfigError, match="4 classical bits"):
        open_backend("local:joint", law=np.ones(2) / 2).submit([Work(paper)], 1)


@pytest.mark.parametrize("law", [np.ones(3) / 3, np.array([0.5, 0.6]), np.array([1.5, -0.5]), np.array([np.nan, 1]), np.ones((2, 2)) / 4])
def test_a_law_that_is_none_is_refused(law):
    with pytest.raises(QpuConfigError, match="law"):
        open_backend("local:joint", law=law)


@pytest.mark.parametrize("config", ["local:joint", "nope", "fake:", "local:other", "braket:qq", "outside:", "recorded:", "ibm:"])
def test_a_name_that_is_no_back_end_is_refused_with_those_there_are(config):
    with pytest.raises(QpuConfigError) as caught:
        open_backend(config)

    assert caught.value.remedy


def test_without_a_project_a_job_lives_as_long_as_its_back_end(backend, paper):
    job = backend.submit([Work(paper)], 10)

    assert backend.resume(job.uuid).result()[0].shots == 10
    assert backend.cost([Work(paper)] * 2, 10).shots == 20
    assert job.cancel() == "DONE"
    with pytest.raises(QpuConfigError, match="project"):
        LocalBackend().resume(job.uuid)


def test_a_barrier_inside_a_branch_is_passed_over(backend):
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.barrier()
        circuit.x(1)
    circuit.measure(1, 1)

    assert backend.run([Work(circuit)], 5)[0].bits.tolist() == [[1, 1]] * 5


def test_an_operation_that_is_no_gate_is_refused(backend):
    circuit = QuantumCircuit(1, 1)
    circuit.append(Gate("mystery", 1, []), [0])
    circuit.measure(0, 0)

    with pytest.raises(QpuUnsupported, match="mystery"):
        backend.submit([Work(circuit)], 5)


def test_what_is_not_compiled_is_run_as_it_was_given(backend, paper):
    assert backend.compiled(Work(paper)) is paper


def test_old_jobs_without_a_project_are_forgotten(paper, monkeypatch):
    monkeypatch.setattr("heliograph.protocols.qpu.engine.REMEMBERED", 2)
    backend = LocalBackend()
    first, second, third = (backend.submit([Work(paper)], 5) for _ in range(3))

    assert backend.resume(second.uuid) is second
    assert backend.resume(third.uuid) is third
    with pytest.raises(QpuConfigError, match="end with their process"):
        backend.resume(first.uuid)


def test_a_job_without_a_project_cannot_be_given_up(backend, paper):
    with pytest.raises(QpuConfigError, match="no project folder"):
        backend.give_up(backend.submit([Work(paper)], 5).uuid)


def test_which_back_ends_are_installed_is_told():
    missing = Known("x", "nowhere", ("no_such_module", "no-such-package"))

    assert all(one.installed for one in KNOWN)
    assert not missing.installed
    assert {one.config.partition(":")[0] for one in KNOWN if one.cloud} == {"ibm", "braket"}


def test_a_sweep_of_1024_works_takes_at_most_5_us_a_gate_and_circuit(backend):
    circuit = QuantumCircuit(8, 8)
    for _ in range(16):
        for qubit in range(8):
            circuit.h(qubit)
            circuit.cx(qubit, (qubit + 1) % 8)
    gates = circuit.size()
    circuit.measure(range(8), range(8))
    took = []
    for _ in range(3):
        start = time.process_time()
        backend.run([Work(circuit)] * 1024, 1)
        took.append((time.process_time() - start) / 1024 / gates)

    assert min(took) <= 5e-6


# Feed-forward: S to the power of an XOR of outcomes.

THETA = 0.9


def gadget(form, guess=0):
    """Three random bits; then H S^r H on a rotated qubit, with r = c0 + c1 + c2 + 1 mod 2, so that both S and what is left of it are seen."""
    circuit = QuantumCircuit(4, 4)
    circuit.ry(THETA, 3)
    circuit.h([0, 1, 2])
    circuit.measure(range(3), range(3))
    form(circuit, 3, guess)
    circuit.rx(0.8, 3)
    circuit.measure(3, 3)
    return circuit


def law_given(bits):
    """P(last bit = 1 | the three bits), with S^r applied exactly."""
    found = []
    for r in ((row.sum() + 1) % 2 for row in bits):
        circuit = QuantumCircuit(1)
        circuit.ry(THETA, 0)
        if r:
            circuit.s(0)
        circuit.rx(0.8, 0)
        found.append(abs(Statevector(circuit).data[1]) ** 2)
    return np.array(found)


def exact_joint():
    bits = np.array(list(itertools.product((0, 1), repeat=3)))
    ones = law_given(bits)
    return np.stack([1 - ones, ones], axis=1).reshape(-1) / 8


def test_the_direct_form_is_exact(backend, total_variation):
    circuit = gadget(lambda circuit, qubit, _: direct_s(circuit, qubit, [0, 1, 2], 1))

    (samples,) = backend.run([Work(circuit)], 20_000, seed=1)

    assert total_variation(samples.codes(), exact_joint()) <= 0.02


def test_the_xor_free_form_differs_by_the_z_that_e2_tells(backend, total_variation):
    """Z^e2 after the gadget is undone by sampling both and keeping the shots where it was right to do so."""

    def form(circuit, qubit, undo):
        xor_free_s(circuit, qubit, [0, 1, 2], 1)
        if undo:
            circuit.z(qubit)

    kept = []
    for undo in (0, 1):
        (samples,) = backend.run([Work(gadget(form, undo))], 20_000, seed=2 + undo)
        kept.append(samples.bits[e2(samples.bits[:, :3], 1) == undo])
    codes = np.concatenate(kept).astype(np.int64) @ [8, 4, 2, 1]

    assert total_variation(codes, exact_joint()) <= 0.02


def test_the_guessed_form_keeps_one_shot_in_two(backend, total_variation):
    kept, shots = [], guessed_shots(20_000, 1)
    for guess in (0, 1):
        (samples,) = backend.run([Work(gadget(guessed_s, guess))], shots, seed=4 + guess)
        found = accepted(samples, [([0, 1, 2], 1, guess)])
        assert found.shots / shots == pytest.approx(1 / 2, abs=4 * np.sqrt(0.25 / shots))
        kept.append(found.codes())

    assert total_variation(np.concatenate(kept), exact_joint()) <= 0.02


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_k_guesses_keep_one_shot_in_two_to_the_k(backend, k):
    circuit = QuantumCircuit(k, k)
    circuit.h(range(k))
    circuit.measure(range(k), range(k))
    shots = guessed_shots(2000, k)

    (samples,) = backend.run([Work(circuit)], shots, seed=k)

    kept = accepted(samples, [([bit], 0, 1) for bit in range(k)]).shots
    assert abs(kept / shots - 2.0**-k) <= 4 * np.sqrt(2.0**-k * (1 - 2.0**-k) / shots)


def test_more_than_five_guesses_are_refused():
    with pytest.raises(ParameterError, match="64"):
        guessed_shots(1, 6)


@pytest.mark.parametrize("constant", [0, 1])
@pytest.mark.parametrize("k", range(1, 7))
def test_e2_is_exact_for_every_outcome(k, constant):
    s = np.diag([1, 1j])
    for row in itertools.product((0, 1), repeat=k):
        bits = np.array([row])
        product = np.linalg.matrix_power(s, sum(row) + constant)
        xor = (sum(row) + constant) % 2
        polynomial = sum(np.prod([row[one] for one in term]) for term in e2_terms(range(k), constant)) % 2
        assert e2(bits, constant)[0] == polynomial
        np.testing.assert_allclose(product, np.linalg.matrix_power(s, xor) @ np.linalg.matrix_power(np.diag([1, -1]), int(polynomial)), atol=1e-12)
