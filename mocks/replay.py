"""A recorded session as a bench: the same drivers, on the same transports, hear what they heard then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import BenchError
from ..instruments.wire.session import Port, read
from .devices.replay import Replay, Stream
from .listeners import HOST, Hub
from .place import Resources


class Replayed:
    """The devices of a session file.

    polls: whether a question may come once more or less often than it was recorded.  differences: found so far, one sentence each, the first of every port.
    Raises DataError for a file that is no session.
    """

    def __init__(self, path: str | Path, *, polls: bool = True) -> None:
        self._path = Path(path)
        self._session = read(path)
        self._polls = polls
        self._devices: list[Replay] = []
        self.differences: list[str] = []

    @contextmanager
    def in_thread(self) -> Iterator[dict[str, Resources]]:
        """Serve for the length of a `with` block, which receives the addresses by instrument name.

        Raises BenchError at its end if anything differed, or never came; if the block itself failed, that is noted on its error.
        """
        hub = Hub()
        resources: dict[str, Resources] = {}
        for (name, port), recorded in self._session.ports.items():
            resources.setdefault(name, {})[port] = self._switch_on(hub, recorded, f"{name} {port}")
        for (name, port), (owner, its_port) in self._session.shared.items():
            resources.setdefault(name, {})[port] = resources[owner][its_port]
        thread = threading.Thread(target=hub.run, name="replay", daemon=True)
        thread.start()
        try:
            yield resources
        except BaseException as error:
            for difference in self.differences:
                error.add_note(difference)
            raise
        finally:
            hub.stop()
            thread.join()
        for device in self._devices:
            device.left()
        if self.differences:
            remedy = "Record the session again if the driver was changed on purpose."
            raise BenchError(f"the session is not the same: {'; '.join(self.differences)}", where=str(self._path), remedy=remedy)

    def _switch_on(self, hub: Hub, port: Port, place: str) -> str:
        if port.transport == "tcp" and port.speaks_only:
            return f"tcp://{HOST}:{hub.add_feed(_streams(port))}"
        device = Replay(port, place, self.differences.append, polls=self._polls)
        self._devices.append(device)
        match port.transport:
            case "serial":
                return hub.add_pty(device.link())
            case "socket":
                return f"TCPIP::{HOST}::{hub.add_tcp(device.link)}::SOCKET"
            case "tcp":
                return f"tcp://{HOST}:{hub.add_tcp(device.link)}"
            case _:
                return f"tcp://{HOST}:{hub.add_service(device.link)}"


def _streams(port: Port) -> Callable[[], Stream]:
    openings = [[segment for exchange in opening for segment in exchange.received if isinstance(segment, bytes)] for opening in port.openings]
    return lambda: Stream(openings.pop(0) if len(openings) > 1 else openings[0])
