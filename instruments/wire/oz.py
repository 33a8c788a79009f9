r"""Text of the OZ Optics DD-100-MC motorised attenuator.

The host sends a command and ``\r``. Lines of the reply end with ``\r\n``; the last two are ``Done`` and an empty one. What the driver sends and expects:

=========  =====================================================  ===============================================
command    reply                                                  meaning
=========  =====================================================  ===============================================
``A12.34`` ``Pos:4321  Done``                                     go to an attenuation (dB); ``Error`` if not homed
``D``      ``DPos:4321  ATTEN:12.34  Done``                       motor position and attenuation now
``CD``     ``IL:0.80  MAX ATTEN:60.00  SN:<serial>  FW:<x>  Done``  configuration; SN and FW are optional
``H``      ``Pos:0  Done`` (up to 40 s)                           home, needed after power-up
``RST``    ``Done``                                               restart the unit (not homed afterwards)
=========  =====================================================  ===============================================

A refused command is answered by a line starting ``Error`` (``Error: not homed``, ``Error: out of range``) or holding ``Error!``, then ``Done``. An echo of the
command as first line is tolerated. Before homing ``D`` answers ``DPos:?`` and ``ATTEN:?``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...core.errors import BadReply
from .values import finite

COMMAND_END = "\r"
LINE_END = "\r\n"
DONE = "Done"


@dataclass(frozen=True, slots=True)
class Reply:
    """Fields of a reply by name (`Pos`, `DPos`, `ATTEN`, `IL`, `MAX ATTEN`), and the text of a refusal, empty if there was none."""

    fields: dict[str, str]
    error: str = ""

    def number(self, field: str) -> float:
        """Return a field as float; raises BadReply if it is missing or no finite number."""
        return finite(self.fields.get(field, "nothing"), field)


def is_complete(text: str) -> bool:
    """Say whether a reply has its closing line; the empty line behind it may still be on its way."""
    return any(line.strip() == DONE for line in text.splitlines()) and text.endswith("\n")


def parse_reply(text: str, command: str = "") -> Reply:
    """Return the fields of a reply.

    command: what was asked; its echo is dropped.  Raises BadReply for a reply without `Done` or with a line that means nothing.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and line != command]
    if DONE not in lines:
        raise BadReply("a reply does not end with Done")
    fields: dict[str, str] = {}
    error = ""
    for line in lines[: lines.index(DONE)]:
        name, colon, value = line.partition(":")
        if line.startswith("Error") or "Error!" in line:
            error = line
        elif colon:
            fields[name.strip()] = value.strip()
        else:
            raise BadReply(f"a reply holds {line[:40]!r}")
    return Reply(fields, error)


def attenuation_command(attenuation_db: float) -> str:
    """Return the command that moves to an attenuation, without its end."""
    return f"A{attenuation_db:.2f}"


def encode_reply(lines: Iterable[str]) -> bytes:
    """Return a reply as the unit sends it: the lines, `Done`, an empty line."""
    return "".join(line + LINE_END for line in (*lines, DONE, "")).encode()


class CommandReader:
    """Cuts a byte stream into commands; feed it any pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        """Return the commands completed by a piece."""
        *complete, self._rest = (self._rest + piece).replace(b"\n", b"").split(COMMAND_END.encode())
        return [command.decode("ascii", "replace").strip() for command in complete if command.strip()]
