"""Variable attenuators in decibels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from ..core.errors import BadReply, NotHomed, WrongIdentity
from .attenuator_adapter import AttenuatorAdapter
from .oz_optics import OzDD100, link
from .role_adapter import narrowed
from .roles import Identity, Scalar
from .station_models import InstrumentEntry


class OzAttenuator(AttenuatorAdapter):
    """A DD-100-MC as an `Attenuator`: the motor's position is its read-back. Safe: the highest attenuation, or the station's value."""

    TOLERANCE_DB = 0.05
    IF_STUCK = "Home the attenuator; is it stuck?"
    _driver: OzDD100
    _range: tuple[float, float] | None = None

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
    def _moving_s(self) -> float:
        return self._driver.moving_s

    def _send(self, attenuation_db: float) -> None:
        self._driver.attenuation_db = attenuation_db

    @property
    def measured_db(self) -> float:
        """Attenuation (dB) by the motor's position; raises NotHomed if the motor does not know it."""
        return float(self._driver.attenuation_db)

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

    def snapshot(self) -> dict[str, Scalar]:
        """Read attenuation, range and motor position."""
        low, high = self.range_db
        return {"attenuation_db": self.measured_db, "min_db": low, "max_db": high, "position": int(self._driver.position), "on_loss": self.on_loss}
