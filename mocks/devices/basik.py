"""NKT Photonics Koheras BASIK fibre laser in an ADJUSTIK frame, on one serial bus."""

from __future__ import annotations

import struct
from math import log10

import numpy as np

from ...core.errors import BadReply, ChecksumError, ParameterError
from ...instruments.wire import interbus
from ...instruments.wire.interbus import BASIK_ADDRESS, FRAME_ADDRESS, Kind, Register, Status, Telegram
from ..world import WAVELENGTH_M, World
from .base import Link, Reply

ANSWER_S = 0.001
DROP_RATE = 1 / 250
MAX_POWER_MW = 20.0
MAX_OFFSET_PM = 300.0
SETUP_CONSTANT_CURRENT = 1 << 8
_BITS = {Kind.SET_BITS: lambda old, mask: old | mask, Kind.CLEAR_BITS: lambda old, mask: old & ~mask, Kind.TOGGLE_BITS: lambda old, mask: old ^ mask}


class Refused(Exception):
    """The module answers NACK."""


class Basik:
    """The laser module; every register of the driver's table, limits of the settable ones.

    refuses: emission cannot be switched on.  generator: decides which requests get lost, about 1 of 250.
    """

    def __init__(self, world: World, generator: np.random.Generator, *, refuses: bool = False) -> None:
        self._world = world
        self._generator = generator
        self._refuses = refuses
        self._user = bytes(interbus.MAX_DATA)
        self.power_cycle()

    def power_cycle(self) -> None:
        """Switch the module off and on: emission is off, set-points are those it comes with."""
        self._power_mw = 10.0
        self._offset_pm = 0.0
        self._setup = SETUP_CONSTANT_CURRENT
        self._world.set_laser(emission=False)
        self._apply()

    def link(self) -> Link:
        """Return a connection to the bus."""
        return _Bus(self)

    def answer(self, frame: bytes) -> bytes | None:
        """Return the answer to one frame, or None if nobody answers."""
        if self._generator.random() < DROP_RATE:
            return None
        if self._world.harm().unlocked and self._world.laser.emission:
            self._world.set_laser(emission=False)
        try:
            request = interbus.decode(frame)
        except ChecksumError:
            body = interbus.unescape(frame[1:-1])
            return interbus.encode(Telegram(body[1], body[0], Kind.CRC_ERROR, body[3]))
        except BadReply:
            return None
        if request.destination not in (BASIK_ADDRESS, FRAME_ADDRESS):
            return None
        try:
            kind, data = self._execute(request)
        except (Refused, ParameterError, BadReply):
            kind, data = Kind.NACK, b""
        return interbus.encode(Telegram(request.source, request.destination, kind, request.register, data))

    def _execute(self, request: Telegram) -> tuple[Kind, bytes]:
        if request.kind == Kind.READ:
            return Kind.DATAGRAM, self._read(request)
        if request.destination != BASIK_ADDRESS:
            raise Refused
        if request.kind == Kind.WRITE:
            self._write(request.register, request.data)
        elif request.kind in _BITS:
            self._change_bits(request)
        else:
            raise Refused
        self._apply()
        return Kind.ACK, b""

    def _change_bits(self, request: Telegram) -> None:
        before = self._read(request)
        if request.register not in (Register.SETUP, Register.EMISSION) or len(request.data) != len(before):
            raise Refused
        after = _BITS[Kind(request.kind)](int.from_bytes(before, "little"), int.from_bytes(request.data, "little"))
        self._write(request.register, after.to_bytes(len(before), "little"))

    @staticmethod
    def _numeric(register: int) -> Register:
        if register not in {int(r) for r in interbus.SCALES}:
            raise Refused
        return Register(register)

    def _read(self, request: Telegram) -> bytes:
        if request.destination == FRAME_ADDRESS:
            return self._read_frame(request.register)
        texts = {Register.SERIAL: b"K2611001", Register.USER: self._user}
        if request.register in texts:
            return texts[Register(request.register)]
        limits = self._limits()
        if request.register in limits:
            return limits[request.register]
        register = self._numeric(request.register)
        return interbus.pack(register, self._value(register))

    @staticmethod
    def _read_frame(register: int) -> bytes:
        frame = {Register.TYPE: bytes((interbus.FRAME_TYPE,)), Register.SERIAL: b"A2611002"}
        if register not in frame:
            raise Refused
        return frame[Register(register)]

    def _value(self, register: Register) -> float:
        emitted_mw = self._world.emitted_w() * 1e3
        status = Status.EMISSION if self._world.laser.emission else Status(0)
        if self._world.harm().unlocked:
            status |= Status.INTERLOCK_OFF
        values: dict[Register, float] = {
            Register.POWER: emitted_mw,
            Register.POWER_DBM: 10.0 * log10(emitted_mw) if emitted_mw > 0.0 else -100.0,
            Register.POWER_SET: self._power_mw,
            Register.POWER_SET_DBM: 10.0 * log10(self._power_mw) if self._power_mw > 0.0 else -100.0,
            Register.EMISSION: float(self._world.laser.emission),
            Register.SETUP: self._setup,
            Register.OFFSET_SET: self._offset_pm,
            Register.OFFSET: self._offset_pm,
            Register.WAVELENGTH: WAVELENGTH_M * 1e12,
            Register.TEMPERATURE: 26.5,
            Register.SUPPLY: 12_040,
            Register.TYPE: interbus.BASIK_TYPE,
            Register.STATUS: int(status),
            Register.ERROR: 0,
        }
        return values[register]

    @staticmethod
    def _limits() -> dict[int, bytes]:
        ranges = {
            Register.POWER_SET: (0, 2000, 0, 1000),
            Register.POWER_SET_DBM: (-1000, 1301, -1000, 1000),
            Register.OFFSET_SET: (-3000, 3000, -3000, 0),
        }
        return {
            register + interbus.LIMITS_OFFSET: struct.pack("<BBhhhh", 0, 0, factory, factory, upper, lower)
            for register, (_, upper, lower, factory) in ranges.items()
        }

    def _write(self, register: int, data: bytes) -> None:
        if register == Register.USER:
            self._user = data.ljust(interbus.MAX_DATA, b"\0")
            return
        known = self._numeric(register)
        value = interbus.unpack(known, data)
        if known is Register.EMISSION:
            self._switch(value)
        elif known in (Register.POWER_SET, Register.POWER_SET_DBM):
            self._power_mw = self._within(value if known is Register.POWER_SET else 10.0 ** (value / 10.0), 0.0, MAX_POWER_MW)
        elif known is Register.OFFSET_SET:
            self._offset_pm = self._within(value, -MAX_OFFSET_PM, MAX_OFFSET_PM)
        elif known is Register.SETUP:
            self._setup = int(value)
        else:
            raise Refused

    def _switch(self, value: float) -> None:
        if value not in (0.0, 1.0) or ((self._refuses or self._world.harm().unlocked) and value):
            raise Refused
        self._world.set_laser(emission=bool(value))

    @staticmethod
    def _within(value: float, low: float, high: float) -> float:
        if not low <= value <= high:
            raise Refused
        return value

    def _apply(self) -> None:
        self._world.set_laser(power_w=self._power_mw * 1e-3, wavelength_m=WAVELENGTH_M + self._offset_pm * 1e-12)


class _Bus:
    def __init__(self, laser: Basik) -> None:
        self._laser = laser
        self._frames = interbus.Assembler()

    def feed(self, data: bytes) -> list[Reply]:
        answers = (self._laser.answer(frame) for frame in self._frames.feed(data))
        return [Reply(answer, ANSWER_S) for answer in answers if answer is not None]
