"""The order in which things are done: what waits, what is on in each lane, what has ended lately, and whether anything more is to be begun."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ...core.errors import HeliographError, ParameterError, RunAborted
from ..owner.publishing import Topics
from ..topics import PERIOD_S, QueueState
from .jobs import Entry, Lane, RunState

MOST_ENDED = 50
STILL_READ = 3
"""Of so many that ended last somebody may still read what they said."""
_FORGOTTEN = "It may have ended long ago: look for its run file."


@dataclass(slots=True)
class Queue:
    """One queue, of which each lane does one thing at a time; for several threads.

    topics: told its state.  go_on_after_failure: policy; without it a failure holds the queue.
    not_yet: says why an entry has to wait, and those of its lane behind it with it; empty if it may begin. Nobody asks for one that is followed.
    """

    topics: Topics
    go_on_after_failure: bool = False
    not_yet: Callable[[Entry], str] = lambda _entry: ""
    _held: str = ""
    _closed: bool = False
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _waiting: list[Entry] = field(default_factory=list)
    _aside: list[Entry] = field(default_factory=list)
    _on: dict[Lane, Entry] = field(default_factory=dict)
    _ended: deque[Entry] = field(default_factory=lambda: deque(maxlen=MOST_ENDED))
    _turn: threading.RLock = field(default_factory=threading.RLock)
    _changed: threading.Condition = field(init=False)
    _published: float = 0.0

    def __post_init__(self) -> None:
        self._changed = threading.Condition(self._turn)

    def number(self) -> int:
        """Return the number of the next entry."""
        return next(self._numbers)

    # What is there

    def entries(self) -> list[Entry]:
        """Return what ended lately, what is on, what stands aside, what waits."""
        with self._turn:
            return [*self._ended, *self._on.values(), *self._aside, *self._waiting]

    def on(self, lane: Lane) -> Entry | None:
        """Return what is on in a lane."""
        return self._on.get(lane)

    def find(self, number: int) -> Entry:
        """Return an entry by its number; raises ParameterError if there is none."""
        for entry in self.entries():
            if entry.number == number:
                return entry
        raise ParameterError(f"there is no run {number}", where="queue", remedy=_FORGOTTEN)

    def state(self) -> QueueState:
        """Return how the queue stands, as published; its time is that of the bench, which is the longer lane."""
        with self._turn:
            entries, held, policy = self.entries(), self._held, self.go_on_after_failure
        left = [entry.estimate.left_s for entry in entries if entry.lane == "bench" and not entry.state.over]
        return QueueState(tuple(entry.row() for entry in entries), held, policy, None if None in left else sum(one for one in left if one is not None))

    def publish(self, *, soon: bool = False) -> None:
        """Tell how the queue stands.  soon: it is enough if that was done lately."""
        now = time.monotonic()
        # Who reads the state last must be who tells it last.
        with self._turn:
            if soon and now - self._published < PERIOD_S:
                return
            self._published = now
            for entry in self._on.values():
                entry.tick()
            for entry in self._waiting:
                entry.why = "" if entry.followed else self.not_yet(entry)
            self.topics.publish("queue", self.state())

    # What comes and goes

    def add(self, *entries: Entry, first: bool = False) -> None:
        """Put entries at the end of the queue, or before all that wait. Raises RunAborted once it is closed."""
        with self._turn:
            if self._closed:
                raise RunAborted("the owner of the bench is closing", where=entries[0].name)
            self._waiting[0:0] = entries if first else ()
            self._waiting += () if first else entries
            self._changed.notify_all()
        self.publish()

    def take(self, lane: Lane) -> Entry | None:
        """Wait for the next entry of a lane that may begin, and begin it; None once the queue is closed."""
        with self._turn:
            while not self._closed:
                if lane not in self._on and (entry := self._next(lane)) is not None:
                    self._place(entry).remove(entry)
                    self._on[lane] = entry
                    entry.why = ""
                    return entry
                # A finite wait lets a signal handler run in between.
                self._changed.wait(1.0)
            return None

    def _place(self, entry: Entry) -> list[Entry]:
        return self._aside if entry in self._aside else self._waiting

    def _next(self, lane: Lane) -> Entry | None:
        for entry in self._aside:
            if entry.lane == lane and not entry.pausing:
                return entry
        before, held = {entry.name for entry in self._on.values()}, bool(self._held)
        for entry in self._waiting:
            if entry.lane == lane and not entry.after & before:
                if entry.followed or entry.completes:
                    return entry
                held = held or bool(self.not_yet(entry))
                if not held:
                    return entry
            before.add(entry.name)
        return None

    def has_next(self, lane: Lane) -> bool:
        """Say whether something of a lane could begin at once if the lane were free."""
        with self._turn:
            return self._next(lane) is not None

    def begin(self, entry: Entry) -> None:
        """Begin an entry that never waited. Raises ParameterError while its lane is busy."""
        with self._turn:
            busy = self._on.get(entry.lane)
            if busy is not None:
                raise ParameterError(f"{busy.name} is running", where=entry.name, remedy="Wait until it has ended, or abort it.")
            self._on[entry.lane] = entry

    def end(self, entry: Entry, following: Iterable[Entry] = ()) -> None:
        """Note that an entry is over; what follows it comes before all that wait. A failure holds the queue, unless the policy is to go on."""
        with self._turn:
            self._on.pop(entry.lane, None)
            self._ended.append(entry)
            if len(self._ended) > STILL_READ:
                self._ended[-STILL_READ - 1].forget()
            if not self._closed:
                at = next((k for k, one in enumerate(self._waiting) if not one.completes), len(self._waiting))
                self._waiting[at:at] = following
            if entry.state is RunState.FAILED and not entry.followed and not self.go_on_after_failure:
                # What to do about it stands at the entry itself.
                error = entry.error if isinstance(entry.error, HeliographError) else None
                why = entry.why if error is None else f"{error.where}: {error.message}" if error.where else error.message
                self._held = self._held or f"{entry.name} {entry.number} failed: {why.rstrip('.')}"
            self._changed.notify_all()
        self.publish()

    def set_aside(self, entry: Entry) -> None:
        """Let an entry that is on stand still and leave its lane to others; it goes on before all that wait once it is not to pause any more."""
        with self._turn:
            self._on.pop(entry.lane, None)
            self._aside.append(entry)
            entry.enter(RunState.PAUSED)
            if self._closed:
                self.give_up(entry, "the owner of the bench is closing")
            self._changed.notify_all()
        self.publish()

    def look_again(self) -> None:
        """Begin what may begin now, because an entry is another than it was."""
        with self._turn:
            self._changed.notify_all()
        self.publish()

    def conclude(self, entry: Entry, why: str) -> bool:
        """End an entry that stands aside, as done; say whether it did."""
        with self._turn:
            if entry not in self._aside:
                return False
            self._aside.remove(entry)
            self._ended.append(entry)
            entry.why = why
            entry.enter(RunState.DONE)
        self.publish()
        return True

    def give_up(self, entry: Entry, cause: str) -> bool:
        """Take an entry that waits, or stands aside, out of the queue, as aborted; say whether it was there."""
        with self._turn:
            if entry not in self._place(entry):
                return False
            begun = entry in self._aside
            self._place(entry).remove(entry)
            self._ended.append(entry)
            entry.cause = entry.why = cause
            entry.error = RunAborted(cause, where=entry.name, remedy="Its checkpoint is kept." if begun else "Nothing of it was begun.")
            entry.enter(RunState.ABORTED)
        self.publish()
        return True

    def close(self, cause: str) -> None:
        """Forget what waits, and let every lane end."""
        with self._turn:
            self._closed = True
            for entry in [*self._aside, *self._waiting]:
                self.give_up(entry, cause)
            self._changed.notify_all()

    def wait_idle(self, lane: Lane, timeout_s: float) -> bool:
        """Wait until nothing is on in a lane; say whether that came about."""
        with self._turn:
            return self._changed.wait_for(lambda: lane not in self._on, timeout_s)

    # What the operator changes

    def _waits(self, number: int) -> Entry:
        entry = self.find(number)
        if entry not in self._waiting:
            raise ParameterError(f"it is {entry.state}", where=f"{entry.name} {number}", remedy="Only what waits can be changed; duplicate it.")
        return entry

    def move(self, number: int, to: int) -> None:
        """Put an entry that waits at another place among those that wait, 0 for the first."""
        with self._turn:
            entry = self._waits(number)
            self._waiting.remove(entry)
            self._waiting.insert(max(0, to), entry)
            self._changed.notify_all()
        self.publish()

    def remove(self, number: int) -> Entry:
        """Take an entry that waits out of the queue, without a trace; return it."""
        with self._turn:
            entry = self._waits(number)
            self._waiting.remove(entry)
            self._changed.notify_all()
        self.publish()
        return entry

    def replace(self, number: int, made: Entry) -> None:
        """Put another entry in the place of one that waits; it takes its number."""
        with self._turn:
            entry = self._waits(number)
            made.number = entry.number
            self._waiting[self._waiting.index(entry)] = made
            self._changed.notify_all()
        self.publish()

    @property
    def held(self) -> str:
        """Return why nothing more is begun; empty if it is."""
        return self._held

    @property
    def waits(self) -> bool:
        """Say whether anything waits."""
        return bool(self._waiting)

    def hold(self, why: str) -> None:
        """Begin nothing more, because of something."""
        with self._turn:
            self._held = why
        self.publish()

    def go_on(self) -> None:
        """Begin again what waits."""
        with self._turn:
            self._held = ""
            self._changed.notify_all()
        self.publish()

    def set_policy(self, go_on_after_failure: bool) -> None:
        """Say whether the queue goes on after a failure."""
        with self._turn:
            self.go_on_after_failure = go_on_after_failure
        self.publish()
