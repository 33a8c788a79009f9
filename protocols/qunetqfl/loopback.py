"""All clients and the server in one process: messages are carried in the order they were sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from .client import Client
from .server import Addressed, Server

SERVER = "server"
Fault = Callable[[str, str, bytes], Iterable[bytes]]
"""Given sender, receiver and what is sent, returns what arrives: nothing, altered bytes, or the same twice."""


def _untouched(_sender: str, _receiver: str, data: bytes) -> Iterable[bytes]:
    return (data,)


class Loopback:
    """Star-shaped transport between one server and its clients. fault: injected between them, for tests."""

    def __init__(self, server: Server, clients: Mapping[str, Client], *, fault: Fault = _untouched) -> None:
        self._server = server
        self._clients = clients
        self._fault = fault

    def run(self, messages: Iterable[Addressed]) -> None:
        """Deliver messages of the server and everything they cause, until nothing is under way. Raises `FrameError` where a connection breaks."""
        waiting = deque((SERVER, receiver, data) for receiver, data in messages)
        while waiting:
            sender, receiver, sent = waiting.popleft()
            for data in self._fault(sender, receiver, sent):
                if receiver == SERVER:
                    waiting.extend((SERVER, to, answer) for to, answer in self._server.feed(sender, data))
                else:
                    waiting.extend((receiver, SERVER, answer) for answer in self._clients[receiver].feed(data))
