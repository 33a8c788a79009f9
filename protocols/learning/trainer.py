"""What a learning protocol needs of a client's local learning, whatever the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

OptimizerState = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Trained:
    """Result of one round on one client. update: float64 (d,), local result minus start.  state: the optimizer's moments after it.

    loss, accuracy: on its own samples during the last epoch, NaN where nobody reckons them; they stay with the client.
    """

    update: NDArray[np.float64]
    state: OptimizerState
    loss: float = nan
    accuracy: float = nan


class Trainer(Protocol):
    """One client's data and how it learns from them."""

    @property
    def d(self) -> int:
        """Number of parameters."""
        ...

    @property
    def samples(self) -> int:
        """Number of the client's samples, which is public."""
        ...

    @property
    def model_name(self) -> str:
        """Name of the model, compared with the roster's."""
        ...

    def train(self, round_: int, client: int, theta: NDArray[np.float64], state: OptimizerState) -> Trained:
        """Train from theta, float64 (d,); client: its index in the round.  state: what the last completed round returned, empty at the start."""
        ...


class Evaluate(Protocol):
    """Scores parameters on the public test set."""

    def __call__(self, theta: NDArray[np.float64]) -> tuple[float, float]:
        """Return accuracy and loss of theta, float64 (d,)."""
        ...
