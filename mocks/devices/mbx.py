"""Thorlabs MBX on a serial line: the bias of one modulator of the line, and one variable attenuator."""

from __future__ import annotations

from collections.abc import Callable
from math import log10

from ...instruments.wire import mbx as wire
from ...instruments.wire.mbx import HIGHEST_DB, LOWEST_DB, MOST_BIAS_V, BiasMode
from ...instruments.wire.oz import CommandReader
from ..optics.bias import Bias
from ..optics.drift import Walk
from ..randomness import Seeds
from ..world import World
from .base import Link, Reply

IDENTITY = "Thorlabs,MBX3,M2611001,1.4"
CALIBRATING_QUESTIONS = 2
"""How often a unit answers that it calibrates; bench time stands meanwhile."""
NEAR_V = 0.1
NEAR_DB = 0.1
LAMPS = {"POWER": 1, "RED": 50, "GREEN": 50, "BLUE": 50, "WHITE": 50}
MOST_DEVIATION = 0.0025
"""Largest share by which the attenuation differs from its set-point."""


class Refused(Exception):
    """A command means nothing, or asks for what cannot be; a unit is silent then."""


class Mbx:
    """One unit.

    name, role: of its instrument on the bench, `BiasController` or `Attenuator`; the other joins by `serve`. The modulator that names the one as its `bias` is
    held by it.  Its bias is off and its attenuator at the maximum when the bench is switched on.
    """

    def __init__(self, world: World, seeds: Seeds, name: str, role: str) -> None:
        self._world = world
        self._attenuator = ""
        self._modulator = ""
        self._bias = Bias(Walk(seeds, "", 0.0), 5.0)
        self._deviation = 1.0 + float(seeds.generator(f"attenuator {name}").uniform(-MOST_DEVIATION, MOST_DEVIATION))
        self._attenuation_db, self._output_mw, self._holds_power, self._on = HIGHEST_DB, 1.0, False, True
        self._calibrating = 0
        self._lamps = dict(LAMPS)
        self._questions: dict[str, Callable[[], float]] = {
            "MZM:MODE": lambda: self._bias.mode,
            "MZM:CALIBRATING": self._still_calibrating,
            "MZM:SETPOINT": self._bias_is_near,
            "MZM:HOLD:VOLTAGE": lambda: round(self._bias.manual_v * 1e3),
            "MZM:HOLD:RATIO": lambda: round(self._bias.power_ratio * 100),
            "MZM:VOLTAGE": lambda: self._bias.voltage(world.clock_ps),
            "MZM:TAP:MW": lambda: world.behind_modulator_w(self._modulator) * 1e3,
            "VOA:ATTEN": lambda: self._attenuation_db,
            "VOA:MEASURED": self._measured_db,
            "VOA:ERROR": lambda: self._measured_db() - self._attenuation_db,
            "VOA:SETPOINT": lambda: abs(self._measured_db() - self._attenuation_db) <= NEAR_DB,
            "VOA:TAP:MW": self._behind_mw,
            "VOA:OUTPUT:MW": lambda: self._output_mw,
            "VOA:MODE": lambda: self._holds_power,
            "VOA:POWER": lambda: self._on,
        }
        self._settings: dict[str, Callable[[float], None]] = {
            "MZM:MODE": self._set_mode,
            "MZM:HOLD:VOLTAGE": self._set_voltage,
            "MZM:HOLD:RATIO": self._set_ratio,
            "VOA:ATTEN": self._set_attenuation,
            "VOA:OUTPUT:MW": self._set_output,
            "VOA:MODE": self._set_hold,
            "VOA:POWER": self._set_on,
        }
        self.serve(name, role)

    def serve(self, name: str, role: str) -> None:
        """Be one more instrument of the bench."""
        if role == "Attenuator":
            self._attenuator = name
        elif (bias := self._world.bias(name)) is not None:
            self._modulator, self._bias = name, bias
        self._apply()

    def power_cycle(self) -> None:
        """Restart the unit: the bias is off, the attenuator at its maximum."""
        self._attenuation_db, self._output_mw, self._holds_power, self._on = HIGHEST_DB, 1.0, False, True
        self._calibrating = 0
        self._lamps = dict(LAMPS)
        self._bias.set_mode(BiasMode.OFF, self._world.clock_ps)
        self._bias.manual_v = 0.0
        self._apply()

    def link(self) -> Link:
        """Return a connection."""
        return _Line(self)

    def answer(self, command: str) -> str | None:
        """Return the answer to one command, None for a setting or for what the unit does not understand."""
        if command == "*IDN?":
            return IDENTITY
        if command == "MZM:RESET":
            self._calibrating = CALIBRATING_QUESTIONS
            self._bias.search(self._world.clock_ps)
            self._world.turned()
            return "1"
        try:
            if command.endswith("?"):
                return self._ask(command[:-1])
            name, colon, value = command.rpartition(":")
            if not colon:
                raise Refused
            self._set(name, value)
        except (Refused, ValueError):
            return None
        return "1" if wire.is_answered(command) else None

    def _ask(self, name: str) -> str:
        if name.startswith("RGB:"):
            return str(self._lamps[self._lamp(name)])
        if name not in self._questions:
            raise Refused
        self._apply()
        return f"{float(self._questions[name]()):.10g}"

    def _set(self, name: str, value: str) -> None:
        if name.startswith("RGB:"):
            self._lamps[self._lamp(name)] = int(_within(float(value), 0, 100))
        elif name in self._settings:
            self._settings[name](float(value))
            self._apply()
        else:
            raise Refused

    def _lamp(self, name: str) -> str:
        lamp = name.removeprefix("RGB:")
        if lamp not in self._lamps:
            raise Refused
        return lamp

    def _still_calibrating(self) -> bool:
        self._calibrating = max(0, self._calibrating - 1)
        return self._calibrating > 0

    def _bias_is_near(self) -> bool:
        if self._bias.mode is BiasMode.MANUAL:
            return True
        return abs(self._bias.error(self._world.clock_ps)) <= NEAR_V

    def _set_mode(self, value: float) -> None:
        self._bias.set_mode(BiasMode(int(value)), self._world.clock_ps)

    def _set_voltage(self, value: float) -> None:
        self._bias.manual_v = _within(value * 1e-3, -MOST_BIAS_V, MOST_BIAS_V)

    def _set_ratio(self, value: float) -> None:
        self._bias.power_ratio = _within(value / 100.0, 2.5, 100.0)

    def _set_attenuation(self, value: float) -> None:
        self._attenuation_db = _within(value, LOWEST_DB, HIGHEST_DB)

    def _set_output(self, value: float) -> None:
        self._output_mw = _within(value, 0.01, 100.0)

    def _set_hold(self, value: float) -> None:
        self._holds_power = bool(_within(value, 0, 1))

    def _set_on(self, value: float) -> None:
        self._on = bool(_within(value, 0, 1))

    def _measured_db(self) -> float:
        """Return the attenuation now; a unit whose attenuator is off is as open as it gets."""
        if not self._on:
            return LOWEST_DB
        wanted_db = self._wanted_db() if self._holds_power else self._attenuation_db
        return wanted_db * self._deviation

    def _wanted_db(self) -> float:
        """Return the attenuation that leaves the power asked for, as far as the unit goes."""
        before_mw = self._world.power_before_w(self._attenuator) * 1e3
        if before_mw <= self._output_mw:
            return LOWEST_DB
        return min(HIGHEST_DB, max(LOWEST_DB, 10.0 * log10(before_mw / self._output_mw)))

    def _behind_mw(self) -> float:
        return self._world.power_behind_w(self._attenuator) * 1e3

    def _apply(self) -> None:
        if self._attenuator:
            self._world.set_attenuation(self._attenuator, self._measured_db())
        else:
            self._world.turned()


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise Refused
    return value


class _Line:
    def __init__(self, unit: Mbx) -> None:
        self._unit = unit
        self._commands = CommandReader()

    def feed(self, data: bytes) -> list[Reply]:
        answers = (self._unit.answer(command) for command in self._commands.feed(data))
        return [Reply(answer.encode() + wire.END.encode()) for answer in answers if answer is not None]
