"""Procedures one at a time, each into a run file, and ended by whoever may."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pymeasure.experiment import IntegerParameter, Procedure

from heliograph.acquisition.procedures.base import BenchProcedure
from heliograph.acquisition.procedures.count_rates import CountRates
from heliograph.acquisition.runs import Run
from heliograph.control.bench import Bench
from heliograph.control.owner.publishing import Topics
from heliograph.control.queueing import execution
from heliograph.control.queueing.runner import Runner, RunState
from heliograph.core.errors import ArmRefused, DeviceFault, ParameterError, RunAborted
from heliograph.instruments.connect import Instruments, connect
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.lab import Lab

ENDLESS: dict[str, Any] = {"duration_s": 1e5, "period_s": 0.02, "light": False}
SHORT: dict[str, Any] = {**ENDLESS, "duration_s": 0.04}


def nothing(_topic: str, _value: object) -> None:
    return


class Failing(BenchProcedure):
    """Fails."""

    def execute(self) -> None:
        raise DeviceFault("it smokes", where="laser")


class Quick(BenchProcedure):
    """Does nothing."""


class Broken(BenchProcedure):
    """Cannot be shut down."""

    def __init__(self, *, endless: bool = False, fails: bool = False, hangs: threading.Event | None = None, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.endless, self.fails, self.hangs, self.shutdowns = endless, fails, hangs, 0
        self.late: BaseException | None = None

    def execute(self) -> None:
        self.emit("progress", 50.0)
        while self.endless:
            self.emit("progress", 50.0)
            time.sleep(0.01)
        if self.fails:
            raise DeviceFault("it smokes", where="laser")

    def shutdown(self) -> None:
        self.shutdowns += 1
        if self.hangs is None:
            1 / 0  # noqa: B018
        assert self.hangs is not None
        self.hangs.wait(20)
        try:
            self.instruments["laser"].power_w  # noqa: B018
        except BaseException as error:
            self.late = error
            raise


class Draw(Procedure):  # type: ignore[misc]
    """Written for PyMeasure alone."""

    DATA_COLUMNS: ClassVar[list[str]] = ["Draw", "Height (mm)"]
    lines = IntegerParameter("Lines", default=3)

    def execute(self) -> None:
        for line in range(self.lines):
            self.emit("results", {"Draw": line, "Height (mm)": 0.5 * line})


class Suspending(BenchProcedure):
    """Is suspended by a rule until somebody lets it go on."""

    def __init__(self, *, go_on: threading.Event, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.go_on = go_on

    def execute(self) -> None:
        self.emit("suspended", "power laser 3 mW")
        while not self.go_on.is_set():
            self.should_stop()
            time.sleep(0.01)
        self.emit("suspended", "")


class Holding(CountRates):
    """Counts for a period, and on when somebody lets it."""

    def __init__(self, *, go_on: threading.Event, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.go_on = go_on

    def execute(self) -> None:
        heard = self.emit

        def emit(topic: str, value: Any) -> None:
            heard(topic, value)
            if topic == "progress":
                assert self.go_on.wait(20)

        self.emit = emit  # type: ignore[method-assign,assignment]
        super().execute()


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


def test_a_script_runs_a_procedure_of_pymeasures_as_it_is(instruments, tmp_path):
    told: list[tuple[str, Any]] = []
    bench = Bench(instruments.station, instruments, tmp_path)

    with bench.run(Draw(lines=2), progress=lambda *words: told.append(words), purpose="to see") as run:
        assert (run.procedure, run.start["foreign"], run.start["purpose"]) == ("Draw", f"module {__name__}", "to see")
        assert list(run["Draw/Height"]) == [0.0, 0.5]
        assert run.parameters == {"lines": 2}
    assert [topic for topic, _ in told] == ["results", "results", "progress"]


def test_runs_go_on_one_after_the_other_in_the_order_they_were_submitted(runner, tmp_path):
    jobs = [runner.submit(CountRates(**SHORT), tmp_path) for _ in range(3)]
    wait_for(lambda: all(job.state.over for job in jobs))

    assert [job.state for job in jobs] == [RunState.DONE] * 3
    assert [job.percent for job in jobs] == [100.0] * 3
    assert [path.name for path in sorted(tmp_path.glob("*.h5"), key=lambda path: path.stat().st_mtime_ns)] == [job.written.name for job in jobs]
    assert runner.jobs()[-3:] == jobs


def test_a_run_that_needs_light_waits_until_the_bench_is_armed_and_those_behind_it_with_it(runner, instruments, tmp_path):
    instruments.arbiter.subscribe(lambda event: runner.queue.look_again() if event.kind == "state" else None)
    first = runner.submit(CountRates(**{**SHORT, "light": True}), tmp_path)
    second, whoever_waits = runner.submit(CountRates(**SHORT), tmp_path), runner.submit(CountRates(**SHORT), tmp_path, followed=True)
    wait_for(lambda: whoever_waits.state.over)

    assert (first.state, second.state) == (RunState.QUEUED, RunState.QUEUED)
    assert first.row().why == "waits until the bench is armed: the bench is safe"
    assert not runner.queue.held
    # Armed row by row, detectors are biased before there is light.
    instruments["snspd"].set_bias(1, 18e-6)
    runner.queue.publish()
    assert (instruments.arbiter.state, first.row().why) == ("ARMED", "waits until the bench is armed: the laser is off")
    instruments.make_safe()
    instruments.arm()
    wait_for(lambda: second.state.over)
    assert (first.state, second.state, first.row().why) == (RunState.DONE, RunState.DONE, "")
    instruments.make_safe()


def test_a_script_s_run_that_needs_light_is_refused_on_a_safe_bench_before_a_file_is_written(runner, instruments, tmp_path):
    bench = Bench(instruments.station, instruments, tmp_path)
    with pytest.raises(ArmRefused, match=r"CountRates: the bench is safe, and the run needs light. Arm the bench first."):
        bench.run(CountRates(**{**SHORT, "light": True}), progress=nothing)
    assert list(tmp_path.iterdir()) == []


def test_what_is_none_of_ours_says_where_it_comes_from(instruments, tmp_path):
    assert (CountRates().foreign, CountRates().needs_armed, CountRates(light=False).needs_armed) == ("", True, False)
    assert (Failing().foreign, Failing().needs_armed) == (f"module {__name__}", False)
    with Bench(instruments.station, instruments, tmp_path).run(Quick(), progress=nothing) as run:
        assert run.start["foreign"] == f"module {__name__}"


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


def test_what_runs_said_is_kept_of_the_last_few_only(runner, tmp_path):
    jobs = [runner.submit(CountRates(**SHORT), tmp_path) for _ in range(5)]
    wait_for(lambda: jobs[-1].state.over)

    wait_for(lambda: [bool(job.emitted) for job in jobs] == [False, False, True, True, True])
    assert all(job.said for job in jobs)
    assert jobs[0].since(0, 0.0) == (jobs[0].said, [])


class Risky(CountRates):
    """Leaves nothing lit behind when somebody ends it."""

    SAFE_AFTER_ABORT = True


@pytest.mark.parametrize(("kind", "after"), [(Risky, "SAFE"), (CountRates, "ARMED")])
def test_an_aborted_run_leaves_a_safe_bench_where_it_asks_for_one(runner, instruments, tmp_path, kind, after):
    instruments.arm()
    job = runner.submit(kind(**ENDLESS), tmp_path)
    wait_for(lambda: job.said > 0)

    runner.abort("not needed", job)

    wait_for(lambda: job.state.over)
    assert (job.state, instruments.arbiter.state) == (RunState.ABORTED, after)
    assert stop_of(job.path)["reason"] == "aborted"
    instruments.make_safe()


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


def test_a_run_that_fails_says_why_and_holds_the_queue_until_somebody_goes_on(runner, tmp_path):
    first, second = runner.submit(Failing(), tmp_path), runner.submit(CountRates(**SHORT), tmp_path)
    wait_for(lambda: first.state.over and bool(runner.queue.held))

    assert first.state is RunState.FAILED
    assert isinstance(first.error, DeviceFault)
    assert "it smokes" in first.why
    assert stop_of(first.path)["reason"] == "failed"
    time.sleep(0.1)
    assert runner.queue.state().rows[-1].state == "queued"
    assert runner.queue.state().held == f"Failing {first.number} failed: {first.why}"

    runner.queue.go_on()

    wait_for(lambda: second.state.over)
    assert second.state is RunState.DONE


def test_a_queue_that_is_to_go_on_after_a_failure_does(runner, tmp_path):
    runner.queue.set_policy(True)
    first, second = runner.submit(Failing(), tmp_path), runner.submit(CountRates(**SHORT), tmp_path)
    wait_for(lambda: second.state.over)
    assert (first.state, second.state) == (RunState.FAILED, RunState.DONE)


def test_a_run_that_somebody_waits_for_neither_holds_the_queue_nor_is_held(runner, tmp_path):
    runner.queue.hold("stopped after this")
    held = runner.submit(CountRates(**SHORT), tmp_path)
    failed = runner.submit(Failing(), tmp_path, followed=True)
    done = runner.submit(CountRates(**SHORT), tmp_path, followed=True)
    wait_for(lambda: done.state.over)
    assert (failed.state, done.state, held.state) == (RunState.FAILED, RunState.DONE, RunState.QUEUED)
    assert runner.queue.held == "stopped after this"


@pytest.fixture
def untripped(instruments) -> Iterator[None]:
    yield
    instruments.arbiter.reset()
    assert instruments.arbiter.state == "SAFE"


def test_a_shutdown_that_fails_makes_the_run_fail_and_the_bench_safe_and_blocks_nobody(runner, instruments, untripped, tmp_path):
    runner.queue.set_policy(True)
    broken, next_one = runner.submit(Broken(), tmp_path), runner.submit(CountRates(**SHORT), tmp_path)
    wait_for(lambda: next_one.state.over)

    assert (broken.state, next_one.state) == (RunState.FAILED, RunState.DONE)
    assert broken.procedure.shutdowns == 1
    assert "could not be shut down: ZeroDivisionError" in broken.why
    assert instruments.arbiter.state == "TRIPPED"
    assert "Broken could not be shut down" in instruments.arbiter.cause
    assert stop_of(broken.path)["reason"] == "failed"


def test_an_aborted_run_whose_shutdown_fails_is_failed(runner, instruments, untripped, tmp_path):
    job = runner.submit(Broken(endless=True), tmp_path)
    wait_for(lambda: job.said > 2)
    runner.abort("not needed", job)
    wait_for(lambda: job.state.over)
    assert job.state is RunState.FAILED
    assert job.procedure.shutdowns == 1
    assert instruments.arbiter.state == "TRIPPED"


def test_what_fails_and_cannot_be_shut_down_either_says_both(runner, untripped, tmp_path):
    job = runner.submit(Broken(fails=True), tmp_path)
    wait_for(lambda: job.state.over)
    assert "it smokes" in job.why
    assert any("division by zero" in note for note in job.error.__notes__)


def test_a_shutdown_that_hangs_is_given_up(runner, instruments, untripped, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "SHUTDOWN_S", 0.2)
    hung = threading.Event()
    job = runner.submit(Broken(hangs=hung), tmp_path)
    wait_for(lambda: job.state.over)
    hung.set()
    assert job.state is RunState.FAILED
    assert "no end within 0.2 s" in job.why
    assert instruments.arbiter.state == "TRIPPED"
    # What it wanted afterwards of an instrument, it did not get.
    wait_for(lambda: job.procedure.late is not None)
    assert isinstance(job.procedure.late, KeyboardInterrupt)


def test_a_paused_run_stands_still_and_goes_on_and_its_time_does_not_pass(runner, tmp_path):
    go_on = threading.Event()
    job = runner.submit(Holding(go_on=go_on, **{**SHORT, "duration_s": 0.2}), tmp_path)
    wait_for(lambda: job.said > 1)
    job.pause(True)
    go_on.set()
    wait_for(lambda: job.state is RunState.PAUSED)
    said = job.said
    time.sleep(0.1)
    assert job.said == said
    assert runner.queue.state().rows[-1].state == "paused"
    job.pause(False)
    wait_for(lambda: job.state.over)
    assert job.state is RunState.DONE
    assert job.procedure.result.duration_s == pytest.approx(0.2)


def test_a_paused_run_can_be_aborted(runner, tmp_path):
    job = runner.submit(CountRates(**ENDLESS), tmp_path)
    wait_for(lambda: job.said > 1)
    job.pause(True)
    wait_for(lambda: job.state is RunState.PAUSED)
    runner.abort("enough", job)
    wait_for(lambda: job.state.over)
    assert job.state is RunState.ABORTED
    assert stop_of(job.path)["reason"] == "aborted"


def test_only_a_run_that_measures_can_be_paused(runner, tmp_path):
    runner.queue.hold("wait")
    job = runner.submit(CountRates(**SHORT), tmp_path)
    with pytest.raises(ParameterError, match="it is queued"):
        job.pause(True)


def test_a_rule_that_suspends_a_run_shows(runner, tmp_path):
    go_on = threading.Event()
    box = runner.queue.topics.subscribe(["event"])
    job = runner.submit(Suspending(go_on=go_on), tmp_path)
    wait_for(lambda: job.state is RunState.SUSPENDED)
    assert runner.queue.state().rows[-1].why == "power laser 3 mW"
    job.pause(True)
    wait_for(lambda: job.state is RunState.PAUSED)
    job.pause(False)
    wait_for(lambda: job.state is RunState.SUSPENDED)
    go_on.set()
    wait_for(lambda: job.state.over)
    assert (job.state, job.why) == (RunState.DONE, "")
    heard = list[str]()
    wait_for(lambda: bool(heard.extend(message.body.text for message in box.take()) or len(heard) >= 4))
    name = f"Suspending {job.number}"
    assert heard == [f"{name} began", f"{name} is suspended: power laser 3 mW", f"{name} goes on", f"{name} done"]


def test_a_rule_of_the_station_suspends_a_run_which_can_be_aborted_all_the_same(instruments, tmp_path):
    rule = b'\n[safety]\nsuspend = [{ metric = "power", on = "meter", below = "1 uW" }]\n'
    ruled = copy(instruments)
    ruled.station = Station.parse(default_text() + rule, instruments.station.path)
    runner = Runner(ruled, Topics())
    working = threading.Thread(target=runner.work)
    working.start()
    job = runner.submit(CountRates(**ENDLESS), tmp_path)
    wait_for(lambda: job.state is RunState.SUSPENDED)
    assert "power meter" in job.why
    assert "suspended below 1 µW" in job.why
    runner.close("enough")
    working.join(20)
    assert job.state is RunState.ABORTED


def test_what_waits_can_be_moved_edited_and_taken_out(runner, tmp_path):
    runner.queue.hold("wait")
    first, second, third = (runner.submit(CountRates(**SHORT), tmp_path, purpose=str(k)) for k in range(3))
    runner.queue.move(third.number, 0)
    runner.queue.replace(first.number, runner.again(first, {"duration_s": "0.06"}))
    runner.queue.remove(second.number)
    with pytest.raises(ParameterError, match="less than"):
        runner.again(first, {"duration_s": "0"})

    rows = runner.queue.state().rows

    assert [(row.job, row.purpose, row.parameters["duration_s"]) for row in rows] == [(third.number, "2", "0.04"), (first.number, "0", "0.06")]
    runner.queue.go_on()
    wait_for(lambda: all(row.state == "done" for row in runner.queue.state().rows))
    with pytest.raises(ParameterError, match="it is done"):
        runner.queue.move(third.number, 0)


def test_a_note_goes_into_the_file_of_the_run_that_is_on(runner, tmp_path):
    job = runner.submit(CountRates(**ENDLESS), tmp_path)
    wait_for(lambda: job.said > 1)
    job.notes.append("the lamp flickered")
    wait_for(lambda: not job.notes)
    job.stop_early = True
    wait_for(lambda: job.state.over)
    assert stop_of(job.path)["events"] == ["the lamp flickered"]


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
