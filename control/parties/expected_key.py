"""What a pair may expect of light that is still coming in: how many of its events become sifted bits, and how many of those a key needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...core.errors import HeliographError
from ...core.physics import transmission
from ...instruments.station import Station
from ...instruments.station_checks import Y_SHARE
from ...postprocess.optimise import Scenario
from ...postprocess.parameters import PairBench, SlotShares

F_EC = 1.2
"""Parities over the Shannon limit that are reckoned with."""
_SHORTEST_S, _LONGEST_S = 1e-3, 1e6
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Expected:
    """x_share: of events, become sifted bits in X.  n_needed: sifted bits of the shortest block that gives key, None where none would."""

    x_share: float
    n_needed: float | None


@lru_cache(maxsize=32)
def expected_key(station_text: bytes, pair_name: str) -> Expected | None:
    """Return what a pair of a station may expect by the station's own numbers; None for a pair or a station of which that cannot be said."""
    try:
        station = Station.parse(station_text, Path("station"))
        pair, site, slots = station.pairs[pair_name], station.optics.site, station.clock.pattern_slots
        arm = float(transmission(pair.arm_loss_db))
        dark = (site.dark_hz[0] * site.gate_s, site.dark_hz[1] * site.gate_s)
        bench = PairBench((pair.mu, pair.mu), (arm, arm), pair.error_x, pair.error_y, site.eta, dark)
        shares = SlotShares.pattern(slots, round(Y_SHARE * slots), pair.yy_overlap)
        return _expected(bench, shares, station.clock.rep_rate_hz, site.dead_time_s, pair.mu)
    except (HeliographError, KeyError, ArithmeticError):
        return None


def error_limits(station: Station) -> dict[str, float]:
    """Return the error rates above which a rule of the station suspends the light, by metric: qber, qber_x, qber_y."""
    return {str(rule.metric): rule.above for rule in station.safety.suspend if rule.metric.startswith("qber") and rule.above is not None}


def _expected(bench: PairBench, shares: SlotShares, rep_rate_hz: float, dead_time_s: float, mu: float) -> Expected:
    def block(seconds: float) -> Scenario:
        return Scenario(bench, seconds, rep_rate_hz, shares, bound="kato", f_ec=F_EC, dead_time_s=dead_time_s)

    second = block(1.0).counts(mu)
    share = second.n_x / second.n_events
    low, high = _SHORTEST_S, _LONGEST_S
    if not block(high).length(mu) > 0.0:
        return Expected(share, None)
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if block(middle).length(mu) > 0.0 else (middle, high)
    return Expected(share, block(high).counts(mu).n_x)
