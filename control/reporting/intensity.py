"""Which intensity a pair should use: from a station file, or from numbers measured elsewhere, to advice, tables and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ParameterError
from ...core.physics import transmission
from ...instruments.station import Station
from ...instruments.station_checks import Y_SHARE
from ...postprocess.finite_key import Bound
from ...postprocess.optimise import INTENSITIES, Optimum, Scenario, best_by_duration, best_intensity, best_intensity_and_basis
from ...postprocess.parameters import PairBench, SlotShares
from ..parties.tables import Rows

BOUNDS: tuple[Bound, ...] = get_args(Bound)
DURATIONS_S = (1.0, 5.0, 20.0, 50.0, 200.0, 2000.0)
"""Durations for which the best rate is told."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a pair; None where the station's value (or, without a station, the default of `PairBench`) stands.

    loss_db: from each user to the beam splitter.  error_x, error_y: error rates.  efficiency: of both detector paths behind the beam splitter.
    dark: dark count probability per gate of either detector.  mu: intensity in use, to compare with.
    """

    loss_db: float | None = None
    error_x: float | None = None
    error_y: float | None = None
    efficiency: float | None = None
    dark: float | None = None
    mu: float | None = None

    def __post_init__(self) -> None:
        for name, value, least, most in (("loss", self.loss_db, 0.0, 200.0), ("efficiency", self.efficiency, 1e-6, 1.0), ("dark", self.dark, 0.0, 0.5)):
            if value is not None and not least <= value <= most:
                raise ParameterError(f"{value!r} is not between {least:g} and {most:g}", where=name, remedy="Check the number.")

    def apply(self, bench: PairBench) -> PairBench:
        """Return a pair's bench with what was measured in it."""
        through = None if self.loss_db is None else float(transmission(self.loss_db))
        return PairBench(
            _both(self.mu, bench.mu),
            _both(through, bench.transmission),
            bench.error_x if self.error_x is None else self.error_x,
            bench.error_y if self.error_y is None else self.error_y,
            _both(self.efficiency, bench.efficiency),
            _both(self.dark, bench.dark),
        )


def _both(measured: float | None, otherwise: tuple[float, float]) -> tuple[float, float]:
    return otherwise if measured is None else (measured, measured)


def station_scenario(station: Station, pair: str, measured: Measured, **choices: Any) -> Scenario:
    """Return what a station file says of a pair, replaced by what was measured.

    choices: fields of `Scenario`.  Patterns are those that `acquire key` sends, unless `shares` is chosen.  Raises ParameterError for an unknown pair.
    """
    if pair not in station.pairs:
        raise ParameterError(f"there is no pair {pair!r}", where=str(station.path), remedy=f"Name one of {', '.join(station.pairs)}, or all.")
    place, site, slots = station.pairs[pair], station.optics.site, station.clock.pattern_slots
    through = float(transmission(place.arm_loss_db))
    dark = (site.dark_hz[0] * site.gate_s, site.dark_hz[1] * site.gate_s)
    bench = PairBench((place.mu, place.mu), (through, through), place.error_x, place.error_y, site.eta, dark)
    own = {"shares": SlotShares.pattern(slots, round(Y_SHARE * slots), place.yy_overlap), "rep_rate_hz": station.clock.rep_rate_hz}
    return Scenario(measured.apply(bench), **{**own, "dead_time_s": site.dead_time_s, **choices})


def measured_scenario(measured: Measured, **choices: Any) -> Scenario:
    """Return the scenario of a pair of which only numbers are known. Raises ParameterError naming the number that is missing."""
    for name, value in (("--loss", measured.loss_db), ("--error-x", measured.error_x), ("--error-y", measured.error_y)):
        if value is None:
            raise ParameterError("without a station file this number is needed", where=name, remedy="Give --station FILE, or --loss, --error-x and --error-y.")
    return Scenario(measured.apply(PairBench((INTENSITIES[0],) * 2, (1.0, 1.0), 0.0, 0.0)), **choices)


@dataclass(frozen=True, slots=True)
class Advice:
    """The best setting of a pair.

    best: with the patterns as they are.  free: with the probability of X sought too, None where it was not asked for.  mu_now: intensity in use, None where
    there is none.  by_duration: the best for blocks of DURATIONS_S, by bound.
    """

    scenario: Scenario
    best: Optimum
    free: Optimum | None
    mu_now: float | None
    by_duration: Mapping[Bound, Sequence[Optimum]]

    @property
    def rate_now_bps(self) -> float | None:
        """Return the key rate (bit/s) at the intensity in use."""
        return None if self.mu_now is None else self.scenario.rate_bps(self.mu_now)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as `--json` prints it."""
        now = None if self.mu_now is None else {"mu": self.mu_now, "key_rate_bps": self.rate_now_bps}
        return {
            **_plain(self.best),
            "expected": asdict(self.scenario.counts(self.best.mu)),
            "now": now,
            "free_p_x": None if self.free is None else {**_plain(self.free), "p_x": self.free.p_x},
            "by_duration": {bound: [{"duration_s": one.duration_s, **_plain(one)} for one in found] for bound, found in self.by_duration.items()},
        }


def advise(scenario: Scenario, *, mu_now: float | None = None, free_p_x: bool = False) -> Advice:
    """Return the best setting of a pair."""
    by_duration: dict[Bound, Sequence[Optimum]] = {bound: best_by_duration(replace(scenario, bound=bound), DURATIONS_S) for bound in BOUNDS}
    free = best_intensity_and_basis(scenario) if free_p_x else None
    return Advice(scenario, best_intensity(scenario), free, mu_now, by_duration)


def _plain(found: Optimum) -> dict[str, Any]:
    key = found.length > 0.0
    return {"mu": found.mu if key else None, "key_rate_bps": found.rate_bps, "key_bits": int(max(0.0, found.length)), "at_edge": key and found.at_edge}


def advice_rows(found: Mapping[str, Advice]) -> Rows:
    """Return one row a pair: best intensity and rate, the present ones, and those with the probability of X free."""
    some_now = any(one.mu_now is not None for one in found.values())
    some_free = any(one.free is not None for one in found.values())
    columns = ["pair", "best mu", "rate (kbit/s)"]
    columns += ["mu now", "rate now (kbit/s)", "gain"] if some_now else []
    columns += ["best p_X", "its mu", "its rate (kbit/s)"] if some_free else []
    rows = []
    for name, one in found.items():
        row: list[object] = [name, *_setting(one.best)]
        if some_now:
            row += _present(one)
        if some_free and one.free is not None:
            row += [one.free.p_x if one.free.length > 0 else "-", *_setting(one.free)]
        rows.append(row)
    return columns, rows


def duration_rows(found: Mapping[str, Advice]) -> Rows:
    """Return two rows a pair, one a bound: the best rate (kbit/s) of blocks of each duration."""
    columns = ["pair", "bound", *(f"{seconds:g} s" for seconds in DURATIONS_S)]
    return columns, [(name, bound, *(each.rate_bps / 1e3 for each in one.by_duration[bound])) for name, one in found.items() for bound in BOUNDS]


def _setting(found: Optimum) -> tuple[float | str, float]:
    return (found.mu if found.length > 0 else "-", found.rate_bps / 1e3)


def _present(one: Advice) -> tuple[object, object, object]:
    now = one.rate_now_bps
    if one.mu_now is None or now is None:
        return "-", "-", "-"
    return one.mu_now, now / 1e3, f"{one.best.rate_bps / now - 1:+.1%}" if now else "-"


@dataclass(frozen=True, slots=True)
class RateCurves:
    """What is drawn of a pair. Rates in bit/s, by bound.

    mu: float (n,), photons per pulse.  by_mu: float (n,) each, rate of a block of `scenario.duration_s`.  best: the maxima of these curves.
    durations_s: float (m,).  by_duration: float (m,) each, at the best intensity of every duration.
    """

    scenario: Scenario
    mu_now: float | None
    mu: NDArray[np.float64]
    by_mu: Mapping[Bound, NDArray[np.float64]]
    best: Mapping[Bound, Optimum]
    durations_s: NDArray[np.float64]
    by_duration: Mapping[Bound, NDArray[np.float64]]


def rate_curves(found: Mapping[str, Advice], *, points: int = 300, durations: int = 90) -> dict[str, RateCurves]:
    """Return the curves of the pairs, over the same intensities (from a twentieth of the best to four times it) and durations (0.5 s to an hour)."""
    best = {name: {bound: best_intensity(replace(one.scenario, bound=bound)) for bound in BOUNDS} for name, one in found.items()}
    marked = [each.mu for both in best.values() for each in both.values() if each.length > 0] or [1e-2]
    marked += [one.mu_now for one in found.values() if one.mu_now is not None]
    mu = np.geomspace(max(INTENSITIES[0], min(marked) / 20.0), min(INTENSITIES[1], max(marked) * 4.0), points)
    asked = [one.scenario.duration_s for one in found.values()]
    seconds = np.geomspace(min(0.5, *asked), max(3600.0, *asked), durations)
    return {name: _curves(one, best[name], mu, seconds) for name, one in found.items()}


def _curves(advice: Advice, best: Mapping[Bound, Optimum], mu: NDArray[np.float64], seconds: NDArray[np.float64]) -> RateCurves:
    both: dict[Bound, Scenario] = {bound: replace(advice.scenario, bound=bound) for bound in BOUNDS}
    by_mu = {bound: np.array([one.rate_bps(float(x)) for x in mu]) for bound, one in both.items()}
    by_duration = {bound: np.array([each.rate_bps for each in best_by_duration(one, seconds.tolist())]) for bound, one in both.items()}
    return RateCurves(advice.scenario, advice.mu_now, mu, by_mu, best, seconds, by_duration)
