"""Final keys pass three frequency tests of NIST SP 800-22; keys before amplification and broken ones do not. docs/explanation/what-statistics-say.md: what that
does not prove."""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np
import pytest
from scipy.special import gammaincc

from heliograph.postprocess.amplification import amplify
from heliograph.postprocess.distillation import run_in_process
from heliograph.postprocess.finite_key import binary_entropy
from heliograph.postprocess.reconciliation import CascadeParameters, reconcile
from heliograph.postprocess.verification import polynomial_tag

LEAST_P = 1e-4


def monobit(bits):
    """p of as many ones as zeros."""
    return erfc(abs(2 * float(bits.sum()) - bits.size) / sqrt(2 * bits.size))


def runs(bits):
    """p of as many changes as between independent bits of this mean."""
    share = float(bits.mean())
    changes = 1 + int(np.count_nonzero(bits[1:] != bits[:-1]))
    expected = 2 * bits.size * share * (1 - share)
    return erfc(abs(changes - expected) / (2 * sqrt(2 * bits.size) * share * (1 - share)))


def block_frequency(bits, block=1024):
    """p of as many ones as zeros in every block."""
    shares = bits[: bits.size // block * block].reshape(-1, block).mean(axis=1)
    return float(gammaincc(shares.size / 2, 2 * block * float(((shares - 0.5) ** 2).sum())))


TESTS = (monobit, runs, block_frequency)


def _raw(generator, n, kind):
    """Sifted bits of Alice, one an element, with a fault of the source."""
    if kind == "biased":
        return (generator.random(n) < 0.52).astype(np.uint8)
    if kind == "sticky":
        return np.cumsum(generator.random(n) < 0.48).astype(np.uint8) & 1
    drift = 0.5 + 0.08 * np.sin(np.arange(n) / 20_000)
    return (generator.random(n) < drift).astype(np.uint8)


@pytest.mark.parametrize(("kind", "seen_by"), [("biased", monobit), ("sticky", runs), ("drifting", block_frequency)])
def test_faults_of_a_source_are_seen_before_amplification_and_gone_after_it(kind, seen_by):
    generator = np.random.default_rng(5)
    n = 8 * 131072
    bits = _raw(generator, n, kind)
    alice = np.packbits(bits, bitorder="little")
    bob = np.packbits(bits ^ (generator.random(n) < 0.01), bitorder="little")

    found = reconcile(alice, bob, n, CascadeParameters(0.01, generator.bytes(32)))
    hash_key = int.from_bytes(generator.bytes(8), "little")
    assert polynomial_tag(found.key, n, hash_key) == polynomial_tag(alice, n, hash_key)
    m = int(n * (1 - binary_entropy(0.2))) - int(found.disclosed.sum()) - 64
    seed = generator.integers(0, 256, n // 8, np.uint8)
    seed[-1] &= 127
    final = np.unpackbits(amplify(found.key, n, seed, m), count=m, bitorder="little")

    assert seen_by(bits) < 1e-12
    assert min(test(final) for test in TESTS) > LEAST_P


def test_keys_of_the_whole_chain_pass(make_light):
    keys = []
    for seed in range(20, 25):
        light = make_light(seed=seed)
        done, _ = run_in_process(light.alice(), light.bob())
        keys.append(np.unpackbits(done.key, count=done.bits, bitorder="little"))
    bits = np.concatenate(keys)

    assert bits.size > 50_000
    assert min(test(bits) for test in TESTS) > LEAST_P


@pytest.mark.parametrize("test", TESTS)
def test_the_tests_give_p_values_that_are_spread_evenly_for_independent_bits(test):
    generator = np.random.default_rng(6)
    found = np.sort([test(generator.integers(0, 2, 65536, np.uint8)) for _ in range(400)])

    assert np.abs(found - (np.arange(400) + 0.5) / 400).max() < 1.95 / sqrt(400)


def test_a_key_that_everybody_knows_passes_as_well():
    published = np.unpackbits(np.frombuffer(np.random.default_rng(0).bytes(131072), np.uint8))

    assert min(test(published) for test in TESTS) > LEAST_P
