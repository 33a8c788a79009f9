"""The panel that starts a procedure, follows it and ends it."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFormLayout, QGridLayout, QLineEdit, QProgressBar, QPushButton, QVBoxLayout, QWidget
from shiboken6 import isValid

from ...control.topics import ProcedureForm, QueueRow, QueueState
from ...core.errors import HeliographError
from .. import words
from ..arming_rows import dark
from ..badges import Badge, Value, plain, tip
from ..desk import Desk
from ..form_choice import FormChoice
from ..forms import Form
from ..guarded import guarded
from ..held import held_text
from ..hold import HoldButton
from ..offering import offer
from ..pages.page import Page
from ..strip import pause_or_go_on
from .areas import scrolled

_FIRST = "CountRates"
"""What is offered first, where it is there: it needs nothing else to be known."""
_LETTERS = "OSLTM"
"""Of purpose, start, stop and abort, and of the way to arming."""
_UNARMED = {
    "SAFE": "The bench is safe: arm it first. Until then it waits in the queue.",
    "TRIPPED": "The bench has tripped: reset and arm it first. Until then it waits in the queue.",
    "ARMING": "The bench is being armed; it waits in the queue until that is done.",
}
_UNLIT = "The laser is off: switch it on first. Until then it waits in the queue."
_STOP = "Ends it at its next point, or after this round; what was found is kept."


class StartPanel(QWidget):
    """Choose a procedure, fill its form, start it; stop it early or abort it.

    offered: which of the owner's procedures are started here.  followed: which rows of the queue are shown and ended here.
    pausing: they can also be paused.
    proposed: parameters that a form should begin with, by the name of its procedure.
    taken: letters of the page around it, which fields of the form do not take.
    """

    def __init__(
        self,
        desk: Desk,
        offered: Callable[[ProcedureForm], bool],
        followed: Callable[[QueueRow], bool],
        *,
        start: str = "Start",
        pausing: bool = False,
        proposed: Callable[[str], dict[str, str]] = lambda _name: {},
        taken: str = "",
    ) -> None:
        super().__init__()
        self.desk, self._offered, self._followed = desk, offered, followed
        self._row: QueueRow | None = None
        self._asked: int | None = None
        self._ended: frozenset[int] | None = None
        self.held, self.unarmed = plain(wrap=True), plain(wrap=True)
        self.to_arming = QPushButton("Go to ar&ming")
        taken += f"{_LETTERS}UG" if pausing else _LETTERS
        self.chooser, self.purpose = FormChoice("Nothing can be started while no bench is open.", proposed, taken=taken), QLineEdit()
        self.choice = self.chooser.choice
        self.purpose.setAccessibleName("Purpose")
        self.purpose.setPlaceholderText("why")
        self.start, self.stop, self.abort = QPushButton(f"&{start}"), QPushButton("Stop ear&ly"), HoldButton("Abor&t", "Abort the run")
        self.pause = QPushButton("Pa&use") if pausing else None
        self.state, self.which, self.bar, self.left = Badge("Run", "idle"), Value("Job", "nothing runs"), QProgressBar(), Value("Time left")
        self.which.setWordWrap(True)
        self._lay_out()
        self.start.clicked.connect(self.enqueue)
        self.stop.clicked.connect(self.stop_early)
        self.abort.held.connect(self.end)
        self.to_arming.clicked.connect(lambda _checked=False: desk.show_page("bench", "arming"))
        self.chooser.changed.connect(self._turned)
        for topic in ("safety", "station"):
            desk.hear(topic, lambda _now: self._show_unarmed() if isValid(self) else None)
        desk.control_changed.connect(self._enable)
        desk.connected.connect(self._came)
        desk.replay_changed.connect(self._enable)
        self._enable()
        self._show_unarmed()

    def _lay_out(self) -> None:
        for widget in (self.purpose, self.start, self.stop, self.bar, self.to_arming):
            widget.setMinimumHeight(24)
        self.start.setAccessibleName(self.start.text().replace("&", ""))
        self.stop.setAccessibleName("Stop early")
        self.to_arming.setAccessibleName("Go to arming")
        self.bar.setRange(0, 100)
        self.bar.setFormat("%p %")
        self.bar.setAccessibleName("Progress of the run")
        why = QFormLayout()
        why.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        why.addRow(plain("Purp&ose", buddy=self.purpose), self.purpose)
        acts = QGridLayout()
        if self.pause is None:
            acts.addWidget(self.start, 0, 0, 1, 2)
        else:
            self.pause.setMinimumHeight(24)
            self.pause.setAccessibleName("Pause")
            self.pause.clicked.connect(self.pause_or_resume)
            acts.addWidget(self.start, 0, 0)
            acts.addWidget(self.pause, 0, 1)
        acts.addWidget(self.stop, 1, 0)
        acts.addWidget(self.abort, 1, 1)
        follow = QFormLayout()
        follow.addRow(self.state)
        follow.addRow(self.which)
        follow.addRow(self.bar)
        follow.addRow(plain("Time left"), self.left)
        asked = QWidget()
        above = QVBoxLayout(asked)
        above.setContentsMargins(0, 0, 0, 0)
        above.addWidget(self.held)
        self.held.hide()
        above.addWidget(self.chooser)
        above.addLayout(why)
        above.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        # The buttons stay in sight however long the form is.
        layout.addWidget(scrolled(asked), 1)
        layout.addWidget(self.unarmed)
        layout.addWidget(self.to_arming)
        layout.addLayout(acts)
        layout.addLayout(follow)

    def add_actions(self, page: Page) -> None:
        """Give a page the acts of this panel, with their shortcuts."""
        page.action(f"{self.start.accessibleName()}: put it into the queue", self.enqueue, "Ctrl+Return Ctrl+Enter")
        page.action("Stop earl&y", self.stop_early, "Ctrl+Shift+S")
        if self.pause is not None:
            page.action("Pause or resume", self.pause_or_resume, "Ctrl+Shift+P")

    # What can be started

    def _came(self, here: bool) -> None:
        if here:
            self.reread()

    def reread(self) -> None:
        """Ask the owner what can be started."""
        self.desk.ask("procedures", then=self._take, failed=lambda _: None)

    @property
    def form(self) -> Form | None:
        """Return the form that is shown, None where nothing is offered."""
        return self.chooser.form

    def _take(self, forms: tuple[ProcedureForm, ...]) -> None:
        self.chooser.take(one for one in forms if self._offered(one))

    def choose(self, name: str, parameters: dict[str, str] | None = None) -> None:
        """Show the form of a procedure, filled."""
        if name in self.chooser.names:
            self.chooser.fill(name, parameters or {})

    def _turned(self) -> None:
        """Heed another form."""
        if self.form is not None:
            self.form.changed.connect(self._show_unarmed)
        self._enable()
        self._show_unarmed()

    def _show_unarmed(self) -> None:
        """Say where the bench has to be armed before what the form says can begin, and lead there."""
        state, station = str((self.desk.latest("safety") or {}).get("state", "ARMED")), self.desk.latest("station")
        wanted = _UNLIT if state == "ARMED" and station is not None and dark(station) else _UNARMED.get(state, "")
        told = wanted if self.form is not None and self.form.needs_armed() else ""
        self.unarmed.setText(told)
        for widget in (self.unarmed, self.to_arming):
            widget.setVisible(bool(told))

    # Acts

    def enqueue(self) -> None:
        """Put the procedure into the queue as the form says."""
        if self.form is None or not self.start.isEnabled() or not self.form.check():
            return
        body = {"procedure": self.form.procedure.name, "parameters": self.form.texts(), "purpose": self.purpose.text().strip(), "operator": operator(self.desk)}
        self.desk.ask("enqueue", {**body, "seed": None}, then=self._queued, failed=self._refused)

    def _refused(self, error: HeliographError) -> None:
        """Tell why, also below the field that is to blame."""
        if self.form is not None:
            self.form.refuse(error)
        self.desk.notice(error)

    def _queued(self, job: int) -> None:
        self._asked = job
        self.show_queue(self.desk.latest("queue") or QueueState(()))

    def stop_early(self) -> None:
        """End it at its next point, or after this round."""
        if self._row is not None and self.stop.isEnabled():
            self.desk.ask("stop", {"job": self._row.job})

    def end(self) -> None:
        """Abort the run."""
        if self._row is not None:
            self.desk.ask("abort", {"job": self._row.job})

    def pause_or_resume(self) -> None:
        """Pause it at its next checkpoint, or after this round, or let it go on; where it is not on, the run that is on the bench."""
        if self._row is None or not self._row.on:
            pause_or_go_on(self.desk)
        elif self.pause is not None and self.pause.isEnabled():
            self.desk.ask("resume" if self._row.state == "paused" else "pause", {"job": self._row.job})
        elif self.pause is not None:
            self.desk.notice(f"{self.pause.accessibleDescription()}.")

    # What is on

    @guarded
    def show_queue(self, now: QueueState) -> None:
        """Follow the run that is on, else the one that was started here, else the last one."""
        ended = frozenset(row.job for row in now.rows if row.over)
        if self._ended is not None and ended != self._ended:
            # What a form lets one choose from may be another than before.
            self.reread()
        self._ended = ended
        rows = [row for row in now.rows if self._followed(row)]
        on = [row for row in rows if row.on]
        own = [row for row in rows if row.job == self._asked]
        self._row = next(iter([*on, *own, *rows[-1:]]), None)
        self.held.setText(held_text(now))
        self.held.setVisible(bool(now.held))
        self._show_row(self._row)
        self._enable()

    def _show_row(self, row: QueueRow | None) -> None:
        if row is None:
            self.state.set_state("idle")
            self.which.show_text("nothing runs")
            self.bar.setValue(0)
            self.left.show_text(words.UNKNOWN)
            return
        self.state.set_state(row.state)
        # What to do about it is told by a notice, and stands on the page Queue.
        why = row.why.partition(". ")[0].rstrip(".")
        self.which.show_text(f"{words.spoken(row.procedure)}, job {row.job}" + (f": {why}" if why else ""))
        self.which.setToolTip(tip(row.why))
        self._fit_which()
        self.bar.setValue(round(100 * row.progress))
        self.left.show_text(words.UNKNOWN if row.over else words.duration(row.eta_s))

    def _fit_which(self) -> None:
        """Give the text its height: beside what scrolls, a layout does not."""
        self.which.setMinimumHeight(self.which.heightForWidth(max(1, self.width())))

    def retheme(self) -> None:
        """Fit the text at another text size."""
        self._fit_which()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Fit the text to another width."""
        super().resizeEvent(event)
        self._fit_which()

    def _enable(self) -> None:
        """Offer what can be asked for now; the reason why not is told."""
        state = self._row.state if self._row is not None else ""
        able = self._row is not None and self._row.can_stand_still and self._row.measures
        why = "" if self.desk.controls else self.desk.view_only_why
        replayed = f"{self.desk.replaying} is replayed; press Back to live on the Runs page first" if self.desk.replaying else ""
        offer(self.start, why or replayed or ("" if self.form is not None else "no bench is open"), "Puts it into the queue (Ctrl+Enter).")
        offer(self.stop, why or ("" if able else "nothing is running that can be stopped early"), _STOP)
        offer(self.abort, why or ("" if self._row is not None and not self._row.over else "nothing is running"), "Hold for one second, by mouse or with Space.")
        if self.pause is not None:
            paused = state == "paused"
            self.pause.setText("&Go on" if paused else "Pa&use")
            self.pause.setAccessibleName("Go on" if paused else "Pause")
            about = "Goes on (Ctrl+Shift+P)." if paused else "Pauses at the next checkpoint, or after this round (Ctrl+Shift+P)."
            offer(self.pause, why or ("" if able else "nothing is running that can be paused"), about)


def operator(desk: Desk) -> str:
    """Return who works here: the name in the preferences, else the account."""
    kept: Any = desk.settings.value("operator", "")
    return str(kept) or getpass.getuser()
