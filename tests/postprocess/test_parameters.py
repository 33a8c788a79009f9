"""Expected counts: default bench and published rows."""

import pytest

from heliograph.core.errors import ParameterError
from heliograph.core.physics import transmission
from heliograph.postprocess.finite_key import binary_entropy, kato_parameters, key_length
from heliograph.postprocess.parameters import PairBench, SlotShares, expected_counts

PULSES = 20_000_000_000
# Wrong-port share in X and Y, loss of the longer arm (dB), mu, expected n_events, n_x, m_x, n_y, m_y, rates (kbps) at f 1.19 azuma and 1.03 kato.
USERS = {"A": (0.00373, 0.00312), "B": (0.00400, 0.00192), "C": (0.00695, 0.00790), "D": (0.00676, 0.00575)}
DEFAULT_BENCH = {
    "AB": (3.80, 0.017, (207373176, 168048177, 1289039, 2074726, 10398), 230.19, 257.74),
    "AC": (6.80, 0.0085, (52193511, 42281475, 450391, 521993, 5739), 38.75, 47.15),
    "AD": (6.80, 0.0089, (54645789, 44268278, 463115, 546524, 4841), 41.47, 50.80),
}
# Published counts with the channel transmission and Y overlap that reproduce them: mu, t, overlap, then n_events, n_x, m_x, n_y, m_y, leak, kbps.
PUBLISHED = {
    "AB": (0.017, 0.4195, 104, (208796444, 169216602, 1434989, 2171543, 10748), 14220217, 230.0),
    "AC": (0.0085, 0.2099, 110, (52455918, 42542127, 446184, 575833, 7221), 4219418, 37.6),
    "AD": (0.0089, 0.2092, 95, (54706564, 44275485, 437014, 517003, 3405), 4221496, 45.9),
}


def _default(pair):
    loss_db, mu, *_ = DEFAULT_BENCH[pair]
    t = float(transmission(loss_db))
    error_x, error_y = ((1 - (1 - 2 * a) * (1 - 2 * b)) / 2 for a, b in zip(USERS[pair[0]], USERS[pair[1]], strict=True))
    return expected_counts(PairBench((mu, mu), (t, t), error_x, error_y), PULSES)


@pytest.mark.parametrize("pair", list(DEFAULT_BENCH))
def test_the_default_bench_is_expected_to_count_what_the_table_says(pair):
    found = _default(pair)

    assert (found.n_events, found.n_x, found.m_x, found.n_y, found.m_y) == pytest.approx(DEFAULT_BENCH[pair][2], abs=1.0)


@pytest.mark.parametrize("pair", list(DEFAULT_BENCH))
def test_the_default_bench_is_expected_to_give_the_key_rates_of_the_table(pair):
    _, mu, _, azuma, kato = DEFAULT_BENCH[pair]
    found = _default(pair)
    counts = found.block()
    limit = found.n_x * binary_entropy(found.m_x / found.n_x)

    slow = key_length(counts, (mu, mu), round(1.19 * limit), verify_bits=0)
    fast = key_length(counts, (mu, mu), round(1.03 * limit), bound="kato", verify_bits=0, kato=kato_parameters(counts, (mu, mu)))

    assert (slow.bits / 200e3, fast.bits / 200e3) == pytest.approx((azuma, kato), abs=0.0051)


@pytest.mark.parametrize("pair", list(PUBLISHED))
def test_settings_of_a_published_pair_reproduce_its_row(pair):
    mu, t, overlap, (n_events, n_x, m_x, n_y, m_y), leak, rate = PUBLISHED[pair]

    found = expected_counts(PairBench((mu, mu), (t, t), m_x / n_x, m_y / n_y), PULSES, SlotShares.pattern(10_000, 1000, overlap))

    assert (found.n_events, found.n_x) == pytest.approx((n_events, n_x), rel=0.0015)
    assert (found.m_x, found.n_y, found.m_y) == pytest.approx((m_x, n_y, m_y), rel=0.015)
    assert key_length(found.block(), (mu, mu), leak, verify_bits=0).bits / 200e3 == pytest.approx(rate, rel=0.025)


def test_shares_add_up_to_one():
    for shares in (SlotShares.random(0.93), SlotShares.pattern(10_000, 1000, 104)):
        assert shares.xx + shares.yy + shares.cross == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("p_x", lambda: SlotShares.random(1.0)),
        ("overlap", lambda: SlotShares.pattern(10_000, 1000, 1001)),
        ("mu_a", lambda: PairBench((0.0, 0.01), (0.4, 0.4), 0.01, 0.01)),
        ("transmission_b", lambda: PairBench((0.01, 0.01), (0.4, 1.4), 0.01, 0.01)),
        ("error_y", lambda: PairBench((0.01, 0.01), (0.4, 0.4), 0.01, 0.6)),
    ],
)
def test_impossible_settings_are_refused_by_name(field, make):
    with pytest.raises(ParameterError) as caught:
        make()

    assert caught.value.where == field
