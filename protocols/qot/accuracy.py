"""What noise does to an inner product, exactly, and which knobs keep it small: blocks, repetition, shots, states for validation.

Symbols: error, of one transfer; m, gates of an inner product; shots, S; signal, F = (1 - 2 error)^m. The flips of the gates are independent, and in the
derandomised mode independent of the data as well, so that P(z = 1) = 1/2 + (u.v - 1/2) F holds exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, comb, inf, sqrt

from ...core.errors import NoSignal, ParameterError

USELESS = 0.5
"""Standard deviation of u.v at which an estimate says no more than that it lies from 0 to 1."""


def _rate(error: float) -> float:
    if not 0.0 <= error < 0.5:
        remedy = "An error rate lies from 0 up to 1/2, not included: take a better device."
        raise NoSignal(inf, USELESS, where=f"an error of {error!r}", remedy=remedy)
    return error


def signal(error: float, m: int) -> float:
    """Return F = (1 - 2 error)^m, what is left of a difference from one half after m gates. Raises NoSignal unless the error is one from 0 up to 1/2."""
    if m < 1:
        raise ParameterError(f"{m} gates make no inner product", where="gates")
    return float((1.0 - 2.0 * _rate(error)) ** m)


def flipped_share(error: float, m: int) -> float:
    """Return lambda = (1 - F)/2, the probability that m gates together flip the result."""
    return (1.0 - signal(error, m)) / 2.0


def outcome_probability(product: float, error: float, m: int) -> float:
    """Return P(z = 1) of a shot, where u.v = product."""
    return 0.5 + (product - 0.5) * signal(error, m)


def estimate(share: float, error: float, m: int) -> float:
    """Return the unbiased estimate of u.v from the share of shots with z = 1. It may lie outside 0..1; clipping would bias it."""
    return 0.5 + (share - 0.5) / signal(error, m)


def deviation_bound(error: float, m: int, shots: int) -> float:
    """Return the largest standard deviation of the estimate, 1/(2 sqrt(S) F)."""
    return 1.0 / (2.0 * sqrt(shots) * signal(error, m))


def block_deviation(error: float, m: int, block: int, shots: int) -> float:
    """Return the largest standard deviation of u.v from m/block inner products of `block` gates each: sqrt(m/b)/(2 sqrt(S) (1 - 2 error)^b)."""
    return sqrt(ceil(m / block)) * deviation_bound(error, block, shots)


def best_block(error: float, m: int) -> int:
    """Return the block size from 1 to m with the smallest deviation at an unchanged number of transfers; near 1/(2 ln(1/(1 - 2 error)))."""
    if error == 0.0:
        return m
    return min(range(1, m + 1), key=lambda size: block_deviation(error, m, size, 1))


def repeated_error(error: float, repetitions: int) -> float:
    """Return the error of the majority of an odd number of transfers of the same bits. Holds for a Bob who does not vary his choice. Raises NoSignal."""
    if repetitions < 1 or repetitions % 2 == 0:
        raise ParameterError(f"{repetitions} repetitions have no majority", where="repetitions", remedy="Give an odd number.")
    wrong = range(repetitions // 2 + 1, repetitions + 1)
    return sum(comb(repetitions, k) * _rate(error) ** k * (1.0 - error) ** (repetitions - k) for k in wrong)


def validation_deviation(error: float, states: int) -> float:
    """Return the standard deviation of an error rate found with so many validation states."""
    return sqrt(error * (1.0 - error) / states)


def shift_of_estimate(product: float, error: float, m: int, off: float) -> float:
    """Return by how much an error rate that is wrong by `off` moves the estimate: (u.v - 1/2) 2 m off / (1 - 2 error)."""
    return (product - 0.5) * 2.0 * m * off / (1.0 - 2.0 * error)


def validation_states(error: float, m: int, shots: int) -> int:
    """Return how many validation states make the shift of any estimate at most half its shot noise, one standard deviation each."""
    if error == 0.0:
        return 1
    allowed = deviation_bound(error, m, shots) / 2.0
    off = allowed * (1.0 - 2.0 * error) / (2.0 * m * 0.5)
    return ceil(error * (1.0 - error) / off**2)


@dataclass(frozen=True, slots=True)
class Knobs:
    """How an inner product is evaluated.  block: gates of a block.  repetitions: transfers of a gate, odd.  shots: of a block."""

    block: int
    repetitions: int = 1
    shots: int = 2000

    def deviation(self, error: float, m: int) -> float:
        """Return the largest standard deviation of u.v for vectors of m coordinates."""
        return block_deviation(repeated_error(error, self.repetitions), m, min(self.block, m), self.shots)

    def transfers(self, m: int) -> int:
        """Return the transfers of one inner product of m coordinates, those of padding included."""
        return self.shots * self.repetitions * ceil(m / self.block) * self.block


MOST_REPETITIONS = 21


def choose_knobs(error: float, m: int, shots: int, limit: float) -> Knobs:
    """Return the cheapest knobs whose deviation is at most `limit`: the fewest repetitions, then the best block.

    Raises NoSignal if no repetition up to 21 is enough.
    """
    knobs = Knobs(m, 1, shots)
    for repetitions in range(1, MOST_REPETITIONS + 1, 2):
        knobs = Knobs(best_block(repeated_error(error, repetitions), m), repetitions, shots)
        if knobs.deviation(error, m) <= limit:
            return knobs
    raise NoSignal(knobs.deviation(error, m), limit, where=f"inner product of {m} coordinates at error {error:.3g}")
