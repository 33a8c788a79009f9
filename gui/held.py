"""Tells, on every page, what stops the queue: a run that failed, and something that waits because the queue is held."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..control.topics import QueueRow, QueueState
from ..core.errors import BenchError
from . import words
from .desk import Desk, Passing

LATE_S = 1.0
"""What follows a run by itself begins sooner, also while the queue is held."""
_WAITS, _FAILED = "what waits in a held queue", "a failure that holds the queue"
_LONG = 48
_GO_ON = "Go on in the strip begins what waits (also Queue, Go on)."


def short(why: str) -> str:
    """Return why a queue is held, where there is little room: what failed, and not of what; the page Queue has all of it."""
    return why if len(why) <= _LONG else why.partition(": ")[0]


def waiting(queue: QueueState) -> list[QueueRow]:
    """Return what waits to begin."""
    return [one for one in queue.rows if one.state == "queued"]


def held_text(queue: QueueState) -> str:
    """Return that and why nothing more is begun, and what begins it; empty for a queue that goes on."""
    return f"The queue is held: {short(queue.held)}. What is put into it waits. {_GO_ON}" if queue.held else ""


class QueueNotices:
    """Follows the queue and makes notices; each failure and each run that waits is told once."""

    def __init__(self, desk: Desk, clock: Callable[[], float] = time.monotonic) -> None:
        self._desk, self._clock = desk, clock
        self._failed: set[int] | None = None
        self._held = False
        self._since: dict[int, float] = {}
        self._told: set[int] = set()

    def tick(self, changed: frozenset[str]) -> None:
        """Look at what changed, and at the clock."""
        queue: QueueState | None = self._desk.latest("queue")
        if queue is None:
            return
        if "queue" in changed:
            self._tell_failures(queue)
            if self._held and not queue.held:
                for about in (_WAITS, _FAILED):
                    self._desk.settle(about, f"The queue goes on since {words.clock(time.time())}.")
            self._held = bool(queue.held)
        self._tell_waiting(queue)

    def _tell_failures(self, queue: QueueState) -> None:
        failed = {one.job: one for one in queue.rows if one.state == "failed"}
        # What failed before this window looked is no news.
        for job in sorted(failed.keys() - self._failed) if self._failed is not None else ():
            one = failed[job]
            remedy = f"The queue is held. Remove the cause; then: {_GO_ON}" if queue.held else "Its row on the page Queue says more."
            error = BenchError(f"{words.spoken(one.procedure)} failed: {one.why.rstrip('.') or 'no cause was told'}", where=f"job {job}", remedy=remedy)
            self._desk.notice(Passing(error, _FAILED) if queue.held else error)
        self._failed = set(failed)

    def _tell_waiting(self, queue: QueueState) -> None:
        now, jobs = self._clock(), {one.job: one for one in waiting(queue)}
        if not queue.held:
            # Who holds the queue sees what waits in it.
            self._told, self._since = set(jobs), {}
            return
        self._since = {job: self._since.get(job, now) for job in jobs}
        late = [jobs[job] for job, since in self._since.items() if now - since >= LATE_S and job not in self._told]
        if late:
            self._told |= {one.job for one in late}
            named = f"{words.spoken(late[-1].procedure)} (job {late[-1].job})"
            told = f"{named} waits" if len(jobs) == 1 else f"{len(jobs)} jobs wait, the last is {named}"
            error = BenchError(f"{told}: the queue is held, {queue.held}", where="queue", remedy=_GO_ON)
            self._desk.notice(Passing(error, _WAITS, instead=True))
