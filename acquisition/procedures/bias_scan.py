"""Bias scan of an intensity modulator: half-wave voltage and the voltage at which it is darkest."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from pymeasure.experiment import FloatParameter, IntegerParameter, Parameter

from ...core.errors import CalibrationError, ParameterError
from ...core.physics import Floats, modulator_transmission
from ..calibrations import Measured
from ..run_writer import RunLayout
from .calibrating import LASER_SIGMA, CalibrationProcedure

if TYPE_CHECKING:
    from ...instruments.roles import PowerMeter

_LEAST_COUNTS = 1000.0
_READINGS = 5
_RESOLUTION_W = 1e-12


@dataclass(frozen=True, slots=True)
class BiasPoint:
    """light(U) = peak T(U), T the transmission of a Mach-Zehnder modulator (`core.physics.modulator_transmission`); U in volts at the modulator.

    null_v: drive at which it is darkest, the one nearest to 0 V.  er_db: bright over dark.  *_sigma: standard deviations.  peak: in detected
    photons a second, or in watts where a power meter looked.  chi2: per degree of freedom.
    """

    v_pi_v: float
    v_pi_sigma_v: float
    null_v: float
    null_sigma_v: float
    er_db: float
    er_sigma_db: float
    peak: float
    chi2: float

    def light(self, volts: Floats) -> Floats:
        """Return the light at these voltages by the fit."""
        return self.peak * modulator_transmission(volts, self.v_pi_v, bias_v=self.null_v, extinction_db=self.er_db)


class BiasScan(CalibrationProcedure):
    """Step the constant voltage of an intensity modulator and count, while the others carve pulses; or read a power meter behind it.

    The scan covers `span` nominal half-wave voltages on either side of 0 V at the modulator. `result` is a `BiasPoint`.
    Raises LimitError before anything is sent if a voltage is beyond the station's limits, CalibrationError if the counts follow no such modulator.
    """

    KIND = "bias"
    VALID_DAYS = 30.0
    DATA_COLUMNS: ClassVar[list[str]] = ["Drive (V)", "Light"]

    modulator = Parameter("Modulator", default="im1")
    points = IntegerParameter("Points", default=25, minimum=9, maximum=1000)
    span = FloatParameter("Span on either side, in half-wave voltages", default=1.3, minimum=1.0, maximum=4.0)
    period_s = FloatParameter("Period", units="s", default=0.2, minimum=0.01, maximum=10.0)
    intensity = FloatParameter("Photons per pulse", default=0.0085, minimum=1e-6, maximum=0.1)
    meter = Parameter("Power meter to be read instead of counting", default="")

    @property
    def element(self) -> str:
        """Return the modulator."""
        return str(self.modulator)

    def run_layout(self) -> RunLayout:
        """Return the counts and the scan."""
        unit = "W" if self.meter else "1/s"
        return RunLayout(counts={self.detector_name: 2}, tables={"bias": {"drive": "V", "light": unit, "sigma": unit}})

    def check(self) -> None:
        """Raise ParameterError for an unknown modulator or meter, LimitError for voltages that the station does not allow."""
        self.check_level(self.modulator, *self.volts()[[0, -1]])
        meters = [name for name, entry in self.instruments.station.instruments.items() if entry.wire.role == "PowerMeter"]
        if self.meter and self.meter not in meters:
            raise ParameterError(f"there is no power meter {self.meter!r}", where="BiasScan", remedy=f"There are {', '.join(meters) or 'none'}.")

    def startup(self) -> None:
        """Set pulses, with the light through two users' arms."""
        self.prepare_arms(self.intensity, *self.first_users())

    def execute(self) -> None:
        """Step through the voltages, emit each point, fit."""
        volts = self.volts()
        light, sigma = np.zeros(volts.size), np.zeros(volts.size)
        for step, drive in enumerate(volts):
            if self.should_stop():
                return
            self.hold_level(self.modulator, float(drive))
            light[step], sigma[step] = self._power() if self.meter else self._rate()
            if self.writer is not None:
                self.writer.table("bias", {"drive": drive, "light": light[step], "sigma": sigma[step]})
            self.emit("results", {"Drive (V)": float(drive), "Light": float(light[step])})
            self.emit("progress", 100.0 * (step + 1) / volts.size)
        if not self.meter and light.sum() * self.period_s < _LEAST_COUNTS:
            raise CalibrationError("too little light in the whole scan", where=self.modulator, remedy="Check laser, attenuators and detectors.")
        self.result = fit_bias(volts, light, sigma, self.carver(self.modulator).v_pi_v)
        found = self.result
        self.keep({"v_pi_v": Measured(found.v_pi_v, found.v_pi_sigma_v, "V"), "null_v": Measured(found.null_v, found.null_sigma_v, "V")})
        if self.writer is not None:
            self.writer.summary.update(asdict(found))

    def _rate(self) -> tuple[float, float]:
        photons, spread = self.light_rates(self.count(self.period_s))
        return float(photons.sum()), float(np.hypot(*spread))

    def _power(self) -> tuple[float, float]:
        """Return the mean of a few readings of the power meter (W), and its standard deviation."""
        device = cast("PowerMeter", self.instruments[self.meter])
        read = np.array([device.power_w for _ in range(_READINGS)])
        return float(read.mean()), max(float(read.std(ddof=1)) / sqrt(_READINGS), _RESOLUTION_W)

    def shutdown(self) -> None:
        """Let the modulator go."""
        self.let_go()

    def volts(self) -> Floats:
        """Return the voltages of the scan at the modulator, float64 (points,)."""
        reach = self.span * self.carver(self.modulator).v_pi_v
        return np.linspace(-reach, reach, self.points)


def fit_bias(volts: Floats, light: Floats, sigma: Floats, v_pi_guess: float) -> BiasPoint:
    """Return the modulator through a bias scan, by weighted least squares.

    volts: float (n,), at the modulator.  light, sigma: float (n,), in any unit.  v_pi_guess: where the search begins.
    Raises CalibrationError if no modulator fits, or if the scan holds no dark and no bright point.
    """
    from scipy.optimize import OptimizeWarning, curve_fit

    def law(u: Floats, peak: float, v_pi: float, null: float, er_db: float) -> Floats:
        return peak * modulator_transmission(u, abs(v_pi), bias_v=null, extinction_db=abs(er_db))

    weights = np.hypot(sigma, LASER_SIGMA * light)
    peak = float(light.max())
    starts = [(peak, scale * v_pi_guess, float(u), 25.0) for scale in (1.0, 0.8, 1.25) for u in volts[np.argsort(light)[:2]]]
    best: tuple[float, Floats, Floats] | None = None
    for start in starts:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", OptimizeWarning)
                found, covariance = curve_fit(law, volts, light, p0=start, sigma=weights, absolute_sigma=True, maxfev=4000)
        except (RuntimeError, OptimizeWarning):
            continue
        chi2 = float(np.sum(((law(volts, *found) - light) / weights) ** 2)) / (volts.size - 4)
        if best is None or chi2 < best[0]:
            best = chi2, found, np.sqrt(np.diag(covariance) * max(chi2, 1.0))
    if best is None or not _usable(best, volts):
        raise CalibrationError("the counts follow no intensity modulator", where="bias scan", remedy="Scan a wider span, with more light; check its drive.")
    chi2, (height, v_pi, null, er_db), spread = best
    v_pi = float(abs(v_pi))
    null = float((null + v_pi) % (2.0 * v_pi) - v_pi)
    return BiasPoint(v_pi, float(spread[1]), null, float(spread[2]), float(abs(er_db)), float(spread[3]), float(height), chi2)


def _usable(best: tuple[float, Floats, Floats], volts: Floats) -> bool:
    chi2, (_, v_pi, _, _), spread = best
    return sqrt(chi2) < 10.0 and float(spread[1]) < 0.1 * abs(v_pi) and abs(v_pi) < np.ptp(volts)
