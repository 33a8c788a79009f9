"""What is told of a run's light while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .common import Scalar, Source


@dataclass(frozen=True, slots=True)
class CountRates:
    """Rates of every channel.

    t_s: time in the run.  rates_hz, dark_hz, limit_hz: float64 (n,), NaN where unknown.  tags: recorded so far, with gaps.
    low_hz, high_hz: float64 (n,), least and largest rate in the last 60 s of the run, of all that were found and not only those sent; None before the first.
    """

    run: str
    source: Source
    t_s: float
    names: tuple[str, ...]
    rates_hz: NDArray[np.float64]
    dark_hz: NDArray[np.float64]
    limit_hz: NDArray[np.float64]
    tags: int = 0
    tags_hz: float = 0.0
    gaps: int = 0
    missed: int = 0
    low_hz: NDArray[np.float64] | None = None
    high_hz: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class SlotHistogram:
    """Arrivals folded to the slot, over the last seconds.  counts: uint32 (detectors, bins <= 1000).  gates: (low, high) in the slot, ps, by name."""

    run: str
    source: Source
    slot_ps: float
    names: tuple[str, ...]
    counts: NDArray[np.uint32]
    gates: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Coincidences:
    """Slots in which two channels clicked.  counts: uint32 (n, n), singles on the diagonal."""

    run: str
    source: Source
    names: tuple[str, ...]
    counts: NDArray[np.uint32]
    duration_s: float


@dataclass(frozen=True, slots=True)
class ScanRows:
    """What a procedure emitted.  columns: with units in brackets, first the one on the x axis.  rows: float64 (n, columns), n <= 2,000, peaks kept."""

    run: str
    source: Source
    procedure: str
    columns: tuple[str, ...]
    rows: NDArray[np.float64]
    over: bool = False
    result: dict[str, Scalar] = field(default_factory=dict)
