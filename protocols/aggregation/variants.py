"""Three ways to add the clients' updates, behind one interface.

`plain` adds reals (the benchmark), `quantised` adds words without masks (the reference that the masked sum must equal word for word), `pairwise` adds masked
words and is the only one that hides anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ConfigError
from .masks import key_bits, mask, sum_words
from .quantiser import Words, dequantise, quantise, to_words

Upload = NDArray[Any]


class Aggregator(Protocol):
    """What client and server must agree on: how an update is sent, added and read."""

    @property
    def name(self) -> str:
        """Name of the variant, as in the roster."""
        ...

    @property
    def needs_key(self) -> bool:
        """Say whether pairs spend key."""
        ...

    def upload(self, x: NDArray[np.float64], above: Sequence[Words] = (), below: Sequence[Words] = ()) -> Upload:
        """Return what a client sends for its weighted update x, float64 (d,); above, below: pair words shared with later and earlier clients."""
        ...

    def total(self, uploads: Sequence[Upload]) -> Upload:
        """Return what the server makes of all uploads, (d,)."""
        ...

    def read(self, total: Upload) -> NDArray[np.float64]:
        """Return the sum of updates as reals: float64 (d,)."""
        ...


@dataclass(frozen=True, slots=True)
class Plain:
    """Reals in clear. Hides nothing."""

    name: str = "plain"
    needs_key: bool = False

    def upload(self, x: NDArray[np.float64], above: Sequence[Words] = (), below: Sequence[Words] = ()) -> Upload:
        """Return x itself, little-endian float64."""
        return np.asarray(x, dtype="<f8")

    def total(self, uploads: Sequence[Upload]) -> Upload:
        """Return the sum in the order of the uploads."""
        return np.asarray(np.sum(np.stack(uploads), axis=0), dtype="<f8")

    def read(self, total: Upload) -> NDArray[np.float64]:
        """Return the sum."""
        return np.asarray(total, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Quantised:
    """Words in clear: what `pairwise` must equal word for word. Hides nothing.

    alpha: quantiser range.  q: word width, 2 to 32 bits.
    """

    alpha: float
    q: int
    name: str = "quantised"
    needs_key: bool = False

    def upload(self, x: NDArray[np.float64], above: Sequence[Words] = (), below: Sequence[Words] = ()) -> Upload:
        """Return the words of x."""
        return to_words(quantise(x, self.alpha, self.q), self.q)

    def total(self, uploads: Sequence[Upload]) -> Upload:
        """Return the sum mod 2^q."""
        return sum_words(uploads, self.q)

    def read(self, total: Upload) -> NDArray[np.float64]:
        """Return the reals."""
        return dequantise(total, self.alpha, self.q)


@dataclass(frozen=True, slots=True)
class Pairwise:
    """Words under one-time pair masks; all clients or nothing.

    alpha: quantiser range.  q: 8, 16 or 32 bits.
    """

    alpha: float
    q: int
    name: str = "pairwise"
    needs_key: bool = True

    def upload(self, x: NDArray[np.float64], above: Sequence[Words] = (), below: Sequence[Words] = ()) -> Upload:
        """Return the words of x plus the mask. Raises `ConfigError` without any pair words: an upload never leaves in clear."""
        if not above and not below:
            raise ConfigError("an upload without a mask would be in clear", where="pairwise")
        words = to_words(quantise(x, self.alpha, self.q), self.q)
        return words + mask(above, below, len(words), self.q)

    def total(self, uploads: Sequence[Upload]) -> Upload:
        """Return the sum mod 2^q; the masks cancel if everyone's upload is there."""
        return sum_words(uploads, self.q)

    def read(self, total: Upload) -> NDArray[np.float64]:
        """Return the reals."""
        return dequantise(total, self.alpha, self.q)


def aggregator(name: str, alpha: float, q: int) -> Aggregator:
    """Return a variant by name: plain, quantised or pairwise. Raises `ConfigError` for another."""
    if name == "plain":
        return Plain()
    if name == "quantised":
        return Quantised(alpha, q)
    if name == "pairwise":
        key_bits(1, q)
        return Pairwise(alpha, q)
    raise ConfigError(f"no aggregation is called {name!r}", where="aggregation", remedy="Choose plain, quantised or pairwise.")
