"""Key: error rates, gain and key rate by block, what a block still needs, the stores and what was spent of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from PySide6.QtWidgets import QComboBox, QDockWidget, QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from shiboken6 import isValid

from ...control.topics import KeyProgress, ProcedureForm, QueueRow, QueueState, Source, StationState
from .. import words
from ..badges import plain
from ..desk import Desk
from ..figures.areas import arrange, scrolled
from ..figures.blocks import GainChart, KeyRateChart, QberChart, chosen, pairs
from ..figures.key_report import report, report_csv, report_html
from ..figures.room import Refit
from ..figures.saving import ask_and_write
from ..figures.stage import NOT_REPLAYED, BlockTables, Stage
from ..figures.start import StartPanel
from ..figures.stores import Debits, Stores
from ..figures.visibility import visibilities
from .page import Page

_STARTED_HERE = ("KeyExchange", "Distil")
_LAST = "latest"
_GOES_ON = ("light", "sifting", "correcting", "amplifying")


class MorePanel(Protocol):
    """One panel more of this page, such as the state of the key management of each link.

    NAME: title of the panel.  TOPICS: that it is drawn for, by `redraw`.
    """

    NAME: ClassVar[str]
    TOPICS: ClassVar[frozenset[str]]

    def widget(self) -> QWidget:
        """Return what stands in the panel."""
        ...

    def redraw(self, topic: str, payload: Any) -> None:
        """Draw what a topic says now."""
        ...


class Key(Page):
    """Key exchange as it goes on, and what became of the key.

    MORE: makers of further panels, which get the desk; each is one line here.
    """

    NAME: ClassVar[str] = "key"
    TITLE: ClassVar[str] = "&Key"
    MORE: ClassVar[tuple[Callable[[Desk], MorePanel], ...]] = ()
    TOPICS: ClassVar[frozenset[str]] = frozenset({"key", "stores", "queue", "station"})
    BESIDE: ClassVar[frozenset[str]] = frozenset({"New run", "Stage"})

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.stage, self.tables = Stage(), BlockTables()
        self.qber, self.gain, self.rate = QberChart(), GainChart(), KeyRateChart()
        self.stores, self.debits = Stores(), Debits()
        self.start = StartPanel(desk, _started_here, lambda row: row.procedure in _STARTED_HERE, pausing=True, taken="FRX")
        self._refit = Refit(self, desk, (self.qber, self.gain, self.rate), self._draw_again)
        self.pair, self.export = QComboBox(), QPushButton("E&xport report")
        self._drawn: Any = None
        self._over = False
        self._asking: QWidget | None = None
        self.more = [make(desk) for make in self.MORE]
        self.TOPICS = frozenset().union(type(self).TOPICS, *(one.TOPICS for one in self.more))  # type: ignore[misc]
        self._lay_out()
        desk.replay_changed.connect(self._begin_anew)
        desk.ticked.connect(self._tell_age)
        desk.hear("key", lambda now: None if desk.is_stray(now) else self.stage.note(now))
        self.start.add_actions(self)
        self.action("Export report", self.export_report, "Ctrl+Shift+E")

    def _lay_out(self) -> None:
        self.pair.setAccessibleName("Pair of the charts")
        self.pair.addItem(_LAST, "")
        self.pair.setMinimumHeight(24)
        self.pair.setMinimumContentsLength(8)
        self.pair.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.pair.currentIndexChanged.connect(lambda _: self._draw_blocks(self._latest()))
        self.export.setMinimumHeight(24)
        self.export.clicked.connect(self.export_report)
        self._docks: dict[str, QDockWidget] = {
            "New run": self.panel("New run", scrolled(self.start)),
            "Stage": self.panel("Stage", scrolled(self.stage)),
            "QBER": self.panel("QBER", self._with_choice()),
            "Gain": self.panel("Gain", self.gain),
            "Key rate": self.panel("Key rate", self.rate),
            "Last block": self.panel("Last block", scrolled(self.tables)),
            "Key stores": self.panel("Key stores", self.stores),
            "Debits": self.panel("Debits", self._with_export()),
        }
        for one in self.more:
            self._docks[one.NAME] = self.panel(one.NAME, one.widget())
        self.default_layout()

    def _with_choice(self) -> QWidget:
        line = QHBoxLayout()
        line.addWidget(plain("Pai&r", buddy=self.pair))
        line.addWidget(self.pair, 1)
        return _stacked(line, self.qber)

    def _with_export(self) -> QWidget:
        line = QHBoxLayout()
        line.addStretch(1)
        line.addWidget(self.export)
        whole = _stacked(line, self.debits)
        layout = whole.layout()
        if isinstance(layout, QVBoxLayout):
            layout.setDirection(QVBoxLayout.Direction.BottomToTop)
        return whole

    def default_layout(self) -> None:
        """Start and stage on the left; charts above the last block, the stores and the debits on the right."""
        docks = self._docks
        rows = [[docks["QBER"], docks["Key rate"], docks["Gain"]], [docks["Last block"], docks["Key stores"]]]
        if arrange(self, [docks["New run"], docks["Stage"]], rows, widths=[[480, 390, 270], [400, 740]], heights=[320, 580]):
            for name in ("Debits", *(one.NAME for one in self.more)):
                self.tabifyDockWidget(docks["Key stores"], docks[name])
            docks["Key stores"].raise_()

    def shown_first(self) -> None:
        """Ask what can be started."""
        self.start.reread()

    def filter_field(self) -> QWidget | None:
        """Return the filter of the debits."""
        self._docks["Debits"].raise_()
        return self.debits.filter

    def enqueue(self) -> None:
        """Start what the form says (Ctrl+Enter)."""
        self.start.enqueue()

    def wish(self, wanted: Any) -> None:
        """Fill the form: a mapping with `procedure` and `parameters`."""
        if wanted:
            self.start.choose(str(wanted["procedure"]), dict(wanted["parameters"]))

    def redraw(self, topic: str, payload: Any) -> None:
        """Draw what a topic says now."""
        if topic == "key":
            if not self.desk.is_stray(payload):
                self._draw_key(payload)
        elif topic == "stores":
            self.stores.show_stores(payload)
            self.debits.show_stores(payload)
        elif topic == "queue":
            self.start.show_queue(payload)
        elif topic == "station":
            self._tell_visibility(self._latest())
        for one in self.more:
            if topic in one.TOPICS:
                one.redraw(topic, payload)

    def _begin_anew(self) -> None:
        """Take the figures of the key exchange away: a replay begins, or is over."""
        source: Source = "replay" if self.desk.replaying else "live"
        self.stage.show_progress(KeyProgress(source, "idle", why="no key exchange in this run" if self.desk.replaying else ""))
        self._draw_blocks(KeyProgress(source, "idle"))
        self._tell_visibility(None)

    def _tell_visibility(self, now: KeyProgress | None) -> None:
        """Tell that of the bench beside what is of the bench, and none beside a replay: a run file has none."""
        self.stage.show_visibility(visibilities(self.desk.latest("station"), now) if not self.desk.replaying else NOT_REPLAYED)

    def _draw_key(self, now: KeyProgress) -> None:
        self.stage.show_progress(now)
        self._tell_visibility(now)
        known = [self.pair.itemData(at) for at in range(1, self.pair.count())]
        for pair in pairs(now.blocks):
            if pair not in known:
                self.pair.addItem(pair, pair)
        self._draw_blocks(now)

    def _draw_blocks(self, now: KeyProgress | None) -> None:
        if now is None:
            return
        blocks = chosen(now, self.pair.currentData() or "")
        drawn = (now.blocks, now.source, now.limits, blocks[-1:])
        if drawn == self._drawn:
            return
        self._drawn = drawn
        for chart in (self.qber, self.gain, self.rate):
            chart.set_source(now.source)
        self.qber.show_blocks(blocks, now.limits)
        self.gain.show_blocks(blocks)
        self.rate.show_blocks(now.blocks)
        for chart, shown in ((self.qber, blocks), (self.gain, blocks), (self.rate, now.blocks)):
            if not shown:
                chart.blank(now.source)
        self.tables.show_block(blocks[-1] if blocks else None)

    def _draw_again(self) -> None:
        self._drawn = None
        self._draw_blocks(self._latest())

    def _tell_age(self) -> None:
        """Say how old the figures are: light is told of once a second, a step of the distillation may be silent; of what is over, that and since when."""
        if not self.can_be_seen():
            return
        now, age_s = self._latest(), self.desk.age_s("key")
        if now is None or now.source == "replay":
            self.stage.show_age("replay" if self.desk.replaying or now is not None else "unknown", None)
            return
        if not self.is_stale and (now.stage not in _GOES_ON or (age_s is not None and age_s > words.STALE_S and self._nobody_goes_on(now))):
            self.stage.show_over(now)
            self._over = True
            return
        if self._over and not self.is_stale:
            # Somebody goes on with it after all, as with light of which key is made later.
            self._over = False
            self.stage.show_progress(now)
        late = age_s is not None and age_s > words.STALE_S and now.stage == "light" and not any(not row.over for row in self._distilled(now))
        self.stage.show_age("stale" if self.is_stale or late else "live", age_s)

    def _nobody_goes_on(self, now: KeyProgress) -> bool:
        """Say whether the run or task that told this last is over: light of which no key is made, a distillation that was killed."""
        light = [row for row in self._rows("KeyExchange") if now.run in (row.path or "")] if now.stage == "light" else []
        told = [*light, *self._distilled(now)]
        return bool(told) and all(row.over for row in told)

    def _distilled(self, now: KeyProgress) -> list[QueueRow]:
        """Return the tasks that make key of this run, made it, or wait to."""
        return [row for row in self._rows("Distil") if now.run in row.parameters.get("run", "")]

    def _rows(self, procedure: str) -> list[QueueRow]:
        queue: QueueState | None = self.desk.latest("queue")
        return [row for row in queue.rows if row.procedure == procedure] if queue is not None else []

    def _latest(self) -> KeyProgress | None:
        now: KeyProgress | None = self.desk.latest("key")
        return now if now is not None and not self.desk.is_stray(now) else None

    def export_report(self) -> None:
        """Write what this page shows into a file that is asked for."""

        def mode() -> str:
            station: StationState | None = self.desk.latest("station")
            return station.mode if station is not None else ""

        def text() -> str:
            return report(self._latest(), self.desk.latest("stores"), mode=mode())

        others = {
            ".html": ("Page of HTML", lambda: report_html(self._latest(), self.desk.latest("stores"), mode=mode())),
            ".csv": ("Blocks as CSV", lambda: report_csv(self._latest(), mode=mode())),
        }
        if self._asking is not None and isValid(self._asking) and self._asking.isVisible():
            self._asking.raise_()
            self._asking.activateWindow()
            return
        self._asking = ask_and_write(self.desk, self, "Export the report of the key exchange", "key-report.md", text, others)


def _stacked(line: QHBoxLayout, below: QWidget) -> QWidget:
    whole = QWidget()
    layout = QVBoxLayout(whole)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addLayout(line)
    layout.addWidget(below, 1)
    return whole


def _started_here(form: ProcedureForm) -> bool:
    return form.name in _STARTED_HERE
