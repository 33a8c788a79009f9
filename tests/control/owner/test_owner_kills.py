"""Whoever dies, the bench is dark and parked within two seconds: by what the simulated world says, not by what anybody reports."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heliograph.acquisition.procedures.count_rates import CountRates
from heliograph.acquisition.runs import Run
from heliograph.control import status as bench_status
from heliograph.control.attached import AttachedBench, attach
from heliograph.control.lab import find
from heliograph.control.link import WatchdogLine, address
from heliograph.control.owner.journal import events_of
from heliograph.core.errors import ArmRefused, BenchError, HeliographError, RunAborted, Tripped
from heliograph.instruments.station import Station, default_text
from heliograph.mocks import truth

from ...helpers import dark_after

LIMIT_S = 2.0
PARKED_A = 1e-9
ENDLESS: dict[str, Any] = {"duration_s": 1e5, "period_s": 0.02, "light": False}

FORKING = """
import os, signal, sys
import heliograph.control.attached, heliograph.control.owner.owning, heliograph.instruments.connect
from heliograph import CountRates, open_bench
from heliograph.instruments import catalogue
from heliograph.instruments.station import Station
for entry in Station.load(sys.argv[1]).instruments.values():
    catalogue.adapter_class(entry.wire.driver)

def say(what):
    os.write(1, f"{os.getpid()} {what}\\n".encode())

def measure():
    told = []
    def tell(topic, _):
        if topic == "results" and not told:
            told.append(topic)
            say(topic)
    say("opening")
    with open_bench(sys.argv[1]) as bench:
        bench.run(CountRates(duration_s=1e5, period_s=0.02, light=False), progress=tell)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            measure()
        except BaseException as error:
            say("failed: " + repr(error))
        os._exit(0)
"""
"""Has imported everything once; forks at every line a process that opens the bench and measures for ever."""


def process(*words: object, **settings: Any) -> subprocess.Popen[str]:
    command = [sys.executable, *map(str, words)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def line(from_process: subprocess.Popen[str]) -> str:
    assert from_process.stdout is not None
    said = from_process.stdout.readline()
    assert said, from_process.stderr.read() if from_process.stderr else ""
    return said


def say(to_process: subprocess.Popen[str]) -> None:
    assert to_process.stdin is not None
    to_process.stdin.write("\n")
    to_process.stdin.flush()


@dataclass
class Served:
    """A simulated bench in a process of its own."""

    station: Path
    process: subprocess.Popen[str]

    def truth(self) -> dict[str, Any]:
        return truth.ask(self.station.with_name("truth"))

    @property
    def dark(self) -> bool:
        now = self.truth()
        return not now["emission"] and all(abs(bias) <= PARKED_A for bias in now["bias_a"]) and not now["enabled"]

    def check_lit(self) -> None:
        now = self.truth()
        assert now["emission"]
        assert all(bias > PARKED_A for bias in now["bias_a"])

    def check_dark_soon(self, since: float, within_s: float = LIMIT_S) -> None:
        dark_after(self.station.with_name("truth"), since, within_s)
        assert self.dark
        now = self.truth()["attenuation_db"]
        assert all(db == pytest.approx(60.0) for db in now.values()), now

    def check_dark_for(self, seconds: float) -> None:
        """Nothing that was under way switches the light on again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.dark
            time.sleep(0.02)

    def check_alive(self) -> None:
        found = find(self.station)
        assert self.process.poll() is None
        assert found is not None
        assert found.pid == self.process.pid


@contextlib.contextmanager
def serving(folder: Path, text: bytes | None = None) -> Iterator[Served]:
    station = folder / "station.toml"
    station.write_bytes(text or default_text())
    with process("-m", "heliograph", "bench", "serve", "--station", station, "--truth", station.with_name("truth")) as lab:
        try:
            line(lab)
            yield Served(station, lab)
            assert lab.poll() is None
        finally:
            lab.terminate()


@contextlib.contextmanager
def owned(served: Served) -> Iterator[dict[str, Any]]:
    """An owner in a process of its own: what it said."""
    with process("-m", "heliograph", "bench", "own", "--station", served.station) as owner:
        try:
            yield json.loads(line(owner))
        finally:
            owner.send_signal(signal.SIGCONT)
            owner.terminate()
            owner.communicate(timeout=30)


BUSY = """
import sys
from pathlib import Path
from heliograph.control.owner import owning
from heliograph.control.queueing import tasks
tasks.COMMAND = (sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)")
tasks.ENDING_S = 3.0
owning.serve(Path(sys.argv[1]))
"""
"""An owner whose workers do not end when they are told to."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A bench that lives through the tests of this file, whoever is killed."""
    with serving(tmp_path_factory.mktemp("bench")) as bench:
        yield bench
        bench.check_alive()


@pytest.fixture(scope="module")
def owner(served: Served) -> Iterator[dict[str, Any]]:
    """An owner that lives through the tests of this file that do not kill it."""
    with owned(served) as said:
        yield said


def attached(served: Served) -> AttachedBench:
    bench = attach(Station.load(served.station))
    assert bench is not None
    return bench


def status(served: Served) -> dict[str, Any]:
    with attached(served) as bench:
        return dict(bench.link.ask("status"))


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def victims(served: Served, *, arming: bool = False) -> Iterator[Callable[[], int]]:
    """Give what starts a process that is measuring, or on the way to it, as owner or as client, and returns its id."""
    with process("-c", FORKING, served.station) as forking:
        try:
            assert line(forking) == "ready\n"

            def start() -> int:
                say(forking)
                awaited = "opening" if arming else "results"
                while True:
                    pid, _, said = line(forking).strip().partition(" ")
                    assert not said.startswith("failed"), said
                    if said == awaited:
                        return int(pid)

            yield start
        finally:
            forking.kill()


COUNTS = [pytest.param(4), pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]


def kill_at_random(served: Served, start: Callable[[], int], times: int, seed: int) -> None:
    moments = random.Random(seed)
    for _ in range(times):
        pid = start()
        time.sleep(moments.uniform(0.0, 0.3))
        served.check_lit()

        os.kill(pid, signal.SIGKILL)

        served.check_dark_soon(time.monotonic())
        served.check_alive()


@pytest.mark.parametrize("times", COUNTS)
def test_a_bench_whose_owner_is_killed_is_safe_within_two_seconds(tmp_path, times):
    """Several benches at once, for most of the time somebody waits for a motor."""
    lanes, failed = 2, list[BaseException]()

    def lane(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            with serving(folder) as served, victims(served) as start:
                kill_at_random(served, start, times // lanes, number)
                served.check_dark_for(0.3)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=lane, args=(number,)) for number in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error


class Measuring:
    """A thread of this process that measures on an attached bench until somebody ends it."""

    def __init__(self, bench: AttachedBench) -> None:
        self.error: BaseException | None = None
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._measure, args=(bench,))
        self._thread.start()
        assert self._began.wait(20)

    def _measure(self, bench: AttachedBench) -> None:
        try:
            bench.run(CountRates(**ENDLESS), progress=lambda topic, _: self._began.set() if topic == "results" else None)
        except BaseException as error:  # noqa: BLE001
            self.error = error

    def ended(self) -> BaseException | None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.error


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_an_owner_that_is_told_to_end_makes_the_bench_safe_before_it_waits_for_its_workers(served, number):
    with process("-c", BUSY, served.station) as ending:
        line(ending)
        try:
            # It may be gone before this client has left.
            with contextlib.suppress(BenchError), attached(served) as bench:
                bench.arm()
                bench.link.ask("enqueue", {"procedure": "Learn", "parameters": {"rounds": "2"}})
                wait_for(lambda: any(row.state == "running" for row in bench.link.ask("queue").rows))
                served.check_lit()

                ending.send_signal(number)

                served.check_dark_soon(time.monotonic())
                with contextlib.suppress(HeliographError):
                    bench.arm()
                assert served.dark
                waited = ending.poll() is None
        finally:
            ending.communicate(timeout=30)
    assert waited
    assert ending.returncode == 0


def test_an_owner_that_hangs_is_killed_by_its_watchdog_after_two_seconds(served):
    with owned(served) as said, attached(served) as bench:
        bench.arm()
        measuring = Measuring(bench)
        served.check_lit()

        os.kill(said["pid"], signal.SIGSTOP)

        served.check_dark_soon(time.monotonic(), within_s=2.0 + LIMIT_S)
        error = measuring.ended()
        assert isinstance(error, BenchError)
        assert "gone" in error.message
        served.check_alive()


def test_safe_works_where_the_owner_hangs(served):
    with owned(served) as said, attached(served) as bench:
        bench.arm()
        os.kill(said["pid"], signal.SIGSTOP)
        since = time.monotonic()

        found = bench_status.make_safe(served.station)

        assert time.monotonic() - since < LIMIT_S
        assert served.dark
        assert found["by"] == "watchdog"
        assert all(report["state"] != "FAILED" for report in found["reports"])
        after = bench_status.of(served.station)
        assert after["state"] == "CLOSED"
        assert after["by"] == "watchdog"
        assert "did not answer" in after["cause"]


@pytest.mark.parametrize("times", COUNTS)
def test_a_bench_whose_controlling_client_is_killed_is_safe_within_two_seconds(served, owner, times):
    folder = served.station.parent / "runs"
    before, known = set(folder.glob("*.h5")), len(ends_of_controllers(folder))
    with victims(served) as start:
        kill_at_random(served, start, times, 2)
    served.check_dark_for(0.5)

    after = status(served)
    assert after["owner"] == owner["pid"]
    assert after["state"] == "SAFE"
    assert "is gone" in after["cause"]
    assert after["controller"] is None
    wait_for(lambda: status(served)["run"] is None)
    written = set((served.station.parent / "runs").glob("*.h5")) - before
    assert len(written) == times
    for path in written:
        with Run.open(path) as run:
            assert run.stop["reason"] == "aborted"
            assert any("is gone" in text for *_, text in run.events)
    wait_for(lambda: sum("without a word" in text for text in ends_of_controllers(folder)[known:]) == times)
    assert len(ends_of_controllers(folder)) == known + times


def ends_of_controllers(folder):
    """Return what the journal says of controllers that went."""
    events = [event for path in (folder / "journal").glob("*.jsonl") for event in events_of(path)]
    return [event.text for event in events if event.source == "bench" and "is gone" in event.text]


def test_a_client_that_is_killed_while_it_arms_leaves_no_light_behind(served, owner):
    moments = random.Random(4)
    with victims(served, arming=True) as start:
        for _ in range(4):
            pid = start()
            time.sleep(moments.uniform(0.0, 1.2))

            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()

            # One that is killed early finds the bench dark still, and an owner that goes on with the arming until it has noticed.
            time.sleep(LIMIT_S)
            served.check_dark_soon(killed)
            served.check_dark_for(0.4)
    wait_for(lambda: status(served)["state"] == "SAFE")
    assert status(served)["controller"] is None


def armed(bench: AttachedBench, refused: list[HeliographError]) -> None:
    try:
        bench.arm()
    except HeliographError as error:
        refused.append(error)


def test_a_bench_made_safe_while_it_is_armed_stays_dark(served, owner):
    moments = random.Random(5)
    with attached(served) as bench:
        for _ in range(4):
            refused: list[HeliographError] = []
            arming = threading.Thread(target=armed, args=(bench, refused))
            arming.start()
            wait_for(lambda: status(served)["state"] != "SAFE")
            time.sleep(moments.uniform(0.0, 0.9))

            bench_status.make_safe(served.station)

            served.check_dark_soon(time.monotonic())
            served.check_dark_for(1.0)
            arming.join()
            assert all("made safe" in str(error) for error in refused)
            assert status(served)["state"] == "SAFE"


@pytest.mark.parametrize("times", COUNTS)
def test_a_bench_whose_watchdog_is_killed_is_safe_and_stays_so_until_another_one_watches(served, owner, times):
    moments = random.Random(3)
    with attached(served) as bench:
        for _ in range(times):
            bench.arm()
            measuring = Measuring(bench)
            time.sleep(moments.uniform(0.0, 0.3))
            served.check_lit()

            os.kill(bench.link.ask("status")["watchdog"], signal.SIGKILL)

            served.check_dark_soon(time.monotonic())
            error = measuring.ended()
            assert isinstance(error, RunAborted)
            assert "watchdog" in error.message
            with pytest.raises(Tripped, match="watchdog"):
                bench.arm()
            with pytest.raises((Tripped, ArmRefused)):
                bench["laser"].emission = True
            bench.reset()
            with pytest.raises(ArmRefused, match="watchdog"):
                bench["laser"].emission = True
        assert served.dark
    served.check_alive()


def test_a_hung_controller_loses_the_light_two_seconds_after_its_last_heartbeat(served, owner):
    with victims(served) as start:
        pid = start()
        served.check_lit()
        os.kill(pid, signal.SIGSTOP)
        try:
            served.check_dark_soon(time.monotonic(), within_s=2.0 + LIMIT_S)
            wait_for(lambda: status(served)["run"] is None)
            assert "silent" in status(served)["cause"]
        finally:
            os.kill(pid, signal.SIGKILL)


def nuisances(path: Path) -> Iterator[socket.socket]:
    """Connect to the watchdog again and again, with what no client of ours sends."""
    for told in (b"[" * 200_000 + b"\n", b'{"do":"status"}\n' * 20_000, b"x" * 2_000_000, b'{"do": 1}\n[]\n\n\xff\n'):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(0.5)
        connection.connect(str(path))
        with contextlib.suppress(OSError):
            connection.sendall(told)
        yield connection
    for _ in range(200):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(0.5)
        with contextlib.suppress(OSError):
            connection.connect(str(path))
        yield connection


def test_clients_that_talk_nonsense_neither_end_nor_hold_up_the_watchdog(served, owner):
    with victims(served) as start:
        pid = start()
        with contextlib.ExitStack() as held:
            for connection in nuisances(address(served.station, "watchdog")):
                held.enter_context(connection)
            time.sleep(2.5)
            served.check_lit()
            assert status(served)["state"] == "ARMED"
            line = WatchdogLine.of(served.station)
            assert line is not None
            assert line.ask("safe", timeout_s=LIMIT_S)["reports"]
            line.close()
            served.check_dark_soon(time.monotonic())
            # Its measurement has been aborted: it may have ended by itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
