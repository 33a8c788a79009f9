"""When clicks arrive within the slot, and the gates, which can be dragged or typed."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget
from shiboken6 import isValid

from ...control.topics import SlotHistogram, Source
from .. import words
from ..badges import Badge, plain
from ..flow import Flow
from ..guarded import guarded
from ..quantity import PENDING_S, QuantityEdit, settle_in_time
from .live import LiveChart
from .room import with_labels

_CLOSE_PS = 1.0
"""Two gates that differ by less are the same."""
_LEAST_LINES = 14
"""Height of the chart in lines of text, in which the names of its axes are whole."""


class GateRow:
    """One gate in fields: from, to, and width, which moves its end; and whether what was asked for is confirmed.

    moved: called with both ends, ps, when another gate is asked for.  redraw: called when another one is `shown`.
    """

    def __init__(self, name: str, moved: Callable[[float, float], None], redraw: Callable[[], None]) -> None:
        self.name, self._moved, self._redraw = name, moved, redraw
        self._gate, self._slot_ps = (0.0, 0.0), 0.0
        self._wanted: tuple[tuple[float, float], float] | None = None
        self.title = plain(f"Gate {name}")
        self.low, self.high, self.width = (QuantityEdit(f"Gate {name}, {end}", "s", source="slot") for end in ("from", "to", "width"))
        self.state = Badge(f"Gate {name}", "live")
        self.state.hide()
        self.retheme()
        self.low.entered.connect(lambda value: self.ask(value * 1e12, self._gate[1]))
        self.high.entered.connect(lambda value: self.ask(self._gate[0], value * 1e12))
        self.width.entered.connect(lambda value: self.ask(self._gate[0], self._gate[0] + value * 1e12))

    def widgets(self) -> tuple[QWidget, ...]:
        """Return what stands in the row."""
        return self.title, self.low, plain("to"), self.high, plain("width"), self.width, self.state

    def retheme(self) -> None:
        """Take another text size: seven characters fit."""
        for edit in (self.low, self.high, self.width):
            edit.setFixedWidth(edit.fontMetrics().horizontalAdvance("-00000 ps ") + 8)

    def set_stale(self, stale: bool) -> None:
        """Grey the gate while it may be out of date."""
        for edit in (self.low, self.high, self.width):
            edit.grey(stale)

    def shown(self) -> tuple[float, float]:
        """Return the gate to draw, ps: what was asked for while the owner has not answered, else what holds."""
        return self._wanted[0] if self._wanted is not None else self._gate

    def show_gate(self, gate: tuple[float, float], slot_ps: float) -> None:
        """Take what the owner says."""
        if gate != self._gate and self._wanted is None:
            self._tell("live")
        self._gate, self._slot_ps = gate, slot_ps
        if self._wanted is not None and max(abs(one - other) for one, other in zip(self._wanted[0], gate, strict=True)) < _CLOSE_PS:
            self._wanted = None
            self._tell("live")
        for edit in (self.low, self.high, self.width):
            # A gate may begin in the slot before, or end in the next one.
            edit.set_limits(*((0.0, slot_ps * 1e-12) if edit is self.width else (-slot_ps * 1e-12, 2e-12 * slot_ps)))
        self._fill()

    def _fill(self, *, anyhow: bool = False) -> None:
        """Write the gate that holds into the fields, but for what is being asked for or, unless anyhow, typed."""
        low, high = self._gate
        for edit, end in ((self.low, low), (self.high, high), (self.width, high - low)):
            if (anyhow or not edit.hasFocus()) and not edit.problem and self._wanted is None:
                edit.setText(f"{end:.0f} ps")

    def settle(self) -> bool:
        """Go back to the gate that holds where the other one is not confirmed in time; say whether anything is pending no longer."""
        if self._wanted is not None and time.monotonic() - self._wanted[1] > PENDING_S:
            self._wanted = None
            self._tell("suspect", f"not confirmed: {self._gate[0]:.0f} ps to {self._gate[1]:.0f} ps holds")
            self._fill()
            self._redraw()
        return self._wanted is None

    def _tell(self, word: str, detail: str = "") -> None:
        """Say what became of the gate that was asked for; one that holds needs no word."""
        self.state.set_state(word, detail)
        self.state.setVisible(word != "live")

    def ask(self, low: float, high: float) -> None:
        """Ask for another gate, ps, if it can be one."""
        if 0.0 < high - low <= self._slot_ps:
            self._wanted = ((low, high), time.monotonic())
            self._tell("pending")
            settle_in_time(self)
            self._moved(low, high)
        else:
            self._wanted = None
            self._tell("suspect", "not sent: it ends before it begins" if high <= low else "not sent: longer than a slot")
        self._redraw()

    def dragged(self, low_ns: float, high_ns: float) -> None:
        """Ask for the gate that the operator has dragged."""
        self.ask(low_ns * 1e3, high_ns * 1e3)

    def refuse(self) -> None:
        """Go back to the gate that holds: the owner refused the other one."""
        self._wanted = None
        # Meanwhile a replay may have begun, with gates of its own.
        if isValid(self.state):
            self._tell("live")
            self._fill(anyhow=True)
            self._redraw()


class Arrivals(QWidget):
    """The arrival histogram folded to the slot.  gate_asked: with name, low and high in ps, when the operator wants another gate."""

    gate_asked = Signal(str, float, float)

    def __init__(self) -> None:
        super().__init__()
        self.chart = LiveChart("Arrivals in the slot", x="Time in the slot", x_unit="ns", y="Counts per bin", si=False)
        self.chart.describe_by(self._told)
        self.rows: dict[str, GateRow] = {}
        self._now: SlotHistogram | None = None
        self._stale = False
        self._gates = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.chart, 1)
        layout.addLayout(self._gates)

    def least_height(self, width: int) -> int:
        """Return the height, pixels, in which chart and gates are whole; in a narrow place gates take more lines."""
        gates = self._gates.heightForWidth(width) if self._gates.hasHeightForWidth() else 0
        return self.fontMetrics().height() * _LEAST_LINES + max(0, self._gates.spacing()) + gates

    @guarded
    def show_histogram(self, now: SlotHistogram) -> None:
        """Draw what arrived lately."""
        self._now = now
        self.chart.set_source(now.source)
        edges = np.linspace(0.0, now.slot_ps * 1e-3, now.counts.shape[1] + 1)
        self.chart.drop_curves(now.names)
        for at, name in enumerate(now.names):
            self.chart.set_steps(name, edges, now.counts[at], series=at)
        # The names of the gates stand above the highest peak.
        self.chart.set_ranges(x=(0.0, now.slot_ps * 1e-3), y=with_labels(self.chart, 0.0, max(1.0, float(now.counts.max(initial=0))), 2.0))
        for name, gate in now.gates.items():
            row = self.rows.get(name) or self._add(name)
            row.show_gate(gate, now.slot_ps)
            self._draw_gate(name)

    def _draw_gate(self, name: str) -> None:
        row = self.rows.get(name)
        if row is not None:
            low, high = row.shown()
            self.chart.set_region(name, low * 1e-3, high * 1e-3, row.dragged, series=self._series(name))

    def forget(self, source: Source) -> None:
        """Take what is drawn away, and the gates with it."""
        self._now = None
        self.chart.clear()
        while self._gates.count():
            item = self._gates.takeAt(0)
            line = item.widget() if item is not None else None
            if line is not None:
                line.hide()
                line.deleteLater()
        self.rows.clear()
        self.chart.blank(source)

    def _series(self, name: str) -> int:
        return self._now.names.index(name) if self._now is not None and name in self._now.names else 2

    def _add(self, name: str) -> GateRow:
        row = self.rows[name] = GateRow(name, lambda low, high: self.gate_asked.emit(name, low, high), lambda: self._draw_gate(name))
        row.set_stale(self._stale)
        line = QWidget()
        flow = Flow(line)
        for widget in row.widgets():
            flow.addWidget(widget)
        self._gates.addWidget(line)
        return row

    def set_stale(self, stale: bool) -> None:
        """Grey the histogram and its gates while they may be out of date."""
        self._stale = stale
        self.chart.set_stale(stale)
        for row in self.rows.values():
            row.set_stale(stale)

    def retheme(self) -> None:
        """Take another text size."""
        for row in self.rows.values():
            row.retheme()

    def _told(self) -> str:
        now = self._now
        if now is None or not now.counts.size:
            return "no data yet"
        bin_ps = now.slot_ps / now.counts.shape[1]
        parts = []
        for name, counts in zip(now.names, now.counts, strict=True):
            inside = _share(counts, now.gates[name], bin_ps) if name in now.gates else None
            gate = f", {words.percent(inside)} in its gate" if inside is not None else ""
            parts.append(f"{name} peak at {(int(counts.argmax()) + 0.5) * bin_ps:.0f} ps{gate}")
        return "; ".join(parts)


def _share(counts: np.ndarray[tuple[int, ...], np.dtype[np.uint32]], gate: tuple[float, float], bin_ps: float) -> float | None:
    """Return the share of the counts in bins whose middle lies in a gate; None without counts."""
    after = ((np.arange(counts.size) + 0.5) * bin_ps - gate[0]) % (bin_ps * counts.size)
    total = int(counts.sum())
    return float(counts[after <= gate[1] - gate[0]].sum() / total) if total else None
