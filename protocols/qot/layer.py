"""A linear layer y = W x + bias evaluated by oblivious transfer: signs split, rows scaled, coordinates in blocks, one count opened an output.

Alice holds x >= 0 and its sum S_x; Bob holds W, and one public constant S_w per layer bounds the sums of either sign of every row. The bias is one more
coordinate, in which x is 1. With both signs' counts put together, C = sum z+ + sum (1 - z-), the output is y = S_x S_w (C/S - blocks)/F.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.entropy import RandomSource
from ...core.errors import NoSignal, ParameterError
from .accuracy import Knobs, repeated_error, signal
from .gates import Bits, transfer
from .inner_product import MOST_GATES, binomial_inner_product, one_hot, random_bits, reals, uniform
from .states import StateSource

Matrix = NDArray[np.float64]
SLACK = 1e-9
"""Relative part by which a sum may exceed the scale, for rounding."""


@dataclass(frozen=True, slots=True)
class SecureLayer:
    """Bob's layer, ready for evaluation.

    positive, negative: float64 (outputs, blocks, block), probabilities of his draws.  inputs: coordinates of x, the bias's own apart.  scale: S_w, public.
    biased: whether x gets a coordinate of 1.  knobs: block, repetitions, shots.
    """

    positive: Matrix
    negative: Matrix
    inputs: int
    scale: float
    biased: bool
    knobs: Knobs

    @classmethod
    def of(cls, weights: ArrayLike, bias: ArrayLike | None, knobs: Knobs, *, scale: float | None = None) -> Self:
        """Return the layer of weights (outputs, inputs) and bias (outputs,).

        scale: S_w, by default the largest sum of one sign in a row.  Raises ParameterError naming the row whose sum exceeds it, or what is not finite.
        """
        matrix = reals(weights, "weights")
        if matrix.ndim != 2 or not np.isfinite(matrix).all():
            raise ParameterError("weights are a finite matrix (outputs, inputs)", where="weights")
        inputs = matrix.shape[1]
        if bias is not None:
            column = reals(bias, "bias")
            if column.shape != matrix.shape[:1] or not np.isfinite(column).all():
                raise ParameterError(f"a bias of shape {column.shape} for {matrix.shape[0]} outputs", where="bias")
            matrix = np.hstack([matrix, column[:, None]])
        parts = np.maximum(matrix, 0.0), np.maximum(-matrix, 0.0)
        sums = np.maximum(parts[0].sum(axis=1), parts[1].sum(axis=1))
        scale = float(sums.max()) if scale is None else float(scale)
        if not 0.0 < scale < np.inf:
            raise ParameterError(f"a scale of {scale!r}", where="scale", remedy="A layer of zeros needs no transfer.")
        if (too_large := np.flatnonzero(sums > scale * (1.0 + SLACK))).size:
            row = int(too_large[0])
            raise ParameterError(f"row {row} has a sum of {sums[row]:.6g}, the scale is {scale:.6g}", where="weights", remedy="Clamp the row in training.")
        first, second = (_in_blocks(part / scale, knobs.block) for part in parts)
        return cls(first, second, inputs, scale, bias is not None, knobs)

    @property
    def outputs(self) -> int:
        """Return the number of outputs."""
        return int(self.positive.shape[0])

    @property
    def blocks(self) -> int:
        """Return the number of blocks into which the coordinates are cut."""
        return int(self.positive.shape[1])

    @property
    def transfers(self) -> int:
        """Return the transfers that one input vector takes."""
        return 2 * self.positive.size * self.knobs.shots * self.knobs.repetitions

    def deviation(self, error: float) -> float:
        """Return the largest standard deviation of an output for S_x = 1.  Source: S_x S_w sqrt(2 m/b) / (2 sqrt(S) F)."""
        left = signal(repeated_error(error, self.knobs.repetitions), self.positive.shape[2])
        return self.scale * sqrt(2.0 * self.blocks) / (2.0 * sqrt(self.knobs.shots) * left)

    def draws(self, inputs: ArrayLike) -> tuple[Matrix, Matrix]:
        """Return Alice's side: probabilities of her draws, float64 (batch, blocks, block), and S_x, float64 (batch,).

        inputs: float64 (batch, inputs), not negative.  Raises ParameterError naming the row that is wrong.
        """
        x = reals(inputs, "inputs")
        if x.ndim != 2 or x.shape[1] != self.inputs:
            raise ParameterError(f"inputs of shape {x.shape} for a layer of {self.inputs}", where="inputs")
        bad = np.flatnonzero(~np.isfinite(x).all(axis=1) | (x < 0).any(axis=1))
        if bad.size:
            raise ParameterError(f"row {int(bad[0])} has an entry that is negative or not finite", where="inputs", remedy="Put the layer behind a ReLU.")
        if self.biased:
            x = np.hstack([x, np.ones((x.shape[0], 1))])
        sums = x.sum(axis=1)
        return _in_blocks(x / np.where(sums > 0.0, sums, 1.0)[:, None], self.knobs.block), sums

    def outputs_of(self, counts: NDArray[np.int64], sums: Matrix, error: float) -> Matrix:
        """Return outputs from total counts C (batch, outputs), float64 of that shape. Nothing is clipped: that would bias the next layer."""
        left = signal(repeated_error(error, self.knobs.repetitions), self.positive.shape[2])
        return np.asarray(sums[:, None] * self.scale * (counts / self.knobs.shots - self.blocks) / left)


def _in_blocks(matrix: Matrix, block: int) -> Matrix:
    rows, m = matrix.shape
    padded = np.zeros((rows, ceil(m / block) * block))
    padded[:, :m] = matrix
    return padded.reshape(rows, -1, block)


def evaluate_binomial(layer: SecureLayer, inputs: ArrayLike, error: float, rng: np.random.Generator, *, corrected_by: float | None = None) -> Matrix:
    """Return outputs (batch, outputs) as transfers would give them, each count drawn at once.

    error: of one transfer.  corrected_by: what the parties take it for, by default the same.
    """
    u, sums = layer.draws(inputs)
    flips, gates, shots = repeated_error(error, layer.knobs.repetitions), u.shape[2], layer.knobs.shots
    total = np.zeros((u.shape[0], layer.outputs), np.int64)
    for part, inverted in ((layer.positive, False), (layer.negative, True)):
        product = np.einsum("nkb,okb->nok", u, part)
        ones = binomial_inner_product(np.clip(product, 0.0, 1.0), flips, gates, shots, rng).sum(axis=2)
        total += shots * layer.blocks - ones if inverted else ones
    return layer.outputs_of(total, sums, error if corrected_by is None else corrected_by)


def evaluate_joint(
    layer: SecureLayer, inputs: ArrayLike, error: float, states: StateSource, alice: RandomSource, bob: RandomSource, *, limit: float | None = None
) -> Matrix:
    """Return outputs (batch, outputs) with every gate transferred, both parties played here.

    error: by which the counts are corrected.  alice, bob: of draws and pads.  limit: of the standard deviation of an output at S_x = 1, S_w unless given.
    Raises ParameterError, NoSignal or StatesExhausted, and then no state was used.
    """
    u, sums = layer.draws(inputs)
    refuse_without_signal(layer, error, layer.scale if limit is None else limit)
    states.require(layer.transfers * sums.size)
    total = np.zeros((u.shape[0], layer.outputs), np.int64)
    shots, gates = layer.knobs.shots, u.shape[2] * layer.knobs.repetitions
    for sample, output in np.ndindex(total.shape):
        for part, inverted in ((layer.positive, False), (layer.negative, True)):
            for mine, theirs in zip(u[sample], part[output], strict=True):
                ones = sum(_ones(states, mine, theirs, n, layer.knobs.repetitions, alice, bob) for n in _chunks(shots, gates))
                total[sample, output] += shots - ones if inverted else ones
    return layer.outputs_of(total, sums, error)


def _chunks(shots: int, gates: int) -> Iterator[int]:
    most = max(1, MOST_GATES // gates)
    for begin in range(0, shots, most):
        yield min(most, shots - begin)


def _ones(states: StateSource, u: Matrix, v: Matrix, shots: int, repetitions: int, alice: RandomSource, bob: RandomSource) -> int:
    mine, theirs, pads = one_hot(u, uniform(alice, shots)), one_hot(v, uniform(bob, shots)), random_bits(alice, shots, u.size)
    messages = pads.ravel(), (mine ^ pads).ravel()
    outputs = [transfer(states, *messages, theirs.ravel()).reshape(shots, u.size) for _ in range(repetitions)]
    parity: Bits = np.bitwise_xor.reduce(majority(outputs) ^ pads, axis=1)
    return int(parity.sum())


def majority(outputs: list[Bits]) -> Bits:
    """Return what more than half of an odd number of outputs say, bit by bit."""
    if len(outputs) == 1:
        return outputs[0]
    return np.asarray(2 * np.sum(outputs, axis=0, dtype=np.int64) > len(outputs), np.uint8)


def refuse_without_signal(layer: SecureLayer, error: float, limit: float) -> None:
    """Raise NoSignal, before a state is drawn, if an output's deviation at S_x = 1 would exceed the limit."""
    if (found := layer.deviation(error)) > limit:
        raise NoSignal(found, limit, where=f"layer of {layer.inputs} inputs and {layer.outputs} outputs")
