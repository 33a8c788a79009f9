"""Dynamic circuits, one trajectory a shot: measurements draw and project, branches touch only the rows whose condition holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import statevector
from .conditions import ALWAYS, Condition
from .program import Step, Values, matrix

if TYPE_CHECKING:
    from torch import Tensor

_AMPLITUDES = 2**22
_X = np.array([[0, 1], [1, 0]], np.complex128)


def trajectories(steps: Sequence[Step], values: Values, n: int, clbits: int, shots: int, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Return the classical bits of every shot: uint8 (shots, clbits). n: qubits."""
    size = max(1, _AMPLITUDES >> n)
    return np.concatenate([_Trajectories(values, n, clbits, min(size, shots - start), draw).run(steps) for start in range(0, shots, size)])


class _Trajectories:
    def __init__(self, values: Values, n: int, clbits: int, shots: int, draw: np.random.Generator) -> None:
        self._values = values
        self._draw = draw
        self._psi = statevector.zero_states(shots, n)
        self._bits = np.zeros((shots, clbits), np.uint8)

    def run(self, steps: Sequence[Step]) -> NDArray[np.uint8]:
        for step in steps:
            if step.kind == "gate":
                self._psi = self._applied(step, self._psi)
            elif step.kind == "branch":
                self._branch(step)
            else:
                self._measure(step)
        return self._bits

    def _applied(self, step: Step, psi: Tensor) -> Tensor:
        return statevector.apply(psi, matrix([step], [self._values]), step.wires[::-1])

    def _measure(self, step: Step) -> None:
        (wire,) = step.wires
        outcome = (self._draw.random(len(self._bits)) < statevector.one_probability(self._psi, wire)).astype(np.uint8)
        self._psi = statevector.project(self._psi, wire, outcome)
        if step.kind == "measure":
            self._bits[:, step.clbit] = outcome
        else:
            self._on_rows(outcome == 1, lambda psi: statevector.apply(psi, _X, [wire]))

    def _branch(self, step: Step) -> None:
        truth = _truth(step.condition or ALWAYS, self._bits)
        for block, rows in zip(step.blocks, (truth, ~truth), strict=False):
            for inner in block:
                self._on_rows(rows, partial(self._applied, inner))

    def _on_rows(self, rows: NDArray[np.bool_], act: Callable[[Tensor], Tensor]) -> None:
        import torch

        if rows.any():
            index = torch.from_numpy(np.flatnonzero(rows))
            self._psi[index] = act(self._psi[index])


def _truth(condition: Condition, bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
    odd = np.bitwise_xor.reduce(bits[:, list(condition.clbits)], axis=1) if condition.clbits else np.zeros(len(bits), np.uint8)
    found: NDArray[np.bool_] = (odd ^ condition.constant).astype(bool)
    return found
