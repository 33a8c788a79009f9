"""Connections to devices, as PyMeasure adapters: typed errors, counted bytes, whole lines, and no answer that belongs to an older question.

Every link has `where` (instrument and address, for messages), `timeout_s` (for one reply) and `wire` (bytes so far).
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyvisa
from pymeasure.adapters import VISAAdapter
from serial import SerialException

from ..core.errors import ConfigError, Disconnected, InstrumentError, StaleReply, Timeout
from .roles import WireCount

log = logging.getLogger(__name__)

OPEN_MS = 2000
PROBE_S = 1.0
"""How long a link may look for its place in the stream after a timeout."""


@contextmanager
def visa_errors(where: str) -> Iterator[None]:
    """Turn what PyVISA, pyserial and the system raise into Timeout and Disconnected."""
    try:
        yield
    except pyvisa.VisaIOError as error:
        if error.error_code == pyvisa.constants.StatusCode.error_timeout:
            raise Timeout("no complete reply in time", where=where, remedy="Check that the device is on and not busy.") from error
        raise _gone(where, error) from error
    except (SerialException, OSError, pyvisa.errors.Error) as error:
        raise _gone(where, error) from error


def _gone(where: str, error: BaseException) -> Disconnected:
    return Disconnected(f"the connection is gone ({error})", where=where, remedy="Check cable, power and address.")


class VisaLink(VISAAdapter):
    """A serial port or TCP socket through PyVISA.

    resource: VISA resource string.  name: instrument, for messages.  line_end: what ends a line of the device.  command_end: what ends a command.
    probe: a cheap command whose answer is known.  is_answer: says whether the lines drained so far end with that answer.  Both serve to find the place in the
    stream after a timeout; where there are none, telegrams must tell answers apart.
    owes: says whether a command is answered at all.  settings: attributes of the PyVISA resource.
    Raises Disconnected if the port does not open, ConfigError for a resource string that is none.
    """

    connection: Any

    def __init__(
        self,
        resource: str,
        *,
        name: str,
        line_end: str = "\n",
        command_end: str = "\n",
        timeout_s: float = 2.0,
        probe: str = "",
        is_answer: Callable[[list[str]], bool] = bool,
        owes: Callable[[str], bool] = lambda command: "?" in command,
        **settings: Any,
    ) -> None:
        self.where = f"{name} ({resource})"
        self.timeout_s = timeout_s
        self.stale = 0
        self._line_end, self._probe, self._is_answer, self._owes = line_end.encode(), probe, is_answer, owes
        self._owed = False
        self._sent = self._received = 0
        self._settings = {"timeout": timeout_s * 1000, "read_termination": line_end[-1], "write_termination": command_end, "open_timeout": OPEN_MS, **settings}
        try:
            with visa_errors(self.where):
                super().__init__(resource, visa_library="@py", **self._settings)
                self._send_at_once()
        except ValueError as error:
            raise ConfigError(
                f"{resource!r} is no VISA resource", where=name, remedy="Write it as ASRL/dev/ttyUSB0::INSTR or TCPIP::host::port::SOCKET."
            ) from error

    @property
    def wire(self) -> WireCount:
        """Return the bytes sent and received so far."""
        return WireCount(self._sent, self._received)

    def write_binary_values(self, command: str, values: Any, termination: str = "", **kwargs: Any) -> int:
        """Send a block. The log holds its length only: samples of a waveform are secret phases."""
        message = command.encode() + self._format_binary_values(values, **kwargs) + termination.encode()
        log.debug("WRITE:%s<%d bytes>", command, len(message) - len(command))
        self._write_bytes(message)
        return len(message)

    def reopen(self) -> None:
        """Close and open the port again; raises Disconnected if it does not open."""
        with visa_errors(self.where):
            self.connection.close()
            self.connection = self.manager.open_resource(self.resource_name, **self._settings)
            self._send_at_once()
        self._owed = False

    def _send_at_once(self) -> None:
        """Let no command wait for the acknowledgement of the one before, 40 ms each. PyVISA-py ignores its own attribute for that."""
        port = getattr(self.connection.visalib.sessions[self.connection.session], "interface", None)
        if isinstance(port, socket.socket):
            port.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def discard(self) -> None:
        """Throw away what a serial port received and nobody read; from a socket the drain to a known answer takes it. Raises Disconnected."""
        if isinstance(self.connection, pyvisa.resources.SerialInstrument):
            with visa_errors(self.where):
                self.connection.flush(pyvisa.constants.BufferOperation.discard_read_buffer)

    def _write(self, command: str, **kwargs: Any) -> None:
        if self._owed:
            self._resynchronise()
        self._owed = self._owes(command)
        with visa_errors(self.where):
            self._sent += self.connection.write(command, **kwargs)

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        if self._owed:
            self._resynchronise()
        with visa_errors(self.where):
            self._sent += self.connection.write_raw(content, **kwargs)

    def _read(self, **kwargs: Any) -> str:
        return self._line().removesuffix(self._line_end).decode("utf-8", "replace")

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        if break_on_termchar:
            return self._line()
        with visa_errors(self.where):
            content = bytes(super()._read_bytes(count, **kwargs))
        self._received += len(content)
        return content

    def _line(self) -> bytes:
        try:
            line = self._one_line(self.timeout_s)
        except Timeout:
            self._resynchronise()
            raise
        self._owed = False
        return line

    def _one_line(self, budget_s: float) -> bytes:
        """Return bytes up to a line end, whatever pieces they come in; raises Timeout when the budget is spent."""
        deadline, line = time.monotonic() + budget_s, b""
        while not line.endswith(self._line_end):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise Timeout("no complete reply in time", where=self.where, remedy="Check that the device is on and not busy.")
            with visa_errors(self.where):
                self.connection.timeout = left_s * 1000
                piece = bytes(self.connection.read_raw())
            self._received += len(piece)
            line += piece
        return line

    def _resynchronise(self) -> None:
        """Find the place in the stream again: ask the known question, drain until its answer; else reopen."""
        self._owed = False
        if not self._probe:
            return
        deadline, lines = time.monotonic() + PROBE_S, list[str]()
        try:
            self.discard()
            with visa_errors(self.where):
                self._sent += self.connection.write(self._probe)
            while not self._is_answer(lines):
                if time.monotonic() > deadline or len(lines) > _MOST_LINES:
                    raise StaleReply("the known answer did not come", where=self.where)
                lines.append(self._one_line(deadline - time.monotonic()).decode("utf-8", "replace").strip())
            self.stale += len(lines) - 1
        except (Timeout, StaleReply) as error:
            log.info("%s: reopened after %s", self.where, error.message)
            self.reopen()


_MOST_LINES = 12


def identity_answer(model: str) -> Callable[[list[str]], bool]:
    """Return the test by which `*IDN?` of a model is known among drained lines."""
    return lambda lines: bool(lines) and lines[-1].count(",") >= 3 and model in lines[-1]


def where_of(adapter: object, name: str) -> str:
    """Return the place for messages: the link's own, or the instrument's name where the adapter is none of ours."""
    return getattr(adapter, "where", name)


@contextmanager
def told(where: str) -> Iterator[None]:
    """Give every instrument error raised inside the name of the instrument and its address."""
    try:
        yield
    except InstrumentError as error:
        error.where = error.where or where
        error.remedy = error.remedy or "Check the cable, and that the right device is connected."
        raise
