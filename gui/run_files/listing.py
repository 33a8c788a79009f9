"""The run files of the bench: a table with filters, the newest first."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QPushButton, QVBoxLayout, QWidget

from ...control.topics import RunSummary
from .. import words
from ..filter_bar import FilterBar, offer_values
from ..guarded import guarded
from ..tables import Cell, Column, Row
from ..wide_table import WideTable

MOST_RUNS = 5000
"""How many runs the owner is asked for, the newest ones; older ones are asked for by their day."""
_WHOLE_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_COLUMNS = (
    Column("Begun"),
    Column("Procedure"),
    Column("State"),
    Column("Took", number=True),
    Column("Bench"),
    Column("Tags", number=True),
    Column("Gaps", number=True),
    Column("Purpose, end", wide=True),
    Column("Run"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is shown; an empty text means any."""

    text: str = ""
    procedure: str = ""
    state: str = ""
    bench: str = ""
    day: str = ""

    def takes(self, run: RunSummary) -> bool:
        """Say whether a run is shown."""
        told = " ".join((run.run, run.procedure, run.operator, run.purpose, run.station, run.why, *run.numbers)).lower()
        return (
            (not self.procedure or run.procedure == self.procedure)
            and (not self.state or run.state == self.state)
            and (not self.bench or bench_of(run) == self.bench)
            and (not self.day or day_of(run).startswith(self.day))
            and all(word in told for word in self.text.lower().split())
        )


def bench_of(run: RunSummary) -> str:
    """Return whether a run is of simulated instruments, of real ones, or imported."""
    return run.origin


def day_of(run: RunSummary) -> str:
    """Return the day on which a run began, as this computer's clock has it: YYYY-MM-DD."""
    return words.clock(run.begun, date=True)[:10]


def counted(n: int | None) -> str:
    """Return a count, or that nobody has counted."""
    return words.UNKNOWN if n is None else words.count(n)


def cells(run: RunSummary) -> Row:
    """Return the cells of a run."""
    return (
        Cell(words.clock(run.begun, date=True), order=run.begun),
        words.spoken(run.procedure) if run.procedure else words.UNKNOWN,
        Cell(run.state, word=run.state),
        Cell(words.duration(run.seconds), order=run.seconds or 0.0),
        Cell(bench_of(run), word=bench_of(run)),
        Cell(counted(run.tags), order=run.tags or 0),
        Cell(counted(run.gaps), order=run.gaps or 0),
        "; ".join(part for part in (run.purpose, run.why) if part),
        run.run,
    )


class RunList(QWidget):
    """Filters above the table of runs; the key of a row is its path.  again: asks the owner for the list."""

    chosen = Signal()

    def __init__(self, again: Callable[[], None], picked: Callable[[str], None]) -> None:
        super().__init__()
        self.runs: dict[str, RunSummary] = {}
        self._asked = ""
        self.text, self.day = QLineEdit(), QLineEdit()
        self.procedure, self.state, self.bench = QComboBox(), QComboBox(), QComboBox()
        for field in (self.procedure, self.state, self.bench):
            offer_values(field, ())
        fields: tuple[tuple[str, str, QLineEdit | QComboBox, str], ...] = (
            ("Sea&rch", "Search the runs", self.text, "words, Ctrl+F"),
            ("Day", "Day of the runs", self.day, "YYYY-MM-DD"),
            ("Pr&ocedure", "Procedure of the runs", self.procedure, ""),
            ("S&tate", "State of the runs", self.state, ""),
            ("Ben&ch", "Bench of the runs", self.bench, ""),
        )
        self.filters = FilterBar("runs", fields, {self.day: 16})
        self.filters.changed.connect(self._fill)
        self.again, self.shown = QPushButton("Read aga&in"), self.filters.shown
        self.again.setAccessibleName("Read the runs again")
        self.again.setToolTip("Reads the folder again: the runs of the day that is given, else the newest.")
        self.filters.add(self.again)
        self.table = WideTable("Runs", _COLUMNS, picked)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self.chosen.emit())
        self.again.clicked.connect(lambda _=False: again())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.filters)
        layout.addWidget(self.table, 1)

    def retheme(self) -> None:
        """Take another text size."""
        self.filters.retheme()

    # What is shown

    def whole_day(self) -> str:
        """Return the day that is wanted, YYYY-MM-DD; empty where none is, or only a part of one."""
        day = self.day.text().strip()
        return day if _WHOLE_DAY.fullmatch(day) else ""

    @guarded
    def show_runs(self, runs: Sequence[RunSummary], day: str = "") -> None:
        """Take the list.  day: the only one that was asked for."""
        self._asked = f"the runs of {day} only: read again for others" if day else ""
        if len(runs) >= MOST_RUNS:
            self._asked = f"the newest {words.count(MOST_RUNS)} only: for older ones give a day and read again"
        self.runs = {run.path: run for run in sorted(runs, key=lambda one: one.begun, reverse=True)}
        offer_values(self.procedure, (run.procedure for run in runs), as_names=True)
        offer_values(self.state, (run.state for run in runs))
        offer_values(self.bench, ("simulated", "real", "imported"))
        self._fill()

    def wanted(self) -> Wanted:
        """Return what the fields say."""
        chosen = [str(field.currentData() or "") for field in (self.procedure, self.state, self.bench)]
        return Wanted(self.text.text(), chosen[0], chosen[1], chosen[2], self.day.text().strip())

    def _fill(self) -> None:
        wanted = self.wanted()
        kept = [run for run in self.runs.values() if wanted.takes(run)]
        self.table.set_rows([cells(run) for run in kept], [run.path for run in kept])
        told = f"{words.count(len(kept))} of {words.count(len(self.runs))} runs"
        self.shown.show_text(f"{told}; {self._asked}" if self._asked else told)
        self.chosen.emit()

    def reset(self) -> None:
        """Show all runs."""
        self.filters.reset()

    def found(self, wanted: str) -> RunSummary | None:
        """Return the run of a path or of an id."""
        return self.runs.get(wanted) or next((run for run in self.runs.values() if run.run == wanted or run.path.endswith(f"/{wanted}.h5")), None)

    def choose(self, run: RunSummary) -> None:
        """Select a run, shown or not."""
        if run.path not in self.table.model_of_rows.keys:
            self.reset()
        self.table.choose(run.path)
        self.table.scrollTo(self.table.currentIndex())

    def selected(self) -> list[RunSummary]:
        """Return the selected runs, in their order."""
        return [self.runs[path] for path in self.table.chosen() if path in self.runs]
