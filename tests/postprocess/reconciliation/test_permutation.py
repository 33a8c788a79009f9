"""The public permutation: golden positions, the closed form against the words moved by hand."""

import hashlib

import numpy as np
import pytest

from heliograph.postprocess.reconciliation.permutation import _stable_order, permutation


def test_the_golden_positions(seed):
    assert permutation(seed, 1, 4096).position(np.array([0, 1, 64, 4095])).tolist() == [558, 2536, 518, 224]


@pytest.mark.parametrize("n", [4096, 8192, 131072])
@pytest.mark.parametrize("index", [1, 13])
def test_bits_and_positions_are_each_others_inverse(n, index, seed):
    made, every = permutation(seed, index, n), np.arange(n)

    assert np.array_equal(np.sort(made.position(every)), every)
    assert np.array_equal(made.bit(made.position(every)), every)


@pytest.mark.parametrize("n", [4096, 16384])
def test_the_closed_form_is_what_moving_words_does(n, seed):
    words = n // 64
    stream = hashlib.shake_256(b"HGC1" + seed + b"\x03").digest(17 * words)
    sigma = np.argsort(np.frombuffer(stream[: 8 * words], "<u8"), kind="stable")
    tau = np.argsort(np.frombuffer(stream[8 * words : 16 * words], "<u8"), kind="stable")
    rot = np.frombuffer(stream[16 * words :], np.uint8) & 63
    key = np.random.default_rng(5).integers(0, 2, (words, 64), np.uint8)

    groups = key[sigma].reshape(-1, 64, 64).transpose(0, 2, 1).reshape(words, 64)
    turned = np.array([np.roll(word, turn) for word, turn in zip(groups, rot, strict=True)])
    moved = np.empty_like(key)
    moved[tau] = turned

    assert np.array_equal(moved.ravel()[permutation(seed, 3, n).position(np.arange(n))], key.ravel())


def test_every_pass_and_every_seed_has_its_own(seed):
    every = np.arange(4096)
    first = permutation(seed, 1, 4096).position(every)

    assert not np.array_equal(first, permutation(seed, 2, 4096).position(every))
    assert not np.array_equal(first, permutation(bytes(32), 1, 4096).position(every))


def test_equal_keys_keep_their_order():
    keys = np.random.default_rng(6).integers(0, 50, 2048, np.uint64)

    assert np.array_equal(_stable_order(keys), np.argsort(keys, kind="stable"))
