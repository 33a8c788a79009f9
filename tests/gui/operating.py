"""The whole window for tests: around a bench made by hand, or with a real owner behind it; and a simulated bench that tells what it really does."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QSettings, Qt, QTimerEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from heliograph.control import topics
from heliograph.control.lab import find
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.gui import theme
from heliograph.gui.desk import Desk
from heliograph.gui.window import Window
from heliograph.instruments.station import default_text
from heliograph.mocks import truth
from heliograph.postprocess.keystore import KeyBlock, link, open_party

from ..helpers import dark_after
from . import benches, payloads
from .conftest import OfflineDesk
from .frames import Presses
from .rehearsal import Day

PAGES = ("bench", "acquire", "key", "learning", "queue", "log", "runs")
SIZE = (1280, 800)
PARKED_A = 1e-9
FORMS = (
    payloads.procedure_form(),
    payloads.procedure_form(name="PhaseScan", title="Scan a user's phase"),
    payloads.procedure_form(name="KeyExchange", title="Exchange light"),
    payloads.procedure_form(name="Distil", title="Make key", lane="worker"),
    payloads.procedure_form(name="Learn", title="Learn", lane="worker"),
)
RUN = topics.RunSummary(payloads.RUN, f"/runs/{payloads.RUN}-p0.h5", "PhaseScan", payloads.NOW - 60, "done", True, 12.5, 1_040_000, 2, "Ada", "fringe", "demo")
DETAILS = topics.RunDetails(
    RUN, {"user": "A", "points": "41"}, "simulated: simulated instruments", "ab" * 32, 1, (payloads.event(),), (("fringe/drive", "V", "41"),), {}, {},
    {"scan": payloads.scan_rows(source="replay"), "counts": payloads.count_rates(source="replay")},
)  # fmt: skip
REPLIES: dict[str, Any] = {"procedures": FORMS, "runs": (RUN,), "run": DETAILS, "events": (payloads.event(),), "report": "# Day\n\nNothing happened.\n"}


def states() -> dict[str, Any]:
    """Return a payload of every topic that the pages are drawn from."""
    return {
        "station": benches.bench(lit=True),
        "safety": payloads.safety(state="ARMED", reports=[]),
        "queue": payloads.queue_state(),
        "counts": payloads.count_rates(),
        "histogram": payloads.slot_histogram(),
        "coincidences": payloads.coincidences(),
        "scan": payloads.scan_rows(),
        "key": payloads.key_progress(),
        "stores": payloads.store_states(),
        "learning": payloads.learning_progress(),
        "qpu": payloads.qpu_jobs(),
    }


def changed(number: int) -> dict[str, Any]:
    """Return the same payloads with other numbers in everything that changes while there is light."""
    rates = np.array([82_000.0, 1_250.0]) * (1 + 0.2 * np.sin(number))
    blocks = tuple(payloads.block_figures(block=at, qber_x=0.01 + 0.001 * ((number + at) % 7)) for at in range(max(1, number % 40), number % 40 + 4))
    round_ = 3 + number % 17
    curve = np.linspace(0.7, 0.2, round_)
    learning = payloads.learning_progress(round=round_, loss=curve, accuracy=1 - curve, key_bits={"A-B": np.full(round_, 24_576 + number)})
    return {
        "station": benches.bench(lit=True, attenuation_db=20.0 + number % 30),
        "safety": payloads.safety(state="ARMED", reports=[]),
        "queue": payloads.queue_state(rows=(payloads.queue_row(progress=(number % 100) / 100, eta_s=float(number % 100)),)),
        "counts": payloads.count_rates(t_s=0.1 * number, rates_hz=rates, tags=1000 * number),
        "histogram": payloads.slot_histogram(counts=np.roll(payloads.slot_histogram().counts, number, axis=1)),
        "coincidences": payloads.coincidences(counts=payloads.coincidences().counts + np.uint32(number)),
        "scan": payloads.scan_rows(rows=payloads.scan_rows().rows[: 2 + number % 39]),
        "key": payloads.key_progress(progress=(number % 100) / 100, n_x=1000.0 * number, blocks=blocks),
        "stores": payloads.store_states(stores=tuple(replace(one, spendable=196_608 - 100 * (number % 1000)) for one in payloads.store_states().stores)),
        "learning": learning,
        "qpu": payloads.qpu_jobs(spent=0.01 * number),
        "event": payloads.event(number=number + 100, text=f"event {number}"),
    }


def tell(window: Window, told: dict[str, Any]) -> None:
    """Let the owner say something, and draw it."""
    for topic, payload in told.items():
        window.desk.inject(topic, payload)
    window.tick.tick()


@contextlib.contextmanager
def made_by_hand(folder: Path, qapp: QApplication, *, size: tuple[int, int] = SIZE, choice: str = "light", text: int = 100) -> Iterator[Window]:
    """The window with all its pages and no bench: `window.desk.answers` answers, `window.safety.guard.n` counts presses."""
    font = qapp.font()
    qapp.setStyle("Fusion")
    desk = OfflineDesk(QSettings(str(folder / "window.ini"), QSettings.Format.IniFormat))
    desk.answers.replies |= REPLIES
    desk.settings.setValue("appearance/theme", choice)
    desk.settings.setValue("appearance/text", text)
    window = Window(desk)
    desk.station = folder / "station.toml"
    desk.set_connected(True)
    window.tabs.show()
    window.safety.guard = Presses()  # type: ignore[assignment]
    window.tick._timer.stop()
    window.resize(*size)
    window.show()
    window.activateWindow()
    desk._threads = True
    try:
        yield window
    finally:
        window.leave()
        window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        theme.apply(qapp, theme.LIGHT)
        qapp.setFont(font)
        qapp.setStyleSheet("")


@contextlib.contextmanager
def opened(folder: Path, qapp: QApplication, *, size: tuple[int, int] = SIZE) -> Iterator[Day]:
    """A window as the program opens it, and somebody in front of it."""
    font = qapp.font()
    qapp.setStyle("Fusion")
    window = Window(Desk(settings=QSettings(str(folder / "window.ini"), QSettings.Format.IniFormat)))
    window.set_theme("light")
    window.resize(*size)
    window.show()
    window.activateWindow()
    try:
        yield Day(window)
    finally:
        window.leave()
        window.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        theme.apply(qapp, theme.LIGHT)
        qapp.setFont(font)
        qapp.setStyleSheet("")


def stores_of(folder: Path, pairs: tuple[str, ...] = ("A-B", "A-C", "B-C"), bits: int = 400_000) -> None:
    """Put simulated key into the stores of pairs, as if it had been exchanged before."""
    provenance = Provenance(True, ("simulated light",))
    statement = SecurityStatement((), (), 3e-10, 0, provenance)
    parties = {name: open_party(folder, name) for name in "ABC"}
    for number, (a, b) in enumerate(itertools.combinations("ABC", 2)):
        made = link(parties[a], parties[b])
        if f"{a}-{b}" in pairs:
            material = np.random.default_rng(number).integers(0, 256, bits // 8, dtype=np.uint8)
            made.ingest(*(KeyBlock(made.pair, 0, material.copy(), bits, statement, provenance) for _ in range(2)))
        made.close()


class Truth:
    """What a simulated bench really does, whatever anybody says."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def now(self) -> dict[str, Any]:
        return truth.ask(self._socket)

    @property
    def lit(self) -> bool:
        told = self.now()
        return bool(told["emission"]) and all(abs(one) > PARKED_A for one in told["bias_a"])

    @property
    def safe(self) -> bool:
        told = self.now()
        return not told["emission"] and not told["enabled"] and all(abs(one) <= PARKED_A for one in told["bias_a"])

    def safe_within(self, since: float, limit_s: float) -> float:
        """Wait until it is safe, and return how long that took since a monotonic time."""
        took = dark_after(self._socket, since, limit_s)
        assert self.safe
        return took


@contextlib.contextmanager
def simulated(folder: Path, text: bytes | None = None, *faults: str) -> Iterator[tuple[Path, Truth]]:
    """A simulated bench in a process of its own, which outlives its owners: station file, and what it really does."""
    folder.mkdir(parents=True, exist_ok=True)
    station = folder / "station.toml"
    station.write_bytes(text or default_text())
    command = [sys.executable, "-m", "heliograph", "bench", "serve", "--station", str(station), "--truth", str(folder / "truth")]
    with subprocess.Popen([*command, *(word for fault in faults for word in ("--fault", fault))], stdout=subprocess.PIPE, text=True) as bench:
        try:
            assert bench.stdout is not None
            assert json.loads(bench.stdout.readline())["pid"] == bench.pid
            yield station, Truth(folder / "truth")
            assert bench.poll() is None
        finally:
            bench.terminate()


def waited_s() -> float:
    """Return how long this thread was ready to go on, but others held the processors; 0 where the system does not tell."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class Beat(QObject):
    """Notes how long the event loop was busy between two looks at it, ten milliseconds apart; what it waited for a processor is not counted."""

    def __init__(self) -> None:
        super().__init__()
        self.late_ms: list[float] = [0.0]
        self._last = time.perf_counter() - waited_s()
        self.startTimer(10, Qt.TimerType.PreciseTimer)

    def timerEvent(self, event: QTimerEvent) -> None:  # noqa: N802
        now = time.perf_counter() - waited_s()
        self.late_ms.append((now - self._last) * 1e3 - 10.0)
        self._last = now


def longest_block_ms(day: Day, station: Path, seconds: float) -> float:
    """Stop the simulated instruments, then the owner, for so long each, while the window asks for things; return the longest that it heard no key."""
    found = find(station)
    assert found is not None
    owner = int(day.desk.latest("safety")["owner"])
    day.go("bench")
    QTest.qWait(1500)
    beat = Beat()
    for pid in (found.pid, owner):
        os.kill(pid, signal.SIGSTOP)
        try:
            for topic in ("reread", "snapshot", "status", "queue"):
                day.desk.ask(topic, failed=lambda _: None)
            day.person.key(Qt.Key.Key_F5)
            QTest.qWait(round(seconds * 1000))
        finally:
            os.kill(pid, signal.SIGCONT)
    return max(beat.late_ms)


def page_of(window: Window, name: str) -> QWidget:
    """Show a page and return it."""
    window.show_page(name)
    page = window.page
    assert page is not None
    assert name == page.NAME
    return page
