"""The messages of a transfer, byte for byte: a header of 24 bytes, little-endian, and packed bits. They travel as bodies of QOT frames of the channel."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np

from ...core.errors import FrameError
from .gates import Bits

_HEADER = struct.Struct("<4sBBHQII")
_MAGIC = b"QOT1"
HEADER_BYTES = _HEADER.size


class Kind(IntEnum):
    """What a message carries."""

    COMMIT = 1
    REVEAL = 2
    DECOYS = 3
    OFFERED = 4
    PICKED = 5
    CHOICES = 6
    MESSAGES = 7
    OUTPUTS = 8
    MASKED_SHARE = 9
    COUNT = 10
    TESTED = 11
    ABORT = 15


class Flags(IntFlag):
    """How the states are used."""

    BEAVER = 1
    TWIRLED = 2


@dataclass(frozen=True, slots=True)
class Message:
    """One message.  n: states of an attempt, 0 in the derandomised mode.  first: global index of its first gate or state.  gates: how many it is about."""

    kind: Kind
    flags: Flags
    n: int
    first: int
    gates: int
    payload: bytes

    def encode(self) -> bytes:
        """Return the bytes of the message."""
        return _HEADER.pack(_MAGIC, self.kind, self.flags, self.n, self.first, self.gates, len(self.payload)) + self.payload

    @classmethod
    def decode(cls, data: bytes, *, expected: Kind, first: int) -> Message:
        """Return the message in these bytes.

        expected, first: the kind and the gate that are due.  Raises FrameError for anything else; the states of its gates are then burned.
        """
        if len(data) < _HEADER.size:
            raise FrameError("the header is cut short", where="oblivious transfer")
        magic, kind, flags, n, at, gates, size = _HEADER.unpack_from(data)
        payload = data[_HEADER.size :]
        if magic != _MAGIC or size != len(payload) or flags & ~3 or kind not in Kind.__members__.values():
            raise FrameError("magic, type, flags or length do not fit", where="oblivious transfer")
        if kind != expected or at != first:
            raise FrameError(f"{Kind(kind).name} of gate {at:,} came, {expected.name} of gate {first:,} was due", where="oblivious transfer")
        return cls(Kind(kind), Flags(flags), n, at, gates, payload)


def pack(*planes: Bits) -> bytes:
    """Return bits, one a byte, packed one after the other, lowest bit first, padding zero."""
    return np.packbits(np.concatenate(planes), bitorder="little").tobytes()


def unpack(payload: bytes, bits: int) -> Bits:
    """Return the bits of a payload, uint8 (bits,). Raises FrameError for another length, or padding that is not zero."""
    packed = np.frombuffer(payload, np.uint8)
    if packed.size != (bits + 7) // 8 or (bits % 8 and int(packed[-1]) >> bits % 8):
        raise FrameError(f"the payload does not hold {bits:,} bits", where="oblivious transfer")
    return np.unpackbits(packed, count=bits, bitorder="little")


def pack_numbers(numbers: np.ndarray, width: int) -> bytes:
    """Return numbers of `width` bits each, packed lowest bit first."""
    planes = (np.asarray(numbers, np.uint64)[:, None] >> np.arange(width, dtype=np.uint64)) & np.uint64(1)
    return pack(planes.astype(np.uint8).ravel())


def unpack_numbers(payload: bytes, count: int, width: int) -> np.ndarray:
    """Return the numbers of a payload, int64 (count,). Raises FrameError as `unpack` does."""
    planes = unpack(payload, count * width).reshape(count, width).astype(np.int64)
    return np.asarray(planes @ (1 << np.arange(width, dtype=np.int64)))
