"""From the safe state to light: attenuators at maximum and read back, then detector bias, then emission."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from ...core.errors import ArmRefused
from ..role_adapter import RoleAdapter
from ..roles import Attenuator, Laser, PhotonDetector
from ..station_models import Operate

TOLERANCE_DB = 0.1


def arm(instruments: Iterable[RoleAdapter]) -> None:
    """Switch bias and light on, with the values of the station's `operate` tables.

    Raises ArmRefused where the bench is not in a state for it; an InstrumentError of a device passes through. The caller makes the bench safe then.
    """
    present = list(instruments)
    for one in present:
        if one.role == "Attenuator":
            _close_attenuator(cast(Attenuator, one))
    for one in present:
        if one.role == "PhotonDetector":
            _bias(cast(PhotonDetector, one), one.rules.operate)
    for one in present:
        if one.role == "Laser":
            _light(cast(Laser, one), one.rules.operate)


def _close_attenuator(attenuator: Attenuator) -> None:
    highest_db = attenuator.range_db[1]
    attenuator.attenuation_db = highest_db
    measured_db = attenuator.measured_db
    if measured_db is None or measured_db < highest_db - TOLERANCE_DB:
        raise ArmRefused(f"{measured_db} dB reads back, not the maximum of {highest_db:.2f} dB", where=attenuator.name, remedy="Home it; is it stuck?")


def _bias(detector: PhotonDetector, operate: Operate) -> None:
    if operate.bias_a is None:
        raise ArmRefused("the station names no bias for normal work", where=detector.name, remedy='Add operate = { bias = ".. uA" } to its rules.')
    detector.enabled = True
    for channel in detector.channels:
        detector.set_bias(channel, operate.bias_a)


def _light(laser: Laser, operate: Operate) -> None:
    if laser.interlock_closed is False:
        raise ArmRefused("the interlock loop is open", where=laser.name, remedy="Close it, then arm again.")
    if operate.power_w is not None:
        laser.power_setpoint_w = operate.power_w
    laser.emission = True
