"""Light for the acquisition's tests, drawn pulse by pulse from the click law: slow, short, and independent of the simulated bench."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from heliograph.acquisition.timetags import SlotTiming
from heliograph.core.physics import click_law, interference
from heliograph.instruments.roles import Gap, TagBatch

ETA = (0.701156, 0.770355)


@dataclass(frozen=True)
class Light:
    """Merged tags of a recording of `slots` slots."""

    t: NDArray[np.int64]
    ch: NDArray[np.uint8]
    slots: int

    def batch(self) -> TagBatch:
        return TagBatch(0, self.t, self.ch, 0, self.slots * 10_000 + 10**7)

    def cut(self, places: Sequence[int]) -> list[TagBatch]:
        """Return the same tags in batches that end before the tags at these places."""
        edges = [0, *sorted(places), self.t.size]
        out, begin = [], 0
        for seq, (low, high) in enumerate(pairwise(edges)):
            end = int(self.t[high]) if high < self.t.size else self.slots * 10_000 + 10**7
            out.append(TagBatch(seq, self.t[low:high], self.ch[low:high], begin, max(begin, end)))
            begin = max(begin, end)
        return out

    def without(self, begin_ps: int, end_ps: int) -> TagBatch:
        keep = (self.t < begin_ps) | (self.t >= end_ps)
        whole = self.batch()
        return TagBatch(0, self.t[keep], self.ch[keep], whole.t_begin_ps, whole.t_end_ps, (Gap(begin_ps, end_ps, "overflow", int((~keep).sum())),))


def _shine(
    seed: int,
    phase: NDArray[np.float64],
    slots: int,
    *,
    mu_t: float = 0.0085 * 0.209,
    visibility: float = 0.98,
    delays_ps: tuple[float, float] = (900.0, -1300.0),
    jitter_ps: float = 100.0,
    ppm: float = 0.0,
    sync_loss: float = 0.0,
    dark: float = 1e-7,
    sync_jitter_ps: float = 20.0,
) -> Light:
    """Return the tags of `slots` slots whose interference phase repeats `phase` (Lp,)."""
    rng = np.random.default_rng(seed)
    means = interference((mu_t, mu_t), np.resize(phase, slots), visibility, ETA)
    clicks = click_law(*means, (dark, dark))
    draw = rng.random(slots)
    only_d2, both = clicks.only_d1 + clicks.only_d2, clicks.only_d1 + clicks.only_d2 + clicks.both
    hit = (draw < clicks.only_d1) | ((draw >= only_d2) & (draw < both)), (draw >= clicks.only_d1) & (draw < both)
    times, channels = [], []
    for channel, (clicked, delay) in enumerate(zip(hit, delays_ps, strict=True), start=1):
        slot = np.flatnonzero(clicked)
        times.append(slot * 10_000.0 + 5000 + delay + rng.normal(0, jitter_ps, slot.size))
        channels.append(np.full(slot.size, channel, np.uint8))
    sync = np.arange(0, slots, 1000) * 10_000.0
    sync = sync[rng.random(sync.size) >= sync_loss]
    times.append(sync + rng.normal(0, sync_jitter_ps, sync.size))
    channels.append(np.full(sync.size, 3, np.uint8))
    t = np.rint(np.concatenate(times) * (1 + ppm * 1e-6)).astype(np.int64)
    order = np.argsort(t, kind="stable")
    return Light(t[order], np.concatenate(channels)[order], slots)


@pytest.fixture(scope="session")
def shine() -> Callable[..., Light]:
    return _shine


@pytest.fixture
def timing() -> SlotTiming:
    return SlotTiming()
