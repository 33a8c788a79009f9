"""The plain reference: goldens of leak and rounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.postprocess.reconciliation._plain import reconcile

GOLDENS = [(4096, 0.01, 0, 51, 14), (4096, 0.01, 41, 364, 104), (16384, 0.05, 819, 4986, 476), (131072, 0.01, 1311, 10866, 455)]


@pytest.mark.parametrize(("n", "q_est", "errors", "leak", "rounds"), GOLDENS)
def test_the_goldens(n, q_est, errors, leak, rounds, golden_keys, seed):
    alice, bob = golden_keys(n, errors)

    found = reconcile(alice, bob, q_est, seed)

    assert (found.leak, found.rounds, found.corrected) == (leak, rounds, errors)
    assert np.array_equal(found.bits, alice)


def test_the_errors_of_the_goldens_are_where_the_text_puts_them(golden_keys):
    alice, bob = golden_keys(4096, 41)

    assert {224, 1549, 439, 1126, 3105} <= set(np.flatnonzero(alice != bob).tolist())


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.15), st.floats(0.0, 0.3))
def test_only_true_errors_are_flipped_and_bobs_own_bits_stay_untouched(numpy_seed, rate, q_est):
    generator = np.random.default_rng(numpy_seed)
    alice = generator.integers(0, 2, 4096, np.uint8)
    bob = alice ^ (generator.random(4096) < rate).astype(np.uint8)
    before = bob.copy()

    found = reconcile(alice, bob, q_est, generator.bytes(32))

    assert np.array_equal(bob, before)
    assert np.array_equal(found.bits != bob, (alice != bob) & (found.bits == alice))
    assert found.corrected == np.count_nonzero(found.bits != bob)


def test_frames_of_4096_bits_can_keep_four_errors_that_only_the_tag_will_find(seed):
    # Two words and two bit positions: with a single group of 64 words every pass keeps the pairs together.
    alice = np.zeros(4096, np.uint8)
    bob = alice.copy()
    bob[[64 * 29 + 43, 64 * 29 + 55, 64 * 40 + 43, 64 * 40 + 55]] = 1

    found = reconcile(alice, bob, 0.02, seed)

    assert found.corrected == 0
