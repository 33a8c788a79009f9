"""The probabilities of the table of goldens, on every back-end there is: teleporting, a rotation between T gates, and the same under encryption."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

from heliograph.protocols.qpu import Work, open_backend
from heliograph.protocols.qpu.feed_forward import direct_s, e2, xor_free_s

TELEPORTED, ROTATED = 0.117579, 0.0810241
SHOTS = 4000


@pytest.fixture(scope="module", params=["local", "aer", "braket:sv", "fake:perth"])
def backend(request):
    return open_backend(request.param)


def within(backend):
    """Nearly six standard deviations, since not all back-ends know a seed; a fake device's noise comes on top."""
    return 0.03 if backend.name != "fake:perth" else 0.12


def teleported():
    circuit = QuantumCircuit(3, 3)
    circuit.ry(0.7, 0)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    for clbit, gate in ((1, circuit.x), (0, circuit.z)):
        with circuit.if_test((circuit.clbits[clbit], 1)):
            gate(2)
    circuit.measure(2, 2)
    return circuit


def test_a_teleported_qubit_arrives(backend):
    (samples,) = backend.run([Work(teleported())], SHOTS)

    assert samples.bits[:, 2].mean() == pytest.approx(TELEPORTED, abs=within(backend))


def test_two_t_gates_between_hadamards(backend):
    circuit = QuantumCircuit(1, 1)
    circuit.ry(0.7, 0)
    for gate in (circuit.h, circuit.t, circuit.h, circuit.t, circuit.h):
        gate(0)
    circuit.measure(0, 0)

    assert backend.run([Work(circuit)], SHOTS)[0].bits.mean() == pytest.approx(ROTATED, abs=within(backend))
    if backend.limits.exact:
        assert backend.probabilities(Work(circuit))[1] == pytest.approx(ROTATED, abs=1e-7)


def encrypted(power):
    """The same circuit under random keys, each T by a gadget; returns it, the bits of the X key, and the bits of each power of S.

    power: puts S to the power of an XOR of bits on a wire.
    """
    circuit = QuantumCircuit(5, 9)
    # Keys x, z (bits 0, 1), drawn on the device; qubit 4 is their coin.
    for clbit in (0, 1):
        circuit.h(4)
        circuit.measure(4, clbit)
        circuit.reset(4)
    circuit.ry(0.7, 0)
    for clbit, gate in ((0, circuit.x), (1, circuit.z)):
        with circuit.if_test((circuit.clbits[clbit], 1)):
            gate(0)
    circuit.h(0)
    # X key: bit 1; Z key: bit 0.
    a, b, wire, powers = [1], [0], 0, []
    for helper, fresh in ((1, 2), (3, 4)):
        circuit.h(helper)
        circuit.cx(helper, fresh)
        circuit.t(wire)
        # T X^a = X^a S^a T up to a phase: the wire is sent through the pair, and S^a undone on the way.
        a = [one for one in dict.fromkeys(a) if a.count(one) % 2]
        power(circuit, wire, a)
        powers.append(a)
        circuit.cx(wire, helper)
        circuit.h(wire)
        measured = 2 * len(powers)
        circuit.measure(wire, measured)
        circuit.measure(helper, measured + 1)
        # Undoing S^a by S^a leaves Z^a; the pair adds X^m, Z^h.
        a, b, wire = [*a, measured + 1], [*b, *a, measured], fresh
        circuit.h(wire)
        a, b = b, a
    circuit.measure(wire, 8)
    return circuit, [one for one in range(9) if a.count(one) % 2], powers


def test_two_encrypted_t_gadgets_decrypt_to_the_plain_circuit(backend):
    """The direct form where expressions are taken; else one branch a bit, and e2 of its bits joins the Z key, which the last Hadamard makes the X key."""
    circuit, key, powers = encrypted(direct_s if backend.limits.expr_conditions else xor_free_s)

    (samples,) = backend.run([Work(circuit)], SHOTS)

    raw = samples.bits[:, 8]
    decrypted = raw ^ np.bitwise_xor.reduce(samples.bits[:, key], axis=1)
    if not backend.limits.expr_conditions:
        decrypted ^= e2(samples.bits[:, powers[-1]]).astype(np.uint8)
    assert len(powers[-1]) > 1
    assert raw.mean() == pytest.approx(0.5, abs=6 * np.sqrt(0.25 / SHOTS))
    assert decrypted.mean() == pytest.approx(ROTATED, abs=within(backend))
