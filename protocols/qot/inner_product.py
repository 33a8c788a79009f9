"""The inner product of two private vectors from many shots of one-hot draws, and the same as one binomial draw.

A shot draws one coordinate of either vector, or none: P(B_u = e_j) = u_j. Its m gates hand Bob B_u,i and B_v,i under Alice's pads; z, the parity of his outputs
and her pads, is 1 with probability u.v where there is no noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.entropy import RandomSource
from ...core.errors import NoSignal, ParameterError
from .accuracy import USELESS, deviation_bound, estimate, outcome_probability
from .gates import Bits, transfer
from .states import StateSource

Vector = NDArray[np.float64]
MOST_GATES = 1 << 24
"""Gates that are worked on at a time."""
_WORD = 2.0**-53


def reals(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return real numbers as float64, of any shape. Raises ParameterError for complex ones, text, and rows of different length."""
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise ParameterError(f"this is no array ({error})", where=name) from error
    if found.dtype.kind not in "biuf":
        raise ParameterError(f"values of type {found.dtype} are no real numbers", where=name)
    return found.astype(np.float64)


def weights(values: ArrayLike, name: str) -> Vector:
    """Return a vector whose entries can be probabilities of a draw, float64 (m,).

    Raises ParameterError naming what is wrong: an entry that is negative or not finite, a sum above 1, another shape or type.
    """
    found = reals(values, name)
    if found.ndim != 1 or found.size == 0:
        raise ParameterError(f"shape {found.shape} is no vector", where=name)
    if not np.isfinite(found).all() or found.min() < 0:
        raise ParameterError("an entry is negative or not finite", where=name, remedy="Split signed vectors into two.")
    if found.sum() > 1.0 + 1e-12:
        raise ParameterError(f"the sum is {found.sum():.15g}, at most 1 can be drawn from", where=name, remedy="Divide by the sum first.")
    return found


def uniform(source: RandomSource, n: int) -> NDArray[np.float64]:
    """Return n numbers, uniform in [0, 1), float64 (n,)."""
    return (np.frombuffer(source.take(8 * n), "<u8") >> np.uint64(11)).astype(np.float64) * _WORD


def random_bits(source: RandomSource, *shape: int) -> Bits:
    """Return uniform bits, one a byte, uint8 of the given shape."""
    n = int(np.prod(shape))
    packed = np.frombuffer(source.take((n + 7) // 8), np.uint8)
    return np.asarray(np.unpackbits(packed, count=n, bitorder="little").reshape(shape))


def one_hot(vector: Vector, lots: NDArray[np.float64]) -> Bits:
    """Return one draw for each lot, uint8 (shots, m): a one in the drawn coordinate, none where the vector's sum is not reached.

    lots: uniform in [0, 1), (shots,).
    """
    drawn = np.searchsorted(np.cumsum(vector), lots, side="right")
    return np.asarray(drawn[:, None] == np.arange(vector.size), np.uint8)


@dataclass(frozen=True, slots=True)
class Counted:
    """What the shots of an inner product gave.  ones: shots with z = 1.  shots.  gates: of a shot."""

    ones: int
    shots: int
    gates: int

    def estimate(self, error: float) -> float:
        """Return the unbiased estimate of u.v, given the error of a transfer."""
        return estimate(self.ones / self.shots, error, self.gates)


def inner_product(
    states: StateSource, u: ArrayLike, v: ArrayLike, shots: int, alice: RandomSource, bob: RandomSource, *, error: float | None = None, limit: float = USELESS
) -> Counted:
    """Return the count of an inner product, both parties played here, with one derandomised transfer a gate.

    u, v: Alice's and Bob's vectors, (m,).  alice, bob: of their draws and pads.  error: of a transfer, where it is known; limit: of the standard deviation that
    it leaves.  Raises ParameterError, NoSignal or StatesExhausted, and then no state was used.
    """
    first, second = weights(u, "u"), weights(v, "v")
    if first.size != second.size or shots < 1:
        raise ParameterError(f"vectors of {first.size} and {second.size} coordinates, {shots} shots", where="inner product")
    if error is not None and (found := deviation_bound(error, first.size, shots)) > limit:
        raise NoSignal(found, limit, where="inner product")
    states.require(shots * first.size)
    m, ones, chunk = first.size, 0, max(1, MOST_GATES // first.size)
    for begin in range(0, shots, chunk):
        n = min(chunk, shots - begin)
        mine, theirs = one_hot(first, uniform(alice, n)), one_hot(second, uniform(bob, n))
        pads = random_bits(alice, n, m)
        output = transfer(states, pads.ravel(), (mine ^ pads).ravel(), theirs.ravel()).reshape(n, m)
        ones += int((np.bitwise_xor.reduce(output, axis=1) ^ np.bitwise_xor.reduce(pads, axis=1)).sum())
    return Counted(ones, shots, m)


def binomial_inner_product(product: ArrayLike, error: float, m: int, shots: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return counts of inner products as `inner_product` would give them, drawn at once (tier `binomial`): int64 of the shape of `product`."""
    exact = reals(product, "product")
    if not all(isfinite(end) and -1e-12 <= end <= 1.0 + 1e-12 for end in (exact.min(), exact.max())):
        raise ParameterError("an inner product lies outside 0 to 1", where="product")
    return np.asarray(rng.binomial(shots, outcome_probability(1.0, error, m) * exact + outcome_probability(0.0, error, m) * (1.0 - exact)), np.int64)


def blocks_of(vector: Vector, block: int) -> NDArray[np.float64]:
    """Return a vector cut into blocks of the same size, filled up with zeros: float64 (ceil(m/block), block)."""
    if block < 1:
        raise ParameterError(f"{block} coordinates make no block", where="block")
    padded = np.zeros(ceil(vector.size / block) * block)
    padded[: vector.size] = vector
    return padded.reshape(-1, block)
