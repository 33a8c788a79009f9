"""What simulated SCPI devices share: the reading of a line, header normalisation, the error queue, and number formats."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable

from ...core.errors import BadReply
from ...instruments.wire import scpi as wire
from .base import Reply

LONG = {
    "FUNCTION": "FUNC",
    "FREQUENCY": "FREQ",
    "VOLTAGE": "VOLT",
    "OFFSET": "OFFS",
    "LIMIT": "LIM",
    "STATE": "STAT",
    "PULSE": "PULS",
    "WIDTH": "WIDT",
    "SOURCE": "SOUR",
    "TRIGGER": "TRIG",
    "COUNT": "COUN",
    "OUTPUT": "OUTP",
    "SYSTEM": "SYST",
    "ERROR": "ERR",
    "SENSE": "SENS",
    "CORRECTION": "CORR",
    "WAVELENGTH": "WAV",
    "MEASURE": "MEAS",
    "POWER": "POW",
    "RANGE": "RANG",
}
QUEUE = 30
_NODE = re.compile(r"([A-Z*]+)(\d*)\Z")


class ScpiError(Exception):
    """A command is refused; code and text go into the error queue."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


UNDEFINED = (-113, "Undefined header")
RANGE = (-222, "Data out of range")
PARAMETER = (-224, "Illegal parameter value")
CONFLICT = (-221, "Settings conflict")


class ErrorQueue:
    """First in, first out; when it is full the last entry says so."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, str]] = deque()

    def put(self, error: ScpiError) -> None:
        """Add an entry."""
        if len(self._entries) < QUEUE:
            self._entries.append((error.code, str(error)))
        else:
            self._entries[-1] = (-350, "Queue overflow")

    def take(self) -> str:
        """Return the oldest entry as the device words it."""
        code, text = self._entries.popleft() if self._entries else (0, "No error")
        return f'{code:+d},"{text}"'

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


def header(text: str) -> tuple[str, int]:
    """Return (short header without numbers such as `VOLT:OFFS`, channel or 1) of a header without its question mark; raises ScpiError."""
    nodes, channel = [], 1
    for node in text.strip().lstrip(":").upper().split(":"):
        match = _NODE.match(node)
        if match is None:
            raise ScpiError(*UNDEFINED)
        nodes.append(LONG.get(match[1], match[1]))
        channel = int(match[2]) if match[2] else channel
    return ":".join(nodes), channel


def number(text: str) -> float:
    """Return an argument as a number; raises ScpiError."""
    try:
        value = float(text)
    except ValueError as error:
        raise ScpiError(*PARAMETER) from error
    if not abs(value) < 9.9e37:
        raise ScpiError(*RANGE)
    return value


def boolean(text: str) -> bool:
    """Return an argument as a switch; raises ScpiError."""
    words = {"0": False, "1": True, "OFF": False, "ON": True}
    if text.upper() not in words:
        raise ScpiError(*PARAMETER)
    return words[text.upper()]


def real(value: float) -> str:
    """Return a number as instruments print it."""
    return f"{value:+.8E}"


class ScpiLine:
    """One connection to a device.  answer: gives the lines that answer a command.  fail: notes an error of a device."""

    def __init__(self, answer: Callable[[wire.Command], Iterable[str]], fail: Callable[[ScpiError], None]) -> None:
        self._answer, self._fail = answer, fail
        self._commands = wire.CommandReader()

    def feed(self, data: bytes) -> list[Reply]:
        """Take bytes and return what the device answers; what is no command ends up in its error queue."""
        try:
            commands = self._commands.feed(data)
        except BadReply as error:
            self._commands = wire.CommandReader()
            self._fail(ScpiError(-161, str(error)))
            return []
        return [Reply(line.encode() + b"\n") for command in commands for line in self._answer(command)]
