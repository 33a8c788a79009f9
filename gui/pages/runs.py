"""Runs: the run files, what is in them, their replay, comparison and export; and the report of a day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QVBoxLayout, QWidget

from ...control.topics import REPLAY, REPLAYED, ProcedureForm, QueueState, RunDetails, RunSummary
from ...core.errors import HeliographError
from ..desk import Desk
from ..figures.areas import arrange, scrolled
from ..figures.start import operator
from ..queueing.edits import Edits
from ..run_files.acts import RunActs
from ..run_files.day import DayReport
from ..run_files.details import Comparison, Details
from ..run_files.export import ask_and_export
from ..run_files.listing import MOST_RUNS, RunList
from ..run_files.plots import RunFigures
from ..run_files.replay_bar import ReplayBar
from .page import Page

_READ_S = 60.0
"""How long a run file may take to be read, or a folder of them."""


class Runs(Page):
    """What was measured, today and before."""

    NAME: ClassVar[str] = "runs"
    TITLE: ClassVar[str] = "&Runs"
    TOPICS: ClassVar[frozenset[str]] = frozenset({"queue", REPLAY, *REPLAYED})

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.list, self.details, self.comparison = RunList(self.reread, self._picked), Details(), Comparison()
        self.figures, self.replay, self.day = RunFigures(self, desk), ReplayBar(desk), DayReport(desk)
        self.edits = Edits(desk)
        self.acts = RunActs(desk, self._wanted_acts())
        self._forms: dict[str, ProcedureForm] = {}
        self._read: RunDetails | None = None
        self._both: tuple[RunDetails, RunDetails] | None = None
        self._reading = self._wished = ""
        self._ended: frozenset[int] = frozenset()
        self._lay_out()
        self.list.chosen.connect(self._chosen)
        self.replay.ended.connect(self._show_finals)
        desk.control_changed.connect(self._enable)
        desk.connected.connect(lambda here: self.reread() if here else None)
        self._make_actions()
        self._enable()

    def _wanted_acts(self) -> dict[str, Callable[[], None]]:
        return {
            "compare": self.compare, "repeat": self.repeat, "change": self.repeat_changed, "csv": lambda: self.export("csv"),
            "png": lambda: self.export("png"), "salvage": self.salvage, "log": self.show_events,
        }  # fmt: skip

    def _lay_out(self) -> None:
        self._docks: dict[str, QDockWidget] = {
            "Runs": self.panel("Runs", _stacked(self.list, self.acts)),
            "Details": self.panel("Details", scrolled(self.details)),
            "Events": self.panel("Events", self.details.events),
            "Arrays": self.panel("Arrays", self.details.arrays),
            "Comparison": self.panel("Comparison", self.comparison),
            "Report of a day": self.panel("Report of a day", self.day),
            "Replay": self.panel("Replay", _stacked(self.figures, self.replay)),
        }
        self.default_layout()

    def default_layout(self) -> None:
        """The list above what is known of the selected run; figures and replay beside them."""
        docks = self._docks
        arrange(self, [docks["Runs"], docks["Details"]], [[docks["Replay"]]], widths=[[740]], heights=[900])
        for name in ("Events", "Arrays", "Comparison", "Report of a day"):
            docks[name].setFloating(False)
            docks[name].show()
            self.tabifyDockWidget(docks["Details"], docks[name])
        docks["Details"].raise_()
        self.resizeDocks([docks["Runs"], docks["Replay"]], [660, 740], Qt.Orientation.Horizontal)
        self.resizeDocks([docks["Runs"], docks["Details"]], [520, 380], Qt.Orientation.Vertical)

    def _make_actions(self) -> None:
        self.action("&Play or pause the replay", self.replay.play_or_pause, "Ctrl+Shift+R")
        self.action("Back to li&ve", self.replay.stop, "Ctrl+Shift+V")
        self.action("&Compare two runs", self.acts.press("compare"), "Ctrl+Shift+C")
        self.action("R&epeat the run", self.acts.press("repeat"), "Ctrl+D")
        self.action("Repeat with c&hanges", self.acts.press("change"), "Ctrl+Shift+D")
        self.action("Export as CS&V", self.acts.press("csv"), "Ctrl+E")
        self.action("Export as P&NG", self.acts.press("png"), "Ctrl+Shift+E")
        self.action("&Salvage the run", self.acts.press("salvage"), "Ctrl+Shift+M")
        self.action("Show the events in the &log", self.acts.press("log"), "Ctrl+L")
        self.action("&Report of a day", self._show_report, "Ctrl+Shift+Y")
        self.action("&Make the report of the day", self.day.make.click, "Ctrl+Alt+M")
        self.action("Save &the report of the day", self.day.save.click, "Ctrl+S")
        self.action("Show the replay on Ac&quire", self.replay.acquire.click, "Ctrl+Alt+Q")
        self.action("Show the replay on &Key", self.replay.key.click, "Ctrl+Alt+K")
        self.action("Rea&d the runs again", self.list.again.click, "Shift+F5")
        self.toggle("&Zoom to the rates", self.figures.strip.zoom, "Ctrl+Shift+Z")
        self.action("Sh&ow all runs", self.list.reset, "Ctrl+Shift+F")

    def filter_field(self) -> QWidget | None:
        """Return the search field."""
        return self.list.text

    # What is there

    def shown_first(self) -> None:
        """Ask for the run files."""
        self.reread()

    def reread(self) -> None:
        """Ask for the run files again."""
        day = self.list.whole_day()
        self.desk.ask("runs", {"limit": MOST_RUNS, "day": day}, then=lambda runs: self._listed(runs, day), timeout_s=_READ_S)
        self.desk.ask("procedures", then=self._offered, failed=lambda _: None)

    def _listed(self, runs: Sequence[RunSummary] | None, day: str) -> None:
        self.list.show_runs(runs or (), day)
        if self._wished:
            self._choose(self._wished)

    def _offered(self, forms: Sequence[ProcedureForm] | None) -> None:
        self._forms = {form.name: form for form in forms or ()}
        self._enable()

    def wish(self, wanted: Any) -> None:
        """Select a run by its path or its id; the list is read again where it is not in it."""
        self._choose(str(wanted), again=True)

    def _choose(self, wanted: str, *, again: bool = False) -> None:
        run = self.list.found(wanted)
        if run is not None:
            self._wished = ""
            self.list.choose(run)
        elif again:
            self._wished = wanted
            self.reread()
        else:
            self._wished = ""
            self.desk.notice(f"No run file is called {wanted} (any more).")

    def redraw(self, topic: str, payload: Any) -> None:
        """Follow the replay; read the list again when a run has ended."""
        if topic == "queue":
            self._follow(payload)
        elif topic == REPLAY:
            self.replay.show_state(payload)
        elif self.replay.playing:
            self.figures.show_topic(topic, payload)

    def _follow(self, now: QueueState) -> None:
        ended = frozenset(row.job for row in now.rows if row.over and row.path)
        if ended - self._ended:
            self.reread()
        self._ended = ended

    def _chosen(self) -> None:
        found = self.list.selected()
        run = found[0] if found else None
        self.replay.choose(run)
        if self._both is not None and [one.path for one in found] != [one.summary.path for one in self._both]:
            self._both = None
        if run is None:
            self._read, self._reading = None, ""
            self.details.show_text("none is selected")
            self._nothing("Choose a run: its figures stand here.")
        elif run.path != self._reading:
            self._reading, self._read = run.path, None
            self.details.show_text("is being read…")
            self._nothing("The run is being read…")
            self.desk.ask("run", {"path": run.path}, then=self._show, failed=lambda error: self._unread(run, error), timeout_s=_READ_S)
        self._enable()

    def _nothing(self, why: str) -> None:
        if not self.replay.playing:
            self.figures.begin(why)

    def _show(self, one: RunDetails | None) -> None:
        # Meanwhile another run may have been chosen.
        if one is None or one.summary.path != self._reading:
            return
        self._read = one
        self.details.show_details(one)
        self._show_finals()
        self._enable()

    def _show_finals(self) -> None:
        """Show how the selected run ended, or both that are compared, unless one is played."""
        if self._read is None:
            self._nothing("Choose a run: its figures stand here.")
        elif self._both is not None and not self.replay.playing:
            self.figures.show_both(*(one.finals for one in self._both))
        elif not self.replay.playing:
            self.figures.show_finals(self._read.finals)

    def _unread(self, run: RunSummary, error: HeliographError) -> None:
        if run.path == self._reading:
            self.details.show_text(f"{run.run} cannot be read: {error}")
            self._nothing(f"{error}")

    def _enable(self) -> None:
        form = self._forms.get(self._read.summary.procedure) if self._read is not None else None
        self.acts.show_runs(self.list.selected(), self._read, form is not None)

    # Acts

    def _picked(self, _path: str) -> None:
        """Play the run by Enter or a double click, unless one is played."""
        if not self.replay.playing:
            self.play()

    def play(self) -> None:
        """Play the selected run from its beginning."""
        self.figures.begin("The replay begins…")
        self.replay.begin()

    def compare(self) -> None:
        """Put two runs side by side, and their curves into the same charts."""
        one, other = self.list.selected()
        self._docks["Comparison"].show()
        self._docks["Comparison"].raise_()

        def then(first: RunDetails) -> None:
            self.desk.ask("run", {"path": other.path}, then=lambda second: self._compare(first, second), timeout_s=_READ_S)

        self.desk.ask("run", {"path": one.path}, then=then, timeout_s=_READ_S)

    def _compare(self, first: RunDetails, second: RunDetails) -> None:
        self.comparison.show_both(first, second)
        # Meanwhile others may have been chosen.
        if [one.path for one in self.list.selected()] == [first.summary.path, second.summary.path]:
            self._both = first, second
            self._show_finals()
            self.acts.tell("their curves are drawn when the replay is over" if self.replay.playing else "")

    def _parameters(self, one: RunDetails) -> dict[str, str]:
        """Return the parameters of a run that a form of its procedure has."""
        form = self._forms.get(one.summary.procedure)
        known = {parameter.name for parameter in form.parameters} if form is not None else set[str]()
        return {name: value for name, value in one.parameters.items() if name in known}

    def repeat(self) -> None:
        """Put the run into the queue once more."""
        one = self._read
        if one is not None:
            body = {"procedure": one.summary.procedure, "parameters": self._parameters(one), "purpose": one.summary.purpose}
            self.edits.add(
                {**body, "operator": operator(self.desk), "seed": None}, then=lambda job: self.acts.tell(f"job {job} is in the queue; Ctrl+Z takes it out")
            )

    def repeat_changed(self) -> None:
        """Fill the form of the queue with the parameters of the run."""
        if self._read is not None:
            self.desk.show_page("queue", {"procedure": self._read.summary.procedure, "parameters": self._parameters(self._read)})

    def export(self, kind: str) -> None:
        """Write the run into a file that is asked for."""
        found = self.list.selected()
        if found:
            ask_and_export(self.desk, self, found[0], kind, self.acts.tell)

    def salvage(self) -> None:
        """Copy what is whole of a run into a file beside it."""
        found = self.list.selected()
        if found:
            self.acts.tell(f"salvaging {found[0].run}")
            self.desk.ask("salvage", {"path": found[0].path}, then=self._salvaged, failed=self._not_salvaged, timeout_s=_READ_S)

    def _salvaged(self, path: str) -> None:
        self.acts.tell(f"salvaged: {path}")
        self._wished = str(path)
        self.reread()

    def _not_salvaged(self, error: HeliographError) -> None:
        self.acts.tell("")
        self.desk.notice(error)

    def show_events(self) -> None:
        """Show the events of the run in the log."""
        found = self.list.selected()
        if found:
            self.desk.show_page("log", found[0].run)

    def _show_report(self) -> None:
        self._docks["Report of a day"].show()
        self._docks["Report of a day"].raise_()
        self.day.day.setFocus(Qt.FocusReason.ShortcutFocusReason)


def _stacked(above: QWidget, below: QWidget) -> QWidget:
    whole = QWidget()
    layout = QVBoxLayout(whole)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(above, 1)
    layout.addWidget(below)
    return whole
