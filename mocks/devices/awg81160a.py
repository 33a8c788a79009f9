"""Keysight 81160A arbitrary waveform generator, two outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...core.physics import Floats
from ...instruments.wire import scpi as wire
from ..optics.light import Drive
from ..world import World
from .base import Link
from .scpi import CONFLICT, PARAMETER, RANGE, UNDEFINED, ErrorQueue, ScpiError, ScpiLine, boolean, header, number, real

FULL_SCALE = 8191
MAX_POINTS = 262_144
MAX_SAMPLE_RATE_HZ = 2.5e9
RANGES = {
    "FREQ": (1e-6, 500e6),
    "VOLT": (0.05, 5.0),
    "VOLT:OFFS": (-4.995, 4.995),
    "VOLT:LIM:LOW": (-10.0, 9.99),
    "VOLT:LIM:HIGH": (-9.99, 10.0),
    "PULS:WIDT": (1.5e-9, 1e6),
    "TRIG:COUN": (1, 2_147_483_647),
    "OUTP:LOAD": (0.3, 1e6),
}
_CYCLE = np.linspace(0.0, 1.0, 1000, endpoint=False)
SHAPES: dict[str, Floats] = {
    "SIN": np.sin(2.0 * np.pi * _CYCLE),
    "SQU": np.where(_CYCLE < 0.5, 1.0, -1.0),
    "RAMP": 2.0 * _CYCLE - 1.0,
    "DC": np.zeros(1),
}
_WORDS = {"FUNC": (*SHAPES, "USER"), "ARM:SOUR": ("IMM", "INT2", "EXT", "MAN"), "VOLT:UNIT": ("VPP",)}


@dataclass(slots=True)
class Output:
    """Settings of one output, as after `*RST`.  codes: the volatile record, full scale +-8191."""

    numbers: dict[str, float] = field(
        default_factory=lambda: {
            "FREQ": 1e3,
            "VOLT": 0.1,
            "VOLT:OFFS": 0.0,
            "VOLT:LIM:LOW": -10.0,
            "VOLT:LIM:HIGH": 10.0,
            "PULS:WIDT": 1e-4,
            "TRIG:COUN": 1,
            "OUTP:LOAD": 50.0,
        }
    )
    words: dict[str, str] = field(default_factory=lambda: {"FUNC": "SIN", "ARM:SOUR": "IMM", "VOLT:UNIT": "VPP"})
    switches: dict[str, bool] = field(default_factory=lambda: {"OUTP": False, "VOLT:LIM:STAT": False})
    codes: Floats = field(default_factory=lambda: np.zeros(1))

    def levels(self) -> tuple[float, float]:
        """Return lowest and highest voltage of the present settings."""
        half, offset = self.numbers["VOLT"] / 2.0, self.numbers["VOLT:OFFS"]
        return (offset, offset) if self.words["FUNC"] == "DC" else (offset - half, offset + half)

    def drive(self) -> Drive:
        """Return what the output applies."""
        record = self.codes / FULL_SCALE if self.words["FUNC"] == "USER" else SHAPES[self.words["FUNC"]]
        volts = record * (self.numbers["VOLT"] / 2.0) + self.numbers["VOLT:OFFS"]
        return Drive(volts, self.numbers["FREQ"], self.switches["OUTP"])


class Awg81160A:
    """The generator; its outputs are clock-locked to the bench and started by the common frame trigger.

    name: its name on the bench; output n is the waveform source `name:n`.
    """

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._errors = ErrorQueue()
        self._outputs = {1: Output(), 2: Output()}
        self._commons: dict[str, Callable[[], str | None]] = {
            "*IDN?": lambda: "Agilent Technologies,81160A,DE26110001,1.0.3.0-2.6",
            "*OPC?": lambda: "1",
            "SYST:ERR?": self._errors.take,
            "*CLS": self._errors.clear,
            "*RST": self._reset,
        }

    def link(self) -> Link:
        """Return a connection."""
        return ScpiLine(self.answer, self.fail)

    def power_cycle(self) -> None:
        """Switch the generator off and on: everything is as after `*RST`, the volatile waveforms are gone."""
        self._errors.clear()
        self._reset()

    def fail(self, error: ScpiError) -> None:
        """Put an error into the queue."""
        self._errors.put(error)

    def answer(self, command: wire.Command) -> list[str]:
        """Execute one line, or one block command, and return the lines it answers."""
        if command.block is not None:
            self._execute(command.text, command.block)
            return []
        replies = (self._execute(part.strip()) for part in command.text.split(";") if part.strip())
        return [reply for reply in replies if reply is not None]

    def _execute(self, text: str, block: bytes | None = None) -> str | None:
        head, _, argument = text.partition(" ")
        try:
            name, channel = header(head.rstrip("?"))
            common = self._commons.get(name + ("?" if head.endswith("?") else ""))
            if common is not None:
                return common()
            if channel not in self._outputs:
                raise ScpiError(*UNDEFINED)
            output = self._outputs[channel]
            if head.endswith("?"):
                return self._ask(output, name)
            if name == "DATA:DAC":
                self._load(output, argument, block)
            else:
                self._set(output, name, argument.strip())
            self._world.set_drive(f"{self._name}:{channel}", output.drive())
        except ScpiError as error:
            self._errors.put(error)
        return None

    @staticmethod
    def _ask(output: Output, name: str) -> str:
        if name in output.words:
            return output.words[name]
        if name in output.switches:
            return str(int(output.switches[name]))
        if name not in output.numbers:
            raise ScpiError(*UNDEFINED)
        return real(output.numbers[name])

    def _set(self, output: Output, name: str, argument: str) -> None:
        if name in output.words:
            self._set_word(output, name, argument.upper())
        elif name in output.switches:
            output.switches[name] = boolean(argument)
        elif name in output.numbers:
            self._set_number(output, name, number(argument))
        else:
            raise ScpiError(*UNDEFINED)

    @staticmethod
    def _set_word(output: Output, name: str, word: str) -> None:
        if word not in _WORDS[name]:
            raise ScpiError(*PARAMETER)
        output.words[name] = word

    @staticmethod
    def _set_number(output: Output, name: str, value: float) -> None:
        low, high = RANGES[name]
        before = output.numbers[name]
        output.numbers[name] = value
        bottom, top = output.levels()
        limited = output.switches["VOLT:LIM:STAT"] and not (output.numbers["VOLT:LIM:LOW"] <= bottom and top <= output.numbers["VOLT:LIM:HIGH"])
        if not low <= value <= high or (limited and name in ("VOLT", "VOLT:OFFS")):
            output.numbers[name] = before
            raise ScpiError(*RANGE)
        if name == "FREQ" and value * len(output.codes) > MAX_SAMPLE_RATE_HZ:
            output.numbers[name] = before
            raise ScpiError(*CONFLICT)

    @staticmethod
    def _load(output: Output, argument: str, block: bytes | None) -> None:
        if block is None or argument.replace(" ", "").upper() != "VOLATILE,":
            raise ScpiError(*PARAMETER)
        if len(block) % 2 or not 2 <= len(block) // 2 <= MAX_POINTS:
            raise ScpiError(*RANGE)
        codes = np.frombuffer(block, ">i2").astype(np.float64)
        if np.abs(codes).max() > FULL_SCALE:
            raise ScpiError(*RANGE)
        output.codes = codes

    def _reset(self) -> None:
        for channel in self._outputs:
            self._outputs[channel] = Output()
            self._world.set_drive(f"{self._name}:{channel}", self._outputs[channel].drive())
