"""OZ Optics DD-100-MC motorised attenuator, over a serial line."""

from __future__ import annotations

import time
from typing import Any

from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_range

from ..core.errors import BadReply, NotHomed, Rejected, Timeout
from .links import VisaLink, ended, told, where_of
from .wire import oz

TIMEOUT_S = 1.0
HOMING = 40.0
"""How long homing may take, in timeouts of a reply."""
MOVING = 6.0
"""How long a move may take, in timeouts of a reply."""


def link(resource: str, *, name: str, timeout_s: float | None = None) -> VisaLink:
    """Open the serial port of a DD-100: 9600 8N1; every command is answered, the answer to `CD` is known."""
    return VisaLink(
        resource,
        name=name,
        line_end="\r\n",
        command_end=oz.COMMAND_END,
        timeout_s=timeout_s or TIMEOUT_S,
        baud_rate=9600,
        probe="CD",
        is_answer=_is_configuration,
        owes=bool,
        alone=True,
        many_lines=True,
    )


def _is_configuration(lines: list[str]) -> bool:
    return bool(lines) and lines[-1] == oz.DONE and any(line.startswith("MAX ATTEN") for line in lines)


class OzDD100(Instrument):
    """OZ Optics DD-100-MC motorised attenuator: serial, 9600 8N1, replies end in ``Done``.

    The unit must be homed once after power-up (up to 40 s).  Wire format: `wire.oz`.
    """

    def __init__(self, adapter: Any, name: str = "DD-100-MC", **kwargs: Any) -> None:
        self._timeout_s = getattr(adapter, "timeout_s", TIMEOUT_S)
        super().__init__(adapter, name, includeSCPI=False, **kwargs)

    position = Instrument.measurement("D DPos", "Measure the motor position (int, steps).", get_process=int)

    attenuation_db = Instrument.control(
        "D ATTEN",
        "A%.2f",
        "Control the attenuation (float, dB, insertion loss to the unit's maximum).",
        validator=strict_range,
        values=[0.0, 60.0],
        dynamic=True,
    )

    insertion_loss_db = Instrument.measurement("CD IL", "Get the attenuation of the open unit (float, dB).")

    max_attenuation_db = Instrument.measurement("CD MAX ATTEN", "Get the highest attenuation (float, dB).")

    @property
    def moving_s(self) -> float:
        """How long a move may take (s)."""
        return MOVING * self._timeout_s

    def home(self) -> None:
        """Find the motor's zero; takes up to 40 s."""
        self._asked("H", HOMING)

    def restart(self) -> None:
        """Restart the unit; it must be homed afterwards."""
        self._asked("RST", 1.0)

    def configuration(self) -> dict[str, str]:
        """Get the configuration fields (`IL`, `MAX ATTEN`, and `SN`, `FW` where the unit has them)."""
        return self._asked("CD", 1.0).fields

    def values(self, command: str, *args: Any, **kwargs: Any) -> list[float]:
        """Send the first word of a command and return the field named by the rest."""
        word, _, field = command.partition(" ")
        with told(where_of(self.adapter, self.name)):
            reply = self._asked(word, 1.0)
            if reply.fields.get(field) == "?":
                raise NotHomed("the motor does not know its position", remedy="Home it.")
            return [reply.number(field)]

    def write(self, command: str, **kwargs: Any) -> None:
        """Send a command that moves the motor and wait for its end."""
        self._asked(command, MOVING)

    def _asked(self, command: str, timeouts: float) -> oz.Reply:
        with told(where_of(self.adapter, self.name)):
            self.adapter.write(command)
            reply = oz.parse_reply(self._text(timeouts * self._timeout_s), command)
            ended(self.adapter)
            if "homed" in reply.error:
                raise NotHomed(f"{command}: {reply.error}", remedy="Home it.")
            if reply.error:
                raise Rejected(f"{command}: {reply.error}", remedy="Check the unit's range.")
            return reply

    def _text(self, budget_s: float) -> str:
        deadline, text = time.monotonic() + budget_s, ""
        try:
            # A complete reply has a line of its own for its end; without that line, what came is garbage and not a slow answer.
            while not oz.is_complete(text):
                if time.monotonic() > deadline:
                    raise Timeout("the reply did not end", remedy="Check baud rate and cable.")
                self.adapter.timeout_s = deadline - time.monotonic()
                text += self.read() + oz.LINE_END
        except Timeout as error:
            if text.strip():
                raise BadReply(f"{text.strip()[:40]!r} is no reply") from error
            raise
        finally:
            self.adapter.timeout_s = self._timeout_s
        return text
