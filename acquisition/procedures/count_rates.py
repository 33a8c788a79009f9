"""Count rates of both detectors, with the light of a pair or in the dark."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import radians
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymeasure.experiment import BooleanParameter, FloatParameter, Parameter

from ...core.errors import DeviceFault, ParameterError
from ..light import expected_rates_hz, named, prepare_light
from ..run_writer import RunLayout
from .base import BenchProcedure

_LEAST_SHARE = 0.05
_LEAST_DARKS = 20.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Mean count rates (1/s) of D1 and D2, their standard deviations from counting statistics, and what the station's numbers predict."""

    d1_hz: float
    d2_hz: float
    d1_sigma_hz: float
    d2_sigma_hz: float
    d1_expected_hz: float
    d2_expected_hz: float
    duration_s: float


class CountRates(BenchProcedure):
    """Measure count rates for a while.

    With light, the first user of the pair holds a constant phase, so that both detectors are lit. `result` is a `Rates`.
    Rules of the station on power, temperature and count rates suspend it.
    Raises DeviceFault if a detector stays (almost) silent.
    """

    DATA_COLUMNS: ClassVar[list[str]] = ["Time (s)", "D1 (1/s)", "D2 (1/s)"]
    SUSPENDED_BY = frozenset({"power", "temperature", "count_rate"})
    NEEDS_ARMED = "light"

    duration_s = FloatParameter("Duration", units="s", default=1.0, minimum=0.01, maximum=1e5)
    period_s = FloatParameter("Period", units="s", default=0.1, minimum=0.01, maximum=10.0)
    pair = Parameter("Pair", default="A-B")
    light = BooleanParameter("Light", default=True)
    phase_deg = FloatParameter("Phase", units="deg", default=90.0, minimum=-180.0, maximum=180.0)

    def run_layout(self) -> RunLayout:
        """Return the one count record."""
        return RunLayout(counts={named(self.instruments.station, "PhotonDetector")[0]: 2}, tables=self.pause_table())

    def check(self) -> None:
        """Raise ParameterError for an unknown pair, and for a period that takes longer than all of it may."""
        self.check_pair(self.pair)
        if self.period_s > self.duration_s:
            message = f"one count of {self.period_s:g} s takes longer than the duration of {self.duration_s:g} s"
            raise ParameterError(message, where="CountRates", remedy="Give a shorter period, or a longer duration.")

    def startup(self) -> None:
        """Set the light of the pair, or leave the bench as it is."""
        station = self.instruments.station
        if self.light:
            users = self.pair.split("-")
            prepare_light(self.instruments, station.pairs[self.pair].mu, dict.fromkeys(users, station.pairs[self.pair].arm_loss_db))
            self.hold_phase(users[0], radians(self.phase_deg))
            self.modulate(users[0], True)

    def execute(self) -> None:
        """Count period after period; emit each rate."""
        name = named(self.instruments.station, "PhotonDetector")[0]
        steps = max(1, round(self.duration_s / self.period_s))
        total, taken, elapsed = np.zeros(2, np.int64), 0, 0.0
        while taken < steps and not self.should_stop():
            counts = self.steady_counts(name, self.period_s)
            if counts is None:
                break
            total, taken, elapsed = total + counts.n, taken + 1, elapsed + counts.period_s
            if self.writer is not None:
                self.writer.counts(name, counts)
            rates = counts.n / counts.period_s
            self.emit("results", {"Time (s)": elapsed, "D1 (1/s)": float(rates[0]), "D2 (1/s)": float(rates[1])})
            self.emit("progress", 100.0 * taken / steps)
        if taken:
            self._conclude(name, total, elapsed)

    def shutdown(self) -> None:
        """Switch the modulator off again."""
        if self.light and self.pair in self.instruments.station.pairs:
            self.modulate(self.pair.split("-")[0], False)

    def _conclude(self, name: str, total: NDArray[np.int64], elapsed: float) -> None:
        expected = self._expected()
        for k, detector in enumerate(("D1", "D2")):
            if expected[k] * elapsed > _LEAST_DARKS and total[k] < _LEAST_SHARE * expected[k] * elapsed:
                raise DeviceFault(
                    f"{detector} gave {int(total[k])} counts in {elapsed:.2f} s, about {expected[k] * elapsed:.0f} are expected",
                    where=name,
                    remedy="Check its cable, its bias, and the light.",
                )
        rate, spread = total / elapsed, np.sqrt(np.maximum(total, 1)) / elapsed
        self.result = Rates(float(rate[0]), float(rate[1]), float(spread[0]), float(spread[1]), float(expected[0]), float(expected[1]), elapsed)
        if self.writer is not None:
            self.writer.summary.update(asdict(self.result))

    def _expected(self) -> tuple[Any, Any]:
        station = self.instruments.station
        if not self.light:
            return station.optics.site.dark_hz
        return expected_rates_hz(station, station.pairs[self.pair].mu, station.pairs[self.pair].arm_loss_db, radians(self.phase_deg))
