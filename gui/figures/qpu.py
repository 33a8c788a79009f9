"""Jobs on quantum processors, and what they cost."""

from __future__ import annotations

from PySide6.QtWidgets import QFormLayout, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from ...control.topics import QpuJobs
from .. import words
from ..badges import Value, plain
from ..desk import Desk
from ..guarded import guarded
from ..tables import Cell, Column, Table
from .costs import money, standing
from .qpu_cap import CapChange

_WORDS = {
    "QUEUED": "queued", "CREATED": "queued", "SUBMITTED": "queued", "INITIALIZING": "starting", "RUNNING": "running", "DONE": "done", "COMPLETED": "done",
    "CANCELLED": "aborted", "CANCELLING": "stopping", "FAILED": "failed", "ERROR": "failed",
}  # fmt: skip
"""What providers call states, in our words."""


class QpuTable(QWidget):
    """Cost so far against the caps, and the act that changes one, above all jobs."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.project, self.spent, self.caps = Value("Project"), Value("Cost so far"), Value("Other caps")
        self.caps.setWordWrap(True)
        self.change = CapChange(desk)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setMinimumHeight(24)
        self.bar.setFormat("%p % of the cap")
        self.bar.setMinimumWidth(120)
        self.bar.setAccessibleName("Cost so far of the cap")
        self.bar.hide()
        numbers = [Column(one, number=True) for one in ("queue position", "shots", "cost")]
        self.table = Table("QPU jobs", ["job", "backend", "state", *numbers, "submitted", Column("why", wide=True)])
        form = QFormLayout()
        form.addRow(plain("Project"), self.project)
        cost = QHBoxLayout()
        cost.addWidget(self.spent)
        cost.addWidget(self.bar, 1)
        form.addRow(plain("Cost so far"), cost)
        form.addRow(plain("Other caps"), self.caps)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.change)
        layout.addWidget(self.table, 1)

    @guarded
    def show_jobs(self, now: QpuJobs) -> None:
        """Show the jobs of a project, the latest first."""
        self.project.show_text(now.project)
        cap = "no cap" if now.cap is None else f"cap {money(now.cap, now.currency)}"
        self.spent.show_text(f"{money(now.spent, now.currency)}, {cap}")
        self.bar.setVisible(bool(now.cap))
        self.bar.setValue(round(1000 * min(1.0, now.spent / now.cap)) if now.cap else 0)
        self.caps.show_text(standing([one for one in now.limits if one.unit != now.currency]))
        self.change.show_jobs(now)
        jobs = sorted(now.jobs, key=lambda one: one.submitted, reverse=True)
        rows: list[list[str | Cell]] = []
        for one in jobs:
            word = _WORDS.get(one.state.upper(), "unknown")
            position = words.UNKNOWN if one.position is None else str(one.position)
            state = Cell(one.state, word=word)
            submitted = Cell(words.clock(one.submitted), order=one.submitted)
            rows.append([one.job, one.backend, state, position, words.count(one.shots), money(one.cost, one.currency), submitted, one.why])
        self.table.set_rows(rows, [one.job for one in jobs])
