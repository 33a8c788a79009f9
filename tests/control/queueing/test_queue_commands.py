"""An operator's queue over the link: forms, order, pauses, notes, who may change what, and who takes over."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.acquisition.calibrated import standing
from heliograph.acquisition.calibrations import Calibrations
from heliograph.acquisition.runs import Run
from heliograph.control.attached import AttachedBench
from heliograph.control.link import Message
from heliograph.control.run_files.catalogue import local_day
from heliograph.control.topics import Event, LearningProgress, ProcedureForm, QueueRow, QueueState, StationState
from heliograph.core.errors import HeliographError, InstrumentLocked, ParameterError
from heliograph.instruments.station import Station, default_text

from ..owned import attached, owning, wait_for

QUICK = {"duration_s": "0.04", "period_s": "0.02", "light": "False"}
ENDLESS = {**QUICK, "duration_s": "1e5"}


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with owning(tmp_path_factory.mktemp("queue")) as path:
        yield path


class Operator:
    """A window, as far as the link sees it."""

    def __init__(self, bench: AttachedBench) -> None:
        self.bench, self.heard = bench, list[Message]()
        bench.link._heard = self.heard.append
        self.ask("subscribe")

    def ask(self, about: str, /, **body: Any) -> Any:
        return self.bench.link.ask(about, body, timeout_s=20.0)

    @property
    def queue(self) -> QueueState:
        found = self.ask("queue")
        assert isinstance(found, QueueState)
        return found

    def row(self, job: int) -> QueueRow:
        return next(row for row in self.queue.rows if row.job == job)

    def enqueue(self, procedure: str = "CountRates", **parameters: str) -> int:
        return int(self.ask("enqueue", procedure=procedure, parameters=parameters or QUICK, purpose="to see"))

    def await_state(self, job: int, *states: str) -> QueueRow:
        wait_for(lambda: self.row(job).state in states)
        return self.row(job)

    def station(self) -> StationState:
        """Wait for the next state of the station."""
        wait_for(lambda: any(message.topic == "station" for message in self.heard))
        found = [message.body for message in list(self.heard) if message.topic == "station"][-1]
        assert isinstance(found, StationState)
        return found

    def events(self) -> list[Event]:
        return [message.body for message in list(self.heard) if message.topic == "event"]


@pytest.fixture
def operator(station) -> Iterator[Operator]:
    with attached(station) as bench:
        one = Operator(bench)
        one.ask("control")
        one.ask("policy", go_on_after_failure=False)
        one.ask("go_on")
        yield one


def test_every_procedure_has_a_form_with_what_the_station_lets_one_choose(operator):
    forms = {form.name: form for form in operator.ask("procedures")}
    assert {"CountRates", "PhaseScan", "KeyExchange", "Distil", "Learn"} <= set(forms)
    assert all(isinstance(form, ProcedureForm) and form.title and form.parameters for form in forms.values())
    assert not any("`" in form.text or "Raises" in form.text for form in forms.values())

    asked = {one.name: one for one in forms["KeyExchange"].parameters}

    assert next(iter(asked)) == "pair"
    assert (asked["pair"].kind, asked["pair"].choices) == ("choice", ("A-B", "A-C", "B-C"))
    assert (asked["seconds"].kind, asked["seconds"].unit, asked["seconds"].default, asked["seconds"].low) == ("float", "s", "5.0", 0.2)
    assert (asked["distil"].kind, asked["distil"].default) == ("boolean", "True")
    assert forms["KeyExchange"].duration_s == 5.0
    assert "keep" in {one.name for one in forms["PhaseScan"].parameters}
    meter = next(one for one in forms["BiasScan"].parameters if one.name == "meter")
    assert (meter.kind, meter.default, meter.choices[0], meter.labels) == ("choice", "", "", ("none", *meter.choices[1:]))
    assert meter.choices[1:]
    assert {forms["Learn"].lane, forms["Distil"].lane} == {"worker"}
    assert (forms["CountRates"].needs_armed, forms["CountRates"].needs_armed_if) == (True, "light")
    assert {name for name, form in forms.items() if form.needs_armed} == set(forms) - {"Learn", "Distil"}
    assert {form.foreign for form in forms.values()} == {""}


@pytest.mark.parametrize(
    ("procedure", "parameters", "told"),
    [
        ("CountRates", {"duration_s": "soon"}, "'soon' is not a finite number"),
        ("CountRates", {"duration_s": "nan"}, "'nan' is not a finite number"),
        ("CountRates", {"duration_s": "0"}, "0 is less than 0.01"),
        ("CountRates", {"colour": "red"}, "there is no parameter 'colour'"),
        ("CountRates", {"pair": "A-Z"}, "there is no pair 'A-Z'"),
        ("KeyExchange", {"distil": "perhaps"}, "is not True or False"),
        ("Paint", {}, "no procedure is called 'Paint'"),
        ("Learn", {"classes": "3-3"}, "is not two different digits"),
        ("Distil", {"run": "nowhere.h5"}, "there is no such run file"),
    ],
)
def test_a_wrong_text_is_refused_with_what_is_wrong_and_nothing_is_queued(operator, procedure, parameters, told):
    before = operator.queue.rows
    with pytest.raises(ParameterError, match=told):
        operator.ask("enqueue", procedure=procedure, parameters=parameters)
    assert [row.job for row in operator.queue.rows] == [row.job for row in before]


@pytest.mark.parametrize(
    ("topic", "body"), [("move", {}), ("move", {"job": "x", "to": 0}), ("edit", {"job": 1}), ("enqueue", {"procedure": "CountRates", "seed": "y"})]
)
def test_a_request_that_cannot_be_read_says_so(operator, topic, body):
    with pytest.raises(ParameterError):
        operator.ask(topic, **body)


def test_what_waits_is_moved_edited_duplicated_and_taken_out_and_runs_in_the_new_order(operator):
    operator.ask("hold", on=True, why="to put it in order")
    first, second, third = (operator.enqueue() for _ in range(3))
    operator.ask("move", job=third, to=0)
    operator.ask("edit", job=first, parameters={"duration_s": "0.06"})
    fourth = operator.ask("duplicate", job=first)
    removed = operator.ask("remove", job=second)

    waiting = [row for row in operator.queue.rows if row.state == "queued"]

    assert operator.queue.held == "to put it in order"
    assert [(row.job, row.parameters["duration_s"]) for row in waiting] == [(third, "0.04"), (first, "0.06"), (fourth, "0.06")]
    assert (removed.job, removed.procedure, removed.parameters["light"], removed.purpose) == (second, "CountRates", "False", "to see")
    assert operator.queue.eta_s == pytest.approx(0.16)
    operator.ask("go_on")
    rows = [operator.await_state(job, "done") for job in (third, first, fourth)]
    assert [row.began for row in rows] == sorted(row.began for row in rows)
    with pytest.raises(ParameterError, match="it is done"):
        operator.ask("edit", job=third, parameters={})
    # Undone: put in again from its row.
    again = operator.ask("enqueue", procedure=removed.procedure, parameters=removed.parameters, operator="ana", seed=17)
    row = operator.await_state(again, "done")
    assert (row.operator, row.seed) == ("ana", 17)


def test_a_run_is_paused_noted_resumed_and_stopped_early(operator):
    job = operator.enqueue(**ENDLESS)
    operator.await_state(job, "running")
    operator.ask("pause", job=job)
    operator.await_state(job, "paused")
    note = operator.ask("note", text="  the lamp flickered ")
    operator.ask("resume", job=job)
    operator.await_state(job, "running")
    operator.ask("stop", job=job)
    row = operator.await_state(job, "done")

    assert (note.severity, note.text, note.source) == ("note", "the lamp flickered", "operator")
    with Run.open(row.path) as run:
        assert run.run_id == note.run
        assert "the lamp flickered" in [text for *_, text in run.events]
    wait_for(lambda: operator.ask("events", since=note.number - 1)[-1].text == f"CountRates {job} done: stopped early")
    kept = operator.ask("events", since=note.number - 1)
    assert kept[0] == note
    assert [event.text for event in kept if event.run == note.run][-1] == f"CountRates {job} done: stopped early"
    assert operator.ask("acknowledge", number=note.number).acknowledged
    assert operator.ask("events", since=note.number - 1)[0].acknowledged
    with pytest.raises(ParameterError, match="the note is empty"):
        operator.ask("note", text=" ")


def test_a_task_is_paused_and_stopped_by_the_same_requests_but_only_once_it_has_begun(operator):
    operator.ask("hold")
    learning = operator.enqueue("Learn", rounds="2")
    for topic in ("pause", "stop"):
        with pytest.raises(ParameterError, match="it is queued"):
            operator.ask(topic, job=learning)
    operator.ask("resume", job=learning)
    operator.ask("remove", job=learning)
    operator.ask("go_on")


def test_after_a_failure_the_queue_waits_or_goes_on_as_the_policy_says(operator):
    # The detectors are off, so a run that expects dark counts fails.
    silent = {"light": "False", "duration_s": "1.0"}
    failing, after = operator.enqueue(**silent), operator.enqueue()
    assert "D1 gave 0 counts" in operator.await_state(failing, "failed").why
    wait_for(lambda: operator.queue.held != "")
    time.sleep(0.2)
    assert operator.row(after).state == "queued"
    assert operator.queue.held.startswith(f"CountRates {failing} failed")
    operator.ask("go_on")
    operator.await_state(after, "done")

    operator.ask("policy", go_on_after_failure=True)
    failing, after = operator.enqueue(**silent), operator.enqueue()
    operator.await_state(after, "done")
    assert operator.row(failing).state == "failed"
    assert operator.queue.held == ""


def test_stop_after_this_lets_the_run_end_and_begins_no_other(operator):
    job, after = operator.enqueue(**ENDLESS), operator.enqueue()
    operator.await_state(job, "running")
    operator.ask("hold", on=True)
    operator.ask("stop", job=job)
    operator.await_state(job, "done")
    time.sleep(0.2)
    assert operator.row(after).state == "queued"
    assert "stopped after this" in operator.queue.held
    operator.ask("abort", job=after)
    assert operator.row(after).state == "aborted"


def test_safe_ends_the_run_and_holds_what_waits(operator):
    job, after = operator.enqueue(**ENDLESS), operator.enqueue()
    operator.await_state(job, "running")
    operator.ask("safe")
    operator.await_state(job, "aborted")
    assert operator.row(after).state == "queued"
    assert "asked for by " in operator.queue.held
    operator.ask("go_on")
    operator.await_state(after, "done")


def test_a_calibration_is_queued_by_its_name_and_kept(operator, station):
    operator.bench.arm()
    place = Station.load(station)
    assert standing(place, Calibrations.of(place), "im1-bias").state == "missing"

    (job,) = operator.ask("calibrate", names=["im1-bias"])
    operator.await_state(job, "done")

    assert standing(place, Calibrations.of(place), "im1-bias").state == "valid"
    operator.heard.clear()
    wait_for(lambda: "im1-bias" not in operator.station().order)
    kept = operator.station().calibrations[0]
    assert (kept.name, kept.state) == ("im1-bias", "good")
    assert re.search(r"v_pi_v (4\.9|5\.0)\d+ ± 0\.0\d+ V", kept.text)
    assert kept.until > kept.taken > 0
    operator.ask("hold", on=True)
    later = operator.ask("calibrate")
    assert [operator.row(number).procedure for number in later[:2]] == ["BiasScan", "Extinction"]
    assert all(operator.row(number).parameters["keep"] == "True" for number in later)
    for number in later:
        operator.ask("remove", job=number)
    with pytest.raises(ParameterError, match="there is no calibration 'im9-bias'"):
        operator.ask("calibrate", names=["im9-bias"])


def test_another_window_looks_on_and_changes_nothing(operator, station):
    with attached(station) as bench:
        viewer = Operator(bench)
        job = operator.enqueue(**ENDLESS)
        operator.await_state(job, "running")
        assert viewer.row(job).state == "running"
        assert viewer.ask("procedures")
        assert viewer.ask("events", since=0)
        acts: dict[str, dict[str, Any]] = {
            "enqueue": {"procedure": "CountRates", "parameters": QUICK}, "move": {"job": job, "to": 0}, "edit": {"job": job, "parameters": {}},
            "duplicate": {"job": job}, "remove": {"job": job}, "hold": {"on": True}, "go_on": {}, "policy": {"go_on_after_failure": True},
            "pause": {"job": job}, "resume": {"job": job}, "stop": {"job": job}, "calibrate": {}, "note": {"text": "x"},
            "acknowledge": {"number": 1}, "yield_control": {},
        }  # fmt: skip
        for topic, body in acts.items():
            with pytest.raises(InstrumentLocked, match="control is held by"):
                viewer.ask(topic, **body)
        assert operator.row(job).state == "running"
        operator.ask("abort", job=job)
        operator.await_state(job, "aborted")


def test_control_changes_hands_when_both_say_so_and_the_run_goes_on(operator, station):
    job = operator.enqueue(**ENDLESS)
    operator.await_state(job, "running")
    with pytest.raises(ParameterError, match="nobody asks for control"):
        operator.ask("yield_control")
    with attached(station) as bench:
        other = Operator(bench)
        asked = other.ask("take_over")
        assert asked == other.ask("status")["holder"]
        wait_for(lambda: any("for control of the bench" in event.text for event in operator.events()))
        assert operator.ask("status")["asked"] is not None

        operator.ask("keep_control")
        with pytest.raises(ParameterError, match="nobody asks for control"):
            operator.ask("yield_control")
        other.ask("take_over")

        operator.ask("yield_control")

        other.ask("pause", job=job)
        with pytest.raises(InstrumentLocked):
            operator.ask("resume", job=job)
        assert operator.ask("status")["asked"] is None
        other.ask("abort", job=job)
        operator.await_state(job, "aborted")
        other.ask("release")


def test_a_worker_tells_how_it_gets_on_and_nothing_else(operator, station):
    empty = np.zeros(0)
    told = LearningProgress("digits-3-9", "running", 1, 20, (), empty, empty, {})
    with attached(station) as bench:
        worker = Operator(bench)
        worker.ask("publish", topic="learning", body=told)
        wait_for(lambda: any(message.topic == "learning" and message.body.rounds == 20 for message in operator.heard))
        for topic, body in (("safety", told), ("qpu", told), ("learning", {"task": "x"})):
            with pytest.raises(ParameterError, match="cannot be published"):
                worker.ask("publish", topic=topic, body=body)


def test_run_files_are_asked_for_and_replayed_beside_everything_else(operator, station):
    job = operator.enqueue(**{**QUICK, "duration_s": "0.3"})
    path = operator.await_state(job, "done").path

    runs = operator.ask("runs")

    assert path in [one.path for one in runs]
    assert operator.ask("run", path=path).summary.state == "done"
    operator.heard.clear()
    operator.ask("replay", path=path, speed=100.0)
    wait_for(lambda: any(message.topic == "counts" and message.body.source == "replay" for message in operator.heard))
    operator.ask("replay_stop")
    with pytest.raises(HeliographError):
        operator.ask("replay", path="nowhere.h5")
    assert not operator.bench.link.over
    with Run.open(path) as run:
        assert "CountRates" in operator.ask("report", day=local_day(datetime.fromisoformat(run.start["time"]).timestamp()))
    operator.ask("gates", D1=[2000.0, 3000.0])
    with pytest.raises(ParameterError):
        operator.ask("gates", D1=[3000.0, 2000.0])


def test_a_window_that_vanishes_takes_its_queue_along_and_leaves_the_bench_safe(station):
    leaving = Operator(attached(station))
    leaving.bench.arm()
    jobs = [leaving.enqueue(**ENDLESS), leaving.enqueue()]
    leaving.await_state(jobs[0], "running")
    leaving.bench._line._left.set()  # type: ignore[union-attr]
    leaving.bench._line._socket.close()  # type: ignore[union-attr]
    leaving.bench.link.close()
    with attached(station) as bench:
        other = Operator(bench)
        wait_for(lambda: all(other.row(job).state == "aborted" for job in jobs))
        assert all("is gone" in other.row(job).why for job in jobs)
        wait_for(lambda: other.ask("status")["state"] == "SAFE")
        assert bench["laser"].emission is False


def test_a_window_that_vanishes_leaves_its_queue_at_work_where_the_station_may_be_left_alone(tmp_path):
    with owning(tmp_path, default_text().replace(b"allow_unattended = false", b"allow_unattended = true")) as path:
        leaving = Operator(attached(path))
        leaving.bench.arm()
        first, second, endless = leaving.enqueue(**{**ENDLESS, "duration_s": "0.5"}), leaving.enqueue(), leaving.enqueue(**ENDLESS)
        leaving.bench._line._left.set()  # type: ignore[union-attr]
        leaving.bench._line._socket.close()  # type: ignore[union-attr]
        leaving.bench.link.close()
        with attached(path) as bench:
            other = Operator(bench)
            other.await_state(second, "done")
            assert other.row(first).state == "done"
            row = other.await_state(endless, "running")
            time.sleep(0.2)
            assert other.ask("status")["run"]["state"] == "running"
            assert bench["laser"].emission is True
            other.ask("control")
            other.ask("abort", job=endless)
            other.await_state(endless, "aborted")
            with Run.open(str(row.path)) as run:
                assert run.stop["reason"] == "aborted"


@pytest.mark.slow
def test_key_is_made_and_learned_with_in_one_queue(tmp_path):
    with owning(tmp_path) as path, attached(path) as bench:
        operator = Operator(bench)
        bench.arm()
        for pair in ("A-B", "A-C", "B-C"):
            operator.enqueue("KeyExchange", pair=pair, seconds="1.0")
        learning = operator.enqueue("Learn", rounds="2")

        wait_for(lambda: all(row.state in ("done", "failed", "aborted") for row in operator.queue.rows), 240)

        rows = operator.queue.rows
        assert [(row.procedure, row.state) for row in rows if row.state != "done"] == []
        assert sorted(row.procedure for row in rows) == ["Distil"] * 3 + ["KeyExchange"] * 3 + ["Learn"]
        assert operator.row(learning).began > max(row.ended for row in rows if row.procedure == "Distil")
        stores = [message.body for message in operator.heard if message.topic == "stores"][-1]
        assert {(one.pair, one.party) for one in stores.stores} == {(pair, party) for pair in ("A-B", "A-C", "B-C") for party in pair.split("-")}
        assert all(one.delivered > 0 and one.consumed > 0 for one in stores.stores)
        assert any("round 1" in debit.purpose for debit in stores.debits)
        assert any(message.topic == "learning" and message.body.state == "done" for message in operator.heard)
