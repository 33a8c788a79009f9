"""Links where VISA does not fit: a TCP stream without lines, and ZMQ request/reply."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from pymeasure.adapters import Adapter

from ..core.errors import ConfigError, DependencyMissing, Disconnected, InstrumentError, Timeout
from .links import forget_handlers, until_quiet
from .recording import tape
from .roles import WireCount

_PIECE = 1 << 16


def host_and_port(address: str, *, where: str = "") -> tuple[str, int]:
    """Return host and port of `tcp://host:port`; raises ConfigError for anything else."""
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "tcp" or not parts.hostname or port is None:
        raise ConfigError(f"{address!r} is no address", where=where, remedy='Write it as "tcp://10.0.0.5:12000".')
    return parts.hostname, port


@contextmanager
def _socket_errors(where: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise Timeout("no complete reply in time", where=where, remedy="Check that the device is on and not busy.") from error
    except OSError as error:
        raise Disconnected(f"the connection is gone ({error})", where=where, remedy="Check cable, power and address.") from error


class TcpLink(Adapter):
    """A TCP stream read piece by piece.

    address: `tcp://host:port`.  name: instrument, for messages.  timeout_s: for one piece.
    A connection that is lost or given up with `renew` is opened again, once, by the next write; `after_reopen` then has to find the right device.
    Raises Disconnected if nobody listens.
    """

    def __init__(self, address: str, *, name: str, timeout_s: float = 1.0) -> None:
        super().__init__()
        forget_handlers(self.log)
        self.where = f"{name} ({address})"
        self.timeout_s = timeout_s
        self.reopened = 0
        self.after_reopen: Callable[[], object] | None = None
        self._target = host_and_port(address, where=name)
        self._sent = self._received = 0
        self._lost = self._unknown = False
        self._connect()
        self._tape = tape(address, "tcp")

    def _connect(self) -> None:
        with _socket_errors(self.where):
            self.connection = socket.create_connection(self._target, timeout=self.timeout_s)

    @property
    def wire(self) -> WireCount:
        """Return the bytes sent and received so far."""
        return WireCount(self._sent, self._received)

    def renew(self) -> None:
        """Give the connection up: whatever is still to come on it is never read."""
        self._lost = self._unknown = True
        self.connection.close()

    def _begin(self) -> None:
        if self._lost:
            self._connect()
            self._lost = False
            self.reopened += 1
            self._tape.opened()
        if self._unknown and self.after_reopen is not None:
            self._unknown = False
            try:
                self.after_reopen()
            except InstrumentError:
                self.renew()
                raise

    def listen(self, patience_s: float) -> bytes:
        """Take whatever comes, up to the first silence; nothing if nothing comes in time."""
        found = until_quiet(self.waiting, patience_s)
        self._received += len(found)
        self._tape.received(found)
        return found

    def waiting(self) -> bytes:
        """Take what has come and nobody read, and return it."""
        found = b""
        if not self._lost:
            self.connection.setblocking(False)
            with suppress(OSError):
                while piece := self.connection.recv(_PIECE):
                    found += piece
        return found

    def _write(self, command: str, **kwargs: Any) -> None:
        self._write_bytes(command.encode())

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        self._begin()
        with self._noticing():
            self.connection.settimeout(self.timeout_s)
            self.connection.sendall(content)
        self._sent += len(content)
        self._tape.sent(content)

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            with _socket_errors(self.where):
                yield
        except Disconnected:
            self.renew()
            raise

    def _read(self, **kwargs: Any) -> str:
        return self._read_bytes(-1).decode("utf-8", "replace")

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        """Return the next piece, at most `count` bytes (any for -1)."""
        with self._noticing():
            self.connection.settimeout(max(self.timeout_s, 0.001))
            piece = self.connection.recv(_PIECE if count < 0 else count)
            if not piece:
                raise ConnectionResetError("the device closed it")
        self._received += len(piece)
        self._tape.received(piece)
        return piece

    def read_line(self, budget_s: float) -> bytes:
        """Return bytes up to the first newline; raises Timeout when the budget is spent. What stands behind it is lost."""
        deadline, line = time.monotonic() + budget_s, b""
        while b"\n" not in line:
            self.timeout_s = deadline - time.monotonic()
            if self.timeout_s <= 0:
                raise Timeout("no complete line in time", where=self.where, remedy="Check that the device is measuring.")
            line += self._read_bytes(-1)
        return line[: line.index(b"\n") + 1]


class ZmqLink(Adapter):
    """One ZMQ request/reply connection: a string there, a string back.

    After a timeout, or a question that was never answered, the socket is thrown away: a REQ socket cannot be used again, and a new one never receives an old
    reply. `after_reopen` then has to find the right device, before the next question is sent.
    Raises DependencyMissing without pyzmq, Disconnected for an impossible address. Nothing is noticed of a dead device before the first question.
    """

    def __init__(self, address: str, *, name: str, timeout_s: float = 1.0) -> None:
        super().__init__()
        forget_handlers(self.log)
        self.where = f"{name} ({address})"
        self.timeout_s = timeout_s
        self.reopened = 0
        self.after_reopen: Callable[[], object] | None = None
        self._unknown = False
        self._address = address
        self._sent = self._received = 0
        self._owed = False
        zmq = import_zmq(self.where)
        host_and_port(address, where=name)
        self._zmq = zmq
        # One context for the process: one of its own would, when collected with its socket, wait for it for ever.
        self._context = zmq.Context.instance()
        self.connection = self._new_socket()
        self._tape = tape(address, "zmq")

    @property
    def wire(self) -> WireCount:
        """Return the bytes sent and received so far."""
        return WireCount(self._sent, self._received)

    @property
    def host(self) -> str:
        """Return the host of the address."""
        return host_and_port(self._address)[0]

    def close(self) -> None:
        """Close the socket; what was not sent is dropped."""
        if hasattr(self, "connection"):
            self.connection.close(linger=0)

    def _new_socket(self) -> Any:
        connection = self._context.socket(self._zmq.REQ)
        connection.setsockopt(self._zmq.LINGER, 0)
        with self._errors():
            connection.connect(self._address)
        return connection

    def _reopen(self) -> None:
        self.connection.close(linger=0)
        self.connection = self._new_socket()
        self.reopened += 1
        self._tape.opened()
        self._unknown = True
        self._owed = False

    def _write(self, command: str, **kwargs: Any) -> None:
        self._write_bytes(command.encode())

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        if self._owed:
            self._reopen()
        if self._unknown and self.after_reopen is not None:
            self._unknown = False
            try:
                self.after_reopen()
            except InstrumentError:
                self._unknown = True
                raise
        with self._errors():
            self.connection.send(content, self._zmq.NOBLOCK)
        self._owed = True
        self._sent += len(content)
        self._tape.sent(content)

    def _read(self, **kwargs: Any) -> str:
        return self._read_bytes(-1).decode("utf-8", "replace")

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        with self._errors():
            arrived = self.connection.poll(round(self.timeout_s * 1000))
            reply = bytes(self.connection.recv()) if arrived else None
        if reply is None:
            self._reopen()
            raise Timeout("no reply in time", where=self.where, remedy="Check that the device is on and its address is right.")
        self._owed = False
        self._received += len(reply)
        self._tape.received(reply)
        return reply

    def listen(self, patience_s: float) -> bytes:
        """Take the reply to the last question; nothing if it does not come in time."""
        before, self.timeout_s = self.timeout_s, patience_s
        try:
            return bytes(self._read_bytes(-1)) if self._owed else b""
        except Timeout:
            return b""
        finally:
            self.timeout_s = before

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except self._zmq.ZMQError as error:
            raise Disconnected(f"the connection is gone ({error})", where=self.where, remedy="Check cable, power and address.") from error


def import_zmq(where: str) -> Any:
    """Return the module zmq; raises DependencyMissing where pyzmq is not installed."""
    try:
        import zmq
    except ImportError as error:
        raise DependencyMissing("pyzmq is needed for this instrument", where=where, remedy="Install it with `pip install pyzmq`.") from error
    return zmq
