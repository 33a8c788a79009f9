"""The attenuator inside a Thorlabs MBX."""

from __future__ import annotations

import time
from typing import Literal

from pymeasure.instruments.thorlabs.thorlabsmbxseries import VoaMode

from ..core.errors import DeviceFault
from .mbx_units import MbxPart
from .role_adapter import narrowed
from .roles import Scalar
from .wire.mbx import HIGHEST_DB, LOWEST_DB

TOLERANCE_DB = 0.1
SETTLING_S = 5.0


class MbxVoa(MbxPart):
    """The attenuator of a Thorlabs MBX as an `Attenuator`, with a measured read-back. Safe: on, and at the highest attenuation.

    It reaches 20 dB only, so a station needs another attenuator beside it. Whether it passes or blocks light while it is off nobody promises, so it is kept on.
    """

    safe_step = 2
    _asked_db: float | None = None

    @property
    def range_db(self) -> tuple[float, float]:
        """Lowest and highest attenuation (dB) of the device, within the station's limits."""
        return narrowed((LOWEST_DB, HIGHEST_DB), self.rules.limits.attenuation_db)

    @property
    def attenuation_db(self) -> float:
        """Attenuation (dB) as measured."""
        return self.measured_db

    @attenuation_db.setter
    def attenuation_db(self, attenuation_db: float) -> None:
        self.approach("attenuation_db", self.within(attenuation_db, self.range_db, "dB"), self._go, now=lambda: self.measured_db)

    def _go(self, asked: float) -> None:
        self._send(asked)
        deadline = time.monotonic() + SETTLING_S
        while not self.settled:
            if time.monotonic() > deadline:
                raise DeviceFault(f"{asked:.2f} dB was asked for, {self.measured_db:.2f} dB is reached", where=self.place, remedy="Is the attenuator stuck?")
            time.sleep(0.02)

    def _send(self, attenuation_db: float) -> None:
        voa = self._driver.voa
        self._asked_db = voa.attenuation_setpoint = attenuation_db
        if voa.mode is not VoaMode.ATTENUATION:
            voa.mode = VoaMode.ATTENUATION
        if not voa.enabled:
            voa.enabled = True

    @property
    def measured_db(self) -> float:
        """Attenuation (dB) as measured."""
        return self.reading(self._driver.voa.attenuation, "attenuation", (0.0, 2.0 * HIGHEST_DB))

    @property
    def settled(self) -> bool:
        """Whether the attenuation last asked for is reached."""
        return self._asked_db is None or abs(self.measured_db - self._asked_db) <= TOLERANCE_DB

    @property
    def on_loss(self) -> Literal["max", "hold", "open"]:
        """What the device does when power or connection is lost."""
        return self.rules.on_loss

    @property
    def tap_w(self) -> float:
        """Power behind the attenuator (W), by its own tap."""
        return self.reading(self._driver.voa.power, "power at the tap") * 1e-3

    def snapshot(self) -> dict[str, Scalar]:
        """Read attenuation, range, power at the tap and mode."""
        low, high = self.range_db
        return {
            "attenuation_db": self.measured_db,
            "min_db": low,
            "max_db": high,
            "tap_w": self.tap_w,
            "mode": self._driver.voa.mode.name,
            "enabled": bool(self._driver.voa.enabled),
            "on_loss": self.on_loss,
        }

    @property
    def safe_db(self) -> float:
        """Attenuation (dB) of the safe state."""
        value = self.rules.safe.attenuation_db
        return self.range_db[1] if value == "max" else value

    def _make_safe(self) -> None:
        self._send(self.safe_db)

    def is_safe(self) -> bool:
        """Read back that the safe attenuation is reached and held."""
        voa = self._driver.voa
        return bool(voa.enabled) and voa.mode is VoaMode.ATTENUATION and self.measured_db >= self.safe_db - TOLERANCE_DB
