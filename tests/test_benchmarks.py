"""The harness of the benchmarks; what the rows measure is no business of the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
ROWS = {"mock_vs_real_time", "sift_vs_numpy", "tags_vs_numpy", "tags_vs_pytimetag"}


@pytest.fixture
def harness(monkeypatch) -> Iterator[ModuleType]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import harness

    yield harness
    for name in {*sys.modules} - before:
        if name.partition(".")[0] == "benchmarks":
            del sys.modules[name]


class Clock:
    """A clock that work moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def working(self, *seconds: float):
        left = iter(seconds)

        def work() -> None:
            self.now += next(left)

        return work


def test_rates_are_medians_of_the_rounds_behind_the_first(harness):
    clock = Clock()
    race = harness.Race(clock.working(99, 1, 2, 50), clock.working(99, 8, 4, 0), 12.0)

    assert harness.rates(race, rounds=3, clock=clock) == (6.0, 3.0)


def test_both_sides_take_turns(harness):
    turns: list[str] = []

    harness.rates(harness.Race(lambda: turns.append("ours"), lambda: turns.append("theirs"), 1.0), rounds=2, clock=iter(range(99)).__next__)

    assert turns == ["ours", "theirs"] * 3


def test_a_rate_that_needs_no_measuring_stands_as_it_is(harness):
    clock = Clock()

    assert harness.rates(harness.Race(clock.working(9, 0.25), 1.0, 1.0), rounds=1, clock=clock) == (4.0, 1.0)


@pytest.mark.parametrize(("smaller_is_better", "ratio"), [(False, 0.5), (True, 2.0)])
def test_a_larger_ratio_is_always_better(harness, smaller_is_better, ratio):
    harness.row("a_row", peer="a peer", unit="bit/bit")(lambda: harness.Figures(1.02, 2.04, smaller_is_better))

    result = harness.run("a_row")

    assert (result.ours, result.theirs, result.ratio, result.peer_version) == (1.02, 2.04, ratio, "")


def test_a_row_names_the_version_of_its_peer(harness):
    harness.row("a_row", peer="pytest itself", package="pytest", unit="1")(lambda: harness.Figures(1.0, 1.0))

    assert harness.run("a_row").peer_version == pytest.__version__


def test_without_its_peer_a_row_says_how_to_get_it(harness):
    harness.row("a_row", peer="nobody", package="no-such-package", unit="1")(pytest.fail)

    with pytest.raises(harness.PeerMissing, match=r"a_row: no-such-package is not installed; .*\[bench\]"):
        harness.run("a_row")


def test_two_rows_of_one_name_are_refused(harness):
    harness.row("a_row", peer="a peer", unit="1")(lambda: harness.Figures(1.0, 1.0))

    with pytest.raises(ValueError, match="a_row"):
        harness.row("a_row", peer="another", unit="1")(pytest.fail)


def test_results_are_replaced_row_by_row(harness, tmp_path):
    path = tmp_path / "results.json"
    for name, ours in (("b", 1.0), ("a", 2.0), ("b", 3.0)):
        harness.save(path, harness.Result(name, "numpy", "2.0", ours, 1.0, ours, "1/s"))

    found = json.loads(path.read_text())

    assert [(entry["name"], entry["ours"]) for entry in found] == [("a", 2.0), ("b", 3.0)]
    assert set(found[0]) == {"name", "peer", "peer_version", "ours", "theirs", "ratio", "unit"}


def test_every_row_is_found(harness):
    assert set(harness.names()) >= ROWS


def test_a_name_nobody_knows_is_answered_with_those_that_exist():
    ended = subprocess.run([sys.executable, "-m", "benchmarks", "--only", "tags_vs_nobody"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert all(name in ended.stderr for name in ROWS)
