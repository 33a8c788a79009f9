"""Networks whose last layers are evaluated by transfers: a clear part that ends in a ReLU, and linear layers with a ReLU between them.

Training adds to every secure layer the noise that transfers would, of standard deviation S_x S_w sqrt(2) sd(u.v), and keeps each row's sums of either sign
below the public scale S_w, so that the network which is trained is the one that can be evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .accuracy import Knobs, best_block
from .layer import SecureLayer
from .tasks import Noise, Task

Arrays = Mapping[str, NDArray[np.float32]]


class SecureNetwork(nn.Module):
    """The network of a task.

    body: convolutions, flattened.  clear: linear layers before the secure ones, each with a ReLU.  secure: the last linear layers.
    """

    def __init__(self, task: Task, image: tuple[int, int, int]) -> None:
        super().__init__()
        self.noise = task.noise
        stages: list[nn.Module] = []
        channels, side, _ = image
        for one in task.convolutions:
            stages += [nn.Conv2d(channels, one.channels, one.kernel, padding=one.padding), nn.ReLU()]
            channels, side = one.channels, side + 2 * one.padding - one.kernel + 1
            if one.pool:
                stages.append(nn.MaxPool2d(2))
                side //= 2
        sizes = (channels * side * side, *task.dense)
        linear = [nn.Linear(before, after) for before, after in pairwise(sizes)]
        self.body = nn.Sequential(*stages, nn.Flatten())
        self.clear = nn.Sequential(*(stage for layer in linear[: -task.secure] for stage in (layer, nn.ReLU())))
        self.secure = nn.ModuleList(linear[-task.secure :])

    def linear(self) -> list[nn.Linear]:
        """Return the secure layers, first to last."""
        return [layer for layer in self.secure if isinstance(layer, nn.Linear)]

    def forward(self, images: Tensor, noise: LayerNoise | None = None) -> Tensor:
        """Return the scores (n, classes) of images (n, channels, side, side).  noise: what transfers would add; None evaluates exactly."""
        return self.head(self.clear(self.body(images)), noise)

    def head(self, x: Tensor, noise: LayerNoise | None = None) -> Tensor:
        """Return the scores of what enters the first secure layer, (n, inputs), not negative."""
        layers = self.linear()
        for place, layer in enumerate(layers):
            y = layer(x)
            if noise is not None:
                y = y + noise.drawn(place, x, y)
            x = torch.relu(y) if place < len(layers) - 1 else y
        return x


@dataclass(frozen=True)
class LayerNoise:
    """Gaussian noise as strong as that of transfers.  scales: S_w of each secure layer.  deviations: sd(u.v) of each.  generator: where it is drawn from."""

    scales: Sequence[float]
    deviations: Sequence[float]
    generator: torch.Generator

    def drawn(self, place: int, x: Tensor, y: Tensor) -> Tensor:
        """Return noise of the shape of y for the layer at a place whose input is x."""
        # The gradient goes through S_x: it is what teaches the layers before to say the same with a smaller sum.
        sums = x.sum(dim=1, keepdim=True) + 1.0
        unit = torch.randn(y.shape, generator=self.generator, dtype=y.dtype)
        return unit * sums * (self.scales[place] * sqrt(2.0) * self.deviations[place])


def knobs_for(inputs: Sequence[int], noise: Noise) -> list[Knobs]:
    """Return with which knobs layers with so many inputs, the bias's coordinate added here, meet a noise: its block or the best, no repetition."""
    return [Knobs(min(noise.block or best_block(noise.error, m + 1), m + 1), 1, noise.shots) for m in inputs]


def deviations(inputs: Sequence[int], noise: Noise) -> list[float]:
    """Return sd(u.v) of layers with so many inputs at these knobs."""
    return [knobs.deviation(noise.error, m + 1) for knobs, m in zip(knobs_for(inputs, noise), inputs, strict=True)]


def row_sums(layer: nn.Linear) -> Tensor:
    """Return the larger sum of one sign of every row, bias included: float64 (outputs,)."""
    rows = torch.cat([layer.weight, layer.bias[:, None]], dim=1).detach().double()
    return torch.maximum(rows.clamp(min=0).sum(dim=1), (-rows).clamp(min=0).sum(dim=1))


def clamp(layer: nn.Linear, scale: float) -> None:
    """Scale every row that exceeds S_w back onto it, bias included."""
    with torch.no_grad():
        factor = (scale / row_sums(layer)).clamp(max=1.0).float()
        layer.weight.mul_(factor[:, None])
        layer.bias.mul_(factor)


def arrays_of(network: SecureNetwork) -> dict[str, NDArray[np.float32]]:
    """Return all parameters by name, float32."""
    return {name: np.array(value.detach().numpy(), np.float32) for name, value in network.state_dict().items()}


def network_of(task: Task, image: tuple[int, int, int], arrays: Arrays) -> SecureNetwork:
    """Return the network of a task with given parameters."""
    network = SecureNetwork(task, image)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})
    return network.eval()


def through(stage: Callable[[Tensor], Tensor], images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a part of a network makes of samples, float32, worked off in pieces."""
    with torch.no_grad():
        parts = [stage(part).numpy() for part in torch.split(torch.from_numpy(np.ascontiguousarray(images)), 512)]
    return np.asarray(np.concatenate(parts), np.float32)


def features(network: SecureNetwork, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what enters the first secure layer, float32 (n, inputs), not negative: what Alice computes in clear."""
    return through(nn.Sequential(network.body, network.clear), images)


def secure_layers(network: SecureNetwork, knobs: Sequence[Knobs], scales: Sequence[float]) -> list[SecureLayer]:
    """Return Bob's layers, rows above their scale clamped."""
    found = []
    for layer, each, scale in zip(network.linear(), knobs, scales, strict=True):
        factor = (scale / row_sums(layer)).clamp(max=1.0).numpy()
        weights, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
        found.append(SecureLayer.of(weights * factor[:, None], bias * factor, each, scale=scale))
    return found
