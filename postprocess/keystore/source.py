"""What protocols see of the key store: hold, fetch, fetch by id."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import NoReturn, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ...core.errors import ParameterError
from ...core.statement import Provenance, SecurityStatement


def pair_name(one: str, two: str) -> str:
    """Return the name of a pair, the parties in alphabetical order: "A-B"."""
    return "-".join(sorted((one, two)))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class KeyBlock:
    """One party's final key of one run of distillation.

    pair: such as "A-B".  block: 1, 2, .. on this pair, or 0 for "the next one".  material: uint8 (ceil(bits / 8),), packed LSB first, padding zero.
    """

    pair: str
    block: int
    material: NDArray[np.uint8]
    bits: int
    statement: SecurityStatement
    provenance: Provenance

    def __post_init__(self) -> None:
        if self.material.dtype != np.uint8 or self.material.shape != (-(-self.bits // 8),):
            raise ParameterError(f"{self.bits} bits do not fill {self.material.size} bytes", where="material")

    def __repr__(self) -> str:
        return f"KeyBlock({self.pair!r}, block={self.block}, bits={self.bits})"


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation of key for one named purpose; nothing is spent yet. It ends with the process."""

    hold_id: str
    peer: str
    bits: int
    purpose: str


class Key:
    """Key material that has left the store; it shows its id and never its bytes.

    key_id: UUID, the same at both ends.  bits: a multiple of 8.  material: bits / 8 bytes.
    """

    __slots__ = ("bits", "key_id", "material")

    def __init__(self, key_id: str, bits: int, material: bytes) -> None:
        self.key_id = key_id
        self.bits = bits
        self.material = material

    def __repr__(self) -> str:
        return f"Key({self.key_id}, {self.bits} bits)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.key_id == other.key_id and hmac.compare_digest(self.material, other.material)

    def __hash__(self) -> int:
        return hash(self.key_id)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


@runtime_checkable
class KeySource(Protocol):
    """One party's view of the key it shares with others: the in-process store, later a 014 client."""

    @property
    def party(self) -> str:
        """Name the party."""
        ...

    def available_bits(self, peer: str) -> int:
        """Return the bits this party can still hold towards a peer. The two directions have separate pools."""
        ...

    def affordable_holds(self, peer: str, bits: int) -> int:
        """Return how many holds of so many bits (positive) this party can still make towards a peer, one after the other; what each burns besides counts."""
        ...

    def taken(self, peer: str) -> dict[str, int]:
        """Return the bits that ever left this party's store shared with a peer, by purpose, by id or not; ends of chunks that nobody got are included."""
        ...

    def hold(self, peer: str, bits: int, purpose: str) -> Hold:
        """Set bits aside (a multiple of 8). Raises InsufficientKey, and then nothing has changed."""
        ...

    def release(self, hold: Hold) -> None:
        """Give a hold back unspent; a hold already fetched or released is left alone."""
        ...

    def fetch(self, hold: Hold) -> tuple[Key, ...]:
        """Spend a hold: keys whose bits sum to those of the hold, in order. The peer gets them by `fetch_by_id`."""
        ...

    def fetch_by_id(self, peer: str, ids: tuple[str, ...], purpose: str) -> tuple[Key, ...]:
        """Return the keys a peer has fetched, in the order asked. Raises UnknownKey, and then none was touched."""
        ...
