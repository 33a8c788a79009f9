"""Procedures one at a time, each into a run file, and ended by whoever may."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.acquisition.procedures.base import BenchProcedure
from heliograph.acquisition.procedures.count_rates import CountRates
from heliograph.acquisition.runs import Run
from heliograph.control.publishing import Topics
from heliograph.control.runner import Runner, RunState
from heliograph.core.errors import DeviceFault, ParameterError, RunAborted
from heliograph.instruments.connect import Instruments, connect
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.lab import Lab

ENDLESS: dict[str, Any] = {"duration_s": 1e5, "period_s": 0.02, "light": False}
SHORT: dict[str, Any] = {**ENDLESS, "duration_s": 0.04}


def nothing(_topic: str, _value: object) -> None:
    return


class Failing(BenchProcedure):
    """Fails, and its shutdown too."""

    def execute(self) -> None:
        raise DeviceFault("it smokes", where="laser")

    def shutdown(self) -> None:
        raise DeviceFault("and burns", where="laser")


@pytest.fixture(scope="module")
def instruments(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instruments]:
    station = Station.parse(default_text(), tmp_path_factory.mktemp("runner") / "station.toml")
    with Lab(station.plain()).in_thread() as resources, connect(station, resources.__getitem__, home=True) as opened:
        for one in opened.values():
            one.share()
        yield opened


@pytest.fixture
def runner(instruments) -> Iterator[Runner]:
    made = Runner(instruments, Topics())
    working = threading.Thread(target=made.work)
    working.start()
    yield made
    made.close("the test is over")
    working.join(20)
    assert not working.is_alive()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def stop_of(path: Path | None) -> dict[str, Any]:
    assert path is not None
    with Run.open(path) as run:
        return {**run.stop, "events": [text for *_, text in run.events]}


def test_runs_go_on_one_after_the_other_in_the_order_they_were_submitted(runner, tmp_path):
    jobs = [runner.submit(CountRates(**SHORT), tmp_path) for _ in range(3)]
    wait_for(lambda: all(job.state.over for job in jobs))

    assert [job.state for job in jobs] == [RunState.DONE] * 3
    assert [job.percent for job in jobs] == [100.0] * 3
    assert [path.name for path in sorted(tmp_path.glob("*.h5"), key=lambda path: path.stat().st_mtime_ns)] == [job.written.name for job in jobs]
    assert runner.jobs()[-3:] == jobs


def test_a_run_that_is_aborted_closes_its_file_with_the_cause_and_the_next_one_runs(runner, tmp_path):
    first, second = runner.submit(CountRates(**ENDLESS), tmp_path), runner.submit(CountRates(**SHORT), tmp_path)
    wait_for(lambda: first.said > 2)

    runner.abort("somebody pulled a fibre")

    wait_for(lambda: second.state.over)
    assert (first.state, second.state) == (RunState.ABORTED, RunState.DONE)
    assert isinstance(first.error, RunAborted)
    told = stop_of(first.path)
    assert told["reason"] == "aborted"
    assert told["events"] == ["somebody pulled a fibre"]


def test_a_run_that_waits_is_taken_out_of_the_queue(runner, tmp_path):
    first, second = runner.submit(CountRates(**ENDLESS), tmp_path), runner.submit(CountRates(**ENDLESS), tmp_path)
    wait_for(lambda: first.said > 0)

    runner.abort("not needed", second)

    assert second.state is RunState.ABORTED
    assert second.path is None
    assert first.state is RunState.RUNNING
    with pytest.raises(ParameterError):
        runner.find(999)


def test_a_run_that_is_asked_to_stop_early_is_done_and_keeps_its_result(runner, tmp_path):
    job = runner.submit(CountRates(**ENDLESS), tmp_path)
    wait_for(lambda: job.said > 4)
    job.stop_early = True
    wait_for(lambda: job.state.over)
    assert job.state is RunState.DONE
    assert job.procedure.result.duration_s > 0.0
    assert stop_of(job.path)["reason"] == "done"


def test_a_run_that_fails_says_why_and_blocks_nobody(runner, tmp_path):
    first, second = runner.submit(Failing(), tmp_path), runner.submit(CountRates(**SHORT), tmp_path)
    wait_for(lambda: second.state.over)

    assert first.state is RunState.FAILED
    assert isinstance(first.error, DeviceFault)
    assert "shutting down: laser: and burns" in first.error.__notes__
    assert "it smokes" in first.why
    assert stop_of(first.path)["reason"] == "failed"
    assert second.state is RunState.DONE


def test_two_runs_at_once_are_refused(instruments, tmp_path):
    runner = Runner(instruments, Topics())

    def another(topic: str, _: object) -> None:
        if topic == "progress":
            runner.now(CountRates(**SHORT), tmp_path, nothing)

    with pytest.raises(ParameterError, match="CountRates is running"):
        runner.now(CountRates(**ENDLESS), tmp_path, another)


def test_what_was_said_is_heard_from_where_one_left_off(runner, tmp_path):
    job = runner.submit(CountRates(**{**SHORT, "duration_s": 0.1}), tmp_path)
    said, heard = 0, list[tuple[str, Any]]()
    while not (job.state.over and said == job.said):
        said, new = job.since(said, 0.2)
        heard += new
    assert [topic for topic, _ in heard] == ["results", "progress"] * 5
