"""One party's end of the conversation about a block: frames out, frames in, the transcript, and the fields of a header.

Whatever is read here was written by the other side, so every reader either returns a value of the promised kind or raises FrameError.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import (
    AnnouncementError,
    DesyncError,
    FrameError,
    HeliographError,
    NoKeyError,
    ReconciliationError,
    VerificationError,
)
from .channel.frames import B_TO_A, Frame, FrameReader, MessageType, Sender, encode

_UNTAGGED = frozenset({MessageType.TAG, MessageType.HEARTBEAT})
_REASONS = {kind.__name__: kind for kind in (AnnouncementError, DesyncError, FrameError, NoKeyError, ReconciliationError, VerificationError)}
_REASON_LENGTH = 2000


class Line:
    """Numbers and checks the frames of one block, and keeps the transcript of both directions for the tags of the round.

    direction: of what this party sends, 0 from Alice to Bob.  round: carried by every frame, counted from 0 in a session.  peer_gave_up: an ABORT came.
    before_last: what had gone in the direction of the last message before it, in this round.
    """

    def __init__(self, session: int, direction: int) -> None:
        self.session = session
        self.round = 0
        self.direction = direction
        self._sender = Sender(session, direction)
        self._reader = FrameReader(session=session, direction=B_TO_A - direction)
        self._transcripts = (bytearray(), bytearray())
        self._spans = [0, 0]
        self.peer_gave_up = False
        self.before_last = {"bytes": 0, "frames": 0}

    def send(self, type_: MessageType, header: dict[str, Any] | None = None, **bits: tuple[NDArray[np.uint8], int]) -> bytes:
        """Return the bytes of the next message. bits: packed arrays by name, each with its number of bits."""
        arrays = {name: array for name, (array, _) in bits.items()}
        before = self._sender.seq
        raw = self._sender.frame(type_, header, arrays, bits={name: count for name, (_, count) in bits.items()}, round_=self.round)
        self._record(type_, self.direction, raw, self._sender.seq - before)
        return raw

    def receive(self, data: bytes) -> Iterator[Frame]:
        """Yield the messages completed by these bytes. Raises FrameError for what is malformed or out of order, and what an ABORT says."""
        for frame in self._reader.feed(data):
            # Whoever gives up may not have heard that the round is over.
            if frame.type is MessageType.ABORT:
                self.peer_gave_up = True
                raise _reason(frame)
            if frame.round != self.round:
                raise FrameError(f"round {frame.round}, {self.round} expected", where=frame.type.name)
            self._record(frame.type, frame.direction, encode(frame), frame.span)
            yield frame

    def _record(self, type_: MessageType, direction: int, raw: bytes, span: int) -> None:
        if type_ not in _UNTAGGED:
            self.before_last = self.extent(direction)
            self._transcripts[direction].extend(raw)
            self._spans[direction] += span

    def extent(self, direction: int) -> dict[str, int]:
        """Return how many bytes and frames went in a direction so far, as ROUND_END states them."""
        return {"bytes": len(self._transcripts[direction]), "frames": self._spans[direction]}

    @property
    def transcripts(self) -> tuple[bytes, bytes]:
        """Return the exact frames of this round, from Alice to Bob and from Bob to Alice."""
        return bytes(self._transcripts[0]), bytes(self._transcripts[1])

    def next_round(self) -> None:
        """Begin a new round: what was said before is covered by its tags."""
        self.round += 1
        self._transcripts = (bytearray(), bytearray())
        self._spans = [0, 0]
        self.before_last = {"bytes": 0, "frames": 0}


def farewell(error: HeliographError) -> dict[str, Any]:
    """Return the header of the ABORT that tells the other party of an error."""
    return {"code": type(error).__name__, "reason": error.message[:_REASON_LENGTH]}


def _reason(frame: Frame) -> HeliographError:
    code, reason = text(frame, "code"), text(frame, "reason")
    return _REASONS.get(code, DesyncError)(f"the other party gave up: {reason}", where=code)


def _refused(frame: Frame, name: str) -> FrameError:
    return FrameError(f"field {name} is missing or malformed", where=frame.type.name)


def text(frame: Frame, name: str) -> str:
    """Return a string of at most 4096 characters."""
    value = frame.header.get(name)
    if not isinstance(value, str) or len(value) > 4096:
        raise _refused(frame, name)
    return value


def integer(frame: Frame, name: str) -> int:
    """Return an integer that is not negative."""
    value = frame.header.get(name)
    if type(value) is not int or value < 0:
        raise _refused(frame, name)
    return value


def flag(frame: Frame, name: str) -> bool:
    """Return a truth value."""
    value = frame.header.get(name)
    if not isinstance(value, bool):
        raise _refused(frame, name)
    return value


def real(frame: Frame, name: str) -> float:
    """Return a finite real, sent as `float.hex()`."""
    try:
        value = float.fromhex(text(frame, name))
    except (ValueError, OverflowError) as error:
        raise _refused(frame, name) from error
    if not isfinite(value) or value.hex() != frame.header[name]:
        raise _refused(frame, name)
    return value


def octets(frame: Frame, name: str, length: int) -> bytes:
    """Return exactly `length` bytes, sent in hex of small letters."""
    try:
        value = bytes.fromhex(text(frame, name))
    except ValueError as error:
        raise _refused(frame, name) from error
    if len(value) != length or value.hex() != frame.header[name]:
        raise _refused(frame, name)
    return value


def bits(frame: Frame, name: str, count: int) -> NDArray[np.uint8]:
    """Return a packed array of exactly `count` bits."""
    array, found = frame.packed(name)
    if found != count:
        raise FrameError(f"{found:,} bits of {name}, {count:,} expected", where=frame.type.name)
    return array


def body(frame: Frame) -> bytes:
    """Return the bytes of the array `body`."""
    array, found = frame.packed("body")
    if found != 8 * array.size:
        raise _refused(frame, "body")
    return array.tobytes()


def as_body(data: bytes) -> tuple[NDArray[np.uint8], int]:
    """Return bytes in the form in which `Line.send` takes an array."""
    return np.frombuffer(data, np.uint8), 8 * len(data)
