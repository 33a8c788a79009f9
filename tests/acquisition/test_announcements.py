from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition import _announcements_numba, _announcements_numpy
from heliograph.acquisition.announcements import decode_chunks, decode_events, encode_events
from heliograph.acquisition.events import Events
from heliograph.core.errors import AnnouncementError, ParameterError


def events(slots: list[int], detectors: list[int]) -> Events:
    return Events(np.array(slots, np.int64), np.array(detectors, np.uint8))


def drawn(seed: int, n: int, spread: int, first: int) -> Events:
    rng = np.random.default_rng(seed)
    return Events(first + np.cumsum(rng.integers(1, spread, n)) - 1, rng.integers(0, 2, n).astype(np.uint8))


def as_announced(gaps: list[int]) -> bytes:
    slot = 49 + np.cumsum(np.array(gaps, np.int64))
    return encode_events(Events(slot, (slot % 3 == 0).astype(np.uint8)), 50)


def test_golden():
    assert encode_events(events([5, 69, 70], [0, 1, 0])).hex(" ") == "0a 81 01 02"


def test_golden_comes_back():
    found = decode_events(bytes.fromhex("0a810102"), 0, 100)

    assert found.slot.tolist() == [5, 69, 70]
    assert found.detector.tolist() == [0, 1, 0]


@given(seed=st.integers(0, 10**6), n=st.integers(0, 300), spread=st.sampled_from([2, 100, 10**5, 2**40]), first=st.integers(0, 2**50))
def test_what_is_encoded_is_decoded(seed, n, spread, first):
    sent = drawn(seed, n, spread, first)

    found = decode_events(encode_events(sent, first), first, 2**60)

    assert np.array_equal(found.slot, sent.slot)
    assert np.array_equal(found.detector, sent.detector)


@given(st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 63).map(lambda k: (1 << k) - 1), min_size=1))
def test_both_forms_pack_the_same_numbers(values):
    numbers = np.array(values, np.uint64)

    packed = _announcements_numpy.pack(numbers)

    assert np.array_equal(_announcements_numba.pack(numbers), packed)
    assert np.array_equal(_announcements_numpy.unpack(packed), numbers)
    found = _announcements_numba.unpack(packed)
    assert found is not None
    assert np.array_equal(found, numbers)


@given(st.lists(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]), min_size=1, max_size=30).map(bytes))
def test_both_forms_refuse_the_same_bytes(raw):
    found = _announcements_numba.unpack(np.frombuffer(raw, np.uint8))
    try:
        expected = _announcements_numpy.unpack(np.frombuffer(raw, np.uint8))
    except AnnouncementError:
        assert found is None
    else:
        assert found is not None
        assert np.array_equal(found, expected)


@given(seed=st.integers(0, 10**6), cut=st.integers(1, 199))
def test_chunks_join_to_what_one_call_gives(seed, cut):
    sent = drawn(seed, 200, 300, 0)
    head, tail = (Events(sent.slot[part], sent.detector[part]) for part in (slice(cut), slice(cut, None)))

    assert encode_events(head) + encode_events(tail, int(head.slot[-1])) == encode_events(sent)


@pytest.mark.parametrize(
    ("announcement", "cause"),
    [
        ("0a81", "cut off"),
        ("80" * 9 + "01", "10 bytes"),
        ("0a8000", "padded"),
        ("0a00", "twice"),
        ("c801", "does not fit"),
        ("50" + "a001", "outside"),
    ],
)
def test_malformed_announcements_abort_the_block(announcement, cause):
    with pytest.raises(AnnouncementError, match=cause):
        decode_events(bytes.fromhex(announcement), 0, 100)


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_to_valid_events_or_refused(raw):
    try:
        found = decode_events(raw, 50, 10_000)
    except AnnouncementError:
        return
    assert encode_events(found, 50) == raw


@given(raw=st.one_of(st.binary(max_size=200), st.lists(st.integers(1, 400), max_size=80).map(as_announced)), chunk=st.integers(9, 60))
def test_decoding_by_chunks_gives_the_same_events_or_refuses_the_same_bytes(raw, chunk):
    try:
        expected = decode_events(raw, 50, 10_000)
    except AnnouncementError:
        with pytest.raises(AnnouncementError):
            list(decode_chunks(raw, 50, 10_000, chunk))
        return

    parts = list(decode_chunks(raw, 50, 10_000, chunk))

    found = Events.joined(parts)
    assert np.array_equal(found.slot, expected.slot)
    assert np.array_equal(found.detector, expected.detector)
    assert all(len(part) <= chunk for part in parts)


def test_a_slot_announced_twice_is_found_across_chunks():
    raw = encode_events(events([1, 2, 3, 4, 5, 6, 7, 8, 9], [0] * 9)) + b"\x01"

    with pytest.raises(AnnouncementError, match="twice"):
        list(decode_chunks(raw, 0, 100, 9))


def test_events_before_the_block_are_refused():
    with pytest.raises(ParameterError):
        encode_events(events([5], [0]), 6)
