"""The recorder of the ID900 and its data-link service: sub-acquisitions as messages on one stream a channel."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ...core.errors import BadReply, BenchError
from ...instruments.wire import id900 as wire
from ..optics.detectors import Times
from ..optics.tagging import Source, window
from ..world import World

_NOTHING = np.empty(0, np.int64)
OVERFLOW_SHARE = 0.1
"""Share of the first sub-acquisition whose stamps an overflowing buffer loses."""


class Outlet(Protocol):
    """Where the messages of one stream go."""

    def has_room(self) -> bool:
        """Say whether a message would be taken now; without a listener there is no room."""
        ...

    def send(self, message: bytes) -> None:
        """Hand over one message."""
        ...

    def close(self) -> None:
        """Stop listening; what was handed over still goes out."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """What a raw stream carries: a bench signal, and the delay set on its way (ps)."""

    signal: str
    delay_ps: int


@dataclass(slots=True)
class Stream:
    """One stream of the data link and its counters."""

    channel: int
    outlet: Outlet
    acquisitions: int = 0
    stamps: int = 0


@dataclass(slots=True)
class Recording:
    """One recording in progress.  start_ps: bench time of its begin.  left: sub-acquisitions still to come, None for ever.  index: of the next one."""

    sources: Mapping[str, Source]
    start_ps: int
    width_ps: int
    period_ps: int
    left: int | None
    index: int = 0


@dataclass(slots=True)
class Recorder:
    """Recorder and streams.

    route: raw channel -> what it carries.  overflow: the buffer runs over once in every recording.  lost: stamps lost so far by channel.
    open_outlet: port -> where a stream goes; set by whoever owns the sockets; raises BenchError if the port cannot be had.
    """

    world: World
    route: Callable[[int], Route | None]
    overflow: bool = False
    lost: dict[int, int] = field(default_factory=dict)
    open_outlet: Callable[[int], Outlet] | None = None
    _streams: dict[str, Stream] = field(default_factory=dict)
    _sending: set[int] = field(default_factory=set)
    _recording: Recording | None = None
    _number: int = 0

    @property
    def playing(self) -> bool:
        """Say whether a recording is in progress."""
        return self._recording is not None

    def send(self, channel: int, on: bool) -> None:
        """Let a channel's stamps onto its streams, or not."""
        (self._sending.add if on else self._sending.discard)(channel)

    def play(self, width_ps: int, period_ps: int, number: int | None) -> None:
        """Begin a recording at the next common frame trigger."""
        sources = self.world.start_recording()
        self._recording = Recording(sources, self.world.clock_ps, width_ps, period_ps, number)

    def stop(self) -> None:
        """End the recording; an unfinished sub-acquisition is dropped."""
        self._recording = None

    def active(self) -> list[Stream]:
        """Return the streams that take stamps now."""
        return [stream for stream in self._streams.values() if stream.channel in self._sending]

    def due_ps(self) -> int | None:
        """Return the bench time at which the next sub-acquisition is complete, or None if nobody records and listens."""
        recording = self._recording
        if recording is None or not self.active():
            return None
        return recording.start_ps + recording.index * recording.period_ps + recording.width_ps

    def has_room(self) -> bool:
        """Say whether every stream takes another message; bench time stands still otherwise."""
        return all(stream.outlet.has_room() for stream in self.active())

    def advance(self) -> None:
        """Record one sub-acquisition and send it, one message a stream; bench time moves on."""
        recording = self._recording
        if recording is None:
            return
        begin = recording.index * recording.period_ps
        for stream in self.active():
            stamps = self._stamps(recording, stream.channel, begin)
            stream.outlet.send(wire.encode_stamps(stamps))
            stream.acquisitions += 1
            stream.stamps += len(stamps)
        self.world.clock_ps = max(self.world.clock_ps, recording.start_ps + begin + recording.period_ps)
        recording.index += 1
        if recording.left is not None:
            recording.left -= 1
            if recording.left == 0:
                self._recording = None

    def _stamps(self, recording: Recording, channel: int, begin: int) -> Times:
        route = self.route(channel)
        if route is None:
            return _NOTHING
        delay = route.delay_ps + self.world.cable_ps(route.signal)
        stamps = window(recording.sources[route.signal], begin, begin + recording.width_ps, delay)
        if self.overflow and recording.index == 0 and route.signal != "sync":
            kept = int(np.searchsorted(stamps, round(recording.width_ps * (1.0 - OVERFLOW_SHARE))))
            self.lost[channel] = self.lost.get(channel, 0) + len(stamps) - kept
            stamps = stamps[:kept]
        return stamps

    def request(self, text: str) -> bytes:
        """Return the answer of the data-link service to one request."""
        handlers = {"start-stream": self._start, "status": self._status, "stop": self._end}
        try:
            verb, options = wire.parse_request(text.strip() or "nothing")
            if verb not in handlers:
                raise BadReply(f"unknown request {verb[:20]}")
            answer: dict[str, object] = handlers[verb](options)
        except (BadReply, BenchError) as error:
            answer = {"error": str(error)}
        except KeyError as error:
            answer = {"error": f"missing or unknown {error}"}
        return json.dumps(answer).encode()

    def _start(self, options: dict[str, str]) -> dict[str, object]:
        channel = wire.integer(options["channel"])
        port = wire.integer(options.get("stream-port", str(wire.DEFAULT_STREAM_PORT + channel)))
        if self.open_outlet is None:
            raise BenchError("the data link has no network")
        # A channel has one stream: a client that died left its own behind.
        for number in [number for number, stream in self._streams.items() if stream.channel == channel]:
            self._streams.pop(number).outlet.close()
        self._number += 1
        self._streams[str(self._number)] = Stream(channel, self.open_outlet(port))
        return {"id": str(self._number)}

    def _status(self, options: dict[str, str]) -> dict[str, object]:
        stream = self._streams[options["id"]]
        state = "running" if self.playing else "idle"
        return {"id": options["id"], "status": state, "acquisitions_count": stream.acquisitions, "timestamps_count": stream.stamps}

    def _end(self, options: dict[str, str]) -> dict[str, object]:
        self._streams.pop(options["id"]).outlet.close()
        return {"id": options["id"]}

    def close(self) -> None:
        """Stop recording and close every stream."""
        self.stop()
        for stream in self._streams.values():
            stream.outlet.close()
        self._streams.clear()
