"""Lake Shore Model 224 temperature monitor: a driver out of PyMeasure's parts, behind a link with typed errors, and its role in a station."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pymeasure.instruments import Instrument, SCPIMixin
from pymeasure.instruments.lakeshore.lakeshore_base import LakeShoreTemperatureChannel

from heliograph.core.errors import WrongIdentity
from heliograph.instruments.links import VisaLink, identity_answer, told
from heliograph.instruments.role_adapter import RoleAdapter
from heliograph.instruments.roles import Identity, Scalar
from heliograph.instruments.station_models import InstrumentEntry

COLDEST_K, WARMEST_K = 1.0, 400.0


class LakeShore224(SCPIMixin, Instrument):
    """Lake Shore Model 224 with a sensor at input A. Over TCP it listens at port 7777; lines end in CR LF."""

    input_a = Instrument.ChannelCreator(LakeShoreTemperatureChannel, "A")

    def __init__(self, adapter: Any, name: str = "Lake Shore 224", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)


class LakeShoreThermometer(RoleAdapter):
    """A Model 224 as a thermometer. It only listens to its sensor, so it is always safe."""

    safe_step = 9
    _driver: LakeShore224

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Connect to the monitor; raises Disconnected."""
        link = VisaLink(
            addresses["resource"],
            name=name,
            line_end="\r\n",
            command_end="\r\n",
            timeout_s=1.0,
            probe="*IDN?",
            is_answer=identity_answer("MODEL224"),
        )
        return cls(name, configured, LakeShore224(link, name), station=station)

    def identify(self) -> Identity:
        """Ask the monitor who it is; raises WrongIdentity for anything else."""
        with told(self.place):
            parts = [part.strip() for part in self._driver.id.split(",")]
            if len(parts) != 4 or parts[1] != "MODEL224":
                raise WrongIdentity(f"{', '.join(parts)!r} answers, a Lake Shore Model 224 is expected", remedy="Check the address.")
            return Identity(*parts)

    @property
    def temperature_k(self) -> float:
        """Measure the temperature (K); raises BadReply for what the sensor cannot have, such as the 0 K of an input without one."""
        with told(self.place):
            return self.reading(self._driver.input_a.kelvin, "temperature", (COLDEST_K, WARMEST_K))

    def snapshot(self) -> dict[str, Scalar]:
        """Read the temperature, for the record of every run."""
        return {"temperature_k": self.temperature_k}

    def is_safe(self) -> bool:
        """Say that there is nothing to be made safe."""
        return True

    def _make_safe(self) -> None:
        """Do nothing."""
