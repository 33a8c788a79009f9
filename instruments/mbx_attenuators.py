"""The attenuator inside a Thorlabs MBX."""

from __future__ import annotations

from pymeasure.instruments.thorlabs.thorlabsmbxseries import VoaMode

from .attenuator_adapter import AttenuatorAdapter
from .mbx_units import MbxPart
from .role_adapter import narrowed
from .roles import Scalar
from .wire.mbx import HIGHEST_DB, LOWEST_DB


class MbxVoa(MbxPart, AttenuatorAdapter):
    """The attenuator of a Thorlabs MBX as an `Attenuator`, with a measured read-back. Safe: on, and at the highest attenuation.

    It reaches 20 dB only, so a station needs another attenuator beside it. Whether it passes or blocks light while it is off nobody promises, so it is kept on.
    """

    TOLERANCE_DB = 0.1
    IF_STUCK = "Is the attenuator stuck?"
    _moving_s = 5.0

    @property
    def range_db(self) -> tuple[float, float]:
        """Lowest and highest attenuation (dB) of the device, within the station's limits."""
        return narrowed((LOWEST_DB, HIGHEST_DB), self.rules.limits.attenuation_db)

    def _send(self, attenuation_db: float) -> None:
        voa = self._driver.voa
        voa.attenuation_setpoint = attenuation_db
        if voa.mode is not VoaMode.ATTENUATION:
            voa.mode = VoaMode.ATTENUATION
        if not voa.enabled:
            voa.enabled = True

    @property
    def measured_db(self) -> float:
        """Attenuation (dB) as measured."""
        return self.reading(self._driver.voa.attenuation, "attenuation", (0.0, 2.0 * HIGHEST_DB))

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

    def is_safe(self) -> bool:
        """Read back that the safe attenuation is reached and held."""
        voa = self._driver.voa
        return bool(voa.enabled) and voa.mode is VoaMode.ATTENUATION and super().is_safe()
