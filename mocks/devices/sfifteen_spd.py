"""S-Fifteen single-photon detector: an avalanche diode on a serial line."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from ...core.errors import BadReply
from ...instruments.wire import s_fifteen as wire
from ..optics.avalanche import AMBIENT_DEGC, NOMINAL_DEGC, Diode
from ..world import World
from .base import Link, Reply

PULSE_V = 0.5
"""Height of the pulses at the comparator; a threshold above it sees nothing."""
MAX_BIAS_V = 80.0
LOWEST_DEGC, HIGHEST_DEGC = -50.0, 30.0
MAX_TIME_MS = 65_535
_COOLER_V_PER_K = 0.06


class SfifteenSpd:
    """One unit.  detector: which of the world's its diode is (0: D1, 1: D2).  in_beam: light reaches it, else it has darks only.

    Switched on without bias and warm.
    """

    def __init__(self, world: World, detector: int, *, in_beam: bool = True) -> None:
        self._world = world
        self._detector = detector
        self._in_beam = in_beam
        self._spare = Diode()
        self._questions: dict[str, Callable[[], object]] = {
            "*idn?": lambda: f"{wire.VENDOR},SPD,SPD-2611{detector + 1},1.4",
            "hvolt?": lambda: f"{self._diode.bias_v:.3f}",
            "threshvolt?": lambda: f"{self._threshold_v:.3f}",
            "temp?": lambda: f"{self._degc():.2f}",
            "settemp?": lambda: f"{self._diode.target_degc:.2f}",
            "pvolt?": lambda: f"{self._cooler_v():.3f}",
            "loop?": lambda: int(self._diode.cooled),
            "time?": lambda: self._period_ms,
            "counts?": self._count,
            "delay?": lambda: self._delay,
        }
        self._settings: dict[str, Callable[[float], None]] = {
            "hvolt": self._set_bias,
            "threshvolt": self._set_threshold,
            "settemp": self._set_target,
            "loop": self._set_loop,
            "time": self._set_time,
            "delay": self._set_delay,
        }
        self.power_cycle()

    def power_cycle(self) -> None:
        """Switch the unit off and on."""
        self._threshold_v, self._period_ms, self._delay = -0.15, 1000, 0
        self._turn(Diode(target_degc=NOMINAL_DEGC, start_ps=self._world.clock_ps))

    def link(self) -> Link:
        """Return a connection."""
        return _Line(self)

    def answer(self, command: str) -> list[Reply]:
        """Return the answer to one command; settings have none, nor has what the unit does not know."""
        word, _, argument = command.lower().partition(" ")
        if word in self._questions:
            return [Reply(f"{self._questions[word]()}{wire.LINE_END}".encode())]
        with suppress(BadReply):
            if word in self._settings:
                self._settings[word](wire.number(argument))
        return []

    @property
    def _diode(self) -> Diode:
        return self._world.diode(self._detector) if self._in_beam else self._spare

    def _turn(self, diode: Diode) -> None:
        if self._in_beam:
            self._world.set_diode(self._detector, diode)
        else:
            self._spare = diode

    def _set_bias(self, volts: float) -> None:
        if 0.0 <= volts <= MAX_BIAS_V:
            self._turn(replace(self._diode, bias_v=volts))

    def _set_threshold(self, volts: float) -> None:
        self._threshold_v = volts
        self._turn(replace(self._diode, triggers=0.0 < abs(volts) < PULSE_V))

    def _set_target(self, degc: float) -> None:
        if LOWEST_DEGC <= degc <= HIGHEST_DEGC:
            self._turn(self._diode.held(self._world.clock_ps, target_degc=degc))

    def _set_loop(self, on: float) -> None:
        if on in (0.0, 1.0):
            self._turn(self._diode.held(self._world.clock_ps, cooled=bool(on)))

    def _set_time(self, ms: float) -> None:
        if 1 <= ms <= MAX_TIME_MS:
            self._period_ms = int(ms)

    def _set_delay(self, steps: float) -> None:
        self._delay = int(steps)

    def _degc(self) -> float:
        return self._diode.degc(self._world.clock_ps)

    def _cooler_v(self) -> float:
        return max(0.0, AMBIENT_DEGC - self._degc()) * _COOLER_V_PER_K if self._diode.cooled else 0.0

    def _count(self) -> int:
        """Count for the counting time; bench time moves on by it."""
        if not self._in_beam:
            return self._world.darks(self._spare, self._detector, self._period_ms * 1e-3)
        return self._world.counts(self._world.next_epoch("counts"), 0, self._period_ms * 1e-3)[self._detector]


class _Line:
    def __init__(self, unit: SfifteenSpd) -> None:
        self._unit = unit
        self._commands = wire.CommandReader()

    def feed(self, data: bytes) -> list[Reply]:
        return [reply for command in self._commands.feed(data) for reply in self._unit.answer(command)]
