"""What every simulated device is: a state machine that is fed bytes and answers bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes that leave the device `delay_s` after the ones that caused them.  close: the connection ends behind them."""

    data: bytes
    delay_s: float = 0.0
    close: bool = False


class Link(Protocol):
    """One connection to a device; keeps the incomplete rest of what came in."""

    def feed(self, data: bytes) -> list[Reply]:
        """Take any piece of the incoming stream and return the answers it completed."""
        ...


class Device(Protocol):
    """A device that accepts connections one after the other or at once."""

    def link(self) -> Link:
        """Return a new connection."""
        ...


class TextLink:
    """A connection to a device that speaks in lines of text.

    answer: what the device answers to a line, without its end; None for nothing.  end: of a line, in both directions.
    """

    def __init__(self, answer: Callable[[str], str | None], end: bytes = b"\n") -> None:
        self._answer, self._end = answer, end
        self._rest = b""

    def feed(self, data: bytes) -> list[Reply]:
        """Take any piece of the incoming stream and return the answers to the lines it completed."""
        *lines, self._rest = (self._rest + data).split(self._end)
        answers = [self._answer(line.decode("ascii", "replace").strip()) for line in lines]
        return [Reply(answer.encode() + self._end) for answer in answers if answer is not None]


class Garbage:
    """A device gone mad: whatever comes in is answered by meaningless bytes, line and object ends included."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def link(self) -> Link:
        """Return itself; there is no state to keep."""
        return self

    def feed(self, data: bytes) -> list[Reply]:
        """Return twelve bytes outside ASCII and two line ends."""
        return [Reply(self.message())] if data else []

    def message(self) -> bytes:
        """Return one meaningless message."""
        return self._generator.integers(128, 256, 12, dtype=np.uint8).tobytes() + b"\x17\n"
