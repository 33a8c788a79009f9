"""Acquire: what the detectors count, when clicks arrive, what a scan finds, and the panel that starts a measurement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QWidget

from ...control.topics import CountRates, ProcedureForm, Source
from .. import words
from ..desk import Desk
from ..figures.areas import arrange, scrolled
from ..figures.arrivals import Arrivals
from ..figures.coincidences import CoincidenceMatrix
from ..figures.history import History
from ..figures.inputs import Inputs
from ..figures.rates import RateBars, RateStrip
from ..figures.room import Refit
from ..figures.scan import Scan
from ..figures.start import StartPanel
from ..figures.throughput import Throughput
from ..strip import bench_row
from .page import Page

_LIVE = ("counts", "histogram", "coincidences")
"""Topics that are old after two seconds; a scan that is over stays what it is."""


class Acquire(Page):
    """Count rates, arrivals with their gates, scans, coincidences; procedures of the bench are started here."""

    NAME: ClassVar[str] = "acquire"
    TITLE: ClassVar[str] = "&Acquire"
    TOPICS: ClassVar[frozenset[str]] = frozenset({*_LIVE, "scan", "queue", "station"})
    BESIDE: ClassVar[frozenset[str]] = frozenset({"New run", "Inputs", "Recording"})

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.history = self._live = History()
        self.bars, self.strip, self.arrivals = RateBars(), RateStrip(), Arrivals()
        self.scan, self.matrix, self.throughput = Scan(), CoincidenceMatrix(), Throughput()
        self.inputs = Inputs(desk)
        self.start = StartPanel(desk, _measures, lambda row: row.lane == "bench", taken="Z")
        self._of_topic: dict[str, tuple[QWidget, ...]] = {
            "counts": (self.bars, self.strip.chart, *self.throughput.values()),
            "histogram": (self.arrivals,),
            "coincidences": (self.matrix.chart, self.matrix.table),
        }
        charts = (self.bars, self.strip.chart, self.arrivals.chart, self.scan.chart)
        self._refit = Refit(self, desk, charts, self._draw_again)
        self._old: dict[str, bool] = dict.fromkeys(_LIVE, False)
        self._lay_out()
        self.arrivals.gate_asked.connect(self._ask_gate)
        self.start.add_actions(self)
        self.action("Go to the &inputs (bias, thresholds, delays)", self._go_to_inputs, "Ctrl+Alt+N")
        self.toggle("&Zoom to the rates", self.strip.zoom, "Ctrl+Shift+Z")
        desk.hear("counts", self._keep)
        desk.ticked.connect(self._look_at_the_clock)
        desk.replay_changed.connect(self._begin_anew)

    def _lay_out(self) -> None:
        self._docks: dict[str, QDockWidget] = {
            "New run": self.panel("New run", scrolled(self.start)),
            "Inputs": self.panel("Inputs", scrolled(self.inputs)),
            "Recording": self.panel("Recording", scrolled(self.throughput)),
            "Count rates": self.panel("Count rates", self.bars),
            "Rates over time": self.panel("Rates over time", self.strip),
            "Arrivals": self.panel("Arrivals", self.arrivals),
            "Coincidences": self.panel("Coincidences", self.matrix),
            "Scan": self.panel("Scan", self.scan),
        }
        self.default_layout()

    def default_layout(self) -> None:
        """Start, the inputs behind it, and recording on the left; rates above arrivals, scan and coincidences on the right."""
        docks = self._docks
        rows = [[docks["Count rates"], docks["Rates over time"]], [docks["Arrivals"], docks["Scan"], docks["Coincidences"]]]
        if arrange(self, [docks["New run"], docks["Recording"]], rows, widths=[[300, 840], [460, 400, 280]], heights=[380, 520]):
            self.tabifyDockWidget(docks["New run"], docks["Inputs"])
            docks["New run"].raise_()

    def shown_first(self) -> None:
        """Ask what can be started."""
        self.start.reread()

    def _go_to_inputs(self) -> None:
        dock = self._docks["Inputs"]
        dock.show()
        dock.raise_()
        first = next((row.edit for group in self.inputs.groups.values() for row in group.rows.values()), None)
        (first or dock).setFocus(Qt.FocusReason.ShortcutFocusReason)

    def enqueue(self) -> None:
        """Start what the form says (Ctrl+Enter)."""
        self.start.enqueue()

    def wish(self, wanted: Any) -> None:
        """Fill the form: a mapping with `procedure` and `parameters`."""
        if wanted:
            self.start.choose(str(wanted["procedure"]), dict(wanted["parameters"]))

    def redraw(self, topic: str, payload: Any) -> None:
        """Draw what a topic says now; live figures and those of a replay never stand beside each other."""
        if topic not in ("queue", "station") and self.desk.is_stray(payload):
            return
        draw: dict[str, Callable[[Any], None]] = {
            "counts": self._draw_rates,
            "histogram": self.arrivals.show_histogram,
            "coincidences": self.matrix.show_coincidences,
            "scan": self.scan.show_scan,
            "queue": self.start.show_queue,
            "station": lambda now: self.inputs.show_station(now, self.desk.age_s("station") or 0.0),
        }
        draw[topic](payload)

    def _begin_anew(self) -> None:
        """Take all figures away: a replay begins, or is over."""
        source: Source = "replay" if self.desk.replaying else "live"
        for figure in (self.bars, self.strip, self.arrivals, self.matrix, self.scan):
            figure.forget(source)
        self.throughput.forget()
        # What the bench gave is there again after a replay.
        self.history = History() if self.desk.replaying else self._live
        self._look_at_the_clock()

    def _draw_again(self) -> None:
        """Draw once more in the room that there is now: texts take a part of it."""
        for topic in ("counts", "histogram", "scan"):
            now = self.desk.latest(topic)
            if now is not None:
                self.redraw(topic, now)

    def _keep(self, now: CountRates) -> None:
        if not self.desk.is_stray(now):
            self.history.add(now.run, now.source, now.t_s, now.names, now.rates_hz)

    def _draw_rates(self, now: CountRates) -> None:
        self.bars.set_source(now.source)
        self.bars.show_rates(now)
        self.strip.show_history(self.history, now)
        self.throughput.show_rates(now)

    def _ask_gate(self, name: str, low: float, high: float) -> None:
        row = self.arrivals.rows[name]

        def refused(error: Any) -> None:
            row.refuse()
            self.desk.notice(error)

        if self.desk.replaying:
            refused("The gates of a replay are found in its run file and cannot be moved; those of the bench can be once you are back to live.")
            return
        self.desk.ask("gates", {name: [low, high]}, failed=refused)

    def stale(self, stale: bool) -> None:
        """Grey everything, or all but what is old on its own."""
        super().stale(stale)
        for topic, old in self._old.items():
            self._grey(topic, stale or old)

    def _look_at_the_clock(self) -> None:
        if not self.can_be_seen():
            return
        for topic in _LIVE:
            age, now = self.desk.age_s(topic), self.desk.latest(topic)
            # Figures of a file do not grow old while its replay is shown, and where nothing is shown nothing is old.
            shown = now is not None and not self.desk.is_stray(now)
            old = age is not None and age > words.STALE_S and shown and now.source != "replay"
            if old != self._old[topic]:
                self._old[topic] = old
                self._grey(topic, self.is_stale or old)
        self._tell_age()

    def _tell_age(self) -> None:
        age, now = self.desk.age_s("counts"), self.desk.latest("counts")
        queue = self.desk.latest("queue")
        if now is None or self.desk.is_stray(now):
            self.throughput.show_age("replay" if self.desk.replaying else "unknown", None)
        elif self._old["counts"] and queue is not None and bench_row(queue) is None and not self.is_stale:
            self.throughput.show_over()
        else:
            self.throughput.show_age("stale" if self.is_stale or self._old["counts"] else now.source, age)

    def _grey(self, topic: str, old: bool) -> None:
        for widget in self._of_topic[topic]:
            widget.set_stale(old)  # type: ignore[attr-defined]


def _measures(form: ProcedureForm) -> bool:
    """Say whether a procedure is started here: those that make key or learn have pages of their own."""
    return form.lane == "bench" and form.name != "KeyExchange"
