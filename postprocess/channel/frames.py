"""The one envelope of the classical channel: a fixed header, a canonical JSON header, and arrays.

    u32 length of what follows | u8 version | u8 type | u16 flags | u64 session | u64 round | u32 seq | u8 direction | 3 zero bytes | u32 header length
    | header | body

Envelope integers are big-endian, array payloads little-endian. A message over 8 MiB travels as a header part without body, which says how many parts follow,
and parts of 4 MiB; `FrameReader` puts them together again.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FrameError
from . import canonical

VERSION = 1
MIN_LENGTH, MAX_LENGTH = 32, 16 * 2**20
MAX_HEADER = 65_536
MAX_ARRAYS = 16
SPLIT_ABOVE = 8 * 2**20
"""Largest body (bytes) that travels in one frame."""
PART_BYTES = 4 * 2**20
MAX_MESSAGE = 256 * 2**20
"""Largest body (bytes) of a split message that a reader puts together."""
A_TO_B, B_TO_A = 0, 1

_PREFIX = struct.Struct(">IBBHQQIB3sI")
_AFTER_LENGTH = _PREFIX.size - 4
_DTYPES = frozenset({"|u1", "<u2", "<u4", "<u8", "<i4", "<i8", "<f4", "<f8"})
_RESERVED = frozenset({"arrays", "part", "parts", "whole"})


class MessageType(IntEnum):
    """What a frame carries."""

    HELLO = 1
    PARAMS = 2
    DETECTIONS = 3
    BASES = 4
    TESTBITS = 5
    PARITY = 6
    VERIFY = 7
    PA_SEED = 8
    BLOCK = 9
    ROUND_END = 10
    TAG = 11
    ABORT = 12
    KEY_OFFER = 13
    KEY_ACK = 14
    KEY_CANCEL = 15
    RECONCILE = 16
    HEARTBEAT = 17
    REKEY = 18
    COUNTS = 19
    ANNOUNCE = 20
    ROSTER = 32
    READY = 33
    KEYIDS = 34
    SHARE = 35
    UPLOAD = 36
    SET = 37
    CONFIRM = 38
    ANSWER = 39
    RESULT = 40
    QOT = 48
    QHE = 49
    PHOTONIC = 50
    BLIND = 51


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One message.

    session, round, seq: unsigned 64, 64 and 32 bit.  direction: 0 from A to B, 1 from B to A.  header: canonical JSON values; the names `arrays`, `part`,
    `parts` and `whole` belong to the envelope.  arrays: by name, at most 16, of dtype u1 u2 u4 u8 i4 i8 f4 f8, any shape.
    bits: for packed arrays how many bits count (LSB first); `packed` checks them.
    """

    type: MessageType
    session: int = 0
    round: int = 0
    seq: int = 0
    direction: int = A_TO_B
    header: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    bits: dict[str, int] = field(default_factory=dict)

    def packed(self, name: str) -> tuple[NDArray[np.uint8], int]:
        """Return a packed bit array and its number of bits. Raises FrameError if it is not there, of the wrong size, or its padding is not zero."""
        array, bits = self.arrays.get(name), self.bits.get(name)
        if array is None or bits is None or array.dtype != np.uint8 or array.ndim != 1 or array.size != -(-bits // 8):
            raise FrameError("not a packed bit array", where=f"{self.type.name} array {name}")
        if bits % 8 and int(array[-1]) >> (bits % 8):
            raise FrameError("the padding bits are not zero", where=f"{self.type.name} array {name}")
        return array, bits

    @property
    def span(self) -> int:
        """Return how many frames (and sequence numbers) the message takes on the wire."""
        size = sum(array.nbytes for array in self.arrays.values())
        return 1 if size <= SPLIT_ABOVE else 1 + -(-size // PART_BYTES)


def encode(frame: Frame) -> bytes:
    """Return the bytes of a message: one frame, or header part and parts. Raises FrameError for what the envelope cannot carry."""
    if taken := _RESERVED & frame.header.keys():
        raise FrameError(f"the header names {sorted(taken)} belong to the envelope", where=frame.type.name)
    arrays = {name: _portable(name, array) for name, array in frame.arrays.items()}
    table = [_entry(name, array, frame.bits.get(name)) for name, array in arrays.items()]
    if len(table) > MAX_ARRAYS or not frame.bits.keys() <= arrays.keys():
        raise FrameError("more than 16 arrays, or bits of an array that is not there", where=frame.type.name)
    body = b"".join(array.tobytes() for array in arrays.values())
    if len(body) <= SPLIT_ABOVE:
        return _envelope(frame, 0, {**frame.header, "arrays": table} if table else frame.header, body)
    if len(body) > MAX_MESSAGE:
        raise FrameError(f"{len(body):,} bytes are more than a message may have", where=frame.type.name)
    parts = [body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES)]
    pieces = [_envelope(frame, 0, {**frame.header, "parts": len(parts), "whole": table}, b"")]
    for number, part in enumerate(parts, 1):
        pieces.append(_envelope(frame, number, {"arrays": [{"dt": "|u1", "n": "part", "sh": [len(part)]}], "part": number}, part))
    return b"".join(pieces)


def _portable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    little = np.asarray(array, order="C")
    if little.dtype.byteorder == ">":
        little = little.astype(little.dtype.newbyteorder("<"))
    if little.dtype.str not in _DTYPES:
        raise FrameError(f"dtype {array.dtype} does not travel", where=f"array {name}")
    return little


def _entry(name: str, array: NDArray[Any], bits: int | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"n": name, "dt": array.dtype.str, "sh": list(array.shape)}
    return entry if bits is None else {**entry, "bits": bits}


def _envelope(frame: Frame, number: int, header: Mapping[str, Any], body: bytes) -> bytes:
    text = canonical.encode(dict(header))
    if len(text) > MAX_HEADER:
        raise FrameError(f"a header of {len(text):,} bytes is too long", where=frame.type.name)
    length = _AFTER_LENGTH + len(text) + len(body)
    try:
        prefix = _PREFIX.pack(length, VERSION, frame.type, 0, frame.session, frame.round, frame.seq + number, frame.direction, b"\0\0\0", len(text))
    except struct.error as error:
        raise FrameError("session, round, seq or direction does not fit", where=frame.type.name) from error
    return prefix + text + body


class Sender:
    """Encodes the messages of one direction of one connection, counting the sequence number.

    session: chosen by A, larger than any before on the link.
    """

    def __init__(self, session: int, direction: int) -> None:
        self.session = session
        self.direction = direction
        self.seq = 0

    def frame(
        self,
        type_: MessageType,
        header: dict[str, Any] | None = None,
        arrays: dict[str, NDArray[Any]] | None = None,
        *,
        bits: dict[str, int] | None = None,
        round_: int = 0,
    ) -> bytes:
        """Return the bytes of the next message of this direction."""
        made = Frame(type_, self.session, round_, self.seq, self.direction, header or {}, arrays or {}, bits or {})
        raw = encode(made)
        self.seq += made.span
        return raw


class FrameReader:
    """Turns a stream of bytes, cut anywhere, into messages.

    session, direction: where given, every frame must carry them.  Sequence numbers must count 0, 1, 2, ..
    After a FrameError the reader refuses everything: the connection has to be closed.
    """

    def __init__(self, *, session: int | None = None, direction: int | None = None) -> None:
        self._session = session
        self._direction = direction
        self._buffer = bytearray()
        self._next_seq = 0
        self._whole: tuple[Frame, list[Any], int] | None = None
        self._parts: list[bytes] = []
        self._broken: FrameError | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Return the messages completed by these bytes. Raises FrameError for anything malformed, out of order or of another session."""
        if self._broken is not None:
            raise self._broken
        self._buffer += data
        try:
            return list(self._complete())
        except FrameError as error:
            self._broken = error
            raise

    @property
    def pending(self) -> bool:
        """Say whether a message has begun and not ended."""
        return bool(self._buffer) or self._whole is not None

    def _complete(self) -> list[Frame]:
        done: list[Frame] = []
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4], "big")
            if not MIN_LENGTH <= length <= MAX_LENGTH:
                raise FrameError(f"a frame of {length} bytes cannot be", where="length field")
            if len(self._buffer) < 4 + length:
                break
            raw = bytes(self._buffer[: 4 + length])
            del self._buffer[: 4 + length]
            message = self._accept(*_parse(raw))
            if message is not None:
                done.append(message)
        return done

    def _accept(self, bare: Frame, header: dict[str, Any], body: bytes) -> Frame | None:
        if bare.seq != self._next_seq:
            raise FrameError(f"sequence number {bare.seq}, {self._next_seq} expected", where=bare.type.name)
        if self._session not in (None, bare.session) or self._direction not in (None, bare.direction):
            raise FrameError("wrong session or direction", where=bare.type.name)
        self._next_seq += 1
        if self._whole is not None:
            return self._part(self._whole, bare, header, body)
        if "parts" in header:
            self._begin(bare, header, body)
            return None
        if _RESERVED & header.keys() - {"arrays"}:
            raise FrameError("a part without its header part", where=bare.type.name)
        return _filled(bare, header, header.pop("arrays", None), body)

    def _begin(self, bare: Frame, header: dict[str, Any], body: bytes) -> None:
        parts, table = header.pop("parts"), header.pop("whole", None)
        size = _size(table)
        if body or _RESERVED & header.keys() or not SPLIT_ABOVE < size <= MAX_MESSAGE or type(parts) is not int or parts != -(-size // PART_BYTES):
            raise FrameError("the header part of a split message is malformed", where=bare.type.name)
        self._whole, self._parts = (_with(bare, header), table, parts), []

    def _part(self, begun: tuple[Frame, list[Any], int], bare: Frame, header: dict[str, Any], body: bytes) -> Frame | None:
        whole, table, parts = begun
        number = len(self._parts) + 1
        size = PART_BYTES if number < parts else _size(table) - (parts - 1) * PART_BYTES
        expected = {"arrays": [{"dt": "|u1", "n": "part", "sh": [size]}], "part": number}
        if header != expected or len(body) != size or (bare.type, bare.round, bare.direction) != (whole.type, whole.round, whole.direction):
            raise FrameError(f"part {number} of {parts} does not fit", where=bare.type.name)
        self._parts.append(body)
        if number < parts:
            return None
        self._whole, joined = None, b"".join(self._parts)
        self._parts = []
        return _filled(whole, whole.header, table, joined)


def _parse(raw: bytes) -> tuple[Frame, dict[str, Any], bytes]:
    _, version, kind, flags, session, round_, seq, direction, zero, header_length = _PREFIX.unpack_from(raw)
    if version != VERSION or flags or zero != b"\0\0\0" or direction > 1:
        raise FrameError("unknown version, or reserved bytes are set", where="envelope")
    if header_length > MAX_HEADER or _PREFIX.size + header_length > len(raw):
        raise FrameError(f"a header of {header_length} bytes does not fit", where="envelope")
    try:
        type_ = MessageType(kind)
    except ValueError as error:
        raise FrameError(f"unknown message type {kind}", where="envelope") from error
    header = canonical.decode(raw[_PREFIX.size : _PREFIX.size + header_length])
    return Frame(type_, session, round_, seq, direction), header, raw[_PREFIX.size + header_length :]


def _with(bare: Frame, header: dict[str, Any]) -> Frame:
    return Frame(bare.type, bare.session, bare.round, bare.seq, bare.direction, header)


def _filled(bare: Frame, header: dict[str, Any], table: Any, body: bytes) -> Frame:
    if (0 if table is None else _size(table)) != len(body):
        raise FrameError("the arrays do not fill the body", where=bare.type.name)
    arrays, bits, start = {}, {}, 0
    for entry in table or ():
        dtype, shape = np.dtype(entry["dt"]), tuple(entry["sh"])
        arrays[entry["n"]] = np.frombuffer(body, dtype, prod(shape), start).reshape(shape)
        start += prod(shape) * dtype.itemsize
        if "bits" in entry:
            bits[entry["n"]] = entry["bits"]
    return Frame(bare.type, bare.session, bare.round, bare.seq, bare.direction, header, arrays, bits)


def _size(table: Any) -> int:
    """Return the bytes of an array table. Raises FrameError if it is malformed."""
    if not isinstance(table, list) or not 1 <= len(table) <= MAX_ARRAYS or not all(map(_is_entry, table)):
        raise FrameError("the array table is malformed", where="header")
    if len({entry["n"] for entry in table}) < len(table):
        raise FrameError("two arrays have one name", where="header")
    return sum(prod(entry["sh"]) * np.dtype(entry["dt"]).itemsize for entry in table)


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or entry.keys() - {"bits"} != {"n", "dt", "sh"}:
        return False
    name, dtype, shape, bits = entry["n"], entry["dt"], entry["sh"], entry.get("bits", 0)
    if not isinstance(name, str) or not 0 < len(name) <= 64 or dtype not in _DTYPES or not isinstance(shape, list) or len(shape) > 8:
        return False
    if not all(type(side) is int and 0 <= side <= MAX_MESSAGE for side in shape):
        return False
    # A side of 0 makes the array empty, but not its other sides small enough for NumPy.
    if prod(side for side in shape if side) > MAX_MESSAGE:
        return False
    return type(bits) is int and 0 <= bits <= 8 * prod(shape) * np.dtype(dtype).itemsize
