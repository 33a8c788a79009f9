"""How the bench was made safe, in the journal. What owner and watchdog each notice of the end of one controller is one event with both facts."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from ...core.errors import ParameterError
from ...instruments.roles import SafeReport
from ..topics import Event
from .journal import Journal
from .publishing import Severity, Topics

_FEW = 2
TOGETHER_S = 10.0
"""How far apart owner and watchdog may notice the same end."""
_GONE = re.compile(r"the controller\b.*\(process (\d+)\),? is gone")


class SafeEvents:
    """Tells the journal of each time that the bench is made safe; for several threads.  clock: monotonic, seconds."""

    def __init__(self, topics: Topics, journal: Journal, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._topics, self._journal, self._clock = topics, journal, clock
        self._turn = threading.Lock()
        self._last: Event | None = None
        self._cause, self._told, self._at = "", "", 0.0

    def tell(self, severity: Severity, cause: str, reports: Sequence[SafeReport]) -> None:
        """Tell why and how.  It is told by the event before this one where that is of the same controller's end, and every instrument says the same again."""
        told = in_short(reports)
        with self._turn:
            earlier, both = self._last, together(self._cause, cause)
            if earlier is not None and both and told == self._told and self._clock() - self._at < TOGETHER_S:
                self._last = None
                # After very many events it is at hand no more.
                with suppress(ParameterError):
                    self._topics.tell(self._journal.amend(earlier.number, f"{both}; made safe: {told}"))
                    return
            self._cause, self._told, self._at = cause, told, self._clock()
            self._last = self._topics.event(severity, "bench", f"{cause}; made safe: {told}")


def in_short(reports: Sequence[SafeReport]) -> str:
    """Return how it went in words: by name only what is not confirmed, unless there are few."""
    confirmed = [report for report in reports if report.state == "CONFIRMED"]
    if len(confirmed) <= _FEW:
        return ", ".join(f"{report.name} {report.state}" for report in reports)
    others = [f"{report.name} {report.state}" for report in reports if report.state != "CONFIRMED"]
    return ", ".join([*others, f"{'all' if not others else 'the other'} {len(confirmed)} CONFIRMED"])


def together(one: str, other: str) -> str:
    """Return two causes as one where owner and watchdog each say that the same controller is gone; empty where they are two."""
    found = [_GONE.fullmatch(cause) for cause in (one, other)]
    if one == other or None in found or len({match[1] for match in found if match is not None}) > 1:
        return ""
    # The owner's knows the user, too.
    return f"{max(one, other, key=len)}: it left the owner and the watchdog without a word"
