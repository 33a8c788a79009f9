"""APT, the binary protocol of Thorlabs motion controllers: messages, and what an MPC320 polarisation controller says with them.

A message is a header of six bytes, ``<HBBBB`` id, parameter 1, parameter 2, destination, source. Where data follows, the parameters are its length and the
destination has bit 7 set. The host is 0x01, the unit 0x50. Numbers are little-endian. Nothing marks the end of a message but its length.

Paddles 1, 2 and 3 are the masks 1, 2 and 4. Their 170 degrees are 1370 counts. Messages that a paddle has arrived or is homed come by themselves, and may stand
before any answer.

======================  ===========================================================================================================================
message                 meaning
======================  ===========================================================================================================================
0005 -> 0006            who are you; 84 bytes (`Info`)
0210 mask, 1            enable exactly the paddles of the mask: those that are not in it are disabled
0443 mask -> 0444 mask  go to the mechanical zero, needed after power-up
0453 + 6 bytes          go to a position (mask, counts)
0464 + 14 bytes         unasked: a paddle has arrived (`Status`)
0465 mask, 1 -> 0466    stop at once (`Status`)
046A mask, 1 or 2       one jog step forward or back
0490 mask -> 0491       where is the paddle (`Status`)
0530, 0531 -> 0532      set and ask velocity, home position and jog steps (`Parameters`)
======================  ===========================================================================================================================
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Self

from ...core.errors import BadReply, ParameterError

HOST, UNIT = 0x01, 0x50
HAS_DATA = 0x80
HEADER = struct.Struct("<HBBBB")
_LENGTH = struct.Struct("<H")
MOST_DATA = 256
"""More data than in any message of this table."""

TRAVEL_DEG, TRAVEL_COUNTS = 170.0, 1370
MASKS = (1, 2, 4)
"""By paddle, in the order of the light."""


class Id(IntEnum):
    """Kinds of messages."""

    REQUEST_INFO = 0x0005
    INFO = 0x0006
    ENABLE = 0x0210
    HOME = 0x0443
    HOMED = 0x0444
    MOVE = 0x0453
    COMPLETED = 0x0464
    STOP = 0x0465
    STOPPED = 0x0466
    JOG = 0x046A
    REQUEST_STATUS = 0x0490
    STATUS = 0x0491
    SET_PARAMETERS = 0x0530
    REQUEST_PARAMETERS = 0x0531
    PARAMETERS = 0x0532


ANSWERS = {
    Id.REQUEST_INFO: Id.INFO,
    Id.REQUEST_STATUS: Id.STATUS,
    Id.REQUEST_PARAMETERS: Id.PARAMETERS,
    Id.HOME: Id.HOMED,
    Id.STOP: Id.STOPPED,
}
"""What answers what; other messages to the unit have no answer."""


class Bits(IntFlag):
    """Status bits."""

    MOVING_FORWARD = 0x10
    MOVING_REVERSE = 0x20
    JOG_FORWARD = 0x40
    JOG_REVERSE = 0x80
    HOMING = 0x200
    HOMED = 0x400
    ENABLED = 0x8000_0000


@dataclass(frozen=True, slots=True)
class Message:
    """One message.  param1, param2: of a message without data.  data: None for one without."""

    id: int
    param1: int = 0
    param2: int = 0
    data: bytes | None = None
    destination: int = UNIT
    source: int = HOST


def encode(message: Message) -> bytes:
    """Return the bytes of a message; raises ParameterError for more data than there can be."""
    if message.data is None:
        return HEADER.pack(message.id, message.param1, message.param2, message.destination, message.source)
    if len(message.data) > MOST_DATA:
        raise ParameterError(f"{len(message.data)} bytes do not fit into a message", where="data")
    low, high = _LENGTH.pack(len(message.data))
    return HEADER.pack(message.id, low, high, message.destination | HAS_DATA, message.source) + message.data


def data_length(header: bytes) -> int:
    """Return how many bytes follow a header; raises BadReply for one that cannot be."""
    if len(header) != HEADER.size:
        raise BadReply(f"a header of {len(header)} bytes came")
    _, low, high, destination, source = HEADER.unpack(header)
    if {destination & ~HAS_DATA, source} != {HOST, UNIT}:
        raise BadReply(f"{header.hex()} is no header of a message between host and unit", remedy="Check baud rate and cable.")
    length: int = _LENGTH.unpack(bytes((low, high)))[0] if destination & HAS_DATA else 0
    if length > MOST_DATA:
        raise BadReply(f"a message claims {length} bytes")
    return length


def decode(raw: bytes) -> Message:
    """Return the message of its bytes; raises BadReply for a malformed one."""
    length = data_length(raw[: HEADER.size])
    if len(raw) != HEADER.size + length:
        raise BadReply(f"a message of {HEADER.size + length} bytes came with {len(raw)}")
    identity, param1, param2, destination, source = HEADER.unpack(raw[: HEADER.size])
    if destination & HAS_DATA:
        return Message(identity, 0, 0, raw[HEADER.size :], destination & ~HAS_DATA, source)
    return Message(identity, param1, param2, None, destination, source)


def answers(request: Message, reply: Message) -> bool:
    """Say whether a message is the answer to a request: of the right kind, and of the paddle that was asked."""
    if reply.id != ANSWERS.get(Id(request.id)):
        return False
    if reply.id in (Id.STATUS, Id.STOPPED):
        return Status.unpack(reply.data).mask == request.param1
    return reply.id != Id.HOMED or reply.param1 == request.param1


class Assembler:
    """Cuts a byte stream into messages: feed it any pieces. Raises BadReply, and forgets what it has, where the stream cannot be one of messages."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Message]:
        """Return the messages completed by a piece."""
        self._rest += piece
        messages: list[Message] = []
        try:
            while len(self._rest) >= HEADER.size:
                size = HEADER.size + data_length(self._rest[: HEADER.size])
                if len(self._rest) < size:
                    break
                messages.append(decode(self._rest[:size]))
                self._rest = self._rest[size:]
        except BadReply:
            self._rest = b""
            raise
        return messages


def counts(angle_deg: float) -> int:
    """Return the position (counts) nearest to an angle; raises ParameterError for one outside the travel."""
    if not 0.0 <= angle_deg <= TRAVEL_DEG:
        raise ParameterError(f"{angle_deg} deg is outside the travel of {TRAVEL_DEG:g} deg", where="angle")
    return round(angle_deg * TRAVEL_COUNTS / TRAVEL_DEG)


def degrees(position: float) -> float:
    """Return the angle of a position (counts)."""
    return position * TRAVEL_DEG / TRAVEL_COUNTS


def move(mask: int, position: int) -> Message:
    """Return the message that sends a paddle to a position (counts)."""
    return Message(Id.MOVE, data=struct.pack("<Hi", mask, position))


def parse_move(data: bytes | None) -> tuple[int, int]:
    """Return (mask, counts) of a move; raises BadReply."""
    mask, position = _unpacked(struct.Struct("<Hi"), data, "a move")
    return mask, position


@dataclass(frozen=True, slots=True)
class Status:
    """A paddle's state.  position: counts.  velocity: of no meaning here.  current_ma: of the motor.  bits: `Bits`."""

    mask: int
    position: int
    velocity: int
    current_ma: int
    bits: int

    @property
    def moving(self) -> bool:
        """Say whether the paddle turns."""
        return bool(self.bits & _MOVING)

    @property
    def homed(self) -> bool:
        """Say whether the paddle knows its position."""
        return bool(self.bits & Bits.HOMED)

    @property
    def enabled(self) -> bool:
        """Say whether the paddle takes commands."""
        return bool(self.bits & Bits.ENABLED)

    def pack(self) -> bytes:
        """Return its 14 bytes."""
        return _STATUS.pack(self.mask, self.position, self.velocity, self.current_ma, self.bits)

    @classmethod
    def unpack(cls, data: bytes | None) -> Self:
        """Read its 14 bytes; raises BadReply."""
        return cls(*_unpacked(_STATUS, data, "a status"))


@dataclass(frozen=True, slots=True)
class Parameters:
    """What all paddles share.  velocity: per cent.  home: counts.  steps: of a jog of each paddle, counts."""

    velocity: int
    home: int
    steps: tuple[int, int, int]

    def pack(self) -> bytes:
        """Return its 12 bytes."""
        return _PARAMETERS.pack(0, self.velocity, self.home, *self.steps)

    @classmethod
    def unpack(cls, data: bytes | None) -> Self:
        """Read its 12 bytes; raises BadReply."""
        _, velocity, home, *steps = _unpacked(_PARAMETERS, data, "the parameters")
        return cls(velocity, home, (steps[0], steps[1], steps[2]))


@dataclass(frozen=True, slots=True)
class Info:
    """Who a unit is.  firmware: such as 1.2.3.  notes: text of the maker."""

    serial: int
    model: str
    kind: int
    firmware: str
    notes: str = ""
    hardware: int = 1
    modification: int = 0
    channels: int = 3

    def pack(self) -> bytes:
        """Return its 84 bytes."""
        major, middle, minor = (int(part) for part in self.firmware.split("."))
        version = major << 16 | middle << 8 | minor
        return _INFO.pack(self.serial, self.model.encode(), self.kind, version, self.notes.encode(), self.hardware, self.modification, self.channels)

    @classmethod
    def unpack(cls, data: bytes | None) -> Self:
        """Read its 84 bytes; raises BadReply."""
        serial, model, kind, version, notes, *rest = _unpacked(_INFO, data, "the information")
        firmware = f"{version >> 16 & 0xFF}.{version >> 8 & 0xFF}.{version & 0xFF}"
        return cls(serial, _text(model), kind, firmware, _text(notes), *rest)


_MOVING = Bits.MOVING_FORWARD | Bits.MOVING_REVERSE | Bits.JOG_FORWARD | Bits.JOG_REVERSE | Bits.HOMING
_STATUS = struct.Struct("<HiHhI")
_PARAMETERS = struct.Struct("<6H")
_INFO = struct.Struct("<I8sHI60sHHH")


def _unpacked(layout: struct.Struct, data: bytes | None, what: str) -> tuple[int, ...]:
    if data is None or len(data) != layout.size:
        raise BadReply(f"{what} came with {0 if data is None else len(data)} bytes instead of {layout.size}")
    return layout.unpack(data)


def _text(raw: int | bytes) -> str:
    return raw.split(b"\0")[0].decode("ascii", "replace").strip() if isinstance(raw, bytes) else ""
