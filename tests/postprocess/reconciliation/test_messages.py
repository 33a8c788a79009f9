"""Messages that do not fit change nothing, and a repeated one is not counted twice."""

import struct
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core.errors import ReconciliationError
from heliograph.postprocess.reconciliation import CascadeParameters, Corrector, Reference

HEADER = struct.Struct("<2sBBIIH")
SEED = bytes(range(32))
FRAME_BITS, FRAMES = 4096, 5
BLOCK = 77
PASS, ROOTS, STEP, DONE = range(4)


def _pair(in_flight=3):
    generator = np.random.default_rng(21)
    n = FRAME_BITS * FRAMES - 100
    alice = generator.integers(0, 2, n, np.uint8)
    bob = alice ^ (generator.random(n) < 0.02).astype(np.uint8)
    params = CascadeParameters(0.02, SEED, block=BLOCK, frame_bits=FRAME_BITS, in_flight=in_flight)
    return Corrector(np.packbits(bob, bitorder="little"), n, params), Reference(np.packbits(alice, bitorder="little"), n, params)


@cache
def _undisturbed():
    """Return the key and the disclosed bits of the same exchange without any fault."""
    bob, alice = _pair()
    _finish(bob, alice, bob.start())
    return bob.key.tobytes(), alice.disclosed


def _as_undisturbed(bob, alice):
    return (bob.key.tobytes(), alice.disclosed) == (bob.key.tobytes(), bob.disclosed) == _undisturbed()


def _at_round(number, **settings):
    """Return both machines when `number` rounds are over, and the request that comes next."""
    bob, alice = _pair(**settings)
    request = bob.start()
    for _ in range(number):
        request = bob.feed(alice.feed(request))
    return bob, alice, request


def _finish(bob, alice, request):
    while request is not None:
        request = bob.feed(alice.feed(request))


def _request(number, *items, block=BLOCK, count=None):
    return HEADER.pack(b"CR", 1, 0, block, number, len(items) if count is None else count) + b"".join(items)


def _item(frame, kind, index=0, count=0, payload=b""):
    return struct.pack("<IBBI", frame, kind, index, count) + payload


def test_the_first_request_is_byte_for_byte_what_the_text_says():
    bob, alice = _pair()

    request = bob.start()
    reply = alice.feed(request)

    assert request == _request(0, *(_item(frame, PASS) for frame in range(3)))
    # Block size 64: 64 parities a frame.
    assert reply[:14] == HEADER.pack(b"CR", 1, 1, BLOCK, 0, 3)
    assert [reply[14 + 16 * item : 22 + 16 * item] for item in range(3)] == [struct.pack("<II", frame, 64) for frame in range(3)]
    assert len(reply) == 14 + 3 * 16


def test_a_search_names_its_roots_and_then_sends_one_diff_bit_a_search():
    bob, alice = _pair(in_flight=1)
    second = bob.feed(alice.feed(bob.start()))

    frame, kind, index, count = struct.unpack_from("<IBBI", second, 14)
    third = bob.feed(alice.feed(second))

    assert (frame, kind, index) == (0, ROOTS, 0)
    assert second[24:] == b"".join(bytes([0, block]) for block in second[25::2])
    assert len(second) == 24 + 2 * count
    assert struct.unpack_from("<IBBI", third, 14) == (0, STEP, 0, count)
    assert len(third) == 24 + (count + 7) // 8


def test_the_last_request_reports_the_last_frames_and_is_answered_without_parities():
    bob, alice = _pair(in_flight=1)
    requests = [bob.start()]
    while (request := bob.feed(alice.feed(requests[-1]))) is not None:
        requests.append(request)

    assert requests[-1] == _request(len(requests) - 1, _item(FRAMES - 1, DONE))
    assert alice.finished


def test_a_repeated_request_gets_the_stored_reply_and_is_not_counted_twice():
    bob, alice = _pair()
    request = bob.start()

    while request is not None:
        reply = alice.feed(request)
        before = alice.disclosed
        assert alice.feed(request) == reply
        assert alice.disclosed == before
        request = bob.feed(reply)

    assert _as_undisturbed(bob, alice)


def test_start_may_be_asked_again_until_a_reply_came():
    bob, alice = _pair()

    request = bob.start()
    assert bob.start() == request == bob.pending
    bob.feed(alice.feed(request))

    with pytest.raises(ReconciliationError):
        bob.start()


def test_nothing_is_taken_after_the_end():
    bob, alice = _pair()
    request = bob.start()
    while request is not None:
        reply, last = alice.feed(request), request
        request = bob.feed(reply)

    for act in (lambda: bob.feed(reply), lambda: bob.pending, lambda: alice.feed(_request(len(last), _item(0, PASS)))):
        with pytest.raises(ReconciliationError):
            act()


BAD_FIRST_REQUESTS = {
    "empty": b"",
    "header cut": _request(0, _item(0, PASS))[:13],
    "wrong magic": b"XX" + _request(0, _item(0, PASS))[2:],
    "wrong version": b"CR\x02" + _request(0, _item(0, PASS))[3:],
    "a reply": b"CR\x01\x01" + _request(0, _item(0, PASS))[4:],
    "wrong block": _request(0, _item(0, PASS), block=BLOCK + 1),
    "wrong round": _request(1, _item(0, PASS)),
    "item missing": _request(0, _item(0, PASS), count=2),
    "bytes left over": _request(0, _item(0, PASS)) + b"\0",
    "item cut": _request(0, _item(0, PASS))[:-1],
    "frame out of range": _request(0, _item(FRAMES, PASS)),
    "frame far out of range": _request(0, _item(2**32 - 1, PASS)),
    "frame twice": _request(0, _item(0, PASS), _item(0, PASS)),
    "unknown kind": _request(0, _item(0, 4)),
    "pass too early": _request(0, _item(0, PASS, 1)),
    "pass with count": _request(0, _item(0, PASS, 0, 1)),
    "roots of a frame not begun": _request(0, _item(0, ROOTS, 0, 1, b"\0\0")),
    "step of a frame not begun": _request(0, _item(0, STEP, 0, 1, b"\0")),
    "done before begun": _request(0, _item(0, DONE)),
    "too many in flight": _request(0, *(_item(frame, PASS) for frame in range(4))),
}


@pytest.mark.parametrize("name", list(BAD_FIRST_REQUESTS))
def test_a_bad_first_request_changes_nothing(name):
    bob, alice = _pair()

    with pytest.raises(ReconciliationError):
        alice.feed(BAD_FIRST_REQUESTS[name])

    assert alice.disclosed == 0
    _finish(bob, alice, bob.start())
    assert _as_undisturbed(bob, alice)


BAD_ROOTS = {
    "none": (0, 0, b""),
    "pass not begun": (1, 1, b"\0\0"),
    "pass out of range": (200, 1, b"\0\0"),
    "index out of range": (0, 1, b"\0\x40"),
    "leaf of size 1": (0, 1, b"\x06\0"),
    "level out of range": (0, 1, b"\x07\0"),
    "index of its level out of range": (0, 1, b"\x01\x80\x01"),
    "not the shortest form": (0, 1, b"\0\x80\0"),
    "number too long": (0, 1, b"\0\xff\xff\xff\xff\x01"),
    "node cut": (0, 1, b"\0"),
    "count beyond the message": (0, 2**31, b"\0\0"),
    "count too small": (0, 1, b"\0\0\0\1"),
}


@pytest.mark.parametrize("name", list(BAD_ROOTS))
def test_bad_roots_change_nothing(name):
    bob, alice, request = _at_round(1)
    index, count, payload = BAD_ROOTS[name]
    before = alice.disclosed

    with pytest.raises(ReconciliationError):
        alice.feed(_request(1, _item(0, ROOTS, index, count, payload)))

    assert alice.disclosed == before
    _finish(bob, alice, request)
    assert _as_undisturbed(bob, alice)


@pytest.mark.parametrize("kind", [PASS, ROOTS, DONE])
def test_a_running_search_must_be_stepped_on_first(kind):
    _, alice, _ = _at_round(2, in_flight=1)

    with pytest.raises(ReconciliationError, match="does not follow"):
        alice.feed(_request(2, _item(0, kind, int(kind == PASS), int(kind == ROOTS), b"\0\0" if kind == ROOTS else b"")))


def test_a_step_of_another_length_pass_or_padding_changes_nothing():
    bob, alice, request = _at_round(2, in_flight=1)
    frame, kind, index, count = struct.unpack_from("<IBBI", request, 14)
    assert kind == STEP
    assert count % 8
    payload = request[24:]
    padded = payload[:-1] + bytes([payload[-1] | 1 << count % 8])

    for bad in (
        _item(frame, STEP, index, count - 1, payload),
        _item(frame, STEP, index, count + 8, payload + b"\0"),
        _item(frame, STEP, index + 1, count, payload),
        _item(frame, STEP, index, count, payload[:-1]),
        _item(frame, STEP, index, count, padded),
        _item(frame + 1, STEP, index, count, payload),
    ):
        with pytest.raises(ReconciliationError):
            alice.feed(_request(2, bad))

    _finish(bob, alice, request)
    assert _as_undisturbed(bob, alice)


def test_the_same_round_with_other_content_is_refused():
    bob, alice, request = _at_round(3)
    alice.feed(request)
    other = bytearray(request)
    other[-1] ^= 1

    with pytest.raises(ReconciliationError):
        alice.feed(bytes(other))

    _finish(bob, alice, request)
    assert _as_undisturbed(bob, alice)


def _bad_replies(reply):
    yield b""
    yield reply[:-1]
    yield reply + b"\0"
    yield b"XX" + reply[2:]
    yield reply[:3] + b"\0" + reply[4:]
    for at in (4, 8, 12, 14, 18):
        yield reply[:at] + bytes([reply[at] ^ 1]) + reply[at + 1 :]


@pytest.mark.parametrize("number", [0, 1, 2, 40])
def test_a_reply_that_does_not_fit_changes_nothing(number):
    bob, alice, request = _at_round(number)
    reply, before = alice.feed(request), bob.disclosed

    for bad in _bad_replies(reply):
        with pytest.raises(ReconciliationError):
            bob.feed(bad)
        assert bob.pending == request
        assert bob.disclosed == before

    _finish(bob, alice, bob.feed(reply))
    assert _as_undisturbed(bob, alice)


def test_padding_after_the_last_parity_must_be_zero():
    bob, alice, request = _at_round(1, in_flight=1)
    reply = bytearray(alice.feed(request))
    assert int.from_bytes(reply[18:22], "little") % 8
    reply[-1] |= 0x80

    with pytest.raises(ReconciliationError, match="padding"):
        bob.feed(bytes(reply))


def test_parities_that_contradict_each_other_end_the_block_instead_of_going_on_for_ever():
    generator = np.random.default_rng(5)
    bob, alice = _pair(in_flight=1)
    request, rounds = bob.start(), 0

    with pytest.raises(ReconciliationError, match="contradict"):
        while request is not None and (rounds := rounds + 1) < 100_000:
            reply = bytearray(alice.feed(request))
            count = int.from_bytes(reply[18:22], "little")
            noise = np.packbits(generator.integers(0, 2, count, np.uint8), bitorder="little").tobytes()
            request = bob.feed(bytes(reply[:22]) + noise)

    with pytest.raises(ReconciliationError):
        bob.feed(bytes(reply))


@settings(max_examples=60)
@given(st.integers(0, 40), st.data())
def test_no_altered_request_breaks_alice(number, data):
    bob, alice, request = _at_round(number)
    altered = bytearray(request)
    for _ in range(data.draw(st.integers(1, 4))):
        altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(st.integers(0, 255))
    del altered[data.draw(st.integers(1, len(altered))) :]

    try:
        reply = alice.feed(bytes(altered))
    except ReconciliationError:
        _finish(bob, alice, request)
        assert _as_undisturbed(bob, alice)
    else:
        assert HEADER.unpack_from(reply)[0] == b"CR"


@settings(max_examples=100)
@given(st.binary(max_size=200), st.integers(1, 20))
def test_random_items_are_refused(body, items):
    _, alice, _ = _at_round(1)
    before = alice.disclosed

    with pytest.raises(ReconciliationError, match="Nothing was changed"):
        alice.feed(_request(1, body, count=items))

    assert alice.disclosed == before
