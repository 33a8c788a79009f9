"""Linearity of an attenuator: how far the light really falls when it is told to attenuate more."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import log
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from pymeasure.experiment import FloatParameter, IntegerParameter, Parameter

from ...core.errors import CalibrationError, LimitError, ParameterError
from ...core.physics import Floats, loss_db
from ..calibrations import Measured
from ..light import named
from ..run_writer import RunLayout
from .calibrating import LASER_SIGMA, CalibrationProcedure

if TYPE_CHECKING:
    from ...instruments.roles import Attenuator

_PER_DB = 10.0 / log(10.0)
_LEAST_SIGNIFICANCE = 5.0


@dataclass(frozen=True, slots=True)
class Linearity:
    """measured_db = slope * set_db + offset.

    slope: 1 for a true attenuator.  worst_db: largest distance of a point from the set attenuation, relative to the first point, with the standard deviation
    of that point.  chi2: of the line, per degree of freedom.
    """

    slope: float
    slope_sigma: float
    worst_db: float
    worst_sigma_db: float
    span_db: float
    chi2: float


class AttenuatorLinearity(CalibrationProcedure):
    """Step an attenuator upwards from where it is clearest and count.

    For the attenuator of a user, only that user's arm is open. The line's own attenuator dims what is too bright. `result` is a `Linearity`; what an attenuator
    adds as a constant is not seen. Raises LimitError before anything is sent, CalibrationError if too little light is left at the end.
    """

    KIND = "linearity"
    VALID_DAYS = 180.0
    DATA_COLUMNS: ClassVar[list[str]] = ["Set (dB)", "Measured (dB)"]

    attenuator = Parameter("Attenuator", default="voa_in")
    span_db = FloatParameter("Span", units="dB", default=20.0, minimum=1.0, maximum=40.0)
    points = IntegerParameter("Points", default=11, minimum=4, maximum=200)
    period_s = FloatParameter("Period", units="s", default=0.5, minimum=0.01, maximum=60.0)
    intensity = FloatParameter("Photons per pulse at the start", default=0.0085, minimum=1e-6, maximum=0.1)

    @property
    def element(self) -> str:
        """Return the attenuator."""
        return str(self.attenuator)

    def run_layout(self) -> RunLayout:
        """Return the counts and the steps."""
        return RunLayout(counts={self.detector_name: 2}, tables={"linearity": {"set": "dB", "measured": "dB", "sigma": "dB"}})

    def check(self) -> None:
        """Raise ParameterError for an attenuator that is neither in the line nor a user's."""
        there = named(self.instruments.station, "Attenuator")
        owner = self._owner()
        if self.attenuator not in there or (owner is None and self.attenuator not in self.instruments.station.optics.line):
            raise ParameterError(f"there is no attenuator {self.attenuator!r} on the way of the light", where="AttenuatorLinearity", remedy="Name one in use.")

    def startup(self) -> None:
        """Set pulses, with the light through two users' arms, or through that of the attenuator's owner alone."""
        owner = self._owner()
        self.prepare_arms(self.intensity, *((owner,) if owner else self.first_users()))
        self._begin_db = float(self._device().attenuation_db)
        steps = self._steps()
        low, high = self._device().range_db
        if not low - 1e-9 <= steps[0] <= steps[-1] <= high + 1e-9:
            message = f"{steps[0]:.2f} to {steps[-1]:.2f} dB needed, range {low:.2f} to {high:.2f} dB"
            raise LimitError(message, where=self.attenuator, remedy="Choose a smaller span, or another intensity.")

    def execute(self) -> None:
        """Step upwards, emit each point, fit a line."""
        steps = self._steps()
        efficiency = np.asarray(self.instruments.station.optics.site.eta)
        read, light, sigma = np.zeros(steps.size), np.zeros(steps.size), np.zeros(steps.size)
        for k, asked in enumerate(steps):
            if self.should_stop():
                return
            self._device().attenuation_db = float(asked)
            read[k] = self._device().attenuation_db
            photons, spread = self.light_rates(self.count(self.period_s))
            # Weighted so that it does not matter at which port of the interferometer the light leaves.
            light[k], sigma[k] = (photons / efficiency).sum(), np.hypot(*(spread / efficiency))
            if not light[k] > _LEAST_SIGNIFICANCE * sigma[k]:
                raise CalibrationError(f"no light is left at {asked:.1f} dB", where=self.attenuator, remedy="Choose a smaller span, or count longer.")
            measured = float(loss_db(light[k] / light[0]))
            relative = _PER_DB * float(np.hypot(sigma[k] / light[k], LASER_SIGMA))
            if self.writer is not None:
                self.writer.table("linearity", {"set": read[k], "measured": measured, "sigma": relative})
            self.emit("results", {"Set (dB)": float(read[k]), "Measured (dB)": measured})
            self.emit("progress", 100.0 * (k + 1) / steps.size)
        self.result = fit_linearity(read, light, sigma)
        found = self.result
        self.keep({"slope": Measured(found.slope, found.slope_sigma, "1"), "worst_db": Measured(found.worst_db, found.worst_sigma_db, "dB")})
        if self.writer is not None:
            self.writer.summary.update(asdict(found))

    def _device(self) -> Attenuator:
        return cast("Attenuator", self.instruments[self.attenuator])

    def _owner(self) -> str | None:
        users = self.instruments.station.optics.users
        return next((name for name, user in users.items() if user.voa == self.attenuator), None)

    def _steps(self) -> Floats:
        """Return the attenuations to set (dB): a user's from its clearest, the line's from what the intensity needs."""
        return np.linspace(self._begin_db, self._begin_db + self.span_db, self.points)


def fit_linearity(set_db: Floats, light: Floats, sigma: Floats) -> Linearity:
    """Return the line through measured against set attenuation, by weighted least squares.

    set_db: float (n,), read back.  light, sigma: float (n,), what passes, in any unit.
    """
    measured = np.asarray(loss_db(light / light[0]), float)
    spread = _PER_DB * np.hypot(sigma / light, LASER_SIGMA)
    (slope, offset), covariance = np.polyfit(set_db, measured, 1, w=1.0 / spread, cov="unscaled")
    chi2 = float(np.sum(((slope * set_db + offset - measured) / spread) ** 2) / (set_db.size - 2))
    apart = measured - (set_db - set_db[0])
    worst = int(np.argmax(np.abs(apart)))
    slope_sigma = float(np.sqrt(covariance[0, 0] * max(chi2, 1.0)))
    return Linearity(float(slope), slope_sigma, float(abs(apart[worst])), float(np.hypot(spread[worst], spread[0])), float(np.ptp(set_db)), chi2)
