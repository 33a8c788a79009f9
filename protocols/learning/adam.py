"""Adam on one parameter vector, with moments that can be kept, stored and given back.

Same numbers as `torch.optim.Adam`, whose first use imports torch's compiler and takes longer than a whole training here. Source: arXiv:1412.6980.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .trainer import OptimizerState

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Steps of a vector theta (d,), in place. lr: learning rate.  state: of an earlier `state`, empty at the start."""

    def __init__(self, theta: Tensor, lr: float, state: OptimizerState) -> None:
        self._theta = theta
        self._lr = lr
        self._step = int(state["step"]) if state else 0
        self._mean, self._square = (_moment(theta, state, name) for name in ("exp_avg", "exp_avg_sq"))

    def step(self, gradient: Tensor) -> None:
        """Take one step against a gradient (d,)."""
        self._step += 1
        self._mean.lerp_(gradient, 1 - BETA1)
        self._square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        spread = self._square.sqrt().div_((1 - BETA2**self._step) ** 0.5).add_(EPSILON)
        with torch.no_grad():
            self._theta.addcdiv_(self._mean, spread, value=-self._lr / (1 - BETA1**self._step))

    @property
    def state(self) -> OptimizerState:
        """Return step (int64) and moments `exp_avg`, `exp_avg_sq` (d,)."""
        return {"step": np.array(self._step), "exp_avg": self._mean.numpy().copy(), "exp_avg_sq": self._square.numpy().copy()}


def _moment(theta: Tensor, state: OptimizerState, name: str) -> Tensor:
    if not state:
        return torch.zeros_like(theta, requires_grad=False)
    return torch.from_numpy(np.array(state[name]))
