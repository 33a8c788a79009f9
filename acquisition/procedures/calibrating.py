"""What the procedures share whose result is a calibration: light that is held, counts that are made right, and the record at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np

from ...core.errors import CalibrationError, LimitError, ParameterError
from ...core.physics import Floats
from ...instruments.station_checks import POINTS_PER_SLOT
from ...instruments.wire.mbx import BiasMode
from ..calibrations import Measured
from ..light import LightSetting, named, prepare_light
from .base import BenchProcedure

if TYPE_CHECKING:
    from ...instruments.roles import Attenuator, BiasController, Counts, PhotonDetector, WaveformSource
    from ...instruments.station_models import Modulator

OFFSET_V = 4.99
"""Largest constant voltage asked of a generator."""
LASER_SIGMA = 0.005
"""Share by which the laser's power may differ between two counts (1 sigma), beyond counting statistics."""


class CalibrationProcedure(BenchProcedure):
    """A procedure whose result later runs use. Run by `heliograph calibrate run`, its record is kept; run otherwise it is a measurement like any other.

    KIND: of the record.  VALID_DAYS: how long it is trusted.
    """

    NEEDS_ARMED = True
    KIND: ClassVar[str]
    VALID_DAYS: ClassVar[float]

    @property
    def element(self) -> str:
        """Return what is calibrated, by its name in the station file."""
        raise NotImplementedError

    @property
    def record_name(self) -> str:
        """Return the name of the record that this procedure makes, such as `im1-bias`."""
        return f"{self.element}-{self.KIND}"

    def keep(self, values: Mapping[str, Measured]) -> None:
        """Put what was found into the run file."""
        if self.writer is not None:
            told = {name: {"value": float(one.value), "sigma": float(one.sigma), "unit": one.unit} for name, one in values.items()}
            self.writer.summary["calibration"] = {"element": self.element, "kind": self.KIND, "valid_days": self.VALID_DAYS, "values": told}

    @property
    def detector_name(self) -> str:
        """Return the name of the detectors."""
        return named(self.instruments.station, "PhotonDetector")[0]

    def count(self, period_s: float) -> Counts:
        """Count for a period and put the counts into the run file."""
        counts = cast("PhotonDetector", self.instruments[self.detector_name]).counts(period_s)
        if self.writer is not None:
            self.writer.counts(self.detector_name, counts)
        return counts

    def light_rates(self, counts: Counts, *, dark: bool = True) -> tuple[Floats, Floats]:
        """Return the rates of detected photons (2,) that give these counts, and their standard deviations (2,).

        Dead time, dark counts (unless told not to) and photons that came together are taken out, by the station's values.
        """
        site, rep_rate_hz = self.instruments.station.optics.site, self.instruments.station.clock.rep_rate_hz
        n = np.asarray(counts.n, float)
        counted = n / counts.period_s
        live = 1.0 / (1.0 - counted * site.dead_time_s)
        rates = counted * live - (np.asarray(site.dark_hz) if dark else 0.0)
        if (rates >= rep_rate_hz).any():
            raise CalibrationError(f"{rates.max():.3g} clicks a second saturate the detector", where=self.detector_name, remedy="Attenuate the light.")
        photons = -rep_rate_hz * np.log1p(-rates / rep_rate_hz)
        return photons, np.sqrt(np.maximum(n, 1.0)) / counts.period_s * live**2 / (1.0 - rates / rep_rate_hz)

    def prepare_arms(self, intensity: float, *users: str) -> LightSetting:
        """Set carved pulses, the least loss that all of these users' arms can have, and every phase modulator off; return what was set."""
        arm = max(self.least_loss_db(user) for user in users)
        setting = prepare_light(self.instruments, intensity, dict.fromkeys(users, arm))
        for user in self.instruments.station.optics.users:
            self.modulate(user, False)
        return setting

    def least_loss_db(self, user: str) -> float:
        """Return the least loss that a user's arm can have (dB)."""
        place = self.instruments.station.optics.users[user]
        return place.loss_db + cast("Attenuator", self.instruments[place.voa]).range_db[0]

    def carver(self, name: str) -> Modulator:
        """Return an intensity modulator of the line; raises ParameterError for another name."""
        found = self.instruments.station.optics.modulators.get(name)
        there = self._carvers()
        if found is None or name not in there:
            raise ParameterError(f"there is no intensity modulator {name!r} in the line", where=type(self).__name__, remedy=f"There are {', '.join(there)}.")
        return found

    def _carvers(self) -> tuple[str, ...]:
        optics = self.instruments.station.optics
        return tuple(name for name in optics.line if name in optics.modulators)

    def hold_level(self, name: str, volts: float) -> None:
        """Hold an intensity modulator at a constant voltage (V, at the modulator): the generator's offset, under a waveform of nothing."""
        modulator = self.carver(name)
        source = cast("WaveformSource", self.instruments[modulator.instrument])
        held = self.__dict__.setdefault("_held", dict[str, BiasMode | None]())
        if name not in held:
            held[name] = self._freeze(modulator)
            source.load(modulator.channel, np.zeros(POINTS_PER_SLOT), POINTS_PER_SLOT * self.instruments.station.clock.rep_rate_hz)
        source.set_offset_v(modulator.channel, volts / modulator.gain)
        source.output(modulator.channel, True)

    def check_level(self, name: str, *volts: float) -> None:
        """Raise LimitError if the station does not allow one of these voltages at a modulator."""
        modulator = self.carver(name)
        low, high = self.instruments.station.instruments[modulator.instrument].rules.limits.volts_v or (-np.inf, np.inf)
        for asked in (value / modulator.gain for value in volts):
            if not max(low, -OFFSET_V) <= asked <= min(high, OFFSET_V):
                raise LimitError(
                    f"{asked:.2f} V needed, allowed are {max(low, -OFFSET_V):.2f} to {min(high, OFFSET_V):.2f} V. Nothing was sent",
                    where=modulator.instrument,
                    remedy="Scan a smaller span.",
                )

    def _freeze(self, modulator: Modulator) -> BiasMode | None:
        """Keep a bias controller from following what is done to its modulator; return what it did before."""
        if modulator.bias is None:
            return None
        controller = cast("BiasController", self.instruments[modulator.bias])
        mode = controller.mode
        controller.bias_v = controller.bias_v
        return mode

    def let_go(self) -> None:
        """Switch off the modulators that were held, take their offset away, and let their bias controllers go on."""
        for name, mode in self.__dict__.pop("_held", dict[str, BiasMode | None]()).items():
            modulator = self.instruments.station.optics.modulators[name]
            source = cast("WaveformSource", self.instruments[modulator.instrument])
            source.output(modulator.channel, False)
            source.set_offset_v(modulator.channel, 0.0)
            if modulator.bias is not None and mode is not None:
                self.instruments[modulator.bias].mode = mode

    def darken(self) -> None:
        """Bring every attenuator of the line to its highest attenuation."""
        station = self.instruments.station
        for name in (name for name in station.optics.line if name in named(station, "Attenuator")):
            attenuator = cast("Attenuator", self.instruments[name])
            attenuator.attenuation_db = attenuator.range_db[1]

    def first_users(self) -> tuple[str, str]:
        """Return the first two users of the station; raises ParameterError if there are fewer."""
        users = tuple(self.instruments.station.optics.users)
        if len(users) < 2:
            raise ParameterError("two users are needed to close the interferometer", where=type(self).__name__, remedy="Describe them in the station file.")
        return users[0], users[1]
