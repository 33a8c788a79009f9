"""Log: every event with time, severity, source and run; filters, notes, and what is to be acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QDockWidget, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from ...control.topics import EVENT, Event
from .. import words
from ..desk import Desk
from ..flow import Flow
from ..journal.events import ALARMS, Events, cells
from ..journal.filters import Filters
from ..journal.notes import NoteField
from ..journal.table import EventTable
from ..offering import offer
from .page import TOP, Page

_READ_S = 30.0
"""How long ten thousand events may take to come."""


class Log(Page):
    """The journal of the bench, from its earlier days to now."""

    NAME: ClassVar[str] = "log"
    TITLE: ClassVar[str] = "L&og"
    TOPICS: ClassVar[frozenset[str]] = frozenset({EVENT})

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.model, self.filters, self.note = Events(), Filters(), NoteField(desk)
        self.table, self.whole = EventTable(self.model, self._go_to), QPlainTextEdit()
        self.follow = QCheckBox("&Follow the latest")
        self.acknowledge = QPushButton("Ackno&wledge")
        self.copy, self.go = QPushButton("&Copy"), QPushButton("&Go to the run")
        self.only = QPushButton("Only th&is run")
        self._seen = desk.events_seen
        self._read = False
        self._lay_out()
        self._connect()
        self._enable()

    def _lay_out(self) -> None:
        self.follow.setChecked(True)
        self.whole.setReadOnly(True)
        self.whole.setTabChangesFocus(True)
        self.whole.setAccessibleName("Whole text of the event")
        self.whole.setPlaceholderText("Choose an event to read all of it.")
        self.acknowledge.setAccessibleName("Acknowledge")
        self.copy.setAccessibleName("Copy the events")
        self.follow.setAccessibleName("Follow the latest")
        self.go.setAccessibleName("Go to the run")
        self.only.setAccessibleName("Only this run")
        acts = QWidget()
        flow = Flow(acts)
        for button in (self.acknowledge, self.go, self.only, self.copy, self.follow):
            button.setMinimumHeight(24)
            flow.addWidget(button)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.filters)
        layout.addWidget(self.table, 1)
        layout.addWidget(acts)
        layout.addWidget(self.note)
        self._docks: dict[str, QDockWidget] = {"Events": self.panel("Events", inside, TOP), "Event": self.panel("Event", self.whole, TOP)}
        self.default_layout()

    def default_layout(self) -> None:
        """The events above the whole text of the one that is chosen."""
        events, one = self._docks["Events"], self._docks["Event"]
        with self.placing():
            for dock in (events, one):
                dock.setFloating(False)
                self.addDockWidget(TOP, dock)
                dock.show()
            self.splitDockWidget(events, one, Qt.Orientation.Vertical)
        self.resizeDocks([events, one], [640, 130], Qt.Orientation.Vertical)

    def _connect(self) -> None:
        desk = self.desk
        self.filters.changed.connect(self._filter)
        self.follow.toggled.connect(self.table.follow)
        self.table.follows.connect(self.follow.setChecked)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._chosen())
        self.acknowledge.clicked.connect(self.acknowledge_chosen)
        self.copy.clicked.connect(self.table.copy)
        self.go.clicked.connect(self.go_to_run)
        self.only.clicked.connect(self.only_this_run)
        desk.control_changed.connect(self._enable)
        desk.connected.connect(lambda here: self.reread() if here and self._read else None)
        self.action("Ackno&wledge the selected events", self.acknowledge_chosen, "Ctrl+Shift+K")
        self.action("&Go to the run of the event", self.go_to_run, "Ctrl+R")
        self.action("Show on&ly events of this run", self.only_this_run, "Ctrl+Shift+R")
        self.action("S&how all events", self.filters.reset, "Ctrl+Shift+F")
        # Elsewhere it copies what is selected there.
        self.of(self.table, self.action("&Copy the selected events", self.copy.click, "Ctrl+C"))
        self.toggle("&Follow the latest", self.follow, "Ctrl+Shift+T")
        self.action("Write a &note", lambda: self.note.text.setFocus(Qt.FocusReason.ShortcutFocusReason), "Ctrl+N")

    # What is shown

    def shown_first(self) -> None:
        """Read the journal."""
        self._read = True
        self.reread()

    def reread(self) -> None:
        """Ask for all events that the owner has at hand."""
        self.desk.ask("events", {"since": 0}, then=self._take, timeout_s=_READ_S)

    def _take(self, earlier: Sequence[Event] | None) -> None:
        chosen = {event.number for event in self.table.chosen()}
        self.model.merge(earlier or ())
        self.table.choose(chosen)
        self._added()
        self._chosen()

    def redraw(self, topic: str, payload: Any) -> None:
        """Append the events that are new."""
        fresh: Sequence[Event] = payload
        missed = self.desk.events_seen - self._seen - len(fresh)
        self._seen = self.desk.events_seen
        if missed > 0 and self._read:
            # More came while another page was shown than the window keeps: the owner's journal has them.
            self.reread()
        self.model.add(fresh)
        self._added()

    def _added(self) -> None:
        self.filters.add_sources(self.model.sources)
        self._count()
        self._enable()

    def _filter(self) -> None:
        chosen = {event.number for event in self.table.chosen()}
        self.model.set_filter(self.filters.wanted())
        if chosen:
            self.table.choose(chosen)
        self._count()
        self._chosen()

    def _count(self) -> None:
        unseen = sum(event.severity in ALARMS and not event.acknowledged for event in self.model.events)
        told = f"{words.count(len(self.model.shown))} of {words.count(len(self.model.events))}"
        self.filters.shown.show_text(f"{told}, {words.count(unseen)} not acknowledged" if unseen else told)

    def _chosen(self) -> None:
        found = self.table.chosen()
        texts = []
        for event in found[:100]:
            time, severity, _, source, _, run = cells(event)
            texts.append(f"{time}  {severity}  {source}{f'  run {run}' if run else ''}\n{event.text}")
        self.whole.setPlainText("\n\n".join(texts))
        self._enable()

    def _enable(self) -> None:
        """Offer what can be asked for now, and say why not."""
        found = self.table.chosen()
        none = "" if found else "no event is selected"
        alarms = [event for event in found if event.severity in ALARMS]
        new = [event for event in alarms if not event.acknowledged and event.number]
        why = none or ("" if alarms else "only warnings and errors are acknowledged") or ("" if new else "it is acknowledged")
        offer(self.acknowledge, why, "Notes that you have seen the selected warnings and errors (Ctrl+Shift+K).")
        run = none or ("" if any(event.run for event in found) else "the event belongs to no run")
        offer(self.go, run, "Shows the run on the page of the runs (Ctrl+R, or Enter in the table).")
        offer(self.only, run, "Shows the events of this run only.")
        offer(self.copy, none, "Puts the selected events on the clipboard (Ctrl+C).")

    def filter_field(self) -> QWidget | None:
        """Return the field for words of the text."""
        return self.filters.text

    def wish(self, wanted: Any) -> None:
        """Show the events of a run only."""
        self.filters.reset()
        self.filters.run.setText(str(wanted))

    # Acts

    def acknowledge_chosen(self) -> None:
        """Note that somebody has seen the selected warnings and errors."""
        for event in self.table.chosen():
            if event.severity in ALARMS and event.number and not event.acknowledged:
                self.desk.ask("acknowledge", {"number": event.number}, then=self._acknowledged)

    def _acknowledged(self, event: Event | None) -> None:
        if event is not None:
            self.model.add([event])
            self._added()

    def _go_to(self, event: Event) -> None:
        if event.run:
            self.desk.show_page("runs", event.run)
        else:
            self.desk.notice("This event belongs to no run.")

    def go_to_run(self) -> None:
        """Show the run of the selected event."""
        run = next((event for event in self.table.chosen() if event.run), None)
        if run is not None:
            self._go_to(run)

    def only_this_run(self) -> None:
        """Show the events of the selected event's run only."""
        run = next((event.run for event in self.table.chosen() if event.run), "")
        if run:
            self.wish(run)
