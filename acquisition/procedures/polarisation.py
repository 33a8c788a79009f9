"""Polarisation optimisation: the paddle angles at which the two trains interfere best."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import radians, sqrt
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
from pymeasure.experiment import FloatParameter, IntegerParameter, Parameter

from ...core.errors import CalibrationError, ParameterError
from ...core.physics import Floats
from ..calibrations import Measured
from ..light import named
from ..run_writer import RunLayout
from .calibrating import CalibrationProcedure

if TYPE_CHECKING:
    from ...instruments.roles import PolarisationController

_LEAST_POINTS = 7
_FINE = 721


@dataclass(frozen=True, slots=True)
class Polarised:
    """Where the paddles were left, read back, and the visibility there and at the start, with standard deviations.

    angle_sigma_deg: by how much a paddle can be off before it shows in one count.  sweeps: how often all paddles were tried.
    """

    angles_deg: tuple[float, ...]
    angle_sigma_deg: tuple[float, ...]
    visibility: float
    visibility_sigma: float
    start_visibility: float
    sweeps: int


class PolarisationScan(CalibrationProcedure):
    """Turn one paddle after the other to where the contrast between the detectors is largest, until nothing is gained any more.

    No user modulates, so the contrast is the visibility. Behind a retarding paddle at angle a its square is a sum of sines of 2a and 4a: a few angles tell
    where it is largest. The paddles stay at the best angles. `result` is a `Polarised`. Raises CalibrationError if no light arrives.
    """

    KIND = "polarisation"
    VALID_DAYS = 1.0
    DATA_COLUMNS: ClassVar[list[str]] = ["Paddle", "Angle (deg)", "Visibility"]

    controller = Parameter("Polarisation controller", default="")
    points = IntegerParameter("Angles of a paddle", default=9, minimum=_LEAST_POINTS, maximum=100)
    sweeps = IntegerParameter("Sweeps, at most", default=6, minimum=1, maximum=50)
    gain = FloatParameter("Smallest gain in visibility that is worth another sweep", default=0.002, minimum=1e-5, maximum=0.5)
    period_s = FloatParameter("Period", units="s", default=0.05, minimum=0.01, maximum=10.0)
    final_s = FloatParameter("Period of the last count", units="s", default=1.0, minimum=0.01, maximum=60.0)
    intensity = FloatParameter("Photons per pulse", default=0.0085, minimum=1e-6, maximum=0.1)

    @property
    def element(self) -> str:
        """Return the polarisation controller, by default the station's first."""
        return str(self.controller or named(self.instruments.station, "PolarisationController")[0])

    def run_layout(self) -> RunLayout:
        """Return the counts and every angle tried."""
        columns = {"paddle": "1", "angle": "deg", "visibility": "1", "sigma": "1"}
        return RunLayout(counts={self.detector_name: 2}, tables={"polarisation": columns})

    def check(self) -> None:
        """Raise ParameterError for an unknown controller, ConfigError if the station has none."""
        there = named(self.instruments.station, "PolarisationController")
        if self.element not in there:
            raise ParameterError(f"there is no polarisation controller {self.element!r}", where="PolarisationScan", remedy=f"There are {', '.join(there)}.")

    def startup(self) -> None:
        """Set pulses through two users' arms, unmodulated."""
        self.prepare_arms(self.intensity, *self.first_users())

    def execute(self) -> None:
        """Sweep over the paddles until nothing is gained; then count longer."""
        device = self._device()
        start, _ = self._visibility(0, float(device.angles_deg[0]), self.period_s)
        best, spreads, sweep = start, [float("nan")] * len(device.angles_deg), 0
        for sweep in range(1, self.sweeps + 1):
            before = best
            for paddle in range(len(device.angles_deg)):
                if self.should_stop():
                    return
                best, spreads[paddle] = self._best_of(paddle)
            self.emit("progress", 100.0 * sweep / (self.sweeps + 1))
            if best - before < self.gain and sweep > 1:
                break
        visibility, sigma = self._visibility(0, float(device.angles_deg[0]), self.final_s)
        angles = tuple(float(angle) for angle in device.angles_deg)
        self.result = Polarised(angles, tuple(spreads), visibility, sigma, start, sweep)
        values = {f"angle_{k}_deg": Measured(angle, spread, "deg") for k, (angle, spread) in enumerate(zip(angles, spreads, strict=True), start=1)}
        self.keep({"visibility": Measured(visibility, sigma, "1"), **values})
        if self.writer is not None:
            self.writer.summary.update(asdict(self.result))

    def _device(self) -> PolarisationController:
        return cast("PolarisationController", self.instruments[self.element])

    def _best_of(self, paddle: int) -> tuple[float, float]:
        """Bring one paddle to its best angle; return the visibility there by the fit, and by how much the angle can be off."""
        low, high = self._device().range_deg
        angles, found, sigmas = [], [], []
        for asked in np.linspace(low, high, self.points):
            angles.append(self._turn(paddle, float(asked)))
            visibility, sigma = self._visibility(paddle, angles[-1], self.period_s)
            found.append(visibility)
            sigmas.append(sigma)
        angle, visibility, spread = best_angle(np.array(angles), np.array(found), np.array(sigmas), (low, high))
        self._turn(paddle, angle)
        return visibility, spread

    def _turn(self, paddle: int, angle_deg: float) -> float:
        """Move a paddle and return where it stands."""
        self._device().move(paddle, angle_deg)
        return float(self._device().angles_deg[paddle])

    def _visibility(self, paddle: int, angle_deg: float, period_s: float) -> tuple[float, float]:
        photons, spread = self.light_rates(self.count(period_s))
        efficiency = np.asarray(self.instruments.station.optics.site.eta)
        first, second = photons / efficiency
        total = float(first + second)
        if not total > 0.0:
            raise CalibrationError("no light arrives", where=self.detector_name, remedy="Check laser, attenuators and detectors.")
        sigma = max(2.0 * float(np.hypot(*(spread / efficiency * (second, first)))) / total**2, 1e-5)
        found = float(first - second) / total
        if self.writer is not None:
            self.writer.table("polarisation", {"paddle": paddle + 1, "angle": angle_deg, "visibility": found, "sigma": sigma})
        self.emit("results", {"Paddle": paddle + 1, "Angle (deg)": angle_deg, "Visibility": found})
        return found, sigma


def best_angle(angles_deg: Floats, visibility: Floats, sigma: Floats, range_deg: tuple[float, float]) -> tuple[float, float, float]:
    """Return the angle of one paddle at which the visibility is largest, the visibility there by the fit, and how far off shows in one count (deg).

    angles_deg, visibility, sigma: float (n,), n of at least 7.  range_deg: what the paddle can do.
    visibility^2 = c0 + c1 cos 2a + c2 sin 2a + c3 cos 4a + c4 sin 4a, for the overlap of two polarisations behind a retarder at angle a.
    """
    if angles_deg.size < _LEAST_POINTS:
        raise ParameterError(f"{angles_deg.size} angles, {_LEAST_POINTS} are needed", where="polarisation")
    squared = np.sign(visibility) * visibility**2
    weights = 1.0 / np.maximum(2.0 * np.abs(visibility) * sigma, 1e-3)
    design = _harmonics(angles_deg)
    values, *_ = np.linalg.lstsq(design * weights[:, None], squared * weights, rcond=None)
    fine = np.linspace(*range_deg, _FINE)
    curve = _harmonics(fine) @ values
    top = int(np.argmax(curve))
    step = radians(fine[1] - fine[0])
    bend = abs(float(np.gradient(np.gradient(curve, step), step)[min(max(top, 2), _FINE - 3)]))
    spread = float(np.degrees(sqrt(2.0 * 2.0 * float(np.median(sigma)) / max(bend, 1e-3))))
    return float(fine[top]), float(sqrt(max(curve[top], 0.0))), spread


def _harmonics(angles_deg: Floats) -> Floats:
    a = np.radians(angles_deg)
    return np.stack((np.ones_like(a), np.cos(2 * a), np.sin(2 * a), np.cos(4 * a), np.sin(4 * a)), axis=1)
