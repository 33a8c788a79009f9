"""Where a simulated device is switched on: the world it stands in, the ports it may open, its randomness, and the bench's faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .devices.base import Device, Link, Reply
from .fault_links import FaultyFeed, FaultyLink, FaultyOutlet, Lines, Outlet
from .faults import Faults
from .listeners import HOST, Feed, Hub
from .randomness import Seeds
from .serial_lines import SerialLine
from .world import World

Resources = dict[str, str]
"""Addresses of one instrument: `resource`, and `counts` or `datalink` where it has them."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a builder gets.  world: the optical bench.  hub: its ports.  seeds: its randomness.  faults: what goes wrong.  lines: where it meets replies.

    The methods put a device of the given instrument name behind a real transport, through whatever the faults put before it.
    """

    world: World
    hub: Hub
    seeds: Seeds
    faults: Faults
    lines: Lines
    units: dict[str, tuple[object, Resources]] = field(default_factory=dict)
    """Units that are several instruments of the station, by their address there, with their addresses here."""

    def serial(self, name: str, device: Device, *, port: str = "resource") -> str:
        """Put a device on a pseudo-terminal and return its VISA resource.  port: what faults call it."""
        return self.stream_serial(name, device, port=port)[0]

    def stream_serial(self, name: str, device: Device, *, port: str = "resource") -> tuple[str, SerialLine]:
        """The same for a device that also streams; return the line too. What is streamed passes no faults."""
        return self.hub.add_stream_pty(self._opener(name, device, port)())

    def tcp(self, name: str, device: Device) -> int:
        """Put a device on a TCP port of this machine and return the port; every connection gets a link of its own."""
        return self.hub.add_tcp(self._opener(name, device))

    def raw_socket(self, name: str, device: Device) -> str:
        """Put a device on a TCP port and return its VISA resource."""
        return f"TCPIP::{HOST}::{self.tcp(name, device)}::SOCKET"

    def feed(self, name: str, open_feed: Callable[[], Feed], *, port: str = "counts") -> str:
        """Put a one-way stream of lines on a TCP port and return its address.  port: what faults call it."""
        line = self.lines.line(name, port)
        return f"tcp://{HOST}:{self.hub.add_feed(lambda: FaultyFeed(open_feed(), line))}"

    def service(self, name: str, answer: Callable[[bytes], bytes], *, device: object = None, port: str = "resource") -> str:
        """Put a request-reply service on a ZMQ port and return its address.

        device: what a power cycle restarts.  port: what faults call it.
        """
        line = self.lines.line(name, port, device)
        mad = self.lines.mad(name) if port == "resource" else None
        link: Link = mad.link() if mad else _Exchange(answer)
        return f"tcp://{HOST}:{self.hub.add_service(lambda: FaultyLink(link, line))}"

    def outlet(self, name: str, port: int) -> Outlet:
        """Bind a one-way ZMQ stream to a port of this machine; faults call it `stream`. Raises BenchError if the port is taken."""
        return FaultyOutlet(self.hub.open_pair(port), self.lines.line(name, "stream"))

    def _opener(self, name: str, device: Device, port: str = "resource") -> Callable[[], Link]:
        line = self.lines.line(name, port, device)
        met = self.lines.mad(name) or device
        return lambda: FaultyLink(met.link(), line)


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A service as a link: every message is a request and has one answer."""

    answer: Callable[[bytes], bytes]

    def feed(self, data: bytes) -> list[Reply]:
        return [Reply(self.answer(data))]


Builder = Callable[[Place, str, Mapping[str, Any]], Resources]
"""Switches on the device of one instrument, given the place, the instrument's name and its plain entry in the station; returns its addresses."""
