"""The one place where a driver's name in the station file finds its code, ours or another package's. Nothing is imported before it is used.

Another package adds a driver by an entry point of the group `heliograph.instruments`: the driver's name, and an `Entry` that names its adapter class.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ..core import plugins
from ..core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .role_adapter import RoleAdapter
    from .station_models import InstrumentEntry


@dataclass(frozen=True, slots=True)
class Entry:
    """One driver.

    role: what the driver's adapter can do.  module, adapter: the adapter class; a module with a leading dot is one of this package.
    vendor, model: of the device, for people.  transport: how it is reached, such as `serial` or `TCP, SCPI`.
    """

    role: str
    module: str
    adapter: str
    vendor: str = ""
    model: str = ""
    transport: str = ""
    unit: str = ""
    """What drivers of one unit share; they may stand at the same address."""


DRIVERS: dict[str, Entry] = {
    "KoherasBasik": Entry("Laser", ".lasers", "BasikLaser", "NKT Photonics", "Koheras BASIK", "serial, Interbus"),
    "Keysight81160A": Entry("WaveformSource", ".waveform_sources", "KeysightSource", "Keysight", "81160A", "TCP, SCPI"),
    "OzDD100": Entry("Attenuator", ".attenuators", "OzAttenuator", "OZ Optics", "DD-100-MC", "serial, text"),
    "ThorlabsMBX": Entry("BiasController", ".bias_controllers", "MbxBias", "Thorlabs", "MBX", "serial, text", unit="MBX"),
    "ThorlabsMBXVoa": Entry("Attenuator", ".mbx_attenuators", "MbxVoa", "Thorlabs", "MBX", "serial, text", unit="MBX"),
    "ThorlabsPM100": Entry("PowerMeter", ".power_meters", "Pm100Meter", "Thorlabs", "PM100", "USBTMC, SCPI"),
    "Mpc320": Entry("PolarisationController", ".polarisation_controllers", "Mpc320Controller", "Thorlabs", "MPC320", "serial, APT"),
    "WebSQ": Entry("PhotonDetector", ".photon_detectors", "WebSQDetector", "Single Quantum", "WebSQ", "TCP, JSON"),
    "SFifteenSPD": Entry("PhotonDetector", ".avalanche_detectors", "SFifteenDetector", "S-Fifteen Instruments", "SPD", "serial, text"),
    "SFifteenTDC": Entry("TagSource", ".tdc_sources", "SFifteenSource", "S-Fifteen Instruments", "TDC1", "serial, text and binary"),
    "SwabianTagger": Entry("TagSource", ".swabian", "SwabianTagger", "Swabian Instruments", "Time Tagger", "vendor library"),
    "ID900": Entry("TagSource", ".tag_sources", "ID900Source", "ID Quantique", "ID900", "ZMQ, SCPI"),
}
"""The drivers that come with this package; `names` and `entry` know those of others too."""


def names() -> tuple[str, ...]:
    """Return the names of all drivers, those of other packages included."""
    return tuple(sorted({*DRIVERS, *plugins.offered(plugins.INSTRUMENTS)}))


def entry(driver: str, *, where: str = "") -> Entry:
    """Return the entry of a driver.

    Raises ConfigError for an unknown one, and names those there are; for one of another package that is broken or takes a name of ours, and names the package.
    """
    if driver in plugins.offered(plugins.INSTRUMENTS):
        return _foreign(driver)
    if driver not in DRIVERS:
        raise ConfigError(f"no driver is called {driver!r}", where=where, remedy=f"Known drivers: {', '.join(names())}.")
    return DRIVERS[driver]


def _foreign(driver: str) -> Entry:
    if driver in DRIVERS:
        raise plugins.broken(plugins.INSTRUMENTS, driver, "has the name of a driver that comes with Heliograph")
    found = plugins.load(plugins.INSTRUMENTS, driver)
    if not isinstance(found, Entry):
        raise plugins.broken(plugins.INSTRUMENTS, driver, f"is {found!r}, a heliograph.instruments.catalogue.Entry is needed")
    return found


def adapter_class(driver: str, *, where: str = "") -> type[RoleAdapter]:
    """Import and return the adapter class of a driver; raises ConfigError."""
    found = entry(driver, where=where)
    try:
        adapter: type[RoleAdapter] = getattr(import_module(found.module, __package__), found.adapter)
    except (ImportError, AttributeError) as error:
        if driver not in plugins.offered(plugins.INSTRUMENTS):
            raise
        raise plugins.broken(plugins.INSTRUMENTS, driver, f"names {found.module}:{found.adapter}, which cannot be imported ({error})") from error
    return adapter


def open_instrument(name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> RoleAdapter:
    """Open one instrument and return its role adapter.

    addresses: `resource` and, where the driver has them, `counts` or `datalink`.  station: name of the station file, for messages.
    Raises an InstrumentError if nothing answers.
    """
    return adapter_class(configured.wire.driver, where=name).open(name, configured, addresses, station=station)
