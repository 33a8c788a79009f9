"""A simulated device in the same process: a PyMeasure adapter that feeds its link and keeps what it answers."""

from __future__ import annotations

from typing import Any

from pymeasure.adapters import Adapter

from heliograph.core.errors import Timeout
from heliograph.instruments.roles import WireCount
from heliograph.mocks.devices.base import Device


class InProcess(Adapter):  # type: ignore[misc]
    """The same bytes as on a wire, without one.  command_end, line_end: as the device's link has them."""

    def __init__(self, device: Device, *, command_end: str = "\n", line_end: str = "\n") -> None:
        super().__init__()
        self.where, self.timeout_s = "in process", 1.0
        self._link, self._command_end, self._line_end = device.link(), command_end, line_end.encode()
        self._received = b""
        self._counts = [0, 0]

    @property
    def wire(self) -> WireCount:
        return WireCount(*self._counts)

    def _write(self, command: str, **kwargs: Any) -> None:
        self._write_bytes((command + self._command_end).encode())

    def _write_bytes(self, content: bytes, **kwargs: Any) -> None:
        self._counts[0] += len(content)
        self._received += b"".join(reply.data for reply in self._link.feed(content))

    def _read(self, **kwargs: Any) -> str:
        line, end, rest = self._received.partition(self._line_end)
        if not end:
            raise Timeout("nothing came")
        self._received = rest
        self._counts[1] += len(line) + len(end)
        return line.decode()

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        if len(self._received) < count:
            raise Timeout("nothing came")
        taken, self._received = self._received[:count], self._received[count:]
        self._counts[1] += len(taken)
        return taken

    def close(self) -> None:
        self._received = b""

    def discard(self) -> None:
        self._received = b""
