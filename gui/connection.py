"""The line to the owner of a bench, kept up by a thread of its own: what is published goes into the mailbox, a lost owner is looked for again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..control.link import REQUEST_S, VERSION, Link, Message
from ..control.topics import TOPICS, Mailbox
from ..core.errors import BenchError, HeliographError, InstrumentLocked

RETRY_S = (0.5, 1.0, 2.0, 5.0)
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Standing:
    """How the line is.  controls: this window controls the bench; if not, `why`.  locked: it must not, whoever else does.

    error: what an owner that is there said.
    """

    connected: bool
    controls: bool = False
    why: str = ""
    locked: bool = False
    error: HeliographError | None = None


class Connection:
    """Requests go out and states come in while there is an owner; may be asked from any thread.

    told: called with every new standing, in a thread of this object.  wants_control: asks an owner for it as it comes; else the window only looks, until its
    operator takes over.
    """

    def __init__(self, station: Path, mailbox: Mailbox, told: Callable[[Standing], None]) -> None:
        self.station, self._mailbox, self._told = station, mailbox, told
        self._link: Link | None = None
        self._sha256 = ""
        self.wants_control = True
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="connection", daemon=True)
        self._thread.start()

    def ask(self, topic: str, body: Any = None, *, timeout_s: float | None = REQUEST_S) -> Any:
        """Send a request and return what is answered. Raises BenchError without an owner."""
        link = self._link
        if link is None:
            raise BenchError("the bench has no owner now", where=str(self.station), remedy="Start it (Bench menu); SAFE works meanwhile.")
        return link.ask(topic, body, timeout_s=timeout_s)

    def take_control(self) -> None:
        """Try to become the controller, again; the standing is told."""
        if self._link is not None:
            self._told(self._stand(self._link))

    def _heard(self, message: Message) -> None:
        self._mailbox.put(message.topic, (time.monotonic(), message.body))

    def _keep(self) -> None:
        tries = 0
        while not self._over.is_set():
            link = self._open()
            if link is None:
                self._over.wait(RETRY_S[min(tries, len(RETRY_S) - 1)])
                tries += 1
                continue
            tries = 0
            self._link = link
            while not link.over and not self._over.wait(_LOOK_S):
                pass
            self._link = None
            link.close()
            if not self._over.is_set():
                self._told(Standing(False, why="the owner of the bench is gone"))

    def _open(self) -> Link | None:
        link = None
        try:
            link = Link.to_owner(self.station, heard=self._heard)
            if link is None:
                return None
            standing = self._stand(link, link.ask("hello", {"version": VERSION}))
            link.ask("subscribe", {"topics": list(TOPICS)})
        except HeliographError as error:
            self._told(Standing(False, why=str(error), error=error))
            if link is not None:
                link.close()
            return None
        self._told(standing)
        return link

    def _stand(self, link: Link, hello: dict[str, Any] | None = None) -> Standing:
        """Ask for control, unless the owner that came back has another station file than before."""
        if hello is not None:
            if self._sha256 and hello["sha256"] != self._sha256:
                return Standing(True, False, "the station file is another one than this window began with; open it again", locked=True)
            self._sha256 = hello["sha256"]
            if not self.wants_control:
                return Standing(True, False, "this window only looked on before the bench went; take over")
        try:
            link.ask("control")
        except InstrumentLocked as error:
            return Standing(True, False, error.message)
        return Standing(True, True)

    def close(self) -> None:
        """Leave; an owner makes the bench safe that is not to be left alone."""
        self._over.set()
        self._thread.join(REQUEST_S)
