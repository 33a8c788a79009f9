"""Interbus, the framed binary protocol of NKT Photonics: telegrams, escaping, CRC, registers and their scaling.

A telegram is ``0D body 0A``; body is ``destination source type register data crc_high crc_low`` with 0A, 0D and 5E escaped as ``5E, b + 0x40``. The checksum is
CRC-16/XMODEM over the unescaped body before it. Register values are little-endian.
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from ...core.errors import BadReply, ChecksumError, ParameterError

START, END, ESCAPE, SHIFT = 0x0D, 0x0A, 0x5E, 0x40
HOST_ADDRESSES = (0xA1, 0xA2)
"""A host uses them in turn, so that a late reply to the request before never matches."""
BASIK_ADDRESS, BASIK_TYPE = 0x01, 0x33
FRAME_ADDRESS, FRAME_TYPE = 0x80, 0x34
MAX_DATA = 240


class Kind(IntEnum):
    """Type of a telegram."""

    NACK = 0
    CRC_ERROR = 1
    BUSY = 2
    ACK = 3
    READ = 4
    WRITE = 5
    SET_BITS = 6
    CLEAR_BITS = 7
    DATAGRAM = 8
    TOGGLE_BITS = 9


class Register(IntEnum):
    """Registers of a Koheras BASIK."""

    POWER = 0x17
    TEMPERATURE = 0x1C
    SUPPLY = 0x1E
    POWER_SET = 0x22
    OFFSET_SET = 0x2A
    EMISSION = 0x30
    SETUP = 0x31
    WAVELENGTH = 0x32
    TYPE = 0x61
    SERIAL = 0x65
    STATUS = 0x66
    ERROR = 0x67
    OFFSET = 0x72
    USER = 0x8D
    POWER_DBM = 0x90
    POWER_SET_DBM = 0xA0


LIMITS_OFFSET = 0x30
"""The parameter set of a register (unit, factory, upper, lower) stands at this distance behind it."""


class Status(IntFlag):
    """Bits of the status register."""

    EMISSION = 1 << 0
    INTERLOCK_OFF = 1 << 1
    DISABLED = 1 << 4
    SUPPLY_LOW = 1 << 5
    TEMPERATURE = 1 << 6
    ERROR = 1 << 15


@dataclass(frozen=True, slots=True)
class Scale:
    """How a register holds a number: struct format without byte order, and counts per unit."""

    format: str
    per_unit: int
    unit: str


SCALES: dict[Register, Scale] = {
    Register.POWER: Scale("H", 100, "mW"),
    Register.TEMPERATURE: Scale("h", 10, "degC"),
    Register.SUPPLY: Scale("H", 1, "mV"),
    Register.POWER_SET: Scale("H", 100, "mW"),
    Register.OFFSET_SET: Scale("h", 10, "pm"),
    Register.EMISSION: Scale("B", 1, ""),
    Register.SETUP: Scale("H", 1, ""),
    Register.WAVELENGTH: Scale("I", 10, "pm"),
    Register.TYPE: Scale("B", 1, ""),
    Register.STATUS: Scale("H", 1, ""),
    Register.ERROR: Scale("B", 1, ""),
    Register.OFFSET: Scale("i", 10, "pm"),
    Register.POWER_DBM: Scale("h", 100, "dBm"),
    Register.POWER_SET_DBM: Scale("h", 100, "dBm"),
}
_SHORT_OFFSET = Scale("h", 10, "pm")


@dataclass(frozen=True, slots=True)
class Telegram:
    """One message: addresses, type and register are bytes; data is unescaped, at most 240 bytes."""

    destination: int
    source: int
    kind: int
    register: int
    data: bytes = b""


def crc16(data: bytes) -> int:
    """Return the CRC-16/XMODEM of bytes (polynomial 0x1021, start 0); of bytes followed by their own CRC it is 0."""
    return binascii.crc_hqx(data, 0)


def escape(body: bytes) -> bytes:
    """Return bytes in which 0A, 0D and 5E stand escaped."""
    return b"".join(bytes((ESCAPE, byte + SHIFT)) if byte in (START, END, ESCAPE) else bytes((byte,)) for byte in body)


def unescape(raw: bytes) -> bytes:
    """Undo `escape` in one pass; raises BadReply where 5E is followed by anything but 4A, 4D or 9E."""
    body = bytearray()
    following = iter(raw)
    for byte in following:
        if byte in (START, END):
            raise BadReply("a frame delimiter stands inside a telegram")
        if byte == ESCAPE:
            byte = next(following, 0) - SHIFT
            if byte not in (START, END, ESCAPE):
                raise BadReply("a telegram holds a wrong escape")
        body.append(byte)
    return bytes(body)


def encode(telegram: Telegram) -> bytes:
    """Return the frame of a telegram; raises ParameterError for more than 240 bytes of data."""
    if len(telegram.data) > MAX_DATA:
        raise ParameterError(f"{len(telegram.data)} bytes do not fit into a telegram", where="data")
    body = bytes((telegram.destination, telegram.source, telegram.kind, telegram.register)) + telegram.data
    return bytes((START,)) + escape(body + crc16(body).to_bytes(2, "big")) + bytes((END,))


def decode(frame: bytes) -> Telegram:
    """Return the telegram of one frame; raises BadReply for a malformed one, ChecksumError for a damaged one."""
    if len(frame) < 2 or frame[0] != START or frame[-1] != END:
        raise BadReply("a telegram does not begin with 0D and end with 0A")
    body = unescape(frame[1:-1])
    if not 6 <= len(body) <= MAX_DATA + 6:
        raise BadReply(f"a telegram of {len(body)} bytes has an impossible length")
    if crc16(body):
        raise ChecksumError("the CRC of a telegram is wrong")
    return Telegram(body[0], body[1], body[2], body[3], body[4:-2])


def pack(register: Register, value: float) -> bytes:
    """Return the register bytes of a value in the register's unit; raises ParameterError if it does not fit."""
    scale = SCALES[register]
    try:
        return struct.pack("<" + scale.format, round(value * scale.per_unit))
    except (struct.error, ValueError, OverflowError) as error:
        raise ParameterError(f"{value} {scale.unit} does not fit", where=f"register 0x{register:02X}") from error


def unpack(register: Register, data: bytes) -> float:
    """Return the value of register bytes in the register's unit; raises BadReply for a wrong length."""
    scale = _SHORT_OFFSET if register is Register.OFFSET and len(data) == 2 else SCALES[register]
    try:
        (raw,) = struct.unpack("<" + scale.format, data)
    except struct.error as error:
        raise BadReply(f"register 0x{register:02X} came with {len(data)} bytes") from error
    return float(raw) / scale.per_unit


class Assembler:
    """Cuts a byte stream into frames: feed it any pieces, it returns the frames that are complete.

    Bytes outside a frame are dropped; a start byte inside one begins anew, as the real hardware does.
    """

    def __init__(self) -> None:
        self._frame = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the frames completed by a piece, delimiters included."""
        frames: list[bytes] = []
        for byte in piece:
            if byte == START:
                self._frame = bytearray((START,))
            elif self._frame:
                self._frame.append(byte)
                if byte == END:
                    frames.append(bytes(self._frame))
                    self._frame.clear()
        return frames
