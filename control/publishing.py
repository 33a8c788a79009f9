"""The owner's side of the topics: the latest state of everything, and who wants to hear of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any, Literal

from .topics import EVENT, Event, Mailbox


class Topics:
    """The owner's side: the latest state of everything, and who wants to hear of it."""

    def __init__(self) -> None:
        self._latest: dict[str, Any] = {}
        self._boxes: set[Mailbox] = set()
        self._turn = threading.Lock()

    def publish(self, topic: str, body: Any) -> None:
        """Replace the state of a topic."""
        with self._turn:
            self._latest[topic] = body
            boxes = list(self._boxes)
        for box in boxes:
            box.put(topic, body)

    def event(self, severity: Literal["info", "warning", "error"], source: str, text: str) -> None:
        """Say that something happened."""
        with self._turn:
            boxes = list(self._boxes)
        for box in boxes:
            box.put(EVENT, Event(time.time(), severity, source, text))

    def subscribe(self, topics: Iterable[str]) -> Mailbox:
        """Return a mailbox that holds the present states and receives what comes."""
        box = Mailbox(topics)
        with self._turn:
            self._boxes.add(box)
            latest = dict(self._latest)
        for topic, body in latest.items():
            box.put(topic, body)
        return box

    def unsubscribe(self, box: Mailbox) -> None:
        """Forget a mailbox."""
        with self._turn:
            self._boxes.discard(box)

    def latest(self, topic: str) -> Any:
        """Return the present state of a topic, None while there is none."""
        with self._turn:
            return self._latest.get(topic)
