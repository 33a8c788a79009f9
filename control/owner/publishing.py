"""The owner's side of the topics: the latest state of everything, and who wants to hear of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

from ..topics import EVENT, Event, Mailbox

Severity = Literal["info", "warning", "error", "note"]


class Topics:
    """The owner's side: the latest state of everything, and who wants to hear of it.

    keep: remembers an event and returns it with its number.
    """

    def __init__(self, keep: Callable[[Event], Event] = lambda event: event) -> None:
        self._latest: dict[str, Any] = {}
        self._boxes: set[Mailbox] = set()
        self._turn, self._telling = threading.Lock(), threading.Lock()
        self._keep = keep

    def publish(self, topic: str, body: Any) -> None:
        """Replace the state of a topic."""
        # Into the mailboxes within the turn, here and below: else an older state could be put there after a newer one.
        with self._turn:
            self._latest[topic] = body
            for box in self._boxes:
                box.put(topic, body)

    def event(self, severity: Severity, source: str, text: str, *, run: str = "") -> Event:
        """Say that something happened, in the run of an id; return what was said."""
        # One after the other, so that they arrive in the order of their numbers.
        with self._telling:
            event = self._keep(Event(time.time(), severity, source, text, run))
            self.tell(event)
        return event

    def tell(self, event: Event) -> None:
        """Send an event to whoever wants to hear of it, without keeping it."""
        with self._turn:
            for box in self._boxes:
                box.put(EVENT, event)

    def subscribe(self, topics: Iterable[str]) -> Mailbox:
        """Return a mailbox that holds the present states and receives what comes."""
        box = Mailbox(topics)
        with self._turn:
            self._boxes.add(box)
        self.refresh(box)
        return box

    def refresh(self, box: Mailbox) -> None:
        """Put the present states into a mailbox again."""
        with self._turn:
            for topic, body in self._latest.items():
                box.put(topic, body)

    def unsubscribe(self, box: Mailbox) -> None:
        """Forget a mailbox."""
        with self._turn:
            self._boxes.discard(box)

    def latest(self, topic: str) -> Any:
        """Return the present state of a topic, None while there is none."""
        with self._turn:
            return self._latest.get(topic)

    def wanted(self, topic: str) -> bool:
        """Say whether anybody wants to hear of a topic."""
        with self._turn:
            return any(topic in box.topics for box in self._boxes)
