"""A simulated bench that its user started: how commands find it, share it, and leave it."""

from __future__ import annotations

import contextlib
import json
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heliograph.control import lab
from heliograph.control.bench import open_bench
from heliograph.control.lab import find, rendezvous
from heliograph.control.link import WatchdogLine
from heliograph.core.errors import BenchError
from heliograph.instruments.connect import Instruments
from heliograph.instruments.station import Station, default_text

RATES = ("--duration", "0.2", "--period", "0.1", "--json")


def heliograph_process(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "heliograph", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@dataclass(frozen=True)
class Serving:
    station: Path
    process: subprocess.Popen[str]
    said: dict[str, Any]

    @property
    def alive(self) -> bool:
        found = find(self.station)
        return self.process.poll() is None and found is not None and found.pid == self.process.pid


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    station = folder / "station.toml"
    station.write_bytes(default_text())
    with heliograph_process("bench", "serve", "--station", station) as process:
        assert process.stdout is not None
        yield Serving(station, process, json.loads(process.stdout.readline()))
        process.terminate()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A bench that lives through the tests of this file."""
    with serving(tmp_path_factory.mktemp("bench")) as bench:
        yield bench
        assert bench.alive


def test_the_line_and_the_private_file_name_process_and_devices(served):
    station = Station.load(served.station)
    path = rendezvous(served.station)

    assert served.said["pid"] == served.process.pid
    assert set(served.said["devices"]) == set(station.instruments)
    assert all("resource" in device for device in served.said["devices"].values())
    assert json.loads(path.read_text())["devices"] == served.said["devices"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.name == "station.toml.bench.json"
    assert "20260101" not in path.read_text()


def test_a_second_bench_of_the_station_is_refused(served, heliograph):
    second = heliograph("bench", "serve", "--station", served.station, "--json")
    assert second.code == 4
    assert second.json["error"]["type"] == "BenchError"
    assert "already" in second.json["error"]["message"]
    assert served.alive


def test_a_command_uses_the_bench_and_leaves_it_alive(served, heliograph):
    before = sorted(path.name for path in served.station.parent.iterdir())
    ended = heliograph("acquire", "rates", "--station", served.station, *RATES)

    assert ended.code == 0, ended.err
    assert Path(ended.json["run"]).parent == served.station.parent / "runs"
    assert served.alive
    assert sorted(path.name for path in served.station.parent.iterdir()) == sorted({*before, "runs"})


def test_faults_are_refused_where_a_bench_without_them_serves(served, heliograph):
    ended = heliograph("acquire", "rates", "--station", served.station, "--fault", "laser-refuses", *RATES)
    assert ended.code == 4
    assert "without these faults" in ended.json["error"]["message"]


def test_of_two_clients_the_second_is_told_who_holds_the_instrument(served, heliograph):
    waiting = (
        "import sys, time; from heliograph.control.bench import open_bench\nwith open_bench(sys.argv[1], armed=False): print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", waiting, served.station], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        first.stdout.readline()
        second = heliograph("acquire", "rates", "--station", served.station, *RATES)
        first.communicate()

    assert second.code == 4
    assert second.json["error"]["type"] == "InstrumentLocked"
    assert f"process {first.pid})" in second.json["error"]["message"]
    assert first.returncode == 0
    assert heliograph("acquire", "rates", "--station", served.station, *RATES).code == 0


def test_a_station_changed_while_it_is_served_is_told(served, heliograph):
    text = served.station.read_bytes()
    served.station.write_bytes(text + b"\n# moved a fibre\n")
    try:
        ended = heliograph("acquire", "rates", "--station", served.station, *RATES)
    finally:
        served.station.write_bytes(text)
    assert ended.code == 4
    assert "before the station file was changed" in ended.json["error"]["message"]
    assert served.alive


def emission(bench: Serving) -> bool:
    """Ask the laser, and nothing else of the bench, whether it shines."""
    instruments = Instruments(Station.load(bench.station))
    instruments.add("laser", bench.said["devices"]["laser"])
    try:
        return bool(instruments["laser"].emission)
    finally:
        instruments.close()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_demo_that_is_interrupted_leaves_the_bench_alive_and_dark(served, number):
    folder = served.station.parent
    before = len(list((folder / "runs").glob("*.h5")))
    with heliograph_process("demo", "--out", folder, "--seconds", "2", "--json") as process:
        while len(list((folder / "runs").glob("*.h5"))) < before + 2:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)

    assert json.loads(out)["error"]["message"].endswith("; the bench was made safe")
    assert process.returncode == (130 if number == signal.SIGINT else 128 + number)
    assert served.alive
    assert emission(served) is False


def wait_for_rescue(bench: Serving) -> None:
    """Wait until the watchdog of a killed owner has done its work."""
    line = WatchdogLine.of(bench.station)
    if line is not None:
        assert line.wait_gone(20.0)
        line.close()


def test_a_killed_client_leaves_no_light(served, heliograph):
    shining = "import os, sys; from heliograph.control.bench import open_bench\nwith open_bench(sys.argv[1]): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", shining, served.station], check=False).returncode == -signal.SIGKILL

    wait_for_rescue(served)
    assert emission(served) is False
    with open_bench(served.station, armed=False) as bench:
        assert bench["laser"].emission is False
        assert bench["voa_in"].attenuation_db == pytest.approx(60.0)


@pytest.mark.parametrize("act", ["safe", "status"])
def test_a_bench_whose_station_file_was_renamed_is_pointed_to(served, heliograph, act):
    moved = served.station.rename(served.station.with_name("moved.toml"))
    try:
        ended = heliograph("bench", act, "--station", moved)
    finally:
        moved.rename(served.station)

    assert ended.code == 0
    assert f"make it safe by that name, heliograph bench safe --station {served.station}" in ended.err
    assert "by that name" not in heliograph("bench", "status", "--station", served.station).err


def test_what_a_killed_bench_left_behind_is_no_bench(tmp_path, heliograph):
    with serving(tmp_path) as bench:
        bench.process.kill()
        bench.process.wait()
        assert rendezvous(bench.station).exists()
        assert find(bench.station) is None

        ended = heliograph("acquire", "rates", "--station", bench.station, *RATES)

    assert ended.code == 0, ended.err
    assert find(bench.station) is None


def test_a_bench_that_does_not_start_says_why_where_and_what_to_do_once(tmp_path):
    missing = tmp_path / "nowhere.toml"
    with tempfile.TemporaryFile("w+") as complaints:
        process = lab._start(missing, (), complaints)
        try:
            with pytest.raises(BenchError) as caught:
                lab._wait_ready(process, missing, complaints)
        finally:
            lab._end(process)

    assert caught.value.message.startswith("the simulated bench did not start: the station file cannot be read (")
    assert "\n" not in str(caught.value)
    assert caught.value.where == str(missing)
    assert caught.value.remedy.startswith("Check the name")


def test_ctrl_c_ends_a_bench_and_takes_its_file_away(tmp_path):
    with serving(tmp_path) as bench:
        bench.process.send_signal(signal.SIGINT)
        bench.process.wait(timeout=20)
    assert bench.process.returncode == 0
    assert not rendezvous(bench.station).exists()
