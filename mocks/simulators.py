"""The one place where a driver's name finds its simulated device, ours or another package's.

Another package adds one by an entry point of the group `heliograph.mocks`: the driver's name, and a `Builder`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..core import plugins
from ..core.errors import ConfigError
from .devices.awg81160a import Awg81160A
from .devices.basik import Basik
from .devices.dd100 import DD100
from .devices.id900 import Id900
from .devices.mbx import Mbx
from .devices.mpc320 import Mpc320
from .devices.pm100 import Pm100
from .devices.sfifteen_spd import SfifteenSpd
from .devices.tdc1 import Tdc1
from .devices.websq import WebSQ
from .listeners import HOST
from .place import Builder, Place, Resources


def _basik(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    return {"resource": place.serial(name, Basik(place.world, place.seeds.generator(f"requests {name}"), refuses=place.faults.has("laser-refuses", name)))}


def _dd100(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    return {"resource": place.serial(name, DD100(place.world, name))}


def _mbx(place: Place, name: str, entry: Mapping[str, Any]) -> Resources:
    """Switch a unit on at its first instrument; its second is another name of the same. Faults meet it by the name of the first."""
    address = entry["wire"].get("resource") or name
    unit, resources = place.units.get(address, (None, {}))
    if isinstance(unit, Mbx):
        unit.serve(name, entry["wire"]["role"])
        return resources
    device = Mbx(place.world, place.seeds, name, entry["wire"]["role"])
    place.units[address] = device, {"resource": place.serial(name, device)}
    return place.units[address][1]


def _mpc320(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    return {"resource": place.serial(name, Mpc320(place.world, name))}


def _pm100(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    return {"resource": place.raw_socket(name, Pm100(place.world, name))}


def _awg81160a(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    return {"resource": place.raw_socket(name, Awg81160A(place.world, name))}


def _websq(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    device = WebSQ(place.world, frozenset({0}) if place.faults.detector_unplugged else frozenset())
    return {"resource": f"tcp://{HOST}:{place.tcp(name, device)}", "counts": place.feed(name, device.counts)}


def _spd(place: Place, name: str, entry: Mapping[str, Any]) -> Resources:
    """One unit, or two of which the second has an address of its own; faults meet both by the one name."""
    kinds = ("resource", "second") if entry["wire"].get("second") else ("resource",)
    channels = entry["wire"].get("channels") or (1, 2)
    in_beam = place.world.layout.in_beam == name
    return {kind: place.serial(name, SfifteenSpd(place.world, channel - 1, in_beam=in_beam), port=kind) for kind, channel in zip(kinds, channels, strict=False)}


def _tdc1(place: Place, name: str, entry: Mapping[str, Any]) -> Resources:
    for fault in ("tagger-overflow", "tagger-port-closed"):
        if place.faults.has(fault, name):
            raise ConfigError(f"a TDC1 has no way to show {fault}", where=name, remedy="Choose another fault for this instrument.")
    device = Tdc1(place.world, {channel: signal for signal, channel in entry["wire"]["channel_map"].items()})
    resource, device.outlet = place.stream_serial(name, device)
    place.hub.producers.append(device)
    return {"resource": resource}


def _id900(place: Place, name: str, entry: Mapping[str, Any]) -> Resources:
    signals = {channel: signal for signal, channel in entry["wire"]["channel_map"].items()}
    device = Id900(place.world, signals, overflow=place.faults.has("tagger-overflow", name))
    place.lines.line(name, "stream")
    device.recorder.open_outlet = partial(place.outlet, name)
    place.hub.producers.append(device.recorder)
    resource = f"tcp://{HOST}:{_closed_port()}" if place.faults.has("tagger-port-closed", name) else place.service(name, device.control, device=device)
    return {"resource": resource, "datalink": place.service(name, device.data_link, port="datalink")}


def _closed_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


SIMULATORS: dict[str, Builder] = {
    "KoherasBasik": _basik,
    "OzDD100": _dd100,
    "ThorlabsMBX": _mbx,
    "ThorlabsMBXVoa": _mbx,
    "ThorlabsPM100": _pm100,
    "Mpc320": _mpc320,
    "Keysight81160A": _awg81160a,
    "WebSQ": _websq,
    "ID900": _id900,
    "SFifteenSPD": _spd,
    "SFifteenTDC": _tdc1,
}
"""The simulators that come with this package; `names` and `simulator` know those of others too."""


def names() -> frozenset[str]:
    """Return the names of all drivers whose device can be simulated, those of other packages included."""
    return frozenset({*SIMULATORS, *plugins.offered(plugins.MOCKS)})


def simulator(driver: str, *, where: str = "") -> Builder:
    """Return the builder for a driver.

    Raises ConfigError for one without simulator, and names those there are; for one of another package that is broken or takes a name of ours.
    """
    if driver in plugins.offered(plugins.MOCKS):
        return _foreign(driver)
    if driver not in SIMULATORS:
        remedy = f"Set simulated = false, or choose another driver: {', '.join(sorted(names()))}."
        raise ConfigError(f"no simulator of {driver}", where=where, remedy=remedy)
    return SIMULATORS[driver]


def _foreign(driver: str) -> Builder:
    if driver in SIMULATORS:
        raise plugins.broken(plugins.MOCKS, driver, "has the name of a simulator that comes with Heliograph")
    found = plugins.load(plugins.MOCKS, driver)
    if not callable(found):
        raise plugins.broken(plugins.MOCKS, driver, f"is {found!r}, a function of place, name and entry is needed")
    builder: Builder = found
    return builder
