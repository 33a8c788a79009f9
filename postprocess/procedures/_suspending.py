"""A key exchange that stands still while a rule of the station wants it to: what is looked at, and what is sent meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ...acquisition.alignment import JointErrors, Offset, Phases, joint_check
from ...acquisition.events import Events
from ...acquisition.patterns import preamble
from ...acquisition.suspend import Change, Watch
from ...acquisition.timetags import EventSelector, SlotTiming
from ...core.errors import AlignmentError, DeviceFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...instruments.roles import TagBatch

ANY_ERRORS = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Aligned:
    """Where the light was found: pulse centre at each detector, first slot of each user's pattern, error rates of the public preambles."""

    phases: Phases
    offsets: dict[str, Offset]
    errors: JointErrors


def preamble_events(batches: Sequence[TagBatch], timing: SlotTiming, phases: Phases) -> Events:
    """Return the events of a recording of preambles."""
    selector = EventSelector(timing, phases.pair)
    return Events.joined([*(selector.feed(batch) for batch in batches), selector.flush()])


def preamble_errors(events: Events, timing: SlotTiming, offsets: Mapping[str, Offset], limits: tuple[float, float] = (0.11, 0.11)) -> JointErrors:
    """Return the error rates of the two users' preambles sent at once. Raises AlignmentError as `joint_check` does."""
    (first, one), (second, other) = offsets.items()
    patterns = preamble(timing.pattern_slots, first), preamble(timing.pattern_slots, second)
    return joint_check(events, patterns, (one.slots, other.slots), limits=limits)


def rates_hz(batches: Sequence[TagBatch], timing: SlotTiming) -> dict[str, float]:
    """Return the click rates of both detectors, as suspend rules call them."""
    seconds = sum(batch.t_end_ps - batch.t_begin_ps - sum(gap.t1_ps - gap.t0_ps for gap in batch.gaps) for batch in batches) * 1e-12
    clicks = {name: sum(int(np.count_nonzero(batch.ch == channel)) for batch in batches) for name, channel in (("D1", timing.d1), ("D2", timing.d2))}
    return {f"count_rate {name}": n / seconds for name, n in clicks.items()} if seconds > 0.0 else {}


class StandingStill:
    """Looks at the rules of the station while light is sent, and at preambles while it is not.

    record: sends the preambles and records them once.  told: hears what happens, for the run file.  patience_s: of bench time, after which a pause is given up.
    """

    def __init__(
        self,
        watch: Watch,
        timing: SlotTiming,
        record: Callable[[], Sequence[TagBatch]],
        told: Callable[[Literal["info", "warning"], str], None],
        patience_s: float,
    ) -> None:
        self.watch, self._timing, self._record, self._told, self._patience_s = watch, timing, record, told, patience_s
        self.bench_s = 0.0

    def look(self, batch: TagBatch) -> bool:
        """Look at what goes on beside a batch of light; return whether the run is to pause now."""
        self.bench_s += (batch.t_end_ps - batch.t_begin_ps) * 1e-12
        self._say(self.watch.look(self.bench_s, rates_hz([batch], self._timing)))
        return self.watch.suspender.paused

    def settle(self, aligned: Aligned, should_stop: Callable[[], bool]) -> bool:
        """Send preambles until every rule is content; return False if somebody stops the run, or patience ends.

        Raises AlignmentError if the preambles, when all is well again, do not fit the offsets: then a pattern has slipped.
        """
        begun = self.bench_s
        while not should_stop():
            batches = self._record()
            self.bench_s += sum(batch.t_end_ps - batch.t_begin_ps for batch in batches) * 1e-12
            events = preamble_events(batches, self._timing, aligned.phases)
            self._say(self.watch.look(self.bench_s, {**rates_hz(batches, self._timing), **self._error_rates(events, aligned)}))
            if not self.watch.suspender.paused and not self.watch.suspender.pending:
                preamble_errors(events, self._timing, aligned.offsets)
                return True
            if self.bench_s - begun > self._patience_s:
                self._told("warning", f"given up after {self.bench_s - begun:.1f} s of suspension")
                return False
        return False

    def nothing_came(self) -> DeviceFault:
        """Return the error of a run that was suspended before there was any light to keep."""
        return DeviceFault(
            f"the run was suspended for {self.bench_s:.0f} s before any light was kept",
            where="safety.suspend",
            remedy="Look at what the rule is about, or change it in the station file.",
        )

    def _error_rates(self, events: Events, aligned: Aligned) -> dict[str, float]:
        try:
            found = preamble_errors(events, self._timing, aligned.offsets, ANY_ERRORS)
        except AlignmentError:
            # No light, so no errors either: rules on them stay as they are.
            return {}
        return {"qber": max(found.e_x, found.e_y), "qber_x": found.e_x, "qber_y": found.e_y}

    def _say(self, change: Change | None) -> None:
        if change is not None:
            self._told("warning" if change.paused else "info", f"suspended: {change.why}" if change.paused else f"goes on: {change.why}")
