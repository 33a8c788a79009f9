"""From the safe state to light: attenuators at maximum and read back, then detector bias, then emission. Any refusal makes the bench safe again."""

from __future__ import annotations

from collections.abc import Iterable

from ...core.errors import ArmRefused
from ..attenuators import OzAttenuator
from ..lasers import BasikLaser
from ..photon_detectors import WebSQDetector
from ..role_adapter import RoleAdapter


def arm(instruments: Iterable[RoleAdapter]) -> None:
    """Switch bias and light on, with the values of the station's `operate` tables.

    Raises ArmRefused where the bench is not in a state for it; an InstrumentError of a device passes through. The caller makes the bench safe then.
    """
    present = list(instruments)
    for attenuator in (one for one in present if isinstance(one, OzAttenuator)):
        _close_attenuator(attenuator)
    for detector in (one for one in present if isinstance(one, WebSQDetector)):
        _bias(detector)
    for laser in (one for one in present if isinstance(one, BasikLaser)):
        _light(laser)


def _close_attenuator(attenuator: OzAttenuator) -> None:
    attenuator.attenuation_db = attenuator.range_db[1]
    if attenuator.measured_db < attenuator.range_db[1] - 0.1:
        raise ArmRefused(f"{attenuator.measured_db:.2f} dB reads back, not the maximum", where=attenuator.name, remedy="Home it; is it stuck?")


def _bias(detector: WebSQDetector) -> None:
    bias_a = detector.rules.operate.bias_a
    if bias_a is None:
        raise ArmRefused("the station names no bias for normal work", where=detector.name, remedy='Add operate = { bias = ".. uA" } to its rules.')
    detector.enabled = True
    for channel in detector.channels:
        detector.set_bias(channel, bias_a)


def _light(laser: BasikLaser) -> None:
    if laser.interlock_closed is False:
        raise ArmRefused("the interlock loop is open", where=laser.name, remedy="Close it, then arm again.")
    if laser.rules.operate.power_w is not None:
        laser.power_setpoint_w = laser.rules.operate.power_w
    laser.emission = True
