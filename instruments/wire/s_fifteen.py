r"""Text of S-Fifteen instruments, and the commands of their single-photon detector (SPD).

A command ends with ``;`` or with a line end, several may stand in one line; replies are lines. Only questions are answered. What the driver sends an SPD:

==================  ==========================  ==========================================================================
question            setting                     meaning
==================  ==========================  ==========================================================================
``*idn?;``                                      who answers; the text holds ``SPD``
``hvolt?;``         ``hvolt 61.500\r\n``        bias of the avalanche diode (V); there is no command that switches it off
``threshvolt?;``    ``threshvolt -0.150\r\n``   threshold of the comparator (V)
``temp?;``                                      temperature of the diode (degC)
``settemp?;``       ``settemp -20.00\r\n``      temperature it is held at (degC)
``pvolt?;``                                     voltage at the cooler (V)
``loop?;``          ``loop 1\r\n``              whether the temperature is held: 0 or 1
``time?;``          ``time 100\r\n``            counting time (ms)
``counts?;``                                    counts of one counting time; the answer comes after it
``delay?;``         ``delay 0\r\n``             delay of the output (steps of the device)
..                  ``save\r\n``                keep the settings for the next power-up
==================  ==========================  ==========================================================================

Settings are not answered, so whoever sets reads back. The form of ``*idn?`` beside the model's name is not known from the vendor's driver: fields between
commas are taken as vendor, model, serial number and firmware.
"""

from __future__ import annotations

import re

from ...core.errors import BadReply
from .values import finite

QUERY_END = ";"
SET_END = "\r\n"
LINE_END = "\n"
VENDOR = "S-Fifteen Instruments"
_ENDS = re.compile(rb"[;\r\n]")


def number(text: str) -> float:
    """Return the number at the start of a reply, its unit dropped; raises BadReply for anything but a finite one."""
    return finite((text.split() or [""])[0], "reply")


def whole(value: float) -> int:
    """Return a number of a reply as int; raises BadReply for anything but a whole one."""
    if value != int(value):
        raise BadReply(f"{value!r} is no whole number")
    return int(value)


def wholes(text: str, count: int) -> tuple[int, ...]:
    """Return a line of so many whole numbers, none negative; raises BadReply for any other."""
    found = tuple(whole(number(word)) for word in text.split())
    if len(found) != count or min(found) < 0:
        raise BadReply(f"{text!r} are not {count} counts")
    return found


def identity(text: str, model: str) -> tuple[str, str, str, str]:
    """Return (vendor, model, serial, firmware) of an answer to `*idn?`; raises BadReply if it does not name the model."""
    if model not in text:
        raise BadReply(f"{text.strip()[:40]!r} answers, no {model}")
    fields = [field.strip() for field in text.split(",")]
    if len(fields) < 4:
        return VENDOR, model, "", ""
    return fields[0], fields[1], fields[2], fields[3]


class CommandReader:
    """Cuts a byte stream into commands; feed it any pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        """Return the commands completed by a piece."""
        *complete, self._rest = _ENDS.split(self._rest + piece)
        return [command.decode("ascii", "replace").strip() for command in complete if command.strip()]
