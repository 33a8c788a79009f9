"""Everything about a run but its data, and two runs side by side."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from ...control.topics import RunDetails, Scalar
from .. import words
from ..badges import plain
from ..figures.facts import Facts
from ..figures.found import found, text
from ..guarded import guarded
from ..tables import Cell, Column, Table
from ..wide_table import WideTable
from .listing import bench_of, counted

Facts_ = list[tuple[str, str]]


def facts(one: RunDetails) -> Facts_:
    """Return what is known of a run, in words: itself, what was found, how, and where it comes from."""
    run = one.summary
    itself = [
        ("Procedure", words.spoken(run.procedure)),
        ("State", f"{run.state}: {run.why}" if run.why else run.state),
        ("Bench", bench_of(run)),
        ("Begun", words.clock(run.begun, date=True)),
        ("Took", words.duration(run.seconds)),
        ("Tags", counted(run.tags)),
        ("Gaps", counted(run.gaps)),
        ("Operator", run.operator),
        ("Purpose", run.purpose),
    ]
    results = [(item.label, text(item)) for item in found(run.numbers)]
    how = [(f"Parameter {name}", value) for name, value in one.parameters.items()]
    origin = [
        ("Provenance", one.provenance),
        ("Station", run.station),
        ("Station file, SHA-256", one.station_sha256[:16]),
        ("Seed", "" if one.seed is None else str(one.seed)),
        *((f"Calibration {name}", f"taken {taken}") for name, taken in one.calibrations.items()),
        *((name.capitalize(), value) for name, value in one.environment.items()),
        ("Run", run.run),
        ("File", run.path),
    ]
    return [(name, value) for name, value in (*itself, *results, *how, *origin) if value]


class Details(QWidget):
    """What is known of the selected run; `events` and `arrays` are tables of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.facts = Facts("Details of the run")
        self.events = WideTable("Events of the run", ["Time", "Severity", "Source", Column("Text", wide=True)])
        self.arrays = Table("Arrays of the run", [Column("Array", wide=True), "Unit", Column("Shape", number=True)])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.facts)
        layout.addStretch(1)

    @guarded
    def show_details(self, one: RunDetails) -> None:
        """Show a run."""
        self.facts.show_facts(facts(one))
        self.events.set_rows([(words.clock(event.t), Cell(event.severity, word=event.severity), event.source, event.text) for event in one.events])
        self.arrays.set_rows([(name, unit, shape) for name, unit, shape in one.arrays])

    def show_text(self, what: str) -> None:
        """Say why there is nothing to show."""
        self.facts.show_facts([("Run", what)])
        self.events.set_rows([])
        self.arrays.set_rows([])


# Two runs


def compared(one: RunDetails, other: RunDetails) -> list[tuple[str, str, str, str]]:
    """Return what, both values and the difference, in words; what differs first."""
    pairs = {name: (value, "") for name, value in facts(one)}
    for name, value in facts(other):
        pairs[name] = (pairs.get(name, ("", ""))[0], value)
    numbers = _numbers(one), _numbers(other)
    told = [(name, first, second, _difference(name, first, second, numbers)) for name, (first, second) in pairs.items()]
    return sorted(told, key=lambda line: line[3] == "same")


def _numbers(one: RunDetails) -> dict[str, tuple[Scalar, str]]:
    return {item.label: (item.value, item.unit) for item in found(one.summary.numbers)}


def _difference(name: str, first: str, second: str, numbers: tuple[dict[str, tuple[Scalar, str]], dict[str, tuple[Scalar, str]]]) -> str:
    if first == second:
        return "same"
    (a, unit), (b, _) = (side.get(name, (None, "")) for side in numbers)
    if isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool) and not isinstance(b, bool):
        return f"{'+' if b > a else ''}{words.quantity(float(b) - float(a), unit)}"
    return "differs" if first and second else "only one has it"


class Comparison(QWidget):
    """Two runs side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.told = plain("Select two runs and press Compare.", wrap=True)
        self.table = WideTable("Comparison of two runs", ["What", Column("First", wide=True), Column("Second", wide=True), Column("Difference", number=True)])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.told)
        layout.addWidget(self.table, 1)

    @guarded
    def show_both(self, one: RunDetails, other: RunDetails) -> None:
        """Compare two runs; the difference is the second less the first."""
        lines = compared(one, other)
        differ = sum(line[3] != "same" for line in lines)
        self.told.setText(f"First: {one.summary.run}. Second: {other.summary.run}. {differ} of {len(lines)} lines differ; the difference is second less first.")
        looks = {True: "done", False: "warning"}
        self.table.set_rows([(*line[:3], Cell(line[3], word=looks[line[3] == "same"])) for line in lines])
