"""The one place where a driver's name in the station file finds its code. Nothing is imported before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ..core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .role_adapter import RoleAdapter
    from .station_models import InstrumentEntry


@dataclass(frozen=True, slots=True)
class Entry:
    """role: what the driver's adapter can do.  module, adapter: the adapter class, relative to this package."""

    role: str
    module: str
    adapter: str


DRIVERS: dict[str, Entry] = {
    "KoherasBasik": Entry("Laser", ".lasers", "BasikLaser"),
    "Keysight81160A": Entry("WaveformSource", ".waveform_sources", "KeysightSource"),
    "OzDD100": Entry("Attenuator", ".attenuators", "OzAttenuator"),
    "WebSQ": Entry("PhotonDetector", ".photon_detectors", "WebSQDetector"),
    "ID900": Entry("TagSource", ".tag_sources", "ID900Source"),
}


def entry(driver: str, *, where: str = "") -> Entry:
    """Return the entry of a driver; raises ConfigError for an unknown one and names those there are."""
    if driver not in DRIVERS:
        raise ConfigError(f"no driver is called {driver!r}", where=where, remedy=f"Known drivers: {', '.join(sorted(DRIVERS))}.")
    return DRIVERS[driver]


def open_instrument(name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> RoleAdapter:
    """Open one instrument and return its role adapter.

    addresses: `resource` and, where the driver has them, `counts` or `datalink`.  station: name of the station file, for messages.
    Raises an InstrumentError if nothing answers.
    """
    found = entry(configured.wire.driver, where=name)
    adapter: type[RoleAdapter] = getattr(import_module(found.module, __package__), found.adapter)
    return adapter.open(name, configured, addresses, station=station)
