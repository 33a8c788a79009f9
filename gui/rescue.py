"""What is known of the safety of a bench whose owner is silent or gone: the last state it told, with its age, or what its watchdog did by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal

from . import words
from .desk import Desk
from .safe import Safety

OFTEN_S, FOR_S, SELDOM_S = 0.25, 30.0, 2.0
STATION = "station"
"""The topic that tells of instruments, interlocks and safety, every second."""
_EARLIER_S = 10.0
"""A record of an owner whose process is not known counts if it is not older than this before the loss."""


def told_ago_s(desk: Desk, topic: str = STATION) -> float | None:
    """Return how long ago the owner spoke of a topic, or while it never has, of anything; with an empty topic always of anything."""
    age = desk.age_s(topic) if topic else None
    return desk.age_s() if age is None else age


def is_silent(desk: Desk, topic: str = STATION) -> bool:
    """Say whether the owner has not spoken of a topic for so long that what it told last is no present state; that counts come says nothing of instruments."""
    age = told_ago_s(desk, topic)
    return not desk.is_connected or age is None or age > words.STALE_S


def told_safety(desk: Desk) -> tuple[str, str]:
    """Return the word of the safety state and what stands behind it; what was told long ago is never shown as the state of now."""
    if desk.rescued is not None and not desk.is_connected:
        return _rescue(desk.rescued)
    safety = desk.latest("safety")
    if safety is None:
        return "unknown", ""
    cause = f"cause {safety['cause']}" if safety.get("cause") else ""
    age = told_ago_s(desk)
    known = f"last known {words.duration(age)} ago" if is_silent(desk) and age is not None else ""
    return str(safety["state"]).lower(), ", ".join(filter(None, (known, cause)))


def failed(rescued: Mapping[str, Any]) -> list[str]:
    """Return the instruments that a rescue could not make safe."""
    return [str(one["name"]) for one in rescued.get("reports", ()) if one["state"] == "FAILED"]


def _rescue(rescued: Mapping[str, Any]) -> tuple[str, str]:
    at = words.clock(float(rescued.get("time") or 0.0))
    if wrong := failed(rescued):
        return "failed", f"NOT SAFE at {at}: {', '.join(wrong)}; switch off by hand"
    return "safe", f"made safe by the {rescued.get('by', 'watchdog')} at {at}, cause {rescued.get('cause', 'unknown')}"


class Rescue(QObject):
    """Looks for the record of the watchdog, in a thread of its own, from the loss of the owner until the record comes or the owner is back.

    found: the record, once for each loss.
    """

    found = Signal(object)

    def __init__(self, desk: Desk, safety: Safety) -> None:
        super().__init__()
        self._desk, self._safety = desk, safety
        self._stop = threading.Event()

    def look(self) -> None:
        """Begin to look."""
        self.stop()
        stop = self._stop = threading.Event()
        safety = self._desk.latest("safety") or {}
        threading.Thread(target=self._work, args=(stop, safety.get("owner"), time.time()), name="look for the rescue", daemon=True).start()

    def stop(self) -> None:
        """Look no longer: the owner is back, or the window closes."""
        self._stop.set()

    def _work(self, stop: threading.Event, owner: int | None, lost: float) -> None:
        begun = time.monotonic()
        while not stop.is_set():
            guard = self._safety.guard
            told = guard.rescued() if guard is not None else None
            if told is not None and _belongs(told, owner, lost):
                self._desk.later(partial(self._tell, stop, told))
                return
            stop.wait(OFTEN_S if time.monotonic() - begun < FOR_S else SELDOM_S)

    def _tell(self, stop: threading.Event, told: dict[str, Any]) -> None:
        if not stop.is_set():
            stop.set()
            self._desk.rescued = told
            self.found.emit(told)


def _belongs(told: Mapping[str, Any], owner: int | None, lost: float) -> bool:
    """Say whether a record is of this loss, not of an earlier one."""
    if owner is not None:
        return told.get("owner") == owner
    return float(told.get("time") or 0.0) >= lost - _EARLIER_S
