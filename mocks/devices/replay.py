"""A device that a recorded session made: it answers what was answered then, as long as it is asked what was asked then.

A question that was asked and answered before may come once more or once less often than it was recorded, for who looks at a bench from time to time never
looks as often twice; `polls=False` forbids that too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...instruments.wire.session import Exchange, Port, Segments
from .base import Reply

Fault = Callable[[str], None]
"""Told once, when the first byte differs."""
_SHOWN = 40


class Replay:
    """One port of a recorded device; every connection to it is another opening of the record.

    place: instrument and port, for messages.  told: of a difference, after which the device is silent.
    """

    def __init__(self, port: Port, place: str, told: Fault, *, polls: bool = True) -> None:
        serial = port.transport == "serial"
        # A serial line does not notice who opens it.
        self._openings = [[exchange for opening in port.openings for exchange in opening]] if serial else port.openings
        self._place, self._told, self._polls = place, told, polls
        self._links: list[_Link] = []
        self._answers: dict[Segments, Exchange] = {}
        self.silent = False

    def link(self) -> _Link:
        """Return the next recorded connection; one more than was recorded is a difference, unless polls are none."""
        number = len(self._links)
        if number >= len(self._openings) and not self._polls:
            self.differs(f"connection {number + 1} is opened, {len(self._openings)} were recorded")
        self._links.append(_Link(self, self._openings[min(number, len(self._openings) - 1)]))
        return self._links[-1]

    def next_of(self, exchanges: Sequence[Exchange], cursor: int) -> list[tuple[int, Exchange]]:
        """Return what may come now, and where that leads: the next exchange, those behind polls left out, or a poll once more."""
        found = []
        for position in range(cursor, len(exchanges)):
            found.append((position + 1, exchanges[position]))
            if not self._polls or exchanges[position].sent not in self._answers:
                break
        return found + [(cursor, exchange) for exchange in self._answers.values()] if self._polls else found

    def answered(self, exchange: Exchange) -> bytes:
        """Return the recorded answer; masked bytes are zeros."""
        if exchange.received:
            self._answers[exchange.sent] = exchange
        return b"".join(segment if isinstance(segment, bytes) else bytes(segment) for segment in exchange.received)

    def differs(self, what: str) -> None:
        """Fall silent and say why, once."""
        if not self.silent:
            self.silent = True
            self._told(f"{self._place}: {what}")

    def left(self) -> None:
        """Call what was recorded and never came a difference, polls excepted."""
        for link, opening in zip(self._links, self._openings, strict=False):
            missing = [exchange for exchange in opening[link.cursor :] if not (self._polls and exchange.sent in self._answers)]
            if missing:
                self.differs(f"{len(missing)} messages never came, the first is {_text(missing[0].sent)} of line {missing[0].line}")
        if not self._links and self._openings and any(self._openings):
            self.differs("nobody connected")


class _Link:
    """One connection."""

    def __init__(self, device: Replay, exchanges: Sequence[Exchange]) -> None:
        self._device, self._exchanges = device, exchanges
        self._came = b""
        self.cursor = 0

    def feed(self, data: bytes) -> list[Reply]:
        replies: list[Reply] = []
        self._came += data
        while not self._device.silent:
            if self.cursor < len(self._exchanges) and not self._exchanges[self.cursor].sent:
                replies += self._answer(self.cursor + 1, self._exchanges[self.cursor])
            elif not self._came or not self._take(replies):
                break
        return replies

    def _take(self, replies: list[Reply]) -> bool:
        """Take one message off what came; False where more has to come first, or where it differs."""
        possible = self._device.next_of(self._exchanges, self.cursor)
        matches = [(cursor, exchange, matched(exchange.sent, self._came)) for cursor, exchange in possible]
        for cursor, exchange, length in matches:
            if length > 0:
                self._came = self._came[length:]
                replies += self._answer(cursor, exchange)
                return True
        if not any(length == 0 for *_, length in matches):
            self._device.differs(self._difference())
        return False

    def _answer(self, cursor: int, exchange: Exchange) -> list[Reply]:
        self.cursor = cursor
        data = self._device.answered(exchange)
        return [Reply(data)] if data else []

    def _difference(self) -> str:
        if self.cursor >= len(self._exchanges):
            return f"{self._came[:_SHOWN]!r} came behind the last message that was recorded"
        wanted = self._exchanges[self.cursor]
        place = -matched(wanted.sent, self._came) - 1
        return (
            f"byte {place} of message {self.cursor + 1} differs: {self._came[place : place + 1]!r} came in {self._came[:_SHOWN]!r}, "
            f"recorded is {_text(wanted.sent)} in line {wanted.line}"
        )


def matched(wanted: Segments, came: bytes) -> int:
    """Return how many bytes the message is long if it came whole, 0 if the beginning of it came, and -1 - n if byte n is the first that differs."""
    place = 0
    for segment in wanted:
        length = segment if isinstance(segment, int) else len(segment)
        piece = came[place : place + length]
        if isinstance(segment, bytes) and piece != segment[: len(piece)]:
            return -1 - place - next(n for n, (a, b) in enumerate(zip(piece, segment, strict=False)) if a != b)
        if len(piece) < length:
            return 0
        place += length
    return place


def _text(segments: Segments) -> str:
    return " ".join(repr(one[:_SHOWN]) if isinstance(one, bytes) else f"<{one} masked>" for one in segments)


class Stream:
    """A port that only speaks: one connection's recorded pieces, as fast as they are taken."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(pieces)

    def due_ps(self) -> int:
        """Return 0: time does not pass here."""
        return 0

    def line(self) -> bytes:
        """Return the next piece, nothing behind the last."""
        return self._pieces.pop(0) if self._pieces else b""
