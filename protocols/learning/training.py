"""Local training on a client, and evaluation of the shared model."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ...core.errors import ParameterError
from ..statevector import single_thread
from .adam import Adam
from .data import Samples
from .models import QnnModel
from .tasks import Hyperparameters
from .trainer import OptimizerState, Trained


class LocalTrainer:
    """One client's data and how it learns from them.

    root: seed of the whole run; the order of the samples comes from SeedSequence([root, round, client]).
    """

    def __init__(self, model: QnnModel, samples: Samples, settings: Hyperparameters, root: int) -> None:
        self.model = model
        self.settings = settings
        self.root = root
        self._states = model.encode(samples.x)
        self._labels = torch.from_numpy(np.ascontiguousarray(samples.y, dtype=np.float64)).to(model.ansatz.real)

    @property
    def d(self) -> int:
        """Number of parameters."""
        return self.model.d

    @property
    def samples(self) -> int:
        """Number of the client's samples, which is public."""
        return len(self._labels)

    @property
    def model_name(self) -> str:
        """Name of the model, compared with the roster's."""
        return self.model.name

    def train(self, round_: int, client: int, theta: NDArray[np.float64], state: OptimizerState) -> Trained:
        """Train from theta, float64 (d,); client: its index in the round.  state: Adam's moments, empty at the start.

        Raises `ParameterError` where the update is not finite.
        """
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.root, round_, client])))
        start = torch.from_numpy(np.ascontiguousarray(theta)).to(torch.float32)
        local = start.clone().requires_grad_()
        adam = Adam(local, self.settings.lr, state if self.settings.optimizer == "keep" else {})
        with single_thread():
            seen = (float("nan"), float("nan"))
            for _ in range(self.settings.epochs):
                seen = self._epoch(local, adam, generator)
        # Both sides in float64 from float32, so that an untouched parameter gives exactly 0.
        update = local.detach().to(torch.float64).numpy() - start.to(torch.float64).numpy()
        if not np.isfinite(update).all():
            raise ParameterError("the local training diverged: an update is not finite", where=f"round {round_}", remedy="Lower the learning rate.")
        return Trained(update, adam.state, *seen)

    def _epoch(self, local: torch.Tensor, adam: Adam, generator: np.random.Generator) -> tuple[float, float]:
        """Go through the samples once; return mean loss and accuracy over the batches, each before its step."""
        order = torch.from_numpy(generator.permutation(self.samples))
        total, correct = 0.0, 0
        for batch in torch.split(order, self.settings.batch):
            scores, labels = self.model.scores(self._states[batch], local), self._labels[batch]
            loss = torch.mean((scores - labels) ** 2)
            adam.step(torch.autograd.grad(loss, local)[0])
            total += float(loss.detach()) * len(batch)
            correct += int(((scores.detach() >= 0) == (labels > 0)).sum())
        return total / self.samples, correct / self.samples


class Evaluator:
    """The test set, encoded once."""

    def __init__(self, model: QnnModel, samples: Samples) -> None:
        self.model = model
        self._states = model.encode(samples.x)
        self._labels = np.asarray(samples.y, dtype=np.float64)

    def __call__(self, theta: NDArray[np.float64]) -> tuple[float, float]:
        """Return accuracy and mean squared error of parameters, float64 (d,)."""
        with torch.no_grad(), single_thread():
            parameters = torch.from_numpy(np.ascontiguousarray(theta)).to(self.model.ansatz.real)
            scores = self.model.scores(self._states, parameters).numpy().astype(np.float64)
        correct = np.where(scores >= 0, 1.0, -1.0) == self._labels
        return float(np.mean(correct)), float(np.mean((scores - self._labels) ** 2))
