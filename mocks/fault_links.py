"""Faults between a device and its listener: the replies of one port, as they come, late, in pieces, wrong or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from ..core.errors import ConfigError
from .devices.base import Device, Garbage, Link, Reply
from .fault_words import Words, words_of
from .faults import Fault, Faults
from .randomness import Seeds

TRICKLE_S = 0.03
"""How long a reply takes that comes byte by byte."""
LATENCY_S = 0.01
"""Ten times the millisecond that a short reply takes."""
LATE_S = 0.3
"""How late a stale reply is where it cannot come with the next one."""


@dataclass(slots=True)
class Armed:
    """A fault and how often it met a reply and struck."""

    fault: Fault
    generator: np.random.Generator
    met: int = 0
    struck: int = 0

    def strikes(self, asked: bytes) -> bool:
        """Say whether the fault falls on the reply to a request, which is then counted."""
        if self.struck >= self.fault.most or not _begins(asked, self.fault.on):
            return False
        self.met += 1
        if self.fault.at is not None and self.met < self.fault.at:
            return False
        if self.fault.rate is not None and self.generator.random() >= self.fault.rate:
            return False
        self.struck += 1
        return True


def _begins(asked: bytes, on: str) -> bool:
    if on.startswith("hex:"):
        return bytes.fromhex(on.removeprefix("hex:")) in asked
    return not on or any(line.strip().startswith(on.encode()) for line in asked.replace(b"\r", b"\n").split(b"\n"))


@dataclass(slots=True)
class Line:
    """One port of one instrument, and what goes wrong on it; faults may be added while it is in use."""

    instrument: str
    words: Words
    seeds: Seeds
    restart: Callable[[], None] | None = None
    armed: list[Armed] = field(default_factory=list)
    added: int = 0

    def add(self, fault: Fault) -> None:
        """Arm a fault; raises ConfigError for one that the port's protocol cannot have."""
        words = self.words
        unable = {
            "nack": words.nack is None,
            "busy": words.busy is None,
            "unsolicited": words.unsolicited is None,
            "crc": words.crc is None,
            "identity": words.identity is None,
            "error-queue": not words.error_on,
            "nan": not words.nan,
            "overflow": not words.nan,
            "text": not words.text,
            "power-cycle": self.restart is None,
        } | dict.fromkeys(("partial", "trickle", "terminator", "glued"), words.whole)
        if unable.get(fault.kind, False):
            remedy = "Choose another fault for this instrument."
            raise ConfigError(f"the protocol of {self.instrument} has no way to show {fault.kind}", where=f"{fault.kind}:{self.instrument}", remedy=remedy)
        self.added += 1
        if fault.kind == "error-queue" and not fault.on:
            fault = replace(fault, on=words.error_on)
        self.armed.append(Armed(fault, self.seeds.generator(f"fault {self.added} {fault.kind} {self.instrument}")))

    def heal(self) -> None:
        """Disarm everything."""
        self.armed.clear()

    def falling(self, asked: bytes) -> list[Fault]:
        """Return the faults that strike the reply to a request."""
        return [armed.fault for armed in tuple(self.armed) if armed.strikes(asked)]

    def cuts_block(self, asked: bytes) -> bool:
        """Say whether a block that is being sent to the device is cut off."""
        cutting = (armed for armed in tuple(self.armed) if armed.fault.kind == "disconnect-in-block")
        return b"#" in asked and any(armed.strikes(asked) for armed in cutting)


class FaultyLink:
    """A connection whose replies meet the faults of its line."""

    def __init__(self, link: Link, line: Line) -> None:
        self._link = link
        self._line = line
        self._asked = b""
        self._held: list[Reply] = []

    def feed(self, data: bytes) -> list[Reply]:
        """Pass a piece on to the device, and what it answers through the faults."""
        if not self._line.armed and not self._held:
            self._asked = b""
            return self._link.feed(data)
        self._asked += data
        if self._line.cuts_block(self._asked):
            self._asked = b""
            return [*self._link.feed(data[: len(data) // 2]), Reply(b"", close=True)]
        answers = self._link.feed(data)
        replies = [changed for reply in answers for changed in self._met(reply)]
        if answers:
            self._asked = b""
        return replies

    def _met(self, reply: Reply) -> list[Reply]:
        held, self._held = self._held, []
        replies = [reply]
        for fault in self._line.falling(self._asked):
            if fault.kind == "stale" and fault.delay_s is None and not self._line.words.whole:
                self._held, replies = replies, []
            elif fault.kind == "power-cycle" and self._line.restart is not None:
                self._line.restart()
                replies = []
            else:
                replies = [changed for one in replies for changed in EFFECTS[fault.kind](one, self._asked, fault, self._line.words)]
        return held + replies


Effect = Callable[[Reply, bytes, Fault, Words], list[Reply]]


def _in_words(change: Callable[[Words, Reply, bytes], bytes]) -> Effect:
    return lambda reply, asked, _fault, words: [replace(reply, data=change(words, reply, asked))]


def _said(change: Callable[[bytes], bytes] | None, given: bytes) -> bytes:
    return given if change is None else change(given)


def _trickle(reply: Reply, _asked: bytes, fault: Fault, _words: Words) -> list[Reply]:
    step = (TRICKLE_S if fault.delay_s is None else fault.delay_s) / max(1, len(reply.data))
    return [Reply(reply.data[k : k + 1], reply.delay_s + k * step) for k in range(len(reply.data))]


def _late(reply: Reply, _asked: bytes, fault: Fault, _words: Words) -> list[Reply]:
    return [replace(reply, delay_s=reply.delay_s + (LATE_S if fault.delay_s is None else fault.delay_s))]


def _slow(reply: Reply, _asked: bytes, fault: Fault, _words: Words) -> list[Reply]:
    return [replace(reply, delay_s=10.0 * reply.delay_s + (LATENCY_S if fault.delay_s is None else fault.delay_s))]


EFFECTS: dict[str, Effect] = {
    "timeout": lambda _reply, _asked, _fault, _words: [],
    "stale": _late,
    "partial": lambda reply, _asked, _fault, _words: [replace(reply, data=reply.data[: len(reply.data) // 2])],
    "trickle": _trickle,
    "terminator": lambda reply, _asked, _fault, _words: [replace(reply, data=reply.data.rstrip(b"\r\n\x17") + b"\r")],
    "garbage": _in_words(lambda _words, reply, _asked: bytes(128 + (97 * k + len(reply.data)) % 120 for k in range(12)) + b"\x17\n"),
    "crc": _in_words(lambda words, reply, _asked: _said(words.crc, reply.data)),
    "glued": _in_words(lambda _words, reply, _asked: reply.data + reply.data),
    "nan": _in_words(lambda words, reply, _asked: words.numbers(reply.data, words.nan)),
    "overflow": _in_words(lambda words, reply, _asked: words.numbers(reply.data, b"9.90E+37")),
    "text": _in_words(lambda words, reply, _asked: words.numbers(reply.data, words.text)),
    "empty": _in_words(lambda words, _reply, _asked: words.empty),
    "nack": _in_words(lambda words, _reply, asked: _said(words.nack, asked)),
    "busy": _in_words(lambda words, _reply, asked: _said(words.busy, asked)),
    "error-queue": _in_words(lambda words, _reply, _asked: words.error),
    "unsolicited": lambda reply, asked, _fault, words: [Reply(_said(words.unsolicited, asked)), reply],
    "latency": _slow,
    "disconnect": lambda _reply, _asked, _fault, _words: [Reply(b"", close=True)],
    "disconnect-in-block": lambda reply, _asked, _fault, _words: [replace(reply, data=reply.data[: len(reply.data) // 2], close=True)],
    "identity": _in_words(lambda words, reply, _asked: _said(words.identity, reply.data)),
}
"""What each kind makes of a reply. Power cycles, and replies that wait for the next one, are the link's own."""


class Feed(Protocol):
    """Lines for one client, as `listeners.Feed`."""

    def due_ps(self) -> int:
        """Return the bench time of the next line."""
        ...

    def line(self) -> bytes:
        """Make the next line."""
        ...


class FaultyFeed:
    """A one-way stream whose lines meet the faults of its port. Delays are not kept: time moves with the lines."""

    def __init__(self, feed: Feed, line: Line) -> None:
        self._feed = feed
        self._line = line
        self._ended = False

    def due_ps(self) -> int:
        """Return the bench time of the next line."""
        return self._feed.due_ps()

    def line(self) -> bytes:
        """Return the next line, or what the faults leave of it; raises ConnectionAbortedError where they end the connection."""
        if self._ended:
            raise ConnectionAbortedError
        replies = [Reply(self._feed.line())]
        for fault in self._line.falling(b""):
            replies = [changed for one in replies for changed in EFFECTS[fault.kind](one, b"", fault, self._line.words)]
        self._ended = any(reply.close for reply in replies)
        return b"".join(reply.data for reply in replies)


class Outlet(Protocol):
    """Where the messages of a stream go."""

    def has_room(self) -> bool:
        """Say whether a message would be taken now."""
        ...

    def send(self, message: bytes) -> None:
        """Hand over one message."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class FaultyOutlet:
    """A stream of messages that meet the faults of its port. Delays are not kept; where a connection ends, no more comes."""

    def __init__(self, outlet: Outlet, line: Line) -> None:
        self._outlet = outlet
        self._line = line
        self._ended = False

    def has_room(self) -> bool:
        """Say whether a message would be taken now."""
        return self._ended or self._outlet.has_room()

    def send(self, message: bytes) -> None:
        """Hand over one message, or what the faults leave of it."""
        replies = [] if self._ended else [Reply(message)]
        for fault in self._line.falling(b""):
            replies = [changed for one in replies for changed in EFFECTS[fault.kind](one, b"", fault, self._line.words)]
        for reply in replies:
            self._outlet.send(reply.data)
            self._ended |= reply.close

    def close(self) -> None:
        """Stop listening."""
        self._outlet.close()


class Lines:
    """The ports of a bench by instrument and name, and the script that goes wrong on them.  drivers: by instrument."""

    def __init__(self, faults: Faults, drivers: Mapping[str, str], seeds: Seeds) -> None:
        self._faults = faults
        self._drivers = drivers
        self._seeds = seeds
        self._lines: dict[tuple[str, str], Line] = {}

    def line(self, instrument: str, port: str, device: object = None) -> Line:
        """Return a port's line, armed by the script when it is first asked for.  device: is restarted by a power cycle if it can be."""
        found = self._lines.get((instrument, port))
        if found is None:
            restart = getattr(device, "power_cycle", None)
            found = self._lines[instrument, port] = Line(instrument, words_of(self._drivers.get(instrument, ""), port), self._seeds, restart)
            for fault in self._faults.of_replies(instrument, port):
                found.add(fault)
        return found

    def mad(self, instrument: str) -> Device | None:
        """Return what stands in for an instrument that answers nothing but garbage from the start, whatever it is sent."""
        always = any(fault == Fault("garbage", instrument) for fault in self._faults.script)
        return Garbage(self._seeds.generator(f"garbage {instrument}")) if always else None

    def inject(self, fault: Fault) -> None:
        """Arm a fault of replies now; raises ConfigError for a port that does not exist."""
        if (fault.target, fault.port) not in self._lines:
            there = ", ".join(sorted(f"{name} {port}" for name, port in self._lines))
            raise ConfigError(f"no port {fault.port!r} of an instrument {fault.target!r}", where=f"fault {fault.kind}", remedy=f"There are {there}.")
        self._lines[fault.target, fault.port].add(fault)

    def check(self) -> None:
        """Raise ConfigError for a fault of the script whose port nobody opened."""
        for fault in self._faults.script:
            if fault.layer == "reply" and (fault.target, fault.port) not in self._lines:
                self.inject(fault)

    @property
    def struck(self) -> int:
        """Count how often the armed faults of replies struck."""
        return sum(armed.struck for line in self._lines.values() for armed in tuple(line.armed))

    def heal(self) -> None:
        """Disarm every fault of replies."""
        for line in self._lines.values():
            line.heal()
