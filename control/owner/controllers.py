"""Who controls a bench: one process at a time, the first that asks; it may hand control to another that asks for it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Protocol

from ...core.errors import InstrumentLocked, ParameterError
from ...instruments.guard.local_sockets import who


class Controller(Protocol):
    """A client that may control."""

    @property
    def pid(self) -> int:
        """Return its process."""
        ...

    @property
    def who(self) -> str:
        """Return whose process it is: "ana@lab1 (process 4711)"."""
        ...


class Controllers:
    """The controller of one bench, and who would like to be.

    station: file, for messages.  shared: clients may control; otherwise this process does, always.
    """

    def __init__(self, station: Path, *, shared: bool) -> None:
        self._station, self.shared = station, shared
        self._turn = threading.RLock()
        self._now: Controller | None = None
        self._asking: list[Controller] = []

    @property
    def nobody(self) -> bool:
        """Say whether clients may control and none does."""
        return self.shared and self._now is None

    @property
    def pid(self) -> int | None:
        """Return the process that controls, None if none does."""
        now = self._now
        return os.getpid() if not self.shared else now.pid if now is not None else None

    @property
    def who(self) -> str | None:
        """Return whose process controls, None if none does."""
        now = self._now
        return who(os.getpid(), os.getuid()) if not self.shared else now.who if now is not None else None

    @property
    def asking(self) -> Controller | None:
        """Return the client that asked last for control and has not got it."""
        with self._turn:
            return self._asking[-1] if self._asking else None

    def check(self, client: Controller) -> None:
        """Raise InstrumentLocked, which names user, computer and process, if another one controls the bench."""
        with self._turn:
            if self._now is not client and self.pid is not None:
                remedy = "Ask for control, or wait for it; reading works meanwhile." if self.shared else "End it, or wait for it; reading works meanwhile."
                raise InstrumentLocked(f"control is held by {self.who}", where=str(self._station), remedy=remedy)

    def take(self, client: Controller) -> bool:
        """Make a client the controller; say whether it was not before. Raises InstrumentLocked, which names the process that is."""
        with self._turn:
            self.check(client)
            new, self._now = self._now is not client, client
            self._forget(client)
            return new

    def ask(self, client: Controller) -> str | None:
        """Note that a client would like to control; return whose process does, None if it is to take control."""
        with self._turn:
            self._forget(client)
            if self.pid is None or self._now is client:
                return None
            self._asking.append(client)
            return self.who

    def hand_over(self, client: Controller, to: int | None) -> Controller:
        """Let the controller hand control to a process that asked, by default the one that did so last; return the new controller.

        Raises InstrumentLocked for another client than the controller, ParameterError if nobody asks.
        """
        with self._turn:
            self.check(client)
            found = [one for one in self._asking if to is None or one.pid == to]
            if not found:
                who = "nobody" if to is None else f"process {to} does not"
                raise ParameterError(f"{who} ask{'s' if to is None else ''} for control", where=str(self._station), remedy="Wait until somebody does.")
            self._now = found[-1]
            self._forget(found[-1])
            return found[-1]

    def refuse(self, client: Controller) -> None:
        """Let the controller turn down whoever asks. Raises InstrumentLocked for another client."""
        with self._turn:
            self.check(client)
            self._asking.clear()

    def give_up(self, client: Controller) -> bool:
        """Note that a client has gone; say whether it controlled."""
        with self._turn:
            self._forget(client)
            if self._now is not client:
                return False
            self._now = None
            return True

    def _forget(self, client: Controller) -> None:
        self._asking = [one for one in self._asking if one is not client]
