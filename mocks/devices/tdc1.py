"""S-Fifteen TDC1 time-to-digital converter: text, and tags as binary words, on a serial line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...core.errors import BadReply
from ...instruments.wire import s_fifteen as text
from ...instruments.wire import tdc1 as wire
from ..optics.tagging import Source, window
from ..world import DETECTORS, PULSE_V, World
from .base import Link, Reply

PIECE_PS = 20_000_000_000
"""Bench time that passes with every piece of the stream; behind each comes a housekeeping word."""
_PAIRS = ((1, 3), (1, 4), (2, 3), (2, 4))


class Outlet(Protocol):
    """Where the stream goes."""

    def has_room(self) -> bool:
        """Say whether all that was sent has left."""
        ...

    def send(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def clear(self) -> None:
        """Give up what has not left yet."""
        ...


@dataclass(slots=True)
class Streaming:
    """A stream in progress.  start_ps: bench time of its begin.  end_ps: where it ends, counted from there, None for never.  done_ps: how far it is."""

    sources: Mapping[str, Source]
    start_ps: int
    end_ps: int | None
    done_ps: int = 0


class Tdc1:
    """The converter.

    inputs: which bench signal (`D1`, `D2`, `sync`, `frame`) stands at which input.  outlet: where the stream goes; set by whoever owns the line.
    A stream begins at the next common frame trigger.
    """

    outlet: Outlet | None = None

    def __init__(self, world: World, inputs: Mapping[int, str]) -> None:
        self._world = world
        self._inputs = {channel: name for channel, name in inputs.items() if channel in wire.INPUTS}
        self._stream: Streaming | None = None
        self.power_cycle()

    def power_cycle(self) -> None:
        """Switch the unit off and on."""
        self._abort()
        self._level_v, self._period_ms, self._clock, self._mode = -0.5, 1000, wire.CLOCK_AUTO, wire.SINGLES

    def link(self) -> Link:
        """Return a connection."""
        return _Line(self)

    def answer(self, command: str) -> list[Reply]:
        """Return the answer to one command; settings have none, nor has what the unit does not know."""
        word, _, argument = command.upper().partition(" ")
        if word.endswith("?"):
            said = self._ask(word)
            return [] if said is None else [Reply(f"{said}{text.LINE_END}".encode())]
        try:
            self._set(word, argument)
        except BadReply:
            return []
        return []

    def _ask(self, word: str) -> str | None:
        match word:
            case "*IDN?":
                return f"{text.VENDOR},TDC1,TDC-2611,2.0"
            case "LEVEL?":
                return f"{self._level_v:g} V"
            case "TIME?":
                # The device tells an unsigned number as a signed one.
                return str(self._period_ms - 65_536 if self._period_ms > 32_767 else self._period_ms)
            case "REFCLK?":
                return str(self._clock)
            case "MODE?":
                return str(self._mode)
            case "COUNTS?" if self._mode == wire.TIMESTAMP:
                self._begin()
            case "COUNTS?":
                return " ".join(str(n) for n in self._count())
        return None

    def _set(self, word: str, argument: str) -> None:
        match word:
            case "NEG" | "POS":
                self._level_v = (-1.0 if word == "NEG" else 1.0) * abs(text.number(argument))
            case "TIME":
                self._period_ms = max(0, min(wire.MAX_TIME_MS, int(text.number(argument))))
            case "REFCLK" if argument in ("0", "1", "2"):
                self._clock = int(argument)
            case "SINGLES" | "PAIRS" | "TIMESTAMP":
                self._mode = {"SINGLES": wire.SINGLES, "PAIRS": wire.PAIRS, "TIMESTAMP": wire.TIMESTAMP}[word]
            case "ABORT":
                self._abort()

    def _triggers(self) -> bool:
        """Say whether pulses cross the threshold; they are bipolar, so that either edge finds them."""
        return 0.0 < abs(self._level_v) < PULSE_V

    def _count(self) -> list[int]:
        """Count for the integration time; bench time moves on by it."""
        period_s = max(1, self._period_ms) * 1e-3
        found = dict(zip(DETECTORS, self._world.counts(self._world.next_epoch("counts"), 0, period_s), strict=True))
        layout = self._world.layout
        found["sync"] = round(layout.rep_rate_hz / layout.sync_divider * period_s)
        found["frame"] = round(layout.rep_rate_hz / layout.slots * period_s)
        counts = [found.get(self._inputs.get(channel, ""), 0) if self._triggers() else 0 for channel in wire.INPUTS]
        if self._mode != wire.PAIRS:
            return counts
        # Within one time step of 2 ns two inputs coincide by chance alone.
        return counts + [round(counts[a - 1] * counts[b - 1] * wire.TICK_PS * 1e-12 / period_s) for a, b in _PAIRS]

    def _begin(self) -> None:
        self._abort()
        sources = self._world.start_recording()
        self._stream = Streaming(sources, self._world.clock_ps, self._period_ms * 10**9 or None)

    def _abort(self) -> None:
        self._stream = None
        if self.outlet is not None:
            self.outlet.clear()

    def due_ps(self) -> int | None:
        """Return the bench time at which the next piece is complete, or None while nothing is streamed."""
        stream = self._stream
        return None if stream is None or self.outlet is None else stream.start_ps + self._until(stream)

    def has_room(self) -> bool:
        """Say whether the line took all that came before; bench time stands still otherwise."""
        return self.outlet is None or self.outlet.has_room()

    def advance(self) -> None:
        """Record one piece and send it; bench time moves on."""
        stream = self._stream
        if stream is None or self.outlet is None:
            return
        begin, end = stream.done_ps, self._until(stream)
        self.outlet.send(self._words(stream, begin, end))
        stream.done_ps = end
        self._world.clock_ps = max(self._world.clock_ps, stream.start_ps + end)
        if end == stream.end_ps:
            self._stream = None

    @staticmethod
    def _until(stream: Streaming) -> int:
        end = stream.done_ps + PIECE_PS
        return end if stream.end_ps is None else min(end, stream.end_ps)

    def _words(self, stream: Streaming, begin: int, end: int) -> bytes:
        """Return the words of a piece: tags of one step of 2 ns are one word, and the last one is housekeeping."""
        ticks, bits = [], []
        for channel, name in self._inputs.items():
            if self._triggers():
                times = begin + window(stream.sources[name], begin, end, self._world.cable_ps(name))
                ticks.append(times // wire.TICK_PS)
                bits.append(np.full(times.size, 1 << (channel - 1)))
        every = np.concatenate([*ticks, np.empty(0, np.int64)])
        steps, place = np.unique(every, return_inverse=True)
        inputs = np.zeros(steps.size, np.int64)
        np.bitwise_or.at(inputs, place, np.concatenate([*bits, np.empty(0, np.int64)]).astype(np.int64))
        return wire.encode_words(np.append(steps, end // wire.TICK_PS), np.append(inputs, wire.HOUSEKEEPING))


class _Line:
    def __init__(self, unit: Tdc1) -> None:
        self._unit = unit
        self._commands = text.CommandReader()

    def feed(self, data: bytes) -> list[Reply]:
        return [reply for command in self._commands.feed(data) for reply in self._unit.answer(command)]
