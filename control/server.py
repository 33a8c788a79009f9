"""The owner's end of the line: it accepts clients, answers their requests one after the other, and sends them what they subscribed to.

Each client has three threads: one reads, so that the end of a connection is noticed at once; one answers, however long an instrument takes; one sends, so that
a client that does not read keeps nobody waiting. A client that asks about files gets a fourth, so that these keep no instrument waiting.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ..core.errors import FrameError, StorageError
from ..instruments.guard.watchdog import listen, peer_pid, unlisten
from .link import Message, encode, receive
from .topics import PERIOD_S, Mailbox

log = logging.getLogger(__name__)

_PATIENCE_S = 2.0
_END = None


class Session(Protocol):
    """What serves one client."""

    def answer(self, message: Message) -> Message:
        """Return the reply to a request; whatever went wrong is in it."""
        ...

    def aside(self, topic: str) -> bool:
        """Say whether requests about a topic are answered beside the others, in their own order."""
        ...

    def gone(self) -> None:
        """Hear that the client's connection has ended."""
        ...


class Client:
    """One connection.  pid: process at its other end, 0 where the system does not tell."""

    def __init__(self, connection: socket.socket, open_session: Callable[[Client], Session]) -> None:
        self._socket = connection
        self.pid = peer_pid(connection)
        self.mailbox: Mailbox | None = None
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._aside: queue.SimpleQueue[Message | None] | None = None
        self._over = threading.Event()
        self._session = open_session(self)
        self._threads = [threading.Thread(target=work, name=f"client {self.pid}", daemon=True) for work in (self._read, self._answer, self._send)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        try:
            while (message := receive(self._socket)) is not None:
                self._requests.put(message)
        except FrameError as error:
            log.warning("client %d: %s", self.pid, error)
        self._over.set()
        self._requests.put(_END)
        self._session.gone()
        self._shut()

    def _answer(self) -> None:
        while (message := self._requests.get()) is not None and not self._over.is_set():
            if self._session.aside(message.topic):
                self._answer_aside(message)
            else:
                self._replies.put(_frame(self._session.answer(message)))
        if self._aside is not None:
            self._aside.put(_END)

    def _answer_aside(self, message: Message) -> None:
        if self._aside is None:
            self._aside = queue.SimpleQueue()
            thread = threading.Thread(target=self._work_aside, args=(self._aside,), name=f"client {self.pid}, files", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._aside.put(message)

    def _work_aside(self, waiting: queue.SimpleQueue[Message | None]) -> None:
        while (message := waiting.get()) is not None and not self._over.is_set():
            self._replies.put(_frame(self._session.answer(message)))

    def _send(self) -> None:
        published = 0.0
        with contextlib.suppress(OSError):
            while not self._over.is_set():
                with contextlib.suppress(queue.Empty):
                    self._socket.sendall(self._replies.get(timeout=PERIOD_S))
                if self.mailbox is not None and time.monotonic() - published >= PERIOD_S:
                    published = time.monotonic()
                    for message in self.mailbox.take():
                        self._socket.sendall(_frame(message))

    def _shut(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection and wait for its threads."""
        self._shut()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_PATIENCE_S)
        self._socket.close()

    @property
    def over(self) -> bool:
        """Say whether all its threads have ended."""
        return not any(thread.is_alive() for thread in self._threads)


def _frame(message: Message) -> bytes:
    try:
        return encode(message)
    except FrameError as error:
        return encode(Message(message.topic, error, message.id))


class Server:
    """Listens at a Unix socket from construction to `close`. Raises StorageError if it cannot."""

    def __init__(self, path: Path, open_session: Callable[[Client], Session]) -> None:
        self._path, self._open_session = path, open_session
        self._clients: list[Client] = []
        try:
            self._listener = listen(path)
            self._inode = path.stat().st_ino
        except OSError as error:
            raise StorageError(f"the socket cannot be made ({error.strerror})", where=str(path), remedy="Set XDG_RUNTIME_DIR to a local folder.") from error
        self._thread = threading.Thread(target=self._accept, name="clients", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            for client in [client for client in self._clients if client.over]:
                client.close()
                self._clients.remove(client)
            self._clients.append(Client(connection, self._open_session))

    def close(self) -> None:
        """End every connection and take the socket away."""
        unlisten(self._path, self._inode)
        # A shut listener wakes whoever waits at it.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE_S)
        self._listener.close()
        for client in self._clients:
            client.close()
        self._clients.clear()
