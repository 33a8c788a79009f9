"""Phase scan of one user: half-wave voltage of its modulator and visibility of the interference."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymeasure.experiment import FloatParameter, IntegerParameter, Parameter

from ...core.errors import LimitError, ParameterError
from ..calibration import fit_fringe
from ..calibrations import Measured
from ..light import named, prepare_light
from ..run_writer import RunLayout
from .calibrating import CalibrationProcedure

if TYPE_CHECKING:
    from ...instruments.roles import Counts


class PhaseScan(CalibrationProcedure):
    """Step the voltage in a user's clockwise gate, against the rest of the slot, and count.

    The scan covers `span` nominal half-wave voltages, centred on zero. The partner's arm closes the interferometer and stays unmodulated.
    `result` is a `Fringe`. Raises LimitError before anything is sent if a voltage is beyond the station's limits, CalibrationError if there is no fringe.
    """

    KIND = "fringe"
    VALID_DAYS = 30.0
    DATA_COLUMNS: ClassVar[list[str]] = ["Drive (V)", "D1 (1/s)", "D2 (1/s)"]
    SUSPENDED_BY = frozenset({"power", "temperature"})

    user = Parameter("User", default="A")
    partner = Parameter("Partner", default="B")
    points = IntegerParameter("Points", default=25, minimum=8, maximum=1000)
    span = FloatParameter("Span in half-wave voltages", default=2.2, minimum=1.5, maximum=10.0)
    period_s = FloatParameter("Period", units="s", default=0.1, minimum=0.01, maximum=10.0)
    intensity = FloatParameter("Photons per pulse", default=0.0085, minimum=1e-6, maximum=0.5)

    @property
    def element(self) -> str:
        """Return the user's phase modulator."""
        return str(self.instruments.station.optics.users[self._user(self.user)].pm)

    def run_layout(self) -> RunLayout:
        """Return the count record and the fringe."""
        detector = named(self.instruments.station, "PhotonDetector")[0]
        return RunLayout(counts={detector: 2}, tables={"fringe": {"drive": "V", "d1": "1/s", "d2": "1/s"}, **self.pause_table()})

    def check(self) -> None:
        """Raise ParameterError for users that are unknown or one and the same, LimitError for voltages that the station does not allow."""
        if self._user(self.user) == self._user(self.partner):
            raise ParameterError("user and partner are the same", where="PhaseScan", remedy="Name two users.")
        self.volts()

    def startup(self) -> None:
        """Set the light, and switch the user's modulator on at 0 V."""
        users = self.instruments.station.optics.users
        arm = max(self.least_loss_db(self.user), self.least_loss_db(self.partner))
        prepare_light(self.instruments, self.intensity, {self.user: arm, self.partner: arm})
        for other in users:
            self.modulate(other, False)
        self.hold_volts(self.user, 0.0)
        self.modulate(self.user, True)

    def execute(self) -> None:
        """Step through the voltages, emit each point, fit."""
        station = self.instruments.station
        name = named(station, "PhotonDetector")[0]
        taken: list[Counts] = []
        volts = self.volts()
        for step, drive in enumerate(volts):
            if self.should_stop():
                return
            self.hold_volts(self.user, float(drive))
            counts = self.steady_counts(name, self.period_s)
            if counts is None:
                return
            taken.append(counts)
            rates = counts.n / counts.period_s
            if self.writer is not None:
                self.writer.counts(name, counts)
                self.writer.table("fringe", {"drive": drive, "d1": rates[0], "d2": rates[1]})
            self.emit("results", {"Drive (V)": float(drive), "D1 (1/s)": float(rates[0]), "D2 (1/s)": float(rates[1])})
            self.emit("progress", 100.0 * (step + 1) / len(volts))
        site = station.optics.site
        gain = self._modulator(self.user).gain
        counted, period_s = np.stack([counts.n for counts in taken]), taken[0].period_s
        self.result = fit_fringe(volts, counted, period_s, gain=gain, dead_time_s=site.dead_time_s, dark_hz=site.dark_hz)
        found = self.result
        self.keep({"v_pi_v": Measured(found.v_pi_v, found.v_pi_sigma_v, "V"), "visibility": Measured(found.visibility, found.visibility_sigma, "1")})
        if self.writer is not None:
            self.writer.summary.update(asdict(found))

    def shutdown(self) -> None:
        """Switch the modulator off again."""
        if self.user in self.instruments.station.optics.users:
            self.modulate(self.user, False)

    def volts(self) -> NDArray[np.float64]:
        """Return the voltages of the scan, gate against the rest of the slot, float64 (points,). Raises LimitError if the station does not allow them."""
        station = self.instruments.station
        modulator = self._modulator(self.user)
        reach = self.span / 2.0 * modulator.v_pi_v / modulator.gain
        limits = station.instruments[modulator.instrument].rules.limits.volts_v
        if limits is not None and not limits[0] <= -reach / 2.0 <= reach / 2.0 <= limits[1]:
            raise LimitError(
                f"the scan needs {-reach / 2.0:.2f} to {reach / 2.0:.2f} V, allowed are {limits[0]:.2f} to {limits[1]:.2f} V. Nothing was sent",
                where=modulator.instrument,
                remedy="Scan a smaller span.",
            )
        return np.linspace(-reach, reach, self.points)
