"""From the safe state to light: attenuators at maximum and read back, power meters dark, detector bias in small steps, then emission."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, cast

from ...core.errors import ArmRefused
from ...core.units import show
from ..role_adapter import RoleAdapter
from ..roles import Attenuator, Laser, PhotonDetector
from ..station_models import Operate
from . import ramp

TOLERANCE_DB = 0.1
DARK_W = 10e-9
"""Power (W) up to which a power meter is said to read dark; above the noise of usual sensors, and far below what any attenuator hides."""


class Meter(Protocol):
    """What is needed of a power meter."""

    @property
    def name(self) -> str:
        """Return the name in the station file."""
        ...

    @property
    def power_w(self) -> float:
        """Measure."""
        ...


def arm(instruments: Iterable[RoleAdapter]) -> None:
    """Switch bias and light on, with the values of the station's `operate` tables.

    Raises ArmRefused where the bench is not in a state for it; an InterlockError or InstrumentError passes through. The caller makes the bench safe then.
    """
    present = list(instruments)
    for one in present:
        if one.role == "Attenuator":
            _close_attenuator(cast(Attenuator, one))
    for one in present:
        if one.role == "PowerMeter":
            _see_dark(cast(Meter, one))
    for one in present:
        if one.role == "PhotonDetector":
            _bias(cast(PhotonDetector, one), one.operate_bias)
    for one in present:
        if one.role == "Laser":
            _light(cast(Laser, one), one.rules.operate)


def _close_attenuator(attenuator: Attenuator) -> None:
    highest_db = attenuator.range_db[1]
    attenuator.attenuation_db = highest_db
    measured_db = attenuator.measured_db
    if measured_db is None or measured_db < highest_db - TOLERANCE_DB:
        raise ArmRefused(f"{measured_db} dB reads back, not the maximum of {highest_db:.2f} dB", where=attenuator.name, remedy="Home it; is it stuck?")


def _see_dark(meter: Meter) -> None:
    power_w = meter.power_w
    if power_w > DARK_W:
        raise ArmRefused(f"{show(power_w, 'W')} are measured although everything is off", where=meter.name, remedy="Look for stray light; zero the meter.")


def _bias(detector: PhotonDetector, bias: float | None) -> None:
    if bias is None:
        raise ArmRefused("the station names no bias for normal work", where=detector.name, remedy='Add operate = { bias = ".. uA" } to its rules.')
    detector.enabled = True
    # All channels together, for each rests on every level.
    below = {channel: abs(detector.bias(channel)) for channel in detector.channels}
    for level in ramp.levels("bias", 0.0, bias):
        for channel in detector.channels:
            if below[channel] < abs(level):
                detector.set_bias(channel, level)


def _light(laser: Laser, operate: Operate) -> None:
    if laser.interlock_closed is False:
        raise ArmRefused("the interlock loop is open", where=laser.name, remedy="Close it, then arm again.")
    if operate.power_w is not None:
        laser.power_setpoint_w = operate.power_w
    laser.emission = True
