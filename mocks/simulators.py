"""The one place where a driver's name finds its simulated device. A device switches itself on at a place and says its addresses."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from ..core.errors import ConfigError
from .devices.awg81160a import Awg81160A
from .devices.basik import Basik
from .devices.dd100 import DD100
from .devices.id900 import Id900
from .devices.websq import WebSQ
from .listeners import HOST
from .place import Builder, Place, Resources


def _basik(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    return {"resource": place.serial(name, Basik(place.world, place.seeds.generator(f"requests {name}"), refuses=place.faults.laser_refuses))}


def _dd100(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    return {"resource": place.serial(name, DD100(place.world, name))}


def _awg81160a(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    return {"resource": place.raw_socket(name, Awg81160A(place.world, name))}


def _websq(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    device = WebSQ(place.world, frozenset({0}) if place.faults.detector_unplugged else frozenset())
    return {"resource": f"tcp://{HOST}:{place.tcp(name, device)}", "counts": place.feed(name, device.counts)}


def _id900(place: Place, name: str, entry: Mapping[str, Any]) -> Resources:
    signals = {channel: signal for signal, channel in entry["wire"]["channel_map"].items()}
    device = Id900(place.world, signals, overflow=place.faults.tagger_overflow)
    device.recorder.open_outlet = place.hub.open_pair
    place.hub.producers.append(device.recorder)
    resource = f"tcp://{HOST}:{_closed_port()}" if place.faults.tagger_port_closed else place.service(name, device.control)
    return {"resource": resource, "datalink": f"tcp://{HOST}:{place.hub.add_service(device.data_link)}"}


def _closed_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


SIMULATORS: dict[str, Builder] = {
    "KoherasBasik": _basik,
    "OzDD100": _dd100,
    "Keysight81160A": _awg81160a,
    "WebSQ": _websq,
    "ID900": _id900,
}
"""Who switches on the simulated device of a driver."""


def simulator(driver: str, *, where: str = "") -> Builder:
    """Return the builder for a driver; raises ConfigError for one without simulator and names those there are."""
    if driver not in SIMULATORS:
        remedy = f"Set simulated = false, or choose another driver: {', '.join(sorted(SIMULATORS))}."
        raise ConfigError(f"no simulator of {driver}", where=where, remedy=remedy)
    return SIMULATORS[driver]
