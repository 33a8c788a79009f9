"""Caps of the budget: changed on purpose, on record, never below what is spent, and never past a job that is being booked."""

from __future__ import annotations

import errno
import stat
import subprocess
import sys
import threading
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import LedgerCorrupt, QpuBudgetExceeded, QpuConfigError, StorageError
from heliograph.protocols.qpu import Cost, JobStatus, Limits, Project, Work
from heliograph.protocols.qpu import caps as room
from heliograph.protocols.qpu.caps import CapChange, caps, change_cap, changes, with_cap
from heliograph.protocols.qpu.engine import ProviderBackend

ASKED: dict[str, Any] = {"who": "ana@lab1", "why": "a second layer"}
SETTINGS = '# ours\nbackend = "aer"\n\n[budget]\nmax_jobs = 9     # a day\nmax_shots = 1_000\nmax_usd = 5.0\n'


class Cloud(ProviderBackend):
    """A cloud of a few lines at 1 USD a job."""

    cloud = True

    def __init__(self, project):
        super().__init__("braket:few", Limits(), project=project)

    def price(self, parts):
        return Cost(1, sum(part.shots for part in parts), 1.0)

    def translate(self, work, seed):
        return None, {}

    def send(self, plan, index, uuid, tags):
        return uuid

    def state(self, provider_id):
        return JobStatus.QUEUED, ""

    def fetch(self, provider_id, file, part):
        return []


@pytest.fixture
def project(tmp_path):
    (tmp_path / "qpu.toml").write_text(SETTINGS)
    return Project(tmp_path)


def written(project):
    return (project.folder / "qpu.toml").read_text()


def test_a_cap_is_changed_in_its_place_and_the_ledger_says_who_changed_it_and_why(project):
    found = change_cap(project, "usd", 12.5, was=5.0, **ASKED)

    assert written(project) == SETTINGS.replace("5.0", "12.5")
    assert (found.old, found.new, found.spent, found.who, found.why) == (5.0, 12.5, 0.0, "ana@lab1", "a second layer")
    (kept,) = changes(project)
    assert (kept.limit, kept.old, kept.new, kept.why) == ("usd", 5.0, 12.5, "a second layer")
    assert [(one.limit, one.unit, one.spent, one.most) for one in caps(project)] == [
        ("usd", "USD", 0.0, 12.5), ("qpu_seconds", "s", 0.0, None), ("shots", "shots", 0.0, 1000), ("jobs", "jobs", 0.0, 9)
    ]  # fmt: skip


def test_a_back_end_that_is_open_hears_of_a_cap_that_was_changed_meanwhile(project, paper):
    cloud = Cloud(project)
    for _ in range(5):
        cloud.submit([Work(paper)], 10)
    with pytest.raises(QpuBudgetExceeded, match="usd: 1 asked, 0 left"):
        cloud.submit([Work(paper)], 10)
    change_cap(Project(project.folder), "usd", 6.0, **ASKED)
    cloud.submit([Work(paper)], 10)
    change_cap(Project(project.folder), "jobs", 6, **ASKED)
    with pytest.raises(QpuBudgetExceeded, match="jobs: 1 asked, 0 left"):
        cloud.submit([Work(paper)], 10)
    (project.folder / "qpu.toml").write_text("[budget")
    with pytest.raises(QpuConfigError, match="cannot be read"):
        cloud.submit([Work(paper)], 10)
    assert len(project.ledger.jobs()) == 8
    assert [one.spent for one in changes(project)] == [5.0, 6.0]


@pytest.mark.parametrize(
    ("limit", "most", "changes_", "says"),
    [
        ("usd", 1.9, {}, "2 USD are spent or reserved already"),
        ("jobs", 1, {}, "2 jobs are spent or reserved already"),
        ("shots", 19, {}, "20 shots are spent or reserved"),
        ("usd", 5.0, {}, "5 USD already"),
        ("usd", 7.0, {"was": 4.0}, "is 5 USD now, not 4 USD"),
        ("usd", 7.0, {"was": 1_234_567.25}, "not 1,234,567.25 USD"),
        ("qpu_seconds", 60.0, {"was": 1.0}, "is 0 s now, not 1 s"),
        ("usd", float("inf"), {}, "no cap"),
        ("usd", float("nan"), {}, "no cap"),
        ("usd", -1.0, {}, "no cap"),
        ("jobs", 9.5, {}, "no cap"),
        ("jobs", 1e30, {}, "no cap"),
        ("euro", 9.5, {}, "there is no cap of 'euro'"),
        ("usd", 7.0, {"why": "  "}, "no reason"),
    ],
)
def test_a_cap_that_cannot_be_is_refused_and_nothing_is_changed(project, paper, limit, most, changes_, says):
    for _ in range(2):
        Cloud(project).submit([Work(paper)], 10)
    ledger = project.ledger.path.read_bytes()

    with pytest.raises(QpuConfigError, match=says):
        change_cap(project, limit, most, **{**ASKED, **changes_})

    assert written(project) == SETTINGS
    assert project.ledger.path.read_bytes() == ledger


def test_what_is_spent_exactly_can_be_the_cap(project, paper):
    for _ in range(3):
        Cloud(project).submit([Work(paper)], 10)
    assert change_cap(project, "usd", 3.0, **ASKED).new == 3.0
    with pytest.raises(QpuBudgetExceeded):
        Cloud(Project(project.folder)).submit([Work(paper)], 10)


def test_a_project_that_cannot_be_read_keeps_its_caps(project, paper):
    for _ in range(2):
        Cloud(project).submit([Work(paper)], 10)
    whole = project.ledger.path.read_bytes()
    project.ledger.path.write_bytes(whole.replace(b'"shots":10', b'"shots":11', 1))
    with pytest.raises(LedgerCorrupt):
        change_cap(project, "usd", 7.0, **ASKED)
    project.ledger.path.write_bytes(whole)
    (project.folder / "qpu.toml").write_text("[budget")
    with pytest.raises(QpuConfigError, match="cannot be read"):
        change_cap(project, "usd", 7.0, **ASKED)
    assert project.ledger.path.read_bytes() == whole


def test_a_full_disk_changes_nothing(project, monkeypatch):
    def full(*_):
        raise StorageError("the file cannot be written (No space left on device)")

    monkeypatch.setattr(room, "store", full)
    with pytest.raises(StorageError):
        change_cap(project, "usd", 7.0, **ASKED)
    assert written(project) == SETTINGS
    assert changes(project) == ()


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_whoever_could_read_the_settings_still_can(project, mode):
    (project.folder / "qpu.toml").chmod(mode)
    change_cap(project, "usd", 12.5, **ASKED)
    assert stat.S_IMODE((project.folder / "qpu.toml").stat().st_mode) == mode


def test_lines_of_the_settings_end_as_they_did(project):
    (project.folder / "qpu.toml").write_bytes(SETTINGS.replace("\n", "\r\n").encode())
    change_cap(project, "usd", 12.5, **ASKED)
    change_cap(project, "qpu_seconds", 60.0, **ASKED)
    found = (project.folder / "qpu.toml").read_bytes()
    assert found.count(b"\r\n") == found.count(b"\n") == SETTINGS.count("\n") + 1
    assert b"max_usd = 12.5\r\n" in found
    assert b"max_jobs = 9     # a day\r\n" in found


def test_a_change_that_did_not_come_about_is_not_told(project, monkeypatch):
    change_cap(project, "jobs", 20, **ASKED)

    replace = Path.replace

    def refused(self, target):
        if target.name == "qpu.toml":
            raise OSError(errno.EACCES, "Permission denied")
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refused)
        with pytest.raises(StorageError, match="The cap is as it was"):
            change_cap(project, "usd", 7.0, **ASKED)

    assert "max_usd = 5.0" in written(project)
    assert [one.limit for one in changes(project)] == ["jobs"]
    assert list(project.folder.glob(".qpu*")) == []
    change_cap(project, "usd", 8.0, **ASKED)
    assert [(one.limit, one.old, one.new) for one in changes(project)] == [("jobs", 9.0, 20.0), ("usd", 5.0, 8.0)]


def test_a_change_whose_folder_cannot_be_synced_is_told_as_made(project, monkeypatch):
    def broken(folder):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(room, "sync_folder", broken)
    with pytest.raises(StorageError, match="The cap is 7 USD now"):
        change_cap(project, "usd", 7.0, **ASKED)

    assert "max_usd = 7.0" in written(project)
    assert [one.new for one in changes(project)] == [7.0]


def test_a_cap_waits_for_the_job_that_is_being_booked(project, paper):
    done = threading.Event()

    def change():
        with pytest.raises(QpuConfigError, match="1 USD are spent"):
            change_cap(Project(project.folder), "usd", 0.5, **ASKED)
        done.set()

    thread = threading.Thread(target=change)
    with project.ledger.held() as book:
        thread.start()
        assert not done.wait(0.2)
        intent = {"uuid": "ab" * 16, "backend": "x", "cloud": True, "parts": 1, "works": 1, "shots": 10}
        book.append("qpu_intent", **intent, cost={"tasks": 1, "shots": 10, "usd": 1.0, "qpu_seconds": None})
    thread.join(20)
    assert done.is_set()


RACER = """
import sys
from heliograph.core.errors import QpuConfigError
from heliograph.protocols.qpu import Project
from heliograph.protocols.qpu.caps import change_cap
made = 0
for k in range(6):
    try:
        change_cap(Project(sys.argv[1]), "usd", 10.0 + k, who=sys.argv[2], why="race", was=9.0 + k)
        made += 1
    except QpuConfigError:
        pass
print(made)
"""


def test_of_two_who_change_the_same_cap_one_finds_it_changed(project):
    change_cap(project, "usd", 9.0, **ASKED)
    racing = [subprocess.Popen([sys.executable, "-c", RACER, str(project.folder), who], stdout=subprocess.PIPE, text=True) for who in "ab"]

    made = [int(process.communicate(timeout=60)[0]) for process in racing]

    chain = [(one.old, one.new) for one in changes(project)]
    assert len(chain) == sum(made) + 1
    assert all(before[1] == after[0] for before, after in pairwise(chain))
    assert caps(project)[0].most == chain[-1][1]


WAYS = {
    "nothing is said": "",
    "no end of the line": 'backend = "aer"',
    "another table": '[budget]\nmax_jobs = 3\n',
    "a comment behind it": "[ budget ]  # caps\n  max_usd = 5   # a week\nmax_shots = 3\n",
    "dotted": 'budget.max_jobs = 3\nseed = 1\n',
    "dotted, in its place": "budget . max_usd = 3\nbudget.max_jobs = 1\n",
    "a comment that looks like it": "# max_usd = 1\n[budget]\n# max_usd = 2\nmax_usd = 3\n",
    "a text that looks like it": 's3_prefix = """\n[budget]\nmax_usd = 7\n"""\n[budget]\nmax_jobs = 2\n',
    "lines end otherwise": "[budget]\r\nmax_usd = 3\r\n",
}  # fmt: skip


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS.keys())
def test_settings_are_changed_however_they_are_written(text):
    try:
        found = with_cap(text, "usd", 12.5)
    except QpuConfigError:
        # Left to people rather than guessed at.
        assert '"""' in text
        return

    before = tomllib.loads(text)
    assert tomllib.loads(found) == {**before, "budget": {**before.get("budget", {}), "max_usd": 12.5}}
    assert [line for line in text.splitlines() if "#" in line and "max_usd" not in line] == [
        line for line in found.splitlines() if "#" in line and "max_usd" not in line
    ]
    assert found.count("# a week") == text.count("# a week")


@pytest.mark.parametrize("text", ["budget = { max_usd = 5.0, max_jobs = 3 }\n", 'budget."max_usd" = 5\n'])
def test_what_is_written_in_a_rare_way_is_left_to_people(text):
    with pytest.raises(QpuConfigError, match="left to people"):
        with_cap(text, "usd", 7.0, "qpu.toml")


@given(most=st.floats(0, 1e9) | st.integers(0, 10**9), old=st.none() | st.floats(0, 1e9), limit=st.sampled_from(["usd", "qpu_seconds", "shots"]))
def test_whatever_is_asked_only_that_cap_is_another_one(most, old, limit):
    most = int(most) if limit == "shots" else most
    text = "seed = 1\n[budget]\nmax_jobs = 4\n" + ("" if old is None else f"max_{limit} = {int(old) if limit == 'shots' else old!r}\n")
    found = tomllib.loads(with_cap(text, limit, most))
    assert found == {"seed": 1, "budget": {"max_jobs": 4, f"max_{limit}": most}}


def test_a_file_behind_a_link_is_changed_where_it_is(project, tmp_path):
    elsewhere = tmp_path / "shared"
    elsewhere.mkdir()
    (project.folder / "qpu.toml").rename(elsewhere / "ours.toml")
    (project.folder / "qpu.toml").symlink_to(elsewhere / "ours.toml")
    change_cap(project, "jobs", 20, **ASKED)
    assert (project.folder / "qpu.toml").is_symlink()
    assert "max_jobs = 20     # a day" in (elsewhere / "ours.toml").read_text()


def test_a_change_is_what_the_ledger_tells(project):
    change_cap(project, "shots", 2000, **ASKED)
    assert changes(project) == (CapChange("shots", 1000.0, 2000.0, 0.0, **ASKED, t_ns=changes(project)[0].t_ns),)
    assert changes(Project(project.folder / "new")) == ()
