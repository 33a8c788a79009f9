"""What the two instruments of a Thorlabs MBX share: one serial port, one driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from ..core.errors import WrongIdentity
from .role_adapter import RoleAdapter
from .roles import Identity, WireCount
from .shared import SharedUnits
from .station_models import InstrumentEntry
from .thorlabs import ThorlabsMBX, mbx_link

_UNITS: SharedUnits[ThorlabsMBX] = SharedUnits()


class MbxPart(RoleAdapter):
    """One instrument of an MBX: its bias controller or its attenuator. Both may stand in a station, at the same address."""

    _driver: ThorlabsMBX
    _address = ""
    _opened_it = True

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Open the serial port, or use that of the unit's other instrument; raises Disconnected."""
        address = addresses["resource"]
        driver, first = _UNITS.take(address, lambda: ThorlabsMBX(mbx_link(address, name=name, timeout_s=configured.rules.timeout_s), name))
        part = cls(name, configured, driver, station=station)
        part._address, part._opened_it = address, first
        return part

    def identify(self) -> Identity:
        """Ask for the identity; raises WrongIdentity if it is no MBX."""
        found = Identity(*self._driver.identity())
        if "MBX" not in found.model:
            raise WrongIdentity(f"{found.model!r} answers, an MBX is expected", where=self.place, remedy="Check the address.")
        return found

    @property
    def wire(self) -> WireCount:
        """Bytes exchanged so far; of two instruments in one unit the first tells those of both."""
        return super().wire if self._opened_it else WireCount(0, 0)

    def close(self) -> None:
        """Give the connection back; the unit's last instrument closes the port."""
        if self._address:
            _UNITS.give_back(self._address, lambda driver: driver.adapter.close())
            self._address = ""
