"""Speak to one instrument by hand, past its driver: what is typed goes out as it is, what comes back is shown as it is."""

from __future__ import annotations

import re
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from ..core.errors import InstrumentError, ParameterError
from .role_adapter import RoleAdapter

PATIENCE_S = 2.0
_SETTLE_S = 0.2
"""How long something may come that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One message and what came back.  safe: whether the instrument was in its safe state afterwards, read back; None where that could not be read."""

    sent: str
    received: str
    seconds: float
    safe: bool | None


class Console:
    """A conversation with one instrument over its own link.  history: what was said so far.

    Nothing said here is checked against limits and interlocks, so the instrument's safe state is read back after every message.
    """

    def __init__(self, instrument: RoleAdapter, patience_s: float = PATIENCE_S) -> None:
        self._instrument = instrument
        self._link: Any = instrument.driver.adapter
        self._patience_s = patience_s
        self.history: list[Spoken] = []

    def say(self, text: str) -> Spoken:
        """Send a line as it is, ended as the device wants it; the answer to a question with `?` is waited for. Raises ParameterError, an InstrumentError."""
        if not text.isascii() or not text.isprintable():
            raise ParameterError(f"{text!r} is no line of text", where=self._instrument.name, remedy="Send other bytes as `/hex 0D 0A`.")
        return self._said(text, lambda: self._link.write(text), self._patience_s if "?" in text else _SETTLE_S)

    def say_bytes(self, digits: str) -> Spoken:
        """Send bytes given in hexadecimal digits, and wait for an answer. Raises ParameterError, an InstrumentError."""
        try:
            data = bytes.fromhex(digits)
        except ValueError as error:
            raise ParameterError(
                f"{digits!r} are no bytes", where=self._instrument.name, remedy="Write two hexadecimal digits a byte: `/hex 0D 0A`."
            ) from error
        return self._said(shown(data), lambda: self._link.write_bytes(data), self._patience_s)

    def listen(self) -> Spoken:
        """Send nothing and show what comes."""
        return self._said("", lambda: None, self._patience_s)

    def _said(self, sent: str, send: Any, patience_s: float) -> Spoken:
        began = time.monotonic()
        # Where others look at the instrument meanwhile, they wait for the end of this exchange.
        with getattr(self._link, "turn", None) or nullcontext():
            send()
            received = self._link.listen(patience_s)
        seconds = time.monotonic() - began
        self.history.append(Spoken(sent, shown(received), round(seconds, 3), self._is_safe()))
        return self.history[-1]

    def _is_safe(self) -> bool | None:
        try:
            return self._instrument.is_safe()
        except InstrumentError:
            return None


def shown(data: bytes) -> str:
    """Return bytes as text where they are text, line by line, else as hexadecimal digits."""
    text = data.decode("ascii", "replace")
    lines = [line for line in re.split(r"[\r\n\x17]+", text) if line]
    if all(line.isprintable() and "\ufffd" not in line for line in lines):
        return "\n".join(lines)
    return data.hex(" ").upper()
