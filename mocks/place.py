"""Where a simulated device is switched on: the world it stands in, the ports it may open, its randomness, and the bench's faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .devices.base import Device, Garbage
from .faults import Faults
from .listeners import HOST, Feed, Hub
from .randomness import Seeds
from .world import World

Resources = dict[str, str]
"""Addresses of one instrument: `resource`, and `counts` or `datalink` where it has them."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a builder gets.  world: the optical bench.  hub: its ports.  seeds: its randomness.  faults: what goes wrong on it.

    The four methods put a device of the given instrument name behind a real transport, through whatever the faults put before it.
    """

    world: World
    hub: Hub
    seeds: Seeds
    faults: Faults

    def serial(self, name: str, device: Device) -> str:
        """Put a device on a pseudo-terminal and return its VISA resource."""
        return self.hub.add_pty(self._met(name, device).link())

    def tcp(self, name: str, device: Device) -> int:
        """Put a device on a TCP port of this machine and return the port; every connection gets a link of its own."""
        return self.hub.add_tcp(self._met(name, device).link)

    def raw_socket(self, name: str, device: Device) -> str:
        """Put a device on a TCP port and return its VISA resource."""
        return f"TCPIP::{HOST}::{self.tcp(name, device)}::SOCKET"

    def feed(self, name: str, open_feed: Callable[[], Feed]) -> str:
        """Put a one-way stream of lines on a TCP port and return its address."""
        return f"tcp://{HOST}:{self.hub.add_feed(open_feed)}"

    def service(self, name: str, answer: Callable[[bytes], bytes]) -> str:
        """Put a request-reply service on a ZMQ port and return its address."""
        mad = self._mad(name)
        return f"tcp://{HOST}:{self.hub.add_service((lambda _message: mad.message()) if mad else answer)}"

    def _met(self, name: str, device: Device) -> Device:
        return self._mad(name) or device

    def _mad(self, name: str) -> Garbage | None:
        return Garbage(self.seeds.generator(f"garbage {name}")) if name in self.faults.garbage else None


Builder = Callable[[Place, str, Mapping[str, Any]], Resources]
"""Switches on the device of one instrument, given the place, the instrument's name and its plain entry in the station; returns its addresses."""
