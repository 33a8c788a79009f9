"""Short runs for the tests of figures and replay, written as procedures write them, with light drawn here."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.acquisition.runs import RunLayout, RunWriter
from heliograph.instruments.roles import Counts, Gap, TagBatch
from heliograph.instruments.station import Station, default_text

TAGS = RunLayout(tags={"tagger": {"D1": 1, "D2": 2, "sync": 3}}, tables={"block": {"time": "s", "rate": "Hz"}}, announcement=True)
SCAN = RunLayout(counts={"snspd": 2}, tables={"fringe": {"drive": "V", "d1": "1/s", "d2": "1/s"}, "pauses": {"begin": "s", "lasted": "s"}})
RATES = RunLayout(counts={"snspd": 2})
SLOT_PS, PIECE_S, DEAD_PS = 10_000, 0.2, 40_000


@cache
def station() -> Station:
    return Station.parse(default_text(), Path("demo.toml"))


def light(seq: int, clicks: int = 4000, seed: int = 1) -> TagBatch:
    """Return 0.2 s of pulses 5 ns after the sync tags at D1, 7 ns at D2, ended by a gap of 0.1 ms in which 3 tags were missed, and dead time behind."""
    rng = np.random.default_rng([seed, seq])
    slots = np.sort(rng.choice(round(PIECE_S * 1e12) // SLOT_PS - 20_000, clicks, replace=False))
    channel = rng.integers(1, 3, clicks)
    begin, end = round(seq * PIECE_S * 1e12), round((seq + 1) * PIECE_S * 1e12) - DEAD_PS
    arrived = begin + slots * SLOT_PS + np.where(channel == 1, 5000, 7000) + rng.normal(0, 120, clicks).astype(np.int64)
    sync = np.arange(begin, end, 1000 * SLOT_PS)
    t, ch = np.concatenate((arrived, sync)), np.concatenate((channel, np.full(sync.size, 3)))
    order = np.argsort(t, kind="stable")
    return TagBatch(seq, t[order], ch[order].astype(np.uint8), begin, end, (Gap(end - 10**8, end, "overflow", 3), Gap(end, end + DEAD_PS, "dead-time")))


PARAMETERS: dict[str, dict[str, Any]] = {"KeyExchange": {"pair": "A-B", "seconds": 2.0}, "PhaseScan": {"user": "A"}, "CountRates": {"duration_s": 2.0}}
LAYOUTS = {"KeyExchange": TAGS, "PhaseScan": SCAN}


def begun(folder: Path, procedure: str) -> RunWriter:
    settings = {"laser": {"power_w": 0.01, "emission": True}}
    layout = LAYOUTS.get(procedure, RATES)
    return RunWriter.create(folder, procedure, PARAMETERS.get(procedure, {}), station(), settings, layout=layout, operator="Ada", purpose="test")


def fill_key(run: RunWriter, batches: int = 10) -> None:
    for seq in range(batches):
        run.tags("tagger", light(seq))
        run.announcement(bytes([2]) * 50, {"n_events": 50})
        run.table("block", {"time": (seq + 1) * PIECE_S, "rate": 250.0})
    run.announcement(b"", {"n_events": 0, "pair": "A-B", "first_slot": 0, "n_slots": round(batches * PIECE_S * 1e12) // SLOT_PS})
    run.event("warning", "suspend", "the light was dim")
    run.summary.update(pair="A-B", mu=0.0085, alignment={"A": {"slots": 7}})


def fill_scan(run: RunWriter, points: int = 30) -> None:
    for k in range(points):
        run.counts("snspd", Counts(k, np.array([1000 + k, 900 - k]), 0.1))
        run.table("fringe", {"drive": 0.1 * k, "d1": 10_000.0 + 10 * k, "d2": 9000.0 - 10 * k})
    run.summary.update(v_pi_v=5.1, visibility=0.98, rates=(1.5, 2))


def fill_rates(run: RunWriter, periods: int = 20) -> None:
    for k in range(periods):
        run.counts("snspd", Counts(k, np.array([1000 + k, 900 - k]), 0.1))
    run.summary.update(d1_hz=10_095.0)


FILLS: dict[str, Callable[[RunWriter], None]] = {"KeyExchange": fill_key, "PhaseScan": fill_scan, "CountRates": fill_rates}


def recorded(folder: Path, procedure: str = "KeyExchange") -> Path:
    with begun(folder, procedure) as run:
        FILLS[procedure](run)
    return run.path
