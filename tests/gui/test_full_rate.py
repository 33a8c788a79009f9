"""The window at the full rate of the bench: what drawing a page takes of the processor, that no tag is lost, and that keys are heard by a slow host.

HELIOGRAPH_FULL_RATE_S sets how long the window stands open at full rate, seconds; a minute without it.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit

from heliograph.acquisition.runs import Run
from heliograph.control.lab import find
from heliograph.gui.tick import Tick
from heliograph.gui.window import Window
from heliograph.instruments.station import default_text

from .operating import PAGES, changed, made_by_hand, opened, page_of, simulated

FULL_RATE_S = float(os.environ.get("HELIOGRAPH_FULL_RATE_S", "60"))
LEAST_TAGS_HZ = 2.3e6
TARGETS_MS = {"bench": 15.0, "acquire": 35.0, "key": 25.0}
TICK_MS = 50.0
"""Of the main thread that any page may take."""
BRIGHT = (('"A-B" = { mu = 0.017,', '"A-B" = { mu = 0.040,'), ('rate = "3 MHz", flux = "30 MHz"', 'rate = "6 MHz", flux = "60 MHz"'))
"""Twice the light of the demo's best pair, and leave for the detectors to count it."""
SLOWER = 4
KEYS = 120
HEARD_MS = 100.0


def bright() -> bytes:
    """Return the station file of a bench at 2.4 million tags a second."""
    text = default_text().decode()
    for before, after in BRIGHT:
        assert before in text
        text = text.replace(before, after)
    return text.encode()


def bench_of(station: Path) -> int:
    """Return the process of the simulated instruments."""
    found = find(station)
    assert found is not None
    return found.pid


def cpu_s(pid: int) -> float:
    """Return the processor time that a process and those it has waited for have taken."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(word) for word in words[11:15]) / os.sysconf("SC_CLK_TCK")


class Cost:
    """What each tick of a window takes of the main thread, paint included, milliseconds."""

    def __init__(self, window: Window) -> None:
        self.spent_ms: list[float] = []
        self._tick, self._begun, self._note = window.tick, 0.0, window.tick._note
        window.tick._timer.timeout.disconnect()
        window.tick._timer.timeout.connect(self._draw)
        window.tick._note = self._drawn  # type: ignore[method-assign]

    def _draw(self) -> None:
        self._begun = time.thread_time()
        self._tick.tick()

    def _drawn(self, ms: float) -> None:
        self.spent_ms.append((time.thread_time() - self._begun) * 1e3)
        self._note(ms)


@pytest.mark.slow
@pytest.mark.timeout(FULL_RATE_S + 600)
def test_at_full_rate_every_page_is_drawn_within_its_time_and_no_tag_is_lost(qapp: QApplication, tmp_path: Path) -> None:
    with simulated(tmp_path / "bench", bright()) as (station, _), opened(tmp_path, qapp) as day:
        day.window.opening.open(station)
        day.wait_open()
        day.put_first_steps_away()
        day.arm()
        job = day.start("key", "Key exchange", Pair="A-B", Light="3600", Make_key_of_it_at_once="False")
        day.person.until(lambda: (now := day.desk.latest("key")) is not None and now.events > 0, "light", 120.0)
        processes = {"window": os.getpid(), "owner": int(day.desk.latest("safety")["owner"]), "instruments": bench_of(station)}
        cost, before = Cost(day.window), {name: cpu_s(pid) for name, pid in processes.items()}
        begun, light = time.monotonic(), day.desk.latest("counts").t_s
        drawn: dict[str, list[float]] = {}
        for name in PAGES:
            day.go(name)
            QTest.qWait(200)
            cost.spent_ms.clear()
            QTest.qWait(round(1000 * FULL_RATE_S / len(PAGES)))
            drawn[name] = cost.spent_ms.copy()
        wall, light = time.monotonic() - begun, day.desk.latest("counts").t_s - light
        taken = {name: (cpu_s(pid) - before[name]) / wall for name, pid in processes.items()}
        day.desk.ask("stop", {"job": job})
        assert day.wait_ended(job) == "done"
        (path,) = (tmp_path / "bench").rglob("*-p0.h5")

    with Run.open(path) as run:
        batches, gaps = run.batch_rows(), run.gap_rows()
        tags_hz = float(batches["n"].sum() / ((batches["t_end"] - batches["t_begin"]).sum() * 1e-12))
    medians = {name: statistics.median(spent) for name, spent in drawn.items()}
    told = [f"{name} {medians[name]:.1f} ms median of {len(spent)} in {FULL_RATE_S / len(PAGES):.1f} s" for name, spent in drawn.items()]
    loads = ", ".join(f"{name} {100 * share:.0f} %" for name, share in taken.items())
    sys.stdout.write(
        f"{tags_hz / 1e6:.2f} million tags a second of light, {light / wall:.2f} s of light a second; of a processor: {loads}\n" + "\n".join(told) + "\n"
    )
    assert tags_hz >= LEAST_TAGS_HZ
    assert {reason.decode() if isinstance(reason, bytes) else str(reason) for reason in gaps["reason"]} <= {"dead-time"}, "tags were lost"
    assert not {name: median for name, median in medians.items() if median > TARGETS_MS.get(name, TICK_MS)}


def four_times(act: Callable[..., Any]) -> Callable[..., Any]:
    """Return an act that takes four times as much of the processor as it does."""

    def slowly(*arguments: Any) -> Any:
        begun = time.thread_time()
        result = act(*arguments)
        until = time.thread_time() + (SLOWER - 1) * (time.thread_time() - begun)
        while time.thread_time() < until:
            pass
        return result

    return slowly


def run_for(ms: int) -> None:
    """Run the event loop as a program does."""
    loop = QEventLoop()
    QTimer.singleShot(ms, loop.quit)
    loop.exec()


class Typist(QObject):
    """Types letters into a field at moments of its own, and sees when each of them is shown.

    late_ms: what the main thread worked from the moment at which a key was to be pressed to its letter being painted: so long a key waits where it has
    a processor to itself.  seen_ms: the same on the clock on the wall, with all that others did meanwhile.
    """

    def __init__(self, field: QLineEdit) -> None:
        super().__init__()
        self.late_ms: list[float] = []
        self.seen_ms: list[float] = []
        self._field, self._clock = field, time.pthread_getcpuclockid(threading.get_ident())
        self._pressed: list[tuple[float, float]] = []
        self._heard = 0
        field.textEdited.connect(self._hear)
        field.installEventFilter(self)
        self._thread = threading.Thread(target=self._type, daemon=True)
        self._thread.start()

    def _type(self) -> None:
        rng, due, before = np.random.default_rng(1), time.perf_counter(), time.clock_gettime(self._clock)
        for _ in range(KEYS):
            due += rng.uniform(0.06, 0.14)
            time.sleep(max(0.0, due - time.perf_counter()))
            # Where this thread was held up by the other one, that one worked at most so long.
            worked = time.clock_gettime(self._clock)
            self._pressed.append((due, worked - min(time.perf_counter() - due, worked - before)))
            before = worked
            for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
                QCoreApplication.postEvent(self._field, QKeyEvent(kind, Qt.Key.Key_A, Qt.KeyboardModifier.NoModifier, "a"))

    def _hear(self, _text: str) -> None:
        self._heard += 1

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.Paint:
            for due, worked in self._pressed[len(self.late_ms) : self._heard]:
                self.late_ms.append((time.clock_gettime(self._clock) - worked) * 1e3)
                self.seen_ms.append((time.perf_counter() - due) * 1e3)
        return False


@contextmanager
def on_a_slow_host(folder: Path, qapp: QApplication) -> Iterator[Window]:
    """A window whose ticks and charts take four times as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tick, "tick", four_times(Tick.tick))
        patch.setattr(pg.GraphicsView, "paintEvent", four_times(pg.GraphicsView.paintEvent))
        with made_by_hand(folder, qapp) as window:
            yield window


@pytest.mark.slow
@pytest.mark.parametrize("name", ["acquire", "key"])
def test_a_host_four_times_slower_draws_less_often_and_hears_keys(qapp: QApplication, tmp_path: Path, name: str) -> None:
    told = itertools.cycle([changed(number) for number in range(40)])
    with on_a_slow_host(tmp_path, qapp) as window:
        page: Any = page_of(window, name)
        window.activateWindow()
        feeding = QTimer()
        feeding.timeout.connect(lambda: [window.desk.inject(topic, payload) for topic, payload in next(told).items()])
        feeding.start(100)
        window.tick.start()
        for _ in range(100):
            run_for(100)
            if window.tick.pace.interval_ms > 100:
                break
        page.start.purpose.setFocus()
        typist = Typist(page.start.purpose)
        deadline = time.monotonic() + 60.0
        while len(typist.late_ms) < KEYS and time.monotonic() < deadline:
            run_for(100)
        spent, interval = list(window.tick.spent_ms), window.tick.pace.interval_ms
        feeding.stop()
        window.tick.stop()
    late, seen = (np.percentile(one, [50, 95, 100]) for one in (typist.late_ms, typist.seen_ms))
    figures = f"{name}: ticks of {statistics.median(spent):.0f} ms, every {interval} ms; keys wait for {late.round(0)} ms of work (half, 95 %, all)"
    sys.stdout.write(f"{figures}, {seen.round(0)} ms with all that others did meanwhile\n")
    assert interval > 100 or statistics.median(spent) <= TICK_MS
    assert len(typist.late_ms) == KEYS
    assert late[1] <= HEARD_MS
