"""The topics by name, and what waits for one who subscribed to some of them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from ..link import Message
from .common import Event

EVENT = "event"
LIVE = ("counts", "histogram", "coincidences", "scan")
"""Topics that a run file can be replayed as."""
WORKER_TOPICS = ("key", "stores", "learning", "qpu")
"""Topics that nodes and workers send to the owner, which forwards them."""
REPLAY = "replay"
REPLAYED = frozenset((*LIVE, "key"))
"""Topics that a replay takes over for the client that asked for it."""
STATES = ("safety", "station", "queue", "row", *LIVE, *WORKER_TOPICS, REPLAY)
TOPICS = (*STATES, EVENT)
MOST_EVENTS = 10_000
PERIOD_S = 0.1
"""Shortest time between two sendings of one topic."""


class Mailbox:
    """What waits for one subscriber: for each topic the latest state, and every event.

    replaying: a run file takes the place of the bench; what the bench is measuring is not kept meanwhile.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        self._states: dict[str, Any] = {}
        self._events: deque[Any] = deque()
        self._lost = 0
        self._turn = threading.Lock()
        self.replaying = False

    def put_replayed(self, topic: str, body: Any) -> None:
        """Leave a state of a replayed run."""
        if topic in self.topics:
            with self._turn:
                self._states[topic] = body

    def put(self, topic: str, body: Any) -> None:
        """Leave something; a topic that was not subscribed to is not kept."""
        if topic not in self.topics or (self.replaying and topic in REPLAYED):
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
                messages.append(Message(EVENT, Event(time.time(), "warning", "link", text)))
            messages += [Message(topic, body) for topic, body in self._states.items()]
            self._events.clear()
            self._states.clear()
            self._lost = 0
        return messages

    def put_back(self, messages: Sequence[Message]) -> None:
        """Leave again, before all else, what was taken and not sent; of a state that has come since, the new one."""
        with self._turn:
            self._events.extendleft(message.body for message in reversed(messages) if message.topic == EVENT)
            self._states = {message.topic: message.body for message in messages if message.topic != EVENT} | self._states
