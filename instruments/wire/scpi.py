"""SCPI over a stream: commands end with a newline, except that a definite-length block carries its own length.

No newline follows a block. Whoever reads commands must count a block's bytes, never look for 0A inside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import BadReply, ParameterError

_MAX_BLOCK = 1 << 28


def encode_block(payload: bytes) -> bytes:
    """Return ``#``, the number of digits, the length, the payload."""
    length = str(len(payload))
    if len(length) > 9:
        raise ParameterError(f"a block of {length} bytes is too long", where="payload")
    return f"#{len(length)}{length}".encode() + payload


def decode_block(buffer: bytes) -> tuple[bytes, bytes] | None:
    """Return (payload, bytes behind it) of a buffer that begins with a block, or None while it is incomplete.

    Raises BadReply if the buffer cannot be the start of a block.
    """
    if buffer[:1] not in (b"#", b""):
        raise BadReply("a block does not begin with #")
    if len(buffer) < 2:
        return None
    digits = buffer[1] - ord("0")
    if not 1 <= digits <= 9:
        raise BadReply("a block does not say its length")
    header = buffer[2 : 2 + digits]
    if not header.isdigit() and header:
        raise BadReply("the length of a block is not a number")
    if len(header) < digits:
        return None
    length, start = int(header), 2 + digits
    if length > _MAX_BLOCK:
        raise BadReply(f"a block claims {length} bytes")
    if len(buffer) < start + length:
        return None
    return buffer[start : start + length], buffer[start + length :]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its text (for a block command up to and without ``#``), and the block's payload if it has one."""

    text: str
    block: bytes | None = None


class CommandReader:
    """Cuts a byte stream into commands; feed it any pieces.

    A ``#`` followed by a digit, in a line not yet ended, begins a block.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Command]:
        """Return the commands completed by a piece; raises BadReply for a malformed block."""
        self._rest += piece
        commands: list[Command] = []
        while (command := self._next()) is not None:
            if command.text or command.block is not None:
                commands.append(command)
        return commands

    def _next(self) -> Command | None:
        end = self._rest.find(b"\n")
        mark = self._rest.find(b"#", 0, end if end >= 0 else len(self._rest))
        if mark >= 0:
            parts = decode_block(self._rest[mark:])
            if parts is None:
                return None
            text = self._rest[:mark].decode("ascii", "replace").strip()
            payload, self._rest = parts
            return Command(text, payload)
        if end < 0:
            return None
        text = self._rest[:end].decode("ascii", "replace").strip()
        self._rest = self._rest[end + 1 :]
        return Command(text)


def error_entry(reply: str) -> tuple[int, str]:
    """Return (code, text) of a ``SYST:ERR?`` reply such as ``-222,"Data out of range"``; raises BadReply if it is none."""
    code, _, text = reply.strip().partition(",")
    try:
        return int(code), text.strip().strip('"')
    except ValueError as error:
        raise BadReply(f"{reply[:40]!r} is no entry of an error queue") from error


def identity_fields(reply: str) -> tuple[str, str, str, str]:
    """Return (vendor, model, serial, firmware) of an ``*IDN?`` reply; raises BadReply if there are not four."""
    fields = [field.strip() for field in reply.strip().split(",", 3)]
    if len(fields) != 4:
        raise BadReply(f"{reply[:60]!r} is no identity")
    return fields[0], fields[1], fields[2], fields[3]
