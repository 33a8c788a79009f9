"""The rule that keeps light from biased detectors: pure functions of what was read back.

Biased detectors may see light only behind a verified attenuation of 10 log10(P lambda eta / (h c R_max)). Verified is what a motor or a tap reads back, and a
fixed loss whose date is valid; a set-point never is. Modulators count as open, for their bias can drift, and so does an attenuator that does not answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from math import inf, log10
from typing import TYPE_CHECKING

from ...core.physics import LIGHT_SPEED, PLANCK
from ...core.units import show

if TYPE_CHECKING:
    from ..station import Station

_ROUNDING_DB = 1e-9


@dataclass(frozen=True, slots=True)
class LaserNow:
    """What a laser does.  power_w: the larger of what is set and what is measured.  closed: its interlock loop, None where it has none."""

    emission: bool
    power_w: float
    wavelength_m: float
    closed: bool | None = None

    @property
    def emitted_w(self) -> float:
        """Return the power that leaves it."""
        return self.power_w if self.emission else 0.0


@dataclass(frozen=True, slots=True)
class AttenuatorNow:
    """What an attenuator does.  measured_db: by its motor or tap; None where nobody knows, which counts as open."""

    measured_db: float | None


@dataclass(frozen=True, slots=True)
class DetectorNow:
    """What detectors do.  biases: by channel, in the device's unit.  parked: bias of the safe state.  tolerance: of a bias that is read back."""

    biases: Mapping[int, float]
    parked: float
    enabled: bool = True
    tolerance: float = 0.0

    @property
    def biased(self) -> bool:
        """Say whether light could harm them: a bias above the parked one counts, switched on or not, for the switch is in the device's hands."""
        return any(abs(bias) > abs(self.parked) + self.tolerance for bias in self.biases.values())


@dataclass(frozen=True, slots=True)
class SourceNow:
    """What a waveform source or bias controller of a modulator does.  on: outputs by number."""

    on: Mapping[int, bool]


Reading = LaserNow | AttenuatorNow | DetectorNow | SourceNow
Readings = Mapping[str, Reading]


def needed_db(power_w: float, wavelength_m: float, efficiency: float, rate_hz: float) -> float:
    """Return the attenuation (dB) behind which light of a power gives no more than a rate of detected photons."""
    photons_hz = power_w * wavelength_m * efficiency / (PLANCK * LIGHT_SPEED)
    return 10.0 * log10(photons_hz / rate_hz) if photons_hz > 0.0 else -inf


@dataclass(frozen=True, slots=True)
class Verified:
    """Attenuation (dB) on the way to the detectors that is verified, and of what it consists."""

    total_db: float
    parts: str


def is_lit(now: Readings) -> bool:
    """Say whether any laser emits."""
    return any(one.emission for one in now.values() if isinstance(one, LaserNow))


def is_biased(now: Readings) -> bool:
    """Say whether any detector is biased."""
    return any(one.biased for one in now.values() if isinstance(one, DetectorNow))


def verified(station: Station, now: Readings, today: date) -> Verified:
    """Return what is verified: the attenuators and the fixed loss of the line, and of the users' arms the one that attenuates least."""
    optics, parts = station.optics, dict[str, float]()
    for name in optics.line:
        if isinstance(one := now.get(name), AttenuatorNow):
            parts[name] = one.measured_db or 0.0
    fixed = optics.att_fixed
    if "att_fixed" in optics.line and fixed.verified <= today <= fixed.verified + timedelta(days=fixed.valid_days):
        parts["att_fixed"] = fixed.loss_db
    if optics.users:
        arms = {user.voa: one.measured_db or 0.0 for user in optics.users.values() if isinstance(one := now.get(user.voa), AttenuatorNow)}
        clearest = min(arms, key=lambda name: arms[name]) if len(arms) == len(optics.users) else ""
        if clearest:
            parts[clearest] = arms[clearest]
    return Verified(sum(parts.values()), ", ".join(f"{name} {loss_db:.2f} dB" for name, loss_db in parts.items()) or "nothing")


@dataclass(frozen=True, slots=True)
class Balance:
    """Light on detectors: what of it is needed and what is there.  power_w: of all lasers.  rate_hz: that the weakest detector endures."""

    power_w: float
    rate_hz: float
    need_db: float
    have: Verified

    @property
    def holds(self) -> bool:
        """Say whether there is enough attenuation."""
        return self.have.total_db >= self.need_db - _ROUNDING_DB

    def __str__(self) -> str:
        if self.power_w <= 0.0:
            return f"no light is asked for (0 W); {self.have.total_db:.2f} dB of attenuation are verified ({self.have.parts})"
        needs = f"{show(self.power_w, 'W')} on biased detectors need {self.need_db:.2f} dB of verified attenuation for {show(self.rate_hz, 'Hz')}"
        return f"{needs}, there are {self.have.total_db:.2f} dB ({self.have.parts})"


def forbidden(station: Station, now: Readings, today: date) -> str:
    """Return why light and bias may not be on together in a state, in words; empty where they may."""
    lasers = [one for one in now.values() if isinstance(one, LaserNow) and one.emission]
    detectors = [name for name, one in now.items() if isinstance(one, DetectorNow) and one.biased]
    if not lasers or not detectors:
        return ""
    found = balance(station, now, today, lasers, detectors)
    return found if isinstance(found, str) else "" if found.holds else str(found)


def balance(station: Station, now: Readings, today: date, lasers: Collection[LaserNow], detectors: Collection[str]) -> Balance | str:
    """Return what the light of lasers needs before detectors, and what there is; in words where the station does not say what a detector endures."""
    limits = {name: _flux_hz(station, name) for name in detectors}
    unlimited = [name for name, limit in limits.items() if limit is None]
    if unlimited:
        return f"the station names no photon rate that {unlimited[0]} endures (limits.flux or limits.rate)"
    rate_hz = min(limit for limit in limits.values() if limit is not None)
    power_w, wavelength_m = sum(one.power_w for one in lasers), max(one.wavelength_m for one in lasers)
    return Balance(power_w, rate_hz, needed_db(power_w, wavelength_m, max(station.optics.site.eta), rate_hz), verified(station, now, today))


def _flux_hz(station: Station, detector: str) -> float | None:
    limits = station.instruments[detector].rules.limits
    return limits.flux_hz if limits.flux_hz is not None else limits.rate_hz


def applied(reading: Reading, quantity: str, value: float) -> Reading:
    """Return what an instrument will do once a quantity has a value."""
    kind, _, channel = quantity.partition(":")
    match reading:
        case LaserNow() if kind == "emission":
            return replace(reading, emission=bool(value))
        case LaserNow() if kind == "power_w":
            return replace(reading, power_w=value)
        case AttenuatorNow() if kind == "attenuation_db":
            return replace(reading, measured_db=value)
        case AttenuatorNow() if kind == "home":
            return AttenuatorNow(None)
        case DetectorNow() if kind == "bias":
            # Without a channel, or on one that was not read, the bias stands beside the others.
            return replace(reading, biases={**reading.biases, int(channel or 0): value})
        case DetectorNow() if kind == "enabled":
            return replace(reading, enabled=bool(value))
        case SourceNow() if kind == "output":
            return replace(reading, on={**reading.on, int(channel or 0): bool(value)})
    return reading


def is_way_down(reading: Reading | None, quantity: str, value: float) -> bool:
    """Say whether a command only takes light or bias away, which is always allowed."""
    kind, _, channel = quantity.partition(":")
    match reading:
        case _ if kind in ("emission", "enabled", "output"):
            return not value
        case LaserNow() if kind == "power_w":
            return value <= reading.power_w
        case AttenuatorNow() if kind == "attenuation_db":
            return reading.measured_db is not None and value >= reading.measured_db
        case DetectorNow() if kind == "bias":
            return abs(value) <= abs(reading.biases.get(int(channel or 0), 0.0))
    return False
