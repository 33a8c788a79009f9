"""Whether anybody is attached to a bench still: an owner that was started by a window, and left to others, ends once they have gone, too."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable

GRACE_S = 10.0
"""A window that lost its connection, or waits for the one of a bench that opens, comes back within 5 s."""


class LastOne:
    """Knows who is attached; may be used from any thread.

    starter: process that started this one.  ends: whether the owner is to end after the last client.  lent: whether it was started for windows, and ends by
    itself once the last one is gone, killed too, and the bench is dark.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._turn = clock, threading.Lock()
        self._here: set[Hashable] = set()
        self._since: float | None = None
        self.starter, self.ends, self.lent = os.getppid(), False, False

    def came(self, who: Hashable) -> None:
        """Note that somebody is attached."""
        with self._turn:
            self._here.add(who)

    def went(self, who: Hashable) -> None:
        """Note that somebody has gone."""
        with self._turn:
            self._here.discard(who)

    def has_gone(self, *, busy: bool, dark: bool) -> bool:
        """Say, asked once a second, whether the owner is to end now: that was asked for, nobody is there for some seconds, and nothing is done.

        busy: something is done, or waits to be.  dark: neither light nor bias is on.
        """
        with self._turn:
            if not (self.ends or (self.lent and dark)) or self._here or busy:
                self._since = None
                return False
            self._since = self._clock() if self._since is None else self._since
            return self._clock() - self._since >= GRACE_S
