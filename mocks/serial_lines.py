"""Serial lines of the simulated devices: pseudo-terminals that can be cut and plugged in again."""

from __future__ import annotations

import os
import tty
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .devices.base import Link

if TYPE_CHECKING:
    from .listeners import Hub

_CHUNK = 1 << 16


class SerialLine:
    """A pseudo-terminal behind a name of its own, so that it can be cut and plugged in again."""

    def __init__(self, hub: Hub, link: Link, path: Path) -> None:
        self._hub = hub
        self._link = link
        self.path = path
        self._unsent = bytearray()
        self._plug()

    def _plug(self) -> None:
        # The slave stays open here, so that the line survives its clients.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))
        self._unsent.clear()
        self._hub.watch(self._master, self._ready)

    def has_room(self) -> bool:
        """Say whether all that was sent has left."""
        return not self._unsent

    def send(self, data: bytes) -> None:
        """Send now, or as soon as the line takes it."""
        self._unsent += data
        self._write()

    def clear(self) -> None:
        """Give up what has not left yet."""
        self._unsent.clear()

    def _write(self) -> None:
        """Write what the line takes; the rest when it can be written again."""
        with suppress(OSError):
            while self._unsent:
                del self._unsent[: os.write(self._master, self._unsent)]
        self._hub.watch_also(self._master, writable=bool(self._unsent))

    def _ready(self) -> None:
        self._write()
        master = self._master

        def write(data: bytes) -> None:
            if self._master == master:
                self.send(data)

        with suppress(OSError):
            self._hub.send_all(self._link.feed(os.read(master, _CHUNK)), write, lambda: self._cut(master), self)

    def _cut(self, master: int) -> None:
        if self._master == master:
            self._hub.forget(master)
            before = master, self._slave
            self._plug()
            for end in before:
                os.close(end)

    def close(self) -> None:
        """Cut the line for good."""
        os.close(self._master)
        os.close(self._slave)
