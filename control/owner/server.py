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

from ...core.errors import BenchError, FrameError, StorageError
from ...instruments.guard.local_sockets import listen, peer_pid, peer_who, unlisten
from ..link import Message, framed, receive
from ..topics import EVENT, PERIOD_S, Mailbox

log = logging.getLogger(__name__)

MOST_WAITING = 256
"""Requests of one client that may be under way; those beyond are refused, and a client that sends as many again, and reads none, is parted from."""
MOST_REPLIES = 16
"""Replies of one client that may wait to be sent; no other is made meanwhile."""
MOST_BYTES = 2_000_000
"""Published to one client in a tick."""
_PATIENCE_S, _LAST_WORD_S = 2.0, 0.5
_AGAIN_S = 0.2
_END = None


def send_waiting(mailbox: Mailbox, send: Callable[[bytes], object], *, everything: bool = False) -> None:
    """Send what waits, as far as there is room in a tick, half of it for events; the rest waits for the next one. One message of either kind is always sent."""
    kept, sent, begun, full = list[Message](), 0, set[bool](), set[bool]()
    for message in mailbox.take():
        event = message.topic == EVENT
        if event not in full:
            frame = framed(message)
            if everything or event not in begun or sent + len(frame) <= MOST_BYTES // (1 + event):
                send(frame)
                sent += len(frame)
                begun.add(event)
                continue
            full.add(event)
        kept.append(message)
    if kept:
        mailbox.put_back(kept)


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
    """One connection.  pid: process at its other end, 0 where the system does not tell.  who: its user and computer, too."""

    def __init__(self, connection: socket.socket, open_session: Callable[[Client], Session]) -> None:
        self._socket = connection
        self.pid, self.who = peer_pid(connection), peer_who(connection)
        self.mailbox: Mailbox | None = None
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[tuple[bytes, bool]] = queue.SimpleQueue()
        self._room = threading.Semaphore(MOST_REPLIES)
        self._turn, self._waiting = threading.Lock(), 0
        self._aside: queue.SimpleQueue[Message | None] | None = None
        self._over, self._last_word = threading.Event(), threading.Event()
        self._session = open_session(self)
        self._threads = [threading.Thread(target=work, name=f"client {self.pid}", daemon=True) for work in (self._read, self._answer, self._send)]
        self._sender = self._threads[-1]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        try:
            while (message := receive(self._socket)) is not None:
                self._take(message)
        except FrameError as error:
            log.warning("client %d: %s", self.pid, error)
        except Exception:
            log.exception("client %d", self.pid)
        finally:
            self._over.set()
            self._requests.put(_END)
            try:
                self._session.gone()
            except Exception:
                log.exception("client %d", self.pid)
            finally:
                self._shut()

    def _take(self, message: Message) -> None:
        with self._turn:
            self._waiting += 1
            waiting = self._waiting
        if waiting > 2 * MOST_WAITING:
            raise FrameError(f"{waiting - 1} requests wait, and the client reads no replies", where="link")
        if waiting > MOST_WAITING:
            refusal = BenchError(f"{MOST_WAITING} requests of this process wait", where=message.topic, remedy="Wait for the replies to those first.")
            self._replies.put((framed(Message(message.topic, refusal, message.id)), False))
        else:
            self._requests.put(message)

    def _reply(self, message: Message) -> None:
        """Answer a request, once there is room for another reply."""
        frame = framed(self._session.answer(message))
        while not self._over.is_set():
            if self._room.acquire(timeout=PERIOD_S):
                self._replies.put((frame, True))
                return

    def _answer(self) -> None:
        while (message := self._requests.get()) is not None and not self._over.is_set():
            if self._session.aside(message.topic):
                self._answer_aside(message)
            else:
                self._reply(message)
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
            self._reply(message)

    def _send(self) -> None:
        published = 0.0
        with contextlib.suppress(OSError):
            while not self._over.is_set():
                with contextlib.suppress(queue.Empty):
                    self._send_reply(*self._replies.get(timeout=PERIOD_S))
                last = self._last_word.is_set()
                if self.mailbox is not None and (last or time.monotonic() - published >= PERIOD_S):
                    published = time.monotonic()
                    send_waiting(self.mailbox, self._socket.sendall, everything=last)
                if last:
                    return

    def _send_reply(self, frame: bytes, made: bool) -> None:
        self._socket.sendall(frame)
        with self._turn:
            self._waiting -= 1
        if made:
            self._room.release()

    def _shut(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Send what waits to be published, end the connection and wait for its threads."""
        self._last_word.set()
        if self._sender is not threading.current_thread():
            self._sender.join(_LAST_WORD_S)
        self._shut()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_PATIENCE_S)
        self._socket.close()

    @property
    def over(self) -> bool:
        """Say whether all its threads have ended."""
        return not any(thread.is_alive() for thread in self._threads)


class Server:
    """Listens at a Unix socket from construction to `close`. Raises StorageError if it cannot."""

    def __init__(self, path: Path, open_session: Callable[[Client], Session]) -> None:
        self._path, self._open_session = path, open_session
        self._clients: list[Client] = []
        self._closing = threading.Event()
        try:
            self._listener = listen(path)
            self._inode = path.stat().st_ino
        except OSError as error:
            raise StorageError(
                f"the socket cannot be made ({error.strerror})", where=str(path), remedy="Set HELIOGRAPH_RUNTIME_DIR to a local folder."
            ) from error
        self._thread = threading.Thread(target=self._accept, name="clients", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if self._closing.wait(_AGAIN_S):
                    return
                # Without a descriptor to spare, nobody more is let in for a moment.
                log.warning("%s: a client could not be let in (%s)", self._path, error.strerror)
                continue
            self._let_in(connection)

    def _let_in(self, connection: socket.socket) -> None:
        for client in [client for client in self._clients if client.over]:
            client.close()
            self._clients.remove(client)
        try:
            self._clients.append(Client(connection, self._open_session))
        except Exception:
            log.exception("a client could not be let in")
            connection.close()

    def close(self) -> None:
        """End every connection and take the socket away."""
        self._closing.set()
        unlisten(self._path, self._inode)
        # A shut listener wakes whoever waits at it.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(_PATIENCE_S)
        self._listener.close()
        for client in self._clients:
            client.close()
        self._clients.clear()
