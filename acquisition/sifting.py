"""From announced events to one party's sifted bits.

Each party looks up its own basis and bit in its own pattern; the Bob role flips its bit on D2. Bases are exchanged after the announcement; equal ones are kept:
X bits are the raw key, Y bits are disclosed. Planes are packed, least significant bit first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ParameterError
from .events import Events
from .patterns import Pattern

Role = Literal["alice", "bob"]
Packed = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class EventBits:
    """One party's bases and bits at the announced events, in event order.

    basis, bit: uint8 (ceil(n/8),), packed; padding bits are zero.  n: events.
    """

    basis: Packed
    bit: Packed = field(repr=False)
    n: int


@dataclass(frozen=True, slots=True)
class SiftedBlock:
    """One party's part of a block after sifting.

    x_key: packed raw key of n_x bits.  y_bits: packed, n_y bits, to be disclosed.  n_events: all announced events, cross-basis ones included.
    """

    x_key: Packed = field(repr=False)
    n_x: int
    y_bits: Packed
    n_y: int
    n_events: int


def view(events: Events, pattern: Pattern, offset: int, role: Role) -> EventBits:
    """Return a party's own bases and bits at the events.

    offset: the slot, modulo the pattern, in which element 0 of the pattern passes.  role: `bob` flips its bit on D2.
    """
    if role not in ("alice", "bob"):
        raise ParameterError(f"{role!r} is neither alice nor bob", where="role")
    index = (events.slot - offset) % len(pattern)
    bit = pattern.bit[index]
    if role == "bob":
        bit = bit ^ events.detector
    return EventBits(np.packbits(pattern.basis[index], bitorder="little"), np.packbits(bit, bitorder="little"), len(events))


def sift(own: EventBits, other_basis: Packed) -> SiftedBlock:
    """Return what a party keeps, given the other's packed bases of the same events.

    Raises ParameterError if `other_basis` is not of the same number of events.
    """
    sifter = Sifter()
    sifter.feed(own, other_basis)
    return sifter.block()


class Sifter:
    """Sifting by chunks of events: feed any number, then take the block. Equal to one `sift` over all events."""

    def __init__(self) -> None:
        self._x, self._y, self._events = BitPlane(), BitPlane(), 0

    def feed(self, own: EventBits, other_basis: Packed) -> None:
        """Add a chunk. Raises ParameterError if the planes differ in length; nothing is added then."""
        if other_basis.dtype != np.uint8 or not own.basis.shape == own.bit.shape == other_basis.shape == ((own.n + 7) // 8,):
            raise ParameterError(f"{other_basis.size} bytes of bases for {own.n} events", where="other_basis")
        mine, theirs, bit = (np.unpackbits(plane, count=own.n, bitorder="little") for plane in (own.basis, other_basis, own.bit))
        same = mine == theirs
        self._x.append(bit[same & (mine == 0)])
        self._y.append(bit[same & (mine == 1)])
        self._events += own.n

    def block(self) -> SiftedBlock:
        """Return what was sifted so far."""
        return SiftedBlock(self._x.packed(), len(self._x), self._y.packed(), len(self._y), self._events)


class BitPlane:
    """A growing row of bits, kept packed; at most seven bits wait for their byte."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._rest = np.empty(0, np.uint8)

    def __len__(self) -> int:
        return 8 * len(self._bytes) + int(self._rest.size)

    def append(self, bits: NDArray[np.uint8]) -> None:
        """Add bits (n,), one a byte."""
        row = np.concatenate((self._rest, bits))
        whole = row.size & ~7
        self._bytes += np.packbits(row[:whole], bitorder="little").tobytes()
        self._rest = row[whole:]

    def packed(self) -> Packed:
        """Return all bits (ceil(n/8),), least significant first, padded with zeros."""
        return np.frombuffer(self._bytes + np.packbits(self._rest, bitorder="little").tobytes(), np.uint8)
