"""Thorlabs MPC320 on a serial line: three paddles around the fibre, spoken to in APT."""

from __future__ import annotations

from math import ceil

from ...core.errors import BadReply
from ...instruments.wire import apt
from ...instruments.wire.apt import HOST, UNIT, Bits, Id, Info, Message, Parameters, Status
from ..world import World
from .base import Link, Reply

INFO = Info(38449564, "MPC320", 44, "1.0.7", "Motorised polarisation controller")
DEFAULTS = Parameters(50, 685, (40, 81, 161))
HOMING_S = 0.02
COUNTS_A_LOOK = 600
"""How far a paddle turns at full speed between two looks at its status."""


class PaddleState:
    """One paddle.  position: counts, as it is told.  target: where it goes."""

    def __init__(self, position: int) -> None:
        self.position = self.target = position
        self.homed = self.enabled = False

    def moving(self) -> bool:
        """Say whether it is on its way."""
        return self.position != self.target

    def bits(self) -> int:
        """Return its status bits."""
        way = Bits.MOVING_FORWARD if self.target > self.position else Bits.MOVING_REVERSE
        return (way if self.moving() else 0) | (Bits.HOMED if self.homed else 0) | (Bits.ENABLED if self.enabled else 0)


class Mpc320:
    """One unit.  name: its name on the bench.  Switched on, its paddles go to their home position, are disabled and not homed.

    A paddle turns while its status is looked at, and bench time stands meanwhile; the light has its new polarisation at once.
    """

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self.power_cycle()

    def power_cycle(self) -> None:
        """Restart the unit."""
        self._parameters = DEFAULTS
        self._paddles = {mask: PaddleState(DEFAULTS.home) for mask in apt.MASKS}
        self._unasked: list[Message] = []
        self._turn()

    def link(self) -> Link:
        """Return a connection."""
        return _Line(self)

    def answer(self, message: Message) -> list[Reply]:
        """Return what comes after one message: what came up by itself, then the answer if there is one."""
        answer, delay_s = self._execute(message)
        told, self._unasked = self._unasked, []
        before = [Reply(apt.encode(one)) for one in told]
        return before + ([Reply(apt.encode(answer), delay_s)] if answer else [])

    def _execute(self, message: Message) -> tuple[Message | None, float]:
        match message.id:
            case Id.REQUEST_INFO:
                return _data(Id.INFO, INFO.pack()), 0.0
            case Id.REQUEST_PARAMETERS:
                return _data(Id.PARAMETERS, self._parameters.pack()), 0.0
            case Id.SET_PARAMETERS:
                self._parameters = Parameters.unpack(message.data)
            case Id.ENABLE:
                for mask, paddle in self._paddles.items():
                    paddle.enabled = bool(message.param1 & mask) and message.param2 == 1
            case Id.MOVE:
                mask, position = apt.parse_move(message.data)
                self._go(mask, position)
            case Id.JOG:
                step = self._parameters.steps[apt.MASKS.index(message.param1)] if message.param1 in apt.MASKS else 0
                if message.param1 in self._paddles:
                    self._go(message.param1, self._paddles[message.param1].target + (step if message.param2 == 1 else -step))
            case _:
                return self._of_paddle(message)
        return None, 0.0

    def _of_paddle(self, message: Message) -> tuple[Message | None, float]:
        paddle = self._paddles.get(message.param1)
        if paddle is None:
            return None, 0.0
        match message.id:
            case Id.REQUEST_STATUS:
                self._advance(message.param1, paddle)
                return _data(Id.STATUS, self._status(message.param1)), 0.0
            case Id.STOP:
                paddle.target = paddle.position
                self._turn()
                return _data(Id.STOPPED, self._status(message.param1)), 0.0
            case Id.HOME if paddle.enabled:
                paddle.homed, paddle.position, paddle.target = True, 0, 0
                self._turn()
                return Message(Id.HOMED, message.param1, destination=HOST, source=UNIT), HOMING_S
        return None, 0.0

    def _go(self, mask: int, position: int) -> None:
        paddle = self._paddles.get(mask)
        if paddle is None or not paddle.enabled or not paddle.homed or not 0 <= position <= apt.TRAVEL_COUNTS:
            return
        paddle.target = position
        self._turn()

    def _advance(self, mask: int, paddle: PaddleState) -> None:
        if not paddle.moving():
            return
        step, way = ceil(COUNTS_A_LOOK * self._parameters.velocity / 100), paddle.target - paddle.position
        paddle.position = paddle.target if abs(way) <= step else paddle.position + (step if way > 0 else -step)
        if not paddle.moving():
            self._unasked.append(_data(Id.COMPLETED, self._status(mask)))

    def _status(self, mask: int) -> bytes:
        paddle = self._paddles[mask]
        return Status(mask, paddle.position, 0, 0, paddle.bits()).pack()

    def _turn(self) -> None:
        self._world.turn_paddles(self._name, tuple(apt.degrees(paddle.target) for paddle in self._paddles.values()))


def _data(kind: Id, data: bytes) -> Message:
    return Message(kind, data=data, destination=HOST, source=UNIT)


class _Line:
    def __init__(self, unit: Mpc320) -> None:
        self._unit = unit
        self._messages = apt.Assembler()

    def feed(self, data: bytes) -> list[Reply]:
        try:
            return [reply for message in self._messages.feed(data) for reply in self._unit.answer(message)]
        except BadReply:
            # The unit says nothing to what it does not understand.
            return []
