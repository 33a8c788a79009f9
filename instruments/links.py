"""Connections to devices, as PyMeasure adapters: typed errors, counted bytes, whole lines, and no answer that belongs to an older question.

Every link has `where` (instrument and address, for messages), `timeout_s` (for one reply) and `wire` (bytes so far).
"""

from __future__ import annotations

import logging
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyvisa
from pymeasure.adapters import VISAAdapter
from serial import SerialException

from ..core.errors import BadReply, ConfigError, Disconnected, InstrumentError, StaleReply, Timeout
from .recording import tape
from .roles import WireCount

log = logging.getLogger(__name__)

OPEN_MS = 2000
PROBE_S = 1.0
"""How long a link may look for its place in the stream after a timeout, at most."""
PROBE_SHARE = 2.0
"""The same, in timeouts of a reply."""
_PIECE = 1 << 16


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


def forget_handlers(log: logging.Logger) -> None:
    """Leave a logger one of the handlers that do nothing: PyMeasure gives the same logger another one with every adapter, and counts open a link each."""
    for handler in [one for one in log.handlers if type(one) is logging.NullHandler][1:]:
        log.removeHandler(handler)


def _gone(where: str, error: BaseException) -> Disconnected:
    return Disconnected(f"the connection is gone ({error})", where=where, remedy="Check cable, power and address.")


class VisaLink(VISAAdapter):
    """A serial port or TCP socket through PyVISA.

    resource: VISA resource string.  name: instrument, for messages.  line_end: what ends a line of the device.  command_end: what ends a command.
    timeout_s: for one reply.
    probe: a cheap command whose answer is known.  is_answer: says whether the lines drained so far end with that answer.  Both serve to find the place in the
    stream after a timeout; where there are none, telegrams must tell answers apart.
    owes: says whether a command is answered at all.  alone: nothing comes unasked, and one reply to each question; what else comes is damage.
    many_lines: a reply may have several lines, and the driver says `ended` behind the last.
    settings: attributes of the PyVISA resource.
    A connection that is lost is opened again, once, by the next command; `after_reopen` then has to find the right device.
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
        alone: bool = False,
        many_lines: bool = False,
        **settings: Any,
    ) -> None:
        self.where = f"{name} ({resource})"
        self.timeout_s = timeout_s
        self._probe_s = min(PROBE_S, PROBE_SHARE * timeout_s)
        self.stale = 0
        self.reopened = 0
        self.after_reopen: Callable[[], object] | None = None
        self._line_end, self._probe, self._is_answer, self._owes, self._alone = line_end.encode(), probe, is_answer, owes, alone
        self._many_lines = many_lines
        self._command_end = command_end.encode()
        self._owed = self._lost = self._unknown = False
        self._sent = self._received = 0
        self._settings = {"timeout": timeout_s * 1000, "read_termination": line_end[-1], "write_termination": command_end, "open_timeout": OPEN_MS, **settings}
        try:
            with visa_errors(self.where):
                super().__init__(resource, visa_library="@py", **self._settings)
                self._send_at_once()
            self._tape = tape(resource, "serial" if resource.upper().startswith("ASRL") else "socket")
        except ValueError as error:
            raise ConfigError(
                f"{resource!r} is no VISA resource", where=name, remedy="Write it as ASRL/dev/ttyUSB0::INSTR or TCPIP::host::port::SOCKET."
            ) from error
        finally:
            forget_handlers(self.log)

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
        self._lost = self._unknown = True
        with visa_errors(self.where):
            self.connection.close()
            self.connection = self.manager.open_resource(self.resource_name, **self._settings)
            self._send_at_once()
        self._owed = self._lost = False
        self.reopened += 1
        self._tape.opened()

    def _socket(self) -> socket.socket | None:
        """Return the socket below, None for a serial port."""
        session = self.connection.visalib.sessions.get(self.connection.session)
        port = getattr(session, "interface", None)
        return port if isinstance(port, socket.socket) else None

    def _unread(self) -> bytearray:
        """Return what PyVISA-py took from a socket and nobody read."""
        session = self.connection.visalib.sessions.get(self.connection.session)
        return getattr(session, "_pending_buffer", None) or bytearray()

    def _send_at_once(self) -> None:
        """Let no command wait for the acknowledgement of the one before, 40 ms each. PyVISA-py ignores its own attribute for that."""
        port = self._socket()
        if port is not None:
            port.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def discard(self) -> bytes:
        """Take what has come and nobody read, and return it; nothing from a connection that is lost. Raises Disconnected."""
        if self._lost:
            return b""
        with self._noticing():
            if (port := self._socket()) is None:
                count = int(self.connection.bytes_in_buffer)
                return bytes(self.connection.read_bytes(count)) if count else b""
            unread = self._unread()
            found = bytes(unread)
            unread.clear()
            with suppress(BlockingIOError):
                while piece := port.recv(_PIECE, socket.MSG_DONTWAIT):
                    found += piece
            return found

    def listen(self, patience_s: float) -> bytes:
        """Take whatever comes, up to the first silence, for the answer to the last command; nothing if nothing comes in time. Raises Disconnected."""
        self._owed = False
        found = until_quiet(self.discard, patience_s)
        self._received += len(found)
        self._tape.received(found)
        return found

    def ended(self) -> None:
        """Say that the reply is complete; raises BadReply if more has come than that, and finds the place in the stream again."""
        if self._alone and (more := self.discard().strip()):
            self._resynchronise()
            raise BadReply(f"more than one reply came ({more[:20]!r})", where=self.where, remedy="Check that nobody else speaks to the device.")

    def _write(self, command: str, **kwargs: Any) -> None:
        self._begin()
        self._owed = self._owes(command)
        with self._noticing():
            self._sent += self.connection.write(command, **kwargs)
        self._tape.sent(command.encode() + self._command_end)

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        self._begin()
        with self._noticing():
            self._sent += self.connection.write_raw(content, **kwargs)
        self._tape.sent(content)

    def _begin(self) -> None:
        """Before a command: the connection is there, the right device is at it, and nothing stands in it that an answer could be taken for."""
        if self._lost:
            self.reopen()
        if self._unknown and self.after_reopen is not None:
            self._unknown = False
            try:
                self.after_reopen()
            except InstrumentError:
                self._lost = self._unknown = True
                raise
        if self._owed:
            self._resynchronise()
        elif self._alone and self.discard().strip():
            self.stale += 1
            self._resynchronise()

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            with visa_errors(self.where):
                yield
        except Disconnected:
            self._lost = True
            raise

    def _read(self, **kwargs: Any) -> str:
        line = self._line().removesuffix(self._line_end).decode("utf-8", "replace")
        if not self._many_lines:
            self.ended()
        return line

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        if break_on_termchar:
            return self._line()
        with self._noticing():
            content = bytes(super()._read_bytes(count, **kwargs))
        self._received += len(content)
        self._tape.received(content)
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
        """Return bytes up to a line end, whatever pieces they come in; raises Timeout when the budget is spent, Disconnected."""
        deadline, line = time.monotonic() + budget_s, b""
        while not line.endswith(self._line_end):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise Timeout("no complete reply in time", where=self.where, remedy="Check that the device is on and not busy.")
            with self._noticing():
                self._wait(left_s)
                self.connection.timeout = max(1.0, (deadline - time.monotonic()) * 1000)
                piece = bytes(self.connection.read_raw())
            self._received += len(piece)
            self._tape.received(piece)
            line += piece
        return line

    def _wait(self, seconds: float) -> None:
        """Wait for something from a socket. PyVISA-py takes one that the device closed for one that is silent, and waits busily."""
        port = self._socket()
        if port is None or self._line_end[-1:] in self._unread():
            return
        if select.select([port], [], [], seconds)[0] and not port.recv(1, socket.MSG_PEEK):
            raise ConnectionResetError("the device closed it")

    def _resynchronise(self) -> None:
        """Find the place in the stream again: ask the known question, drain until its answer; else reopen."""
        self._owed = False
        if not self._probe:
            return
        deadline, lines = time.monotonic() + self._probe_s, list[str]()
        try:
            self.discard()
            with self._noticing():
                self._sent += self.connection.write(self._probe)
            self._tape.sent(self._probe.encode() + self._command_end)
            while not self._is_answer(lines):
                if time.monotonic() > deadline or len(lines) > _MOST_LINES:
                    raise StaleReply("the known answer did not come", where=self.where)
                lines.append(self._one_line(deadline - time.monotonic()).decode("utf-8", "replace").strip())
            self.stale += len(lines) - 1
        except (Timeout, StaleReply) as error:
            log.info("%s: reopened after %s", self.where, error.message)
            self.reopen()


_MOST_LINES = 12


QUIET_S = 0.1
"""Silence that ends an answer of which nothing else is known."""


def until_quiet(take: Callable[[], bytes], patience_s: float) -> bytes:
    """Return what a function takes in, from the first bytes to the first silence; nothing if nothing comes in time."""
    found, until = b"", time.monotonic() + patience_s
    while time.monotonic() < until:
        if piece := take():
            found += piece
            until = time.monotonic() + QUIET_S
        else:
            time.sleep(0.005)
    return found


def identity_answer(model: str) -> Callable[[list[str]], bool]:
    """Return the test by which `*IDN?` of a model is known among drained lines."""
    return lambda lines: bool(lines) and lines[-1].count(",") >= 3 and model in lines[-1]


def where_of(adapter: object, name: str) -> str:
    """Return the place for messages: the link's own, or the instrument's name where the adapter is none of ours."""
    return getattr(adapter, "where", name)


def ended(adapter: object) -> None:
    """Say to a link that a reply of several lines is complete; raises BadReply if more has come."""
    if isinstance(adapter, VisaLink):
        adapter.ended()


@contextmanager
def told(where: str) -> Iterator[None]:
    """Give every instrument error raised inside the name of the instrument and its address."""
    try:
        yield
    except InstrumentError as error:
        error.where = error.where or where
        error.remedy = error.remedy or "Check the cable, and that the right device is connected."
        raise
