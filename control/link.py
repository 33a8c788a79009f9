"""The line between the owner of a bench and its clients: frames on a local stream socket.

Frame: u32 length of the rest (little-endian, 16 MiB at most), a JSON header with `version`, `id`, `topic`, `shapes`, `dtypes` and `body`, a newline, and the
arrays, raw and little-endian. A request carries an id and gets exactly one reply with that id; what the owner publishes has a topic and no id. The sockets lie
in the user's own folder (mode 0700).
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..core.errors import BenchError, FrameError, HeliographError, StorageError, Timeout

# Replies hold small dataclasses of the roles, such as safe reports, and only classes of modules that are loaded can be received.
from ..instruments import roles as _roles  # noqa: F401
from ..instruments.guard.locks import PLACE, user_folder
from .values import Arrays, packed, unpacked

log = logging.getLogger(__name__)

VERSION = 1
LONGEST = 16 << 20
REQUEST_S = 2.0
"""How long a client waits for a reply that needs no instrument."""
HEARTBEAT_S = 0.25
_SHOULD_BE_SAFE = "Its watchdog should have made the bench safe: see `heliograph bench status`, or make it safe with `heliograph bench safe`."
_LONGEST_PATH = 100
_HEADER = {"version", "id", "topic", "shapes", "dtypes", "body"}
_KINDS = "biufc"


def address(station: Path, what: str) -> Path:
    """Return the path of a station's socket or record: `owner`, `watchdog`, `rescue`. Raises StorageError for a folder that cannot be used."""
    folder = user_folder()
    path = folder / f"{hashlib.sha256(str(station.resolve()).encode()).hexdigest()[:16]}.{what}"
    if len(str(path)) > _LONGEST_PATH:
        raise StorageError("the folder's name is too long for a socket", where=str(folder), remedy=f"Set {PLACE} to a shorter one.")
    return path


def sockets(station: Path) -> list[Path]:
    """Return which sockets of a station's owner and watchdog are there: whoever ends in order takes its own away, and one that is killed leaves it behind."""
    return [path for path in (address(station, "owner"), address(station, "watchdog")) if path.exists()]


@dataclass(frozen=True, slots=True)
class Message:
    """One frame.  topic: what it is about.  body: see `values`.  id: of request and reply; None for what is published."""

    topic: str
    body: Any = None
    id: int | None = None


def encode(message: Message) -> bytes:
    """Return the frame of a message. Raises FrameError for what does not travel, or is longer than a frame."""
    try:
        return _encoded(message)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FrameError(f"a message cannot be sent ({type(error).__name__}: {error})", where=message.topic) from error


def _encoded(message: Message) -> bytes:
    arrays: Arrays = []
    body = packed(message.body, arrays)
    raw = [np.ascontiguousarray(array) for array in arrays]
    wrong = [array.dtype for array in raw if array.dtype.kind not in _KINDS]
    if wrong:
        raise FrameError(f"arrays of {wrong[0]} cannot be sent to another process", where=message.topic)
    raw = [array.astype(array.dtype.newbyteorder("<"), copy=False) for array in raw]
    shapes, dtypes = [list(array.shape) for array in arrays], [array.dtype.str for array in raw]
    header = {"version": VERSION, "id": message.id, "topic": message.topic, "shapes": shapes, "dtypes": dtypes, "body": body}
    rest = b"".join([json.dumps(header).encode(), b"\n", *(array.tobytes() for array in raw)])
    if len(rest) > LONGEST:
        raise FrameError(f"{len(rest):,} bytes in one message, {LONGEST:,} fit", where=message.topic, remedy="Record shorter pieces.")
    return struct.pack("<I", len(rest)) + rest


def decode(rest: bytes) -> Message:
    """Return the message of a frame, its length left out. Raises FrameError, whatever is wrong with it."""
    try:
        return _decoded(rest)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError, SyntaxError, MemoryError) as error:
        raise FrameError(f"a frame is malformed ({type(error).__name__}: {str(error)[:200]})", where="link") from error


def _decoded(rest: bytes) -> Message:
    text, newline, raw = rest.partition(b"\n")
    header = json.loads(text)
    if not newline or set(header) != _HEADER or header["version"] != VERSION:
        raise FrameError("a frame of another version or kind came", where="link", remedy="Use one version of Heliograph for both processes.")
    if not isinstance(header["id"], int | None):
        raise FrameError("a frame without a number as its id came", where="link")
    arrays, first = [], 0
    for shape, dtype in zip(header["shapes"], header["dtypes"], strict=True):
        kind = np.dtype(dtype)
        if kind.kind not in _KINDS or any(not isinstance(n, int) or n < 0 for n in shape):
            raise FrameError(f"an array of {dtype} and shape {shape} came", where="link")
        count = int(np.prod(shape, dtype=np.int64))
        arrays.append(np.frombuffer(raw, kind, count, first).reshape(shape))
        first += count * kind.itemsize
    if first != len(raw):
        raise FrameError(f"{len(raw) - first} bytes belong to no array", where="link")
    return Message(str(header["topic"]), unpacked(header["body"], arrays), header["id"])


def receive(connection: socket.socket) -> Message | None:
    """Wait for the next message; None at the end of the connection. Raises FrameError."""
    head = _exactly(connection, 4)
    if head is None:
        return None
    (length,) = struct.unpack("<I", head)
    if length > LONGEST:
        raise FrameError(f"a frame of {length:,} bytes was announced", where="link")
    rest = _exactly(connection, length)
    return None if rest is None else decode(rest)


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    parts, missing = [], count
    while missing:
        try:
            piece = connection.recv(min(missing, 1 << 18))
        except OSError:
            return None
        if not piece:
            return None
        parts.append(piece)
        missing -= len(piece)
    return b"".join(parts)


def connected(path: Path) -> socket.socket | None:
    """Return a connection to a Unix socket, None if nobody listens there."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        return None
    return connection


def framed(message: Message) -> bytes:
    """Return the bytes of an answer; those of a FrameError in its place, where it cannot be sent."""
    try:
        return encode(message)
    except FrameError as error:
        return encode(Message(message.topic, error, message.id))


class Link:
    """A client's end of the line to an owner. Several threads may ask.

    heard: called, in a thread of the link, with every message that is published to this client.
    """

    def __init__(self, connection: socket.socket, *, where: str, heard: Callable[[Message], None] = lambda _message: None) -> None:
        self._socket, self._where, self._heard = connection, where, heard
        self._numbers = itertools.count(1)
        self._turn = threading.Lock()
        self._arrived = threading.Condition()
        self._replies: dict[int, Message] = {}
        self._expected: set[int] = set()
        self._over = ""
        self._reader = threading.Thread(target=self._read, name="link", daemon=True)
        self._reader.start()

    @classmethod
    def to_owner(cls, station: Path, **settings: Any) -> Link | None:
        """Return a link to the owner of a station, None if it has none."""
        connection = connected(address(station, "owner"))
        return None if connection is None else cls(connection, where=str(station), **settings)

    def ask(self, topic: str, body: Any = None, *, timeout_s: float | None = REQUEST_S) -> Any:
        """Send a request and return what is answered, or raise the error that is.

        timeout_s: None waits as long as the owner lives.  Raises Timeout; BenchError when the owner is gone.
        """
        number = next(self._numbers)
        frame = encode(Message(topic, body, number))
        with self._arrived:
            self._expected.add(number)
        try:
            with self._turn:
                self._socket.sendall(frame)
        except OSError:
            self._end("the connection broke")
        reply = self._reply(number, timeout_s)
        if isinstance(reply.body, BaseException):
            raise reply.body
        return reply.body

    def _reply(self, number: int, timeout_s: float | None) -> Message:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._arrived:
            try:
                while number not in self._replies:
                    if self._over:
                        raise BenchError(f"the owner of the bench is gone: {self._over}", where=self._where, remedy=_SHOULD_BE_SAFE)
                    left_s = None if deadline is None else deadline - time.monotonic()
                    if left_s is not None and left_s <= 0:
                        raise Timeout("the owner of the bench does not answer", where=self._where, remedy="`heliograph bench safe` works without it.")
                    self._arrived.wait(left_s)
                return self._replies.pop(number)
            finally:
                self._expected.discard(number)

    def _read(self) -> None:
        why = "it closed the connection"
        try:
            while (message := receive(self._socket)) is not None:
                if message.id is None:
                    self._heard(message)
                    continue
                with self._arrived:
                    if message.id in self._expected:
                        self._replies[message.id] = message
                        self._arrived.notify_all()
        except HeliographError as error:
            why = str(error)
        except Exception as error:
            log.exception("link to %s", self._where)
            why = repr(error)
        finally:
            self._end(why)

    def _end(self, why: str) -> None:
        with self._arrived:
            self._over = self._over or why
            self._arrived.notify_all()

    @property
    def over(self) -> bool:
        """Say whether the owner has gone."""
        return bool(self._over)

    def close(self) -> None:
        """Leave; the owner notices."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(REQUEST_S)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


class WatchdogLine:
    """A connection to a station's watchdog, which answers also where the owner hangs: JSON lines.

    `attend` makes this process the one without whose heartbeat the bench does not stay lit.
    """

    def __init__(self, connection: socket.socket, *, where: str) -> None:
        self._socket, self._where = connection, where
        self._turn = threading.Lock()
        self._left = threading.Event()
        self._lines: deque[bytes] = deque()
        self._rest = b""
        self._beater: threading.Thread | None = None

    @classmethod
    def of(cls, station: Path) -> WatchdogLine | None:
        """Return a line to the watchdog of a station, None if none watches."""
        connection = connected(address(station, "watchdog"))
        return None if connection is None else cls(connection, where=str(station))

    def ask(self, what: str, *, timeout_s: float = REQUEST_S) -> dict[str, Any]:
        """Send `safe`, `status` or `leave` and return what is answered. Raises Timeout, BenchError if the watchdog is gone."""
        self._say(what)
        self._socket.settimeout(timeout_s)
        try:
            while b"\n" not in self._rest:
                piece = self._socket.recv(1 << 16)
                if not piece:
                    raise BenchError("the watchdog is gone", where=self._where, remedy="Look at the bench yourself.")
                self._rest += piece
        except TimeoutError as error:
            raise Timeout("the watchdog does not answer", where=self._where, remedy="Switch the light off by hand.") from error
        except OSError as error:
            raise BenchError("the watchdog is gone", where=self._where, remedy="Look at the bench yourself.") from error
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            return dict(json.loads(line))
        except (ValueError, TypeError, RecursionError) as error:
            raise BenchError("the watchdog's answer cannot be read", where=self._where, remedy="Look at the bench yourself.") from error

    def wait_gone(self, timeout_s: float) -> bool:
        """Wait until the watchdog has ended; say whether it has."""
        self._socket.settimeout(timeout_s)
        try:
            return not self._socket.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True

    def _say(self, what: str) -> None:
        # A watchdog that is gone is noticed where an answer is waited for, and by the owner.
        with self._turn, contextlib.suppress(OSError):
            self._socket.sendall(json.dumps({"do": what, "pid": os.getpid()}).encode() + b"\n")

    def attend(self, lives: Callable[[], bool] = lambda: True) -> None:
        """Send heartbeats from a thread until `close`; the end of this process ends them too.

        lives: asked in that thread before each but the first; none is sent while it says no, so that a client which hangs is noticed.
        """
        self._beater = threading.Thread(target=self._beat, args=(lives,), name="heartbeat", daemon=True)
        self._say("heartbeat")
        self._beater.start()

    def _beat(self, lives: Callable[[], bool]) -> None:
        while not self._left.wait(HEARTBEAT_S):
            if lives():
                self._say("heartbeat")

    def close(self) -> None:
        """Leave in order: nobody is missed."""
        self._left.set()
        if self._beater is not None:
            self._beater.join()
            with contextlib.suppress(HeliographError, OSError):
                self.ask("leave")
        self._socket.close()
