"""Joint laws of a state's four bits, and drawing from them."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import ParameterError, StatesExhausted, StorageError
from heliograph.protocols.qot.laws import IDEAL_CODES, error_by_input, error_rate, halves, ideal, iid, law_of, preset
from heliograph.protocols.qot.states import AliasTable, Cursor, DrawnStates, MeasuredStates


def test_the_noiseless_law_holds_the_eight_codes_in_which_t_is_the_bit_that_s_names():
    law = ideal()

    assert set(np.flatnonzero(law)) == set(IDEAL_CODES)
    assert law[list(IDEAL_CODES)] == pytest.approx(1 / 8, abs=1e-15)
    assert error_rate(law) == 0.0


def test_the_calibrated_law_has_the_published_figures():
    law = preset("santiago")

    assert error_rate(law) == pytest.approx(0.086784, abs=5e-4)
    expected = [0.0765, 0.0728, 0.0901, 0.0903, 0.1018, 0.0977, 0.0837, 0.0816]
    assert error_by_input(law).ravel() == pytest.approx(expected, abs=5e-4)
    table = law.reshape(2, 2, 2, 2)
    assert table[:, :, 0].sum() == pytest.approx(0.49757, abs=5e-4)
    # What s tells of b1 and b0, in bits.
    together = table.sum(axis=3)
    apart = together.sum(axis=2, keepdims=True) * together.sum(axis=(0, 1), keepdims=True)
    assert (together * np.log2(together / apart)).sum() == pytest.approx(6.9e-6, abs=5e-8)
    # What Bob learns of the bit that he did not choose, given his s and t.
    for (s, t), chance in zip(((0, 0), (0, 1), (1, 0), (1, 1)), (0.4878, 0.5037, 0.4846, 0.5013), strict=True):
        cell = table[:, :, s, t]
        unchosen = cell[1, :].sum() if s == 0 else cell[:, 1].sum()
        assert unchosen / cell.sum() == pytest.approx(chance, abs=5e-4)


@given(error=st.floats(0.0, 0.499))
def test_independent_flips_have_the_same_error_for_every_input(error):
    assert error_rate(iid(error)) == pytest.approx(error, abs=1e-12)
    assert error_by_input(iid(error)).ravel() == pytest.approx(np.full(8, error), abs=1e-9)


@pytest.mark.parametrize("bad", [np.full(16, 0.1), np.full(15, 1 / 15), np.array([2.0, -1.0, *[0.0] * 14]), np.full(16, np.nan)])
def test_what_is_no_law_is_refused(bad):
    with pytest.raises(ParameterError):
        AliasTable.of(bad)


@given(seed=st.integers(0, 2**32 - 1), zeros=st.integers(0, 15))
def test_the_alias_table_stands_for_its_law(seed, zeros):
    rng = np.random.default_rng(seed)
    law = rng.random(16)
    law[rng.choice(16, zeros, replace=False)] = 0.0
    law /= law.sum()
    table = AliasTable.of(law)

    share = np.bincount(table.other, weights=1.0 - table.threshold / 2**28, minlength=16) + table.threshold / 2**28

    np.testing.assert_allclose(share / 16, law, atol=1e-8)


def test_drawn_frequencies_are_those_of_the_law():
    law = preset("santiago")
    codes = DrawnStates(law, SimRandom(3)).next(2_000_000)

    expected = codes.size * law
    assert float((((codes.size * law_of(codes)) - expected) ** 2 / expected).sum()) < chi2.isf(1e-4, 15)


def test_a_word_gives_a_column_and_a_place_in_it():
    table = AliasTable.of(ideal())
    words = np.array([0, 1 << 28, (1 << 28) | ((1 << 28) - 1)], np.uint32)

    codes = table.draw(words)

    assert set(codes.tolist()) <= set(IDEAL_CODES)
    assert AliasTable.of(iid(0.5 - 1e-9)).draw(words)[0] == 0


def test_parties_hold_halves_only():
    alice, bob = halves(np.arange(16, dtype=np.uint8))

    assert alice.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    assert bob.tolist() == [0, 1, 2, 3] * 4


def test_a_state_is_used_once_even_by_whoever_comes_after_a_crash(tmp_path):
    codes = np.tile(np.array(IDEAL_CODES, np.uint8), 10)
    path = tmp_path / "cursor"
    first = MeasuredStates(codes, cursor=Cursor(path)).next(30)

    again = MeasuredStates(codes, cursor=Cursor(path))
    second = again.next(50)

    np.testing.assert_array_equal(np.concatenate([first, second]), codes)
    with pytest.raises(StatesExhausted, match="1 states are needed, 0 are left"):
        again.next(1)
    again.cursor.close()
    assert Cursor(path).used == 80


def test_two_runs_do_not_use_the_same_states(tmp_path):
    codes, path = np.tile(np.array(IDEAL_CODES, np.uint8), 10), tmp_path / "cursor"
    first = MeasuredStates(codes, cursor=Cursor(path))

    with pytest.raises(StorageError, match="another run"):
        Cursor(path)

    first.next(10)
    first.cursor.close()
    with pytest.raises(StorageError, match="closed"):
        first.next(1)
    second = Cursor(path)
    assert second.burn(1) == 10
    assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {0o600}


def test_states_that_are_too_few_are_left_alone():
    source = DrawnStates(ideal(), SimRandom(1), limit=10)
    with pytest.raises(StatesExhausted) as caught:
        source.next(11)

    assert (caught.value.needed, caught.value.left) == (11, 10)
    assert source.cursor.used == 0
    assert source.next(10).size == 10


def test_without_a_cursor_on_disk_no_state_is_handed_out(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    source = DrawnStates(ideal(), SimRandom(1), cursor=Cursor(folder / "cursor"))
    shutil.rmtree(folder)

    with pytest.raises(StorageError, match="no state was used"):
        source.next(1)
    assert source.cursor.used == 0
    with pytest.raises(StorageError, match="not locked"):
        Cursor(folder / "cursor")


def test_a_damaged_cursor_is_named(tmp_path):
    path = tmp_path / "cursor"
    path.write_bytes(b"something else")
    for _ in range(2):
        with pytest.raises(ParameterError, match="no cursor"):
            Cursor(path)
