"""The ledger of jobs and the budget guard, with a cloud of three lines."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit

from heliograph.core.errors import LedgerCorrupt, QpuBudgetExceeded, QpuConfigError, QpuUnavailable, StorageError
from heliograph.core.ledger import Ledger
from heliograph.protocols.qpu import Budget, Cost, JobStatus, Limits, Project, Settings, Work, open_backend
from heliograph.protocols.qpu import budget as guard
from heliograph.protocols.qpu.budget import Spent
from heliograph.protocols.qpu.engine import ProviderBackend
from heliograph.protocols.qpu.ledger import JobHistory, JobLedger, histories
from heliograph.protocols.qpu.local import LocalBackend
from heliograph.protocols.qpu.projects import Part
from heliograph.protocols.qpu.retries import Patience

COST = {"tasks": 1, "shots": 100, "usd": 2.0, "qpu_seconds": 0.0}


def history(**changes):
    return JobHistory("a" * 32, {"parts": 1, "cloud": True, "cost": COST, "backend": "x"}, **changes)


@pytest.mark.parametrize(
    ("changes", "state", "counts"),
    [
        ({}, "unanswered", True),
        ({"error": "unresolved"}, "unanswered", True),
        ({"provider_ids": {0: "x"}}, "QUEUED", True),
        ({"provider_ids": {0: "x"}, "status": JobStatus.RUNNING}, "RUNNING", True),
        ({"provider_ids": {0: "x"}, "status": JobStatus.DONE, "recorded": True}, "DONE", True),
        ({"provider_ids": {0: "x"}, "status": JobStatus.FAILED}, "FAILED", False),
        ({"provider_ids": {0: "x"}, "status": JobStatus.CANCELLED}, "CANCELLED", False),
        ({"error": "QpuAuthError"}, "unsent", False),
        ({"error": "QpuRateLimited", "provider_ids": {0: "x"}}, "QUEUED", True),
        ({"lost": True}, "lost", False),
        ({"refused": True}, "refused", False),
    ],
)
def test_what_counts_against_the_budget(changes, state, counts):
    job = history(**changes)

    assert (job.state, job.counts) == (state, counts)
    assert job.unanswered == (state == "unanswered")
    assert job.cost == (COST if counts else dict.fromkeys(COST, 0))
    assert guard.spent([job]) == (Spent(1, 100, 2.0, 0.0) if counts else Spent())


HALF = {"tasks": 1, "shots": 50, "usd": 1.3, "qpu_seconds": 0.0}
DONE_AND = {0: JobStatus.DONE}


def of_two(**changes):
    whole = {name: 2 * value for name, value in HALF.items()}
    return JobHistory("a" * 32, {"parts": 2, "cloud": True, "cost": whole, "part_costs": [HALF, HALF], "backend": "x"}, **changes)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, (0, 1)),
        ({"provider_ids": {0: "x"}}, (0, 1)),
        ({"provider_ids": {0: "x"}, "error": "unresolved"}, (0, 1)),
        ({"provider_ids": {0: "x"}, "error": "QpuRateLimited"}, (0,)),
        ({"provider_ids": {1: "x"}, "error": "unresolved", "lost": True}, (1,)),
        ({"provider_ids": {0: "x", 1: "y"}, "status": JobStatus.DONE, "part_states": DONE_AND | {1: JobStatus.DONE}}, (0, 1)),
        ({"provider_ids": {0: "x", 1: "y"}, "status": JobStatus.FAILED, "part_states": DONE_AND | {1: JobStatus.FAILED}}, (0,)),
        ({"provider_ids": {0: "x", 1: "y"}, "status": JobStatus.CANCELLED, "part_states": DONE_AND | {1: JobStatus.CANCELLED}}, (0,)),
        ({"provider_ids": {0: "x", 1: "y"}, "status": JobStatus.FAILED, "part_states": dict.fromkeys(range(2), JobStatus.FAILED)}, ()),
        ({"refused": True}, ()),
        ({"error": "QpuAuthError"}, ()),
    ],
)
def test_only_parts_that_came_to_nothing_give_their_cost_back(changes, parts):
    job = of_two(**changes)

    assert job.counted == parts
    assert guard.spent([job]) == Spent(int(bool(parts)), 50 * len(parts), 1.3 * len(parts), 0.0)


def test_a_ledger_without_costs_and_states_of_parts_gives_nothing_back_of_a_job_in_parts():
    job = of_two(provider_ids={0: "x", 1: "y"}, status=JobStatus.FAILED)
    del job.intent["part_costs"]

    assert guard.spent([job]) == Spent(1, 100, 2.6, 0.0)


def test_local_jobs_cost_nothing_and_told_seconds_replace_reserved_ones():
    local = history()
    local.intent = {**local.intent, "cloud": False}
    timed = history(usage=7.0)
    timed.intent = {**timed.intent, "cost": {**COST, "usd": None, "qpu_seconds": 60.0}}

    assert guard.spent([local, timed]) == Spent(1, 100, 0.0, 7.0)


def test_seconds_stay_reserved_until_the_provider_tells_what_was_used():
    waiting = history(usage=None)
    waiting.intent = {**waiting.intent, "cost": {**COST, "usd": None, "qpu_seconds": 60.0}}
    used = guard.spent([waiting])

    assert used == Spent(1, 100, 0.0, 60.0)
    assert guard.left(Budget(5, 1000, max_qpu_seconds=100), used)["qpu_seconds"] == 40
    with pytest.raises(QpuBudgetExceeded, match="qpu_seconds: 60 asked, 40 left"):
        guard.check(Budget(5, 1000, max_qpu_seconds=100), used, Cost(1, 1, usd=None, qpu_seconds=60.0), "here")


@pytest.mark.parametrize(
    ("budget", "cost", "says"),
    [
        (Budget(), Cost(1, 1), "jobs"),
        (Budget(1, 10), Cost(1, 11), "shots"),
        (Budget(1, 10), Cost(1, 1, usd=0.1), "usd"),
        (Budget(1, 10, max_usd=1), Cost(1, 1, usd=1.1), "usd"),
        (Budget(1, 10, max_usd=1), Cost(1, 1, usd=None), "nobody knows"),
        (Budget(1, 10), Cost(1, 1, usd=None, qpu_seconds=None), "nobody knows"),
        (Budget(1, 10), Cost(1, 1, usd=None, qpu_seconds=5), "qpu_seconds"),
        (Budget(1, 10, max_usd=1, max_qpu_seconds=60), Cost(1, 1, usd=None, qpu_seconds=5), "nobody knows"),
    ],
)
def test_what_the_budget_does_not_cover(budget, cost, says):
    with pytest.raises(QpuBudgetExceeded, match=says) as caught:
        guard.check(budget, Spent(), cost, "here")

    assert caught.value.left["jobs"] == budget.max_jobs
    assert caught.value.cost["shots"] == cost.shots


@given(limit=st.integers(0, 20), costs=st.lists(st.integers(1, 9), max_size=12))
def test_whatever_is_asked_the_sum_stays_within_the_limit(limit, costs):
    used = Spent()
    for shots in costs:
        try:
            guard.check(Budget(99, limit, 0, None), used, Cost(1, shots), "here")
        except QpuBudgetExceeded:
            continue
        used = Spent(used.jobs + 1, used.shots + shots)

    assert used.shots <= limit


def test_records_of_other_kinds_and_fields_nobody_knows_are_passed_over(tmp_path):
    ledger = JobLedger(tmp_path / "l.jsonl")
    ledger.append("intent", uuid="ab" * 16, parts=1, cloud=False, cost=COST, backend="local", future=3)
    ledger.append("submitted", uuid="ab" * 16, provider_ids={"0": "x"}, also="new")
    ledger.append("dreamt", uuid="ab" * 16)
    ledger.append("state", uuid="no such job", state="DONE")

    job = ledger.job("ab")

    assert job.provider_ids == {0: "x"}
    assert job.intent["future"] == 3
    with pytest.raises(QpuConfigError, match="no such job"):
        ledger.job("ff")


def test_a_beginning_that_fits_two_jobs_names_none(tmp_path):
    ledger = JobLedger(tmp_path / "l.jsonl")
    for uuid in ("ab" * 16, "ac" * 16):
        ledger.append("intent", uuid=uuid, parts=1, cloud=False, cost=COST, backend="local")

    assert ledger.job("ab").uuid == "ab" * 16
    with pytest.raises(QpuConfigError, match="several"):
        ledger.job("a")
    with pytest.raises(QpuConfigError, match="no such job"):
        ledger.job("")


def test_a_final_state_never_changes():
    uuid = "ab" * 16
    rows = [{"kind": "qpu_intent", "uuid": uuid, "parts": 1}]
    rows += [{"kind": "qpu_state", "uuid": uuid, "state": state} for state in ("RUNNING", "FAILED", "DONE")]

    assert histories(rows)[uuid].status is JobStatus.FAILED


def test_a_job_that_was_recorded_stays_so():
    uuid = "ab" * 16
    rows = [{"kind": "qpu_intent", "uuid": uuid, "parts": 1}]
    rows += [{"kind": "qpu_result", "uuid": uuid, "sha256": {"0": "x"}, "whole": whole} for whole in (True, False)]

    assert histories(rows)[uuid].recorded


def test_a_torn_last_line_is_left_out_and_any_other_damage_is_named(tmp_path, paper):
    backend = open_backend("local", tmp_path)
    backend.run([Work(paper)], 5)
    path = tmp_path / "qpu-ledger.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert len(Project(tmp_path).ledger.jobs()) == 1
    with pytest.warns(UserWarning, match="torn last line"):
        open_backend("local", tmp_path).run([Work(paper)], 5)
    path.write_bytes(whole.replace(b'"shots":5', b'"shots":6', 1))

    with pytest.raises(LedgerCorrupt, match="line 2"):
        Project(tmp_path).ledger.jobs()


def test_writers_wait_for_each_other_but_not_for_ever(tmp_path, monkeypatch):
    path = tmp_path / "l.jsonl"
    monkeypatch.setattr("heliograph.protocols.qpu.ledger._WAIT_S", 0.05)

    with Ledger(path), pytest.raises(StorageError, match="in use"):
        JobLedger(path).append("state")


RACER = """
import sys
from qiskit import QuantumCircuit
from heliograph.core.errors import QpuBudgetExceeded
from heliograph.protocols.qpu import Cost, JobStatus, Limits, Project, Work
from heliograph.protocols.qpu.engine import ProviderBackend

class Cloud(ProviderBackend):
    cloud = True
    def translate(self, work, seed): return None, {}
    def send(self, plan, index, uuid, tags): return uuid
    def state(self, provider_id): return JobStatus.QUEUED, ""
    def fetch(self, provider_id, file, part): return []

circuit = QuantumCircuit(1, 1)
circuit.measure(0, 0)
backend = Cloud("ibm:race", Limits(), project=Project(sys.argv[1]))
sent = 0
for _ in range(8):
    try:
        backend.submit([Work(circuit)], 10)
        sent += 1
    except QpuBudgetExceeded:
        pass
print(sent)
"""


def test_the_budget_holds_across_processes_that_run_at_the_same_time_and_across_restarts(tmp_path, paper):
    (tmp_path / "qpu.toml").write_text("[budget]\nmax_jobs = 9\nmax_shots = 1000\n")
    racing = [subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path)], stdout=subprocess.PIPE, text=True) for _ in range(2)]

    sent = [int(process.communicate(timeout=60)[0]) for process in racing]

    jobs = Project(tmp_path).ledger.jobs()
    assert sum(sent) == 9
    assert sum(job.counts for job in jobs.values()) == 9
    assert sum(job.refused for job in jobs.values()) == 7
    restarted = Cloud(tmp_path)
    with pytest.raises(QpuBudgetExceeded, match="jobs: 1 asked, 0 left"):
        restarted.submit([Work(paper)], 1)
    assert restarted.sent == []


class Cloud(ProviderBackend):
    """A cloud of a few lines with one part a work: sending fails as `fails` says, the search finds what `known` has."""

    cloud = True

    def __init__(self, folder, *, cloud=True):
        self.cloud = cloud
        (folder / "qpu.toml").write_text("[budget]\nmax_jobs = 9\nmax_shots = 1000\n")
        now = [0.0]
        patience = Patience(lambda seconds: now.__setitem__(0, now[0] + seconds), lambda: now[0], np.random.default_rng(1))
        super().__init__("ibm:few", Limits(), project=Project(folder), patience=patience)
        self.sent: list[int] = []
        self.fails: dict[int, Exception] = {}
        self.known: dict[int, str] = {}

    def parts(self, works, shots, seed):
        return tuple(Part((work,), shots) for work in range(works))

    def translate(self, work, seed):
        return None, {}

    def send(self, plan, index, uuid, tags):
        self.sent.append(index)
        if index in self.fails:
            raise self.fails[index]
        return f"task-{index}"

    def search(self, uuid, since_ns):
        return self.known or super().search(uuid, since_ns)

    def state(self, provider_id):
        return JobStatus.DONE, ""

    def fetch(self, provider_id, file, part):
        return [np.full((part.shots, 4), int(provider_id[-1]) % 2, np.uint8)]


def test_a_part_that_the_provider_has_already_is_not_sent(tmp_path, paper):
    backend = Cloud(tmp_path)
    backend.fails[0] = ConnectionError("the line broke")
    backend.known = {0: "task-0", 1: "task-1"}

    job = backend.submit([Work(paper)] * 3, 2)

    assert backend.sent == [0, 2]
    assert job.provider_ids == ("task-0", "task-1", "task-2")
    assert [samples.bits[0, 0] for samples in job.result()] == [0, 1, 0]


def test_a_provider_without_a_search_leaves_an_open_submission_to_the_operator(tmp_path, paper):
    backend = Cloud(tmp_path)
    backend.fails[1] = TimeoutError("no answer")

    with pytest.raises(QpuUnavailable, match="TimeoutError") as caught:
        backend.submit([Work(paper)] * 2, 2)

    (uuid,) = backend.unanswered()
    assert uuid in caught.value.remedy
    assert backend.sent == [0, 1]
    with pytest.raises(QpuUnavailable, match="1 of 2 parts"):
        backend.resume(uuid)


def test_without_a_project_an_open_submission_is_looked_for_as_well(tmp_path, paper):
    backend = Cloud(tmp_path, cloud=False)
    backend.project = None
    backend.fails[0] = ConnectionError("the line broke")

    with pytest.raises(QpuUnavailable, match="the line broke"):
        backend.submit([Work(paper)], 2)

    assert backend.unanswered() == []


def test_only_the_open_jobs_of_the_back_end_itself_are_listed(tmp_path, paper):
    backend = Cloud(tmp_path)
    Project(tmp_path).ledger.append("intent", uuid="ab" * 16, parts=1, cloud=True, cost={**COST, "usd": 0.0}, backend="ibm:other")
    backend.fails[0] = ConnectionError("the line broke")
    with pytest.raises(QpuUnavailable):
        backend.submit([Work(paper)], 2)

    (uuid,) = backend.unanswered()

    assert uuid != "ab" * 16
    assert sum(job.unanswered for job in Project(tmp_path).ledger.jobs().values()) == 2


def test_settings_that_are_given_hold_instead_of_the_projects(tmp_path):
    (tmp_path / "qpu.toml").write_text("optimization_level = 2\n")
    home = Project(tmp_path)

    assert LocalBackend(project=home, settings=Settings(optimization_level=3)).settings.optimization_level == 3
    assert LocalBackend(project=home).settings.optimization_level == 2
    assert LocalBackend().settings == Settings()
    assert open_backend().name == "local"


def test_files_of_a_project_are_for_their_owner_alone(tmp_path, paper):
    open_backend("local", tmp_path / "p").run([Work(paper)], 5)

    files = [path for path in (tmp_path / "p").rglob("*") if path.is_file()]
    assert {path.name.split("-")[0] for path in files} >= {"qpu"}
    assert len(files) == 3
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in (tmp_path / "p").rglob("*") if path.is_dir())


def test_a_lost_job_file_is_named(tmp_path, paper):
    backend = open_backend("local", tmp_path)
    job = backend.submit([Work(paper)], 5)
    (tmp_path / "jobs" / f"{job.uuid}.json").write_text("{}")

    with pytest.raises(QpuConfigError, match="job file") as caught:
        open_backend("local", tmp_path).resume(job.uuid)

    assert job.uuid in caught.value.where


def test_a_job_file_of_another_kind_is_named(tmp_path, paper):
    backend = open_backend("local", tmp_path)
    job = backend.submit([Work(paper)], 5)
    path = tmp_path / "jobs" / f"{job.uuid}.json"
    path.write_text(path.read_text().replace("heliograph-qpu-job/1", "heliograph-qpu-job/2"))

    with pytest.raises(QpuConfigError, match="heliograph-qpu-job/2"):
        Project(tmp_path).read_job(job.uuid)


def test_a_folder_that_may_not_be_written_is_no_project(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    with pytest.raises(StorageError, match="cannot be written"):
        Project(tmp_path)


def test_delays_grow_and_are_spread():
    delays = [Patience().delay_s(attempt) for attempt in range(9)]

    for attempt, delay in enumerate(delays):
        most = min(60, 2**attempt)
        assert most / 2 <= delay <= most


def test_the_intent_tells_what_is_to_be_sent(tmp_path, paper):
    job = open_backend("local", tmp_path).submit([Work(paper)] * 2, 7, seed=3, tags=["x"])

    intent, submitted, *_ = [json.loads(line) for line in (tmp_path / "qpu-ledger.jsonl").read_text().splitlines()]
    assert intent["kind"] == "qpu_intent"
    assert intent["uuid"] == job.uuid
    assert intent["circuits"] == ["a25f2373a7f752f59642b26f8115e21a026b0f27ce6fbad9c4a2ed4d9936104e"] * 2
    assert (intent["shots"], intent["works"], intent["parts"], intent["seed"], intent["tags"], intent["cloud"]) == (7, 2, 1, 3, ["x"], False)
    assert intent["versions"]["qiskit"]
    assert submitted["provider_ids"] == {"0": job.provider_ids[0]}


def test_a_circuit_that_openqasm_cannot_say_is_refused_before_the_intent(tmp_path):
    from qiskit.circuit import Gate

    circuit = QuantumCircuit(1, 1)
    circuit.append(Gate("mystery", 1, []), [0])
    circuit.measure(0, 0)

    with pytest.raises(QpuConfigError):
        open_backend("local", tmp_path).submit([Work(circuit)], 5)

    assert not (tmp_path / "qpu-ledger.jsonl").exists()
