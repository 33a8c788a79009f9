"""A connection inside one process: bytes in at one end, the same bytes out at the other, unless a fault is injected.

Delivery is immediate: `send` returns when everything that the message caused, answers included, has been delivered. What has not arrived by then is lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from ...core.errors import FrameError

Fault = Callable[[int, bytes], Iterable[bytes]]
"""Given the sending end (0 or 1) and what it sends, returns what arrives: nothing, altered bytes, or the same twice."""


def _untouched(_end: int, data: bytes) -> Iterable[bytes]:
    return (data,)


class _Wire:
    """What both ends share: the queue, in order of sending."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.queue: deque[tuple[Endpoint, bytes]] = deque()
        self.running = False
        self.open = True

    def run(self) -> None:
        """Deliver until nothing is under way. Called from within a delivery it does nothing: the outer call goes on."""
        if self.running:
            return
        self.running = True
        try:
            while self.queue:
                receiver, data = self.queue.popleft()
                receiver.arrive(data)
        finally:
            self.running = False


class Endpoint:
    """One end of a pipe. `on_bytes`, if set, is called with what arrives; without it `receive` collects it."""

    def __init__(self, wire: _Wire, number: int) -> None:
        self._wire = wire
        self._number = number
        self._arrived = bytearray()
        self.peer: Endpoint = self
        self.on_bytes: Callable[[bytes], None] | None = None

    @property
    def open(self) -> bool:
        """Say whether neither end has been closed."""
        return self._wire.open

    def send(self, data: bytes) -> None:
        """Send bytes and let everything they cause happen. Raises FrameError if the connection is closed."""
        if not self._wire.open:
            raise FrameError("the connection is closed", where="channel", remedy="Connect again.")
        self._wire.queue.extend((self.peer, piece) for piece in self._wire.fault(self._number, data))
        self._wire.run()

    def receive(self) -> bytes:
        """Return what has arrived since the last call, perhaps nothing."""
        data = bytes(self._arrived)
        self._arrived.clear()
        return data

    def arrive(self, data: bytes) -> None:
        """Take bytes from the other end; they vanish if the connection has been closed meanwhile."""
        if not self._wire.open:
            return
        if self.on_bytes is None:
            self._arrived += data
        else:
            self.on_bytes(data)

    def close(self) -> None:
        """End the connection for both ends; bytes under way are lost."""
        self._wire.open = False
        self._wire.queue.clear()


def pipe(fault: Fault | None = None) -> tuple[Endpoint, Endpoint]:
    """Return the two ends of a connection. fault: decides what becomes of each message sent."""
    wire = _Wire(fault or _untouched)
    ends = Endpoint(wire, 0), Endpoint(wire, 1)
    ends[0].peer, ends[1].peer = ends[1], ends[0]
    return ends
