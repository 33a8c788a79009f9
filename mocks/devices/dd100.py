"""OZ Optics DD-100-MC motorised attenuator on a serial line."""

from __future__ import annotations

from ...instruments.wire import oz
from ..world import World
from .base import Link, Reply

INSERTION_DB = 0.8
MAX_DB = 60.0
STEPS_PER_DB = 350
SPEED_DB_S = 800.0
"""Speed of the motor, far above the real one's so that simulations need not wait; the unit answers on arrival, and bench time stands meanwhile."""
HOMING_S = 0.1


class DD100:
    """One attenuator.  name: its name on the bench.  Parked at its maximum and not homed when the bench is switched on."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._homed = False
        self._attenuation_db = MAX_DB
        self._world.set_attenuation(name, MAX_DB)

    def link(self) -> Link:
        """Return a connection."""
        return _Line(self)

    def power_cycle(self) -> None:
        """Switch the unit off and on: it stays where it is and forgets where that is."""
        self._homed = False

    def answer(self, command: str) -> Reply:
        """Return the answer to one command."""
        if command == "D":
            return self._say(*(self._position() if self._homed else ("DPos:?", "ATTEN:?")))
        if command == "CD":
            return self._say(f"IL:{INSERTION_DB:.2f}", f"MAX ATTEN:{MAX_DB:.2f}", "SN:OZ-2611", "FW:2.1")
        if command == "H":
            self._homed = True
            self._move(INSERTION_DB)
            return self._say("Pos:0", delay_s=HOMING_S)
        if command == "RST":
            self._homed = False
            return self._say()
        if command.startswith("A"):
            return self._go(command[1:])
        return self._say("Error: unknown command")

    def _go(self, text: str) -> Reply:
        try:
            target = float(text)
        except ValueError:
            return self._say("Error!")
        if not self._homed:
            return self._say("Error: not homed")
        if not INSERTION_DB <= target <= MAX_DB:
            return self._say("Error: out of range")
        way = abs(target - self._attenuation_db)
        self._move(target)
        return self._say(f"Pos:{self._steps()}", delay_s=way / SPEED_DB_S)

    def _move(self, attenuation_db: float) -> None:
        self._world.set_attenuation(self._name, attenuation_db)
        self._attenuation_db = self._world.attenuation_db(self._name)

    def _steps(self) -> int:
        return round((self._attenuation_db - INSERTION_DB) * STEPS_PER_DB)

    def _position(self) -> tuple[str, str]:
        return f"DPos:{self._steps()}", f"ATTEN:{self._attenuation_db:.2f}"

    @staticmethod
    def _say(*lines: str, delay_s: float = 0.0) -> Reply:
        return Reply(oz.encode_reply(lines), delay_s)


class _Line:
    def __init__(self, unit: DD100) -> None:
        self._unit = unit
        self._commands = oz.CommandReader()

    def feed(self, data: bytes) -> list[Reply]:
        return [self._unit.answer(command) for command in self._commands.feed(data)]
