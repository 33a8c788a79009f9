"""Variable attenuators in decibels."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal, Self

from ..core.errors import BadReply, DeviceFault, NotHomed, WrongIdentity
from .oz_optics import OzDD100, link
from .role_adapter import RoleAdapter, narrowed
from .roles import Identity, Scalar
from .station_models import InstrumentEntry

TOLERANCE_DB = 0.05


class OzAttenuator(RoleAdapter):
    """A DD-100-MC as an `Attenuator`: the motor's position is its read-back. Safe: the highest attenuation, or the station's value."""

    safe_step = 2
    _driver: OzDD100
    _range: tuple[float, float] | None = None
    _asked_db: float | None = None

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Open the serial port; raises Disconnected."""
        return cls(name, configured, OzDD100(link(addresses["resource"], name=name, timeout_s=configured.rules.timeout_s), name), station=station)

    def identify(self) -> Identity:
        """Read the configuration, by which a DD-100-MC is known; raises WrongIdentity."""
        try:
            found = self._driver.configuration()
        except BadReply as error:
            raise WrongIdentity("no DD-100-MC answers", where=self.place, remedy="Check the address.") from error
        if not {"IL", "MAX ATTEN"} <= set(found):
            raise WrongIdentity("the configuration is not that of a DD-100-MC", where=self.place, remedy="Check the address.")
        return Identity("OZ Optics", "DD-100-MC", found.get("SN", ""), found.get("FW", ""))

    @property
    def range_db(self) -> tuple[float, float]:
        """Lowest and highest attenuation (dB) of the device, within the station's limits; read once."""
        if self._range is None:
            device = float(self._driver.insertion_loss_db), float(self._driver.max_attenuation_db)
            self._range = narrowed(device, self.rules.limits.attenuation_db)
        return self._range

    @property
    def attenuation_db(self) -> float:
        """Attenuation (dB) by the motor's position."""
        return self.measured_db

    @attenuation_db.setter
    def attenuation_db(self, attenuation_db: float) -> None:
        self.approach("attenuation_db", self.within(attenuation_db, self.range_db, "dB"), self._go, now=lambda: self.measured_db)

    def _go(self, asked: float) -> None:
        self._driver.attenuation_db = asked
        self._asked_db = asked
        deadline = time.monotonic() + self._driver.moving_s
        while not self.settled:
            if time.monotonic() > deadline:
                raise DeviceFault(
                    f"{asked:.2f} dB was asked for, {self.measured_db:.2f} dB is reached", where=self.place, remedy="Home the attenuator; is it stuck?"
                )
            time.sleep(0.02)

    @property
    def measured_db(self) -> float:
        """Attenuation (dB) by the motor's position; raises NotHomed if the motor does not know it."""
        return float(self._driver.attenuation_db)

    @property
    def settled(self) -> bool:
        """Whether the attenuation last asked for is reached."""
        return self._asked_db is None or abs(self.measured_db - self._asked_db) <= TOLERANCE_DB

    @property
    def homed(self) -> bool:
        """Whether the motor knows its position."""
        try:
            self.measured_db  # noqa: B018
        except NotHomed:
            return False
        return True

    def home(self) -> None:
        """Find the motor's zero, needed after power-up; up to 40 s. On the way it may be open: raises InterlockOpen where that would do harm."""
        self.arbiter.permit(self.name, "home", 0.0)
        self._driver.home()
        self.arbiter.parked(self.name)

    @property
    def on_loss(self) -> Literal["max", "hold", "open"]:
        """What the device does when power or connection is lost."""
        return self.rules.on_loss

    def snapshot(self) -> dict[str, Scalar]:
        """Read attenuation, range and motor position."""
        low, high = self.range_db
        return {"attenuation_db": self.measured_db, "min_db": low, "max_db": high, "position": int(self._driver.position), "on_loss": self.on_loss}

    @property
    def safe_db(self) -> float:
        """Attenuation (dB) of the safe state."""
        value = self.rules.safe.attenuation_db
        return self.range_db[1] if value == "max" else value

    def _make_safe(self) -> None:
        self._asked_db = self.safe_db
        self._driver.attenuation_db = self.safe_db

    def is_safe(self) -> bool:
        """Read back that the safe attenuation is reached."""
        return self.measured_db >= self.safe_db - TOLERANCE_DB
