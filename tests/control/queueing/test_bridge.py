"""Procedures that somebody wrote for PyMeasure, as they are, run by the owner of the bench."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.acquisition.runs import Run
from heliograph.control.attached import AttachedBench
from heliograph.control.link import Message
from heliograph.control.run_files.catalogue import details
from heliograph.control.topics import ProcedureForm, QueueRow, ScanRows
from heliograph.core import plugins
from heliograph.core.errors import HeliographError, ParameterError

from ..owned import attached, owning, wait_for

MODULE = '''
import logging
import random
from pathlib import Path
from time import sleep

from pymeasure.experiment import BooleanParameter, FloatParameter, IntegerParameter, ListParameter, Metadata, Parameter, Procedure

log = logging.getLogger(__name__)


class RandomNumbers(Procedure):
    """Draw random numbers."""

    iterations = IntegerParameter("Loop iterations", default=5, minimum=1, maximum=1000)
    delay = FloatParameter("Delay", units="s", default=0.01)
    kind = ListParameter("Distribution", choices=["uniform", "normal"], default="uniform")
    seed = Parameter("Seed", default="12345")
    user = Parameter("User", default="Ada")
    traces = Parameter("Folder of traces", default="")
    started = Metadata("Started with", fget=lambda: 7)

    DATA_COLUMNS = ["Iteration", "Voltage (V)", "Current (mA)"]

    def startup(self):
        random.seed(self.seed)
        self._trace("startup")

    def execute(self):
        for i in range(self.iterations):
            draw = random.random() if self.kind == "uniform" else random.gauss(0, 1)
            self.emit("results", {"Iteration": i, "Voltage (V)": draw})
            self.emit("progress", 100 * i / self.iterations)
            sleep(self.delay)
            if self.should_stop():
                self._trace("told to stop")
                break

    def shutdown(self):
        self._trace("shutdown" + (" early" if self.should_stop() else ""))

    def get_estimates(self, sequence_length=None, sequence=None):
        return [("Number of lines", "%d" % self.iterations), ("Duration", "%.3f s" % (self.iterations * self.delay))]

    def _trace(self, text):
        if self.traces:
            with Path(self.traces).open("a") as file:
                file.write(text + "\\n")


class Misspelt(RandomNumbers):
    """Emits a column that it does not declare."""

    def execute(self):
        self.emit("results", {"Iteration": 1, "Volts (V)": 2.0})


class Waveform(RandomNumbers):
    """Emits something that is no scalar."""

    def execute(self):
        self.emit("results", {"Iteration": 1, "Voltage (V)": [1.0, 2.0]})


class Deaf(RandomNumbers):
    """Goes on when it is told to stop, and catches everything."""

    def execute(self):
        for i in range(2000):
            try:
                self.should_stop()
                self.emit("results", {"Iteration": i})
            except:
                self._trace("caught")
                return
            sleep(0.005)


class BadShutdown(RandomNumbers):
    """Cannot be shut down."""

    def shutdown(self):
        super().shutdown()
        raise OSError("the source does not answer")


class Attenuation(Procedure):
    """Reads an attenuator of the bench."""

    DATA_COLUMNS = ["Attenuation (dB)"]
    instruments: dict

    def execute(self):
        self.emit("results", {"Attenuation (dB)": self.instruments["voa_in"].attenuation_db})


class Crooked(Procedure):
    """Has a column whose unit PyMeasure does not know."""

    DATA_COLUMNS = ["Bounce (boing)"]
'''
NAMES = ("Misspelt", "Waveform", "Deaf", "BadShutdown", "Attenuation", "Crooked")
POINTS = "\n".join(("[heliograph.procedures]", "Noise = acme_sweeps:RandomNumbers", *(f"{name} = acme_sweeps:{name}" for name in NAMES)))


class Operator:
    """A window, as far as the link sees it."""

    def __init__(self, bench: AttachedBench) -> None:
        self.bench, self.heard = bench, list[Message]()
        bench.link._heard = self.heard.append
        self.ask("subscribe")
        self.ask("control")
        self.ask("go_on")

    def ask(self, about: str, /, **body: Any) -> Any:
        return self.bench.link.ask(about, body, timeout_s=20.0)

    def enqueue(self, procedure: str, **parameters: object) -> int:
        return int(self.ask("enqueue", procedure=procedure, parameters={name: str(value) for name, value in parameters.items()}))

    def row(self, job: int) -> QueueRow:
        rows: tuple[QueueRow, ...] = self.ask("queue").rows
        return next(row for row in rows if row.job == job)

    def ended(self, job: int) -> QueueRow:
        wait_for(lambda: self.row(job).state in ("done", "aborted", "failed"))
        return self.row(job)

    def rows(self, job: int) -> list[QueueRow]:
        """Return what was told of one thing in the queue."""
        return [row for message in list(self.heard) if message.topic == "queue" for row in message.body.rows if row.job == job]

    def scans(self) -> list[ScanRows]:
        return [message.body for message in list(self.heard) if message.topic == "scan"]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site of acme")
    about = site / "acme-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(POINTS)
    (site / "acme_sweeps.py").write_text(MODULE)
    return site


@pytest.fixture(scope="module")
def station(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(package))
        with owning(tmp_path_factory.mktemp("bridge")) as path:
            yield path


@pytest.fixture
def operator(station: Path) -> Iterator[Operator]:
    with attached(station) as bench:
        yield Operator(bench)


def family(pid: int) -> set[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, int] = {}
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            try:
                parents[int(one.name)] = int((one / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def listening(pids: set[int]) -> set[tuple[int, str]]:
    """Return the TCP sockets of processes that listen: process and address."""
    sockets = {}
    for name in ("tcp", "tcp6"):
        for line in (line.split() for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]):
            if line[3] == "0A":
                sockets[f"socket:[{line[9]}]"] = line[1]
    found = set()
    for pid in pids:
        opened = set()
        with suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                # What is open may be closed meanwhile.
                with suppress(OSError):
                    opened.add(str(entry.readlink()))
        found |= {(pid, sockets[one]) for one in opened if one in sockets}
    return found


@pytest.fixture
def acme(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package, installed for this process too."""
    monkeypatch.syspath_prepend(package)
    for known in (plugins.offered, plugins.load):
        known.cache_clear()
    yield importlib.import_module("acme_sweeps")
    monkeypatch.undo()
    sys.modules.pop("acme_sweeps")
    for known in (plugins.offered, plugins.load):
        known.cache_clear()


def test_an_unmodified_procedure_runs_with_live_rows_an_estimate_and_a_run_file_and_opens_no_port(operator: Operator, tmp_path: Path) -> None:
    owner = operator.bench.owner_pid
    before = listening(family(owner))
    job = operator.enqueue("Noise", iterations=60, delay=0.02, kind="normal", traces=tmp_path / "traces")
    wait_for(lambda: any(not scan.over and len(scan.rows) > 0 for scan in operator.scans()))
    ports = listening(family(owner))
    row = operator.ended(job)

    left_s = [one.eta_s for one in operator.rows(job) if one.state == "running" and one.eta_s is not None]
    assert 0.0 < left_s[0] <= 1.2
    assert (row.state, row.progress, row.procedure) == ("done", 1.0, "Noise")
    # The simulated instruments listen, on this machine alone, so listeners are seen.
    assert ports == before != set()
    assert owner not in {pid for pid, _ in ports}
    wait_for(lambda: operator.scans()[-1].over)
    last = operator.scans()[-1]
    assert (last.procedure, last.columns, len(last.rows)) == ("Noise", ("Iteration", "Voltage (V)", "Current (mA)"), 60)
    assert (tmp_path / "traces").read_text().split() == ["startup", "shutdown"]
    assert row.path is not None
    with Run.open(row.path) as run:
        random.seed("12345")
        assert run["Noise/Voltage"] == pytest.approx([random.gauss(0, 1) for _ in range(60)], rel=0, abs=0)
        assert np.isnan(run["Noise/Current"]).all()
        assert set(run.to_pandas("Noise")) == {"Iteration", "Voltage (V)", "Current (mA)"}
        assert run.units == {"Noise/Iteration": "", "Noise/Voltage": "V", "Noise/Current": "mA"}
        assert run.start["foreign"] == "package acme 0.1"
        assert run.events[0][-1].startswith("foreign procedure: package acme 0.1; ")
        assert run.parameters == {"iterations": 60, "delay": 0.02, "kind": "normal", "seed": "12345", "user": "Ada", "traces": str(tmp_path / "traces")}
        assert run.summary == {"metadata": {"started": 7}}
        assert (run.procedure, run.simulated, run.provenance.reasons) == ("Noise", True, ("light comes from simulated instruments",))
    assert "package acme 0.1" in details(Path(row.path)).provenance


def test_its_form_has_its_parameters_in_their_order_and_one_that_cannot_be_made_has_none(operator: Operator) -> None:
    forms: dict[str, ProcedureForm] = {form.name: form for form in operator.ask("procedures")}

    asked = forms["Noise"].parameters

    assert [one.name for one in asked] == ["iterations", "delay", "kind", "seed", "user", "traces"]
    assert [(one.kind, one.unit, one.default, one.choices) for one in asked[1:5]] == [
        ("float", "s", "0.01", ()),
        ("choice", "", "uniform", ("uniform", "normal")),
        ("text", "", "12345", ()),
        ("text", "", "Ada", ()),
    ]
    assert (forms["Noise"].title, forms["Noise"].duration_s) == ("Draw random numbers", 0.05)
    assert "CountRates" in forms
    assert "Crooked" not in forms
    with pytest.raises(HeliographError, match=r"Crooked, package acme 0\.1.*boing"):
        operator.enqueue("Crooked")


@pytest.mark.parametrize(
    ("parameters", "told"), [({"iterations": "0"}, "0 is less than 1"), ({"kind": "odd"}, "is not one of uniform, normal"), ({"colour": "red"}, "no parameter")]
)
def test_a_wrong_parameter_is_refused_in_our_words(operator: Operator, parameters: Mapping[str, str], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        operator.enqueue("Noise", **parameters)


@pytest.mark.parametrize(
    ("name", "told", "shutdowns"),
    [
        ("Misspelt", r"'Volts (V)' is emitted and is no column", "shutdown"),
        ("Waveform", r"a list is no number", "shutdown"),
        ("BadShutdown", r"it could not be shut down: OSError: the source does not answer", "shutdown"),
    ],
)
def test_one_that_fails_is_shut_down_once_and_does_not_block_the_queue(operator: Operator, tmp_path: Path, name: str, told: str, shutdowns: str) -> None:
    row = operator.ended(operator.enqueue(name, iterations=1, traces=tmp_path / "traces"))
    if name == "BadShutdown":
        operator.ask("reset")
    operator.ask("go_on")
    after = operator.ended(operator.enqueue("Noise", iterations=1))

    assert (row.state, after.state) == ("failed", "done")
    assert told in row.why
    assert (tmp_path / "traces").read_text().splitlines() == ["startup", shutdowns]
    assert row.path is not None
    with Run.open(row.path) as run:
        assert run.stop["reason"] == "failed"


@pytest.mark.parametrize(("name", "traces"), [("Noise", ["startup", "told to stop", "shutdown early"]), ("Deaf", ["startup", "caught", "shutdown early"])])
def test_one_that_is_aborted_is_told_to_stop_and_shut_down_once(operator: Operator, tmp_path: Path, name: str, traces: list[str]) -> None:
    job = operator.enqueue(name, iterations=1000, delay=0.005, traces=tmp_path / "traces")
    # The last scan may be that of an earlier run still.
    wait_for(lambda: operator.row(job).state == "running" and any(not scan.over and len(scan.rows) > 3 for scan in operator.scans()[-1:]))
    operator.ask("abort", job=job)
    row = operator.ended(job)
    operator.ask("go_on")

    assert row.state == "aborted"
    assert (tmp_path / "traces").read_text().splitlines() == traces
    assert row.path is not None
    with Run.open(row.path) as run:
        assert run.stop["reason"] == "aborted"
        assert (np.diff(run[f"{name}/Iteration"]) == 1.0).all()


def test_one_that_is_stopped_early_is_done_and_keeps_its_rows(operator: Operator, tmp_path: Path) -> None:
    job = operator.enqueue("Noise", iterations=1000, traces=tmp_path / "traces")
    wait_for(lambda: operator.row(job).state == "running" and operator.row(job).progress > 0.0)
    operator.ask("pause", job=job)
    wait_for(lambda: operator.row(job).state == "paused")
    operator.ask("resume", job=job)
    operator.ask("stop", job=job)

    assert operator.ended(job).state == "done"
    assert (tmp_path / "traces").read_text().splitlines() == ["startup", "told to stop", "shutdown early"]


def test_what_was_run_is_run_again_with_a_parameter_changed(operator: Operator) -> None:
    operator.ask("hold", on=True, why="to edit")
    first = operator.enqueue("Noise", iterations=2)
    operator.ask("edit", job=first, parameters={"iterations": "3"})
    second = operator.ask("duplicate", job=first)
    operator.ask("go_on")

    row = operator.ended(second)

    assert row.path is not None
    with Run.open(row.path) as run:
        assert list(run["Noise/Iteration"]) == [0.0, 1.0, 2.0]


def test_one_that_asks_for_instruments_gets_those_of_the_bench(operator: Operator) -> None:
    row = operator.ended(operator.enqueue("Attenuation"))

    assert row.path is not None
    with Run.open(row.path) as run:
        assert list(run["Attenuation/Attenuation"]) == [operator.bench["voa_in"].attenuation_db]


def test_a_script_attached_to_the_owner_runs_those_of_installed_packages_and_no_others(operator: Operator, acme: Any) -> None:
    class Unknown(acme.RandomNumbers):  # type: ignore[misc]
        """Known to this process alone."""

    with operator.bench.run(acme.RandomNumbers(iterations=2), progress=lambda *_: None) as run:
        assert (run.procedure, run["Noise/Iteration"].size) == ("Noise", 2)
    with pytest.raises(ParameterError, match="another process owns the bench, and knows only procedures of installed packages"):
        operator.bench.run(Unknown(), progress=lambda *_: None)
