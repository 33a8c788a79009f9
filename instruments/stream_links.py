"""A serial line on which a device also streams bytes that have no line ends."""

from __future__ import annotations

from typing import Any

from serial import Serial

from ..core.errors import ConfigError, Timeout
from .links import VisaLink


class StreamLink(VisaLink):
    """A serial port; `read_bytes(-1)` takes whatever has come, waiting `timeout_s` for the first byte.

    PyVISA-py reads byte by byte, so a stream of megabytes a second is taken from the port below it.  A stream is no part of a recorded session.
    """

    def _read_bytes(self, count: int, break_on_termchar: bool = False, **kwargs: Any) -> bytes:
        if count >= 0 or break_on_termchar:
            return super()._read_bytes(count, break_on_termchar, **kwargs)
        port = self._port()
        with self._noticing():
            port.timeout = self.timeout_s
            content = bytes(port.read(1))
            if content:
                content += bytes(port.read(port.in_waiting))
        if not content:
            raise Timeout("nothing comes", where=self.where, remedy="Check that the device is on and not busy.")
        self._received += len(content)
        return content

    def _port(self) -> Serial:
        port = self.connection.visalib.sessions[self.connection.session].interface
        if not isinstance(port, Serial):
            raise ConfigError("a stream needs a serial port", where=self.where, remedy="Write the resource as ASRL/dev/ttyUSB0::INSTR.")
        return port
