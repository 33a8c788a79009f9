"""Caps of quantum jobs are changed for the controller by a process of its own; the owner tells who asked and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliograph.control.owner.job_reader import JobReader
from heliograph.control.owner.publishing import Topics
from heliograph.control.parties.telling import qpu_jobs
from heliograph.core.errors import BenchError, HeliographError, ParameterError, QpuConfigError
from heliograph.protocols.qpu import Project
from heliograph.protocols.qpu.caps import changes

WHO = "ana@lab1 (process 4711)"
COST = {"tasks": 1, "shots": 100, "usd": 1.5, "qpu_seconds": None}


class Bench:
    """A project that a worker told of, and the owner's side of it."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder / "qpu")
        (self.project.folder / "qpu.toml").write_text("[budget]\nmax_usd = 5\nmax_jobs = 3\n")
        self.project.ledger.append("intent", uuid="1" * 32, backend="ibm:one", shots=100, works=1, parts=1, cloud=True, cost=COST, hash=[])
        self.topics = Topics()
        self.box = self.topics.subscribe(["event"])
        self.topics.publish("qpu", qpu_jobs(self.project))
        self.reader = JobReader(self.topics, folder / "station.toml")

    def ask(self, **changes_: Any) -> dict[str, Any]:
        asked = {"project": str(self.project.folder.resolve()), "limit": "usd", "most": 1_234_567.5, "was": 5.0, "why": "a second\nlayer", "operator": "Ana"}
        return self.reader.change_cap({**asked, **changes_}, WHO)

    def events(self) -> list[str]:
        return [message.body.text for message in self.box.take()]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_a_cap_is_changed_and_the_journal_says_by_whom_and_why(bench):
    changed = bench.ask()

    (kept,) = changes(bench.project)
    assert (kept.limit, kept.old, kept.new, kept.spent, kept.who, kept.why) == ("usd", 5.0, 1_234_567.5, 1.5, f"Ana, {WHO}", "a second layer")
    assert changed["new"] == 1_234_567.5
    (event,) = bench.events()
    assert event.endswith(f"is 1,234,567.5 USD now, it was 5 USD (1.5 USD spent or reserved); Ana, {WHO}: a second layer")
    (limit, *_) = qpu_jobs(bench.project).limits
    assert (limit.name, limit.spent, limit.cap) == ("usd", 1.5, 1_234_567.5)


def test_what_the_ledger_refuses_is_refused_in_its_words_and_told_nobody(bench):
    with pytest.raises(QpuConfigError, match=r"1\.5 USD are spent or reserved"):
        bench.ask(most=1.0)
    assert changes(bench.project) == ()
    assert bench.events() == []


@pytest.mark.parametrize(
    "wrong", [{"project": "/elsewhere"}, {"most": "a lot"}, {"was": None}, {"most": None}], ids=["another project", "no number", "not seen", "nothing"]
)
def test_a_request_about_what_the_client_cannot_see_is_refused_at_once(bench, wrong, monkeypatch):
    monkeypatch.setattr(bench.reader, "_ask", pytest.fail)
    with pytest.raises(ParameterError):
        bench.ask(**wrong)


def test_nothing_is_changed_where_no_worker_told_of_a_project(tmp_path):
    with pytest.raises(ParameterError, match="no project"):
        JobReader(Topics(), tmp_path).change_cap({"project": "x", "limit": "usd", "most": 1, "was": 0, "why": "y", "operator": ""}, WHO)


def test_a_process_that_cannot_be_run_leaves_it_open(bench):
    with pytest.raises(BenchError, match="nobody knows whether") as caught:
        bench.ask(why="nul \0 byte")
    assert isinstance(caught.value, HeliographError)
    assert bench.events() == []
