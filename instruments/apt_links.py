"""Connections to Thorlabs units that speak APT: messages have a length and no end, and some come unasked."""

from __future__ import annotations

import time
from typing import Any

from ..core.errors import BadReply, InstrumentError, StaleReply, Timeout
from .links import VisaLink
from .wire import apt
from .wire.apt import HOST, UNIT, Id, Message

TIMEOUT_S = 1.0
_PAUSE_S = 0.002
_REQUEST = apt.encode(Message(Id.REQUEST_INFO))
_ANSWER = apt.encode(Message(Id.INFO, data=bytes(84), destination=HOST, source=UNIT))[: apt.HEADER.size]
_ANSWER_SIZE = len(_ANSWER) + 84


class AptLink(VisaLink):
    """A serial port on which APT messages come.

    `read_bytes(n)` takes n bytes within `timeout_s`.  After silence or damage the unit is asked who it is, and all that comes before that answer is dropped, so
    that no answer to an older request is taken for one to a newer.
    """

    def __init__(self, resource: str, *, name: str, timeout_s: float | None = None) -> None:
        from pyvisa.constants import ControlFlow

        self._messages = apt.Assembler()
        self._asked: Message | None = None
        serial = {"baud_rate": 115200, "flow_control": ControlFlow.rts_cts} if resource.upper().startswith("ASRL") else {}
        settings: dict[str, Any] = {**serial, "read_termination": None}
        super().__init__(resource, name=name, command_end="", timeout_s=timeout_s or TIMEOUT_S, **settings)

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        # What came unasked since the last answer is of no use any more, and damage behind it would be taken for the next header.
        self._messages = apt.Assembler()
        self.discard()
        super()._write_bytes(content, **kwargs)
        self._asked = apt.decode(content)
        self._owed = self._asked.id in apt.ANSWERS

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        try:
            with self._noticing():
                self.connection.timeout = max(1.0, self.timeout_s * 1000)
            content = super()._read_bytes(count, break_on_termchar, **kwargs)
            if any(self._asked is not None and apt.answers(self._asked, message) for message in self._messages.feed(content)):
                self._owed, self._asked = False, None
        except (Timeout, BadReply):
            self._resynchronise()
            raise
        return content

    def _resynchronise(self) -> None:
        """Ask the unit who it is and drop what comes before the answer; else reopen."""
        self._owed, self._asked, self._messages = False, None, apt.Assembler()
        deadline, heard = time.monotonic() + self._probe_s, b""
        try:
            self.discard()
            with self._noticing():
                self._sent += self.connection.write_raw(_REQUEST)
            self._tape.sent(_REQUEST)
            while (place := heard.find(_ANSWER)) < 0 or len(heard) < place + _ANSWER_SIZE:
                if time.monotonic() > deadline:
                    raise StaleReply("the known answer did not come", where=self.where)
                piece = self.discard()
                self._received += len(piece)
                self._tape.received(piece)
                heard += piece
                time.sleep(_PAUSE_S)
            self.stale += place > 0
        except InstrumentError:
            self.reopen()
