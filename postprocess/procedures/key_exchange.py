"""Exchange light between two users: alignment with public preambles, then the block, then the site's announcement.

What the site knows goes into the run file: tags, announcement, offsets. What a user sends stays with that user, in a file of its own beside its key store.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from pymeasure.experiment import FloatParameter, Parameter

from ...acquisition.alignment import align, find_phase
from ...acquisition.announcements import encode_events
from ...acquisition.events import Events
from ...acquisition.light import named, prepare_light
from ...acquisition.patterns import Pattern, demo_patterns, gate_waveform, preamble
from ...acquisition.pieces import Pieces
from ...acquisition.procedures.base import BenchProcedure
from ...acquisition.run_writer import RunLayout, RunWriter
from ...acquisition.sent import Sent, configuration, erase_sent, save_sent
from ...acquisition.suspend import Watch
from ...acquisition.timetags import EventSelector, SlotTiming
from ...core.entropy import OsRandom, RandomSource
from ...core.errors import InsecureLight, ParameterError
from ...instruments.station_checks import POINTS_PER_SLOT, Y_SHARE
from ...instruments.station_models import SUSPEND_UNITS
from ._suspending import Aligned, StandingStill, preamble_errors, preamble_events

if TYPE_CHECKING:
    from ...instruments.roles import TagBatch, TagSource

ALIGNMENT_S = 0.2
SUB_S = 0.2
"""Light is recorded in whole pieces of this length."""


def recorded_s(seconds: float) -> float:
    """Return how long a block of so much light is recorded: whole pieces, and so many pulses are sent."""
    return ceil(seconds / SUB_S - 1e-9) * SUB_S


def pattern_path(store: Path, party: str, run_id: str) -> Path:
    """Return where a party keeps its pattern of a run until it is distilled."""
    return store / party / "patterns" / f"{run_id}-{party}.bin"


class KeyExchange(BenchProcedure):
    """Exchange light between the two users of a pair.

    store: folder of the key stores, without which it does not start.  source: of the pattern bits, by default the operating system.  A writer is needed.
    Events are announced while they come in, one part a batch; the last part says of which block they are.
    Raises ParameterError without a store; AlignmentError or SyncError if the light cannot be read, DataLoss if tags of it are missing and nobody knows when,
    InsecureLight if the detectors show signs of an attack, Tripped if the bench tripped, DeviceFault if a rule suspended the run before there was light to
    keep: then the announcement has no last part, and the patterns are erased.
    """

    DATA_COLUMNS: ClassVar[list[str]] = ["Time (s)", "Event rate (Hz)"]
    SUSPENDED_BY = frozenset(SUSPEND_UNITS)
    NEEDS_ARMED = True

    pair = Parameter("Pair", default="A-B")
    seconds = FloatParameter("Light", units="s", default=5.0, minimum=0.2, maximum=1e5)
    check_s = FloatParameter("Light between looks at the error rate, where a rule asks for it", units="s", default=10.0, minimum=0.2, maximum=1e5)
    patience_s = FloatParameter("Longest suspension", units="s", default=3600.0, minimum=0.0, maximum=1e6)

    writer: RunWriter

    def __init__(self, *, store: str | Path | None = None, source: RandomSource | None = None, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.store = Path(store) if store is not None else None
        self.source = source if source is not None else OsRandom()

    def carried(self) -> dict[str, Any]:
        """Return the folder of the key stores and the source of the pattern bits."""
        return {"store": self.store.resolve() if self.store is not None else None, "source": self.source}

    def run_layout(self) -> RunLayout:
        """Return the tag stream, the event rate, and the announcement."""
        name = self._tagger_name()
        channels = self.instruments.station.instruments[name].wire.channel_map
        return RunLayout(tags={name: channels}, tables={"block": {"time": "s", "rate": "Hz"}, **self.pause_table()}, announcement=True)

    def check(self) -> None:
        """Raise ParameterError for an unknown pair, or without a folder for the patterns; ConfigError for a suspend rule on what nobody measures."""
        self.check_pair(self.pair)
        Watch(self.instruments, self.SUSPENDED_BY)
        if self.store is None:
            raise ParameterError("no folder for the patterns was given", where="KeyExchange", remedy="Name the key stores: KeyExchange(store=...).")
        self._patterns_in = self.store

    def startup(self) -> None:
        """Set pulses, intensity and arms of the pair."""
        self._station = self.instruments.station
        self._users = tuple(self.pair.split("-"))
        self._timing = SlotTiming.of(self._station, self._tagger_name())
        self._tagger = cast("TagSource", self.instruments[self._tagger_name()])
        self._signs = len(self.instruments.arbiter.signs)
        pair = self._station.pairs[self.pair]
        self._light = prepare_light(self.instruments, pair.mu, dict.fromkeys(self._users, pair.arm_loss_db))

    def execute(self) -> None:
        """Align, send the block, and write the announcement."""
        # What the users send is locked until then: files of a run that was killed are locked no more.
        with ExitStack() as self._locked:
            self._exchange()

    def _exchange(self) -> None:
        aligned = self._align()
        patterns = self._patterns()
        self._load_patterns(patterns, {user: offset.slots for user, offset in aligned.offsets.items()})
        pulses = round(recorded_s(self.seconds) * self._station.clock.rep_rate_hz)
        self._keep(patterns, pulses)
        try:
            self._refuse_insecure()
            selector = self._receive(aligned, patterns)
        except BaseException:
            for user in self._users:
                erase_sent(pattern_path(self._patterns_in, user, self.writer.run_id))
            raise
        n_slots = selector.slots
        if self.should_stop():
            pulses = n_slots
        elif self._pieces.cuts:
            pulses = self._pieces.slots
        # First, for what lacks the last part of the announcement may be a copy that was taken before.
        self._keep(patterns, pulses, whole=True)
        # Without this last part there is no announcement.
        self._announce(selector.flush().between(0, n_slots), pair=self.pair, first_slot=0, n_slots=n_slots)
        self.writer.summary.update(
            pair=self.pair,
            mu=self._light.mu,
            seconds=n_slots * self._station.clock.slot_s,
            input_db=self._light.input_db,
            arms_db=dict(self._light.arms_db),
            alignment={user: asdict(offset) for user, offset in aligned.offsets.items()},
            phases=asdict(aligned.phases),
            preamble=asdict(aligned.errors),
            selection=asdict(selector.report),
        )

    def shutdown(self) -> None:
        """Stop modulating."""
        for user in getattr(self, "_users", ()):
            self.modulate(user, False)

    def _tagger_name(self) -> str:
        return named(self.instruments.station, "TagSource")[0]

    def _modulate_only(self, *users: str) -> None:
        for user in self._station.optics.users:
            self.modulate(user, user in users)

    def _load_patterns(self, patterns: Mapping[str, Pattern], offsets: Mapping[str, int]) -> None:
        """Load each user's pattern into its generator, the first user's for the clockwise train and the second's for the other; outputs keep their state.

        offsets: slot in which the first element would pass; it is rolled back, so that it passes in slot 0.
        """
        for user, pattern in patterns.items():
            place = self._station.optics.users[user]
            modulator = self._station.optics.modulators[place.pm]
            fractions = self.train_fractions(user)
            phases = pattern.phases_from(offsets[user])
            volts = gate_waveform(phases, fractions[self._users.index(user)], modulator.v_pi_v, modulator.gain, POINTS_PER_SLOT)
            self.load_phases(user, volts)

    def _align(self) -> Aligned:
        """Find pulses and pattern offsets by the public preambles, one user after the other, then check both together."""
        preambles = {user: preamble(self._timing.pattern_slots, user) for user in self._users}
        recordings = {}
        self._load_patterns(preambles, dict.fromkeys(self._users, 0))
        for user in self._users:
            self._modulate_only(user)
            recordings[user] = self._recording()
        phases = find_phase(recordings[self._users[0]], self._timing)
        offsets = {user: align(recordings[user], self._timing, preambles[user], phases) for user in self._users}
        self._modulate_only(*self._users)
        events = preamble_events(self._recording(), self._timing, phases)
        return Aligned(phases, offsets, preamble_errors(events, self._timing, offsets))

    def _recording(self) -> list[TagBatch]:
        return list(self._tagger.record(ALIGNMENT_S))

    def _patterns(self) -> dict[str, Pattern]:
        slots = self._timing.pattern_slots
        drawn = demo_patterns(self.source, slots, round(Y_SHARE * slots), self._station.pairs[self.pair].yy_overlap)
        return dict(zip(self._users, drawn, strict=True))

    def _keep(self, patterns: Mapping[str, Pattern], pulses: int, *, whole: bool = False) -> None:
        """Put what each user sends where only that user looks.  whole: it was all sent."""
        drawn_for = configuration(self._station.public_text())
        for user, pattern in patterns.items():
            path = pattern_path(self._patterns_in, user, self.writer.run_id)
            hardware = not self._station.simulated
            sent = Sent(pattern, self.writer.run_id, user, self._light.mu, pulses, self.source.origin, hardware, drawn_for, whole)
            save_sent(path, sent, on=self._locked)

    def _receive(self, aligned: Aligned, patterns: Mapping[str, Pattern]) -> EventSelector:
        """Record the block and announce its events as they come, but for the last one; return the selector with its counts."""
        selector, self._last_slot = EventSelector(self._timing, aligned.phases.pair), 0
        with closing(self._light_of(aligned, patterns)) as light:
            for batch in light:
                self.writer.tags(self._tagger_name(), batch)
                events = selector.feed(batch)
                self._refuse_insecure()
                self._announce(events)
                if batch.t_end_ps > batch.t_begin_ps:
                    self._report(batch, events)
        self.instruments.arbiter.look()
        self._refuse_insecure()
        return selector

    def _light_of(self, aligned: Aligned, patterns: Mapping[str, Pattern]) -> Generator[TagBatch, None, None]:
        """Yield the batches of the block: one recording, or several with preambles between them where a rule asks for error rates or suspends the run."""
        self._pieces, watch = Pieces(self._timing), Watch(self.instruments, self.SUSPENDED_BY)
        still = StandingStill(watch, self._timing, self._preambles_again, self._told_of_pause, self.patience_s)
        while self._left_s > SUB_S / 2.0:
            if watch.suspender.watched:
                begun_s, paused = still.bench_s, watch.suspender.paused
                if not still.settle(aligned, self.should_stop):
                    break
                if paused or still.bench_s - begun_s > 1.5 * ALIGNMENT_S:
                    self.writer.table("pauses", {"begin": self._pieces.end_ps * 1e-12, "lasted": still.bench_s - begun_s})
                self._load_patterns(patterns, {user: offset.slots for user, offset in aligned.offsets.items()})
            yield from self._piece(min(self._left_s, self.check_s) if watch.watches_errors else self._left_s, still)
            if self.should_stop():
                break
        if self._pieces.end_ps == 0:
            raise still.nothing_came()

    def _told_of_pause(self, severity: Literal["info", "warning"], text: str) -> None:
        self.writer.event(severity, "suspend", text)
        self.emit("suspended", text.partition(": ")[2] if severity == "warning" else "")

    @property
    def _left_s(self) -> float:
        """Return how much light of the block is still to come."""
        return recorded_s(self.seconds) - self._pieces.end_ps * 1e-12

    def _piece(self, seconds: float, still: StandingStill) -> Iterator[TagBatch]:
        """Record for a time, or until the run is to pause; then the users stop, and what was under way is withheld.

        However the recording ends, the tagger is asked what it lost: what is in no gap of its own raises DataLoss, and no light of the block is kept.
        """
        withheld, stopped, dark = None, False, False
        try:
            for batch in self._tagger.record(seconds, SUB_S):
                if dark and batch.t_end_ps > batch.t_begin_ps:
                    withheld = batch
                    self._tagger.end()
                    continue
                yield self._pieces.place(batch)
                if stopped := self.should_stop():
                    self._tagger.end()
                elif not dark and still.look(batch):
                    dark = True
                    for user in self._users:
                        self.modulate(user, False)
        finally:
            # Where it ended in order, nothing is left to give up.
            self._tagger.abandon()
        if not stopped and self._left_s > SUB_S / 2.0 and (rest := self._pieces.cut(withheld)) is not None:
            yield rest

    def _preambles_again(self) -> list[TagBatch]:
        """Send the preambles as at the beginning, and record them."""
        self._load_patterns({user: preamble(self._timing.pattern_slots, user) for user in self._users}, dict.fromkeys(self._users, 0))
        self._modulate_only(*self._users)
        return self._recording()

    def _refuse_insecure(self) -> None:
        """Raise InsecureLight, and mark the run, if there were signs of an attack since the start: nothing of such light is distilled."""
        signs = self.instruments.arbiter.signs[self._signs :]
        if signs:
            self.writer.event("error", "arbiter", signs[0])
            self.writer.summary.update(insecure=signs[0])
            where, _, sign = signs[0].partition(": ")
            raise InsecureLight(f"signs of an attack on the detectors: {sign}", where=where, remedy="No key comes of this light. Find the cause first.")

    def _announce(self, events: Events, **meta: Any) -> None:
        self.writer.announcement(encode_events(events, self._last_slot), {"n_events": len(events), **meta})
        self._last_slot = int(events.slot[-1]) if len(events) else self._last_slot

    def _report(self, batch: TagBatch, events: Events) -> None:
        now_s, rate_hz = batch.t_end_ps * 1e-12, len(events) / ((batch.t_end_ps - batch.t_begin_ps) * 1e-12)
        self.writer.table("block", {"time": [now_s], "rate": [rate_hz]})
        self.emit("results", {"Time (s)": now_s, "Event rate (Hz)": rate_hz})
        self.emit("progress", min(100.0, 100.0 * now_s / self.seconds))
