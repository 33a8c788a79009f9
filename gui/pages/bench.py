"""Bench: the optical path with live values, a card for every instrument, interlocks, arming, calibrations, and the station file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QComboBox, QDockWidget, QWidget

from ...control.topics import CountRates, Element, StationState
from .. import layout, words
from ..arming import Arming
from ..calibration_panel import CalibrationPanel
from ..cards import Cards
from ..desk import Desk
from ..figures.areas import scrolled
from ..interlock_list import Interlocks
from ..schematic import Schematic
from ..station_editor import StationEditor
from ..strip import bench_row
from . import bench_acts
from .page import BOTTOM, RIGHT, TOP, Page


class Bench(Page):
    """What stands on the bench and how it is, and all that is done to it by hand."""

    NAME: ClassVar[str] = "bench"
    TITLE: ClassVar[str] = "&Bench"
    TOPICS: ClassVar[frozenset[str]] = frozenset({"station", "safety", "counts"})
    HEARD_BY: ClassVar[str] = "station"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.schematic, self.cards, self.interlocks = Schematic(), Cards(desk), Interlocks()
        self.arming, self.calibrations, self.editor = Arming(desk), CalibrationPanel(desk), StationEditor(desk)
        self._last_chosen = ("", 0)
        self._fitted: tuple[int, int] | None = None
        self._chained: tuple[object, ...] = ()
        self._docks: dict[str, QDockWidget] = {
            "Optical path": self.panel("Optical path", self.schematic, TOP),
            "Instruments": self.panel("Instruments", self.cards, BOTTOM),
            "Arming": self.panel("Arming", scrolled(self.arming), RIGHT),
            "Interlocks": self.panel("Interlocks", self.interlocks, RIGHT),
            "Calibrations": self.panel("Calibrations", self.calibrations, RIGHT),
            "Station file": self.panel("Station file", self.editor, RIGHT),
        }
        self.default_layout()
        self.schematic.chosen.connect(self._chosen)
        desk.ticked.connect(self._fit_drawing)
        self._make_actions()

    def default_layout(self) -> None:
        """The drawing above everything; below it the cards, and beside them the other panels as tabs."""
        docks = self._docks
        for dock in docks.values():
            dock.setFloating(False)
            dock.show()
        with self.placing():
            self.addDockWidget(TOP, docks["Optical path"])
            self.addDockWidget(BOTTOM, docks["Instruments"])
            self.splitDockWidget(docks["Instruments"], docks["Arming"], Qt.Orientation.Horizontal)
            for name, after in (("Interlocks", "Arming"), ("Calibrations", "Interlocks"), ("Station file", "Calibrations")):
                self.tabifyDockWidget(docks[after], docks[name])
        docks["Arming"].raise_()
        self.resizeDocks([docks["Instruments"], docks["Arming"]], [760, 440], Qt.Orientation.Horizontal)
        self.resizeDocks([docks["Optical path"], docks["Instruments"]], [350, 450], Qt.Orientation.Vertical)
        self._fitted = None

    def _make_actions(self) -> None:
        self.action("Go to the &drawing", lambda: self._show("Optical path", first=True), "Ctrl+Alt+D")
        self.action("Go to &arming (hold to arm)", self._go_to_arming, "Ctrl+Alt+A")
        self.action("Go to the &interlocks", lambda: self._show("Interlocks"), "Ctrl+Alt+I")
        self.action("&Queue missing and stale calibrations", self.calibrations.queue.click, "Ctrl+Alt+C")
        self.action("Edit the &station file", self._edit, "Ctrl+Alt+E")
        bench_acts.add_file_acts(self, self.editor)
        bench_acts.add_arming_acts(self, self.arming, lambda: self._show("Arming"))
        bench_acts.add_card_acts(self, self.cards)

    # What is shown

    def redraw(self, topic: str, payload: Any) -> None:
        """Draw what a topic says now."""
        draw: dict[str, Callable[[Any], None]] = {"station": self._draw_station, "safety": self._draw_safety, "counts": self._draw_counts}
        draw[topic](payload)

    def _draw_station(self, now: StationState) -> None:
        late_s = self.desk.age_s("station") or 0.0
        counts = self._counts()
        self.schematic.show_station(now, counts)
        self.cards.show_instruments(now.instruments, late_s)
        self.interlocks.show_interlocks(now.interlocks)
        self.arming.show_station(now, counts)
        self.calibrations.show_station(now)
        self.editor.show_station(now)
        self._chain(now)

    def _fit_drawing(self) -> None:
        """Give the drawing the height that it needs, where the operator has not arranged the panels; anew where notices come or go above the page."""
        now = self.height(), self.schematic.canvas.height()
        if now == self._fitted or not self._chained or not self.schematic.isVisible():
            return
        self._fitted = now
        if self.is_stacked or self.desk.settings.contains(layout.key(self.NAME)):
            return
        dock, below = self._docks["Optical path"], self._docks["Instruments"]
        needed = min(self.schematic.canvas.height() + dock.height() - self.schematic.viewport().height(), round(0.6 * self.height()))
        self.resizeDocks([dock, below], [needed, dock.height() + below.height() - needed], Qt.Orientation.Vertical)

    def _chain(self, now: StationState) -> None:
        """Let Tab go through the page as it is read: the drawing along the light, the cards, then the other panels."""
        shown = (tuple(one.name for one in now.elements), tuple((one.name, len(one.quantities)) for one in now.instruments))
        if shown == self._chained:
            return
        self._chained = shown
        inside = {"Optical path": self.schematic.controls(), "Instruments": self.cards.controls()}
        found: list[QWidget] = []
        for name, dock in self._docks.items():
            title = dock.titleBarWidget()
            found += _reached(title) if title is not None else []
            found += inside[name] if name in inside else [one for one in _reached(dock) if title is None or not title.isAncestorOf(one)]
        # What is torn off has an order of its own.
        for one, after in pairwise([one for one in found if one.window() is self.window()]):
            self.setTabOrder(one, after)

    def _draw_safety(self, now: Mapping[str, Any]) -> None:
        self.arming.show_safety(now)
        self.calibrations.show_safety(str(now.get("state", "")))

    def _draw_counts(self, _now: CountRates) -> None:
        counts, station = self._counts(), self.desk.latest("station")
        self.arming.show_counts(counts)
        if station is not None:
            self.schematic.show_station(station, counts)

    def _counts(self) -> CountRates | None:
        """Return the rates of the run that is on: old ones and replayed ones are not of this bench."""
        counts, age_s = self.desk.latest("counts"), self.desk.age_s("counts")
        if counts is None or counts.source != "live" or age_s is None or age_s > words.STALE_S:
            return None
        # Whoever comes to the bench is told the last rates of all, however old.
        queue = self.desk.latest("queue")
        on = bench_row(queue)
        return counts if queue is None or (on is not None and counts.run in (on.path or "")) else None

    # Going about

    def _show(self, name: str, *, first: bool = False) -> None:
        dock = self._docks[name]
        dock.show()
        dock.raise_()
        if first:
            self.schematic.focus_first()
        else:
            (dock.widget() or dock).setFocus(Qt.FocusReason.ShortcutFocusReason)
            self.focusNextChild()

    def wish(self, wanted: Any) -> None:
        """Go to arming, if that is what somebody on another page wants."""
        if wanted == "arming":
            self._go_to_arming()

    def _go_to_arming(self) -> None:
        self._show("Arming")
        target = self.arming.reset if self.arming.reset.isVisible() else self.arming.arm
        target.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _edit(self) -> None:
        self._docks["Station file"].show()
        self._docks["Station file"].raise_()
        self.editor.text.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _chosen(self, element: Element) -> None:
        """Go to the card of an element's instrument; choosing it again goes to the next one that drives it."""
        if not element.driven_by:
            self.desk.notice(f"{element.name} has no instrument: its {element.kind} stands in the station file.")
            return
        name, at = self._last_chosen
        at = (at + 1) % len(element.driven_by) if name == element.name else 0
        self._last_chosen = (element.name, at)
        self._docks["Instruments"].show()
        self._docks["Instruments"].raise_()
        self.cards.go_to(element.driven_by[at])


def _reached(inside: QWidget) -> list[QWidget]:
    """Return the controls in a panel that Tab goes to, in the order in which they were put there."""
    found = [one for one in inside.findChildren(QWidget) if one.focusPolicy() & Qt.FocusPolicy.TabFocus]
    whole = [one for one in found if isinstance(one, QComboBox | QAbstractItemView)]
    return [one for one in found if not any(other.isAncestorOf(one) for other in whole if other is not one)]
