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

import numpy as np
import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from .operating import PAGES, longest_block_ms, opened, simulated

SOAK_S = float(os.environ.get("HELIOGRAPH_SOAK_S", "3600"))
WARM_S = min(1300.0, SOAK_S / 2)
"""Until every page has been seen, and the histories have been written once from end to end: they have room for twice their ten minutes."""
LOOK_S = 5.0
DAY_S = 86_400.0
BLOCKED_MS = 100.0


def memory_bytes() -> int:
    """Return what this process holds in memory, what is free in its heap left out: this comes and goes by megabytes."""
    with contextlib.suppress(OSError, AttributeError):
        # Only glibc can give it back.
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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
        seen: list[tuple[float, int]] = []
        counts: list[tuple[int, int]] = []
        rates: list[float] = []
        trace: list[str] = []
        begun = time.monotonic()
        while (now := time.monotonic() - begun) < SOAK_S:
            if not any(row.state in ("queued", "starting", "running") for row in day.desk.latest("queue").rows if row.lane == "bench"):
                day.start("acquire", "Count rates", Duration="600", Pair="A-B")
            day.go(PAGES[len(trace) % len(PAGES)])
            QTest.qWait(round(LOOK_S * 1000))
            gc.collect()
            held_bytes = memory_bytes()
            rates.append(float(np.nansum(day.desk.latest("counts").rates_hz)))
            trace.append(f"{now:.0f} s {held_bytes / 1e6:.1f} MB")
            if now > WARM_S:
                seen.append((now, held_bytes))
                counts.append((threading.active_count(), handles()))
    t, held = np.array(seen, float).T
    slope = float(np.polyfit(t, held, 1)[0]) * DAY_S / held.mean()
    told = f"memory {held.mean() / 1e6:.0f} MB, {100 * slope:+.1f} % a day; threads, handles {counts[0]} to {counts[-1]}; {np.median(rates) / 1e6:.2f} Mcps\n"
    sys.stdout.write(", ".join(trace[:: max(1, len(trace) // 20)]) + "\n" + told)
    assert np.median(rates) > 0.9e6
    assert counts[-1][0] <= counts[0][0] + 1, told
    assert counts[-1][1] <= counts[0][1] + 3, told
    assert slope < 0.05, told
