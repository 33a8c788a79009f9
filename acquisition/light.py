"""Setting the light of the Sagnac bench: pulses, intensity, arms and phases, in the words of the station file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import ConfigError, LimitError
from ..core.physics import loss_db, modulator_transmission, photons_per_pulse, train_fractions, transmission
from .patterns import carving_waveform, gate_waveform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..instruments.roles import Attenuator, Instrument, Laser, WaveformSource
    from ..instruments.station import Station
    from ..instruments.station_models import Modulator

Train = Literal["clockwise", "counter-clockwise"]
POINTS_PER_SLOT = 10
SPLITTER = 0.5
"""Share of the light that the beam splitter sends around the loop in one direction."""


@dataclass(frozen=True, slots=True)
class Intensity:
    """Light of one pair: mean photons per pulse leaving each user, as computed from what the devices report, and the input attenuation (dB) that makes it."""

    mu: float
    attenuation_db: float


def one_of(station: Station, role: str) -> str:
    """Return the name of the station's only instrument of a role; an attenuator counts only if it is no user's. Raises ConfigError."""
    of_users = {user.voa for user in station.optics.users.values()}
    names = [name for name, entry in station.instruments.items() if entry.wire.role == role and name not in of_users]
    if len(names) != 1:
        raise ConfigError(f"exactly one {role} is needed, {len(names)} are there", where=str(station.path), remedy="Mend [instruments].")
    return names[0]


class Light:
    """The optical bench as procedures handle it.

    instruments: connected instruments by name; nothing is sent before a method is called.
    """

    def __init__(self, instruments: Mapping[str, Instrument], station: Station) -> None:
        self._instruments = instruments
        self._station = station
        self._laser = cast("Laser", instruments[one_of(station, "Laser")])
        self._input = cast("Attenuator", instruments[one_of(station, "Attenuator")])
        self._carved: float | None = None

    def carve_pulses(self) -> float:
        """Load the pulse shape into all intensity modulators, switch them on, and return the mean power transmission (the carving loss)."""
        through = np.ones(POINTS_PER_SLOT)
        for modulator in self._modulators("IntensityModulator"):
            volts = carving_waveform(modulator.v_pi_v, modulator.gain, POINTS_PER_SLOT)
            source = self._source(modulator)
            source.load(modulator.channel, volts, POINTS_PER_SLOT * self._station.clock.rep_rate_hz)
            source.output(modulator.channel, True)
            through = through * modulator_transmission(volts * modulator.gain, modulator.v_pi_v, extinction_db=modulator.er_db)
        self._carved = float(through.mean())
        return self._carved

    def set_intensity(self, mu: float) -> Intensity:
        """Set the input attenuator so that each user sends `mu` mean photons per pulse; the laser must be on.

        Raises LimitError if the attenuator's range cannot give it; nothing was sent then.
        """
        carved = self._carved if self._carved is not None else self.carve_pulses()
        power_w = self._laser.power_w * carved * float(transmission(self._station.optics.att_fixed.loss_db)) * SPLITTER
        open_mu = float(photons_per_pulse(power_w, self._laser.wavelength_m, self._station.clock.rep_rate_hz))
        wanted_db = float(loss_db(mu / open_mu)) if open_mu > 0.0 else -np.inf
        low, high = self._input.range_db
        if not low <= wanted_db <= high:
            raise LimitError(
                f"{mu:g} photons per pulse need {wanted_db:.2f} dB at the input, range {low:.2f} to {high:.2f} dB. Nothing was sent",
                where=one_of(self._station, "Attenuator"),
                remedy="Change the laser power or the fixed loss.",
            )
        self._input.attenuation_db = wanted_db
        reached = self._input.attenuation_db
        return Intensity(open_mu * float(transmission(reached)), reached)

    def set_arms(self, pair: str) -> tuple[float, float]:
        """Make both arms of a pair lose what the station asks for, by their attenuators; return the losses reached (dB), first user first.

        Raises LimitError naming the user whose arm loses more than that by itself.
        """
        wanted = self._station.pairs[pair].arm_loss_db
        reached = []
        for name in pair.split("-"):
            user = self._station.optics.users[name]
            attenuator = cast("Attenuator", self._instruments[user.voa])
            if wanted - user.loss_db < attenuator.range_db[0]:
                raise LimitError(
                    f"the arm of user {name} loses {user.loss_db + attenuator.range_db[0]:.2f} dB at least, {wanted:.2f} dB are asked",
                    where=f"{self._station.path}: pair {pair}",
                    remedy="Raise arm_loss.",
                )
            attenuator.attenuation_db = wanted - user.loss_db
            reached.append(user.loss_db + attenuator.attenuation_db)
        return reached[0], reached[1]

    def load_phases(self, user: str, phases_rad: ArrayLike, train: Train) -> None:
        """Load one phase a slot, for one of the two trains that pass a user; the output keeps its state.

        phases_rad: shape (slots of a frame,); each is driven as its equivalent in (-pi, pi], which needs the smallest swing.
        """
        modulator = self._phase_modulator(user)
        site = self._station.optics.users[user]
        clockwise, counter = train_fractions(site.distance_m, self._station.optics.loop.length_m, self._station.clock.slot_s)
        fraction = clockwise if train == "clockwise" else counter
        smallest = np.pi - (np.pi - np.asarray(phases_rad, float)) % (2.0 * np.pi)
        volts: NDArray[np.float64] = gate_waveform(smallest, fraction, modulator.v_pi_v, modulator.gain, POINTS_PER_SLOT)
        self._source(modulator).load(modulator.channel, volts, POINTS_PER_SLOT * self._station.clock.rep_rate_hz)

    def modulate(self, *users: str) -> None:
        """Let exactly these users modulate: their outputs on, those of all others off."""
        for name in self._station.optics.users:
            modulator = self._phase_modulator(name)
            self._source(modulator).output(modulator.channel, name in users)

    def _phase_modulator(self, user: str) -> Modulator:
        return self._station.optics.modulators[self._station.optics.users[user].pm]

    def _modulators(self, kind: str) -> list[Modulator]:
        return [modulator for modulator in self._station.optics.modulators.values() if modulator.kind == kind]

    def _source(self, modulator: Modulator) -> WaveformSource:
        return cast("WaveformSource", self._instruments[modulator.instrument])
