"""Lasers in SI units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from ..core.errors import DeviceFault, LimitError, WrongIdentity
from ..core.units import show
from .nkt import KoherasBasik, link
from .role_adapter import RoleAdapter, narrowed
from .roles import Identity, Scalar
from .station_models import InstrumentEntry
from .wire.interbus import BASIK_TYPE, SCALES, Register, Status

_STEP_W = 1e-3 / SCALES[Register.POWER_SET].per_unit

_FAULTS = {
    Status.INTERLOCK_OFF: "interlock open",
    Status.DISABLED: "disabled",
    Status.SUPPLY_LOW: "supply low",
    Status.TEMPERATURE: "temperature",
    Status.ERROR: "error",
}


class BasikLaser(RoleAdapter):
    """A Koheras BASIK as a `Laser`. Safe: emission off."""

    safe_step = 1
    _driver: KoherasBasik

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Open the serial port; raises Disconnected."""
        return cls(name, configured, KoherasBasik(link(addresses["resource"], name=name, timeout_s=configured.rules.timeout_s), name), station=station)

    def identify(self) -> Identity:
        """Ask for type and serial number; the model is the type in hexadecimal. Raises WrongIdentity if it is no BASIK."""
        kind = int(self._driver.module_type)
        if kind != BASIK_TYPE:
            raise WrongIdentity(f"a module of type 0x{kind:02X} answers, a BASIK is 0x{BASIK_TYPE:02X}", where=self.place, remedy="Check the address.")
        return Identity("NKT Photonics", f"0x{kind:02X}", self._driver.serial_number, "")

    @property
    def emission(self) -> bool:
        """Whether light is emitted, read from the device."""
        return bool(self._driver.emission)

    @emission.setter
    def emission(self, on: bool) -> None:
        self.approach("emission", bool(on), self._switch)

    def _switch(self, on: float) -> None:
        self._driver.emission = bool(on)
        if on and not self._driver.status & Status.EMISSION:
            told = ", ".join(self.faults) or "no fault is reported"
            raise DeviceFault(f"emission was asked for and does not come on ({told})", where=self.place, remedy="Check the interlock and the key switch.")

    @property
    def power_range_w(self) -> tuple[float, float]:
        """Lowest and highest power set-point (W)."""
        return narrowed((0.0, 0.65535), self.rules.limits.power_w)

    @property
    def power_setpoint_w(self) -> float:
        """Power set-point (W)."""
        return float(self._driver.power_setpoint_mw) * 1e-3

    @power_setpoint_w.setter
    def power_setpoint_w(self, power_w: float) -> None:
        wanted = self.within(power_w, self.power_range_w, "W")
        if 0.0 < wanted < _STEP_W * (1.0 - 1e-9):
            raise LimitError(
                f"{show(wanted, 'W')} asked, less than the laser's step of {show(_STEP_W, 'W')}, and would be no light at all",
                where=self.name,
                remedy="Nothing was sent. Ask for a step or more, and attenuate.",
            )
        self.approach("power_w", wanted, self._set_power, now=lambda: self.power_setpoint_w)

    def _set_power(self, power_w: float) -> None:
        self._driver.power_setpoint_mw = power_w * 1e3

    @property
    def power_w(self) -> float:
        """Output power (W), measured by the laser."""
        return float(self._driver.power_mw) * 1e-3

    @property
    def wavelength_m(self) -> float:
        """Wavelength in vacuum (m): the laser's centre plus its present offset."""
        return (float(self._driver.wavelength_nm) + float(self._driver.offset_pm) * 1e-3) * 1e-9

    @property
    def interlock_closed(self) -> bool | None:
        """Whether the interlock loop is closed."""
        return not self._driver.status & Status.INTERLOCK_OFF

    @property
    def temperature_degc(self) -> float:
        """Laser temperature (degC)."""
        return float(self._driver.temperature_degc)

    @property
    def faults(self) -> tuple[str, ...]:
        """Faults the laser reports, in words."""
        status = self._driver.status
        return tuple(word for bit, word in _FAULTS.items() if status & bit)

    def snapshot(self) -> dict[str, Scalar]:
        """Read emission, powers, wavelength, temperature and faults."""
        return {
            "emission": self.emission,
            "power_setpoint_w": self.power_setpoint_w,
            "power_w": self.power_w,
            "wavelength_m": self.wavelength_m,
            "temperature_degc": self.temperature_degc,
            "faults": ", ".join(self.faults),
        }

    def _make_safe(self) -> None:
        with self._driver.hurried():
            self._driver.emission = False

    def is_safe(self) -> bool:
        """Read back that emission is off, in the register and in the status."""
        with self._driver.hurried():
            return not self._driver.emission and not self._driver.status & Status.EMISSION
