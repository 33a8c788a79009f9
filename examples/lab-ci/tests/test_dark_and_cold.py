"""The measurement: on the bench, in its run file, and by name."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from cryolab.dark_and_cold import DarkAndCold

from heliograph import Run
from heliograph.core.errors import ParameterError, Timeout


def test_dark_counts_are_those_of_the_station_and_the_cold_is_kept(bench, station):
    procedure = DarkAndCold(readings=8, period_s=1.0)

    with bench.run(procedure) as run:
        assert run.summary["d1_hz"] == pytest.approx(station.optics.site.dark_hz[0], rel=0.3)
        assert run["cold/temperature"].size == 8
        assert run.units["cold/temperature"] == "K"
    assert procedure.result.temperature_k == pytest.approx(2.5, abs=0.06)
    assert procedure.result.spread_k > 0.001


def test_a_thermometer_that_falls_silent_ends_the_run_and_what_was_measured_is_kept(bench, faults):
    told = []

    def progress(topic, _value):
        told.append(topic)
        if told.count("results") == 3:
            faults.inject("timeout", "cryostat", times=1)

    with pytest.raises(Timeout, match="cryostat"):
        bench.run(DarkAndCold(readings=100, period_s=0.01), progress=progress)

    (path,) = bench.folder.glob("*.h5")
    with Run.open(path) as run:
        assert run.stop["reason"] == "failed"
        assert run["cold/temperature"].size == 3


def test_the_light_is_off_while_it_counts(bench):
    assert bench["laser"].emission
    bench.run(DarkAndCold(readings=2, period_s=0.01)).close()

    assert not bench["laser"].emission


def test_impossible_parameters_are_refused():
    with pytest.raises(ParameterError, match="readings"):
        DarkAndCold(readings=1)


def test_it_runs_by_name_from_the_command_line(station, tmp_path):
    heliograph = [sys.executable, "-m", "heliograph"]
    words = ["acquire", "run", "DarkAndCold", "--station", str(station.path), "--param", "readings=2", "--out", str(tmp_path / "runs"), "--json"]

    ended = subprocess.run([*heliograph, *words], capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["simulated"] is True
    with Run.open(found["run"]) as run:
        assert run.procedure == "DarkAndCold"
