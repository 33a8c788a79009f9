"""Counts that a pair expects from its bench before any light is sent."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

from ..core.errors import ParameterError
from ..core.physics import click_law, interference
from .finite_key import BlockCounts

SITE_EFFICIENCY = (0.893 * 0.847 * 0.927, 0.855 * 0.901)
"""Efficiency of the paths to D1 (circulator, beam splitter, detector) and D2 (beam splitter, detector). Source: arXiv:2501.12709, Table 6."""


@dataclass(frozen=True, slots=True)
class SlotShares:
    """Shares of the slots in which both users send X, both Y, or different bases; they add up to 1."""

    xx: float
    yy: float
    cross: float

    @classmethod
    def random(cls, p_x: float = 0.9) -> SlotShares:
        """Return the shares of fresh random patterns that choose X with probability p_x in (0, 1)."""
        if not 0.0 < p_x < 1.0:
            raise ParameterError(f"{p_x!r} is not between 0 and 1", where="p_x", remedy="Give the probability of the X basis.")
        return cls(p_x**2, (1.0 - p_x) ** 2, 2.0 * p_x * (1.0 - p_x))

    @classmethod
    def pattern(cls, slots: int, n_y: int, overlap: int) -> SlotShares:
        """Return the shares of two periodic patterns of `slots` slots with `n_y` Y slots each, `overlap` of them common."""
        if not 0 <= overlap <= n_y or 2 * n_y - overlap > slots or slots < 1:
            raise ParameterError(f"{n_y} Y slots with {overlap} in common do not fit into {slots}", where="overlap", remedy="Check the pattern.")
        return cls((slots - 2 * n_y + overlap) / slots, overlap / slots, 2 * (n_y - overlap) / slots)


@dataclass(frozen=True, slots=True)
class PairBench:
    """What is known of a pair's light path.

    mu: mean photons per pulse leaving each user.  transmission: of each user's channel to the beam splitter.  error_x, error_y: wrong-port share e, V = 1 - 2e,
    when both use that basis.  efficiency: of the paths behind the beam splitter to D1 and D2.  dark: dark count probability per gate at each.
    """

    mu: tuple[float, float]
    transmission: tuple[float, float]
    error_x: float
    error_y: float
    efficiency: tuple[float, float] = SITE_EFFICIENCY
    dark: tuple[float, float] = (1e-7, 1e-7)

    def __post_init__(self) -> None:
        for where, value, most in (
            *((f"mu_{user}", x, pi) for user, x in zip("ab", self.mu, strict=True)),
            *((f"transmission_{user}", x, 1.0) for user, x in zip("ab", self.transmission, strict=True)),
        ):
            if not 0.0 < value <= most:
                raise ParameterError(f"{value!r} is not in (0, {most:g}]", where=where, remedy="Check the pair's settings.")
        for where, value in (("error_x", self.error_x), ("error_y", self.error_y)):
            if not 0.0 <= value <= 0.5:
                raise ParameterError(f"{value!r} is not in [0, 1/2]", where=where, remedy="Check the pair's settings.")

    def clicks(self, phase: float, visibility: float) -> tuple[float, float]:
        """Return the probabilities of a click at D1 only and at D2 only, for a phase difference (rad)."""
        mu_t = (self.mu[0] * self.transmission[0], self.mu[1] * self.transmission[1])
        law = click_law(*interference(mu_t, phase, visibility, self.efficiency), self.dark)
        return float(law.only_d1), float(law.only_d2)


@dataclass(frozen=True, slots=True)
class ExpectedCounts:
    """Mean counts of a block, not rounded: pulses sent, effective events, X events and their errors, Y events and their errors."""

    n_sent: int
    n_events: float
    n_x: float
    m_x: float
    n_y: float
    m_y: float

    def block(self) -> BlockCounts:
        """Return the counts rounded, as `kato_parameters` takes them."""
        return BlockCounts(self.n_sent, round(self.n_events), round(self.n_x), round(self.n_y), round(self.m_y))


def expected_counts(bench: PairBench, n_sent: int, shares: SlotShares | None = None) -> ExpectedCounts:
    """Return the mean counts of `n_sent` pulses by the click law, without detector dead time.

    shares: composition of the patterns, by default random with p_X = 0.9.  Bits are balanced: in a common basis half of the slots have equal phases (an event
    at D2 is an error) and half opposite ones; different bases meet at a right angle, where visibility does not matter.
    """
    shares = shares or SlotShares.random()
    same, errors = {}, {}
    for basis, error in (("x", bench.error_x), ("y", bench.error_y)):
        (right_0, wrong_0), (wrong_1, right_1) = (bench.clicks(phase, 1.0 - 2.0 * error) for phase in (0.0, pi))
        errors[basis] = (wrong_0 + wrong_1) / 2.0
        same[basis] = (right_0 + right_1) / 2.0 + errors[basis]
    n_x, n_y = n_sent * shares.xx * same["x"], n_sent * shares.yy * same["y"]
    cross = n_sent * shares.cross * sum(bench.clicks(pi / 2, 1.0))
    return ExpectedCounts(n_sent, n_x + n_y + cross, n_x, n_sent * shares.xx * errors["x"], n_y, n_sent * shares.yy * errors["y"])
