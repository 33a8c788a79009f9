import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core.errors import ConfigError, ParameterError
from heliograph.protocols.aggregation.quantiser import RangeStatistics, dequantise, largest_magnitude, quantise, safe_range, to_words

X = np.array([0.1, -0.1, 0.25, 1 / 3, -1, 2])
WIDTHS = st.integers(2, 32)
REALS = st.lists(st.floats(-5, 5), min_size=1, max_size=30).map(np.array)


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (4, (1, -1, 2, 2, -7, 7)),
        (8, (13, -13, 32, 42, -127, 127)),
        (16, (3277, -3277, 8192, 10922, -32767, 32767)),
        (32, (214748365, -214748365, 536870912, 715827882, -2147483647, 2147483647)),
    ],
)
def test_published_values_are_quantised_exactly(q, expected):
    assert tuple(quantise(X, 1.0, q)) == expected


@pytest.mark.parametrize(("q", "expected"), [(8, (243, 129)), (16, (62259, 32769))])
def test_negative_values_become_twos_complement_words(q, expected):
    assert tuple(to_words(quantise(np.array([-0.1, -1.0]), 1.0, q), q)) == expected


def test_ties_go_to_the_even_integer():
    assert tuple(quantise(np.array([0.5, 1.5, 2.5]), 127.0, 8)) == (0, 2, 2)


def test_delivery_example_of_eight_bits():
    assert tuple(quantise(np.array([0.5, -0.25, 0.999, -1.2, 0.0039]), 1.0, 8)) == (64, -32, 127, -127, 0)


def test_the_word_never_produced_maps_one_step_below_the_range():
    assert dequantise(np.array([128], dtype=np.uint8), 1.0, 8)[0] == pytest.approx(-1 - 1 / 127)


@settings(deadline=None)
@given(REALS, WIDTHS, st.floats(0.01, 3))
def test_the_quantiser_is_odd(x, q, alpha):
    assert np.array_equal(quantise(-x, alpha, q), -quantise(x, alpha, q))


@settings(deadline=None)
@given(REALS, WIDTHS, st.floats(0.01, 3))
def test_the_error_is_half_a_step_inside_and_saturation_outside(x, q, alpha):
    step = alpha / largest_magnitude(q)
    back = dequantise(to_words(quantise(x, alpha, q), q), alpha, q)
    inside = np.abs(x) <= alpha
    assert np.all(np.abs(back - x)[inside] <= step / 2 * (1 + 1e-6) + 1e-15)
    assert np.allclose(back[~inside], np.sign(x[~inside]) * alpha)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([4, 8, 16, 32]), st.integers(2, 59), st.floats(1e-3, 10), st.integers(0, 2**32 - 1), st.booleans())
def test_no_sum_within_the_bound_wraps_at_the_safe_range(q, clients, bound, seed, extreme):
    clients = min(clients, 2 * largest_magnitude(q) - 1)
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(clients, 0.5))
    updates = np.sign(rng.uniform(-1, 1, (clients, 16))) * bound if extreme else rng.uniform(-bound, bound, (clients, 16))
    updates[:, 0] = bound
    updates[:, 1] = -bound
    alpha = safe_range(bound, q, clients)
    total = sum(quantise(w * u, alpha, q) for w, u in zip(weights, updates, strict=True))
    assert np.abs(total).max() <= largest_magnitude(q)


@pytest.mark.parametrize(("q", "clients", "total", "read"), [(8, 4, 128, -1.007874), (16, 4, 32768, -1.0000305), (8, 2, 128, -1.007874)])
def test_the_sum_wraps_when_the_range_equals_the_bound(q, clients, total, read):
    v = quantise(np.array([1.0 / clients]), 1.0, q) * clients
    assert v[0] == total
    assert dequantise(to_words(v, q), 1.0, q)[0] == pytest.approx(read, rel=1e-6)


def test_ten_clients_wrap_at_the_bound_and_not_at_the_safe_range():
    alpha = safe_range(1.0, 8, 10)
    assert alpha == pytest.approx(127 / 122)
    assert dequantise(to_words(10 * quantise(np.array([0.1]), 1.0, 8), 8), 1.0, 8)[0] == pytest.approx(-0.992, abs=5e-4)
    assert dequantise(to_words(10 * quantise(np.array([0.1]), alpha, 8), 8), alpha, 8)[0] == pytest.approx(120 * alpha / 127)


@pytest.mark.parametrize(("q", "clients", "factor"), [(16, 4, 1.00006), (8, 10, 1.041), (8, 200, 4.70)])
def test_the_headroom_factor_is_the_derived_one(q, clients, factor):
    assert safe_range(1.0, q, clients) == pytest.approx(factor, rel=1e-3)


@pytest.mark.parametrize(("bound", "q", "clients"), [(1.0, 8, 254), (0.0, 16, 3), (-1.0, 16, 3), (float("nan"), 16, 3), (1.0, 33, 3), (1.0, 1, 3)])
def test_an_impossible_range_is_refused(bound, q, clients):
    with pytest.raises(ConfigError):
        safe_range(bound, q, clients)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_not_finite_is_refused_with_its_entry(bad):
    with pytest.raises(ParameterError, match="entry 1"):
        quantise(np.array([0.0, bad]), 1.0, 16)


def test_a_range_far_too_large_silences_every_update_and_says_so():
    update = np.full(10, 1e-6)
    statistics = RangeStatistics.of(update, 0.25, 1.0, 1.0, 8)
    assert statistics.nonzero == 0
    assert "nonzero" in (statistics.complaint(update) or "")


def test_a_bound_far_too_small_clips_and_the_warning_names_a_better_one():
    update = np.linspace(-1, 1, 100)
    statistics = RangeStatistics.of(update, 0.25, 0.1, 0.1, 16)
    assert statistics.clipped == pytest.approx(0.9, abs=0.02)
    assert "1.5" in (statistics.complaint(update) or "")


def test_golden_key_bytes_are_those_of_the_text():
    assert hashlib.sha256(b"heliograph-golden|0|1|0").hexdigest()[:16] == "388510d060bc3aea"
