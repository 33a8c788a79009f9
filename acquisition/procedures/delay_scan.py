"""Delay scan of a user's phase modulator: when within the slot the two trains of light pass it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import pi, sqrt
from typing import ClassVar

import numpy as np
from pymeasure.experiment import FloatParameter, IntegerParameter, Parameter

from ...core.errors import CalibrationError, ParameterError
from ...core.physics import Floats
from ..calibrations import Measured
from ..run_writer import RunLayout
from .calibrating import CalibrationProcedure

_WIDTHS_S = (1e-12, 10e-12, 30e-12, 100e-12, 200e-12, 400e-12)
_STEP_S = 2e-12
_LEAST_CONTRAST = 0.3


@dataclass(frozen=True, slots=True)
class Delays:
    """When the clockwise and the counter-clockwise train pass the modulator, after the beginning of the generator's slot, with standard deviations.

    contrast: by how much the contrast between the detectors changes when the gate meets a train, 1 for perfect interference.
    """

    clockwise_s: float
    clockwise_sigma_s: float
    counter_s: float
    counter_sigma_s: float
    contrast: float


class DelayScan(CalibrationProcedure):
    """Move a short gate through the slot and watch the contrast between the detectors.

    The partner holds a quarter of a turn. The gate adds another one on the clockwise train, which lights D2 alone, or takes it away on the other, which lights
    D1 alone; elsewhere both stay alike. Gates of several lengths are used, so that their edges fall on different places. `result` is a `Delays`.
    Raises CalibrationError if a train is not met.
    """

    KIND = "delay"
    VALID_DAYS = 90.0
    DATA_COLUMNS: ClassVar[list[str]] = ["Gate centre (ns)", "Contrast"]

    user = Parameter("User", default="A")
    partner = Parameter("Partner", default="B")
    finest = IntegerParameter("Gates in a slot, at most", default=25, minimum=12, maximum=200)
    passes = IntegerParameter("Passes, each with one gate less in the slot", default=3, minimum=1, maximum=8)
    period_s = FloatParameter("Period", units="s", default=0.02, minimum=0.01, maximum=10.0)
    intensity = FloatParameter("Photons per pulse", default=0.0085, minimum=1e-6, maximum=0.1)

    @property
    def element(self) -> str:
        """Return the user's phase modulator."""
        return str(self.instruments.station.optics.users[self._user(self.user)].pm)

    def run_layout(self) -> RunLayout:
        """Return the counts and the scan."""
        columns = {"begin": "s", "width": "s", "contrast": "1", "sigma": "1"}
        return RunLayout(counts={self.detector_name: 2}, tables={"delay": columns})

    def check(self) -> None:
        """Raise ParameterError for users that are unknown or one and the same, or for gates that the generator is too slow for."""
        if self._user(self.user) == self._user(self.partner):
            raise ParameterError("user and partner are the same", where="DelayScan", remedy="Name two users.")
        most = int(self._source(self.user).max_rate_hz / self.instruments.station.clock.rep_rate_hz)
        if most - self.passes < 8:
            raise ParameterError(f"the generator makes {most} points in a slot", where="DelayScan", remedy="Make fewer passes.")
        self._finest = min(self.finest, most)

    def startup(self) -> None:
        """Set pulses; the partner holds a quarter of a turn."""
        self.prepare_arms(self.intensity, self.user, self.partner)
        self.hold_phase(self.partner, pi / 2.0)
        self.modulate(self.partner, True)
        self._load_gate(0, self._finest)
        self.modulate(self.user, True)

    def execute(self) -> None:
        """Step through the gates of each pass, emit each point, find both trains."""
        slot_s = self.instruments.station.clock.slot_s
        rows: list[tuple[float, float, float, float]] = []
        gates = [(place, count) for count in range(self._finest, self._finest - self.passes, -1) for place in range(count)]
        for step, (place, count) in enumerate(gates):
            if self.should_stop():
                return
            self._load_gate(place, count)
            contrast, sigma = self._contrast()
            rows.append((place * slot_s / count, slot_s / count, contrast, sigma))
            if self.writer is not None:
                self.writer.table("delay", dict(zip(("begin", "width", "contrast", "sigma"), rows[-1], strict=True)))
            self.emit("results", {"Gate centre (ns)": (rows[-1][0] + rows[-1][1] / 2.0) * 1e9, "Contrast": contrast})
            self.emit("progress", 100.0 * (step + 1) / len(gates))
        begin, width, contrasts, sigmas = (np.array(column) for column in zip(*rows, strict=True))
        self.result = find_delays(begin, width, contrasts, sigmas, slot_s)
        found = self.result
        values = {"clockwise_s": Measured(found.clockwise_s, found.clockwise_sigma_s, "s"), "counter_s": Measured(found.counter_s, found.counter_sigma_s, "s")}
        self.keep(values)
        if self.writer is not None:
            self.writer.summary.update(asdict(found))

    def shutdown(self) -> None:
        """Switch both modulators off again."""
        for user in (self.user, self.partner):
            if user in self.instruments.station.optics.users:
                self.modulate(user, False)

    def _load_gate(self, place: int, count: int) -> None:
        """Apply a quarter of a turn in one of `count` equal parts of the slot."""
        modulator = self._modulator(self.user)
        volts = np.zeros(count)
        volts[place] = modulator.v_pi_v / 2.0 / modulator.gain
        self._source(self.user).load(modulator.channel, volts, count * self.instruments.station.clock.rep_rate_hz)

    def _contrast(self) -> tuple[float, float]:
        photons, spread = self.light_rates(self.count(self.period_s))
        efficiency = np.asarray(self.instruments.station.optics.site.eta)
        first, second = photons / efficiency
        total = first + second
        if not total > 0.0:
            raise CalibrationError("no light arrives", where=self.detector_name, remedy="Check laser, attenuators and detectors.")
        sigma = 2.0 * float(np.hypot(*(spread / efficiency * (second, first)))) / total**2
        return float((first - second) / total), max(sigma, 1e-3)


def find_delays(begin_s: Floats, width_s: Floats, contrast: Floats, sigma: Floats, slot_s: float) -> Delays:
    """Return when the trains pass, by the gates that met them.

    begin_s, width_s: float (n,), of each gate in the slot; they may wrap.  contrast, sigma: float (n,), -1 on the clockwise train, +1 on the other.
    A train that passes at time x with pulses of rms width w gives the share of its pulse inside the gate; x and w have every value on a grid, weighted by
    exp(-chi2 / 2), and mean and standard deviation are those of x.  Raises CalibrationError if no gate met a train.
    """
    clockwise = _passing(begin_s, width_s, np.maximum(-contrast, 0.0), sigma, slot_s, "clockwise")
    counter = _passing(begin_s, width_s, np.maximum(contrast, 0.0), sigma, slot_s, "counter-clockwise")
    return Delays(*clockwise, *counter, float(np.ptp(contrast) / 2.0))


def _passing(begin: Floats, width: Floats, seen: Floats, sigma: Floats, slot_s: float, train: str) -> tuple[float, float]:
    from scipy.special import ndtr

    height = float(seen.max())
    if height < _LEAST_CONTRAST:
        raise CalibrationError(f"no gate met the {train} train", where="delay scan", remedy="Check that the generator drives the modulator, and the light.")
    # Around the brightest gate, so that the end of the slot is no edge.
    brightest = float(begin[int(np.argmax(seen))])
    lower = (begin - brightest + slot_s / 2.0) % slot_s - slot_s / 2.0
    times = np.arange(-2.0, 2.0, 1e-3) * float(width.max())
    weight = np.zeros(times.size)
    least = np.inf
    chi2_of = []
    for pulse in _WIDTHS_S:
        share = sum(ndtr((lower + width + turn - times[:, None]) / pulse) - ndtr((lower + turn - times[:, None]) / pulse) for turn in (-slot_s, 0.0, slot_s))
        chi2_of.append(np.sum(((seen - height * share) / np.maximum(sigma, 0.02)) ** 2, axis=1))
        least = min(least, float(chi2_of[-1].min()))
    for chi2 in chi2_of:
        weight += np.exp(-(chi2 - least) / 2.0)
    weight /= weight.sum()
    mean = float((weight * times).sum())
    spread = sqrt(max(float((weight * (times - mean) ** 2).sum()), _STEP_S**2 / 12.0))
    return (brightest + mean) % slot_s, spread
