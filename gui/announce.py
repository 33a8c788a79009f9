"""What is said through a screen reader at once, whatever page is shown: trips, ends of runs, stores that run low."""

from __future__ import annotations

from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QApplication, QWidget

from ..control.topics import QueueState, StoreStates
from . import words
from .desk import Desk


def say(widget: QWidget, text: str, *, urgent: bool = False) -> None:
    """Have a screen reader say something. urgent: at once, instead of after what it is saying."""
    event = QAccessibleAnnouncementEvent(widget, text)
    event.setPoliteness(QAccessible.AnnouncementPoliteness.Assertive if urgent else QAccessible.AnnouncementPoliteness.Polite)
    QAccessible.updateAccessibility(event)


class Announcer:
    """Looks at what changed and announces what must not be missed; the trip has the only sound."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tripped = False
        self._states: dict[int, str] | None = None
        self._low: set[tuple[str, str]] = set()

    def tick(self, changed: frozenset[str]) -> None:
        """Look at the topics that changed."""
        if "safety" in changed and (safety := self._desk.latest("safety")) is not None:
            self._safety(str(safety["state"]), str(safety["cause"]))
        if "queue" in changed and (queue := self._desk.latest("queue")) is not None:
            self._queue(queue)
        if "stores" in changed and (stores := self._desk.latest("stores")) is not None:
            self._stores(stores)

    def _safety(self, state: str, cause: str) -> None:
        tripped = state == "TRIPPED"
        if tripped and not self._tripped:
            self._desk.announce(words.safety(state, cause))
            QApplication.beep()
        self._tripped = tripped

    def _queue(self, queue: QueueState) -> None:
        before, self._states = self._states, {row.job: row.state for row in queue.rows}
        # What had ended before the window came is no news.
        if before is None:
            return
        for row in queue.rows:
            if row.over and before.get(row.job) != row.state:
                why = f": {row.why}" if row.why and row.state != "done" else ""
                self._desk.announce(f"{words.spoken(row.procedure)}, job {row.job}, {row.state}{why}")

    def _stores(self, stores: StoreStates) -> None:
        low = {(one.pair, one.party) for one in stores.stores if one.spendable < one.reserve}
        for pair in sorted({pair for pair, _ in low - self._low}):
            left = min(one.spendable for one in stores.stores if one.pair == pair)
            self._desk.announce(f"The key store of pair {pair} is below its reserve: {words.count(left)} bits are left")
        self._low = low
