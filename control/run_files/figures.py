"""Figures of a run while it goes on: rates, arrivals folded to the slot, coincidences, scans, the light of a key exchange.

They are made of what the run writes and of nothing else, so that a replayed run file gives the same ones. Rates come from the data's own time; only how often
something is published depends on the clock on the wall.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...acquisition.live import Folded, Folding, centres_ps
from ...acquisition.onlookers import Opening
from ...acquisition.thinned_rows import ThinnedRows
from ...core.errors import ParameterError
from ...instruments.station import Station
from ..owner.publishing import Topics
from ..parties.expected_key import Expected, error_limits, expected_key
from ..topics import BlockFigures, Coincidences, CountRates, KeyProgress, Scalar, ScanRows, SlotHistogram, Source
from ..watching.earlier_key import earlier_blocks

if TYPE_CHECKING:
    from ...acquisition.run_writer import RunWriter
    from ...instruments.roles import Counts, TagBatch

log = logging.getLogger(__name__)

PERIODS_S = {"counts": 0.1, "histogram": 0.2, "coincidences": 0.5, "scan": 0.2, "key": 0.2}
"""Shortest time between two sendings of a topic."""
SHARE = 0.02
"""Part of the acquiring thread that each topic may take at most: what is costly is sent less often."""
MOST_ROWS = 2_000
"""Rows of a table that are kept to be shown, beyond them its envelope (`ThinnedRows`)."""
MOST_BLOCKS = 500
"""Blocks of key that are kept to be shown."""
WINDOW_S = 5
"""Whole seconds of the run over which arrivals and coincidences are shown."""
_RATE_WINDOW_S = 0.15
RANGE_S = 60
"""Whole seconds of the run of which the least and the largest rate are told."""
_LEAST_CLICKS = 2000
_NOT_SCANS = ("pauses",)
Gates = dict[str, tuple[float, float]]
Range = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Least and largest rate of each channel (1/s)."""


@dataclass(slots=True)
class _Second:
    """What was folded in one second of the run."""

    number: int
    folded: Folded = field(default_factory=Folded)
    gated_s: float = 0.0
    """How long its slots were counted with the present gates."""


class Figures:
    """The figures of one run; an `Onlooker`.

    publish: hears topic and payload.  gates: (low, high) in the slot (ps) by detector, where somebody set them; others are found by the light itself.
    blocks: key blocks that were made before, to be shown beside the light.  quiet: nothing is published until `publish_all`.
    """

    def __init__(
        self,
        opening: Opening,
        publish: Callable[[str, Any], None],
        *,
        source: Source = "live",
        gates: Mapping[str, tuple[float, float]] | None = None,
        blocks: Callable[[], tuple[BlockFigures, ...]] = tuple,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
        busy: Callable[[], float] = time.thread_time,
    ) -> None:
        self.opening, self.source, self.over = opening, source, False
        self._publish, self._blocks, self._clock, self._busy = publish, blocks, clock, busy
        self._due: dict[str, float] = {}
        self._tagger, channels = next(iter(opening.layout.tags.items()), ("", {}))
        self._numbers = {name: channels[name] for name in sorted((set(channels) - {"sync"}), key=channels.__getitem__)}
        self.names = tuple(self._numbers) or tuple(f"D{k + 1}" for k in range(next(iter(opening.layout.counts.values()), 0)))
        self._timing = opening.timing if self._tagger else None
        self._folding = Folding(self._timing) if self._timing is not None else None
        self.gates: Gates = dict(gates or {})
        self._set_by_hand = set(self.gates)
        self._asked: Gates | None = dict(self.gates) or None
        self._window: deque[_Second] = deque()
        self._recent: deque[tuple[float, NDArray[np.int64], int]] = deque()
        self._ranges: dict[int, Range] = {}
        self.t_s, self._tags, self._gaps, self._missed, self._events = 0.0, 0, 0, 0, 0
        self._table, self._columns = self._scan_of(opening)
        self._rows = ThinnedRows(len(self._columns), MOST_ROWS)
        self._summary: dict[str, Scalar] = {}
        self._stage, self._why = "light", ""
        self._expected: Expected | None = expected_key(opening.station_text, self._pair) if self._exchanges else None
        self._quiet = quiet
        if not quiet:
            self.publish_all()

    @cached_property
    def _station(self) -> Station:
        """Return the station of the run; an imported one has none, and nothing in it asks for one."""
        return Station.parse(self.opening.station_text, Path("station"))

    @property
    def _exchanges(self) -> bool:
        return self.opening.procedure == "KeyExchange"

    @property
    def _pair(self) -> str:
        return str(self.opening.start["parameters"].get("pair", ""))

    def _scan_of(self, opening: Opening) -> tuple[str, tuple[str, ...]]:
        """Return the table that is drawn, empty for the rates themselves, and its columns with their units."""
        for name, units in sorted(opening.layout.tables.items()):
            if name not in _NOT_SCANS:
                return name, tuple(f"{column} ({unit})" if unit not in ("", "1") else column for column, unit in units.items())
        return "", ("time (s)", *(f"{name} (1/s)" for name in self.names)) if opening.layout.counts else ()

    # What a run writes

    def tags(self, _source: str, batch: TagBatch) -> None:
        """Count and fold a batch of tags."""
        if self._folding is None or _source != self._tagger:
            return
        self._take_gates()
        # A gap may lie behind the end of the batch that tells of it.
        lost_ps = sum(max(0, min(gap.t1_ps, batch.t_end_ps) - max(gap.t0_ps, batch.t_begin_ps)) for gap in batch.gaps)
        lasted_s = max(0, batch.t_end_ps - batch.t_begin_ps - lost_ps) * 1e-12
        self.t_s = max(self.t_s, batch.t_end_ps * 1e-12)
        second = self._second(int(batch.t_begin_ps // 10**12))
        seen = self._folding.feed(batch.t_ps, batch.ch, second.folded)
        second.gated_s += lasted_s
        self.skipped(batch.t_ps.size, len(batch.gaps), sum(gap.missed or 0 for gap in batch.gaps))
        self._rate(lasted_s, seen[list(self._numbers.values())], int(batch.t_ps.size))
        self._find_gates()
        for topic in ("counts", "histogram", "coincidences", "key"):
            self._offer(topic)

    def skipped(self, tags: int, gaps: int, missed: int) -> None:
        """Count tags, gaps and tags missed in them, also of batches that are not shown."""
        self._tags, self._gaps, self._missed = self._tags + tags, self._gaps + gaps, self._missed + missed

    def counts(self, _detector: str, counts: Counts) -> None:
        """Take the counts of one period."""
        n = np.asarray(counts.n, np.int64)
        self.t_s += counts.period_s
        self._rate(counts.period_s, n, 0)
        if not self._table:
            self._rows.add(np.array([[self.t_s, *(n / counts.period_s)]]))
        self._offer("counts")
        self._offer("scan")

    def table(self, name: str, rows: Mapping[str, NDArray[Any]]) -> None:
        """Take rows of a table."""
        if name == self._table:
            self._rows.add(np.stack([np.asarray(rows[column], float) for column in self.opening.layout.tables[name]], axis=1))
            self._offer("scan")

    def announced(self, meta: Mapping[str, Any]) -> None:
        """Count the events of a part of the announcement."""
        self._events += int(meta.get("n_events", 0))
        self._offer("key")

    def closed(self, reason: str, summary: Mapping[str, Any], why: str) -> None:
        """Publish the last state of everything."""
        self.over, self._summary = True, flat(summary)
        if reason != "done":
            self._stage, self._why = "failed", why or f"the run ended: {reason}"
        self.publish_all()

    # Gates

    def set_gates(self, gates: Mapping[str, tuple[float, float]]) -> None:
        """Set gates by hand, from any thread; those of other detectors stay. Raises ParameterError for gates that cannot be."""
        self._asked = {**self.gates, **checked_gates(gates, self._timing.slot_ps if self._timing else math.inf)}
        self._set_by_hand |= set(gates)

    def _take_gates(self) -> None:
        asked, self._asked = self._asked, None
        if asked is not None and self._folding is not None:
            self.gates = asked
            d1, d2 = (asked.get(name, given) for name, given in zip(("D1", "D2"), self._folding.gates, strict=True))
            self._folding.gates = d1, d2
            # Slots counted with other gates are no longer of the same kind.
            for second in self._window:
                second.folded.pairs[:] = 0
                second.gated_s = 0.0

    def _find_gates(self) -> None:
        """Put the station's gate around the pulses, once enough light has come."""
        if self._timing is None or {"D1", "D2"} <= set(self.gates) or self._asked is not None:
            return
        histogram = self._summed()[0]
        centres = centres_ps(histogram, self._timing.slot_ps) if histogram.sum() >= _LEAST_CLICKS else None
        if centres is not None:
            half = self._timing.gate_ps / 2.0
            found = {name: (centre - half, centre + half) for name, centre in zip(("D1", "D2"), centres, strict=True)}
            self._asked = {**found, **self.gates}

    # Sums

    def _second(self, number: int) -> _Second:
        if not self._window or self._window[-1].number != number:
            self._window.append(_Second(number))
            while len(self._window) > WINDOW_S:
                self._window.popleft()
        return self._window[-1]

    def _summed(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], float]:
        total = Folded()
        for second in self._window:
            total.histogram[:] += second.folded.histogram
            total.pairs[:] += second.folded.pairs
        return total.histogram, total.pairs, math.fsum(second.gated_s for second in self._window)

    def _rate(self, lasted_s: float, counts: NDArray[np.int64], tags: int) -> None:
        if lasted_s > 0.0:
            self._recent.append((lasted_s, counts, tags))
        while len(self._recent) > 1 and math.fsum(one[0] for one in self._recent) - self._recent[0][0] >= _RATE_WINDOW_S:
            self._recent.popleft()
        if lasted_s > 0.0:
            self._widen(self._rates()[0])

    def _rates(self) -> tuple[NDArray[np.float64], float]:
        """Return the rates of the channels and of all tags over the last part of a second; NaN before the first."""
        lasted_s = math.fsum(one[0] for one in self._recent) or 1.0
        counted = np.sum([one[1] for one in self._recent], axis=0) if self._recent else np.full(len(self.names), np.nan)
        return counted / lasted_s, sum(one[2] for one in self._recent) / lasted_s

    def _widen(self, rates: NDArray[np.float64]) -> None:
        """Take rates into the range of their second of the run."""
        second = int(self.t_s)
        low, high = self._ranges.pop(second, (rates, rates))
        self._ranges[second] = np.fmin(low, rates), np.fmax(high, rates)
        while second - next(iter(self._ranges)) >= RANGE_S:
            self._ranges.pop(next(iter(self._ranges)))

    def _range(self) -> Range | tuple[None, None]:
        """Return the least and the largest rate of each channel in the last minute."""
        if not self._ranges:
            return None, None
        low, high = zip(*self._ranges.values(), strict=True)
        return np.min(low, axis=0), np.max(high, axis=0)

    # Publishing

    def publish_all(self) -> None:
        """Publish everything this run has, whatever was sent when."""
        self._quiet = False
        for topic in PERIODS_S:
            self._send(topic)

    def _offer(self, topic: str) -> None:
        if not self._quiet and self._clock() >= self._due.get(topic, -math.inf):
            self._send(topic)

    def _send(self, topic: str) -> None:
        began_s, worked_s = self._clock(), self._busy()
        body = {"counts": self.rates, "histogram": self.histogram, "coincidences": self.coincidences, "scan": self.scan, "key": self.key}[topic]()
        if body is not None:
            self._publish(topic, body)
        self._due[topic] = began_s + max(PERIODS_S[topic], (self._busy() - worked_s) / SHARE)

    def rates(self) -> CountRates | None:
        """Return the rates of every channel, over the last part of a second; None for a run that counts nothing."""
        if not self.names:
            return None
        rates, tags = self._rates()
        dark, limit = np.full(len(self.names), np.nan), np.full(len(self.names), np.nan)
        for k, name in enumerate(self.names):
            if name in ("D1", "D2"):
                dark[k] = self._station.optics.site.dark_hz[int(name[1]) - 1]
                limit[k] = self._rate_limit_hz
        told = self.opening.run_id, self.source, self.t_s, self.names, rates, dark, limit
        return CountRates(*told, self._tags, tags, self._gaps, self._missed, *self._range())

    @property
    def _rate_limit_hz(self) -> float:
        limits = (entry.rules.limits.rate_hz for entry in self._station.instruments.values() if entry.wire.role == "PhotonDetector")
        return next((limit for limit in limits if limit is not None), math.nan)

    def histogram(self) -> SlotHistogram | None:
        """Return the arrivals in the slot; None for a run without tags."""
        if self._timing is None:
            return None
        return SlotHistogram(self.opening.run_id, self.source, float(self._timing.slot_ps), ("D1", "D2"), self._summed()[0], dict(self.gates))

    def coincidences(self) -> Coincidences | None:
        """Return the slots clicked by one detector and by both; None for a run without tags."""
        if self._timing is None:
            return None
        _, pairs, gated_s = self._summed()
        return Coincidences(self.opening.run_id, self.source, ("D1", "D2"), pairs, gated_s)

    def scan(self) -> ScanRows | None:
        """Return the rows of the table that the run fills; None for one without."""
        if not self._columns:
            return None
        return ScanRows(self.opening.run_id, self.source, self.opening.procedure, self._columns, self._rows.rows(), self.over, dict(self._summary))

    def key(self) -> KeyProgress | None:
        """Return how far the light of a key exchange is; None for another run."""
        if not self._exchanges:
            return None
        seconds = float(self.opening.start["parameters"].get("seconds", 0.0))
        progress = 1.0 if self.over else min(1.0, self.t_s / seconds) if seconds > 0.0 else 0.0
        share, needed = (self._expected.x_share, self._expected.n_needed) if self._expected else (0.0, None)
        return KeyProgress(
            self.source,
            "failed" if self._stage == "failed" else "light",
            pair=self._pair,
            run=self.opening.run_id,
            progress=progress,
            events=self._events,
            n_x=self._events * share,
            n_needed=needed,
            why=self._why,
            blocks=self._blocks(),
            limits=error_limits(self._station),
        )


def with_earlier(told: KeyProgress, latest: Any) -> KeyProgress:
    """Return what a worker tells of key together with the blocks that were told before, each once, the latest last."""
    if not isinstance(latest, KeyProgress) or told.source != "live":
        return told
    known = {(block.pair, block.block): block for block in (*latest.blocks, *told.blocks)}
    return replace(told, blocks=tuple(known.values())[-MOST_BLOCKS:])


class LiveFigures:
    """The figures of whatever run is on. Gates set by hand hold for the runs that follow."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._gates: Gates = {}
        self._on: Figures | None = None

    def remember(self, store: Path, station: Station) -> None:
        """Publish, before anything is exchanged, the key that was made in the last day."""
        blocks = earlier_blocks(store)[-MOST_BLOCKS:]
        self._topics.publish("key", KeyProgress("live", "idle", blocks=blocks, limits=error_limits(station)))

    def begin(self, writer: RunWriter) -> None:
        """Look on while a run is written. Whatever is wrong with its figures, the run goes on."""
        try:
            self._on = Figures(writer.opening, self._topics.publish, gates=self._gates, blocks=self._blocks)
        except Exception:
            log.exception("no figures can be made of this run")
            self._on = None
        else:
            writer.onlookers.append(self._on)

    def set_gates(self, gates: Mapping[str, Any]) -> None:
        """Set the analysis gates, {detector: [low, high]} in the slot (ps), and publish them. Raises ParameterError, also while key is exchanged."""
        on = self._on
        if on is not None and not on.over and on.opening.procedure == "KeyExchange":
            raise ParameterError("gates stay as they are while key is exchanged", where="gates", remedy="Wait until the light is over.")
        checked = checked_gates(gates, math.inf)
        if on is not None:
            on.set_gates(checked)
        self._gates |= checked
        # Whoever asked waits for them, and without a run, or in its pause, no tags come that would bring them.
        latest = self._topics.latest("histogram")
        if isinstance(latest, SlotHistogram) and latest.source == "live":
            self._topics.publish("histogram", replace(latest, gates={**latest.gates, **checked}))

    def _blocks(self) -> tuple[BlockFigures, ...]:
        latest = self._topics.latest("key")
        return latest.blocks if isinstance(latest, KeyProgress) else ()


def checked_gates(gates: Mapping[str, Any], slot_ps: float) -> Gates:
    """Return gates as pairs of numbers. Raises ParameterError for anything else."""
    found: Gates = {}
    for name, edges in gates.items():
        try:
            low, high = (float(edge) for edge in edges)
        except (TypeError, ValueError) as error:
            raise ParameterError(f"{edges!r} is no gate", where=f"gate of {name}", remedy="Give its two ends in ps.") from error
        if name not in ("D1", "D2") or not (math.isfinite(low) and math.isfinite(high) and 0.0 < high - low <= slot_ps):
            raise ParameterError(f"a gate from {low:g} to {high:g} ps cannot be", where=f"gate of {name}", remedy="Set a gate of D1 or D2 within one slot.")
        found[name] = low, high
    return found


def flat(summary: Mapping[str, Any], before: str = "") -> dict[str, Scalar]:
    """Return a summary as plain values by name, parts of parts with a dot between."""
    found: dict[str, Scalar] = {}
    for name, value in sorted(summary.items()):
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, Mapping):
            found |= flat(plain, f"{before}{name}.")
        elif isinstance(plain, list | tuple):
            found |= flat({str(k + 1): one for k, one in enumerate(plain)}, f"{before}{name}.")
        elif plain is None or isinstance(plain, bool | int | float | str):
            found[f"{before}{name}"] = float(plain) if isinstance(plain, int) and not isinstance(plain, bool) else plain
    return found
