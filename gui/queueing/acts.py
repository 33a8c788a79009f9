"""Buttons of the queue: what can be done with a job, with the run that is on, and with the queue itself."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QCheckBox, QPushButton, QVBoxLayout, QWidget

from ...control.topics import QueueRow, QueueState
from .. import words
from ..badges import Badge, Value
from ..desk import Desk
from ..flow import Flow
from ..guarded import guarded
from ..hold import HoldButton
from ..offering import offer
from ..strip import on_now
from . import rows
from .edits import Edits

_ENDS_S = 15.0
"""How long an end may take to be answered."""


class Acts(QWidget):
    """The buttons above the table.

    edit: shows the form of a job.  What belongs to one job acts on the one that is selected; pause, stop and abort on it if it is on, else on the run
    that is, else on the task beside the bench.
    """

    def __init__(self, desk: Desk, edits: Edits, edit: Callable[[QueueRow], None]) -> None:
        super().__init__()
        self.desk, self._edits, self._edit = desk, edits, edit
        self._queue = QueueState(())
        self._row: QueueRow | None = None
        self.state, self.end = Badge("Queue", "idle", titled=True), Value("Whole queue")
        self.held = Value("Held", "")
        self.held.setWordWrap(True)
        self.held.hide()
        self.up, self.down = self._button("Move up", lambda: self.shift(-1)), self._button("Move down", lambda: self.shift(1))
        self.alter, self.again = self._button("Edit…", self.change), self._button("Duplicate", self.repeat)
        self.remove = self._button("Re&move", self.take_out)
        self.pause, self.stop = self._button("Pause", self.pause_or_resume), self._button("Stop ea&rly", self.stop_early)
        self.abort = HoldButton("Abort (hold)", "Abort the job")
        self.after = self._button("Stop a&fter this", self.hold_or_go_on)
        self.policy = QCheckBox("Go on after a fa&ilure")
        self.abort.held.connect(self.end_now)
        self.policy.clicked.connect(lambda on: self.desk.ask("policy", {"go_on_after_failure": bool(on)}, then=lambda _: None, failed=self._policy_refused))
        self._lay_out()
        desk.control_changed.connect(self.enable)
        self.enable()

    def _button(self, text: str, act: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setAccessibleName(text.replace("&", "").rstrip("…"))
        button.setMinimumHeight(24)
        button.clicked.connect(lambda _=False: act())
        return button

    def _lay_out(self) -> None:
        self.alter.setAccessibleName("Edit the job")
        self.policy.setMinimumHeight(24)
        self.policy.setAccessibleName("Go on after a failure")
        self.abort.setMinimumHeight(24)
        lines = (
            (self.state, self.end),
            (self.pause, self.stop, self.abort, self.after, self.policy),
            (self.up, self.down, self.alter, self.again, self.remove),
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for line in lines:
            inside = QWidget()
            flow = Flow(inside)
            for widget in line:
                flow.addWidget(widget)
            layout.addWidget(inside)
        layout.insertWidget(1, self.held)

    # What is there

    @guarded
    def show_queue(self, now: QueueState) -> None:
        """Take how the queue stands."""
        self._queue = now
        self._row = rows.row_of(now, self._row.job) if self._row is not None else None
        on = any(row.on for row in now.rows)
        if now.held:
            self.state.set_state("paused", "held")
        else:
            waits = len(rows.waiting(now))
            self.state.set_state("running" if on else "idle", f"{waits} wait" if waits else "")
        self.end.show_text(rows.end_of(now))
        self.held.show_text(now.held)
        self.held.setVisible(bool(now.held))
        self.policy.setChecked(now.go_on_after_failure)
        self.enable()

    def choose(self, job: int | None) -> None:
        """Take the job that is selected."""
        self._row = rows.row_of(self._queue, job)
        self.enable()

    @property
    def target(self) -> QueueRow | None:
        """Return the job that pause, stop and abort act on."""
        return self._row if self._row is not None and self._row.on else on_now(self._queue)

    def enable(self) -> None:
        """Offer what can be asked for now, and say why not."""
        view = "" if self.desk.controls else self.desk.view_only_why
        self._offer_edits(view)
        self._offer_ends(view)
        held = bool(self._queue.held)
        self.after.setText("&Go on with the queue" if held else "Stop a&fter this")
        self.after.setAccessibleName("Go on with the queue" if held else "Stop after this")
        offer(self.after, view, "Begins again what waits (Ctrl+Shift+L)." if held else "What is on ends as it would; nothing more is begun (Ctrl+Shift+L).")
        offer(self.policy, view, "Whether the queue goes on after a run has failed; else it is held.")

    def _offer_edits(self, view: str) -> None:
        row, places = self._row, len(rows.waiting(self._queue))
        place = rows.place_of(self._queue, row.job) if row is not None else None
        chosen = view or ("" if row is not None else "no job is selected")
        waits = chosen or ("" if place is not None else f"the job is {row.state}; only what waits can be changed" if row is not None else "")
        offer(self.up, waits or ("it is the first that waits" if place == 0 else ""), "Alt+Up")
        offer(self.down, waits or ("it is the last that waits" if place == places - 1 else ""), "Alt+Down")
        offer(self.alter, waits, "Changes the parameters in the form (F2).")
        offer(self.remove, waits, "Takes it out of the queue (Del); Ctrl+Z puts it back.")
        over = row is not None and row.over
        self.again.setText("Repeat" if over else "Duplicate")
        self.again.setAccessibleName("Repeat the job" if over else "Duplicate the job")
        offer(self.again, chosen, "Puts it at the end of the queue once more, with the same parameters (Ctrl+D).")

    def _offer_ends(self, view: str) -> None:
        row = self.target
        none = view or ("" if row is not None else "nothing is on")
        bench = none or ("" if row is not None and row.can_stand_still else "it is done in one piece, and can only be aborted")
        named = f" {words.spoken(row.procedure)}, job {row.job}" if row is not None else ""
        paused = row is not None and row.state == "paused"
        self.pause.setText("Res&ume" if paused else "Pa&use")
        self.pause.setAccessibleName("Resume the run" if paused else "Pause the run")
        self.stop.setAccessibleName("Stop early")
        measures = bench or ("" if row is None or row.measures else f"the run is {row.state}")
        about = f"Goes on with{named}" if paused else f"Pauses{named} at its next checkpoint, or after this round"
        offer(self.pause, measures, f"{about} (Ctrl+Shift+P).")
        offer(self.stop, measures, f"Ends{named} at its next point, or after this round; what was found is kept.")
        self.abort.setText(f"Abor&t job {row.job} (hold)" if row is not None else "Abor&t (hold)")
        offer(self.abort, none, f"Hold for one second, by mouse or with Space: shuts down{named}, closes its file and says why. Ctrl+Shift+A, held, too.")

    # Acts

    def shift(self, by: int) -> None:
        """Move the selected job among those that wait."""
        button = self.up if by < 0 else self.down
        if self._row is not None and button.isEnabled():
            place = rows.place_of(self._queue, self._row.job)
            self._edits.move(self._row.job, (place or 0) + by)

    def change(self) -> None:
        """Show the parameters of the selected job, to be changed."""
        if self._row is not None and self.alter.isEnabled():
            self._edit(self._row)

    def repeat(self) -> None:
        """Put the selected job at the end of the queue once more."""
        if self._row is not None and self.again.isEnabled():
            self._edits.duplicate(self._row)

    def take_out(self) -> None:
        """Take the selected job out of the queue."""
        if self._row is not None and self.remove.isEnabled():
            self._edits.remove(self._row)

    def pause_or_resume(self) -> None:
        """Pause the run at its next checkpoint, or let it go on."""
        row = self.target
        if row is not None and self.pause.isEnabled():
            self.desk.ask("resume" if row.state == "paused" else "pause", {"job": row.job})

    def stop_early(self) -> None:
        """End the run at its next point."""
        row = self.target
        if row is not None and self.stop.isEnabled():
            self.desk.ask("stop", {"job": row.job})

    def end_now(self) -> None:
        """Abort the run."""
        row = self.target
        if row is not None:
            self.desk.ask("abort", {"job": row.job}, timeout_s=_ENDS_S)

    def hold_or_go_on(self) -> None:
        """Begin nothing more after what is on; or go on."""
        if not self.after.isEnabled():
            return
        if self._queue.held:
            self.desk.ask("go_on")
        else:
            self.desk.ask("hold", {"on": True, "why": "stopped after this by the operator"})

    def _policy_refused(self, error: Exception) -> None:
        self.policy.setChecked(self._queue.go_on_after_failure)
        self.desk.notice(str(error))
