"""Tags to events: our compiled pass against our NumPy form and against pytimetag's compiled kernel, on the same tags.

Both of ours are timed as users call them, checks included. pytimetag assigns pulse number and rest of each tag, one detector a call, without clock recovery,
gate or single-click selection; its tags are handed over sorted by channel, which is not timed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from heliograph.acquisition.timetags import Engine, Events, EventSelector, SlotTiming
from heliograph.instruments.roles import TagBatch

from ..harness import Race, row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SECONDS = 4
RATE = 1_060_000
SLOTS = 100_000_000
"""Slots a second."""
BATCH, NUMPY_BATCH = 131_072, 32_768
"""Tags a batch as a tagger sends them, and as suits the caches best in NumPy."""
PHASES = 5900.0, 3700.0


def tags(seconds: int = SECONDS, seed: int = 1) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return times and channels as the pair A-B gives them: both detectors, a sync tag every 1000 slots, 100 ps jitter."""
    rng = np.random.default_rng(seed)
    slot, detector = rng.integers(0, seconds * SLOTS, seconds * RATE), rng.integers(0, 2, seconds * RATE)
    click = slot * 10_000 + np.array(PHASES, np.int64)[detector] + np.rint(rng.normal(0, 100, slot.size)).astype(np.int64)
    sync = np.arange(0, seconds * SLOTS, 1000) * 10_000
    sync += np.abs(np.rint(rng.normal(0, 20, sync.size)).astype(np.int64))
    t, ch = np.concatenate((click, sync)), np.concatenate((detector + 1, np.full(sync.size, 3))).astype(np.uint8)
    order = np.argsort(t, kind="stable")
    return t[order], ch[order]


def batches(t: NDArray[np.int64], ch: NDArray[np.uint8], size: int) -> list[TagBatch]:
    edges = [*range(0, t.size, size), t.size]
    ends = [*t[edges[1:-1]].tolist(), int(t[-1]) + 1]
    begins = [0, *ends[:-1]]
    return [TagBatch(k, t[edges[k] : edges[k + 1]], ch[edges[k] : edges[k + 1]], begins[k], ends[k]) for k in range(len(ends))]


def select(parts: Sequence[TagBatch], engine: Engine) -> Iterator[Events]:
    selector = EventSelector(SlotTiming(), PHASES, engine=engine)
    yield from map(selector.feed, parts)
    yield selector.flush()


def consume(parts: Sequence[TagBatch], engine: Engine) -> int:
    """Take the events batch by batch, as a pipeline does, and keep none."""
    return sum(map(len, select(parts, engine)))


@row("tags_vs_numpy", peer="numpy", package="numpy", unit="Mtag/s")
def tags_vs_numpy() -> Race:
    t, ch = tags()
    ours, theirs = batches(t, ch, BATCH), batches(t, ch, NUMPY_BATCH)
    a, b = Events.joined(select(ours, "numba")), Events.joined(select(theirs, "numpy"))
    assert np.array_equal(a.slot, b.slot)
    assert np.array_equal(a.detector, b.detector)
    return Race(lambda: consume(ours, "numba"), lambda: consume(theirs, "numpy"), t.size / 1e6)


@row("tags_vs_pytimetag", peer="pytimetag", package="pytimetag", unit="Mtag/s")
def tags_vs_pytimetag() -> Race:
    from pytimetag.analysers.EncodingAnalyser import metaJIT

    t, ch = tags()
    parts = batches(t, ch, BATCH)
    pattern = np.random.default_rng(2).integers(0, 4, 10_000).astype("<i4")
    split = [(part.t_ps[part.ch == 3], [part.t_ps[part.ch == channel] for channel in (1, 2)]) for part in parts]

    def theirs() -> None:
        for sync, clicks in split:
            for click in clicks:
                metaJIT(sync, click, 10_000, pattern, 1000)

    return Race(lambda: consume(parts, "numba"), theirs, t.size / 1e6)
