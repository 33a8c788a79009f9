"""The one clock of the window: ten times a second what has changed is drawn, on what can be seen, and how long that took decides how often it is done."""

from __future__ import annotations

import functools
import gc
import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from PySide6.QtCore import QObject, Qt, QTimer

from ..control.topics import EVENT
from . import guarded, plots, quantity
from .desk import Desk
from .pages.page import Page

log = logging.getLogger(__name__)

INTERVALS_MS = (100, 200, 500)
SLOW_MS, FAST_MS = 50.0, 20.0
RECENT = 20
CALM_S = 10.0


class Pace:
    """How often to draw: slower when half of the last twenty ticks took more than 50 ms, a step faster after 10 s of less than 20 ms."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.step = 0
        self._clock = clock
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._calm_since: float | None = None

    @property
    def interval_ms(self) -> int:
        """Return the time between two ticks."""
        return INTERVALS_MS[self.step]

    def took(self, ms: float) -> bool:
        """Note how long a tick took; say whether the interval is another one now."""
        self._recent.append(ms)
        middle = statistics.median(self._recent)
        if len(self._recent) == RECENT and middle > SLOW_MS and self.step < len(INTERVALS_MS) - 1:
            return self._change(1)
        now = self._clock()
        if middle >= FAST_MS:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now
        elif self.step and now - self._calm_since >= CALM_S:
            return self._change(-1)
        return False

    def _change(self, by: int) -> bool:
        self.step += by
        self._recent.clear()
        self._calm_since = None
        return True


class Watcher(Protocol):
    """Something besides pages that is told of what changed: the strip, announcements."""

    def tick(self, changed: frozenset[str]) -> None:
        """Look at the topics that changed since the last tick."""
        ...


def collect_garbage() -> None:
    """Collect as Python would have by itself, but in the main thread: a widget that dies in another one takes the program with it."""
    counts, thresholds = gc.get_count(), gc.get_threshold()
    due = [generation for generation in range(3) if counts[generation] > thresholds[generation]]
    if due:
        gc.collect(due[-1])


class Tick(QObject):
    """Draws. Pages that cannot be seen are left alone, and get everything when they can be."""

    def __init__(self, desk: Desk, pages: Sequence[Page], watchers: Iterable[Watcher] = ()) -> None:
        super().__init__()
        self._desk, self._pages, self._watchers = desk, pages, list(watchers)
        self.pace = Pace()
        self.spent_ms: deque[float] = deque(maxlen=RECENT)
        self._drawn: dict[str, dict[str, int]] = {page.NAME: {} for page in pages}
        self._seen: dict[str, int] = {}
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.CoarseTimer)
        self._timer.setInterval(self.pace.interval_ms)
        self._timer.timeout.connect(self.tick)

    def start(self) -> None:
        """Begin."""
        self._timer.start()

    def stop(self) -> None:
        """End."""
        self._timer.stop()

    def tick(self) -> None:
        """Draw once; the paint that follows is measured, too."""
        begun = time.perf_counter()
        self._desk.collect()
        changed = self._changed()
        for watcher in self._watchers:
            guarded.attempt(watcher, "tick", functools.partial(watcher.tick, changed))
        for page in self._pages:
            if page.can_be_seen() and not page.window().isMinimized():
                self._draw(page)
        plots.tell_untold()
        quantity.settle_pending()
        self._desk.ticked.emit()
        if not gc.isenabled():
            collect_garbage()
        worked_ms = (time.perf_counter() - begun) * 1e3
        ended = time.perf_counter()
        # What was posted meanwhile, paint included, comes before a timer of no length.
        QTimer.singleShot(0, self, lambda: self._note(worked_ms + (time.perf_counter() - ended) * 1e3))

    def _note(self, ms: float) -> None:
        self.spent_ms.append(ms)
        if self.pace.took(ms):
            log.info("drawing takes %.0f ms: every %d ms from now on", ms, self.pace.interval_ms)
            self._timer.setInterval(self.pace.interval_ms)

    def _changed(self) -> frozenset[str]:
        found = frozenset(topic for topic in (*self._desk.topics(), EVENT) if self._desk.version(topic) != self._seen.get(topic, 0))
        self._seen |= {topic: self._desk.version(topic) for topic in found}
        return found

    def _draw(self, page: Page) -> None:
        drawn = self._drawn[page.NAME]
        for topic in sorted(page.TOPICS):
            version = self._desk.version(topic)
            if version == drawn.get(topic, 0):
                continue
            payload = self._desk.events_since(drawn.get(topic, 0)) if topic == EVENT else self._desk.latest(topic)
            drawn[topic] = version
            if payload is None:
                continue
            self._draw_topic(page, topic, payload)

    def _draw_topic(self, page: Page, topic: str, payload: Any) -> None:
        # One page that cannot show what came must take neither the others nor the safe button away.
        guarded.attempt(page, topic, lambda: page.redraw(topic, payload))
