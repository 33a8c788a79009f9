import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.protocols import statevector


def _unitary(draw, size, batch=None):
    shape = (size, size) if batch is None else (batch, size, size)
    q, _ = np.linalg.qr(draw.normal(size=shape) + 1j * draw.normal(size=shape))
    return q


def _states(draw, batch, n):
    psi = draw.normal(size=(batch, 2**n)) + 1j * draw.normal(size=(batch, 2**n))
    return psi / np.linalg.norm(psi, axis=1, keepdims=True)


def _plain(psi, gate, wires, n):
    """Apply a gate as the book does: move its wires to the front, multiply, move them back."""
    tensor = np.moveaxis(psi.reshape(-1, *[2] * n), [1 + wire for wire in wires], range(1, 1 + len(wires)))
    shape = tensor.shape
    return np.moveaxis((gate @ tensor.reshape(len(psi), gate.shape[-1], -1)).reshape(shape), range(1, 1 + len(wires)), [1 + wire for wire in wires]).reshape(
        psi.shape
    )


@settings(max_examples=40)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 6), k=st.integers(1, 3), batched=st.booleans(), sparse=st.booleans())
def test_a_gate_does_what_its_matrix_says(seed, n, k, batched, sparse):
    draw = np.random.default_rng(seed)
    k = min(k, n)
    wires = [int(wire) for wire in draw.permutation(n)[:k]]
    gate = np.eye(2**k)[draw.permutation(2**k)].astype(complex) if sparse else _unitary(draw, 2**k, 3 if batched else None)
    psi = _states(draw, 3, n)

    found = statevector.apply(torch.from_numpy(psi), gate, wires).numpy()

    np.testing.assert_allclose(found, _plain(psi, gate, wires, n), atol=1e-12)


def test_the_first_wire_is_most_significant():
    psi = statevector.apply(statevector.zero_states(1, 3), np.array([[0, 1], [1, 0]], complex), [0])

    assert statevector.law(psi, [0, 1, 2]).argmax() == 0b100
    assert statevector.law(psi, [2, 1, 0]).argmax() == 0b001


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 5))
def test_a_projection_leaves_what_the_outcome_allows(seed, n):
    draw = np.random.default_rng(seed)
    psi, wire = _states(draw, 4, n), int(draw.integers(n))
    outcomes = draw.integers(0, 2, 4)

    ones = statevector.one_probability(torch.from_numpy(psi), wire)
    kept = statevector.project(torch.from_numpy(psi), wire, outcomes)

    np.testing.assert_allclose(ones, statevector.law(torch.from_numpy(psi), [wire])[:, 1], atol=1e-12)
    np.testing.assert_allclose(statevector.law(kept, [wire])[np.arange(4), outcomes], 1, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(kept.numpy(), axis=1), 1, atol=1e-12)


@pytest.mark.parametrize(("name", "wires"), [("h", [3]), ("u", [7]), ("cx", [2, 5]), ("cx", [5, 2]), ("ccx", [0, 4, 7])])
def test_a_gate_on_1024_states_of_8_wires_takes_at_most_5_us_each(name, wires):
    draw = np.random.default_rng(0)
    gate = {"h": np.array([[1, 1], [1, -1]]) / np.sqrt(2), "u": _unitary(draw, 2), "cx": np.eye(4)[[0, 1, 3, 2]], "ccx": np.eye(8)[[0, 1, 2, 3, 4, 5, 7, 6]]}[
        name
    ]
    psi = statevector.zero_states(1024, 8)
    took = []
    with statevector.single_thread():
        for _ in range(20):
            start = time.process_time()
            psi = statevector.apply(psi, gate.astype(complex), wires)
            took.append((time.process_time() - start) / 1024)

    assert min(took) < 5e-6
