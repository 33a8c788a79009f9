"""A stand-in for the vendor's library of Swabian Time Taggers, whose tags come from the one optical world.

It has the vendor's names for what the adapter may use and nothing else, refuses what the library would refuse, and keeps every call. A test puts it in the
place of the module: `monkeypatch.setitem(sys.modules, "TimeTagger", TimeTaggerModule(world, {1: "D1", 2: "D2", 3: "sync"}))`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .optics.tagging import Source, window
from .world import PULSE_V, World

START_PS = 3_600_123_456_789
"""Time since the device was switched on at which the first stream begins."""
BLOCK_PS = 20_000_000_000
"""Bench time that passes with every look at a stream."""
LATE_PS = 30_000_000
"""A stream begins so long after the frame trigger."""
TEST_SIGNAL_PS = 1_200_000
TAG, ERROR, OVERFLOW_BEGIN, OVERFLOW_END, MISSED = range(5)
_MOST_MISSED = 65_535

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong in a stream, from and to a time (ps) after its begin: an overflow, tags missed, or an error (at the end)."""

    begin_ps: int
    end_ps: int
    kind: int = OVERFLOW_BEGIN


@dataclass(slots=True)
class Line:
    """Settings of one input."""

    level_v: float = 0.5
    test: bool = False
    delays_ps: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Buffer:
    """What `getData` returns."""

    times: Ints
    channels: Ints
    types: Ints
    missed: Ints

    def getTimestamps(self) -> Ints:  # noqa: N802
        """Return times (ps)."""
        return self.times

    def getChannels(self) -> Ints:  # noqa: N802
        """Return channel numbers."""
        return self.channels.astype(np.int32)

    def getEventTypes(self) -> Ints:  # noqa: N802
        """Return what each entry is."""
        return self.types.astype(np.uint8)

    def getMissedEvents(self) -> Ints:  # noqa: N802
        """Return how many tags were missed, at entries that say so."""
        return self.missed.astype(np.uint16)


class TimeTaggerModule(ModuleType):
    """The library.

    world: where light comes from.  inputs: which bench signal stands at which input.  calls: name and arguments of every call so far.
    troubles: of every stream.  lost: tags that they cost so far.
    """

    def __init__(self, world: World, inputs: Mapping[int, str], *, serial: str = "2611", troubles: Sequence[Trouble] = ()) -> None:
        super().__init__("TimeTagger")
        self.world, self.inputs, self.serial, self.troubles = world, dict(inputs), serial, tuple(troubles)
        self.calls: list[tuple[Any, ...]] = []
        self.lost = 0
        self.taken: Tagger | None = None

    def createTimeTagger(self, serial: str = "") -> Tagger:  # noqa: N802
        """Open the one device there is; RuntimeError if it is another's or in use."""
        return self._create("createTimeTagger", serial, serial in ("", self.serial))

    def createTimeTaggerNetwork(self, address: str = "localhost:41101") -> Tagger:  # noqa: N802
        """Open the device behind a server."""
        return self._create("createTimeTaggerNetwork", address, ":" in address)

    def _create(self, call: str, argument: str, there: bool) -> Tagger:
        self.calls.append((call, argument))
        if not there or self.taken is not None:
            raise RuntimeError(f"no Time Tagger {argument!r} can be opened")
        self.taken = Tagger(self)
        return self.taken

    def freeTimeTagger(self, tagger: Tagger) -> None:  # noqa: N802
        """Close a device."""
        self.calls.append(("freeTimeTagger",))
        tagger.check()
        self.taken = None

    def TimeTagStream(self, tagger: Tagger, n_max_events: int, channels: Sequence[int]) -> Stream:  # noqa: N802
        """Open a stream; it runs at once."""
        self.calls.append(("TimeTagStream", n_max_events, tuple(channels)))
        tagger.check(*channels)
        return Stream(tagger, n_max_events, channels)


class Tagger:
    """One open device."""

    def __init__(self, module: TimeTaggerModule) -> None:
        self.module = module
        self.lines = {number: Line() for number in range(1, 9)}

    def check(self, *channels: int) -> None:
        """Raise RuntimeError after the device was freed, ValueError for an input it does not have."""
        if self.module.taken is not self:
            raise RuntimeError("the Time Tagger was freed")
        if bad := [number for number in channels if abs(number) not in self.lines]:
            raise ValueError(f"channel {bad[0]} is not available")

    def _called(self, name: str, *arguments: Any) -> None:
        self.module.calls.append((name, *arguments))
        self.check(*arguments[:1] if name not in ("setStreamBlockSize", "setConditionalFilter") else ())

    def setStreamBlockSize(self, max_events: int, max_latency: int) -> None:  # noqa: N802
        """Set after how many tags, or ms, they are handed over."""
        self._called("setStreamBlockSize", max_events, max_latency)
        if max_events < 256 or max_latency < 1:
            raise ValueError("block size out of range")

    def setConditionalFilter(self, trigger: Sequence[int], filtered: Sequence[int]) -> None:  # noqa: N802
        """Let tags of some channels pass only behind those of others."""
        self._called("setConditionalFilter", tuple(trigger), tuple(filtered))
        self.check(*trigger, *filtered)

    def setTestSignal(self, channel: int, enabled: bool) -> None:  # noqa: N802
        """Switch the test signal of an input."""
        self._called("setTestSignal", channel, enabled)
        self.lines[channel].test = enabled

    def setTriggerLevel(self, channel: int, voltage: float) -> None:  # noqa: N802
        """Set the threshold of an input."""
        self._called("setTriggerLevel", channel, voltage)
        self.lines[abs(channel)].level_v = voltage

    def setInputDelay(self, channel: int, delay: int) -> None:  # noqa: N802
        """Set the delay of one edge of an input."""
        self._called("setInputDelay", channel, delay)
        self.lines[abs(channel)].delays_ps[channel] = delay

    def setDeadtime(self, channel: int, deadtime: int) -> int:  # noqa: N802
        """Set the dead time of an input; returns what it became."""
        self._called("setDeadtime", channel, deadtime)
        return max(2000, deadtime)


class Stream:
    """One stream."""

    def __init__(self, tagger: Tagger, n_max_events: int, channels: Sequence[int]) -> None:
        self._tagger, self._most, self._channels = tagger, n_max_events, tuple(channels)
        world = tagger.module.world
        self._sources: Mapping[str, Source] = world.start_recording()
        self._bench_ps, self._done_ps = world.clock_ps, 0

    def getData(self) -> Buffer:  # noqa: N802
        """Return what came since the last look; bench time moves on by a block."""
        self._tagger.check()
        module = self._tagger.module
        begin, self._done_ps = self._done_ps, self._done_ps + BLOCK_PS
        found = [self._events(number, begin, self._done_ps) for number in self._channels]
        module.world.clock_ps = max(module.world.clock_ps, self._bench_ps + self._done_ps)
        times = np.concatenate([np.empty(0, np.int64), *found])
        numbers = np.repeat(np.array(self._channels, np.int64), [one.size for one in found])
        rows = np.stack([times, numbers, np.full(times.size, TAG), np.zeros(times.size, np.int64)])
        rows = self._troubled(rows[:, times >= LATE_PS], begin, self._done_ps)
        rows = rows[:, np.lexsort((rows[2] != OVERFLOW_BEGIN, rows[0]))][:, : self._most]
        return Buffer(rows[0] + START_PS, rows[1], rows[2], rows[3])

    def _events(self, number: int, begin: int, end: int) -> Ints:
        line, name = self._tagger.lines[abs(number)], self._tagger.module.inputs.get(abs(number))
        if line.test:
            return np.arange(-(-begin // TEST_SIGNAL_PS), -(-end // TEST_SIGNAL_PS), dtype=np.int64) * TEST_SIGNAL_PS
        if name is None:
            return np.empty(0, np.int64)
        delay = line.delays_ps.get(number, 0) + self._tagger.module.world.cable_ps(name)
        times = begin + window(self._sources[name], begin, end, delay)
        # Pulses are bipolar, so that either edge finds them.
        return times if 0.0 < abs(line.level_v) < PULSE_V else np.empty(0, np.int64)

    def _troubled(self, rows: Ints, begin: int, end: int) -> Ints:
        """Take out the tags that troubles cost, and put in what the device says about them."""
        module = self._tagger.module
        for trouble in module.troubles:
            inside = (rows[0] >= trouble.begin_ps) & (rows[0] < trouble.end_ps)
            said = []
            if trouble.kind == ERROR:
                inside &= False
                said = [(trouble.end_ps, 0, ERROR, 0)]
            else:
                last = min(trouble.end_ps, end) - 1
                for number, lost in zip(*np.unique(rows[1][inside], return_counts=True), strict=True):
                    counts = [_MOST_MISSED] * (int(lost) // _MOST_MISSED) + [int(lost) % _MOST_MISSED]
                    said += [(last, int(number), MISSED, count) for count in counts if count]
                if trouble.kind == OVERFLOW_BEGIN:
                    said += [(trouble.begin_ps, 0, OVERFLOW_BEGIN, 0), (trouble.end_ps, 0, OVERFLOW_END, 0)]
            module.lost += int(inside.sum())
            told = np.array([row for row in said if begin <= row[0] < end], np.int64).reshape(-1, 4).T
            rows = np.concatenate([rows[:, ~inside], told], axis=1)
        return rows
