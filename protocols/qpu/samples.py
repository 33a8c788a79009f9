"""Per-shot samples in the one bit order of this project: column j is the circuit's classical bit j."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ParameterError

Registers = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """What one work gave.

    bits: uint8 (shots, clbits); rows in the order in which the shots were taken, unless `meta["ordered"]` is False.  cregs: name and size of the classical
    registers in the order they were added.  meta: where the samples come from; `ordered`, `backend`, `provider_ids`, `sha256` ..
    """

    bits: NDArray[np.uint8]
    cregs: Registers
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.bits.ndim != 2 or self.bits.shape[1] != sum(size for _, size in self.cregs):
            raise ParameterError(f"samples of shape {self.bits.shape} do not fit the registers {self.cregs}", where="bits")

    @property
    def shots(self) -> int:
        """Return the number of rows."""
        return int(self.bits.shape[0])

    @property
    def ordered(self) -> bool:
        """Return whether rows stand in the order of the shots; streams must refuse samples that do not."""
        return bool(self.meta.get("ordered", True))

    def register(self, name: str) -> NDArray[np.uint8]:
        """Return the columns of one classical register: uint8 (shots, size)."""
        start = 0
        for register, size in self.cregs:
            if register == name:
                return self.bits[:, start : start + size]
            start += size
        raise ParameterError(f"no classical register is called {name!r}", where="register", remedy=f"There are: {', '.join(name for name, _ in self.cregs)}.")

    def codes(self, order: Sequence[int] | None = None) -> NDArray[np.int64]:
        """Return the columns `order` (all by default) read as a binary number, the first one most significant: int64 (shots,). At most 62 columns."""
        columns = self.bits if order is None else self.bits[:, list(order)]
        if columns.shape[1] > 62:
            raise ParameterError(f"{columns.shape[1]} bits do not fit a code", where="order", remedy="Name at most 62 columns.")
        weights = 1 << np.arange(columns.shape[1] - 1, -1, -1, dtype=np.int64)
        return columns.astype(np.int64) @ weights

    def counts(self) -> dict[str, int]:
        """Return how often each row came, by its bits as text, classical bit 0 first."""
        rows, times = np.unique(self.bits, axis=0, return_counts=True)
        return {"".join(map(str, row)): int(n) for row, n in zip(rows, times, strict=True)}
