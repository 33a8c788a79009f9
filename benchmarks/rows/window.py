"""The operator's window: how often it can draw, and how much time of a processor a tick of each page takes."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..harness import Figures, row

FRAMES = 100
TARGET_MS = {"bench": 15.0, "acquire": 35.0, "key": 25.0, "learning": 25.0, "queue": 25.0, "log": 25.0, "runs": 25.0}
"""Of a tick of each page, paint included; of those that the specification names."""
BLOCKED_MS = 100.0


def application() -> Any:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from heliograph.gui.app import application as made

    return made()


@row("window_redraws", peer="asked for", unit="1/s")
def window_redraws() -> Figures:
    """Six charts of 2,000 points and an image of 128 x 128, drawn anew back to back."""
    app = application()
    from PySide6.QtWidgets import QGridLayout, QWidget

    from heliograph.gui.plots import Chart

    whole = QWidget()
    grid = QGridLayout(whole)
    charts = [Chart(f"Chart {number}", x="Time", x_unit="s", y="Rate", y_unit="Hz") for number in range(6)]
    image = Chart("Density", x="I", y="Q")
    for at, chart in enumerate([*charts, image]):
        grid.addWidget(chart, at // 3, at % 3)
    whole.resize(1200, 800)
    whole.show()
    x, chance = np.linspace(0, 10, 2000), np.random.default_rng(1)
    curves, density = chance.normal(0, 1, (8, 2000)), chance.integers(0, 100, (8, 128, 128))

    def frame(number: int) -> None:
        for at, chart in enumerate(charts):
            chart.set_curve("rate", x, curves[(number + at) % 8])
        image.set_image(density[number % 8], x=(-4, 4), y=(-4, 4))
        whole.repaint()
        app.processEvents()

    for number in range(10):
        frame(number)
    begun = time.process_time()
    for number in range(FRAMES):
        frame(number)
    return Figures(FRAMES / (time.process_time() - begun), 20.0)


def page_ms(name: str) -> float:
    """Return the median of a tick of a page with all its data changed, and the paint after it."""
    app = application()
    from heliograph.tests.gui.operating import changed, made_by_hand, page_of, tell

    with tempfile.TemporaryDirectory() as folder, made_by_hand(Path(folder), app, size=(1600, 1000)) as window:
        page_of(window, name)
        took = []
        for number in range(60):
            told = changed(number)
            begun = time.process_time()
            tell(window, told)
            app.processEvents()
            took.append((time.process_time() - begun) * 1e3)
        return statistics.median(took[10:])


def _page_row(name: str) -> Callable[[], Figures]:
    def measured() -> Figures:
        return Figures(page_ms(name), TARGET_MS[name], smaller_is_better=True)

    return measured


for _name in TARGET_MS:
    row(f"window_page_{_name}", peer="target", unit="ms")(_page_row(_name))
