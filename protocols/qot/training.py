"""Training of a task's network, plainly and then with the noise of transfers; and keeping what was trained.

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
from ..statevector import single_thread
from .accuracy import Knobs, best_block
from .layer import evaluate_binomial
from .networks import Arrays, LayerNoise, SecureNetwork, arrays_of, clamp, deviations, network_of, row_sums, secure_layers, through
from .tasks import Images, Noise, Task

FORMAT = 1
_RAMP = 0.5
_SHUFFLE, _NOISE, _SHOTS, _NOISY_SHUFFLE = 11, 12, 13, 14
Progress = Callable[[int, int], None]
"""Called with the steps done and the steps there are."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Two networks of a task.

    plain, aware: parameters by name.  scales: S_w of each secure layer of the noise-aware one.  image: channels, side, side.
    classical, aided: accuracies on the test images after each epoch, fractions of 1; of the plain network, and of the noise-aware one evaluated by transfers.
    """

    task: Task
    seed: int
    image: tuple[int, int, int]
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
    """Train the plain network of a task, and from there on, with its convolutions as they are, the one that stands the noise.

    S_w of a secure layer is the median over its rows of the plain network's larger sum of one sign: rows above it are scaled back after every step.
    """
    batches = -(-len(images.train) // task.batch)
    count = _Counter(batches * (task.epochs + task.aided), progress)
    channels, side, other = image = images.train.x.shape[1:]
    with nullcontext() if task.convolutions else single_thread():
        network = _start(task, (channels, side, other), seed)
        classical = [_accuracy(network, images) for _ in _plainly(network, task, images, seed, count)]
        plain = arrays_of(network)
        scales = tuple(float(row_sums(layer).median()) for layer in network.linear())
    aided = _trained_with_noise(network, task, images, seed, count, scales)
    return Trained(task, seed, image, plain, arrays_of(network), scales, tuple(classical), aided)


def adapted(found: Trained, images: Images, noise: Noise, *, progress: Progress | None = None) -> Trained:
    """Return networks whose noise-aware one was trained anew from the plain one, for other noise than the task's. They are not kept."""
    task = replace(found.task, noise=noise)
    network = network_of(task, found.image, found.plain)
    count = _Counter(-(-len(images.train) // task.batch) * task.aided, progress)
    aided = _trained_with_noise(network, task, images, found.seed, count, found.scales)
    return replace(found, task=task, aware=arrays_of(network), aided=aided)


def _trained_with_noise(network: SecureNetwork, task: Task, images: Images, seed: int, count: _Counter, scales: Sequence[float]) -> tuple[float, ...]:
    with single_thread():
        test, rng = through(network.body, images.test.x), np.random.default_rng([seed, _SHOTS])
        return tuple(_aided(network, test, images.test.y, scales, rng) for _ in _with_noise(network, task, images, seed, count, scales))


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


def _plainly(network: SecureNetwork, task: Task, images: Images, seed: int, count: _Counter) -> Iterator[None]:
    """Train all of a network without noise, and yield after every epoch."""
    x, y = torch.from_numpy(images.train.x), torch.from_numpy(images.train.y)
    optimizer = torch.optim.Adam(network.parameters(), lr=task.lr)
    order = torch.Generator().manual_seed(_child(seed, _SHUFFLE))
    for _ in range(task.epochs):
        for batch in torch.split(torch.randperm(len(y), generator=order), task.batch):
            _descend(optimizer, nn.functional.cross_entropy(network(x[batch]), y[batch]))
            count.step()
        yield


def _with_noise(network: SecureNetwork, task: Task, images: Images, seed: int, count: _Counter, scales: Sequence[float]) -> Iterator[None]:
    """Train the linear layers of a network with noise, at a rate that falls to zero, and yield after every epoch."""
    x, y = torch.from_numpy(through(network.body, images.train.x)), torch.from_numpy(images.train.y)
    layers, drawn = network.linear(), torch.Generator().manual_seed(_child(seed, _NOISE))
    full = deviations([layer.in_features for layer in layers], task.noise)
    optimizer = torch.optim.Adam([*network.clear.parameters(), *network.secure.parameters()], lr=task.lr)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.aided)
    order = torch.Generator().manual_seed(_child(seed, _NOISY_SHUFFLE))
    for epoch in range(task.aided):
        # All of the noise at once would drive units to zero from which they do not come back.
        share = min(1.0, (epoch + 1) / (_RAMP * task.aided))
        noise = LayerNoise(scales, [share * one for one in full], drawn)
        for batch in torch.split(torch.randperm(len(y), generator=order), task.batch):
            _descend(optimizer, nn.functional.cross_entropy(network.head(network.clear(x[batch]), noise), y[batch]))
            for layer, scale in zip(layers, scales, strict=True):
                clamp(layer, scale)
            count.step()
        rate.step()
        yield


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _accuracy(network: SecureNetwork, images: Images) -> float:
    scores = through(network, images.test.x)
    return float((scores.argmax(axis=1) == images.test.y).mean())


def _aided(network: SecureNetwork, body: NDArray[np.float32], y: NDArray[np.int64], scales: Sequence[float], rng: np.random.Generator) -> float:
    """Return the accuracy by transfers at the noise of the training.  body: what comes out of the convolutions."""
    error, shots = network.noise.error, network.noise.shots
    knobs = [Knobs(best_block(error, layer.in_features + 1), 1, shots) for layer in network.linear()]
    x = through(network.clear, body).astype(np.float64)
    for layer in secure_layers(network, knobs, scales):
        x = evaluate_binomial(layer, np.maximum(x, 0.0), error, rng)
    return float((x.argmax(axis=1) == y).mean())


def model_root() -> Path:
    """Return the folder under which trained networks lie."""
    if named := os.environ.get("HELIOGRAPH_MODELS"):
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "heliograph" / "models"


def model_path(task: Task, seed: int) -> Path:
    """Return where the networks of a task and seed are kept; anything that changes the training changes the name."""
    settings = {**asdict(task), "note": "", "seed": seed, "format": FORMAT}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    return model_root() / f"qot-{task.name}-{digest}.npz"


def save(trained: Trained) -> Path:
    """Keep networks where `trained` finds them. Raises StorageError."""
    path = model_path(trained.task, trained.seed)
    about = {"image": trained.image, "scales": trained.scales, "classical": trained.classical, "aided": trained.aided}
    parts = (("plain", trained.plain), ("aware", trained.aware))
    arrays: dict[str, Any] = {f"{part}/{name}": value for part, values in parts for name, value in values.items()}
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
            parts = {part: {name.removeprefix(f"{part}/"): kept[name] for name in kept.files if name.startswith(f"{part}/")} for part in ("plain", "aware")}
        channels, side, other = about["image"]
        curves = tuple(about["classical"]), tuple(about["aided"])
        return Trained(task, seed, (channels, side, other), parts["plain"], parts["aware"], tuple(about["scales"]), *curves)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ParameterError(f"the trained networks cannot be read ({error})", where=str(path), remedy="Remove the file; they are trained again.") from error


def trained(task: Task, images: Images, seed: int = 0, *, progress: Progress | None = None) -> Trained:
    """Return the networks of a task, trained on first use and kept. Raises StorageError, ParameterError."""
    found = load(task, seed)
    if found is None:
        found = train(task, images, seed, progress=progress)
        save(found)
    return found
