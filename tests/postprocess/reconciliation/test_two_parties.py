"""Corrector and Reference together: goldens, equality with the plain reference, counting, frames of every kind."""

import socket
import struct
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core.errors import ParameterError
from heliograph.postprocess.finite_key import binary_entropy
from heliograph.postprocess.reconciliation import CascadeParameters, Corrector, Reference
from heliograph.postprocess.reconciliation._plain import reconcile

GOLDENS = [(4096, 0.01, 0, 51, 14), (4096, 0.01, 41, 364, 104), (16384, 0.05, 819, 4986, 476), (131072, 0.01, 1311, 10866, 455)]


def _keys(numpy_seed, n, rate):
    generator = np.random.default_rng(numpy_seed)
    alice = generator.integers(0, 2, n, np.uint8)
    return alice, alice ^ (generator.random(n) < rate).astype(np.uint8)


def _packed(bits):
    return np.packbits(bits, bitorder="little")


@pytest.mark.parametrize(("n", "q_est", "errors", "leak", "rounds"), GOLDENS)
def test_the_goldens(n, q_est, errors, leak, rounds, golden_keys, exchange, seed):
    alice, bob = golden_keys(n, errors)

    done = exchange(alice, bob, CascadeParameters(q_est, seed, frame_bits=n))

    assert (done.alice.disclosed, done.bob.disclosed) == (leak, leak)
    assert (done.alice.diffs, done.bob.diffs) == (leak, leak)
    assert done.bob.rounds.tolist() == [rounds]
    assert done.bob.corrected.tolist() == [errors]
    assert np.array_equal(done.bob.key, _packed(alice))
    assert done.alice.finished
    assert done.bob.finished


@pytest.mark.parametrize("in_flight", [1, 64])
def test_the_goldens_hold_over_a_socket(in_flight, golden_keys, seed):
    alice, bob = golden_keys(16384, 819)
    corrector, reference = _over_a_socket(alice, bob, CascadeParameters(0.05, seed, frame_bits=16384, in_flight=in_flight))

    assert reference.disclosed == corrector.disclosed == 4986
    assert corrector.rounds.tolist() == [476]
    assert np.array_equal(corrector.key, _packed(alice))


def test_64_frames_in_flight_over_a_socket_disclose_what_one_at_a_time_does(seed):
    alice, bob = _keys(3, 64 * 4096, 0.01)

    one, many = (_over_a_socket(alice, bob, CascadeParameters(0.01, seed, frame_bits=4096, in_flight=in_flight)) for in_flight in (1, 64))

    for corrector, reference in (one, many):
        assert reference.disclosed == corrector.disclosed == one[0].disclosed
        # Short frames may keep an error, which their hash would tell.
        assert int(np.unpackbits(corrector.key ^ _packed(alice)).sum()) < 0.001 * alice.size
    assert np.array_equal(one[0].key, many[0].key)


def _over_a_socket(alice, bob, params):
    """Correct Bob's key over a socket pair, Alice in a thread of her own; return both machines."""
    corrector, reference = Corrector(_packed(bob), bob.size, params), Reference(_packed(alice), alice.size, params)
    near, far = socket.socketpair()

    def answer():
        with far:
            while request := _received(far):
                _send(far, reference.feed(request))

    alices = threading.Thread(target=answer)
    alices.start()
    with near:
        request: bytes | None = corrector.start()
        while request is not None:
            _send(near, request)
            request = corrector.feed(_received(near))
    alices.join(timeout=10)

    assert not alices.is_alive()
    return corrector, reference


def _send(line, message):
    line.sendall(struct.pack("<I", len(message)) + message)


def _received(line):
    """Return the next message, or nothing at the end."""
    size = _exactly(line, 4)
    return _exactly(line, struct.unpack("<I", size)[0]) if size else b""


def _exactly(line, count):
    """Return `count` bytes, or nothing where the line ends before them."""
    received = b""
    while len(received) < count:
        part = line.recv(count - len(received))
        if not part:
            return b""
        received += part
    return received


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60_000), st.floats(0.0, 0.12), st.floats(0.0, 0.2), st.sampled_from([4096, 8192]), st.integers(1, 7))
def test_every_frame_goes_as_in_the_plain_reference(exchange_of, numpy_seed, n, rate, q_est, frame_bits, in_flight):
    alice, bob = _keys(numpy_seed, n, rate)
    params = CascadeParameters(q_est, np.random.default_rng(numpy_seed).bytes(32), frame_bits=frame_bits, in_flight=in_flight)

    done = exchange_of(alice, bob, params)

    plain = []
    for first in range(0, n, frame_bits):
        size = frame_bits  # a remainder of frames shorter than 2^14 is filled up to one of them
        padded = [np.zeros(size, np.uint8), np.zeros(size, np.uint8)]
        for whole, part in zip((alice, bob), padded, strict=True):
            part[: min(size, n - first)] = whole[first : first + size]
        plain.append(reconcile(padded[0], padded[1], q_est, params.seed))
    assert done.alice.disclosed == done.bob.disclosed == sum(each.leak for each in plain)
    assert done.bob.rounds.tolist() == [each.rounds for each in plain]
    assert done.bob.corrected.tolist() == [each.corrected for each in plain]
    assert np.array_equal(done.bob.key, _packed(np.concatenate([each.bits for each in plain])[:n]))


@pytest.fixture(scope="module")
def exchange_of():
    """The same as `exchange`, for tests that hypothesis repeats."""

    class Done:
        def __init__(self, alice, bob, params):
            self.bob, self.alice = Corrector(_packed(bob), bob.size, params), Reference(_packed(alice), alice.size, params)
            request: bytes | None = self.bob.start()
            while request is not None:
                request = self.bob.feed(self.alice.feed(request))

    return Done


@pytest.mark.parametrize("in_flight", [1, 2, 5, 64])
def test_the_number_of_frames_in_flight_changes_nothing_but_the_messages(in_flight, exchange, seed):
    alice, bob = _keys(11, 12 * 4096, 0.02)

    done = exchange(alice, bob, CascadeParameters(0.02, seed, frame_bits=4096, in_flight=in_flight))
    one = exchange(alice, bob, CascadeParameters(0.02, seed, frame_bits=4096, in_flight=3))

    assert np.array_equal(done.bob.key, one.bob.key)
    assert done.bob.disclosed == one.bob.disclosed
    assert np.array_equal(done.bob.rounds, one.bob.rounds)


def test_disclosed_bits_are_those_in_the_replies(exchange, seed):
    alice, bob = _keys(12, 3 * 8192 + 77, 0.03)

    done = exchange(alice, bob, CascadeParameters(0.03, seed, frame_bits=8192))

    counted = 0
    for reply in done.replies:
        items, at = int.from_bytes(reply[12:14], "little"), 14
        for _ in range(items):
            count = int.from_bytes(reply[at + 4 : at + 8], "little")
            counted, at = counted + count, at + 8 + (count + 7) // 8
        assert at == len(reply)
    assert counted == done.alice.disclosed == done.bob.disclosed


def test_padding_never_lowers_the_counted_leak(exchange, seed):
    alice, bob = _keys(13, 4096, 0.01)
    alice[3000:] = bob[3000:] = 0

    short = exchange(alice[:3000], bob[:3000], CascadeParameters(0.01, seed, frame_bits=4096))
    full = exchange(alice, bob, CascadeParameters(0.01, seed, frame_bits=4096))

    assert short.bob.disclosed == full.bob.disclosed
    assert np.array_equal(short.bob.key, full.bob.key[:375])


def test_keys_that_have_nothing_in_common_still_end(exchange, seed):
    alice, bob = _keys(14, 8192, 0.5)

    done = exchange(alice, bob, CascadeParameters(0.11, seed, frame_bits=8192))

    assert np.array_equal(done.bob.key, _packed(alice))
    assert done.bob.disclosed > 0.9 * 8192


def test_the_callers_keys_are_left_alone(exchange, seed):
    alice, bob = _keys(15, 5000, 0.02)
    packed = _packed(bob)
    before = packed.copy()
    params = CascadeParameters(0.02, seed, frame_bits=4096)
    corrector, reference = Corrector(packed, bob.size, params), Reference(_packed(alice), alice.size, params)

    request: bytes | None = corrector.start()
    while request is not None:
        request = corrector.feed(reference.feed(request))

    assert np.array_equal(packed, before)


def test_a_key_that_is_not_packed_as_said_is_refused(seed):
    params = CascadeParameters(0.01, seed)

    for machine in (Corrector, Reference):
        with pytest.raises(ParameterError) as caught:
            machine(np.zeros(10, np.uint8), 100, params)
        assert caught.value.where == "key"


def test_a_tenth_of_a_block_reconciles_with_the_promised_efficiency(exchange, seed):
    alice, bob = _keys(16, 8 * 131072, 0.01)

    done = exchange(alice, bob, CascadeParameters(0.01, seed))

    errors = np.count_nonzero(alice != bob)
    assert np.array_equal(done.bob.key, _packed(alice))
    assert int(done.bob.corrected.sum()) == errors
    assert done.bob.disclosed / (alice.size * binary_entropy(errors / alice.size)) <= 1.035


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "limit"), [(0.01, 1.035), (0.02, 1.035), (0.05, 1.06)])
def test_a_hundred_frames_meet_the_efficiency_target_without_a_failed_one(rate, limit, exchange, seed):
    alice, bob = _keys(17, 100 * 131072, rate)

    done = exchange(alice, bob, CascadeParameters(rate, seed))

    assert np.array_equal(done.bob.key, _packed(alice))
    assert done.bob.disclosed / (alice.size * binary_entropy(np.count_nonzero(alice != bob) / alice.size)) <= limit
