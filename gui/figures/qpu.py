"""Jobs on quantum processors, and what they cost."""

from __future__ import annotations

from PySide6.QtWidgets import QFormLayout, QProgressBar, QVBoxLayout, QWidget

from ...control.topics import QpuJobs
from .. import words
from ..badges import Value, plain
from ..tables import Cell, Column, Table

_WORDS = {
    "QUEUED": "queued", "CREATED": "queued", "SUBMITTED": "queued", "INITIALIZING": "starting", "RUNNING": "running", "DONE": "done", "COMPLETED": "done",
    "CANCELLED": "aborted", "CANCELLING": "stopping", "FAILED": "failed", "ERROR": "failed",
}  # fmt: skip
"""What providers call states, in our words."""


def money(amount: float, currency: str) -> str:
    """Return an amount: "1.25 USD", "0.0004 USD"."""
    return f"{amount:.2f} {currency}" if amount == 0 or abs(amount) >= 0.01 else f"{amount:.2g} {currency}"


class QpuTable(QWidget):
    """Cost so far against the cap, above all jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.spent = Value("Project"), Value("Cost so far")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setMinimumHeight(24)
        self.bar.setFormat("%p % of the cap")
        self.bar.setAccessibleName("Cost so far of the cap")
        self.bar.hide()
        numbers = [Column(one, number=True) for one in ("queue position", "shots", "cost")]
        self.table = Table("QPU jobs", ["job", "backend", "state", *numbers, "submitted", Column("why", wide=True)])
        form = QFormLayout()
        form.addRow(plain("Project"), self.project)
        form.addRow(plain("Cost so far"), self.spent)
        form.addRow(self.bar)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.table, 1)

    def show_jobs(self, now: QpuJobs) -> None:
        """Show the jobs of a project, the latest first."""
        self.project.show_text(now.project)
        cap = "no cap" if now.cap is None else f"cap {money(now.cap, now.currency)}"
        self.spent.show_text(f"{money(now.spent, now.currency)}, {cap}")
        self.bar.setVisible(bool(now.cap))
        self.bar.setValue(round(1000 * min(1.0, now.spent / now.cap)) if now.cap else 0)
        jobs = sorted(now.jobs, key=lambda one: one.submitted, reverse=True)
        rows: list[list[str | Cell]] = []
        for one in jobs:
            word = _WORDS.get(one.state.upper(), "unknown")
            position = words.UNKNOWN if one.position is None else str(one.position)
            state = Cell(one.state, word=word)
            submitted = Cell(words.clock(one.submitted), order=one.submitted)
            rows.append([one.job, one.backend, state, position, words.count(one.shots), money(one.cost, one.currency), submitted, one.why])
        self.table.set_rows(rows, [one.job for one in jobs])
