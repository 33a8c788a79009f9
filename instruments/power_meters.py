"""Power meters in SI units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from ..core.errors import DeviceFault, WrongIdentity
from .role_adapter import RoleAdapter
from .roles import Identity, Scalar
from .station_models import InstrumentEntry
from .thorlabs import ThorlabsPM100, pm100_link

TOLERANCE_M = 0.01e-9


class Pm100Meter(RoleAdapter):
    """A Thorlabs PM100 as a `PowerMeter`. It has no unsafe state."""

    safe_step = 6
    _driver: ThorlabsPM100
    _range: tuple[float, float] | None = None
    _wavelengths: tuple[float, float] | None = None

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Open the meter and ask for its sensor; raises Disconnected, Timeout, DeviceFault if it has none."""
        wire = configured.wire
        link = pm100_link(
            addresses["resource"],
            name=name,
            read_termination=wire.read_termination or "\n",
            write_termination=wire.write_termination or "\n",
            timeout_s=configured.rules.timeout_s,
        )
        try:
            driver = ThorlabsPM100(link, name)
        except BaseException:
            link.close()
            raise
        return cls(name, configured, driver, station=station)

    def identify(self) -> Identity:
        """Ask for the identity; raises WrongIdentity if it is no PM100."""
        found = Identity(*self._driver.identity())
        if not found.model.startswith("PM100"):
            raise WrongIdentity(f"{found.model!r} answers, a PM100 is expected", where=self.place, remedy="Check the address.")
        return found

    @property
    def power_w(self) -> float:
        """Power (W) now, for the wavelength set; raises BadReply above the range."""
        return self.reading(self._driver.power, "power")

    @property
    def range_w(self) -> tuple[float, float]:
        """Full scale (W) of the most and of the least sensitive range; read once."""
        if self._range is None:
            self._range = self.reading(self._driver.power_range_min, "lowest range"), self.reading(self._driver.power_range_max, "highest range")
        return self._range

    @property
    def wavelength_range_m(self) -> tuple[float, float]:
        """Shortest and longest wavelength (m) of the sensor; read once."""
        if self._wavelengths is None:
            shortest, longest = self._driver.wavelength_min, self._driver.wavelength_max
            self._wavelengths = self.reading(shortest, "shortest wavelength") * 1e-9, self.reading(longest, "longest wavelength") * 1e-9
        return self._wavelengths

    @property
    def wavelength_m(self) -> float:
        """Wavelength (m) for which the power is told."""
        return self.reading(self._driver.wavelength, "wavelength") * 1e-9

    @wavelength_m.setter
    def wavelength_m(self, wavelength_m: float) -> None:
        asked = self.within(wavelength_m, self.wavelength_range_m, "m", whose="limit of the sensor")
        self.noted("wavelength_m", asked)
        self._driver.wavelength = asked * 1e9
        found = self.wavelength_m
        self.noted("wavelength_m", asked, found)
        if abs(found - asked) > TOLERANCE_M:
            raise DeviceFault(f"{asked * 1e9:.3f} nm were asked for, {found * 1e9:.3f} nm read back", where=self.place, remedy="Check the sensor.")

    def snapshot(self) -> dict[str, Scalar]:
        """Read power, wavelength and sensor."""
        return {
            "power_w": self.power_w,
            "wavelength_m": self.wavelength_m,
            "sensor": str(self._driver.sensor_name),
            "sensor_serial": str(self._driver.sensor_sn),
        }

    def _make_safe(self) -> None:
        """Nothing: it only looks."""

    def is_safe(self) -> bool:
        """Return True: it only looks."""
        return True
