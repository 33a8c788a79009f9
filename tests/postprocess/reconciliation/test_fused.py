"""Both parties in one call: goldens, equality with the plain reference and with the messages, efficiency, failures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core.errors import ParameterError
from heliograph.postprocess.finite_key import binary_entropy
from heliograph.postprocess.reconciliation import CascadeParameters, reconcile
from heliograph.postprocess.reconciliation._plain import reconcile as plain_reconcile
from heliograph.postprocess.verification import polynomial_tag

GOLDENS = [(4096, 0.01, 0, 51, 14), (4096, 0.01, 41, 364, 104), (16384, 0.05, 819, 4986, 476), (131072, 0.01, 1311, 10866, 455)]


def _packed(bits):
    return np.packbits(bits, bitorder="little")


def _keys(generator, n, rate):
    """Alice's and Bob's bits, packed, and the number of errors; n a multiple of 8."""
    alice = generator.integers(0, 256, n // 8, np.uint8)
    errors = _packed(generator.random(n, np.float32) < rate)
    return alice, alice ^ errors, int(np.bitwise_count(errors).sum())


@pytest.mark.parametrize(("n", "q_est", "errors", "leak", "rounds"), GOLDENS)
def test_the_goldens(n, q_est, errors, leak, rounds, golden_keys, seed):
    alice, bob = golden_keys(n, errors)

    found = reconcile(_packed(alice), _packed(bob), n, CascadeParameters(q_est, seed, frame_bits=n))

    assert (found.disclosed.tolist(), found.rounds.tolist(), found.corrected.tolist()) == ([leak], [rounds], [errors])
    assert np.array_equal(found.key, _packed(alice))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60_000), st.floats(0.0, 0.12), st.floats(0.0, 0.2), st.sampled_from([4096, 8192, 16384]))
def test_every_frame_goes_as_in_the_plain_reference(numpy_seed, n, rate, q_est, frame_bits):
    generator = np.random.default_rng(numpy_seed)
    alice = generator.integers(0, 2, n, np.uint8)
    bob = alice ^ (generator.random(n) < rate).astype(np.uint8)
    seed = generator.bytes(32)

    found = reconcile(_packed(alice), _packed(bob), n, CascadeParameters(q_est, seed, frame_bits=frame_bits))

    frames = -(-n // frame_bits)
    padded = np.zeros((2, frames * frame_bits), np.uint8)
    padded[:, :n] = alice, bob
    plain = [plain_reconcile(one, other, q_est, seed) for one, other in zip(*padded.reshape(2, frames, frame_bits), strict=True)]
    assert found.disclosed.tolist() == [each.leak for each in plain]
    assert found.rounds.tolist() == [each.rounds for each in plain]
    assert found.corrected.tolist() == [each.corrected for each in plain]
    assert np.array_equal(found.key, _packed(np.concatenate([each.bits for each in plain])[:n]))


@pytest.mark.parametrize(("frame_bits", "rate"), [(4096, 0.03), (32768, 0.08), (131072, 0.005)])
def test_it_does_what_the_messages_do(frame_bits, rate, exchange, seed):
    n = 5 * frame_bits + 17
    generator = np.random.default_rng(21)
    alice = generator.integers(0, 2, n, np.uint8)
    bob = alice ^ (generator.random(n) < rate).astype(np.uint8)
    params = CascadeParameters(rate, seed, frame_bits=frame_bits, in_flight=3)

    found, done = reconcile(_packed(alice), _packed(bob), n, params), exchange(alice, bob, params)

    assert found.disclosed.sum() == done.bob.disclosed
    assert np.array_equal(found.rounds, done.bob.rounds)
    assert np.array_equal(found.corrected, done.bob.corrected)
    assert np.array_equal(found.key, done.bob.key)


def test_keys_that_have_nothing_in_common_still_end_and_leave_nothing_behind_for_the_next_frame(seed):
    n = 16384
    alice, bob, errors = _keys(np.random.default_rng(3), 2 * n, 0.5)
    bits = [np.unpackbits(key, bitorder="little").reshape(2, n) for key in (alice, bob)]

    found = reconcile(alice, bob, 2 * n, CascadeParameters(0.11, seed, frame_bits=n))

    assert np.array_equal(found.key, alice)
    assert found.corrected.sum() == errors
    assert found.disclosed.tolist() == [plain_reconcile(a, b, 0.11, seed).leak for a, b in zip(*bits, strict=True)]
    assert found.disclosed[0] > 1.2 * n


def test_the_callers_keys_are_left_alone(seed):
    alice, bob, _ = _keys(np.random.default_rng(4), 8192, 0.02)
    before = alice.copy(), bob.copy()

    reconcile(alice, bob, 8192, CascadeParameters(0.02, seed, frame_bits=4096))

    assert np.array_equal(alice, before[0])
    assert np.array_equal(bob, before[1])


def test_a_key_that_is_not_packed_as_said_is_refused(seed):
    good, bad = np.zeros(13, np.uint8), np.zeros(10, np.uint8)

    for keys in ((good, bad), (bad, good)):
        with pytest.raises(ParameterError) as caught:
            reconcile(*keys, 100, CascadeParameters(0.01, seed))
        assert caught.value.where == "key"


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "limit"), [(0.005, 1.03), (0.01, 1.035), (0.02, 1.035), (0.05, 1.06)])
def test_two_thousand_frames_meet_efficiency_and_failure_targets_and_no_error_stays_undetected(rate, limit):
    generator = np.random.default_rng(round(1e4 * rate))
    frame, frames, batch = 131072, 2000, 100
    leak = errors = failed = undetected = 0
    for _ in range(frames // batch):
        alice, bob, wrong = _keys(generator, batch * frame, rate)
        found = reconcile(alice, bob, batch * frame, CascadeParameters(rate, generator.bytes(32)))
        leak, errors = leak + int(found.disclosed.sum()), errors + wrong
        differs = (found.key != alice).reshape(batch, -1).any(axis=1)
        failed += int(differs.sum())
        key = int.from_bytes(generator.bytes(8), "little")
        for index in np.flatnonzero(differs):
            part = slice(index * frame // 8, (index + 1) * frame // 8)
            undetected += polynomial_tag(alice[part], frame, key) == polynomial_tag(found.key[part], frame, key)

    assert undetected == 0
    assert failed <= frames / 1000
    assert leak / (frames * frame * binary_entropy(errors / (frames * frame))) <= limit
