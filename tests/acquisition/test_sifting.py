from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition.events import Events
from heliograph.acquisition.patterns import Pattern, demo_patterns
from heliograph.acquisition.sifting import EventBits, Sifter, sift, view
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
