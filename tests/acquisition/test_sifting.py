from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition.announcements import encode_events
from heliograph.acquisition.events import Events
from heliograph.acquisition.pattern_stream import PatternChunk, SeededPattern
from heliograph.acquisition.patterns import Pattern, demo_patterns
from heliograph.acquisition.sifting import BitPlane, Engine, EventBits, Role, Sifter, Viewer, sift, view, view_announced
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import ParameterError


def drawn(seed: int, n: int) -> tuple[Events, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return Events(np.cumsum(rng.integers(1, 50, n)), rng.integers(0, 2, n).astype(np.uint8)), rng


def unpacked(plane: np.ndarray, n: int) -> np.ndarray:
    return np.unpackbits(plane, count=n, bitorder="little")


def test_one_slot_of_each_kind():
    alice = Pattern(np.array([0, 0, 1, 1], np.uint8), np.array([0, 1, 0, 1], np.uint8))
    bob = Pattern(np.array([0, 1, 1, 1], np.uint8), np.array([1, 1, 1, 0], np.uint8))
    events = Events(np.array([2, 3, 4, 5]), np.array([1, 0, 1, 0], np.uint8))

    at_alice, at_bob = view(events, alice, 2, "alice"), view(events, bob, 2, "bob")
    a, b = sift(at_alice, at_bob.basis), sift(at_bob, at_alice.basis)

    assert (a.n_x, a.n_y, a.n_events) == (b.n_x, b.n_y, b.n_events) == (1, 2, 4)
    assert (a.x_key[0], b.x_key[0]) == (0b0, 0b0)
    assert (a.y_bits[0], b.y_bits[0]) == (0b10, 0b00)


@given(seed=st.integers(0, 10**6), offsets=st.tuples(st.integers(0, 999), st.integers(0, 999)))
def test_without_errors_both_parties_hold_the_same_bits(seed, offsets):
    events, _ = drawn(seed, 400)
    patterns = demo_patterns(SimRandom(seed), 1000, 300, 90)
    indices = [(events.slot - offset) % 1000 for offset in offsets]
    unequal = patterns[0].bit[indices[0]] ^ patterns[1].bit[indices[1]]
    events = Events(events.slot, unequal)

    a, b = view(events, patterns[0], offsets[0], "alice"), view(events, patterns[1], offsets[1], "bob")
    at_alice, at_bob = sift(a, b.basis), sift(b, a.basis)

    assert np.array_equal(at_alice.x_key, at_bob.x_key)
    assert np.array_equal(at_alice.y_bits, at_bob.y_bits)
    assert at_alice.n_x == np.sum((patterns[0].basis[indices[0]] == 0) & (patterns[1].basis[indices[1]] == 0))


@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(0, 500), max_size=8))
def test_sifting_by_chunks_equals_one_shot(seed, cuts):
    events, _ = drawn(seed, 500)
    a, b = demo_patterns(SimRandom(seed), 1000, 300, 90)
    whole = sift(view(events, a, 17, "alice"), view(events, b, 5, "bob").basis)

    sifter = Sifter()
    edges = [0, *sorted(cuts), 500]
    for low, high in pairwise(edges):
        part = Events(events.slot[low:high], events.detector[low:high])
        sifter.feed(view(part, a, 17, "alice"), view(part, b, 5, "bob").basis)
    block = sifter.block()

    assert (block.n_x, block.n_y, block.n_events) == (whole.n_x, whole.n_y, 500)
    assert np.array_equal(block.x_key, whole.x_key)
    assert np.array_equal(block.y_bits, whole.y_bits)


ENGINES: tuple[Engine, ...] = ("numba", "numpy")


@given(seed=st.integers(0, 10**6), n=st.integers(0, 300), period=st.integers(1, 200), offset=st.integers(-1000, 1000), role=st.sampled_from(["alice", "bob"]))
def test_both_engines_look_up_and_keep_the_same_bits(seed, n, period, offset, role: Role):
    events, rng = drawn(seed, n)
    planes = rng.integers(0, 2, (2, period)).astype(np.uint8)
    other = np.packbits(rng.integers(0, 2, n).astype(np.uint8), bitorder="little")

    views, blocks = [], []
    for engine in ENGINES:
        bits = Viewer(Pattern(planes[0], planes[1]), offset, role, engine=engine).feed(events)
        sifter = Sifter(engine=engine)
        sifter.feed(bits, other)
        views.append((bits.basis.tolist(), bits.bit.tolist(), bits.n))
        block = sifter.block()
        blocks.append((block.x_key.tolist(), block.n_x, block.y_bits.tolist(), block.n_y))

    index = (events.slot - offset) % period
    assert views[0] == views[1]
    assert blocks[0] == blocks[1]
    assert np.array_equal(unpacked(np.array(views[0][0], np.uint8), n), planes[0][index])
    assert np.array_equal(unpacked(np.array(views[0][1], np.uint8), n), planes[1][index] ^ (events.detector if role == "bob" else 0))


@given(seed=st.integers(0, 10**6), n=st.integers(1, 400), chunk=st.integers(1, 30), offset=st.integers(-50, 50), engine=st.sampled_from(ENGINES))
def test_a_pattern_by_chunks_gives_what_the_whole_pattern_gives(seed, n, chunk, offset, engine: Engine):
    rng = np.random.default_rng(seed)
    stream = SeededPattern(seed, 3, 1000, 100, 8 * chunk)
    whole = [np.concatenate([unpacked(getattr(part, name), part.n) for part in stream.chunks()]) for name in ("basis", "bit")]
    slot = np.sort(rng.choice(1000, n, replace=False)).astype(np.int64) + offset
    events = Events(slot, rng.integers(0, 2, n).astype(np.uint8))
    cut = n // 3

    viewer = Viewer(stream, offset, "bob", engine=engine)
    parts = [viewer.feed(Events(slot[low:high], events.detector[low:high])) for low, high in ((0, cut), (cut, n), (n, n))]
    expected = view(events, Pattern(whole[0], whole[1], "qrng"), offset, "bob")

    for name in ("basis", "bit"):
        found = np.concatenate([unpacked(getattr(part, name), part.n) for part in parts])
        assert np.array_equal(found, unpacked(getattr(expected, name), n))


class Counted:
    """A stream that knows which chunks were asked for."""

    def __init__(self, stream: SeededPattern) -> None:
        self.stream, self.asked = stream, list[int]()
        self.n_slots, self.chunk_slots = stream.n_slots, stream.chunk_slots

    def chunk(self, index: int) -> PatternChunk:
        self.asked.append(index)
        return self.stream.chunk(index)


def test_every_chunk_of_a_pattern_is_fetched_once_and_those_without_events_never():
    stream = Counted(SeededPattern(1, 0, 10_000, 128, 1000))
    events = Events(np.array([5, 990, 1000, 1999, 5003, 9999]), np.zeros(6, np.uint8))

    viewer = Viewer(stream, 0, "alice")
    for k in range(6):
        viewer.feed(Events(events.slot[k : k + 1], events.detector[k : k + 1]))

    assert stream.asked == [0, 1, 5, 9]


@pytest.mark.parametrize("slot", [9, 1010])
def test_events_outside_a_pattern_that_does_not_repeat_are_refused(slot):
    viewer = Viewer(SeededPattern(1, 0, 1000, 128, 100 * 8), 10, "alice")

    with pytest.raises(ParameterError, match="outside the pattern"):
        viewer.feed(Events(np.array([slot]), np.zeros(1, np.uint8)))


def test_an_announcement_is_viewed_without_its_events_at_once():
    events, _ = drawn(4, 5000)
    pattern = demo_patterns(SimRandom(4), 1000, 300, 90)[1]
    expected = view(events, pattern, 17, "bob")

    bits = view_announced(encode_events(events, 0), 0, 10**6, pattern, 17, "bob")

    assert bits.n == 5000
    assert np.array_equal(bits.basis, expected.basis)
    assert np.array_equal(bits.bit, expected.bit)


@given(st.lists(st.lists(st.integers(0, 1), max_size=40), max_size=8))
def test_a_bit_plane_joins_rows_of_any_length(rows):
    plane = BitPlane()
    for row in rows:
        plane.append(np.packbits(np.array(row, np.uint8), bitorder="little"), len(row))

    joined = [bit for row in rows for bit in row]
    assert len(plane) == len(joined)
    assert np.array_equal(plane.packed(), np.packbits(np.array(joined, np.uint8), bitorder="little"))


def test_planes_are_packed_least_significant_bit_first_and_padded_with_zeros():
    events = Events(np.arange(9), np.zeros(9, np.uint8))
    pattern = Pattern(np.zeros(9, np.uint8), np.array([1, 0, 0, 0, 0, 0, 0, 0, 1], np.uint8))

    bits = view(events, pattern, 0, "alice")

    assert bits.bit.tolist() == [1, 1]
    assert sift(bits, bits.basis).x_key.tolist() == [1, 1]


def test_bases_of_another_number_of_events_are_refused_and_change_nothing():
    events, _ = drawn(1, 20)
    own = view(events, demo_patterns(SimRandom(1), 1000, 300, 90)[0], 0, "alice")
    sifter = Sifter()

    with pytest.raises(ParameterError):
        sifter.feed(own, own.basis[:-1])

    assert sifter.block().n_events == 0
    with pytest.raises(ParameterError):
        view(events, demo_patterns(SimRandom(1), 1000, 300, 90)[0], 0, "eve")  # type: ignore[arg-type]
    assert isinstance(own, EventBits)
