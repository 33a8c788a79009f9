"""What an owner publishes: the latest state of each topic, and events that nobody may miss.

| topic | payload | when |
|---|---|---|
| `safety` | `state`, `cause`, `controller` (process), `watchdog` (process), `reports` of the last safe state | on change |
| `queue` | the runs in order: `job`, `procedure`, `state`, `percent`, `path`, `why` | on change |
| `row` | the last row that the running procedure emitted | ten times a second at most |
| `event` | one line for people: `t_ns`, `severity`, `source`, `text` | each |

A state is replaceable: of two that wait for a client the later one is sent. Events queue up, ten thousand at most; then the client is told how many were left
out.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal

from .link import Message

EVENT = "event"
STATES = ("safety", "queue", "row")
TOPICS = (*STATES, EVENT)
MOST_EVENTS = 10_000
PERIOD_S = 0.1
"""Shortest time between two sendings of one topic."""


class Mailbox:
    """What waits for one subscriber: for each topic the latest state, and every event."""

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        self._states: dict[str, Any] = {}
        self._events: deque[Any] = deque()
        self._lost = 0
        self._turn = threading.Lock()

    def put(self, topic: str, body: Any) -> None:
        """Leave something; a topic that was not subscribed to is not kept."""
        if topic not in self.topics:
            return
        with self._turn:
            if topic != EVENT:
                self._states[topic] = body
            elif len(self._events) < MOST_EVENTS:
                self._events.append(body)
            else:
                self._lost += 1

    def take(self) -> list[Message]:
        """Return what waits, events first, and forget it."""
        with self._turn:
            messages = [Message(EVENT, body) for body in self._events]
            if self._lost:
                text = f"{self._lost:,} events more are in the run files"
                messages.append(Message(EVENT, {"t_ns": time.time_ns(), "severity": "warning", "source": "link", "text": text}))
            messages += [Message(topic, body) for topic, body in self._states.items()]
            self._events.clear()
            self._states.clear()
            self._lost = 0
        return messages


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
            box.put(EVENT, {"t_ns": time.time_ns(), "severity": severity, "source": source, "text": text})

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


Publish = Callable[[str, Any], None]
