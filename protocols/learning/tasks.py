"""What is learned: data, classes, model, hyperparameters and how the data is dealt out to the clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError
from .data import Samples, load_digits, load_mnist, shrink, two_classes

if TYPE_CHECKING:
    from .models import QnnModel

_SPLIT, _START = 1, 2
_FOUR_CLIENTS = (0.9, 0.7, 0.3, 0.1)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """How a client trains in one round: Adam on the mean squared error.

    lr: learning rate.  batch: samples.  epochs: passes over the client's data.  optimizer: `keep` Adam's moments between rounds, or `reset` them.
    """

    lr: float
    batch: int
    epochs: int
    optimizer: Literal["keep", "reset"] = "keep"


@dataclass(frozen=True, slots=True)
class Task:
    """One learning task with the settings it was measured at.

    classes: two digits, the first is +1.  per_client, test: samples.  bound: B, public bound of every update entry.  q: word width, bits.
    rounds: default number.
    """

    name: str
    data: Literal["digits", "mnist"]
    classes: tuple[int, int]
    n_qubits: int
    n_layers: int
    per_client: int
    test: int
    training: Hyperparameters
    rounds: int
    bound: float = 0.5
    q: int = 16

    def model(self) -> QnnModel:
        """Return the untrained model: amplitude encoding, head `none`."""
        from .models import QnnModel

        return QnnModel(self.n_qubits, self.n_layers)

    def start(self, seed: int) -> NDArray[np.float64]:
        """Return the start parameters of a root seed: float64 (d,)."""
        return self.model().initial(_generator(seed, _START))

    def split(self, clients: Sequence[str], seed: int, *, iid: bool = True) -> tuple[dict[str, Samples], Samples]:
        """Return each client's samples and the test set, disjoint, labels +1 and -1, drawn from the root seed.

        iid: half of each class everywhere; else the share of the first class falls from 0.9 to 0.1 over the clients in sorted order.
        Raises `DataError` where there are not enough samples, and the errors of the loaders.
        """
        names = sorted(clients, key=str.encode)
        shares = [0.5] * len(names) if iid else _shares(len(names))
        firsts = [round(share * self.per_client) for share in shares]
        generator = _generator(seed, _SPLIT)
        train, test = self._pools()
        shuffled = [_shuffled(train, label, generator) for label in (1.0, -1.0)]
        held = shuffled if test is None else [_shuffled(test, label, generator) for label in (1.0, -1.0)]
        source = train if test is None else test
        test_set = source.take(np.concatenate([_deal(held, k, count) for k, count in enumerate((self.test // 2, self.test - self.test // 2))]))
        dealt = {}
        for name, first in zip(names, firsts, strict=True):
            index = np.concatenate([_deal(shuffled, 0, first), _deal(shuffled, 1, self.per_client - first)])
            dealt[name] = train.take(index)
        return {name: self._prepared(samples) for name, samples in dealt.items()}, self._prepared(test_set)

    def _pools(self) -> tuple[Samples, Samples | None]:
        if self.data == "digits":
            return two_classes(load_digits(), *self.classes), None
        return two_classes(load_mnist("train"), *self.classes), two_classes(load_mnist("t10k"), *self.classes)

    def _prepared(self, samples: Samples) -> Samples:
        return samples if self.data == "digits" else Samples(shrink(samples.x), samples.y)


def _shares(clients: int) -> Sequence[float]:
    """Return the first class's share per client; the four-client figures are the measured ones."""
    return _FOUR_CLIENTS if clients == len(_FOUR_CLIENTS) else [float(share) for share in np.linspace(0.9, 0.1, clients)]


def _generator(seed: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(purpose,))))


def _shuffled(samples: Samples, label: float, generator: np.random.Generator) -> NDArray[np.int64]:
    return generator.permutation(np.flatnonzero(samples.y == label))


def _deal(stacks: list[NDArray[np.int64]], which: int, count: int) -> NDArray[np.int64]:
    """Take count indices from one class's stack, so that nobody gets them again."""
    if count > len(stacks[which]):
        raise DataError(f"{count} more samples of one class are needed, {len(stacks[which])} are left", where="split", remedy="Use fewer clients.")
    dealt, stacks[which] = stacks[which][:count], stacks[which][count:]
    return dealt


def digits_task(first: int = 3, second: int = 9) -> Task:
    """Return the task of telling two of scikit-learn's digits apart: 6 qubits, 36 parameters."""
    return Task(f"digits-{first}-{second}", "digits", (first, second), 6, 3, 60, 100, Hyperparameters(0.02, 10, 1), 20)


def mnist_task(first: int = 3, second: int = 9) -> Task:
    """Return the task of telling two MNIST digits apart: 8 qubits, 48 parameters."""
    return Task(f"mnist-{first}-{second}", "mnist", (first, second), 8, 3, 500, 500, Hyperparameters(0.01, 50, 1), 30)
