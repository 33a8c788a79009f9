from __future__ import annotations

from math import pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition.patterns import MAX_SWING_V, Pattern, carving_waveform, centred, demo_patterns, gate_waveform, preamble
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import ParameterError
from heliograph.core.physics import phase_rad


def overlap(a: Pattern, b: Pattern, basis: int) -> np.ndarray:
    return (a.basis == basis) & (b.basis == basis)


@given(seed=st.integers(0, 10**6), n_y=st.integers(0, 400), share=st.floats(0, 1))
def test_a_demo_pair_has_exactly_the_composition_asked_for(seed, n_y, share):
    common = int(share * n_y)
    a, b = demo_patterns(SimRandom(seed), 1000, n_y, common)

    assert a.basis.sum() == b.basis.sum() == n_y
    assert overlap(a, b, 1).sum() == common
    for basis in (0, 1):
        both = overlap(a, b, basis)
        pairs = np.bincount(2 * a.bit[both] + b.bit[both], minlength=4)
        assert pairs.max() - pairs.min() <= 1


def test_the_paper_composition_is_balanced_to_the_slot():
    a, b = demo_patterns(SimRandom(1), 10_000, 1000, 104)

    assert a.bit.sum() == b.bit.sum() == 5000
    assert a.bit[a.basis == 1].sum() == 500
    assert (a.bit ^ b.bit)[overlap(a, b, 0)].sum() == 4052


def test_two_seeds_give_two_patterns_and_one_seed_one():
    first, second, again = (demo_patterns(SimRandom(seed), 1000, 100, 10)[0] for seed in (1, 2, 1))

    assert np.array_equal(first.bit, again.bit)
    assert not np.array_equal(first.bit, second.bit)


@pytest.mark.parametrize(("n_y", "common"), [(600, 10), (100, 101), (-1, 0)])
def test_an_impossible_composition_is_refused(n_y, common):
    with pytest.raises(ParameterError):
        demo_patterns(SimRandom(1), 1000, n_y, common)


def test_phases_and_their_reference():
    pattern = Pattern(np.array([0, 0, 1, 1], np.uint8), np.array([0, 1, 0, 1], np.uint8))

    assert pattern.phases_rad == pytest.approx([0, pi, pi / 2, 3 * pi / 2])
    assert pattern.reference.tolist() == [1, -1, 0, 0]


def test_a_preamble_is_public_and_differs_between_parties():
    a, b = preamble(10_000, "A"), preamble(10_000, "B")

    assert a.mode == "preamble"
    assert np.array_equal(a.bit, preamble(10_000, "A").bit)
    assert a.basis.sum() == 2500
    assert a.bit.sum() == 5000
    assert abs(np.dot(a.reference, b.reference)) < 500


@given(seed=st.integers(0, 1000), fraction=st.floats(0, 0.999))
def test_the_modulator_turns_the_gate_waveform_back_into_the_phases(seed, fraction):
    phases = np.random.default_rng(seed).uniform(0, 2 * pi, 50)

    volts = gate_waveform(phases, fraction, v_pi=5.0, gain=2.0).reshape(50, 10)
    at_gate = volts[:, int(fraction * 10)]

    assert np.cos(phase_rad(2.0 * at_gate, 5.0) - phases) == pytest.approx(1.0)
    assert np.abs(volts).max() <= 2.5
    assert np.count_nonzero(volts) == np.count_nonzero(at_gate)


def test_the_four_levels_are_the_smallest_that_make_them():
    assert gate_waveform([0, pi / 2, pi, 3 * pi / 2], 0.25, 5.0, 2.0)[2::10] == pytest.approx([0, 1.25, 2.5, -1.25])


def test_carving_opens_one_point_of_the_slot():
    assert carving_waveform(5.0, 2.0).tolist() == [0, 0, 0, 0, 0, 2.5, 0, 0, 0, 0]
    with pytest.raises(ParameterError):
        carving_waveform(5.0, 2.0, bright=10)


@given(st.lists(st.floats(-4.0, 4.0), min_size=1, max_size=20))
def test_a_centred_waveform_is_the_same_but_for_its_offset_and_never_larger(volts):
    given_v = np.array(volts)

    found, missing_v = centred(given_v)

    assert found + missing_v == pytest.approx(given_v)
    assert 2.0 * np.abs(found).max() <= max(np.ptp(given_v), MAX_SWING_V) + 1e-12
    assert missing_v == 0.0 or 2.0 * np.abs(given_v).max() > MAX_SWING_V
