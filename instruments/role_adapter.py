"""What all role adapters share: conversion and checks around one driver, its identity, its safe state."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar, Self

from ..core import units
from ..core.errors import BadReply, InstrumentError, LimitError, WrongIdentity
from .roles import Identity, SafeReport, Scalar, WireCount
from .station_models import InstrumentEntry, Rules

Bounds = tuple[float, float]


class RoleAdapter:
    """One instrument as procedures see it: SI units, checked before anything is sent, read back afterwards.

    name: in the station file.  configured: its entry there.  driver: PyMeasure instrument.  station: name of the station file, for messages.
    """

    safe_step: ClassVar[int]
    """Place in the order in which a bench is made safe; smaller is earlier."""

    def __init__(self, name: str, configured: InstrumentEntry, driver: Any, *, station: str) -> None:
        self._name = name
        self._configured = configured
        self._driver = driver
        self._station = station

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Connect to the device at the addresses; raises an InstrumentError if that fails."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Return the name in the station file."""
        return self._name

    @property
    def role(self) -> str:
        """Return the role, such as `Laser`. Ask this instead of isinstance, which would read every property from the device."""
        return self._configured.wire.role

    @property
    def rules(self) -> Rules:
        """Return the station's rules for this instrument."""
        return self._configured.rules

    @property
    def simulated(self) -> bool:
        """Return what the station says; nothing here asks for it."""
        return self.rules.simulated

    @property
    def driver(self) -> Any:
        """Return the driver, in the device's own units."""
        return self._driver

    @property
    def wire(self) -> WireCount:
        """Return the bytes exchanged so far."""
        count: WireCount = self._driver.adapter.wire
        return count

    def identify(self) -> Identity:
        """Ask the device who it is."""
        raise NotImplementedError

    def snapshot(self) -> dict[str, Scalar]:
        """Read the settings that a record should hold."""
        raise NotImplementedError

    def check_identity(self) -> Identity:
        """Compare who answers with what the station expects; raises WrongIdentity."""
        found = self.identify()
        expected = self.rules.expect
        for field in ("vendor", "model", "serial"):
            wanted, got = getattr(expected, field), getattr(found, field)
            if wanted and wanted != got:
                raise WrongIdentity(f"{field} {got!r} answers, {wanted!r} is expected", where=self.place, remedy=f"Check the address in {self._station}.")
        return found

    @property
    def place(self) -> str:
        """Return instrument and address, for messages."""
        return str(getattr(self._driver.adapter, "where", self._name))

    def to_safe(self) -> SafeReport:
        """Make the device safe and read it back; a device that fails is reported, not raised."""
        try:
            self._make_safe()
            confirmed = self.is_safe()
        except InstrumentError as error:
            return SafeReport(self._name, "FAILED", str(error))
        return SafeReport(self._name, "CONFIRMED") if confirmed else SafeReport(self._name, "SENT", "not read back yet")

    def is_safe(self) -> bool:
        """Read back whether the device is in its safe state."""
        raise NotImplementedError

    def _make_safe(self) -> None:
        raise NotImplementedError

    @property
    def homed(self) -> bool:
        """Say whether the device knows its position; True for what has no motor."""
        return True

    def home(self) -> None:
        """Find the device's position; nothing for what has no motor."""

    def close(self) -> None:
        """Give the connection back."""
        self._driver.adapter.close()

    def within(self, value: Any, bounds: Bounds, unit: str, *, whose: str = "") -> float:
        """Return a value that lies in bounds; raises LimitError, before anything is sent, for others and for what is no finite number.

        whose: limit it is, for the message; the station's if it is not said.
        """
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise LimitError(f"{value!r} asked, a finite number of {unit} is needed", where=self._name, remedy="Nothing was sent.")
        number = float(value)
        if not bounds[0] <= number <= bounds[1]:
            low, high = (_shown(bound, unit) for bound in bounds)
            raise LimitError(
                f"{_shown(number, unit)} asked, range {low.removesuffix(' ' + unit)} to {high} ({whose or f'station limit in {self._station}'})",
                where=self._name,
                remedy="Nothing was sent.",
            )
        return number

    def reading(self, value: Any, what: str, bounds: Bounds = (-math.inf, math.inf)) -> float:
        """Return what a driver read as a number; raises BadReply for what is none, is not finite, or lies outside what the device can read."""
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or not bounds[0] <= value <= bounds[1]:
            raise BadReply(f"the {what} came as {value!r}", where=self.place, remedy="Check the device and its cable.")
        return float(value)


def _shown(value: float, unit: str) -> str:
    return f"{value:.2f} dB" if unit == "dB" else units.show(value, unit)


def narrowed(device: Bounds, station: Bounds | None) -> Bounds:
    """Return the range that both device and station allow."""
    return device if station is None else (max(device[0], station[0]), min(device[1], station[1]))
