"""Which intensity, and which share of X slots, give a pair the most key.

Little light gives few events, much light tells the two bases apart (Delta grows with mu): in between lies one smooth maximum, and a scalar search finds it
where the original work bred a population (arXiv:2501.12709 names a genetic algorithm). What is maximised is the expected length *before* it is clipped at 0:
the clipped one is flat wherever there is no key, and a search that begins there stays there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import exp, isfinite, log

import numpy as np

from ..core.errors import ParameterError
from ..core.physics import dead_time_rate
from .finite_key import Bound, Epsilons, binary_entropy, expected_length, kato_parameters
from .parameters import ExpectedCounts, PairBench, SlotShares, expected_counts

INTENSITIES = (1e-4, 0.1)
"""Mean photon numbers per pulse between which the best is sought."""
POINTS = 48
"""Points of the logarithmic grid from which the search for the intensity goes on."""
_Y_PROBABILITIES = (1e-3, 0.5)
_Y_POINTS = 12


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is fixed while the best setting is sought.

    bench: light path of the pair; of it, mu is the setting in use, and the search gives both users the same.  duration_s: of one block.  rep_rate_hz: pulses a
    second.  shares: composition of the patterns.  f_ec: parities that error correction discloses over the Shannon limit n_x h(E_x), at least 1.
    dead_time_s: of each detector, non-paralysable; slots lost to it count as sent.
    Raises ParameterError naming the field.
    """

    bench: PairBench
    duration_s: float = 200.0
    rep_rate_hz: float = 1e8
    shares: SlotShares = field(default_factory=SlotShares.random)
    bound: Bound = "azuma"
    f_ec: float = 1.03
    epsilons: Epsilons = field(default_factory=Epsilons)
    verify_bits: int = 64
    dead_time_s: float = 0.0

    def __post_init__(self) -> None:
        for name, holds, remedy in (
            ("duration_s", isfinite(self.duration_s) and self.duration_s > 0.0, "Give a number of seconds."),
            ("rep_rate_hz", isfinite(self.rep_rate_hz) and 1.0 <= self.duration_s * self.rep_rate_hz < 2.0**53, "Give a rate with at least one pulse."),
            ("f_ec", 1.0 <= self.f_ec < 100.0, "No error correction discloses less than the Shannon limit: give 1 or more."),
            ("dead_time_s", isfinite(self.dead_time_s) and self.dead_time_s >= 0.0, "Give a number of seconds."),
            ("bound", self.bound in ("azuma", "kato"), "Use azuma or kato."),
        ):
            if not holds:
                raise ParameterError(f"{getattr(self, name)!r} cannot be", where=name, remedy=remedy)

    def counts(self, mu: float) -> ExpectedCounts:
        """Return the mean counts of a block in which both users send mu photons per pulse."""
        found = expected_counts(replace(self.bench, mu=(mu, mu)), round(self.duration_s * self.rep_rate_hz), self.shares)
        per_detector_hz = found.n_events / self.duration_s / 2.0
        kept = float(dead_time_rate(per_detector_hz, self.dead_time_s)) / per_detector_hz if per_detector_hz else 1.0
        return ExpectedCounts(found.n_sent, *(kept * n for n in (found.n_events, found.n_x, found.m_x, found.n_y, found.m_y)))

    def length(self, mu: float) -> float:
        """Return the expected key length (bits) at an intensity; not clipped, so it may be negative."""
        counts, both = self.counts(mu), (mu, mu)
        kato = kato_parameters(counts, both, self.epsilons) if self.bound == "kato" else None
        leak = self.f_ec * counts.n_x * binary_entropy(counts.m_x / counts.n_x) if counts.n_x else 0.0
        return expected_length(counts, both, leak, bound=self.bound, epsilons=self.epsilons, verify_bits=self.verify_bits, kato=kato)

    def rate_bps(self, mu: float) -> float:
        """Return the key rate (bit/s) at an intensity, 0 where there is no key."""
        return max(0.0, self.length(mu)) / self.duration_s


@dataclass(frozen=True, slots=True)
class Optimum:
    """The best setting found.

    mu: mean photons per pulse leaving each user.  p_x: share of X slots in each pattern, None where it was not sought.  length: of the key of a block (bits),
    not clipped: negative where no intensity gives key.  duration_s: of the block.
    """

    mu: float
    p_x: float | None
    length: float
    duration_s: float

    @property
    def rate_bps(self) -> float:
        """Return the key rate (bit/s), 0 where there is no key."""
        return max(0.0, self.length) / self.duration_s

    @property
    def at_edge(self) -> bool:
        """Say whether the search ended where it was bounded, so that a better intensity may lie outside."""
        return not INTENSITIES[0] * 1.01 < self.mu < INTENSITIES[1] / 1.01


def best_intensity(scenario: Scenario) -> Optimum:
    """Return the intensity with the longest expected key, the patterns being as they are.

    A logarithmic grid over INTENSITIES, then a bounded search (Brent) around its best point.
    """
    log_mu, length = _highest(lambda x: scenario.length(exp(x)), log(INTENSITIES[0]), log(INTENSITIES[1]), POINTS)
    return Optimum(exp(log_mu), None, length, scenario.duration_s)


def best_intensity_and_basis(scenario: Scenario) -> Optimum:
    """Return intensity and probability of X with the longest expected key, for patterns that are drawn at random.

    Each probability, sought like the intensity (between 0.5 and 0.999, logarithmic in that of Y), is judged at its own best intensity.
    """

    def at(log_y: float) -> Optimum:
        return best_intensity(replace(scenario, shares=SlotShares.random(1.0 - exp(log_y))))

    log_y, _ = _highest(lambda x: at(x).length, log(_Y_PROBABILITIES[0]), log(_Y_PROBABILITIES[1]), _Y_POINTS)
    return replace(at(log_y), p_x=1.0 - exp(log_y))


def best_by_duration(scenario: Scenario, durations_s: Sequence[float]) -> list[Optimum]:
    """Return the best intensity of blocks of each duration (s)."""
    return [best_intensity(replace(scenario, duration_s=seconds)) for seconds in durations_s]


def _highest(function: Callable[[float], float], low: float, high: float, points: int) -> tuple[float, float]:
    """Return place and height of the highest point of a smooth function: of a grid, then by a bounded search between the neighbours of its best point."""
    from scipy.optimize import minimize_scalar

    grid = [float(x) for x in np.linspace(low, high, points)]
    heights = [function(x) for x in grid]
    k = heights.index(max(heights))
    bracket = (grid[max(0, k - 1)], grid[min(points - 1, k + 1)])
    near = minimize_scalar(lambda x: -function(float(x)), bounds=bracket, method="bounded", options={"xatol": 1e-6})
    # The search never tries the ends of its bracket.
    height, place = max((heights[k], grid[k]), (-float(near.fun), float(near.x)))
    return place, height
