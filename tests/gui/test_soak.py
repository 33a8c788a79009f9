"""The window for a long time at a million counts a second: no memory, thread or handle is lost, and the event loop is free also while a device hangs.

HELIOGRAPH_SOAK_S sets how long the soak lasts, seconds; an hour without it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from .operating import PAGES, longest_block_ms, opened, simulated

SOAK_S = float(os.environ.get("HELIOGRAPH_SOAK_S", "3600"))
WARM_S = min(1300.0, SOAK_S / 2)
"""Until every page has been seen, and the histories have been written once from end to end: they have room for twice their ten minutes."""
LOOK_S = 5.0
RUN = {"Duration": "100000", "Period": "0.01", "Pair": "A-B"}
"""One run for all of it, hours of bench time: what a run shows grows until its curves have all the points that they may have, and begins anew with the next."""
DAY_S = 86_400.0
OWNER_SLOPE = 0.5
"""By how much of itself the owner may grow a day while a run goes on: HDF5 keeps the index of what the run wrote.

Handlers that links left in the log made it 640 %.
"""
BLOCKED_MS = 100.0


def memory_bytes() -> int:
    """Return what this process holds in memory, what is free in its heap left out: this comes and goes by megabytes."""
    with contextlib.suppress(OSError, AttributeError):
        # Only glibc can give it back.
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def owner_bytes(day: Any) -> int:
    """Return what the process that owns the bench holds in memory."""
    return int(Path(f"/proc/{day.window.opening.owner.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def slope_a_day(t: NDArray[np.float64], held: NDArray[np.float64]) -> float:
    """Return by how much of itself memory grows a day: the least of each round through the pages, for each page holds pictures of its own while it is shown."""
    n = len(PAGES)
    rounds = t.size // n
    least, middle = held[: rounds * n].reshape(rounds, n).min(axis=1), t[: rounds * n].reshape(rounds, n).mean(axis=1)
    return float(np.polyfit(middle, least, 1)[0]) * DAY_S / float(least.mean())


@pytest.mark.slow
def test_the_event_loop_is_free_while_a_device_and_the_owner_hang(qapp: QApplication, tmp_path: Path) -> None:
    with simulated(tmp_path / "bench") as (station, _), opened(tmp_path, qapp) as day:
        day.window.opening.open(station)
        day.wait_open()
        assert longest_block_ms(day, station, 2.5) < BLOCKED_MS


@pytest.mark.slow
@pytest.mark.timeout(SOAK_S + 600)
def test_a_long_soak_loses_no_memory_thread_or_handle(qapp: QApplication, tmp_path: Path) -> None:
    with opened(tmp_path, qapp) as day:
        day.begin(tmp_path / "demo")
        day.put_first_steps_away()
        day.arm()
        # With room for all of it from the start: what is written down here is memory, too.
        looks, n = np.zeros((round(SOAK_S / LOOK_S) + 1, 6)), 0
        begun = time.monotonic()
        while (now := time.monotonic() - begun) < SOAK_S:
            if not any(row.state in ("queued", "starting", "running") for row in day.desk.latest("queue").rows if row.lane == "bench"):
                day.start("acquire", "Count rates", **RUN)
            day.go(PAGES[n % len(PAGES)])
            QTest.qWait(round(LOOK_S * 1000))
            assert day.desk.is_connected, "the bench was lost"
            gc.collect()
            looks[n] = now, memory_bytes(), np.nansum(day.desk.latest("counts").rates_hz), threading.active_count(), handles(), owner_bytes(day)
            n += 1
    warm = looks[np.searchsorted(looks[:n, 0], WARM_S) : n]
    slope, rate = slope_a_day(warm[:, 0], warm[:, 1]), np.median(looks[:n, 2])
    owners = slope_a_day(warm[:, 0], warm[:, 5])
    (threads, files), (more_threads, more_files) = warm[0, 3:5], warm[-1, 3:5]
    lost = f"threads {threads:.0f} to {more_threads:.0f}, handles {files:.0f} to {more_files:.0f}"
    told = (
        f"memory {warm[:, 1].mean() / 1e6:.0f} MB, {100 * slope:+.1f} % a day; its owner {warm[:, 5].mean() / 1e6:.0f} MB, {100 * owners:+.1f} % a day; {lost}"
    )
    trace = ", ".join(f"{t:.0f} s {held / 1e6:.1f} and {owner / 1e6:.1f} MB" for t, held, owner in looks[: n : max(1, n // 20), (0, 1, 5)])
    sys.stdout.write(f"{trace}\n{told}; {rate / 1e6:.2f} Mcps\n")
    assert rate > 0.9e6
    assert more_threads <= threads + 1, told
    assert more_files <= files + 3, told
    assert slope < 0.05, told
    assert owners < OWNER_SLOPE, told
