"""Messages under one-time pads of the store: hidden, tagged, opened once, booked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.core.errors import FrameError, InsufficientKey, UnknownKey
from heliograph.postprocess.channel.frames import Frame, FrameReader, MessageType, encode
from heliograph.postprocess.channel.sealed import Sealed
from heliograph.postprocess.keystore.tags import StoreTags


@pytest.fixture
def ends(pair):
    pair.ingest(bits=1_000_000)
    tags = [StoreTags(end.store, pair.link.lock) for end in pair.link.ends]
    return [Sealed(keys, peer, session=7, purpose="test", tags=tag) for keys, peer, tag in zip((pair.a, pair.b), "BA", tags, strict=True)]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(min_size=1, max_size=400), cut=st.integers(0, 400))
def test_what_was_sealed_is_opened_cut_anywhere(ends, body, cut):
    alice, bob = ends
    for one, other in ((alice, bob), (bob, alice)):
        data = one.seal(body)
        assert other.open(data[:cut]) + other.open(data[cut:]) == [body]


def test_nothing_of_the_body_is_on_the_line_and_both_ends_book_its_bits(pair, ends):
    alice, bob = ends
    before = pair.a.available_bits("B")
    body = b"the weights of the model" * 40

    data = alice.seal(body)

    assert b"weights" not in data
    assert np.unpackbits(np.frombuffer(data[-len(body) :], np.uint8)).mean() == pytest.approx(0.5, abs=0.05)
    assert bob.open(data) == [body]
    assert alice.spent_bits == bob.spent_bits == 8 * len(body)
    assert before - pair.a.available_bits("B") >= 8 * len(body)
    assert any(entry.purpose == "test" for entry in pair.a.ledger("B").spendings)


def test_two_messages_never_share_a_pad(ends):
    alice, bob = ends
    first, second = alice.seal(bytes(64)), alice.seal(bytes(64))

    assert first[-64:] != second[-64:]
    assert bob.open(first + second) == [bytes(64)] * 2


def altered(data: bytes, **changed: object) -> bytes:
    (frame,) = FrameReader().feed(data)
    return encode(Frame(frame.type, frame.session, frame.round, frame.seq, frame.direction, frame.header | changed, frame.arrays, frame.bits))


def test_a_flipped_bit_is_found_before_any_key_is_spent(pair, ends):
    alice, bob = ends
    data = bytearray(alice.seal(b"the weights"))
    data[-1] ^= 1
    before = pair.b.ledger("A").consumed

    with pytest.raises(FrameError, match="tag does not belong"):
        bob.open(bytes(data))
    assert pair.b.ledger("A").consumed == before


@pytest.mark.parametrize("changed", [{"ids": []}, {"ids": "x"}, {"ids": [7]}, {"tag": "zz"}, {"tag": None}, {"s": -1}, {"s": "1"}])
def test_a_malformed_header_is_refused(ends, changed):
    alice, bob = ends
    with pytest.raises(FrameError):
        bob.open(altered(alice.seal(b"the weights"), **changed))


def test_a_message_replayed_on_another_connection_opens_nothing(pair, ends):
    alice, bob = ends
    data = alice.seal(b"the weights")
    assert bob.open(data) == [b"the weights"]

    again = Sealed(pair.b, "A", session=7, purpose="test", tags=StoreTags(pair.link.ends[1].store, pair.link.lock))
    with pytest.raises(FrameError, match="cannot be used"):
        again.open(data)
    untagged = Sealed(pair.b, "A", session=7, purpose="test")
    with pytest.raises(UnknownKey):
        untagged.open(data)


def test_a_store_that_is_short_hides_nothing_and_spends_nothing(pair, ends):
    alice, _ = ends
    before = pair.a.available_bits("B")

    with pytest.raises(InsufficientKey):
        alice.seal(bytes(10_000_000))
    assert pair.a.available_bits("B") == before
    with pytest.raises(FrameError):
        alice.seal(b"")


def test_frames_of_another_kind_are_not_opened(pair, ends):
    other = Sealed(pair.a, "B", session=7, purpose="test", kind=MessageType.QHE)
    with pytest.raises(FrameError, match="malformed"):
        ends[1].open(other.seal(b"the weights"))
