"""Exchange light between two users: alignment with public preambles, then the block, then the site's announcement.

What the site knows goes into the run file: tags, announcement, offsets. What a user sends stays with that user, in a file of its own beside its key store.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pymeasure.experiment import FloatParameter, Parameter, Procedure

from ...acquisition.alignment import JointErrors, Offset, Phases, align, find_phase, joint_check
from ...acquisition.announcements import encode_events
from ...acquisition.events import Events
from ...acquisition.light import Light, one_of
from ...acquisition.patterns import Pattern, demo_patterns, preamble, save_pattern
from ...acquisition.timetags import EventSelector, SlotTiming
from ...core.entropy import RandomSource
from ...core.errors import ConfigError

if TYPE_CHECKING:
    from ...acquisition.runs import RunWriter
    from ...instruments.connect import Instruments
    from ...instruments.roles import TagBatch, TagSource

Y_SHARE = 0.1
"""Share of a frame's slots in which a user sends Y."""
ALIGNMENT_S = 0.2
TRAINS = ("clockwise", "counter-clockwise")


@dataclass(frozen=True, slots=True)
class Aligned:
    """Where the light was found: pulse centre at each detector, first slot of each user's pattern, error rates of the public preambles."""

    phases: Phases
    offsets: dict[str, Offset]
    errors: JointErrors


def pattern_path(store: Path, party: str, run_id: str) -> Path:
    """Return where a party keeps its pattern of a run until it is distilled."""
    return store / party / "patterns" / f"{run_id}-{party}.bin"


class KeyExchange(Procedure):
    """Exchange light between the two users of a pair.

    Set before it starts: `instruments`, armed; `writer` of the run file; `store`, the folder of the key stores; `source` of the pattern bits.
    """

    pair = Parameter("Pair", default="A-B")
    seconds = FloatParameter("Light", units="s", default=5.0, minimum=0.2)

    DATA_COLUMNS = ["Time (s)", "Event rate (Hz)", "Events"]  # noqa: RUF012  (PyMeasure's convention)

    instruments: Instruments
    writer: RunWriter
    store: Path
    source: RandomSource

    def startup(self) -> None:
        """Set pulses, intensity and arms of the pair."""
        self._station = self.instruments.station
        if self.pair not in self._station.pairs:
            known = ", ".join(self._station.pairs)
            raise ConfigError(f"there is no pair {self.pair!r}", where=str(self._station.path), remedy=f"Pairs of this station: {known}.")
        self._users = tuple(self.pair.split("-"))
        self._timing = SlotTiming.of(self._station, one_of(self._station, "TagSource"))
        self._tagger = cast("TagSource", self.instruments[one_of(self._station, "TagSource")])
        self._light = Light(self.instruments, self._station)
        self._light.carve_pulses()
        self._intensity = self._light.set_intensity(self._station.pairs[self.pair].mu)
        self._arms = self._light.set_arms(self.pair)

    def execute(self) -> None:
        """Align, send the block, and write the announcement."""
        aligned = self._align()
        self._send(self._patterns())
        announcement, n_slots, selector = self._receive(aligned)
        self.writer.announcement(
            announcement,
            {
                "pair": self.pair,
                "first_slot": 0,
                "n_slots": n_slots,
                "seconds": n_slots * self._station.clock.slot_s,
                "offsets": {user: offset.slots for user, offset in aligned.offsets.items()},
                "mu": self._intensity.mu,
                "input_db": self._intensity.attenuation_db,
                "arm_loss_db": list(self._arms),
                "alignment": {user: asdict(offset) for user, offset in aligned.offsets.items()},
                "phases": asdict(aligned.phases),
                "preamble": asdict(aligned.errors),
                "selection": asdict(selector.report),
                "pattern_mode": "demo",
                "pattern_randomness": self.source.origin,
            },
        )

    def shutdown(self) -> None:
        """Stop modulating."""
        if hasattr(self, "_light"):
            self._light.modulate()

    def _align(self) -> Aligned:
        """Find pulses and pattern offsets by the public preambles, one user after the other, then check both together."""
        preambles = {user: preamble(self._timing.pattern_slots, user) for user in self._users}
        recordings = {}
        for user, train in zip(self._users, TRAINS, strict=True):
            self._light.load_phases(user, preambles[user].phases_rad, train)
            self._light.modulate(user)
            recordings[user] = self._recording()
        phases = find_phase(recordings[self._users[0]], self._timing)
        offsets = {user: align(recordings[user], self._timing, preambles[user], phases) for user in self._users}
        self._light.modulate(*self._users)
        selector = EventSelector(self._timing, phases.pair)
        events = Events.joined([*(selector.feed(batch) for batch in self._recording()), selector.flush()])
        first, second = self._users
        errors = joint_check(events, (preambles[first], preambles[second]), (offsets[first].slots, offsets[second].slots))
        return Aligned(phases, offsets, errors)

    def _recording(self) -> list[TagBatch]:
        return list(self._tagger.record(ALIGNMENT_S))

    def _patterns(self) -> dict[str, Pattern]:
        """Draw the users' patterns and put each where only that user looks."""
        slots = self._timing.pattern_slots
        drawn = demo_patterns(self.source, slots, round(Y_SHARE * slots), self._station.pairs[self.pair].yy_overlap)
        patterns = dict(zip(self._users, drawn, strict=True))
        for user, pattern in patterns.items():
            save_pattern(pattern_path(self.store, user, self.writer.run_id), pattern, run_id=self.writer.run_id, party=user)
        return patterns

    def _send(self, patterns: dict[str, Pattern]) -> None:
        for user, train in zip(self._users, TRAINS, strict=True):
            self._light.load_phases(user, patterns[user].phases_rad, train)

    def _receive(self, aligned: Aligned) -> tuple[bytes, int, EventSelector]:
        """Record the block; return the announcement, the pulses sent, and the selector with its counts."""
        selector = EventSelector(self._timing, aligned.phases.pair)
        announced, last, end_ps = bytearray(), 0, 0

        def announce(events: Events) -> int:
            announced.extend(encode_events(events, last))
            return int(events.slot[-1]) if len(events) else last

        for batch in self._tagger.record(self.seconds):
            self.writer.tags("tagger", batch)
            events = selector.feed(batch).between(0, 2**62)
            last, end_ps = announce(events), batch.t_end_ps
            self._report(batch, events)
            if self.should_stop():
                break
        n_slots = round(end_ps / self._timing.slot_ps)
        announce(selector.flush().between(0, n_slots))
        return bytes(announced), n_slots, selector

    def _report(self, batch: TagBatch, events: Events) -> None:
        now_s = batch.t_end_ps * 1e-12
        length_s = (batch.t_end_ps - batch.t_begin_ps) * 1e-12
        self.emit("results", {"Time (s)": now_s, "Event rate (Hz)": len(events) / length_s, "Events": len(events)})
        self.emit("progress", min(100.0, 100.0 * now_s / self.seconds))
