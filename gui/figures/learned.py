"""A learning run: loss and accuracy by round, key by round and pair, and the clients."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QBrush, QColor
from PySide6.QtWidgets import QApplication, QProgressBar, QVBoxLayout, QWidget

from ...control.topics import LearningProgress
from .. import theme, words
from ..badges import Badge, Value, plain
from ..guarded import guarded
from ..plots import Chart
from ..tables import Cell, Column, Table
from .facts import Lines
from .gauge import bits
from .live import LiveChart
from .room import whole_ticks, with_names

Floats = NDArray[np.float64]
SHARED = "shared model"
_PATTERNS = (
    Qt.BrushStyle.SolidPattern,
    Qt.BrushStyle.BDiagPattern,
    Qt.BrushStyle.Dense4Pattern,
    Qt.BrushStyle.DiagCrossPattern,
    Qt.BrushStyle.HorPattern,
)
_CHECKED = {
    None: ("unknown", "not compared with the plain sums"),
    True: ("good", "equal to the plain sums, word for word"),
    False: ("fault", "NOT equal to the plain sums"),
}
_MOST_CLIENTS = 4
"""Whose curves are drawn; the table has all of them. There are five looks, and sixteen curves on a page."""


class RoundChart(LiveChart):
    """One figure of the shared model and of each client, by round."""

    def __init__(self, name: str, unit: str = "") -> None:
        super().__init__(name, x="Round", y=name, y_unit=unit, si=False, ends_right=True)
        self._scale = 100.0 if unit == "%" else 1.0

    @guarded
    def show_rounds(self, shared: Floats, clients: dict[str, Floats], rounds: int) -> None:
        """Draw the shared model, and at most four clients."""
        drawn = {SHARED: shared, **{f"client {name}": values for name, values in list(clients.items())[:_MOST_CLIENTS]}}
        self.drop_curves(list(drawn))
        for series, (name, values) in enumerate(drawn.items()):
            self.set_curve(name, np.arange(1, len(values) + 1), self._scale * values, series=series, points=True)
        _count_rounds(self, rounds, max(len(values) for values in drawn.values()), drawn)
        known = np.concatenate([self._scale * values[np.isfinite(values)] for values in drawn.values()])
        if known.size:
            low, high = float(known.min()), float(known.max())
            room = max(0.12 * (high - low), 0.02 * abs(high), 1e-3)
            self.set_ranges(y=(low - room, high + room))


class KeyBars(LiveChart):
    """Key that each round used, stacked by pair."""

    def __init__(self) -> None:
        self._bars: dict[str, pg.BarGraphItem] = {}
        self._key: dict[str, NDArray[np.int64]] = {}
        super().__init__("Key by round", x="Round", y="Key", y_unit="bit", si=False)
        self._names: dict[str, pg.TextItem] = {}
        self.describe_by(self._told)

    @guarded
    def show_key(self, key: dict[str, NDArray[np.int64]], rounds: int) -> None:
        """Draw a bar for each round."""
        if list(key) != list(self._bars):
            self._begin(list(key))
        self._key = key
        longest = max((len(values) for values in key.values()), default=0)
        base = np.zeros(longest)
        for name, values in key.items():
            heights = np.zeros(longest)
            heights[: len(values)] = values
            self._bars[name].setOpts(x=np.arange(1, longest + 1), y0=base, height=heights, width=0.7)
            if longest:
                self._names[name].setPos(longest + 0.4, float(base[-1] + heights[-1] / 2.0))
            base = base + heights
        _count_rounds(self, rounds, longest, key)
        self.set_ranges(y=(0.0, 1.15 * float(base.max(initial=1.0)) or 1.0))
        self._summarise()

    def _begin(self, names: list[str]) -> None:
        for bars in self._bars.values():
            self.plot.removeItem(bars)
        for label in self._names.values():
            self.plot.removeItem(label)
        self._bars = {name: pg.BarGraphItem(x=[], y0=[], height=[], width=0.7) for name in names}
        self._names = {name: pg.TextItem(f" {name}", anchor=(0, 0.5)) for name in names}
        for item in (*self._bars.values(), *self._names.values()):
            self.plot.addItem(item, ignoreBounds=True)
        self.retheme()

    def retheme(self) -> None:
        """Take the colours and the text size of the present theme."""
        super().retheme()
        now = theme.current()
        for at, bars in enumerate(self._bars.values()):
            colour = QColor(now.muted if self._stale else now.series[at % 5])
            bars.setOpts(brush=QBrush(colour, _PATTERNS[at % 5]), pen=pg.mkPen(colour))
        for at, label in enumerate(self._names.values()):
            label.setColor(QColor(now.muted if self._stale else now.series[at % 5]))
            label.setFont(QApplication.font())

    def _told(self) -> str:
        parts = [
            f"{pair} {bits(float(values.sum()))} in {len(values)} rounds, last {bits(float(values[-1]))}" for pair, values in self._key.items() if len(values)
        ]
        return "; ".join(parts) or "no round yet"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return a row for each round."""
        longest = max((len(values) for values in self._key.values()), default=0)
        cells = [[words.count(float(values[at])) if at < len(values) else words.UNKNOWN for values in self._key.values()] for at in range(longest)]
        return ["round", *(f"{pair} (bit)" for pair in self._key)], [[str(at + 1), *row] for at, row in enumerate(cells)]


def _count_rounds(chart: Chart, rounds: int, done: int, names: Iterable[str]) -> None:
    """Mark whole rounds on the axis, with room for all that are to come, and for the names of the curves after the last one that is over."""
    whole_ticks(chart, 1, max(1, rounds))
    needed = with_names(chart, 0.4, done + 0.4, names)[1]
    chart.set_ranges(x=(0.4, max(rounds + 0.6, needed)))


class Task(Lines):
    """What is learnt, how far it is, what the stores still pay for, and whether the masks were checked."""

    def __init__(self) -> None:
        super().__init__("Learning task")
        self.state, self.origin, self.masks = Badge("Learning", "idle"), Badge("Keys and data", "unknown"), Badge("Masked sums", "unknown")
        self.task, self.rounds, self.left = Value("Task"), Value("Round"), Value("Rounds left in the store")
        self.accuracy, self.loss = Value("Accuracy of the shared model"), Value("Loss of the shared model")
        self.bar = QProgressBar()
        self.bar.setFormat("%p %")
        self.bar.setMinimumHeight(24)
        self.bar.setAccessibleName("Progress of the rounds")
        self.compared, self.why = Value("Masked sums compared"), plain(wrap=True)
        self.compared.setWordWrap(True)
        lines = (
            ("Task", self.task), ("State", self.state), ("Round", self.rounds), ("Progress", self.bar), ("Accuracy", self.accuracy), ("Loss", self.loss),
            ("Rounds left", self.left), ("Keys", self.origin), ("Masked sums", self.masks),
        )  # fmt: skip
        for name, widget in lines:
            self.add_line(name, widget)
        self.add_wide(self.compared)
        self.add_wide(self.why)

    @guarded
    def show_progress(self, now: LearningProgress) -> None:
        """Show where it stands."""
        self.task.show_text(now.task)
        self.state.set_state(now.state)
        self.rounds.show_text(f"{now.round} of {now.rounds}")
        self.bar.setRange(0, max(1, now.rounds))
        self.bar.setValue(now.round)
        self.accuracy.show_text(words.percent(_last(now.accuracy)))
        self.loss.show_text(words.quantity(_last(now.loss)))
        self.left.show_text(words.UNKNOWN if now.rounds_left is None else f"{words.count(now.rounds_left)} in the store")
        word, text = _CHECKED[now.unmasked_equal]
        self.masks.set_state(word)
        self.compared.show_text(text)
        self.origin.set_state("simulated" if now.simulated else "real")
        self.why.setText(now.why)
        self.why.setVisible(bool(now.why))


def _last(values: Floats) -> float | None:
    return float(values[-1]) if len(values) else None


class Clients(QWidget):
    """Who takes part, and what each found in its last round."""

    def __init__(self) -> None:
        super().__init__()
        number = [Column(one, number=True) for one in ("samples", "loss", "accuracy")]
        self.table = Table("Clients", ["client", "present", *number])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)

    @guarded
    def show_clients(self, now: LearningProgress) -> None:
        """Show every client."""
        rows: list[list[str | Cell]] = []
        for one in now.clients:
            word = "present" if one.present else "absent"
            found = [words.quantity(_last(one.loss)), words.percent(_last(one.accuracy))]
            rows.append([one.name, Cell(word, word=word), words.count(one.samples), *found])
        self.table.set_rows(rows, [one.name for one in now.clients])
