"""Learning: loss and accuracy by round and client, the key that each round used, and jobs on quantum processors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget

from ...control.topics import LearningProgress, QueueRow
from ..desk import Desk
from ..figures.areas import arrange, scrolled
from ..figures.learned import Clients, KeyBars, RoundChart, Task
from ..figures.qpu import QpuTable
from ..figures.room import Refit
from ..figures.start import StartPanel
from .page import Page


class Learning(Page):
    """A learning run as it goes on, and what quantum processors do and cost."""

    NAME: ClassVar[str] = "learning"
    TITLE: ClassVar[str] = "&Learning"
    TOPICS: ClassVar[frozenset[str]] = frozenset({"learning", "qpu", "queue"})
    LINES: ClassVar[int] = 49
    BESIDE: ClassVar[frozenset[str]] = frozenset({"New run", "Task"})

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.task, self.clients = Task(), Clients()
        self.accuracy, self.loss, self.key = RoundChart("Accuracy", "%"), RoundChart("Loss"), KeyBars()
        self.qpu = QpuTable(desk)
        self._refit = Refit(self, desk, (self.accuracy, self.loss, self.key), self._draw_again)
        self.start = StartPanel(desk, lambda form: form.name == "Learn", _is_learning, start="Start learning", pausing=True, taken="WRI")
        self._docks: dict[str, QDockWidget] = {
            "New run": self.panel("New run", scrolled(self.start)),
            "Task": self.panel("Task", scrolled(self.task)),
            "Accuracy": self.panel("Accuracy", self.accuracy),
            "Loss": self.panel("Loss", self.loss),
            "Key by round": self.panel("Key by round", self.key),
            "Clients": self.panel("Clients", self.clients),
            "Quantum processors": self.panel("Quantum processors", self.qpu),
        }
        self.default_layout()
        self.start.add_actions(self)
        self.action("Change a &cap of quantum jobs", self.to_cap, "Ctrl+Shift+U")

    def default_layout(self) -> None:
        """Start and task on the left; charts above key, clients and processors on the right."""
        docks = self._docks
        rows = [[docks["Accuracy"], docks["Loss"]], [docks["Key by round"], docks["Clients"]], [docks["Quantum processors"]]]
        arrange(self, [docks["New run"], docks["Task"]], rows, widths=[[570, 570], [570, 570], [1140]], heights=[310, 280, 310])

    def shown_first(self) -> None:
        """Ask what can be started."""
        self.start.reread()

    def to_cap(self) -> None:
        """Go to the field of a new cap; the change itself is held for a second."""
        self._docks["Quantum processors"].show()
        self._docks["Quantum processors"].raise_()
        self.qpu.change.edit.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def enqueue(self) -> None:
        """Start what the form says (Ctrl+Enter)."""
        self.start.enqueue()

    def wish(self, wanted: Any) -> None:
        """Fill the form: a mapping with `procedure` and `parameters`."""
        if wanted:
            self.start.choose(str(wanted["procedure"]), dict(wanted["parameters"]))

    def redraw(self, topic: str, payload: Any) -> None:
        """Draw what a topic says now."""
        draw: dict[str, Callable[[Any], None]] = {"learning": self._draw_learning, "qpu": self.qpu.show_jobs, "queue": self.start.show_queue}
        draw[topic](payload)

    def _draw_again(self) -> None:
        now: LearningProgress | None = self.desk.latest("learning")
        if now is not None:
            self._draw_learning(now)

    def _draw_learning(self, now: LearningProgress) -> None:
        self.task.show_progress(now)
        self.clients.show_clients(now)
        self.accuracy.show_rounds(now.accuracy, {one.name: one.accuracy for one in now.clients}, now.rounds)
        self.loss.show_rounds(now.loss, {one.name: one.loss for one in now.clients}, now.rounds)
        self.key.show_key(now.key_bits, now.rounds)


def _is_learning(row: QueueRow) -> bool:
    return row.procedure == "Learn"
