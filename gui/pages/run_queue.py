"""Queue: what is on, what waits in which order, what has ended; and the form that puts more into it."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QDockWidget, QVBoxLayout, QWidget

from ...control.topics import QueueRow, QueueState
from ..desk import Desk
from ..figures.areas import arrange, scrolled
from ..figures.facts import Facts
from ..hold import HoldButton
from ..queueing import rows
from ..queueing.acts import Acts
from ..queueing.compose import Composer
from ..queueing.edits import Edits
from ..queueing.listing import QueueTable
from .page import Page


class Queue(Page):
    """The runner's queue: the bench's lane and the one of the workers beside it."""

    NAME: ClassVar[str] = "queue"
    TITLE: ClassVar[str] = "&Queue"
    TOPICS: ClassVar[frozenset[str]] = frozenset({"queue"})
    BESIDE: ClassVar[frozenset[str]] = frozenset({"New job"})

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.edits = Edits(desk)
        self.composer = Composer(desk, self.edits)
        self.acts = Acts(desk, self.edits, self._edit)
        self.table, self.job = QueueTable(self._go_to_run), Facts("Job")
        self.ended = QCheckBox("Sho&w what has ended")
        self.ended.setAccessibleName("Show what has ended")
        self.ended.setChecked(True)
        self.ended.setMinimumHeight(24)
        self.ended.toggled.connect(lambda _: self._fill())
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._chosen())
        self.table.selectionModel().currentChanged.connect(lambda *_: self._chosen())
        self._followed: int | None = None
        self._lay_out()
        self._make_actions()

    def _lay_out(self) -> None:
        whole = QWidget()
        layout = QVBoxLayout(whole)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.acts)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.ended, 0, Qt.AlignmentFlag.AlignLeft)
        self._docks: dict[str, QDockWidget] = {
            "New job": self.panel("New job", scrolled(self.composer)),
            "Queue": self.panel("Queue", whole),
            "Job": self.panel("Job", scrolled(self.job)),
        }
        self.default_layout()

    def default_layout(self) -> None:
        """The form on the left; the queue above its selected job on the right."""
        docks = self._docks
        arrange(self, [docks["New job"]], [[docks["Queue"]], [docks["Job"]]], widths=[[1140], [1140]], heights=[640, 260])

    def _make_actions(self) -> None:
        acts, composer = self.acts, self.composer
        self.action("&Add to the queue", composer.enqueue, "Ctrl+Return Ctrl+Enter")
        self.action("Pause or go on with the run", acts.pause_or_resume, "Ctrl+Shift+P")
        self.action("Stop after this, or go on", acts.hold_or_go_on, "Ctrl+Shift+L")
        self.action("Stop earl&y", acts.stop_early, "Ctrl+Shift+S")
        self.toggle("&Go on after a failure", acts.policy, "Ctrl+Shift+G")
        self.action("Move &up", lambda: acts.shift(-1), "Alt+Up")
        self.action("Move &down", lambda: acts.shift(1), "Alt+Down")
        self.action("&Edit the job", acts.change, "F2")
        self.action("&Leave the job as it was", composer.leave, "Shift+F2")
        self.action("Du&plicate or repeat the job", acts.repeat, "Ctrl+D")
        self.action("Go to the run &file of the job", self.show_run, "Ctrl+R")
        # Del in a field of the form deletes a letter.
        self.of(self.table, self.action("Remo&ve the job", acts.take_out, "Del"))
        self.toggle("Show what has e&nded", self.ended, "Ctrl+Shift+H")

    def abort_button(self) -> HoldButton:
        """Return the one above the table, which names the job."""
        return self.acts.abort

    def shown_first(self) -> None:
        """Ask what can be put into the queue."""
        self.composer.reread()

    def enqueue(self) -> None:
        """Put into the queue what the form says (Ctrl+Enter)."""
        self.composer.enqueue()

    def wish(self, wanted: Any) -> None:
        """Fill the form: a mapping with `procedure` and `parameters`; or select a job by its number."""
        if isinstance(wanted, int):
            self.table.choose(wanted)
        elif wanted:
            self.composer.fill(str(wanted["procedure"]), wanted["parameters"])

    # What is shown

    def redraw(self, topic: str, payload: Any) -> None:
        """Draw how the queue stands."""
        now: QueueState = payload
        self.acts.show_queue(now)
        self.composer.show_queue(now)
        self._fill()

    def _fill(self) -> None:
        now: QueueState = self.desk.latest("queue") or QueueState(())
        ends = rows.ends(now, time.time())
        shown = [row for row in now.rows if self.ended.isChecked() or not row.over]
        self.table.set_rows([rows.cells(row, ends.get(row.job)) for row in shown], [row.job for row in shown])
        on = next((row.job for row in shown if not row.over), None)
        if on != self._followed:
            self._followed = on
            self.table.show_job(on)
        self._chosen()

    def _row(self) -> QueueRow | None:
        chosen = self.table.chosen()
        return rows.row_of(self.desk.latest("queue"), chosen[0] if chosen else None)

    def _chosen(self) -> None:
        row, now = self._row(), self.desk.latest("queue") or QueueState(())
        self.acts.choose(row.job if row is not None else None)
        end = rows.ends(now, time.time()).get(row.job) if row is not None else None
        self.job.show_facts(rows.facts(row, end) if row is not None else [("Job", "none is selected")])

    # Acts

    def _edit(self, row: QueueRow) -> None:
        self._docks["New job"].show()
        self._docks["New job"].raise_()
        self.composer.begin(row)

    def _go_to_run(self, _job: int) -> None:
        self.show_run()

    def show_run(self) -> None:
        """Go to the run file of the selected job."""
        row = self._row()
        if row is None or not row.path:
            self.desk.notice("This job has no run file." if row is not None else "No job is selected.")
        else:
            self.desk.show_page("runs", row.path)
