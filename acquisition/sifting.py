"""From announced events to one party's sifted bits.

Each party looks up its own basis and bit in its own pattern; the Bob role flips its bit on D2. Bases are exchanged after the announcement; equal ones are kept:
X bits are the raw key, Y bits are disclosed. Planes are packed, least significant bit first. Events and patterns may come by chunks; planes alone are whole.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ParameterError
from . import _sifting_numpy
from .announcements import decode_chunks
from .events import Events
from .pattern_stream import PatternStream
from .patterns import Pattern

Role = Literal["alice", "bob"]
Engine = Literal["auto", "numba", "numpy"]
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


def view(events: Events, pattern: Pattern | PatternStream, offset: int, role: Role) -> EventBits:
    """Return a party's own bases and bits at the events.

    offset: the slot, modulo a pattern that repeats, in which element 0 of the pattern passes.  role: `bob` flips its bit on D2.
    Raises ParameterError if an event lies outside a pattern that does not repeat.
    """
    return Viewer(pattern, offset, role).feed(events)


def view_announced(announcement: bytes, first_slot: int, n_slots: int, pattern: Pattern | PatternStream, offset: int, role: Role) -> EventBits:
    """Return what `view` gives for the announced events of the block [first_slot, first_slot + n_slots), without ever holding all its events.

    Raises AnnouncementError if the announcement is malformed or leaves the block, ParameterError as `view` does.
    """
    viewer, basis, bit = Viewer(pattern, offset, role), BitPlane(), BitPlane()
    for events in decode_chunks(announcement, first_slot, n_slots):
        part = viewer.feed(events)
        basis.append(part.basis, part.n)
        bit.append(part.bit, part.n)
    return EventBits(basis.packed(), bit.packed(), len(basis))


class Viewer:
    """Looks up one party's bases and bits by chunks of events; of a pattern that is a stream, one chunk is held at a time.

    pattern, offset, role: as for `view`.
    """

    def __init__(self, pattern: Pattern | PatternStream, offset: int, role: Role, *, engine: Engine = "auto") -> None:
        if role not in ("alice", "bob"):
            raise ParameterError(f"{role!r} is neither alice nor bob", where="role")
        self._pattern = pattern
        self._offset = offset
        self._flip = role == "bob"
        self._engine = _engine(engine)
        if isinstance(pattern, Pattern):
            self._symbols = pattern.basis | pattern.bit << 1
        else:
            self._chunk = pattern.chunk(0)

    def feed(self, events: Events) -> EventBits:
        """Return bases and bits at these events, which come behind those fed before. Raises ParameterError as `view` does."""
        if isinstance(self._pattern, Pattern):
            found_basis, found_bit = self._engine.look_up(events.slot, events.detector, self._symbols, self._offset, self._flip)
            return EventBits(found_basis, found_bit, len(events))
        outside = (events.slot[[0, -1]] - self._offset if len(events) else np.zeros(0)) // self._pattern.n_slots != 0
        if outside.any():
            raise ParameterError(f"events lie outside the pattern of {self._pattern.n_slots:,} slots", where="events")
        basis, bit = BitPlane(), BitPlane()
        while len(events):
            part, events = self._split(self._pattern, events)
            chunk = self._chunk
            found = self._engine.look_up_packed(part.slot, part.detector, chunk.basis, chunk.bit, self._offset + chunk.first, self._flip)
            basis.append(found[0], len(part))
            bit.append(found[1], len(part))
        return EventBits(basis.packed(), bit.packed(), len(basis))

    def _split(self, pattern: PatternStream, events: Events) -> tuple[Events, Events]:
        """Get the chunk of the first event; return the events in it and the rest."""
        element = int(events.slot[0]) - self._offset
        if not self._chunk.first <= element < self._chunk.first + self._chunk.n:
            self._chunk = pattern.chunk(element // pattern.chunk_slots)
        end = int(np.searchsorted(events.slot, self._offset + self._chunk.first + self._chunk.n))
        return Events.checked(events.slot[:end], events.detector[:end]), Events.checked(events.slot[end:], events.detector[end:])


def sift(own: EventBits, other_basis: Packed) -> SiftedBlock:
    """Return what a party keeps, given the other's packed bases of the same events.

    Raises ParameterError if `other_basis` is not of the same number of events.
    """
    sifter = Sifter()
    sifter.feed(own, other_basis)
    return sifter.block()


class Sifter:
    """Sifting by chunks of events: feed any number, then take the block. Equal to one `sift` over all events."""

    def __init__(self, *, engine: Engine = "auto") -> None:
        self._x, self._y, self._events = BitPlane(), BitPlane(), 0
        self._engine = _engine(engine)

    def feed(self, own: EventBits, other_basis: Packed) -> None:
        """Add a chunk. Raises ParameterError if the planes differ in length; nothing is added then."""
        if other_basis.dtype != np.uint8 or not own.basis.shape == own.bit.shape == other_basis.shape == ((own.n + 7) // 8,):
            raise ParameterError(f"{other_basis.size} bytes of bases for {own.n} events", where="other_basis")
        x, n_x, y, n_y = self._engine.keep_equal(own.basis, own.bit, other_basis, own.n)
        self._x.append(x, n_x)
        self._y.append(y, n_y)
        self._events += own.n

    def block(self) -> SiftedBlock:
        """Return what was sifted so far."""
        return SiftedBlock(self._x.packed(), len(self._x), self._y.packed(), len(self._y), self._events)


class BitPlane:
    """A growing row of bits, kept packed."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def append(self, bits: Packed, n: int) -> None:
        """Add n packed bits (ceil(n/8),), padded with zeros."""
        shift = self._n % 8
        self._n += n
        if shift and n:
            wide = np.zeros(bits.size + 1, np.uint8)
            wide[:-1] = bits << shift
            wide[1:] |= bits >> (8 - shift)
            self._bytes[-1] |= int(wide[0])
            bits = wide[1:]
        self._bytes += bits.tobytes()
        del self._bytes[(self._n + 7) // 8 :]

    def packed(self) -> Packed:
        """Return all bits (ceil(n/8),), least significant first, padded with zeros."""
        return np.frombuffer(bytes(self._bytes), np.uint8)


def _engine(engine: Engine) -> ModuleType:
    if engine == "numpy" or (engine == "auto" and sys.byteorder == "big"):
        return _sifting_numpy
    try:
        from . import _sifting_numba
    except ImportError:
        if engine == "numba":
            raise
        return _sifting_numpy
    return _sifting_numba
