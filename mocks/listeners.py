"""Sockets, pseudo-terminals and ZMQ ports in front of the simulated devices: one thread, one poller.

Every listener binds 127.0.0.1 or a pty of this machine, serves any number of connections one after the other, and passes bytes on unchanged. Bench time
moves on in `Producer.advance`, and only when every subscribed stream has room.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import shutil
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from weakref import WeakKeyDictionary

import zmq

from ..core.errors import BenchError
from .devices.base import Link, Reply
from .serial_lines import SerialLine

HOST = "127.0.0.1"
HIGH_WATER = 4
"""Messages a stream socket holds before the bench waits."""
LINGER_MS = 500
CALL_S = 10.0
_CHUNK = 1 << 16


class Producer(Protocol):
    """A stream that makes bench time pass while somebody listens."""

    def due_ps(self) -> int | None:
        """Return the bench time of its next piece, or None while nobody listens."""
        ...

    def has_room(self) -> bool:
        """Say whether the next piece would be taken at once."""
        ...

    def advance(self) -> None:
        """Make the next piece and send it."""
        ...


class Hub:
    """The poller, everything registered with it, and the answers that are still under way."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._handlers: dict[object, Callable[[], None]] = {}
        self._closers: list[Callable[[], None]] = []
        self._late: list[tuple[float, int, Callable[[bytes], None], bytes]] = []
        self._order = itertools.count()
        self._serving: threading.Thread | None = None
        self._busy: WeakKeyDictionary[object, float] = WeakKeyDictionary()
        self._posted: deque[Callable[[], None]] = deque()
        self._lines: Path | None = None
        self.producers: list[Producer] = []
        self.connections: set[socket.socket] = set()
        self._wake, self._bell = os.pipe()
        self._running = True
        self.watch(self._wake, self._woken)

    def watch(self, source: object, handler: Callable[[], None]) -> None:
        """Call the handler whenever the source (file descriptor or ZMQ socket) can be read."""
        self._poller.register(source, zmq.POLLIN)
        self._handlers[source] = handler

    def watch_also(self, source: object, *, writable: bool) -> None:
        """Call the handler of a watched source also when it can be written, or no longer."""
        self._poller.modify(source, zmq.POLLIN | zmq.POLLOUT if writable else zmq.POLLIN)

    def forget(self, source: object) -> None:
        """Stop watching a source."""
        self._poller.unregister(source)
        del self._handlers[source]

    def post(self, action: Callable[[], None]) -> None:
        """Have something done by the thread that serves, from any thread."""
        self._posted.append(action)
        with suppress(OSError):
            os.write(self._bell, b"?")

    def call(self, action: Callable[[], None]) -> None:
        """Have something done by the thread that serves, or here if none does, and wait for its end; raises what it raises."""
        if self._serving is None or self._serving is threading.current_thread():
            action()
            return
        done, raised = threading.Event(), list[Exception]()

        def carried_out() -> None:
            try:
                action()
            except Exception as error:  # noqa: BLE001
                # Whatever it is, it belongs to the one who asked.
                raised.append(error)
            done.set()

        self.post(carried_out)
        if not done.wait(CALL_S):
            raise BenchError("the simulated bench does not answer", remedy="Is it still running?")
        if raised:
            raise raised[0]

    def _woken(self) -> None:
        os.read(self._wake, _CHUNK)
        while self._posted:
            self._posted.popleft()()

    def send_all(self, replies: list[Reply], write: Callable[[bytes], None], hang_up: Callable[[], None] | None = None, line: object = None) -> None:
        """Write replies now, or when their delay is over; hang up behind those that say so.

        line: what they go out on, on which none overtakes another.
        """
        for reply in replies:
            at = time.monotonic() + reply.delay_s
            if line is not None:
                at = self._busy[line] = max(at, self._busy.get(line, 0.0))
            heapq.heappush(self._late, (at, next(self._order), write, reply.data))
            if reply.close and hang_up is not None:
                heapq.heappush(self._late, (at, next(self._order), _ending(hang_up), b""))

    def add_pty(self, link: Link) -> str:
        """Put a device on a pseudo-terminal in raw mode and return its VISA resource, which stays the same if the line is cut and plugged in again."""
        return self.add_stream_pty(link)[0]

    def add_stream_pty(self, link: Link) -> tuple[str, SerialLine]:
        """The same for a device that also sends unasked; return the line too, by which it does."""
        if self._lines is None:
            self._lines = Path(tempfile.mkdtemp(prefix="heliograph-lines-"))
        line = SerialLine(self, link, self._lines / f"tty{next(self._order)}")
        self._closers.append(line.close)
        return f"ASRL{line.path}::INSTR", line

    def _listen(self, accepted: Callable[[socket.socket], None]) -> int:
        server = socket.create_server((HOST, 0))
        server.setblocking(False)

        def readable() -> None:
            with suppress(OSError):
                accepted(server.accept()[0])

        self.watch(server.fileno(), readable)
        self._closers.append(server.close)
        return int(server.getsockname()[1])

    def add_tcp(self, open_link: Callable[[], Link]) -> int:
        """Put a device on a TCP port and return the port; every connection gets a link of its own."""
        return self._listen(lambda connection: _Connection(self, connection, open_link()).start())

    def add_feed(self, open_feed: Callable[[], Feed]) -> int:
        """Put a one-way stream of lines on a TCP port and return the port."""
        return self._listen(lambda connection: _FeedConnection(self, connection, open_feed()).start())

    def add_service(self, open_link: Callable[[], Link]) -> int:
        """Put a request-reply service on a ZMQ port and return the port; every client gets a link of its own, which may leave a request unanswered."""
        # A REP socket could not receive again before it has answered.
        replier = self._context.socket(zmq.ROUTER)
        replier.setsockopt(zmq.LINGER, 0)
        port = int(replier.bind_to_random_port(f"tcp://{HOST}"))
        links: dict[bytes, Link] = {}

        def readable() -> None:
            with suppress(zmq.Again):
                client, *_, message = replier.recv_multipart(zmq.NOBLOCK)
                link = links.setdefault(client, open_link())
                self.send_all(link.feed(message), _answering(replier, client))

        self.watch(replier, readable)
        self._closers.append(lambda: replier.close(0))
        return port

    def open_pair(self, port: int) -> PairOutlet:
        """Bind a stream socket to a port; raises BenchError if it is taken."""
        pair = self._context.socket(zmq.PAIR)
        pair.setsockopt(zmq.SNDHWM, HIGH_WATER)
        pair.setsockopt(zmq.LINGER, LINGER_MS)
        try:
            pair.bind(f"tcp://{HOST}:{port}")
        except zmq.ZMQError as error:
            pair.close(0)
            raise BenchError(f"port {port} cannot be had ({error.strerror})") from error
        return PairOutlet(pair)

    def run(self) -> None:
        """Serve until `stop`; then close everything."""
        self._serving = threading.current_thread()
        try:
            while self._running:
                self._serve(self._patience_ms())
                self._send_due()
                self._advance()
        finally:
            self.close()

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._running = False
        with suppress(OSError):
            os.write(self._bell, b"!")

    def _patience_ms(self) -> int:
        waiting = [producer for producer in self.producers if producer.due_ps() is not None]
        # A stream without room is looked at again after a millisecond: its reader, not a socket event, makes the room.
        patience = 1 if waiting else 1000
        if self._next_producer() is not None:
            patience = 0
        if self._late:
            patience = min(patience, max(0, round((self._late[0][0] - time.monotonic()) * 1e3 + 0.5)))
        return patience

    def _serve(self, timeout_ms: int) -> None:
        for source, _event in self._poller.poll(timeout_ms):
            if source in self._handlers:
                self._handlers[source]()

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._late and self._late[0][0] <= now:
            _, _, write, data = heapq.heappop(self._late)
            write(data)

    def _next_producer(self) -> Producer | None:
        """Return the stream whose next piece is the earliest, if every subscribed stream has room."""
        due = [(at, k) for k, producer in enumerate(self.producers) if (at := producer.due_ps()) is not None]
        if not due or not all(self.producers[k].has_room() for _, k in due):
            return None
        return self.producers[min(due)[1]]

    def _advance(self) -> None:
        producer = self._next_producer()
        if producer is not None:
            producer.advance()

    def close(self) -> None:
        """Close every port and connection of a hub that does not run (any more); a second call does nothing."""
        if self._bell < 0:
            return
        for connection in self.connections:
            connection.close()
        for close in self._closers:
            close()
        if self._lines is not None:
            shutil.rmtree(self._lines, ignore_errors=True)
        self._context.destroy(LINGER_MS)
        os.close(self._wake)
        bell, self._bell = self._bell, -1
        os.close(bell)


def _ending(hang_up: Callable[[], None]) -> Callable[[bytes], None]:
    return lambda _data: hang_up()


def _answering(replier: zmq.Socket[bytes], client: bytes) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        replier.send_multipart([client, b"", data])

    return write


class PairOutlet:
    """A bound PAIR socket: full when its queue is, or when nobody is connected."""

    def __init__(self, pair: zmq.Socket[bytes]) -> None:
        self._pair = pair

    def has_room(self) -> bool:
        """Say whether a message would be queued at once."""
        return bool(int(self._pair.getsockopt(zmq.EVENTS)) & zmq.POLLOUT)

    def send(self, message: bytes) -> None:
        """Queue a message; if the listener left this very moment, nobody misses it."""
        with suppress(zmq.Again):
            self._pair.send(message, zmq.NOBLOCK)

    def close(self) -> None:
        """Unbind at once; what is queued goes out for half a second more."""
        self._pair.close()


class _Connection:
    """One TCP client of a device."""

    def __init__(self, hub: Hub, connection: socket.socket, link: Link) -> None:
        self._hub = hub
        self._socket = connection
        self._link = link
        self._alive = True

    def start(self) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._hub.connections.add(self._socket)
        self._hub.watch(self._socket.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except OSError:
            data = b""
        if data:
            self._hub.send_all(self._link.feed(data), self._write, self._end, self)
        else:
            self._end()

    def _write(self, data: bytes) -> None:
        if self._alive:
            with suppress(OSError):
                self._socket.sendall(data)

    def _end(self) -> None:
        if self._alive:
            self._alive = False
            self._hub.forget(self._socket.fileno())
            self._hub.connections.discard(self._socket)
            self._socket.close()


class Feed(Protocol):
    """Lines for one client."""

    def due_ps(self) -> int:
        """Return the bench time of the next line."""
        ...

    def line(self) -> bytes:
        """Make the next line; bench time moves on."""
        ...


class _FeedConnection:
    """One TCP client of a feed. Lines are sent while the client's buffer takes them, at most one every few milliseconds."""

    PACE_S = 0.002

    def __init__(self, hub: Hub, connection: socket.socket, feed: Feed) -> None:
        self._hub = hub
        self._socket = connection
        self._feed = feed
        self._alive = True
        self._not_before = 0.0

    def start(self) -> None:
        self._socket.setblocking(False)
        # A small buffer, so that little is counted ahead of a client that reads slowly.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self._hub.watch(self._socket.fileno(), self._readable)
        self._hub.producers.append(self)
        self._hub.connections.add(self._socket)

    def _readable(self) -> None:
        try:
            alive = bool(self._socket.recv(_CHUNK))
        except BlockingIOError:
            alive = True
        except OSError:
            alive = False
        if not alive:
            self._end()

    def due_ps(self) -> int | None:
        return self._feed.due_ps() if self._alive else None

    def has_room(self) -> bool:
        if time.monotonic() < self._not_before:
            return False
        return bool(select.select([], [self._socket], [], 0)[1])

    def advance(self) -> None:
        self._not_before = time.monotonic() + self.PACE_S
        try:
            self._socket.sendall(self._feed.line())
        except OSError:
            self._end()

    def _end(self) -> None:
        if self._alive:
            self._alive = False
            self._hub.producers.remove(self)
            self._hub.forget(self._socket.fileno())
            self._hub.connections.discard(self._socket)
            self._socket.close()
