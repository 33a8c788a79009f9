"""Who is connected to the watchdog's socket: none of them, however it behaves, keeps the watchdog from watching."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_CLIENTS = 64
_PIECE = 1024
"""Bytes that are read of one client at a turn, so that all get theirs."""
_LONGEST = 4096
"""Bytes of a request."""
_UNREAD = 1 << 18
"""Bytes of answers that a client may leave unread."""


@dataclass(slots=True)
class Client:
    """A connection of the socket.

    attends: since when its last heartbeat came, 0.0 while there was none.  waiting: it asked for the safe state and has had no answer.
    """

    connection: socket.socket
    pid: int
    attends: float = 0.0
    waiting: bool = False
    _rest: bytes = b""
    _unsent: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.connection.setblocking(False)

    def requests(self) -> Iterator[str | None]:
        """Yield what it asked for since the last time, None for what is no request. Raises EOFError once it is gone, or talks nonsense without end."""
        try:
            piece = self.connection.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            raise EOFError
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            yield _request(line)
        if len(self._rest) > _LONGEST:
            raise EOFError

    def say(self, told: Mapping[str, Any]) -> None:
        """Tell it something, now or as soon as it reads; one that never does is cut off."""
        self._unsent += json.dumps(told).encode() + b"\n"
        self.send()
        if len(self._unsent) > _UNREAD:
            # Its end is read as any other's, at the next turn.
            self._unsent.clear()
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def send(self) -> None:
        """Send what it has room for."""
        with contextlib.suppress(OSError):
            if self._unsent:
                del self._unsent[: self.connection.send(self._unsent)]


def _request(line: bytes) -> str | None:
    try:
        return str(json.loads(line)["do"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
