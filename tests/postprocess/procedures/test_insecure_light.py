"""Light whose detectors behave as no honest detector does: the run ends with the reason, and no key comes of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from heliograph.acquisition.runs import Run
from heliograph.control.bench import Bench
from heliograph.control.parties.node import network
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import InsecureLight, RunFileError, Tripped
from heliograph.instruments.connect import connect
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.lab import Lab
from heliograph.postprocess.procedures.key_exchange import KeyExchange


@contextmanager
def opened(folder: Path, change: Callable[[dict[str, Any]], None]) -> Iterator[Bench]:
    """Open a bench whose simulated world differs from what the station file says."""
    station = Station.parse(default_text(), folder / "station.toml")
    world = copy.deepcopy(dict(station.plain()))
    change(world)
    with Lab(world).in_thread() as resources, connect(station, resources.__getitem__, home=True) as instruments:
        bench = Bench(station, instruments, folder / "runs")
        bench.arm()
        yield bench


def exchange(bench: Bench, folder: Path) -> None:
    bench.run(KeyExchange(store=folder / "store", source=SimRandom(1), pair="A-B", seconds=0.2), progress=lambda *_: None)


def run_of(folder: Path) -> Run:
    (path,) = (folder / "runs").glob("*.h5")
    return Run.open(path)


def clicks_too_soon(world: dict[str, Any]) -> None:
    world["optics"]["site"]["dead_time_s"] = 5e-9


def test_clicks_within_the_dead_time_end_the_run_and_no_key_comes_of_it(tmp_path: Path) -> None:
    with opened(tmp_path, clicks_too_soon) as bench, pytest.raises(InsecureLight, match="within the dead time") as caught:
        exchange(bench, tmp_path)

    assert caught.value.where == "tagger"
    assert not list((tmp_path / "store").glob("*/patterns/*"))
    with run_of(tmp_path) as run, network(tmp_path / "store", "AB") as keys:
        assert run.stop is not None
        assert run.stop["reason"] == "failed"
        assert run.stop["error"]["type"] == "InsecureLight"
        assert "within the dead time" in run.stop["summary"]["insecure"]
        assert any("within the dead time" in str(event) for event in run.events)
        with pytest.raises(RunFileError):
            keys.distil(run)
        assert keys.parties["A"].available_bits("B") == 0


def test_a_rate_above_the_limit_ends_the_run_with_the_bench_safe(tmp_path: Path) -> None:
    def bright(world: dict[str, Any]) -> None:
        world["optics"]["att_fixed"]["loss_db"] = 50.0

    with opened(tmp_path, bright) as bench:
        with pytest.raises(Tripped, match="above the limit"):
            exchange(bench, tmp_path)
        assert bench.instruments.arbiter.state == "TRIPPED"
        assert all(one.is_safe() for one in bench.instruments.values())
    with run_of(tmp_path) as run:
        assert run.stop is not None
        assert run.stop["error"]["type"] == "Tripped"
