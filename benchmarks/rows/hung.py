"""The window while a device hangs: the longest that its event loop is kept from a key."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..harness import Figures, row
from .window import BLOCKED_MS, application


@row("window_blocked_by_hung_bench", peer="limit", unit="ms")
def window_blocked_by_hung_bench() -> Figures:
    """The simulated instruments are stopped, then the owner, for three seconds each, while the page of the bench is shown and asked for things."""
    app = application()
    from heliograph.tests.gui.operating import longest_block_ms, opened, simulated

    with tempfile.TemporaryDirectory() as folder, simulated(Path(folder) / "bench") as (station, _), opened(Path(folder), app) as day:
        day.window.opening.open(station)
        day.wait_open()
        return Figures(longest_block_ms(day, station, 3.0), BLOCKED_MS, smaller_is_better=True)
