"""From time tags to events: slot clock, gate, single-click selection, in one streaming pass.

Slots lost to overflow, dead time or gaps are simply absent: they stay among the pulses sent, and never shift later ones, because sync tags count the slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, ParameterError, SyncError, TagStreamError
from . import _timetags_numpy
from ._slot_clock import DISORDER, IGNORED, LONG_AGO, SYNC, WARM_TAGS, At, Line, State, fit_line, lock, locked
from .events import Events, difference

if TYPE_CHECKING:
    from ..instruments.roles import TagBatch
    from ..instruments.station import Station

__all__ = ["ClockReport", "EventSelector", "Events", "SlotTiming", "clock_line", "difference", "select_by_line"]

Engine = Literal["auto", "numba", "numpy"]
_HORIZON_PS = 10**12


@dataclass(frozen=True, slots=True)
class SlotTiming:
    """What of the bench's clock the acquisition is told.

    slot_ps: length of a slot.  sync_divider: slots between sync tags.  gate_ps: full width of the gate around the pulse centre.
    pattern_slots: slots of a frame.  d1, d2, sync: tagger channels.
    """

    slot_ps: int = 10_000
    sync_divider: int = 1000
    gate_ps: int = 2000
    pattern_slots: int = 10_000
    d1: int = 1
    d2: int = 2
    sync: int = 3

    def __post_init__(self) -> None:
        if min(self.slot_ps, self.sync_divider, self.pattern_slots) < 1 or not 0 < self.gate_ps <= self.slot_ps // 2:
            raise ParameterError(
                f"a gate of {self.gate_ps} ps in slots of {self.slot_ps} ps; slots and dividers are positive, and the gate is at most half a slot",
                where="timing",
                remedy="Check clock and optics.site.gate in the station file.",
            )
        if len({self.d1, self.d2, self.sync}) < 3 or not all(0 <= channel < 256 for channel in (self.d1, self.d2, self.sync)):
            raise ParameterError(
                "D1, D2 and sync are three different channels from 0 to 255", where="timing", remedy="Check the tagger's `map` in the station file."
            )

    @property
    def sync_ps(self) -> int:
        """Return the nominal time between sync tags."""
        return self.slot_ps * self.sync_divider

    @property
    def roles(self) -> NDArray[np.uint8]:
        """Return the role of each tagger channel (256,): 0 D1, 1 D2, 2 sync, 3 ignored."""
        table = np.full(256, IGNORED, np.uint8)
        table[[self.d1, self.d2, self.sync]] = 0, 1, SYNC
        return table

    @classmethod
    def of(cls, station: Station, tagger: str | None = None) -> SlotTiming:
        """Return the timing of a station; `tagger` names the instrument whose channel map counts, without it the first TagSource.

        Raises ConfigError if there is none, or if its map lacks D1, D2 or sync.
        """
        found = [entry.wire.channel_map for name, entry in station.instruments.items() if tagger in (None, name) and entry.wire.role == "TagSource"]
        if not found or not {"D1", "D2", "sync"} <= set(found[0]):
            raise ConfigError("no TagSource with D1, D2 and sync", where=str(station.path), remedy="Give it `map = { D1 = 1, D2 = 2, sync = 3 }`.")
        channels = found[0]
        return cls(
            station.clock.slot_ps,
            station.clock.sync_divider,
            round(station.optics.site.gate_s * 1e12),
            station.clock.pattern_slots,
            channels["D1"],
            channels["D2"],
            channels["sync"],
        )


@dataclass(frozen=True, slots=True)
class ClockReport:
    """What happened to the tags so far.

    syncs: sync tags followed.  sync_lost: missing ones, bridged.  sync_bad: stray ones, ignored.  clicks: detector tags.  outside: clicks not in the gate.
    doubles: slots withdrawn for more than one click.  late: clicks behind a slot already left.
    slots_lost: slots inside gaps, counted as sent.  gaps: their number.
    """

    syncs: int
    sync_lost: int
    sync_bad: int
    clicks: int
    outside: int
    doubles: int
    late: int
    slots_lost: int
    gaps: int


class EventSelector:
    """Turns batches of tags into events, any chunking giving the same events as one shot.

    phases_ps: distance of the pulse centre from the sync tag, modulo a slot, at D1 and D2 (from `alignment.find_phase`).
    """

    def __init__(self, timing: SlotTiming, phases_ps: tuple[float, float], *, engine: Engine = "auto") -> None:
        apart = abs(phases_ps[0] - phases_ps[1])
        if not np.isfinite(phases_ps).all() or apart + timing.gate_ps > timing.slot_ps:
            raise ParameterError(f"detectors {apart:.0f} ps apart would bring slots out of order", where="phases_ps")
        self.timing = timing
        self._phase = np.array(phases_ps, float)
        self._roles = timing.roles
        self._select = _kernel(engine)
        self._state: State | None = None
        self._held: list[tuple[NDArray[np.int64], NDArray[np.uint8], int]] = []
        self._last_ps, self._end_ps = LONG_AGO, 0
        self._slots_lost, self._gaps = 0.0, 0

    def feed(self, batch: TagBatch) -> Events:
        """Return the events that this batch completes; the last one waits for the next batch or `flush`.

        Raises TagStreamError if tags are out of order or batches overlap (nothing is taken then), SyncError if the clock was lost.
        """
        t, channel = np.ascontiguousarray(batch.t_ps, np.int64), np.ascontiguousarray(batch.ch, np.uint8)
        self._check(t, channel, batch)
        events = self._hold(t, channel, batch.seq) if self._state is None else self._run(self._state, t, channel, batch.seq)
        self._end_ps = batch.t_end_ps
        self._slots_lost += sum(gap.t1_ps - gap.t0_ps for gap in batch.gaps) / self.timing.slot_ps
        self._gaps += len(batch.gaps)
        return events

    def flush(self) -> Events:
        """Return the events still waiting: the stream is over."""
        started = self._start(final=True) if self._held else Events.none()
        if self._state is None or self._state.ints[At.PENDING] != 1:
            return started
        ints = self._state.ints
        ints[At.PENDING] = 0
        return Events.joined((started, Events(ints[[At.LAST_SLOT]], ints[[At.LAST_DETECTOR]].astype(np.uint8))))

    @property
    def slots(self) -> int:
        """Return the slots sent until the end of the last batch, counted by the sync; by the nominal slot as long as there is none."""
        if self._state is None:
            return round(self._end_ps / self.timing.slot_ps)
        ints, (fraction, period_ps) = self._state.ints, self._state.floats
        since_ps = (self._end_ps - int(ints[At.BASE])) - fraction
        return int(ints[At.COUNT]) * self.timing.sync_divider + round(float(since_ps / period_ps) * self.timing.sync_divider)

    @property
    def report(self) -> ClockReport:
        """Return the counts so far."""
        ints = np.zeros(len(At), np.int64) if self._state is None else self._state.ints
        syncs, lost, bad, clicks, outside, doubles, late = (int(n) for n in ints[At.SYNCS : At.LATE + 1])
        return ClockReport(syncs, lost, bad, clicks, outside, doubles, late, round(self._slots_lost), self._gaps)

    def _check(self, t: NDArray[np.int64], channel: NDArray[np.uint8], batch: TagBatch) -> None:
        if t.shape != channel.shape or t.ndim != 1:
            raise TagStreamError(f"{t.size} times for {channel.size} channels", where=f"batch {batch.seq}")
        if batch.t_begin_ps < self._end_ps or batch.t_end_ps < batch.t_begin_ps:
            raise TagStreamError("the batch overlaps the one before it", where=f"batch {batch.seq}", remedy="The raw batch is kept.")

    def _hold(self, t: NDArray[np.int64], channel: NDArray[np.uint8], seq: int) -> Events:
        """Keep tags until the clock can be locked."""
        if t.size == 0:
            return Events.none()
        if t[0] < self._last_ps or bool((t[1:] < t[:-1]).any()):
            raise _out_of_order(seq)
        self._last_ps = int(t[-1])
        self._held.append((t, channel, seq))
        return self._start(final=False)

    def _start(self, *, final: bool) -> Events:
        """Lock the clock once enough sync tags have come; whether they have depends on the tags alone, not on how they were cut."""
        sync = np.concatenate([t[self._roles[channel] == SYNC] for t, channel, _ in self._held])
        early = sync[sync < _HORIZON_PS]
        if not final and early.size < WARM_TAGS and self._last_ps < _HORIZON_PS:
            return Events.none()
        line = lock(early[:WARM_TAGS], self.timing.sync_ps, self.timing.gate_ps / 2)
        self._state, held, self._held = locked(line), self._held, []
        return Events.joined([self._run(self._state, *batch) for batch in held])

    def _run(self, state: State, t: NDArray[np.int64], channel: NDArray[np.uint8], seq: int) -> Events:
        slot, detector = np.empty(t.size + 1, np.int64), np.empty(t.size + 1, np.uint8)
        half = self.timing.gate_ps / 2
        n = int(self._select(t, channel, self._roles, state.ints, state.floats, self.timing.sync_divider, half, self._phase, slot, detector))
        if n == DISORDER:
            raise _out_of_order(seq)
        if n < 0:
            raise SyncError(
                f"sync tags strayed by more than {half:.0f} ps for more than 10 periods", where="sync channel", remedy="The block is aborted; check the clock."
            )
        # A short view would keep the whole buffer alive.
        return Events.checked(slot[:n], detector[:n]) if 2 * n > t.size else Events.checked(slot[:n].copy(), detector[:n].copy())


def _out_of_order(seq: int) -> TagStreamError:
    return TagStreamError("tags are out of order", where=f"batch {seq}", remedy="The raw batch is kept; apply channel delays before merging.")


def _kernel(engine: Engine) -> Callable[..., int]:
    if engine == "numpy":
        return _timetags_numpy.select
    try:
        from . import _timetags_numba
    except ImportError:
        if engine == "numba":
            raise
        return _timetags_numpy.select
    compiled: Callable[..., int] = _timetags_numba.select
    return compiled


def clock_line(batches: Iterable[TagBatch], timing: SlotTiming) -> tuple[Line, NDArray[np.int64], NDArray[np.uint8]]:
    """Return the straight clock line of a short recording, and its detector tags (times (n,), roles (n,)) in time order.

    Raises SyncError if there is no sync, or if it does not lie on a line.
    """
    parts = [(batch.t_ps, timing.roles[batch.ch]) for batch in batches]
    t = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, np.int64)
    role = np.concatenate([part[1] for part in parts]) if parts else np.empty(0, np.uint8)
    line = fit_line(t[role == SYNC], timing.sync_ps, timing.gate_ps / 2)
    return line, t[role < SYNC], role[role < SYNC]


def select_by_line(batches: Iterable[TagBatch], timing: SlotTiming, phases_ps: tuple[float, float]) -> Events:
    """Return the events of a whole recording by one least-squares clock line: the reference for `EventSelector`."""
    line, t, role = clock_line(batches, timing)
    return Events(*_timetags_numpy.on_line(t, role, line, timing.sync_divider, timing.gate_ps / 2, np.array(phases_ps, float)))
