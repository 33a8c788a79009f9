"""The window is killed at any moment: what is lit becomes safe within four seconds, and a bench that may be left alone goes on without a gap."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.control.attached import AttachedBench, attach
from heliograph.gui.guard import STILL_S
from heliograph.instruments.station import Station, default_text

from ..helpers import soon
from .operating import Truth, simulated

LIMIT_S = 4.0
KILLS, MOST_S = 2, 3.0
LONG_S = 120.0
"""Of bench time: the simulated bench may be quicker."""

FORKING = """
import os, signal, sys, time
import heliograph.gui
from pathlib import Path
from PySide6.QtCore import QSettings, QTimer
from heliograph.gui.app import application
from heliograph.gui.desk import Desk
from heliograph.gui.pages.bench import Bench
from heliograph.gui.window import Window

station, seconds = Path(sys.argv[1]), sys.argv[2]

def say(what):
    os.write(1, f"{os.getpid()} {what}\\n".encode())

def show():
    app = application()
    window = Window(Desk(settings=QSettings(str(station.with_name(f"window-{os.getpid()}.ini")), QSettings.Format.IniFormat)), pages=[Bench])
    desk = window.desk
    def begin():
        if desk.controls:
            say("arming")
            desk.ask("arm", {}, armed, failed, 60.0)
    def armed(_):
        say("armed")
        body = {"procedure": "CountRates", "parameters": {"duration_s": seconds, "period_s": "0.1"}, "purpose": "", "operator": "test", "seed": None}
        desk.ask("enqueue", body, lambda job: say(f"job {job}"), failed)
    def failed(error):
        say(f"failed: {error}")
    desk.control_changed.connect(begin)
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(60.0))
    slow = QTimer(window, interval=100)
    slow.timeout.connect(lambda: time.sleep(0.5))
    signal.signal(signal.SIGUSR2, lambda *_: slow.start())
    window.show()
    window.opening.open(station)
    app.exec()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
for _ in sys.stdin:
    if os.fork() == 0:
        try:
            show()
        except BaseException as error:
            say("failed: " + repr(error))
        os._exit(0)
"""
"""Has imported everything once; at every line a window is opened that attaches, arms and counts. At SIGUSR1 its event loop hangs, its threads go on;
at SIGUSR2 it becomes slow."""


class Windows:
    """Opens windows, one at a time, that can be killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        assert said, "the process that opens windows has ended"
        return said

    def open(self, until: str = "arming") -> int:
        """Open one; return its process once it has said that much."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        while True:
            pid, _, what = self._line().partition(" ")
            assert not what.startswith("failed"), what
            if what.startswith(until):
                return int(pid)


@contextlib.contextmanager
def owned(station: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "heliograph", "bench", "own", "--station", str(station)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            json.loads(owner.stdout.readline())
            yield
        finally:
            owner.terminate()
            assert owner.wait(30) == 0


@contextlib.contextmanager
def windows(station: Path, seconds: float) -> Iterator[Windows]:
    settings = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", FORKING, str(station), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=settings) as forking:
        try:
            yield Windows(forking)
        finally:
            forking.kill()


def asked(station: Path, topic: str) -> Any:
    bench = attach(Station.load(station))
    assert isinstance(bench, AttachedBench)
    with bench:
        return bench.link.ask(topic)


def kill_at_random(folder: Path, kills: int) -> list[float]:
    """Kill windows between the moment they begin to arm and the middle of a run; return how long the bench took to be safe, each."""
    took: list[float] = []
    chance = random.Random(6)
    with simulated(folder / "bench") as (station, truth), owned(station), windows(station, 1e4) as opened:
        for _ in range(kills):
            pid = opened.open()
            time.sleep(chance.uniform(0.0, MOST_S))
            killed = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            # One that is killed while it begins to arm finds the bench dark still: the owner has to have noticed first.
            wait_left(station, killed)
            took.append(truth.safe_within(killed, LIMIT_S))
            wait_quiet(station, truth)
    return took


def wait_left(station: Path, killed: float) -> None:
    """Wait until nobody controls the bench any more, and it is not on the way to light."""

    def left() -> dict[str, Any] | None:
        told: dict[str, Any] = asked(station, "status")
        return told if told["controller"] is None and told["state"] not in ("ARMING", "ARMED") else None

    soon(left, killed, LIMIT_S)


def wait_quiet(station: Path, truth: Truth) -> None:
    """Wait until nothing is on any more, and see that nothing was switched on again meanwhile."""
    deadline = time.monotonic() + 20
    while True:
        rows = asked(station, "queue").rows
        if all(row.state in ("done", "aborted", "failed") for row in rows):
            break
        assert time.monotonic() < deadline, rows
        time.sleep(0.1)
    assert truth.safe


def test_a_window_that_is_killed_at_any_moment_leaves_a_bench_that_becomes_safe(tmp_path: Path) -> None:
    took = kill_at_random(tmp_path, KILLS)
    assert len(took) == KILLS
    assert max(took) < LIMIT_S


@pytest.mark.slow
def test_a_window_whose_event_loop_hangs_leaves_a_bench_that_becomes_safe(tmp_path: Path) -> None:
    with simulated(tmp_path / "bench") as (station, truth), owned(station), windows(station, 1e4) as opened:
        pid = opened.open("job")
        time.sleep(1.0)
        os.kill(pid, signal.SIGUSR1)
        took = truth.safe_within(time.monotonic(), STILL_S + LIMIT_S)
        assert took > STILL_S
        os.kill(pid, signal.SIGKILL)
        wait_quiet(station, truth)


@pytest.mark.slow
def test_a_window_that_is_slow_keeps_its_bench(tmp_path: Path) -> None:
    with simulated(tmp_path / "bench") as (station, truth), owned(station), windows(station, 1e4) as opened:
        pid = opened.open("job")
        os.kill(pid, signal.SIGUSR2)
        time.sleep(STILL_S + LIMIT_S + 1.0)
        assert asked(station, "status")["controller"] == pid
        assert truth.lit
        os.kill(pid, signal.SIGKILL)
        truth.safe_within(time.monotonic(), LIMIT_S)
        wait_quiet(station, truth)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_windows_that_are_killed_leave_a_bench_that_becomes_safe(tmp_path: Path) -> None:
    took = kill_at_random(tmp_path, 100)
    sys.stdout.write(f"safe after {max(took):.2f} s at most, {sorted(took)[len(took) // 2]:.2f} s in the middle\n")
    assert max(took) < LIMIT_S


@pytest.mark.slow
def test_a_run_that_may_be_left_alone_goes_on_without_its_window_and_has_no_gap(tmp_path: Path) -> None:
    text = default_text().replace(b"allow_unattended = false", b"allow_unattended = true")
    assert text != default_text()
    with simulated(tmp_path / "bench", text) as (station, _), owned(station), windows(station, LONG_S) as opened:
        pid = opened.open("job")
        time.sleep(random.Random(6).uniform(0.5, 1.5))
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        while asked(station, "queue").rows[0].state not in ("done", "aborted", "failed"):
            assert time.monotonic() - killed < 30
            time.sleep(0.2)

        (row,) = asked(station, "queue").rows
        assert (row.state, row.progress) == ("done", 1.0), row.why
        assert time.monotonic() - killed > 1.0
        # It counted on while nobody was there: as many periods as were asked for, one after the other.
        shown = heliograph("runs", "show", str(row.path), "--json")
        assert (shown["summary"]["state"], shown["summary"]["gaps"]) == ("done", 0)
        shapes = {name: shape for name, _, shape in shown["arrays"]}
        assert any(shape.split()[0] == f"{LONG_S / 0.1:,.0f}" for shape in shapes.values()), shapes


def heliograph(*words: str) -> Any:
    done = subprocess.run([sys.executable, "-m", "heliograph", *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
