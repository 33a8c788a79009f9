"""Buttons of what can be done with the selected runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ...control.topics import RunDetails, RunSummary
from ..badges import Value
from ..desk import Desk
from ..flow import Flow
from ..offering import offer

_BUTTONS = {
    "compare": ("Compare", "Compare two runs"),
    "repeat": ("Repeat", "Repeat the run"),
    "change": ("Repeat &with changes…", "Repeat the run with changes"),
    "csv": ("E&xport CSV…", "Export as CSV"),
    "png": ("Export PNG…", "Export as PNG"),
    "salvage": ("Salva&ge", "Salvage the run"),
    "log": ("Events in the log", "Show the events in the log"),
}
_TORN = ("unfinished", "damaged", "crash")


class RunActs(QWidget):
    """The buttons below the list.  acts: by the names of the buttons."""

    def __init__(self, desk: Desk, acts: Mapping[str, Callable[[], None]]) -> None:
        super().__init__()
        self.desk = desk
        self.buttons: dict[str, QPushButton] = {}
        self.doing = Value("Doing", "")
        self.doing.setWordWrap(True)
        self.doing.hide()
        bar = QWidget()
        flow = Flow(bar)
        for name, (text, told) in _BUTTONS.items():
            button = self.buttons[name] = QPushButton(text)
            button.setAccessibleName(told)
            button.setMinimumHeight(24)
            button.clicked.connect(lambda _=False, act=acts[name]: act())
            flow.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(bar)
        layout.addWidget(self.doing)

    def press(self, name: str) -> Callable[[], None]:
        """Return what presses a button, if it can be pressed."""
        return self.buttons[name].click

    def tell(self, what: str) -> None:
        """Say what is being done, or was done; an empty text says nothing."""
        self.doing.show_text(what)
        self.doing.setVisible(bool(what))

    def show_runs(self, selected: Sequence[RunSummary], read: RunDetails | None, known: bool) -> None:
        """Offer what can be done with these runs.  read: the first of them, once it is.  known: its procedure can be put into the queue."""
        none = "" if selected else "no run is selected"
        whole = none or ("the run file is damaged" if selected and selected[0].state == "damaged" else "")
        again = whole or ("the run is being read" if read is None else "" if known else "its procedure cannot be put into the queue here")
        why = {
            "compare": "" if len(selected) == 2 else "select two runs: click one, then another one with Ctrl",
            "repeat": again or ("" if self.desk.controls else self.desk.view_only_why),
            "change": again,
            "csv": whole,
            "png": whole,
            "salvage": none or ("" if selected and selected[0].state in _TORN else "the run is whole"),
            "log": none,
        }
        about = {
            "compare": "Puts two runs side by side, and their curves into the same charts (Ctrl+Shift+C).",
            "repeat": "Puts it into the queue with the same parameters (Ctrl+D).",
            "change": "Fills the form of the queue with its parameters.",
            "csv": "Writes its arrays as text, a file for each group (Ctrl+E).",
            "png": "Writes its figure as an image (Ctrl+Shift+E).",
            "salvage": "Copies what is whole into a new file beside it; the old one stays.",
            "log": "Shows what happened during the run (Ctrl+L).",
        }
        for name, button in self.buttons.items():
            offer(button, why[name], about[name])
