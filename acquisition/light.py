"""How bright the light is at the users: from a mean photon number to the settings of carving and attenuators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike

from ..core.errors import ArmRefused, ConfigError, LimitError, ParameterError, Suspect
from ..core.physics import click_law, dead_time_rate, interference, loss_db, modulator_transmission, photons_per_pulse, transmission
from ..instruments.station_checks import POINTS_PER_SLOT
from .patterns import carving_waveform, centred

if TYPE_CHECKING:
    from ..instruments.connect import Instruments
    from ..instruments.roles import Attenuator, Laser, WaveformSource
    from ..instruments.station import Station

_MOST_DRIFT_DB = 0.5
_ROUNDING_DB = 1e-9


@dataclass(frozen=True, slots=True)
class LightSetting:
    """What was set.

    mu: photons per pulse leaving each user, at most, by the power and the attenuation that the instruments report; rounded up to four digits, as it is shown.
    input_db: of the line's attenuator, read back.  arms_db: of each user's attenuator, by user, as set.
    """

    mu: float
    input_db: float
    arms_db: Mapping[str, float]


def named(station: Station, role: str) -> tuple[str, ...]:
    """Return the names of a station's instruments of a role, in the order of the file. Raises ConfigError if there is none."""
    names = tuple(name for name, entry in station.instruments.items() if entry.wire.role == role)
    if not names:
        raise ConfigError(f"the station has no {role}", where=str(station.path), remedy="Add one under [instruments].")
    return names


def carved_share(station: Station) -> float:
    """Return the share of the laser's mean power that the intensity modulators of the line let through while they carve pulses."""
    share = np.ones(POINTS_PER_SLOT)
    for modulator in (station.optics.modulators[name] for name in station.optics.line if name in station.optics.modulators):
        volts = modulator.gain * carving_waveform(modulator.v_pi_v, modulator.gain) + modulator.null_v
        share = share * modulator_transmission(volts, modulator.v_pi_v, bias_v=modulator.null_v, extinction_db=modulator.er_db)
    return float(share.mean())


def _unattenuated(station: Station, laser: Laser) -> float:
    """Return the photons per pulse that would leave each user with the line's attenuators at 0 dB; the splitter halves the light."""
    fixed_db = station.optics.att_fixed.loss_db + station.optics.input_taps_db
    bright = _emitted(laser) * carved_share(station) * float(transmission(fixed_db)) / 2.0
    return float(photons_per_pulse(bright, laser.wavelength_m, station.clock.rep_rate_hz))


def prepare_light(instruments: Instruments, mu: float, arms: Mapping[str, float]) -> LightSetting:
    """Carve pulses and set every attenuator so that mu photons per pulse leave the users; return what was reached.

    arms: loss wanted in the arm of each user in use (dB), its own loss included; all other users are shut off.  The laser must be on.
    Raises ArmRefused if it is off, Suspect if it does not emit what is set, LimitError if an attenuator cannot do what is needed.
    """
    if not mu > 0.0:
        raise ParameterError(f"{mu} photons per pulse", where="mu")
    station = instruments.station
    bright = _unattenuated(station, cast("Laser", instruments[named(station, "Laser")[0]]))
    settings = {user: _within(instruments, station.optics.users[user].voa, wanted - station.optics.users[user].loss_db) for user, wanted in arms.items()}
    line = [name for name in station.optics.line if name in named(station, "Attenuator")]
    if not line:
        raise ConfigError("the line has no variable attenuator", where=str(station.path), remedy="Name one in optics.line.")
    wanted = float(loss_db(mu / bright))
    rest = [cast("Attenuator", instruments[name]) for name in line[1:]]
    for other in rest:
        wanted -= other.range_db[0]
    settled, first = _within(instruments, line[0], wanted), cast("Attenuator", instruments[line[0]])
    # The line may only become darker until the arms are set, else a user could briefly send more than mu.
    first.attenuation_db = max(settled, first.attenuation_db)
    _carve(instruments)
    for user, entry in station.optics.users.items():
        voa = cast("Attenuator", instruments[entry.voa])
        voa.attenuation_db = settings.get(user, voa.range_db[1])
    for other in rest:
        other.attenuation_db = other.range_db[0]
    first.attenuation_db = settled
    # An attenuator stops near what it was asked for, and that may be on the bright side.
    reached = [one.attenuation_db for one in (first, *rest)]
    return LightSetting(_rounded_up(bright * float(transmission(sum(reached)))), reached[0], settings)


def _rounded_up(value: float) -> float:
    step = 10.0 ** (3 - floor(log10(value)))
    return ceil(value * step) / step


def _emitted(laser: Laser) -> float:
    """Return the larger of the power set and the power measured (W). Raises ArmRefused, Suspect if they differ too much."""
    if not laser.emission:
        raise ArmRefused("the laser is off", where=laser.name, remedy="Arm the bench first.")
    asked, measured = laser.power_setpoint_w, laser.power_w
    if not measured > 0.0 or not asked > 0.0 or abs(10.0 * log10(measured / asked)) > _MOST_DRIFT_DB:
        raise Suspect(f"{asked * 1e3:.2f} mW are set, {measured * 1e3:.2f} mW are emitted", where=laser.name, remedy="Let it settle, or check it.")
    return max(asked, measured)


def _within(instruments: Instruments, name: str, wanted_db: float) -> float:
    low, high = cast("Attenuator", instruments[name]).range_db
    if not low - _ROUNDING_DB <= wanted_db <= high + _ROUNDING_DB:
        raise LimitError(
            f"{wanted_db:.2f} dB needed, range {low:.2f} to {high:.2f} dB. Nothing was sent", where=name, remedy="Change laser power, mu or arm loss."
        )
    return min(max(wanted_db, low), high)


def _carve(instruments: Instruments) -> None:
    station = instruments.station
    for modulator in (station.optics.modulators[name] for name in station.optics.line if name in station.optics.modulators):
        source = cast("WaveformSource", instruments[modulator.instrument])
        volts, missing_v = centred(carving_waveform(modulator.v_pi_v, modulator.gain))
        source.set_offset_v(modulator.channel, modulator.null_v / modulator.gain + missing_v)
        source.load(modulator.channel, volts, POINTS_PER_SLOT * station.clock.rep_rate_hz)
        source.output(modulator.channel, True)


def expected_rates_hz(station: Station, mu: float, arm_loss_db: float, phase_rad: ArrayLike) -> tuple[Any, Any]:
    """Return the count rates (1/s) of D1 and D2 that click law, dark counts and dead time predict for one constant phase difference and full visibility."""
    site = station.optics.site
    arrived = mu * float(transmission(arm_loss_db))
    clicks = click_law(*interference((arrived, arrived), phase_rad, 1.0, site.eta), (0.0, 0.0))
    d1, d2 = (
        dead_time_rate((only + clicks.both) * station.clock.rep_rate_hz + dark, site.dead_time_s)
        for only, dark in zip((clicks.only_d1, clicks.only_d2), site.dark_hz, strict=True)
    )
    return d1, d2
