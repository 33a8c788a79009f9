"""An announcement read by parts is the announcement: the same bits, the same hash, the same key; and what is read twice must be the same twice."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.acquisition.announcements import decode_events, encode_events
from heliograph.acquisition.events import Events
from heliograph.acquisition.patterns import demo_patterns
from heliograph.acquisition.sifting import view
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import AnnouncementError
from heliograph.postprocess._announced import Announced
from heliograph.postprocess.distillation import run_in_process
from heliograph.postprocess.verification import PolynomialTag, polynomial_tag

SLOTS = 10**6
KEY = 0x4C_BF_BF_B9_42_47_49_72


def events(n: int, seed: int = 1) -> Events:
    rng = np.random.default_rng(seed)
    return Events(np.sort(rng.choice(SLOTS, n, replace=False)).astype(np.int64), rng.integers(0, 2, n).astype(np.uint8))


def parts_of(sent: Events, cuts: list[int]) -> list[bytes]:
    """Announce the events cut at these places, as a site does that announces while the run goes on."""
    places = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    last, parts = 0, []
    for begin, end in pairwise(places):
        part = Events(sent.slot[begin:end], sent.detector[begin:end])
        parts.append(encode_events(part, last))
        last = int(sent.slot[end - 1]) if end else 0
    return parts


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=70), min_size=1, max_size=8), st.integers(0, 2**64 - 1))
def test_the_tag_of_parts_is_that_of_the_whole(parts, key):
    whole = b"".join(parts)
    tag = PolynomialTag(key)
    for part in parts:
        tag.update(part)
    if whole:
        assert tag.value() == polynomial_tag(np.frombuffer(whole, np.uint8), 8 * len(whole), key)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 400), st.lists(st.integers(0, 400), max_size=5))
def test_parts_cut_anywhere_between_events_give_the_bits_and_the_tag_of_the_whole(n, cuts):
    sent, (pattern, _) = events(n), demo_patterns(SimRandom(3), 1000, 100, 12)
    parts = parts_of(sent, cuts)
    whole = encode_events(sent)
    assert b"".join(parts) == whole

    read, wanted = Announced(parts), view(sent, pattern, 77, "bob")
    found = read.view(0, SLOTS, pattern, 77, "bob")
    assert found.n == n
    assert np.array_equal(found.basis, wanted.basis)
    assert np.array_equal(found.bit, wanted.bit)
    assert read.tag(KEY) == (f"{polynomial_tag(np.frombuffer(whole, np.uint8), 8 * len(whole), KEY):016x}" if n else "empty")


def test_parts_whole_or_cut_give_one_key(small):
    sent = decode_events(small.announcement, 0, small.settings.n_sent)
    cut = parts_of(sent, [1, 500, 500, 9000])

    in_one = run_in_process(small.alice(), small.bob())
    in_parts = run_in_process(small.alice(announcement=cut), small.bob(announcement=tuple(parts_of(sent, [4000]))))

    assert np.array_equal(in_parts[0].key, in_one[0].key)
    assert np.array_equal(in_parts[1].key, in_one[0].key)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([b"\x0a", b"\x00"], id="the same slot in the next part"),
        pytest.param([b"\x0a\x81", b"\x01"], id="a part ends inside a number"),
        pytest.param([b"\x0a", b"\x80\x94\xeb\xdc\x03"], id="a later part leaves the block"),
    ],
)
def test_parts_that_are_no_announcement_together_are_refused(parts):
    pattern, _ = demo_patterns(SimRandom(3), 1000, 100, 12)
    with pytest.raises(AnnouncementError):
        Announced(parts).view(0, SLOTS, pattern, 0, "alice")


def test_a_site_that_changes_its_file_between_two_readings_is_found():
    pattern, _ = demo_patterns(SimRandom(3), 1000, 100, 12)
    parts = parts_of(events(50), [20])
    read = Announced(parts)
    read.view(0, SLOTS, pattern, 0, "alice")
    before = read.tag(KEY)
    assert read.tag(KEY) == before

    parts[1] = parts_of(events(50, seed=2), [20])[1]
    with pytest.raises(AnnouncementError, match="changed while it was read"):
        read.tag(KEY)
