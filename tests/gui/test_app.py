"""The window with a simulated bench behind it, and the command that opens it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from heliograph.cli import main
from heliograph.control.stations import station_lock
from heliograph.gui import theme
from heliograph.gui.desk import Desk
from heliograph.gui.pages.bench import Bench
from heliograph.gui.window import Window
from heliograph.instruments.station import Station, default_text

COMMAND = [sys.executable, "-m", "heliograph"]
START_MS = 40_000


@pytest.fixture
def live(qtbot: Any, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    """A window that has opened the simulated bench."""
    qapp.setStyle("Fusion")
    font = qapp.font()
    window = Window(Desk(settings=QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)))
    window.show()
    window.opening.simulate(tmp_path / "demo")
    qtbot.waitUntil(lambda: window.desk.controls and window.desk.latest("station") is not None, timeout=START_MS)
    yield window
    window.leave()
    window.deleteLater()
    theme.apply(qapp, theme.LIGHT)
    qapp.setFont(font)
    qapp.setStyleSheet("")


def confirmed(window: Window) -> bool:
    states = set(window.safe_panel.states().values())
    return bool(states) and states <= {"confirmed"}


def owners(folder: Path) -> list[int]:
    """Return the processes that have to do with a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in words:
                found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_the_bench_is_seen_and_made_safe_also_where_its_owner_hangs(live: Window, qtbot: Any, tmp_path: Path) -> None:
    guard = live.safety.guard
    assert guard is not None
    qtbot.waitUntil(lambda: guard.attends and guard.watched)
    assert "SIMULATED" in live.windowTitle()
    assert live.strip.mode.accessibleName().startswith("Bench: simulated")
    assert 0 <= (live.desk.age_s() or 0.0) < 2

    # With the owner alive.
    begun = time.monotonic()
    qtbot.mouseClick(live.strip.safe, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: confirmed(live), timeout=5000)
    assert time.monotonic() - begun < 2.0

    # With the owner stopped: the watchdog does it by itself, and the window keeps drawing.
    assert live.opening.owner is not None
    qtbot.waitUntil(lambda: guard.watched)
    os.kill(live.opening.owner.pid, signal.SIGSTOP)
    live.safe_panel.hide()
    begun = time.monotonic()
    QTest.keyClick(live.windowHandle(), Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    assert set(live.safe_panel.states().values()) == {"sent"}
    qtbot.waitUntil(lambda: confirmed(live), timeout=15_000)
    assert time.monotonic() - begun < 4.0
    qtbot.waitUntil(lambda: not live.desk.is_connected and live.strip.owner.isVisible(), timeout=5000)
    assert live.strip.owner.accessibleName().startswith("Owner: lost, safety: ")
    live.leave()

    # The simulated instruments end when the last one lets go of them.
    qtbot.waitUntil(lambda: owners(tmp_path) == [], timeout=10_000)


@pytest.mark.slow
def test_a_bench_whose_owner_was_killed_is_opened_again(live: Window, qtbot: Any, tmp_path: Path) -> None:
    assert live.opening.owner is not None
    os.kill(live.opening.owner.pid, signal.SIGKILL)
    qtbot.waitUntil(live.strip.owner.isVisible, timeout=5000)
    qtbot.waitUntil(lambda: not (live.safety.guard is not None and live.safety.guard.watched), timeout=10_000)
    qtbot.waitUntil(lambda: "made safe by the watchdog at" in live.strip.safety.accessibleName(), timeout=10_000)
    assert confirmed(live)

    live.opening.start()
    qtbot.waitUntil(lambda: live.desk.is_connected and live.desk.controls, timeout=START_MS)
    qtbot.waitUntil(lambda: live.safety.guard is not None and live.safety.guard.attends, timeout=5000)
    live.leave()

    # The simulated instruments end when the last one lets go of them.
    qtbot.waitUntil(lambda: owners(tmp_path) == [], timeout=10_000)


@pytest.mark.slow
def test_the_window_closes_by_itself_with_code_zero() -> None:
    begun = time.monotonic()
    done = subprocess.run([*COMMAND, "gui", "--exit-after", "0.2", "--json"], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, json.loads(done.stdout)["window"]) == (0, "closed"), done.stderr
    assert time.monotonic() - begun < 15


def in_this_process(capsys: pytest.CaptureFixture[str], station: Path) -> tuple[int, Any]:
    """Return code and answer of the command for a file that is refused before a window is made."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    with pytest.raises(SystemExit) as ended:
        main(["gui", "--station", str(station), "--json"])
    for number, handler in kept.items():
        signal.signal(number, handler)
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)


def test_a_wrong_station_is_refused_before_a_window_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = in_this_process(capsys, tmp_path / "none.toml")

    assert code == 3
    assert "heliograph station new" in told["error"]["remedy"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_closes_in_order_and_the_owner_ends_too(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen([*COMMAND, "gui", "--demo", "--out", str(tmp_path / "demo")], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any((tmp_path / "demo" / "runs").glob("*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)

    process.send_signal(number)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 0, said
    while owners(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_a_window_that_is_killed_leaves_a_bench_that_becomes_safe(tmp_path: Path) -> None:
    process = subprocess.Popen([*COMMAND, "gui", "--demo", "--out", str(tmp_path / "demo")])
    station = tmp_path / "demo" / "station.toml"

    def status() -> dict[str, Any]:
        command = [*COMMAND, "bench", "status", "--station", str(station), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        return dict(json.loads(done.stdout)) if done.stdout else {}

    deadline = time.monotonic() + 60
    while status().get("controller") != process.pid:
        assert time.monotonic() < deadline
        time.sleep(0.2)

    process.kill()
    process.wait()
    time.sleep(4)
    told = status()

    assert (told["state"], told["controller"]) == ("SAFE", None)
    assert str(process.pid) in told["cause"]
    # Nobody is left, and nothing to do: the owner ends by itself, and its instruments with it.
    while owners(tmp_path):
        assert time.monotonic() < deadline + 60
        time.sleep(0.2)


def test_the_window_of_a_simulated_bench_says_so_when_it_closes(tmp_path: Path) -> None:
    command = [*COMMAND, "gui", "--demo", "--out", str(tmp_path / "demo"), "--exit-after", "0.5", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    told = json.loads(done.stdout)
    assert (done.returncode, told["window"], told["simulated"]) == (0, "closed", True), done.stderr


@pytest.mark.slow
def test_the_window_of_a_file_says_whether_its_bench_is_simulated(tmp_path: Path) -> None:
    station = tmp_path / "station.toml"
    station.write_bytes(default_text())
    command = [*COMMAND, "gui", "--station", str(station), "--exit-after", "0.5", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    told = json.loads(done.stdout)
    assert (done.returncode, told["simulated"], told["station"]) == (0, True, str(station)), done.stderr


def test_a_file_that_describes_no_bench_is_refused_before_a_window_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    garbage = tmp_path / "station.toml"
    garbage.write_text("[station\n")
    code, told = in_this_process(capsys, garbage)

    assert code == 3
    assert told["error"]["type"] == "ConfigError"


@pytest.mark.slow
def test_a_bench_that_cannot_be_opened_ends_the_command_with_its_error(tmp_path: Path) -> None:
    station = tmp_path / "station.toml"
    station.write_bytes(default_text())
    # Somebody has it open who answers nobody.
    lock = station_lock(Station.load(station))
    try:
        command = [*COMMAND, "gui", "--station", str(station), "--exit-after", "6", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        lock.release()

    assert done.returncode == 4, done.stderr
    assert "not opened" in json.loads(done.stdout)["error"]["message"]


def test_after_a_first_bench_that_cannot_be_opened_another_one_may_be_chosen(qtbot: Any, qapp: QApplication, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.toml"
    garbage.write_text("[station\n")
    window = Window(Desk(settings=QSettings(str(tmp_path / "window.ini"), QSettings.Format.IniFormat)), pages=[Bench])
    qtbot.addWidget(window, before_close_func=lambda one: one.leave())
    window.show()

    window.opening.open(garbage)
    qtbot.waitUntil(lambda: window.desk.station is None, timeout=START_MS)

    assert window.stack.currentWidget() is window.welcome
    assert not window.tabs.isVisible()
    assert "garbage.toml" in window.notices.earlier[-1].text
    assert window.opening.failure is not None
