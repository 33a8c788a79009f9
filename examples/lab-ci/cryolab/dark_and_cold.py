"""Dark counts beside the temperature of the cryostat."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from pymeasure.experiment import FloatParameter, IntegerParameter

from heliograph.acquisition.light import named
from heliograph.acquisition.procedures.base import BenchProcedure
from heliograph.acquisition.run_writer import RunLayout


@dataclass(frozen=True, slots=True)
class Cold:
    """Mean dark count rates (1/s) of D1 and D2, and mean and spread (K) of the temperature meanwhile."""

    d1_hz: float
    d2_hz: float
    temperature_k: float
    spread_k: float


class DarkAndCold(BenchProcedure):
    """Count in the dark and read the cryostat's temperature after each count. `result` is a `Cold`."""

    DATA_COLUMNS: ClassVar[list[str]] = ["Temperature (K)", "D1 (1/s)", "D2 (1/s)"]

    readings = IntegerParameter("Readings", default=10, minimum=2, maximum=100_000)
    period_s = FloatParameter("Period", units="s", default=0.5, minimum=0.01, maximum=10.0)

    def run_layout(self) -> RunLayout:
        """Return the one table."""
        return RunLayout(tables={"cold": {"temperature": "K", "d1": "1/s", "d2": "1/s"}})

    def check(self) -> None:
        """Raise an error where the station has no thermometer or no detectors."""
        for role in ("Thermometer", "PhotonDetector"):
            named(self.instruments.station, role)

    def startup(self) -> None:
        """Switch the light off."""
        for laser in (one for one in self.instruments.values() if one.role == "Laser"):
            laser.emission = False

    def execute(self) -> None:
        """Count and read in turn."""
        station = self.instruments.station
        detector, thermometer = (self.instruments[named(station, role)[0]] for role in ("PhotonDetector", "Thermometer"))
        rows = []
        while len(rows) < self.readings and not self.should_stop():
            counts = detector.counts(self.period_s)
            rows.append((thermometer.temperature_k, *(counts.n / counts.period_s)))
            if self.writer is not None:
                self.writer.table("cold", dict(zip(("temperature", "d1", "d2"), rows[-1], strict=True)))
            self.emit("results", dict(zip(self.DATA_COLUMNS, rows[-1], strict=True)))
            self.emit("progress", 100.0 * len(rows) / self.readings)
        kelvin, d1, d2 = np.array(rows).T
        self.result = Cold(float(d1.mean()), float(d2.mean()), float(kelvin.mean()), float(kelvin.std()))
        if self.writer is not None:
            self.writer.summary.update(asdict(self.result))
