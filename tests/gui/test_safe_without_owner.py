"""SAFE during a run, with the owner stopped and with the owner killed, judged by what the simulated bench really does."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog

from .operating import Truth, opened, simulated
from .rehearsal import Day

SAFE_S = 2.0
TOLD_S = 4.0
"""Until the window shows every device confirmed, on a processor that others hold, too; two seconds on one of its own."""


def confirmed(day: Day) -> bool:
    states = set(day.window.safe_panel.states().values())
    return bool(states) and states <= {"confirmed"}


def make_safe(day: Day, truth: Truth, press: Callable[[], object]) -> None:
    """Press, and see the light go out, and every device confirmed, within two seconds."""
    assert truth.lit
    begun = time.monotonic()
    press()
    day.person.until(lambda: confirmed(day), "every device confirmed", 10.0)
    told = time.monotonic() - begun
    took = truth.safe_within(begun, SAFE_S)
    sys.stdout.write(f"safe after {took:.2f} s, all confirmed in the window after {told:.2f} s\n")
    assert told < TOLD_S


def owner_pid(day: Day) -> int:
    return int(day.desk.latest("safety")["owner"])


def start_again(day: Day) -> None:
    """Start an owner by the menu where there is none, and arm."""
    day.person.until(lambda: not day.desk.is_connected, "the end of the owner")
    day.person.menu("Bench", "Start the bench")
    day.person.until(lambda: day.desk.is_connected and day.desk.controls and day.state in ("SAFE", "TRIPPED"), "the bench", 60.0)


@pytest.fixture
def light(qapp: QApplication, tmp_path: Path) -> Iterator[tuple[Day, Truth]]:
    """A bench that tells what it does, an owner, a window."""
    with simulated(tmp_path / "bench") as (station, truth), opened(tmp_path, qapp) as day:
        day.window.opening.open(station)
        day.wait_open()
        day.put_first_steps_away()
        yield day, truth


def test_safe_works_during_a_run_with_the_owner_stopped_and_with_the_owner_killed(light: Any) -> None:
    day, truth = light
    person = day.person
    day.arm()
    job = day.start("acquire", "Count rates", Duration="60")
    person.until(lambda: day.desk.latest("counts") is not None, "light")

    make_safe(day, truth, lambda: person.click("Make safe"))
    assert day.wait_ended(job) == "aborted"

    # With a dialog in front, and an owner that hears nothing.
    day.arm()
    if person.sees("Put the safe panel away"):
        person.click("Put the safe panel away")
    person.key(Qt.Key.Key_O, control=True)
    person.until(lambda: isinstance(QApplication.activeWindow(), QFileDialog), "the dialog")
    os.kill(owner_pid(day), signal.SIGSTOP)
    make_safe(day, truth, lambda: person.key(Qt.Key.Key_Period, control=True))
    person.key(Qt.Key.Key_Escape)

    # With a menu in front, and no owner any more.
    start_again(day)
    day.arm()
    if person.sees("Put the safe panel away"):
        person.click("Put the safe panel away")
    person.key(Qt.Key.Key_V, alt=True)
    killed = owner_pid(day)
    make_safe(day, truth, lambda: (os.kill(killed, signal.SIGKILL), person.key(Qt.Key.Key_Escape, times=2)))
