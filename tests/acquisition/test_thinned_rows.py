from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition.thinned_rows import ThinnedRows


def table(n: int, columns: int, seed: int, *, numbers_only: bool = True) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, columns)).round(1)
    if not numbers_only:
        rows[:, 1:][rng.random((n, columns - 1)) < 0.3] = np.nan
        rows[n // 3 : 2 * n // 3, 1:] = np.nan
    rows[:, 0] = np.arange(n)
    return rows


def test_the_first_and_the_peaks_of_each_block_stay_in_order():
    thinned = ThinnedRows(2, 5)
    thinned.add(np.stack((np.arange(8.0), np.array([5.0, 1, 4, 8, 2, 2, 7, 0])), axis=1))

    assert thinned.rows().tolist() == [[0, 5], [1, 1], [3, 8], [6, 7], [7, 0]]


@given(n=st.integers(1, 3000), columns=st.integers(1, 6), most=st.integers(20, 400), seed=st.integers(0, 2**32))
def test_few_rows_stay_with_every_extreme(n, columns, most, seed):
    rows, thinned = table(n, columns, seed), ThinnedRows(columns, most)
    thinned.add(rows)

    kept = thinned.rows()

    assert len(kept) <= most
    assert (np.diff(kept[:, 0]) > 0).all()
    assert kept[0].tolist() == rows[0].tolist()
    assert np.array_equal(kept.max(axis=0)[1:], rows.max(axis=0)[1:])
    assert np.array_equal(kept.min(axis=0)[1:], rows.min(axis=0)[1:])
    if n <= most:
        assert np.array_equal(kept, rows)


@given(n=st.integers(200, 3000), pieces=st.lists(st.integers(1, 400), min_size=1, max_size=20), seed=st.integers(0, 2**32), numbers_only=st.booleans())
def test_what_stays_depends_on_the_rows_only(n, pieces, seed, numbers_only):
    rows, at_once, bit_by_bit = table(n, 3, seed, numbers_only=numbers_only), ThinnedRows(3, 100), ThinnedRows(3, 100)
    at_once.add(rows)

    first = 0
    while first < n:
        for piece in pieces:
            bit_by_bit.add(rows[first : first + piece])
            first += piece
            bit_by_bit.rows()

    np.testing.assert_array_equal(bit_by_bit.rows(), at_once.rows())


@given(n=st.integers(101, 3000), seed=st.integers(0, 2**32))
def test_the_envelope_is_exact_in_every_block_and_gaps_stay(n, seed):
    rows, thinned = table(n, 2, seed, numbers_only=False), ThinnedRows(2, 100)
    thinned.add(rows)
    kept = thinned.rows()

    length = next(2**k for k in range(20) if 2**k * ((100 - 1) // 2) >= n)
    for first in range(0, n, length):
        block, left = rows[first : first + length], kept[(kept[:, 0] >= first) & (kept[:, 0] < first + length)]
        if np.isnan(block[:, 1]).all():
            assert {first, first + len(block) - 1} <= set(left[:, 0].astype(int))
            assert np.isnan(left[:, 1]).all()
        else:
            assert (np.nanmin(left[:, 1]), np.nanmax(left[:, 1])) == (np.nanmin(block[:, 1]), np.nanmax(block[:, 1]))


def test_memory_is_bounded_whatever_comes():
    thinned = ThinnedRows(3, 1000)
    one = np.zeros((1, 3))
    for _ in range(20_000):
        thinned.add(one)
        assert len(thinned._rows) + thinned._n_waiting <= 2000

    assert thinned.rows().shape[0] <= 1000
    assert thinned.n == 20_000


@pytest.mark.parametrize("columns", [1, 3])
def test_no_rows_are_no_rows(columns):
    assert ThinnedRows(columns, 100).rows().shape == (0, columns)
