"""Best intensity, basis probability and block size: published pairs, and what a search can do wrong."""

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core.errors import ParameterError
from heliograph.postprocess.finite_key import BlockCounts, binary_entropy, expected_length, kato_parameters, key_length
from heliograph.postprocess.optimise import Scenario, best_by_duration, best_intensity, best_intensity_and_basis
from heliograph.postprocess.parameters import ExpectedCounts, PairBench, SlotShares

PULSES = 20_000_000_000
# Counts of arXiv:2501.12709 (Tables 1 and 7): mu, n_events, n_x, m_x, n_y, m_y, leak.
PUBLISHED = {
    "AB": (0.0170, 208796444, 169216602, 1434989, 2171543, 10748, 14220217),
    "AC": (0.0085, 52455918, 42542127, 446184, 575833, 7221, 4219418),
    "AD": (0.0089, 54706564, 44275485, 437014, 517003, 3405, 4221496),
}
# Best mu, kbps there, and with p_X free: mu, p_X, kbps.
OPTIMA = {
    ("AB", "azuma"): (0.01652, 225.9, 0.0163, 0.938, 232.8),
    ("AB", "kato"): (0.01684, 244.8, 0.0167, 0.972, 275.0),
    ("AC", "azuma"): (0.00669, 39.3, 0.0066, 0.918, 39.6),
    ("AC", "kato"): (0.00688, 44.1, 0.0068, 0.958, 47.5),
    ("AD", "azuma"): (0.00754, 47.1, 0.0075, 0.916, 47.4),
    ("AD", "kato"): (0.00782, 54.3, 0.0078, 0.960, 58.8),
}
# kbps of the published counts scaled to a duration in seconds: azuma, kato.
BY_DURATION = {
    "AB": {1: (79, 194), 5: (150, 226), 20: (191, 239), 50: (210, 244), 200: (228.7, 247.5), 2000: (244, 250)},
    "AC": {1: (0, 19.5), 5: (14.4, 33.4), 20: (26.6, 39.0), 50: (32.3, 41.1), 200: (37.9, 42.8), 2000: (42.4, 44.1)},
    "AD": {1: (0, 26.1), 5: (16.8, 42.7), 20: (31.3, 49.3), 50: (38.5, 51.7), 200: (46.0, 53.7), 2000: (52.3, 55.1)},
}
CASES = [pytest.param(*case, id="-".join(case)) for case in OPTIMA]


def scenario(pair="AB", bound="azuma", **changes):
    """A published pair, its loss read off its counts: the site's efficiency is in the transmission, darks are not told apart from errors."""
    mu, n_events, n_x, m_x, n_y, m_y, leak = PUBLISHED[pair]
    eta = n_events / (2 * mu * PULSES)
    bench = PairBench((mu, mu), (eta, eta), m_x / n_x, m_y / n_y, efficiency=(1.0, 1.0), dark=(0.0, 0.0))
    return Scenario(bench, **{"bound": bound, "f_ec": leak / (n_x * binary_entropy(m_x / n_x)), "verify_bits": 0, **changes})


@pytest.mark.parametrize(("pair", "bound"), CASES)
def test_the_best_intensity_of_a_published_pair(pair, bound):
    mu, kbps, *_ = OPTIMA[pair, bound]

    found = best_intensity(scenario(pair, bound))

    assert found.mu == pytest.approx(mu, rel=0.01)
    assert found.rate_bps / 1e3 == pytest.approx(kbps, rel=0.002)
    assert found.p_x is None
    assert not found.at_edge


@pytest.mark.parametrize(("pair", "bound"), CASES)
def test_the_best_intensity_and_basis_probability_of_a_published_pair(pair, bound):
    *_, mu, p_x, kbps = OPTIMA[pair, bound]

    found = best_intensity_and_basis(scenario(pair, bound))

    assert found.mu == pytest.approx(mu, rel=0.01)
    assert found.p_x == pytest.approx(p_x, abs=0.0015)
    assert found.rate_bps / 1e3 == pytest.approx(kbps, rel=0.002)


@pytest.mark.parametrize(("pair", "kbps"), [("AB", 225.8), ("AC", 37.5), ("AD", 46.1)])
def test_the_published_intensities_give_a_little_less(pair, kbps):
    case = scenario(pair)

    rate = case.rate_bps(PUBLISHED[pair][0])

    assert rate / 1e3 == pytest.approx(kbps, rel=0.002)
    assert rate < best_intensity(case).rate_bps


@pytest.mark.parametrize(("pair", "bound"), CASES)
def test_a_fifth_too_much_or_too_little_light_costs_between_2_4_and_2_9_percent(pair, bound):
    case = scenario(pair, bound)
    best = best_intensity(case)

    for factor in (0.8, 1.2):
        assert 0.0235 < 1 - case.length(factor * best.mu) / best.length < 0.0295


@pytest.mark.parametrize("pair", list(PUBLISHED))
@pytest.mark.parametrize("seconds", [1, 5, 20, 50, 200, 2000])
def test_the_rate_depends_on_the_accumulation_time_as_in_the_table(pair, seconds):
    mu, *counts, leak = PUBLISHED[pair]
    share = seconds / 200
    block = ExpectedCounts(round(share * PULSES), *(share * n for n in counts))

    lengths = [
        expected_length(block, (mu, mu), share * leak, bound=bound, verify_bits=0, kato=kato_parameters(block, (mu, mu)) if bound == "kato" else None)
        for bound in ("azuma", "kato")
    ]

    kbps = [max(0.0, length) / seconds / 1e3 for length in lengths]
    for found, told in zip(kbps, BY_DURATION[pair][seconds], strict=True):
        digit = 0.5 if float(told).is_integer() and told > 60 else 0.05
        assert found == pytest.approx(told, abs=1.02 * digit)


def test_the_best_intensity_goes_with_the_transmission():
    case = scenario(dead_time_s=0.0)
    half = replace(case, bench=replace(case.bench, transmission=tuple(t / 2 for t in case.bench.transmission)), duration_s=800.0)

    assert best_intensity(half).mu == pytest.approx(best_intensity(case).mu / 2, rel=0.03)


def test_the_expected_length_is_the_key_length_of_the_same_counts():
    case = scenario(bound="kato", verify_bits=64)
    mu = (0.0165, 0.0165)
    whole: BlockCounts = case.counts(mu[0]).block()
    kato = kato_parameters(whole, mu)

    for bound in ("azuma", "kato"):
        made = key_length(whole, mu, 14_000_000, bound=bound, kato=kato)
        assert expected_length(whole, mu, 14_000_000, bound=bound, kato=kato) == made.unclipped


def test_key_at_one_intensity_only_is_found_between_two_points_of_the_grid():
    # The duration at which the first key appears. A clipped length would be 0 on the whole grid, and the search would have nowhere to go.
    case = scenario("AC")
    fine = np.geomspace(0.001, 0.02, 300)
    low, high = 0.01, 200.0
    for _ in range(30):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if max(replace(case, duration_s=middle).length(float(mu)) for mu in fine) > 0 else (middle, high)
    first = replace(case, duration_s=high)

    found = best_intensity(first)

    assert max(first.length(float(mu)) for mu in np.geomspace(1e-4, 0.1, 48)) < 0
    assert found.length > 0.0
    assert 0.002 < found.mu < 0.006


def test_a_pair_without_hope_has_no_rate_and_a_negative_length():
    found = best_intensity(replace(scenario(), bench=replace(scenario().bench, error_y=0.4)))

    assert found.length < 0
    assert found.rate_bps == 0.0


def test_longer_blocks_are_never_worse():
    found = best_by_duration(scenario("AD", "kato"), [1.0, 10.0, 100.0, 1000.0])

    assert [one.duration_s for one in found] == [1.0, 10.0, 100.0, 1000.0]
    assert sorted(one.rate_bps for one in found) == [one.rate_bps for one in found]


def test_dead_time_loses_events_and_no_pulses():
    free, dead = scenario(), scenario(dead_time_s=30e-9)

    counts = [case.counts(0.017) for case in (free, dead)]

    assert counts[0].n_sent == counts[1].n_sent
    assert 0.014 < 1 - counts[1].n_events / counts[0].n_events < 0.018
    assert counts[1].m_y / counts[1].n_y == pytest.approx(counts[0].m_y / counts[0].n_y)
    assert best_intensity(dead).rate_bps < best_intensity(free).rate_bps


@given(
    loss=st.floats(0.0, 60.0),
    error_x=st.floats(0.0, 0.5),
    error_y=st.floats(0.0, 0.5),
    seconds=st.floats(1e-4, 1e5),
    dark=st.sampled_from([0.0, 1e-9, 1e-6, 1e-3]),
    bound=st.sampled_from(["azuma", "kato"]),
)
@settings(max_examples=60, deadline=None)
def test_no_intensity_of_a_grid_beats_the_one_that_was_found(loss, error_x, error_y, seconds, dark, bound):
    t = 10 ** (-loss / 10)
    case = Scenario(PairBench((0.01, 0.01), (t, t), error_x, error_y, dark=(dark, dark)), duration_s=seconds, bound=bound)

    found = best_intensity(case)

    others = [case.length(float(mu)) for mu in np.geomspace(1e-4, 0.1, 97)]
    assert found.length >= max(others) - 1e-9 * abs(max(others))
    assert 1e-4 * 0.999 <= found.mu <= 0.1 * 1.001
    assert found.length == pytest.approx(case.length(found.mu))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("duration_s", 0.0),
        ("duration_s", float("nan")),
        ("duration_s", 1e-9),
        ("rep_rate_hz", -1.0),
        ("f_ec", 0.9),
        ("f_ec", float("nan")),
        ("dead_time_s", -1e-9),
        ("bound", "hoeffding"),
    ],
)
def test_impossible_scenarios_are_refused_by_name(field, value):
    with pytest.raises(ParameterError) as caught:
        replace(scenario(), **{field: value})

    assert caught.value.where in (field, "rep_rate_hz")
    assert caught.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize(("pair", "bound"), CASES)
def test_differential_evolution_finds_the_same_optimum(pair, bound):
    from scipy.optimize import Bounds, differential_evolution

    case = scenario(pair, bound)

    def loss(place):
        return -replace(case, shares=SlotShares.random(1 - exp(place[1]))).length(exp(place[0]))

    evolved = differential_evolution(loss, Bounds([log(1e-4), log(1e-3)], [log(0.1), log(0.5)]), rng=np.random.default_rng(7), tol=1e-9, maxiter=300)
    searched = best_intensity_and_basis(case)

    assert searched.length == pytest.approx(-evolved.fun, rel=1e-7)
    assert searched.mu == pytest.approx(exp(evolved.x[0]), rel=1e-3)
    assert searched.p_x == pytest.approx(1 - exp(evolved.x[1]), abs=1e-4)
