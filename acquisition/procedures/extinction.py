"""Extinction ratio of an intensity modulator: its brightest against its darkest, long enough to see the dark one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import log, log10, sqrt
from typing import ClassVar

from pymeasure.experiment import FloatParameter, Parameter

from ...core.errors import CalibrationError
from ..calibrations import Measured
from ..run_writer import RunLayout
from .calibrating import LASER_SIGMA, CalibrationProcedure

_LEAST_SIGNIFICANCE = 5.0


@dataclass(frozen=True, slots=True)
class ExtinctionRatio:
    """er_db: brightest over darkest, with its standard deviation.  bright_hz, dark_hz: rates of detected photons.  counter_dark_hz: clicks without light."""

    er_db: float
    er_sigma_db: float
    bright_hz: float
    dark_hz: float
    counter_dark_hz: float


class Extinction(CalibrationProcedure):
    """Count with an intensity modulator at its brightest, at its darkest, and without light.

    The voltages are the station's, or those of a bias scan that is valid. `result` is an `ExtinctionRatio`.
    Raises CalibrationError if the darkest light cannot be told from none: then the ratio is larger than this light can show.
    """

    KIND = "extinction"
    VALID_DAYS = 90.0
    DATA_COLUMNS: ClassVar[list[str]] = ["Drive (V)", "Rate (1/s)"]

    modulator = Parameter("Modulator", default="im1")
    bright_s = FloatParameter("Count at the brightest", units="s", default=1.0, minimum=0.01, maximum=10.0)
    dark_s = FloatParameter("Count at the darkest", units="s", default=10.0, minimum=0.1, maximum=60.0)
    intensity = FloatParameter("Photons per pulse", default=0.0085, minimum=1e-6, maximum=0.1)

    @property
    def element(self) -> str:
        """Return the modulator."""
        return str(self.modulator)

    def run_layout(self) -> RunLayout:
        """Return the counts and the three levels."""
        return RunLayout(counts={self.detector_name: 2}, tables={"extinction": {"drive": "V", "lit": "1", "rate": "1/s", "sigma": "1/s"}})

    def check(self) -> None:
        """Raise ParameterError for an unknown modulator, LimitError for voltages that the station does not allow."""
        self.check_level(self.modulator, *self.levels())

    def levels(self) -> tuple[float, float]:
        """Return the voltages of the brightest and of the darkest point, at the modulator."""
        found = self.carver(self.modulator)
        return found.null_v + found.v_pi_v, found.null_v

    def startup(self) -> None:
        """Set pulses, with the light through two users' arms."""
        self.prepare_arms(self.intensity, *self.first_users())

    def execute(self) -> None:
        """Count three times, emit each level, divide."""
        bright_v, null_v = self.levels()
        bright, bright_sigma = self._level(bright_v, self.bright_s, lit=True)
        low, low_sigma = self._level(null_v, self.dark_s, lit=True)
        self.darken()
        none, none_sigma = self._level(null_v, self.dark_s, lit=False)
        light, spread = low - none, sqrt(low_sigma**2 + none_sigma**2)
        if not light > _LEAST_SIGNIFICANCE * spread or bright <= none:
            raise CalibrationError(
                f"{low:.1f} clicks a second at the darkest and {none:.1f} without light cannot be told apart",
                where=self.modulator,
                remedy="Count longer, or send more light.",
            )
        bright -= none
        relative = sqrt((bright_sigma / bright) ** 2 + (spread / light) ** 2 + 2.0 * LASER_SIGMA**2)
        self.result = ExtinctionRatio(10.0 * log10(bright / light), 10.0 / log(10.0) * relative, bright, light, none)
        self.keep({"er_db": Measured(self.result.er_db, self.result.er_sigma_db, "dB")})
        if self.writer is not None:
            self.writer.summary.update(asdict(self.result))

    def _level(self, volts: float, period_s: float, *, lit: bool) -> tuple[float, float]:
        """Return the rate of detected photons at a voltage, dark counts included, and its standard deviation."""
        self.hold_level(self.modulator, volts)
        photons, spread = self.light_rates(self.count(period_s), dark=False)
        rate, sigma = float(photons.sum()), float((spread**2).sum() ** 0.5)
        if self.writer is not None:
            self.writer.table("extinction", {"drive": volts, "lit": float(lit), "rate": rate, "sigma": sigma})
        self.emit("results", {"Drive (V)": volts, "Rate (1/s)": rate})
        return rate, sigma

    def shutdown(self) -> None:
        """Let the modulator go."""
        self.let_go()
