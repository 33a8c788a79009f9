"""What the arbiter reads of each instrument, and what it takes for granted of one that does not answer: the worst."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ...core.errors import BadReply, NotHomed
from .interlocks import AttenuatorNow, DetectorNow, LaserNow, Reading, SourceNow

if TYPE_CHECKING:
    from ..role_adapter import RoleAdapter
    from ..roles import Attenuator, Laser, PhotonDetector, SafeReport, WaveformSource
    from ..station import Station

_TOLERANCE = {"A": 0.05e-6, "V": 0.5}
"""How far a bias that is read back may lie from the parked one, by unit."""
_LONGEST_M = 1.7e-6
"""Wavelength taken for a laser that does not tell its own: longer ones carry more photons in a watt, and fibre carries none beyond."""
_MEANING = {
    "Laser": "the laser does not answer",
    "Attenuator": "an attenuator that does not answer counts as open",
    "WaveformSource": "a modulator that is not driven counts as open",
    "BiasController": "a modulator without its bias counts as open",
    "PhotonDetector": "the detectors do not answer, and count as biased",
}


def guarded(station: Station, adapter: RoleAdapter) -> bool:
    """Say whether light or bias depend on an instrument: the waveform sources do whose outputs drive an intensity modulator."""
    if adapter.role == "WaveformSource":
        return bool(_outputs(station, adapter.name))
    return adapter.role in _MEANING


def endangers(station: Station, adapter: RoleAdapter, report: SafeReport) -> bool:
    """Say whether nothing may be armed after a report before a reset; an attenuator may be on its way still, for arming waits for it."""
    if adapter.role == "Laser":
        return report.state != "CONFIRMED"
    return report.state == "FAILED" and guarded(station, adapter)


def _outputs(station: Station, name: str) -> list[int]:
    modulators = (one for one in station.optics.modulators.values() if one.kind == "IntensityModulator")
    return [one.channel for one in modulators if one.instrument == name]


def meaning(role: str) -> str:
    """Return what it means that an instrument of a role does not answer."""
    return _MEANING[role]


def read(station: Station, adapter: RoleAdapter, wavelength_m: float | None = None) -> Reading:
    """Read what matters of an instrument; raises an InstrumentError if it does not tell.

    wavelength_m: of a laser, if it was read before; it changes by far less than matters here.
    """
    match adapter.role:
        case "Laser":
            laser = cast("Laser", adapter)
            power_w = max(laser.power_setpoint_w, laser.power_w)
            return LaserNow(bool(laser.emission), power_w, wavelength_m or laser.wavelength_m, laser.interlock_closed)
        case "Attenuator":
            return _attenuator(cast("Attenuator", adapter))
        case "PhotonDetector":
            detector = cast("PhotonDetector", adapter)
            return DetectorNow({ch: detector.bias(ch) for ch in detector.channels}, adapter.parked_bias, detector.enabled, _TOLERANCE[detector.bias_unit])
        case "WaveformSource":
            source = cast("WaveformSource", adapter)
            return SourceNow({ch: source.output_is_on(ch) for ch in _outputs(station, adapter.name)})
    adapter.identify()
    return SourceNow({})


def _attenuator(attenuator: Attenuator) -> AttenuatorNow:
    try:
        return AttenuatorNow(attenuator.measured_db)
    except (NotHomed, BadReply):
        # It answers, and does not know where it stands.
        return AttenuatorNow(None)


def worst(adapter: RoleAdapter) -> Reading:
    """Return what is taken for granted of an instrument that does not answer: a laser shines at its limit, an attenuator is open, detectors are biased."""
    if adapter.role == "Laser":
        return LaserNow(True, cast("Laser", adapter).power_range_w[1], _LONGEST_M)
    if adapter.role == "Attenuator":
        return AttenuatorNow(None)
    if adapter.role == "PhotonDetector":
        return DetectorNow({0: float("inf")}, adapter.parked_bias)
    return SourceNow({})
