"""Training of a task's network: some epochs plainly, then from there on twice, with the noise of transfers and without it; and keeping what was trained.

The two that are compared have seen the same images, in the same order, in the same number of epochs at the same rates. Noise, and the scale that rows keep to,
are all that sets them apart.

Networks lie under `HELIOGRAPH_MODELS`, else `$XDG_CACHE_HOME/heliograph/models`, else `~/.cache/heliograph/models`, one NPZ file a task and seed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ...core.errors import ParameterError, StorageError
from ...core.files import write_private
from ..learning.data import Samples
from ..statevector import single_thread
from .layer import evaluate_binomial
from .networks import Arrays, LayerNoise, SecureNetwork, arrays_of, clamp, deviations, features, knobs_for, network_of, row_sums, secure_layers, through
from .tasks import Images, Noise, Task

FORMAT = 2
_RAMP = 0.5
_PARTS = ("start", "plain", "aware")
_SHUFFLE, _NOISE, _SHOTS, _SECOND_SHUFFLE = 11, 12, 13, 14
Progress = Callable[[int, int], None]
"""Called with the steps done and the steps there are."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Three networks of a task.

    start: after the epochs that the others share.  plain, aware: after those that followed, without and with noise.  All are parameters by name.
    scales: S_w of each secure layer of the noise-aware one.  image: channels, side, side.
    classical, aided: accuracies on the test images after each of all epochs, fractions of 1; of the plain network evaluated exactly, and of the noise-aware one
    evaluated by transfers. In the shared epochs the network is the same.
    """

    task: Task
    seed: int
    image: tuple[int, int, int]
    start: Arrays
    plain: Arrays
    aware: Arrays
    scales: tuple[float, ...]
    classical: tuple[float, ...]
    aided: tuple[float, ...]

    def plain_network(self) -> SecureNetwork:
        """Return the plain network."""
        return network_of(self.task, self.image, self.plain)

    def aware_network(self) -> SecureNetwork:
        """Return the network that was trained with noise."""
        return network_of(self.task, self.image, self.aware)


def train(task: Task, images: Images, seed: int = 0, *, progress: Progress | None = None) -> Trained:
    """Train a task's network without noise, and from there on once without noise and once with it.

    S_w of a secure layer is the median over its rows of the larger sum of one sign, where the noise begins: rows above it are scaled back after every step.
    """
    channels, side, other = image = images.train.x.shape[1:]
    with nullcontext() if task.convolutions else single_thread():
        network = _start(task, (channels, side, other), seed)
        count = _Counter(_batches(task, images) * (task.epochs + 2 * task.aided), progress)
        rng = np.random.default_rng([seed, _SHOTS])
        shared = [_accuracies(network, images.test, rng) for _ in _plainly(network, task, images.train, seed, count)]
        scales = tuple(float(row_sums(layer).median()) for layer in network.linear())
    begun = Trained(task, seed, image, arrays_of(network), {}, {}, scales, *(tuple(column) for column in zip(*shared, strict=True)))
    plain, exactly = _continued(begun, images, count, None)
    aware, noisily = _continued(begun, images, count, scales)
    return replace(begun, plain=plain, aware=aware, classical=(*begun.classical, *exactly), aided=(*begun.aided, *noisily))


def adapted(found: Trained, images: Images, noise: Noise, *, progress: Progress | None = None) -> Trained:
    """Return networks whose noise-aware one was trained anew from where the noise begins, for other noise than the task's. They are not kept."""
    other = replace(found, task=replace(found.task, noise=noise))
    count = _Counter(_batches(other.task, images) * other.task.aided, progress)
    aware, noisily = _continued(other, images, count, found.scales)
    return replace(other, aware=aware, aided=(*found.aided[: other.task.epochs], *noisily))


def _batches(task: Task, images: Images) -> int:
    return -(-len(images.train) // task.batch)


class _Counter:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def step(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _child(seed: int, purpose: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=(purpose,)).generate_state(1)[0])


def _start(task: Task, image: tuple[int, int, int], seed: int) -> SecureNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SecureNetwork(task, image)


def _plainly(network: SecureNetwork, task: Task, train: Samples, seed: int, count: _Counter) -> Iterator[None]:
    """Train a network without noise, and yield after every epoch."""
    x, y = torch.from_numpy(train.x), torch.from_numpy(train.y)
    optimizer = torch.optim.Adam(network.parameters(), lr=task.lr)
    order = torch.Generator().manual_seed(_child(seed, _SHUFFLE))
    for _ in range(task.epochs):
        for batch in torch.split(torch.randperm(len(y), generator=order), task.batch):
            _descend(optimizer, nn.functional.cross_entropy(network(x[batch]), y[batch]))
            count.step()
        yield


def _continued(found: Trained, images: Images, count: _Counter, scales: Sequence[float] | None) -> tuple[Arrays, tuple[float, ...]]:
    """Return parameters of a network that is trained on, with noise if there are scales, and its accuracies by epoch: exact, or by transfers."""
    network, rng = network_of(found.task, found.image, found.start), np.random.default_rng([found.seed, _SHOTS, 1])
    test, accuracies = images.test, []
    with nullcontext() if found.task.convolutions else single_thread():
        for _ in _on(network, found, images.train, count, scales):
            scores = through(network, test.x) if scales is None else _by_transfers(network, features(network, test.x), scales, rng)
            accuracies.append(share_right(scores, test.y))
    return arrays_of(network), tuple(accuracies)


def _on(network: SecureNetwork, found: Trained, train: Samples, count: _Counter, scales: Sequence[float] | None) -> Iterator[None]:
    """Train a network on, at a rate that falls to zero, with noise if there are scales, and yield after every epoch."""
    task, seed, layers = found.task, found.seed, network.linear()
    x, y = torch.from_numpy(train.x), torch.from_numpy(train.y)
    full, drawn = deviations([layer.in_features for layer in layers], task.noise), torch.Generator().manual_seed(_child(seed, _NOISE))
    optimizer = torch.optim.Adam(network.parameters(), lr=task.lr)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.aided)
    order = torch.Generator().manual_seed(_child(seed, _SECOND_SHUFFLE))
    for epoch in range(task.aided):
        # All of the noise at once would drive units to zero from which they do not come back.
        share = min(1.0, (epoch + 1) / (_RAMP * task.aided))
        noise = None if scales is None else LayerNoise(scales, [share * one for one in full], drawn)
        for batch in torch.split(torch.randperm(len(y), generator=order), task.batch):
            _descend(optimizer, nn.functional.cross_entropy(network(x[batch], noise), y[batch]))
            if scales is not None:
                for layer, scale in zip(layers, scales, strict=True):
                    clamp(layer, scale)
            count.step()
        rate.step()
        yield


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def share_right(scores: NDArray[Any], y: NDArray[np.int64]) -> float:
    """Return the accuracy: the share of images whose class has the highest score.  scores: (n, classes).  y: the classes, (n,)."""
    return float((scores.argmax(axis=1) == y).mean())


def _accuracies(network: SecureNetwork, test: Samples, rng: np.random.Generator) -> tuple[float, float]:
    """Return the accuracy of a network that knows of no noise, evaluated exactly, and by transfers with scales that cut no row."""
    entering = features(network, test.x)
    scales = [float(row_sums(layer).max()) for layer in network.linear()]
    return share_right(through(network.head, entering), test.y), share_right(_by_transfers(network, entering, scales, rng), test.y)


def _by_transfers(network: SecureNetwork, entering: NDArray[np.float32], scales: Sequence[float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the scores by transfers at the noise of the training.  entering: what enters the first secure layer."""
    knobs = knobs_for([layer.in_features for layer in network.linear()], network.noise)
    x = entering.astype(np.float64)
    for layer in secure_layers(network, knobs, scales):
        x = evaluate_binomial(layer, np.maximum(x, 0.0), network.noise.error, rng)
    return x


def model_root() -> Path:
    """Return the folder under which trained networks lie."""
    if named := os.environ.get("HELIOGRAPH_MODELS"):
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "heliograph" / "models"


def model_path(task: Task, seed: int) -> Path:
    """Return where the networks of a task and seed are kept; anything that changes the training changes the name, the data set that is here included."""
    settings = {**asdict(task), "note": "", "data": task.data, "seed": seed, "format": FORMAT}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    return model_root() / f"qot-{task.name}-{digest}.npz"


def save(trained: Trained) -> Path:
    """Keep networks where `trained` finds them. Raises StorageError."""
    path = model_path(trained.task, trained.seed)
    about = {"image": trained.image, "scales": trained.scales, "classical": trained.classical, "aided": trained.aided}
    arrays: dict[str, Any] = {f"{part}/{name}": value for part in _PARTS for name, value in getattr(trained, part).items()}
    packed = io.BytesIO()
    np.savez(packed, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, packed.getvalue())
    except OSError as error:
        raise StorageError(f"the networks were not kept ({error.strerror})", where=str(path), remedy="Set HELIOGRAPH_MODELS to a folder of yours.") from error
    return path


def load(task: Task, seed: int = 0) -> Trained | None:
    """Return the networks that were kept, None where there are none. Raises ParameterError if the file is damaged."""
    path = model_path(task, seed)
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            about = json.loads(kept["about"].tobytes())
            parts = {part: {name.removeprefix(f"{part}/"): kept[name] for name in kept.files if name.startswith(f"{part}/")} for part in _PARTS}
        channels, side, other = about["image"]
        curves = tuple(about["classical"]), tuple(about["aided"])
        return Trained(task, seed, (channels, side, other), parts["start"], parts["plain"], parts["aware"], tuple(about["scales"]), *curves)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ParameterError(f"the trained networks cannot be read ({error})", where=str(path), remedy="Remove the file; they are trained again.") from error


def trained(task: Task, images: Images, seed: int = 0, *, progress: Progress | None = None) -> Trained:
    """Return the networks of a task, trained on first use and kept. Raises StorageError, ParameterError."""
    found = load(task, seed)
    if found is None:
        found = train(task, images, seed, progress=progress)
        save(found)
    return found
