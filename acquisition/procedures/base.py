"""What the procedures of this room share."""

from __future__ import annotations

from contextlib import suppress
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray
from pymeasure.experiment import BooleanParameter, FloatParameter, IntegerParameter, Procedure

from ...core.errors import ParameterError
from ...core.physics import train_fractions
from ...instruments.station_checks import POINTS_PER_SLOT
from ..patterns import centred, gate_waveform
from ..run_writer import RunLayout, RunWriter
from ..suspend import Watch

if TYPE_CHECKING:
    from ...instruments.connect import Instruments
    from ...instruments.roles import Counts, PhotonDetector, WaveformSource
    from ...instruments.station_models import Modulator
    from ..calibrations import Calibration


_OURS = __name__.partition(".")[0]
_KINDS = {FloatParameter: "a finite number", IntegerParameter: "a whole number", BooleanParameter: "True or False"}


class CheckedProcedure(Procedure):
    """A PyMeasure procedure whose parameters are checked when it is made, and which can be made again from texts."""

    foreign: str = ""
    """Where a procedure comes from that is none of Heliograph's, such as `package acme 0.1`; empty for ours."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__()
        for name, value in parameters.items():
            where = f"{type(self).__name__}, {name} = {value!r}"
            if name not in self._parameters:
                raise ParameterError(f"there is no parameter {name!r}", where=where, remedy=f"There are {', '.join(self._parameters)}.")
            try:
                self.set_parameters({name: value})
                if isinstance(self.parameter_values()[name], float) and not isfinite(self.parameter_values()[name]):
                    raise ValueError("not finite")
            except (ValueError, TypeError) as error:
                raise ParameterError(self._refusal(name, value), where=where, remedy=self._range_of(name)) from error

    def _refusal(self, name: str, value: Any) -> str:
        """Return what is wrong with a value that a parameter did not take."""
        parameter = self._parameters[name]
        low, high = getattr(parameter, "minimum", None), getattr(parameter, "maximum", None)
        with suppress(ValueError, TypeError):
            if low is not None and float(value) < low:
                return f"{value} is less than {low:g}"
            if high is not None and float(value) > high:
                return f"{value} is more than {high:g}"
        choices = ", ".join(str(one) for one in getattr(parameter, "choices", None) or ())
        return f"{value!r} is not {_KINDS.get(type(parameter)) or (f'one of {choices}' if choices else 'a value of the right kind')}"

    def _range_of(self, name: str) -> str:
        """Return what may be given for a parameter, in words."""
        parameter = self._parameters[name]
        low, high = getattr(parameter, "minimum", None), getattr(parameter, "maximum", None)
        return f"Give a value from {low:g} to {high:g}." if low is not None and high is not None else "Give a value of the right kind."

    def as_text(self) -> dict[str, str]:
        """Return the parameters as texts from which the same procedure can be made."""
        return {name: repr(value) if isinstance(value, float) else str(value) for name, value in self.parameter_values().items()}

    def carried(self) -> dict[str, Any]:
        """Return what its constructor takes besides the parameters, so that another process can make the same procedure."""
        return {}


class BenchProcedure(CheckedProcedure):
    """A PyMeasure procedure that works on connected, armed instruments and may write a run file.

    Set `instruments`, and `writer` if the run is kept; then call `check`, `startup`, `execute` and, always, `shutdown`, in this order. A worker replaces
    `emit` and `should_stop`; without one, results are not shown and nothing stops the procedure.  Afterwards `result` holds what was found.
    """

    DATA_COLUMNS: ClassVar[list[str]] = []
    SUSPENDED_BY: ClassVar[frozenset[str]] = frozenset()
    """Metrics of the station's suspend rules for which this procedure pauses."""
    NEEDS_ARMED: ClassVar[bool | str] = False
    """Whether it needs light on biased detectors, so that it is begun on an armed bench only; or the name of its boolean parameter that says so."""
    SAFE_AFTER_ABORT: ClassVar[bool] = False
    """Whether the bench is made safe once an aborted run has been shut down and its file closed."""
    instruments: Instruments
    writer: RunWriter | None = None
    result: Any = None
    _watch: Watch | None = None
    _watched_s = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.foreign and cls.__module__.partition(".")[0] != _OURS:
            cls.foreign = f"module {cls.__module__}"

    @property
    def needs_armed(self) -> bool:
        """Say whether this run needs an armed bench."""
        rule = self.NEEDS_ARMED
        return bool(self.parameter_values().get(rule, True)) if isinstance(rule, str) else rule

    def use_calibrations(self) -> tuple[Calibration, ...]:
        """Let this run see what was measured of the station, and return the records; `instruments` must be set. Raises CalibrationError for stale ones."""
        from ..calibrated import in_use
        from ..calibrations import Calibrations

        self.instruments, records = in_use(self.instruments, Calibrations.of(self.instruments.station), measuring=self.record_name)
        return records

    @property
    def record_name(self) -> str:
        """Return the name of the calibration that this procedure makes; empty for one that makes none."""
        return ""

    def check(self) -> None:
        """Raise what makes the run impossible with these parameters on this station; `instruments` must be set. Nothing is sent, no file is written yet."""

    def run_layout(self) -> RunLayout:
        """Return the streams that the procedure writes; `instruments` must be set."""
        return RunLayout()

    def emit(self, topic: str, record: Any) -> None:
        """Show a record to whoever looks on; replaced by a worker."""

    def should_stop(self) -> bool:
        """Say whether somebody asked the procedure to stop; replaced by a worker."""
        return False

    def pause_table(self) -> dict[str, dict[str, str]]:
        """Return the table of pauses by its name, where a rule of the station may suspend this run, else nothing."""
        rules = self.instruments.station.safety.suspend
        return {"pauses": {"begin": "s", "lasted": "s"}} if any(rule.metric in self.SUSPENDED_BY for rule in rules) else {}

    def steady_counts(self, detector: str, period_s: float) -> Counts | None:
        """Count for one period in which no rule suspends the run; counts of a pause are thrown away, and the period is counted again.

        Returns None if somebody stops the run meanwhile.  Raises ConfigError for a rule on what nobody measures.
        """
        if self._watch is None:
            self._watch = Watch(self.instruments, self.SUSPENDED_BY)
        source, begun_s = cast("PhotonDetector", self.instruments[detector]), self._watched_s
        while True:
            counts = source.counts(period_s)
            self._watched_s += counts.period_s
            rates = {f"count_rate {name}": float(n) / counts.period_s for name, n in zip(("D1", "D2"), counts.n, strict=False)}
            change = self._watch.look(self._watched_s, rates)
            if change is not None:
                if self.writer is not None:
                    self.writer.event("warning" if change.paused else "info", "suspend", f"{'suspended' if change.paused else 'goes on'}: {change.why}")
                self.emit("suspended", change.why if change.paused else "")
            if not self._watch.suspender.paused:
                if self._watched_s - begun_s > 1.5 * counts.period_s and self.writer is not None:
                    self.writer.table("pauses", {"begin": begun_s, "lasted": self._watched_s - begun_s - counts.period_s})
                return counts
            if self.should_stop():
                return None

    def hold_phase(self, user: str, phase_rad: float) -> None:
        """Make a user shift the clockwise train by a constant phase, by the nominal half-wave voltage of the station."""
        modulator = self._modulator(user)
        self.load_phases(user, gate_waveform([phase_rad], self._fraction(user), modulator.v_pi_v, modulator.gain, POINTS_PER_SLOT))

    def hold_volts(self, user: str, volts: float) -> None:
        """Hold a constant difference of the generator's voltage between a user's clockwise gate and the rest of the slot.

        One half of it stands in the gate, the other with opposite sign elsewhere: only the difference shifts the trains against each other, and the generator
        reaches twice as far.
        """
        volts_by_point = np.full(POINTS_PER_SLOT, -volts / 2.0)
        volts_by_point[int(self._fraction(user) * POINTS_PER_SLOT)] = volts / 2.0
        self.load_phases(user, volts_by_point)

    def modulate(self, user: str, on: bool) -> None:
        """Switch the output of a user's phase modulator."""
        self._source(user).output(self._modulator(user).channel, on)

    def _modulator(self, user: str) -> Modulator:
        optics = self.instruments.station.optics
        return optics.modulators[optics.users[user].pm]

    def train_fractions(self, user: str) -> tuple[float, float]:
        """Return where in the slot, 0 to 1, the clockwise and the other train pass a user's modulator: as a delay scan found, else by the distances."""
        station, found = self.instruments.station, self._modulator(user).trains_s
        if found is None:
            return train_fractions(station.optics.users[user].distance_m, station.optics.loop.length_m, station.clock.slot_s)
        return found[0] / station.clock.slot_s % 1.0, found[1] / station.clock.slot_s % 1.0

    def _fraction(self, user: str) -> float:
        return self.train_fractions(user)[0]

    def load_phases(self, user: str, volts: NDArray[np.float64]) -> None:
        """Load a waveform into a user's generator; only differences within the slot matter, so it may be shifted as a whole."""
        self._source(user).load(self._modulator(user).channel, centred(volts)[0], POINTS_PER_SLOT * self.instruments.station.clock.rep_rate_hz)

    def _source(self, user: str) -> WaveformSource:
        return cast("WaveformSource", self.instruments[self._modulator(user).instrument])

    def check_pair(self, name: str) -> None:
        """Raise ParameterError if the station has no pair of this name."""
        pairs = self.instruments.station.pairs
        if name not in pairs:
            raise ParameterError(f"there is no pair {name!r}", where=type(self).__name__, remedy=f"Pairs are {', '.join(pairs)}.")

    def _user(self, name: str) -> str:
        users = self.instruments.station.optics.users
        if name not in users:
            raise ParameterError(f"there is no user {name!r}", where=type(self).__name__, remedy=f"Users are {', '.join(users)}.")
        return name
