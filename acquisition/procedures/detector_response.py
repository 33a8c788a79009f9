"""Response of the two detectors: efficiency, dark counts, dead time and afterpulses."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from math import log, pi, sqrt
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from pymeasure.experiment import FloatParameter, Parameter

from ...core.errors import CalibrationError, LimitError
from ...core.physics import Floats, transmission
from ..autocorrelation import Autocorrelation, Estimate
from ..calibrations import Measured
from ..light import carved_share, named
from ..run_writer import RunLayout
from .calibrating import CalibrationProcedure

if TYPE_CHECKING:
    from ...instruments.roles import TagSource

_DETECTORS = ("D1", "D2")
_BIN_PS, _BINS = 1000, 10_000


@dataclass(frozen=True, slots=True)
class Response:
    """Of D1 and D2, with standard deviations: detected photons per photon at the site, clicks without light, dead time, and afterpulses per click."""

    eta: tuple[Estimate, Estimate]
    dark_hz: tuple[Estimate, Estimate]
    dead_s: tuple[Estimate, Estimate]
    afterpulse: tuple[Estimate, Estimate]


class DetectorResponse(CalibrationProcedure):
    """Count pulses of a known brightness, record light without structure, count in the dark.

    Efficiency is what is counted of the photons that laser, attenuators and the user's arm promise; `flux_sigma_db` says how well that is known. Dead time and
    afterpulses come from the spacing of the clicks of continuous light through one arm alone. `result` is a `Response`.
    The user's half-wave voltage should be known first.
    Raises LimitError if the modulators cannot be held open, CalibrationError for too little light.
    """

    KIND = "response"
    VALID_DAYS = 30.0
    DATA_COLUMNS: ClassVar[list[str]] = ["Step", "D1 (1/s)", "D2 (1/s)"]

    user = Parameter("User", default="A")
    partner = Parameter("Partner", default="B")
    intensity = FloatParameter("Photons per pulse", default=0.004, minimum=1e-6, maximum=0.1)
    light_s = FloatParameter("Light for the efficiency", units="s", default=2.0, minimum=0.1, maximum=1000.0)
    record_s = FloatParameter("Recording for dead time and afterpulses", units="s", default=2.0, minimum=0.2, maximum=1000.0)
    record_hz = FloatParameter("Count rate of that recording", units="1/s", default=2e5, minimum=1e3, maximum=5e5)
    dark_s = FloatParameter("Counts in the dark", units="s", default=20.0, minimum=0.1, maximum=1000.0)
    flux_sigma_db = FloatParameter("Uncertainty of the light", units="dB", default=0.05, minimum=0.0, maximum=3.0)

    @property
    def element(self) -> str:
        """Return the site: both detectors."""
        return "site"

    def run_layout(self) -> RunLayout:
        """Return the counts and the autocorrelations."""
        return RunLayout(counts={self.detector_name: 2}, tables={"autocorrelation": {"lag": "s", "d1": "1", "d2": "1"}})

    def check(self) -> None:
        """Raise ParameterError for unknown users, LimitError if the station does not allow modulators to be held open."""
        for user in (self.user, self.partner):
            self._user(user)
        for name in self._carvers():
            self.check_level(name, self.carver(name).null_v + self.carver(name).v_pi_v)

    def startup(self) -> None:
        """Set pulses through both arms; the user holds a quarter of a turn, so that both detectors are lit alike whatever the visibility."""
        self._arm_db = max(self.least_loss_db(user) for user in (self.user, self.partner))
        self._mu = self.prepare_arms(self.intensity, self.user, self.partner).mu
        self.hold_phase(self.user, pi / 2.0)
        self.modulate(self.user, True)

    def execute(self) -> None:
        """Count, record, count in the dark; then put it together."""
        lit = self._counted(self.light_s, 0.1, 1.0)
        self.emit("progress", 30.0)
        spaced = self._spacing()
        self.emit("progress", 70.0)
        self.darken()
        for name in self._carvers():
            self.hold_level(name, self.carver(name).null_v)
        dark = self._counted(self.dark_s, 1.0, 3.0)
        dead = tuple(one.dead_time_s() for one in spaced)
        caused = tuple(one.afterpulse(found.value) for one, found in zip(spaced, dead, strict=True))
        dark_hz = tuple(self._dark(dark[0][:, k], dark[1], caused[k].value) for k in range(2))
        eta = tuple(self._efficiency(lit[0][:, k], lit[1], dark_hz[k].value, dead[k].value, caused[k].value) for k in range(2))
        self.result = Response((eta[0], eta[1]), (dark_hz[0], dark_hz[1]), (dead[0], dead[1]), (caused[0], caused[1]))
        self._conclude()
        self.emit("progress", 100.0)

    def shutdown(self) -> None:
        """Switch all modulators off again."""
        if self.user in self.instruments.station.optics.users:
            self.modulate(self.user, False)
        self.let_go()

    def _counted(self, seconds: float, period_s: float, step: float) -> tuple[Floats, float]:
        """Return the counts of every period, float (periods, 2), and the time they took together."""
        counts = [self.count(period_s) for _ in range(max(2, round(seconds / period_s)))]
        n, elapsed = np.array([one.n for one in counts], float), sum(one.period_s for one in counts)
        rates = n.sum(axis=0) / elapsed
        self.emit("results", {"Step": step, "D1 (1/s)": float(rates[0]), "D2 (1/s)": float(rates[1])})
        return n, elapsed

    @staticmethod
    def _dark(n: Floats, elapsed: float, caused: float) -> Estimate:
        """Return the rate of dark counts, without the afterpulses they bring."""
        return Estimate(float(n.sum() / elapsed) * (1.0 - caused), sqrt(max(float(n.sum()), 1.0)) / elapsed)

    def _efficiency(self, n: Floats, elapsed: float, dark_hz: float, dead_s: float, caused: float) -> Estimate:
        """Return the share of the photons at the site that one detector detects."""
        rep_rate_hz = self.instruments.station.clock.rep_rate_hz
        counted = n.sum() / elapsed
        live = 1.0 / (1.0 - counted * dead_s)
        # Of the clicks that would be there without dead time, a share of those that are there was caused by others.
        rate = counted * (live - caused) - dark_hz
        photons = -rep_rate_hz * np.log1p(-rate / rep_rate_hz)
        arriving = self._mu * float(transmission(self._arm_db)) * rep_rate_hz
        if not rate > 0.0:
            raise CalibrationError("no light arrives", where=self.detector_name, remedy="Check laser, attenuators and detectors.")
        scatter = float(n.std(ddof=1)) / sqrt(n.size) / float(n.mean())
        relative = sqrt(max(scatter**2, 1.0 / float(n.sum())) + (log(10.0) / 10.0 * self.flux_sigma_db) ** 2)
        return Estimate(float(photons / arriving), float(photons / arriving) * relative)

    def _spacing(self) -> tuple[Autocorrelation, Autocorrelation]:
        """Record continuous light through one arm and return the autocorrelation of each detector."""
        station = self.instruments.station
        arm = self.least_loss_db(self.user)
        per_slot = self.record_hz / station.clock.rep_rate_hz / (min(station.optics.site.eta) / 2.0 * float(transmission(arm)))
        self.prepare_arms(per_slot * carved_share(station), self.user)
        for name in self._carvers():
            self.hold_level(name, self.carver(name).null_v + self.carver(name).v_pi_v)
        name = named(station, "TagSource")[0]
        tagger, channels = cast("TagSource", self.instruments[name]), station.instruments[name].wire.channel_map
        if missing := [one for one in _DETECTORS if one not in channels]:
            raise LimitError(f"{name} has no channel {missing[0]}", where=name, remedy="Name both detectors in its `map`.")
        found = (Autocorrelation(_BIN_PS, _BINS), Autocorrelation(_BIN_PS, _BINS))
        with closing(tagger.record(self.record_s)) as batches:
            for batch in batches:
                for one, detector in zip(found, _DETECTORS, strict=True):
                    one.feed(batch.t_ps[batch.ch == channels[detector]], (batch.t_end_ps - batch.t_begin_ps) * 1e-12)
        if self.writer is not None:
            g2 = [one.normalised() for one in found]
            self.writer.table("autocorrelation", {"lag": found[0].lags_s, "d1": g2[0], "d2": g2[1]})
        self.emit("results", {"Step": 2.0, "D1 (1/s)": found[0].rate_hz, "D2 (1/s)": found[1].rate_hz})
        return found

    def _conclude(self) -> None:
        units = {"eta": "1", "dark_hz": "1/s", "dead_s": "s", "afterpulse": "1"}
        values: dict[str, Measured] = {}
        for name, unit in units.items():
            head, _, tail = name.partition("_")
            for k, one in enumerate(getattr(self.result, name), start=1):
                values[f"{head}_{k}" + (f"_{tail}" if tail else "")] = Measured(one.value, one.sigma, unit)
        self.keep(values)
        if self.writer is not None:
            self.writer.summary.update(asdict(self.result))
