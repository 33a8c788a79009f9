"""Two who would control one bench, each in a process of its own: a window, and somebody at another one. Who has control says whether it changes hands."""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtWidgets import QPushButton

from heliograph.gui import hold
from heliograph.gui.desk import Desk
from heliograph.gui.window import Window

from ..control.owned import owning
from .finding import control, press
from .finding import hold as hold_down
from .frames import PAGES

PATIENCE_MS = 20_000


class Other:
    """Another client of the bench: asks what it is told to, one line at a time."""

    CODE = """
        import json, pathlib, sys
        from heliograph.control.link import VERSION, Link
        from heliograph.core.errors import HeliographError
        link = Link.to_owner(pathlib.Path(sys.argv[1]))
        link.ask("hello", {"version": VERSION})
        for line in sys.stdin:
            try:
                told = link.ask(line.strip())
            except HeliographError as error:
                told = error.message
            print(json.dumps(told, default=str), flush=True)
    """

    def __init__(self, station: Path) -> None:
        command = [sys.executable, "-c", textwrap.dedent(self.CODE), str(station)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.who = f"{getpass.getuser()}@{socket.gethostname()} (process {self._process.pid})"

    def ask(self, topic: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(topic + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        with self._process as process:
            process.kill()


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Path]:
    with owning(tmp_path) as path:
        yield path


@pytest.fixture
def other(station: Path) -> Iterator[Other]:
    one = Other(station)
    yield one
    one.close()


@pytest.fixture
def window(qtbot: Any, appearance: str, station: Path, other: Other, monkeypatch: pytest.MonkeyPatch) -> Window:
    """A window on a bench that the other one controls."""
    monkeypatch.setattr(hold, "HOLD_MS", 60)
    assert other.ask("control") is None
    desk = Desk(settings=QSettings(str(station.parent / "window.ini"), QSettings.Format.IniFormat))
    made = Window(desk, pages=PAGES)
    qtbot.addWidget(made, before_close_func=lambda one: one.leave())
    made.show()
    made.activateWindow()
    made.opening.open(station)
    return made


def test_control_is_asked_for_refused_given_and_kept(qtbot: Any, window: Window, other: Other) -> None:
    def until(met: Callable[[], bool]) -> None:
        qtbot.waitUntil(met, timeout=PATIENCE_MS)

    def notices() -> list[str]:
        return [one.text for one in window.notices.earlier]

    def controls() -> bool:
        return window.desk.controls

    strip = window.strip
    held = f"Control: view only, control held by {other.who}, take over"
    until(lambda: strip.take_over.isVisible() and strip.view_only.accessibleName() == held)
    assert not strip.keep.isVisible()

    hold_down(qtbot, window, "Take over control")
    until(lambda: other.ask("status")["asker"] is not None)
    until(lambda: any(f"{other.who} was asked for control" in one for one in notices()))
    until(lambda: (window.desk.latest("safety") or {}).get("asked") is not None)
    other.ask("keep_control")
    until(lambda: any(f"{other.who} keeps control of the bench" in one for one in notices()))
    assert other.ask("status")["holder"] == other.who
    assert not controls()

    hold_down(qtbot, window, "Take over control")
    until(lambda: other.ask("status")["asker"] is not None)
    other.ask("yield_control")
    until(controls)
    mine = other.ask("control")
    assert mine.startswith(f"control is held by {getpass.getuser()}@")

    assert other.ask("take_over") in mine
    until(lambda: strip.keep.isVisible() and strip.hand_over.isVisible())
    until(lambda: any(f"{other.who} asks for control of the bench" in one for one in notices()))
    press(qtbot, window, "Keep control")
    until(lambda: not strip.keep.isVisible())
    assert other.ask("status")["asker"] is None
    assert controls()

    other.ask("take_over")
    until(lambda: control(window, "Keep control", QPushButton).isVisible())
    strip.hand_over.setFocus()
    qtbot.keyPress(strip.hand_over, Qt.Key.Key_Space)
    until(lambda: not controls())
    assert other.ask("status")["holder"] == other.who
