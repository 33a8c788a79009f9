from __future__ import annotations

import stat
from math import pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition.patterns import Pattern, carving_waveform, demo_patterns, erase_pattern, gate_waveform, load_pattern, preamble, save_pattern
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import ParameterError, RunFileError, StorageError
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


def test_a_pattern_file_is_private_and_comes_back(tmp_path):
    pattern, _ = demo_patterns(SimRandom(3), 1001, 100, 10)
    path = tmp_path / "patterns" / "run-A.bin"

    save_pattern(path, pattern, run_id="run", party="A")
    loaded = load_pattern(path, run_id="run", party="A")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert np.array_equal(loaded.basis, pattern.basis)
    assert np.array_equal(loaded.bit, pattern.bit)
    assert loaded.mode == "demo"
    assert list(path.parent.iterdir()) == [path]


def test_somebody_elses_or_a_damaged_pattern_file_is_refused(tmp_path):
    path = tmp_path / "run-A.bin"
    save_pattern(path, demo_patterns(SimRandom(3), 1000, 100, 10)[0], run_id="run", party="A")

    with pytest.raises(RunFileError, match="party"):
        load_pattern(path, party="B")
    with pytest.raises(RunFileError, match="run_id"):
        load_pattern(path, run_id="other")
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(RunFileError, match="intact"):
        load_pattern(path)
    with pytest.raises(RunFileError, match="no pattern file"):
        load_pattern(tmp_path / "none")


def test_an_erased_pattern_leaves_zeros_and_no_name(tmp_path):
    path, witness = tmp_path / "run-A.bin", tmp_path / "second-name"
    save_pattern(path, demo_patterns(SimRandom(3), 1000, 100, 10)[0], run_id="run", party="A")
    witness.hardlink_to(path)

    assert erase_pattern(path)
    assert not path.exists()
    assert set(witness.read_bytes()) == {0}
    assert not erase_pattern(path)


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")

    with pytest.raises(StorageError):
        save_pattern(blocked / "run-A.bin", preamble(100, "A"), run_id="run", party="A")


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
