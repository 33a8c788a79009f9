"""The figures of a run from its file, in the widgets that show live ones; they are marked REPLAY."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QScrollArea, QWidget

from ...control.topics import REPLAYED, CountRates, KeyProgress, SlotHistogram
from ..badges import plain
from ..desk import Desk
from ..figures.areas import scrolled
from ..figures.arrivals import Arrivals
from ..figures.blocks import GainChart, QberChart, chosen
from ..figures.coincidences import CoincidenceMatrix
from ..figures.history import History
from ..figures.rates import RateBars, RateStrip
from ..figures.room import Refit
from ..figures.scan import Scan
from ..figures.stage import Stage
from ..guarded import guarded
from .overlay import Overlay

_LEAST_LINES = 15
"""Height of a figure in lines of text; of more figures than fit the rest is scrolled to."""
_LEAST_LETTERS = 44
_GAP_PX = 6
_GATE = "Found anew in the light of the run file, for this figure; no key is made with it."


class RunFigures(QScrollArea):
    """The figures that a run has, side by side."""

    def __init__(self, page: QObject, desk: Desk) -> None:
        super().__init__()
        self.setAccessibleName("Figures of the run")
        self.history = History()
        self.bars, self.strip, self.arrivals, self.matrix, self.scan = RateBars(), RateStrip(), Arrivals(), CoincidenceMatrix(), Scan()
        self.stage, self.qber, self.gain = Stage(), QberChart(), GainChart()
        self.both = Overlay()
        self._compared: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
        self._key: KeyProgress | None = None
        self._last: dict[str, Any] = {}
        charts = (self.scan.chart, self.bars, self.strip.chart, self.arrivals.chart, self.matrix.chart, self.qber, self.gain, *self.both.widgets.values())
        self._refit = Refit(page, desk, charts, self._draw_again)
        self._nothing = plain("Choose a run: its figures stand here.", wrap=True)
        self._all: dict[str, QWidget] = {
            "scan": self.scan, "bars": self.bars, "strip": self.strip, "histogram": self.arrivals, "coincidences": self.matrix,
            "stage": scrolled(self.stage), "qber": self.qber, "gain": self.gain, **self.both.widgets,
        }  # fmt: skip
        self._shown: list[str] = []
        self._columns = 0
        inside = self._inside = QWidget()
        for widget in (self._nothing, *self._all.values()):
            widget.setParent(inside)
        for widget in self._all.values():
            widget.hide()
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QScrollArea.Shape.NoFrame)
        self.arrivals.gate_asked.connect(self._keep_gate)
        self._notice = desk.notice
        desk.hear("counts", self._remember)

    def begin(self, why: str = "") -> None:
        """Take everything away.  why: what to say instead."""
        self.history = History()
        self._key = None
        self._last.clear()
        self._compared = None
        self._nothing.setText(why or "This run has no figures.")
        self._show([])

    @guarded
    def show_finals(self, finals: Mapping[str, Any]) -> None:
        """Show the last state of every topic of a run."""
        self.begin()
        if "counts" in finals:
            self._remember(finals["counts"])
        for topic in sorted(set(finals) & REPLAYED):
            self.show_topic(topic, finals[topic])

    @guarded
    def show_both(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
        """Show the last states of two runs in the same charts."""
        self.begin("These runs have no curves of the same kind: their numbers are in the comparison.")
        self._compared = one, other
        self._show(self.both.show_both(one, other))

    @guarded
    def show_topic(self, topic: str, payload: Any) -> None:
        """Draw what was replayed of a topic; what is live is not of this page."""
        if payload.source != "replay":
            return
        self._last[topic] = payload
        draw: dict[str, Callable[[Any], list[str]]] = {
            "counts": self._draw_counts,
            "histogram": self._draw_histogram,
            "coincidences": self._draw_matrix,
            "scan": self._draw_scan,
            "key": self._draw_key,
        }
        wanted = {*self._shown, *draw[topic](payload)}
        if wanted != set(self._shown):
            self._show([name for name in self._all if name in wanted])

    def _draw_again(self) -> None:
        """Draw once more in the room that there is now: texts take a part of it."""
        for topic, payload in list(self._last.items()):
            self.show_topic(topic, payload)
        if self._compared is not None:
            self.both.show_both(*self._compared)

    def _remember(self, now: CountRates) -> None:
        if now.source == "replay":
            self.history.add(now.run, now.source, now.t_s, now.names, now.rates_hz)

    def _draw_counts(self, now: CountRates) -> list[str]:
        self.bars.set_source(now.source)
        self.bars.show_rates(now)
        self.strip.show_history(self.history, now)
        # Of one moment there is nothing to be seen over time.
        return ["bars", "strip"] if self.history.seconds() > 0 else ["bars"]

    def _draw_histogram(self, now: SlotHistogram) -> list[str]:
        before = len(self.arrivals.rows)
        self.arrivals.show_histogram(now)
        if len(self.arrivals.rows) != before:
            # Once they are shown, lines of gates have a height.
            QTimer.singleShot(0, self, self._arrange)
        for row in self.arrivals.rows.values():
            for edit in (row.low, row.high, row.width):
                edit.setReadOnly(True)
                edit.setToolTip(_GATE)
        return ["histogram"]

    def _draw_matrix(self, now: Any) -> list[str]:
        self.matrix.show_coincidences(now)
        return ["coincidences"]

    def _draw_scan(self, now: Any) -> list[str]:
        self.scan.show_scan(now)
        return ["scan"]

    def _draw_key(self, now: KeyProgress) -> list[str]:
        self._key = now
        self.stage.show_progress(now)
        self._draw_blocks()
        return ["stage", "qber", "gain"] if now.blocks else ["stage"]

    def _draw_blocks(self) -> None:
        if self._key is not None and self._key.blocks:
            blocks = chosen(self._key, "")
            for chart in (self.qber, self.gain):
                chart.set_source(self._key.source)
            self.qber.show_blocks(blocks, self._key.limits)
            self.gain.show_blocks(blocks)

    def _keep_gate(self, name: str, _low: float, _high: float) -> None:
        self.arrivals.rows[name].refuse()
        self._notice("The gates of a replay are found in the light of its run file and cannot be moved; those of the bench are on the Acquire page.")

    # Where they stand

    def _show(self, names: list[str]) -> None:
        self._shown = names
        self._nothing.setVisible(not names)
        self._arrange()

    def _fits(self) -> int:
        """Return how many figures have room beside each other."""
        letters = self.fontMetrics().averageCharWidth() * _LEAST_LETTERS
        return max(1, min(3, self.viewport().width() // max(1, letters), len(self._shown)))

    def _arrange(self) -> None:
        """Put the figures into cells of one size, in rows of as many as have room; the last one takes what is left of its row.

        A layout of Qt would give each row the height that its figures would like.
        """
        self._columns, inside = self._fits(), self._inside
        rows = -(-len(self._shown) // self._columns)
        wide = self.viewport().width() // self._columns
        least = self.fontMetrics().height() * _LEAST_LINES
        if "histogram" in self._shown:
            least = max(least, self.arrivals.least_height(wide - _GAP_PX) + _GAP_PX)
        inside.setFixedHeight(max(self.viewport().height(), rows * least))
        self._nothing.setGeometry(0, 0, self.viewport().width(), self.fontMetrics().height() * 4)
        high = inside.height() // max(1, rows)
        for name, widget in self._all.items():
            widget.setVisible(name in self._shown)
        for at, name in enumerate(self._shown):
            left = at % self._columns
            cells = self._columns - left if at == len(self._shown) - 1 else 1
            self._all[name].setGeometry(left * wide, at // self._columns * high, cells * wide - _GAP_PX, high - _GAP_PX)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Share the room again."""
        super().resizeEvent(event)
        self._arrange()

    def retheme(self) -> None:
        """Take another text size."""
        self._arrange()
