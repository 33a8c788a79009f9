"""What is inferred without being shown: data, network, which of its layers are evaluated by transfers, and the noise it is trained to stand.

The networks are those of Yu et al., Sci. Rep. 13, 19130 (2023), and a small one for the digits that need no download. Convolution sizes, optimiser and batch
are not given there; ours are assumptions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...core.errors import DataError, ParameterError
from ..learning.catalogue import first_here
from ..learning.data import Samples, load_cifar10, load_digits, load_medical_mnist, load_mnist

_SPLIT = 3


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution with ReLU.  channels: out.  kernel: side.  padding.  pool: whether 2 x 2 maxima follow."""

    channels: int
    kernel: int
    padding: int
    pool: bool


@dataclass(frozen=True, slots=True)
class Noise:
    """What training prepares for.

    error: of a transfer, that repetition leaves.  shots: of an inner product.  block: gates of one, None for the best.
    """

    error: float
    shots: int = 2000
    block: int | None = None


@dataclass(frozen=True, slots=True)
class Images:
    """Data of a task. Samples with x float32 (n, channels, side, side), 0 to 1, and y int64 (n,), class numbers.  held: not trained on, for choosing knobs."""

    train: Samples
    held: Samples
    test: Samples

    def tested_on(self, n: int) -> Images:
        """Return the same with the first n test images only."""
        return replace(self, test=Samples(self.test.x[:n], self.test.y[:n]))


@dataclass(frozen=True, slots=True)
class Task:
    """One task.

    classes: names.  convolutions, dense: sizes of the layers, `dense` without the inputs and with the outputs.  secure: how many of the last dense layers are
    evaluated by transfers.  train, held, test: images used.  epochs: without noise.  aided: epochs that follow, with noise in the network that is evaluated by
    transfers and without it in the classical one.  noise: of these.  note: what is smaller than published, for the line beside the table.
    """

    name: str
    classes: tuple[str, ...]
    convolutions: tuple[Convolution, ...]
    dense: tuple[int, ...]
    secure: int
    train: int
    held: int
    test: int
    epochs: int
    aided: int
    noise: Noise
    note: str = ""
    batch: int = 64
    lr: float = 1e-3

    @property
    def data(self) -> str:
        """Return the name of the data set that `load` reads: the published one, or a subset where that is all there is."""
        return first_here(*_SETS[self.name]).name

    def load(self, seed: int = 0) -> Images:
        """Return the images, drawn from the root seed. Raises the errors of the loaders, and DataError where there are too few."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(_SPLIT,))))
        train, test = _POOLS[self.name]()
        need = self.train + self.held + (0 if test is not None else self.test)
        if len(train) < need or (test is not None and len(test) < self.test):
            raise DataError(f"{self.name} needs {need:,} images to learn from and {self.test:,} to test", where="data set", remedy="Use smaller parts.")
        order = rng.permutation(len(train))
        parts = [train.take(part) for part in np.split(order[:need], np.cumsum([self.train, self.held]))]
        parts[2] = parts[2] if test is None else test.take(rng.permutation(len(test))[: self.test])
        return Images(*(_scaled(part) for part in parts))

    def cut(self, *, train: int | None = None, test: int | None = None, epochs: int | None = None, aided: int | None = None) -> Task:
        """Return the same task with other numbers of images or epochs, and a note that says so."""
        smaller = replace(self, train=train or self.train, test=test or self.test, epochs=epochs or self.epochs, aided=aided or self.aided)
        note = f"{smaller.train:,} images, {smaller.epochs} epochs and {smaller.aided} with noise, tested on {smaller.test:,}"
        return replace(smaller, note=f"{self.note}; {note}" if self.note else note)


def _scaled(part: Samples) -> Samples:
    top = 255.0 if part.x.max() > 16 else 16.0
    return Samples(np.divide(part.x, top, dtype=np.float32), part.y.astype(np.int64))


def _digits() -> tuple[Samples, None]:
    found = load_digits()
    return Samples(found.x.reshape(-1, 1, 8, 8), found.y), None


def _mnist01() -> tuple[Samples, Samples]:
    return _zeros_and_ones(load_mnist("train")), _zeros_and_ones(load_mnist("t10k"))


def _zeros_and_ones(digits: Samples) -> Samples:
    kept = digits.take(np.flatnonzero(digits.y <= 1))
    return Samples(kept.x.reshape(-1, 1, 28, 28), kept.y)


def _cifar10() -> tuple[Samples, Samples]:
    return load_cifar10("train"), load_cifar10("test")


def _mednist() -> tuple[Samples, None]:
    return load_medical_mnist(), None


_POOLS: dict[str, Callable[[], tuple[Samples, Samples | None]]] = {"digits": _digits, "mnist01": _mnist01, "cifar10": _cifar10, "mednist": _mednist}
_SETS = {"digits": ("digits",), "mnist01": ("mnist",), "cifar10": ("cifar10", "cifar10_subset"), "mednist": ("mednist", "medmnist")}
_DIGITS = tuple("0123456789")
_THINGS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_RADIOGRAPHS = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")
_POOLED = (0, 1, 4)


def _alexnet(*channels: int) -> tuple[Convolution, ...]:
    return tuple(Convolution(n, 3, 1, k in _POOLED) for k, n in enumerate(channels))


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("digits", _DIGITS, (), (64, 32, 16, 10), 2, 1097, 300, 400, 40, 60, Noise(0.005), lr=3e-3),
        Task("mnist01", ("0", "1"), (), (512, 128, 5, 2), 1, 12_000, 600, 2000, 5, 20, Noise(0.179)),
        Task(
            "cifar10",
            _THINGS,
            _alexnet(16, 48, 96, 64, 64),
            (100, 84, 10),
            2,
            9500,
            500,
            2000,
            10,
            30,
            Noise(1e-4),
            note="convolutions of a quarter of the width, 9,500 of 50,000 images, tested on 2,000 of 10,000",
        ),
        Task(
            "mednist",
            _RADIOGRAPHS,
            (Convolution(6, 5, 0, pool=True), Convolution(16, 5, 0, pool=True)),
            (120, 84, 12, 6),
            2,
            5500,
            500,
            1200,
            10,
            15,
            Noise(0.005),
            note="5,500 images to learn from and 1,200 to test of 58,954",
        ),
    )
}
_WIDE = replace(TASKS["cifar10"], convolutions=_alexnet(64, 192, 384, 256, 256), epochs=5, aided=5, note="9,500 of 50,000 images, tested on 2,000 of 10,000")
_FULL = {
    "cifar10": replace(_WIDE, train=49_500, test=10_000, note=""),
    "mednist": replace(TASKS["mednist"], train=47_000, held=1954, test=10_000, note=""),
}


def find_task(name: str, *, full: bool = False) -> Task:
    """Return a task by name: digits, mnist01, cifar10 or mednist. Raises ParameterError.

    full: as published: as wide, and on all images if the whole data set is here.
    """
    if name not in TASKS:
        raise ParameterError(f"no task is called {name!r}", where="task", remedy=f"There are: {', '.join(TASKS)}.")
    task = TASKS[name]
    if not full or name not in _FULL:
        return task
    whole = task.data == _SETS[name][0]
    return _FULL[name] if whole else _WIDE if name == "cifar10" else task
