"""Key length of a block: published rows, bounds, bad input."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import ParameterError
from heliograph.postprocess.finite_key import (
    BlockCounts,
    Epsilons,
    KatoParameters,
    azuma_upper,
    basis_dependence,
    binary_entropy,
    kato_parameters,
    kato_upper_expected,
    kato_upper_observed,
    key_length,
    phase_error_bound,
    state_overlap,
)

PULSES = 20_000_000_000
# Rows AB, AC, AD of arXiv:2501.12709, Tables 1 and 7: mu, counts, leak, published rate in kbps.
ROWS = {
    "AB": (0.017, BlockCounts(PULSES, 208796444, 169216602, 2171543, 10748), 14220217, 230.0),
    "AC": (0.0085, BlockCounts(PULSES, 52455918, 42542127, 575833, 7221), 4219418, 37.6),
    "AD": (0.0089, BlockCounts(PULSES, 54706564, 44275485, 517003, 3405), 4221496, 45.9),
}
# pair: delta, then M_y, e_y, phase error and length for azuma, the same for kato, and the a of Kato's bounds.
GOLDENS = {
    "AB": (0.027366152, (15748.0813, 0.0072520237, 0.164779032, 45746510), (11465.1530, 0.0052797265, 0.155518084, 49493331), (23.9190, 3.22651)),
    "AC": (0.027390188, (9795.7859, 0.0170115049, 0.200266508, 7587591), (7809.1854, 0.0135615454, 0.189013795, 8568483), (14.8374, 2.69749)),
    "AD": (0.028785564, (5844.7166, 0.0113049955, 0.187752005, 9205164), (3815.1118, 0.0073792837, 0.171886371, 10743437), (20.6601, 2.95318)),
}
PAIRS = list(ROWS)


@pytest.mark.parametrize("pair", PAIRS)
def test_azuma_gives_the_published_lengths_exactly(pair):
    mu, counts, leak, published = ROWS[pair]
    delta, (m_y, e_y, phase_error, bits), _, _ = GOLDENS[pair]

    found = key_length(counts, (mu, mu), leak, bound="azuma", verify_bits=0)

    assert found.bits == bits
    assert (found.delta, found.m_y_upper, found.e_y, found.phase_error) == pytest.approx((delta, m_y, e_y, phase_error), rel=1e-7)
    assert found.bits / 200.0 == pytest.approx(1e3 * published, rel=0.025)
    assert found.reason == ""
    assert not found.regression_only


@pytest.mark.parametrize("pair", PAIRS)
def test_kato_at_the_observed_counts_meets_its_goldens_and_says_that_it_proves_nothing(pair):
    mu, counts, leak, _ = ROWS[pair]
    delta, _, (m_y, e_y, phase_error, bits), (first, second) = GOLDENS[pair]

    kato = kato_parameters(counts, (mu, mu), regression_only=True)
    found = key_length(counts, (mu, mu), leak, bound="kato", verify_bits=0, kato=kato)

    assert bits - 2 <= found.bits <= bits
    assert (found.delta, found.m_y_upper, found.e_y, found.phase_error) == pytest.approx((delta, m_y, e_y, phase_error), rel=1e-7)
    assert (kato.first, kato.second) == pytest.approx((first, second), rel=1e-4)
    assert found.regression_only


def test_the_small_goldens():
    assert binary_entropy(0.11) == pytest.approx(0.499915958164528, rel=1e-14)
    assert phase_error_bound(0.01, 0.03) == pytest.approx(0.187891285361088, rel=1e-13)
    assert 1 - state_overlap(0.0085) == pytest.approx(7.184145e-5, rel=1e-6)
    assert 1 - state_overlap(0.017) == pytest.approx(2.857386e-4, rel=1e-6)
    terms = key_length(ROWS["AB"][1], (0.017, 0.017), 0, verify_bits=0).terms
    assert -terms["verification"] - terms["amplification"] == pytest.approx(98.65784284662087, rel=1e-14)


@pytest.mark.parametrize(("pair", "azuma", "kato"), [("AB", 220.6, 245.9), ("AC", 35.5, 42.1), ("AD", 42.7, 52.9)])
def test_a_smaller_concentration_epsilon_costs_what_the_table_says(pair, azuma, kato):
    mu, counts, leak, _ = ROWS[pair]
    epsilons = Epsilons(concentration=1e-20)

    parameters = kato_parameters(counts, (mu, mu), epsilons, regression_only=True)

    assert key_length(counts, (mu, mu), leak, epsilons=epsilons, verify_bits=0).bits / 200e3 == pytest.approx(azuma, abs=0.051)
    assert key_length(counts, (mu, mu), leak, bound="kato", epsilons=epsilons, verify_bits=0, kato=parameters).bits / 200e3 == pytest.approx(kato, abs=0.051)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("factor", "loss"), [(0.7, 0.0006), (1.3, 0.0006), (0.5, 0.0023), (2.0, 0.0023)])
def test_y_errors_guessed_wrongly_beforehand_cost_little(pair, factor, loss):
    mu, counts, leak, _ = ROWS[pair]
    guess = replace(counts, m_y=round(counts.m_y * factor))

    best, off = (key_length(counts, (mu, mu), leak, bound="kato", kato=kato_parameters(each, (mu, mu))).bits for each in (counts, guess))

    assert (1 - loss) * best < off < best


def test_64_disclosed_tag_bits_cost_exactly_30_bits_more_than_the_correctness_term():
    _, counts, leak, _ = ROWS["AB"]

    plain, tagged = (key_length(counts, (0.017, 0.017), leak, verify_bits=bits).bits for bits in (0, 64))

    assert plain - tagged in (29, 30)


def test_dropped_frames_keep_the_phase_errors_of_the_full_set():
    _, counts, leak, _ = ROWS["AC"]
    full = key_length(counts, (0.0085, 0.0085), leak)

    fewer = key_length(counts, (0.0085, 0.0085), leak, n_x_surviving=counts.n_x - 131072)

    assert fewer.phase_error * (counts.n_x - 131072) == pytest.approx(full.phase_error * counts.n_x, rel=1e-12)
    assert fewer.bits < full.bits - 131072 * (1 - binary_entropy(full.phase_error))


def test_both_forms_of_the_total_epsilon():
    epsilons = Epsilons(1e-10, 2e-10, 1e-20)

    assert epsilons.total == pytest.approx(3e-10 + 2e-20)
    assert epsilons.smooth == pytest.approx(3e-10 + 2 * (2e-20) ** 0.5)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("n_sent", {"n_sent": 0}),
        ("n_events", {"n_events": PULSES + 1}),
        ("n_x", {"n_x": 208796444}),
        ("m_y", {"m_y": 2171544}),
        ("n_y", {"n_y": -1}),
        ("n_x", {"n_x": 1.5}),
        ("n_x", {"n_x": math.nan}),
        ("n_y", {"n_y": True}),
    ],
)
def test_impossible_counts_are_refused_by_name(field, changes):
    with pytest.raises(ParameterError) as caught:
        replace(ROWS["AB"][1], **changes)

    assert caught.value.where == field


@pytest.mark.parametrize("value", [0.0, 1.0, -1e-10, math.nan])
@pytest.mark.parametrize("field", ["correction", "amplification", "concentration"])
def test_impossible_epsilons_are_refused_by_name(field, value):
    with pytest.raises(ParameterError) as caught:
        Epsilons(**{field: value})

    assert caught.value.where == field


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("mu_a", {"mu": (0.0, 0.017)}),
        ("mu_b", {"mu": (0.017, math.nan)}),
        ("mu_b", {"mu": (0.017, math.inf)}),
        ("leak_bits", {"leak_bits": -1}),
        ("leak_bits", {"leak_bits": 1.5}),
        ("verify_bits", {"verify_bits": -1}),
        ("n_x_surviving", {"n_x_surviving": 169216603}),
        ("bound", {"bound": "hoeffding"}),
        ("kato", {"bound": "kato"}),
    ],
)
def test_impossible_arguments_are_refused_by_name(field, arguments):
    good = {"counts": ROWS["AB"][1], "mu": (0.017, 0.017), "leak_bits": 14220217}

    with pytest.raises(ParameterError) as caught:
        key_length(**{**good, **arguments})

    assert caught.value.where == field


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        (BlockCounts(PULSES, 0, 0, 0, 0), "gain is 0"),
        (BlockCounts(PULSES, 1000, 900, 0, 0), "no Y event"),
        (BlockCounts(PULSES, 1000, 0, 10, 0), "no X event"),
        (BlockCounts(PULSES, 100000, 90000, 1000, 1), "delta"),
        (BlockCounts(PULSES, 208796444, 169216602, 2171543, 1085772), "Y error rate"),
        (BlockCounts(PULSES, 208796444, 169216602, 2171543, 700000), "phase error rate"),
        (BlockCounts(PULSES, 208796444, 30, 2171543, 10748), "phase error rate"),
    ],
)
@pytest.mark.parametrize("bound", ["azuma", "kato"])
def test_a_block_that_gives_nothing_says_why(counts, word, bound):
    found = key_length(counts, (0.017, 0.017), 0, bound=bound, kato=KatoParameters(20.0, 3.0))

    assert found.bits == 0
    assert word in found.reason


def test_a_leak_that_eats_the_block_is_named_and_the_unclipped_length_stays_negative():
    _, counts, leak, _ = ROWS["AB"]

    found = key_length(counts, (0.017, 0.017), 10 * leak)

    assert found.bits == 0
    assert found.unclipped < 0
    assert "leak" in found.reason


@given(st.floats(1e-4, 0.1), st.floats(1e-4, 0.1), st.integers(10**6, 10**8), st.floats(0.0, 0.05), st.integers(0, 10**6))
def test_more_errors_leak_or_light_never_give_more_key(mu, more_light, n_events, e_y, leak):
    n_x, n_y = round(0.81 * n_events), round(0.01 * n_events)
    counts = BlockCounts(10**10, n_events, n_x, n_y, int(e_y * n_y))
    worse = replace(counts, m_y=counts.m_y + 1)

    length = key_length(counts, (mu, mu), leak).unclipped

    assert key_length(worse, (mu, mu), leak).unclipped <= length
    assert key_length(counts, (mu, mu), leak + 1).unclipped < length
    assert key_length(counts, (mu, mu + more_light), leak).unclipped <= length


@given(st.floats(0.0, 0.5), st.floats(0.0, 0.5))
def test_the_phase_error_bound_solves_the_inequality(e_y, delta):
    e_p = phase_error_bound(e_y, delta)

    assert e_y <= e_p + 1e-12 or e_p == 0.5
    if e_p < 0.5:
        assert math.sqrt(e_y * e_p) + math.sqrt((1 - e_y) * (1 - e_p)) == pytest.approx(1 - 2 * delta, abs=1e-9)
        spread = 4 * (1 - 2 * delta) * math.sqrt(delta * (1 - delta) * e_y * (1 - e_y))
        assert e_p == pytest.approx(e_y + 4 * delta * (1 - delta) * (1 - 2 * e_y) + spread, abs=1e-9)


def test_a_parameter_fixed_for_a_much_larger_block_proves_nothing():
    assert kato_upper_observed(1.0, 100, 1e-10, 5.0) == 100.0


@pytest.mark.parametrize("counts", [BlockCounts(PULSES, 0, 0, 0, 0), BlockCounts(PULSES, 1000, 900, 0, 0), BlockCounts(PULSES, 1000, 0, 10, 1)])
def test_expecting_nothing_falls_back_to_azuma(counts):
    kato = kato_parameters(counts, (0.017, 0.017))

    assert key_length(counts, (0.017, 0.017), 0, bound="kato", kato=kato).m_y_upper == key_length(counts, (0.017, 0.017), 0).m_y_upper


def test_kato_with_a_zero_is_azuma():
    assert kato_upper_expected(100, 10_000, 1e-10, 0.0) == azuma_upper(100, 10_000, 1e-10)
    assert kato_upper_observed(100.0, 10_000, 1e-10, 0.0) == azuma_upper(100.0, 10_000, 1e-10)


def test_basis_dependence_takes_the_product_of_both_overlaps():
    assert basis_dependence((0.017, 0.0085), 0.01) == pytest.approx((1 - (1 - 2.857386e-4) * (1 - 7.184145e-5)) / 0.02, rel=1e-6)


@pytest.mark.parametrize(("n", "p", "eps", "measured"), [(2000, 0.01, 1e-2, 8.0e-4), (20_000, 0.0125, 1e-3, 9.8e-5), (500, 0.2, 1e-2, 1.1e-3)])
def test_both_bounds_fail_less_often_than_epsilon(n, p, eps, measured):
    trials = 400_000
    observed = np.random.default_rng(7).binomial(n, p, trials)
    expected = n * p
    counts = BlockCounts(10 * n, 3 * n, n, n, round(expected))
    first = kato_parameters(counts, (1e-3, 1e-3), Epsilons(concentration=eps)).first
    values = np.arange(n + 1)
    kato = np.array([kato_upper_expected(int(m), n, eps, first) for m in values])
    azuma = np.array([azuma_upper(int(m), n, eps) for m in values])

    kato_failures = np.count_nonzero(kato[observed] < expected) / trials
    azuma_failures = np.count_nonzero(azuma[observed] < expected) / trials

    assert kato_failures <= eps
    assert azuma_failures <= eps
    assert kato_failures == pytest.approx(measured, rel=0.5)
    for a in (0.0, first):
        assert np.count_nonzero(observed > kato_upper_observed(expected, n, eps, a)) / trials <= eps
    assert np.count_nonzero(observed > azuma_upper(expected, n, eps)) / trials <= eps


@pytest.mark.parametrize("mu", [1e-12, 1e-9, 1e-7, 1e-5, 9.99e-4, 1.01e-3])
def test_weak_light_does_not_lose_its_basis_dependence_in_rounding(mu):
    """1 - F_u = 2 times the integral of exp(-t) sin(t) up to mu; F_u itself rounds to 1, and a Delta too small makes the key too long."""
    t = (np.arange(2000) + 0.5) * mu / 2000
    missing = 2 * float(np.sum(np.exp(-t) * np.sin(t))) * mu / 2000

    assert basis_dependence((mu, mu), 0.5) == pytest.approx(2 * missing - missing**2, rel=1e-6)


@pytest.mark.parametrize("eps", [1e-12, 1e-200, 1e-300])
def test_tiny_epsilons_shorten_the_key_and_overflow_nothing(eps):
    mu, counts, leak, _ = ROWS["AB"]
    before, here = (key_length(counts, (mu, mu), leak, epsilons=Epsilons(each, each, each)) for each in (1e-11, eps))

    assert here.bits < before.bits
    assert here.terms["amplification"] == pytest.approx(2 + 2 * math.log2(eps))
