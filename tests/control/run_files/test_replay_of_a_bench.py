"""Runs of the simulated bench end, when they are replayed, with the figures that they ended with live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heliograph.acquisition.procedures.base import BenchProcedure
from heliograph.acquisition.procedures.count_rates import CountRates
from heliograph.acquisition.procedures.phase_scan import PhaseScan
from heliograph.control.bench import Bench, open_bench
from heliograph.control.link import Message, encode
from heliograph.control.owner.publishing import Topics
from heliograph.control.run_files.playback import Playback
from heliograph.instruments.station import default_text
from heliograph.postprocess.procedures.key_exchange import KeyExchange

OF_TAGS = frozenset({"counts", "histogram", "coincidences", "scan", "key"})


def live(bench: Bench, procedure: BenchProcedure) -> tuple[Path, dict[str, bytes]]:
    """Run a procedure; return its file and the last states that were published meanwhile."""
    topics: Topics = bench._owner.topics  # type: ignore[union-attr]
    seen = dict(topics._latest)
    with bench.run(procedure) as run:
        path = run.path
    return path, {topic: sent(topic, topics.latest(topic)) for topic in OF_TAGS if topics.latest(topic) is not seen.get(topic)}


def sent(topic: str, body: Any) -> bytes:
    return encode(Message(topic, replace(body, source="live")))


@pytest.mark.slow
def test_runs_of_the_bench_replay_to_the_states_they_ended_with(tmp_path):
    station = tmp_path / "station.toml"
    station.write_bytes(default_text())
    wanted = (CountRates(duration_s=0.2, period_s=0.05), PhaseScan(points=8, period_s=0.02), KeyExchange(store=tmp_path / "store", seconds=0.6))
    with open_bench(station, folder=tmp_path / "runs") as bench:
        runs = [live(bench, procedure) for procedure in wanted]

    for (path, expected), topics in zip(runs, ({"counts", "scan"}, {"counts", "scan"}, OF_TAGS), strict=True):
        found: dict[str, Any] = {}
        with Playback(path, found.__setitem__) as playback:
            playback.finish()
        assert set(expected) == set(found) == topics
        assert {topic: sent(topic, body) for topic, body in found.items()} == expected
        assert {body.source for body in found.values()} == {"replay"}
