"""Work in processes beside the bench: one at a time, ended when asked, with the reason of a failure."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymeasure.experiment import Parameter

from heliograph.control.owner.follow_up import FollowUp, StoreReader
from heliograph.control.owner.publishing import Topics
from heliograph.control.queueing import tasks
from heliograph.control.queueing.jobs import Entry, Job, RunState
from heliograph.control.queueing.news import run_of
from heliograph.control.queueing.order import Queue
from heliograph.control.queueing.tasks import Distil, Learn, Task, Workers, WorkerTask
from heliograph.control.topics import KeyProgress, LearningProgress, QueueState
from heliograph.control.watching.store_states import RESERVE_BITS, short_of_key, store_states
from heliograph.core.errors import BenchError, NoKeyError, ParameterError, RunAborted

from ..owned import wait_for


class Pretend(WorkerTask):
    """A process that does what it is told."""

    code = Parameter("Python", default="print('{}')")

    def words(self) -> list[str]:
        return [str(self.code)]


class Spends(Pretend):
    """One that needs the key of others."""

    AFTER = tasks.MAKES_KEY


@pytest.fixture
def queue(monkeypatch) -> Queue:
    monkeypatch.setattr(tasks, "COMMAND", (sys.executable, "-c"))
    return Queue(Topics())


@pytest.fixture
def reread() -> list[float]:
    return []


@pytest.fixture
def workers(queue, reread, tmp_path) -> Iterator[Workers]:
    made = Workers(queue, queue.topics, tmp_path / "station.toml", tmp_path / "store", tmp_path, lambda: reread.append(time.monotonic()))
    made.start()
    yield made
    queue.close("the test is over")
    made.close("the test is over")


def put(queue: Queue, code: str = "print('{}')", kind: type[Pretend] = Pretend, **settings: Any) -> Task:
    task = Task(queue.number(), kind(code=textwrap.dedent(code)), **settings)
    queue.add(task)
    return task


def over(*entries: Entry) -> None:
    wait_for(lambda: all(entry.state.over for entry in entries))


def test_tasks_are_done_one_after_the_other_and_the_stores_are_read_again_after_the_last(workers, queue, reread, tmp_path):
    mark = tmp_path / "mark"
    code = f"import pathlib, time; p = pathlib.Path({str(mark)!r}); assert not p.exists(); p.touch(); time.sleep(0.1); p.unlink(); print('{{}}')"
    jobs = [put(queue, code) for _ in range(2)]
    over(*jobs)
    assert [job.state for job in jobs] == [RunState.DONE] * 2
    wait_for(lambda: len(reread) == 1)
    state = queue.topics.latest("queue")
    assert isinstance(state, QueueState)
    assert [(row.lane, row.progress) for row in state.rows] == [("worker", 1.0)] * 2


def test_a_task_that_says_what_went_wrong_fails_with_that_error(workers, queue):
    error = {"type": "NoKeyError", "message": "no key comes of 3 bits", "where": "block 1", "remedy": "Send more light."}
    job = put(queue, f"import sys; print({json.dumps(json.dumps({'error': error}))}); sys.exit(5)")
    over(job)
    assert job.state is RunState.FAILED
    assert isinstance(job.error, NoKeyError)
    assert job.why == "block 1: no key comes of 3 bits. Send more light."
    wait_for(lambda: queue.held != "")
    assert "no key comes of 3 bits" in queue.held


def test_a_task_that_dies_without_a_word_fails_with_its_code_and_last_words(workers, queue):
    job = put(queue, "import sys; print('Traceback', file=sys.stderr); print('MemoryError', file=sys.stderr); sys.exit(9)")
    over(job)
    assert isinstance(job.error, BenchError)
    assert "ended with code 9: MemoryError" in job.why


def no_room(*_: Any, **__: Any) -> Any:
    raise OSError(24, "Too many open files")


@pytest.mark.parametrize("what", ["subprocess.Popen", "tempfile.TemporaryFile"])
def test_a_task_whose_process_cannot_begin_fails_and_the_next_one_is_done(workers, queue, monkeypatch, what):
    queue.go_on_after_failure = True
    with monkeypatch.context() as patch:
        patch.setattr(f"heliograph.control.queueing.tasks.{what}", no_room)
        job = put(queue)
        over(job)
    after = put(queue)
    over(after)
    assert (job.state, after.state) == (RunState.FAILED, RunState.DONE)
    assert isinstance(job.error, BenchError)
    assert "Too many open files" in job.why


@pytest.mark.parametrize("said", ["'[]'", "7", "'null'", "'[' * 100_000 + ']' * 100_000"])
def test_a_task_that_says_no_result_fails_and_the_next_one_is_done(workers, queue, said):
    queue.go_on_after_failure = True
    job, after = put(queue, f"print({said})"), put(queue)
    over(job, after)
    assert (job.state, after.state) == (RunState.FAILED, RunState.DONE)


def test_stores_that_cannot_be_read_again_end_nothing(workers, queue, monkeypatch):
    def fails() -> None:
        raise OSError

    monkeypatch.setattr(workers, "_changed", fails)
    jobs = [put(queue)]
    over(*jobs)
    jobs.append(put(queue))
    over(*jobs)
    assert [job.state for job in jobs] == [RunState.DONE] * 2


def test_an_aborted_task_is_a_process_that_is_gone(workers, queue, tmp_path):
    pid = tmp_path / "pid"
    job = put(queue, f"import os, pathlib, time; pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); time.sleep(60)")
    wait_for(lambda: pid.exists() and pid.read_text() != "")
    waiting = put(queue)
    workers.abort("not needed", waiting)
    workers.abort("no time", job)
    over(job, waiting)
    assert (job.state, job.why, waiting.why) == (RunState.ABORTED, "no time", "not needed")
    assert isinstance(job.error, RunAborted)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), signal.SIGCONT)
    assert queue.held == ""


def test_an_owner_that_ends_ends_its_tasks_but_for_one_that_finishes(queue, tmp_path):
    class Lasting(Pretend):
        """Is finished by itself."""

        FINISHES = True

    for kind, state in ((Pretend, RunState.ABORTED), (Lasting, RunState.RUNNING)):
        own = Queue(queue.topics)
        workers = Workers(own, queue.topics, tmp_path / "station.toml", tmp_path / "store", tmp_path, lambda: None)
        workers.start()
        done, go = tmp_path / f"{kind.__name__} is done", tmp_path / f"{kind.__name__} may end"
        code = f"""
            import pathlib, time
            while not pathlib.Path({str(go)!r}).exists():
                time.sleep(0.01)
            pathlib.Path({str(done)!r}).touch()
            print('{{}}')
        """
        job = put(own, code, kind=kind)
        _await_running(job)
        own.close("closing")
        workers.close("closing")
        assert job.state is state
        go.touch()
    wait_for(done.exists)
    over(job)
    assert not (tmp_path / "Pretend is done").exists()


def test_a_process_that_does_not_want_to_end_is_killed(workers, queue, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "ENDING_S", 0.2)
    deaf = tmp_path / "deaf"
    job = put(queue, f"import pathlib, signal, time; signal.signal(15, signal.SIG_IGN); pathlib.Path({str(deaf)!r}).touch(); time.sleep(60)")
    wait_for(deaf.exists)
    workers.abort("now", job)
    over(job)
    assert job.state is RunState.ABORTED


def test_what_spends_key_waits_for_what_makes_it_and_a_follow_up_waits_for_nothing(workers, queue, tmp_path):
    class KeyExchange(Pretend):
        """Stands for light on the bench."""

    light: Job = Job(queue.number(), KeyExchange())
    queue.begin(light)
    spending = put(queue, kind=Spends)
    queue.hold("stopped")
    time.sleep(0.2)
    assert spending.state is RunState.QUEUED
    distil = Task(queue.number(), Pretend(), completes=True)
    light.enter(RunState.DONE)
    queue.end(light, [distil])
    over(distil)
    time.sleep(0.2)
    assert spending.state is RunState.QUEUED
    queue.go_on()
    over(spending)
    assert spending.began > distil.ended - 1.0


def test_commands_say_what_the_command_line_needs(tmp_path):
    run = tmp_path / "run.h5"
    run.touch()
    assert Distil(run=str(run), bound="azuma").words() == ["distil", str(run), "--bound", "azuma"]
    assert Learn(rounds="3", non_iid="True").words() == ["learn", "digits", "--classes", "3-9", "--seed", "0", "--rounds", "3", "--non-iid"]
    for wrong in ({"classes": "39"}, {"classes": "3-x"}):
        with pytest.raises(ParameterError):
            Learn(**wrong).check()
    with pytest.raises(ParameterError, match="is not one of kato, azuma"):
        Distil(bound="guess")


def test_a_key_exchange_that_is_done_is_followed_by_its_key_if_that_was_asked_for(workers, queue, tmp_path):
    run = tmp_path / "run.h5"
    run.write_bytes(b"\x89HDF\r\n\x1a\n")
    after = FollowUp(None, workers)  # type: ignore[arg-type]
    asked = Job(1, Pretend(), extra={"distil": "True"}, who=7, path=run)
    (task,) = after.following(asked)
    assert (task.name, task.who, task.completes, task.path) == ("Distil", 7, True, run)
    assert after.following(Job(2, Pretend(), extra={"distil": "False"}, path=run)) == []


DEBITS = [{"t": 5.0, "purpose": "round 1", "bits": 64, "key_ids": ["k1"]}, {"t": 6.0, "purpose": "round 2", "bits": 128, "key_ids": ["k2", "k3"]}]


def test_follow_ups_keep_their_order_and_come_before_what_waits():
    queue = Queue(Topics())
    waiting = put(queue)
    for number in (10, 11):
        light: Job = Job(number, Pretend())
        queue.begin(light)
        queue.end(light, [Task(100 + number, Pretend(), completes=True)])
    assert [entry.number for entry in queue.entries() if entry.state is RunState.QUEUED][-3:] == [110, 111, waiting.number]


def _await_running(job: Task) -> None:
    wait_for(lambda: job.state is RunState.RUNNING)


def test_what_a_worker_tells_is_its_progress(workers, queue, monkeypatch):
    class Distil(Pretend):
        """Stands for a distillation."""

    class Learn(Pretend):
        """Stands for learning."""

    for kind, told, percent in (
        (Distil, KeyProgress("live", "correcting", progress=0.5), 45.0),
        (Learn, LearningProgress("digits", "running", 5, 20, (), np.zeros(0), np.zeros(0), {}), 25.0),
    ):
        job = put(queue, "import time; time.sleep(60)", kind=kind)
        _await_running(job)
        workers.heard(told)
        assert job.percent == percent
        workers.abort("seen", job)
        over(job)


BOOK = {
    "party": "A", "pair": "A-B", "delivered": 9000, "spendable": 8192, "consumed": 10, "authentication": 20, "burned": 0, "epsilon": 1e-10,
    "provenance": "simulated", "debits": DEBITS,
}  # fmt: skip


def test_stores_are_told_with_their_latest_debits_and_a_low_one_is_noticed_once():
    rich = store_states({"store": "store", "stores": [BOOK]}, 7.0)
    assert (rich.stores[0].spendable, rich.stores[0].reserve, rich.stores[0].last_ids) == (8192, RESERVE_BITS, ("k1", "k2", "k3"))
    assert [(one.t, one.bits, one.key_id) for one in rich.debits] == [(6.0, 128, ""), (5.0, 64, "k1")]

    poor = store_states({"store": "store", "stores": [{**BOOK, "spendable": 100}]}, 8.0)

    assert short_of_key(poor, rich) == ("A has 100 bits of key left towards its peer in A-B, less than the reserve of 8,192",)
    assert short_of_key(poor, poor) == short_of_key(rich, None) == ()


def test_a_folder_whose_stores_cannot_be_read_is_told_as_an_event(tmp_path, monkeypatch):
    topics = Topics()
    box = topics.subscribe(["event", "stores"])
    reader = StoreReader(tmp_path, topics)
    reader.read()
    assert box.take() == []
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "A-B.sqlite").write_text("no store")
    reader.read()
    assert [message.body.source for message in box.take()] == ["stores"]


def book(party: str, pair: str, spendable: int, t: float = 5.0) -> dict[str, Any]:
    return {**BOOK, "party": party, "pair": pair, "spendable": spendable, "debits": [{**DEBITS[0], "t": t}]}


def test_stores_of_a_worker_are_shown_beside_the_others_and_a_low_one_is_warned_of_once(tmp_path, monkeypatch):
    topics = Topics()
    reader = StoreReader(tmp_path, topics)
    box = topics.subscribe(["event"])
    all_of_them = [book("A", "A-B", 50_000), book("B", "A-B", 50_000), book("A", "A-C", 50_000, 4.0)]
    monkeypatch.setattr("heliograph.control.owner.follow_up.read_stores", lambda _folder: {"store": tmp_path, "stores": all_of_them})
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "A-B.sqlite").touch()
    reader.read()

    reader.hear(store_states({"store": tmp_path, "stores": [book("A", "A-B", 5_000, 9.0)]}, 10.0))
    latest = topics.latest("stores")
    assert [(one.party, one.pair, one.spendable) for one in latest.stores] == [("A", "A-B", 5_000), ("B", "A-B", 50_000), ("A", "A-C", 50_000)]
    assert [(one.t, one.party, one.pair) for one in latest.debits] == [(9.0, "A", "A-B"), (5.0, "B", "A-B"), (4.0, "A", "A-C")]
    all_of_them[0] = book("A", "A-B", 4_000)
    reader.read()
    texts = [message.body.text for message in box.take()]
    assert texts == ["A has 5,000 bits of key left towards its peer in A-B, less than the reserve of 8,192"]


def test_stores_of_another_folder_do_not_take_the_place_of_the_benchs_own(tmp_path):
    topics = Topics()
    reader = StoreReader(tmp_path / "ours", topics)
    box = topics.subscribe(["event"])
    reader.hear(store_states({"store": tmp_path / "ours", "stores": [book("A", "A-B", 50_000), book("B", "A-B", 50_000)]}, 1.0))
    for t in (2.0, 2.5):
        reader.hear(store_states({"store": tmp_path / "others", "stores": [book("A", "A-B", 10)]}, t))
    assert [one.spendable for one in topics.latest("stores").stores] == [50_000, 50_000]
    reader.hear(store_states({"store": tmp_path / "ours", "stores": [book("A", "A-B", 40_000)]}, 3.0))
    assert [one.spendable for one in topics.latest("stores").stores] == [40_000, 50_000]
    (told,) = [message.body.text for message in box.take()]
    assert told == f"somebody works with the stores of {tmp_path / 'others'}; shown are those of {tmp_path / 'ours'}"


def test_key_that_was_added_and_spent_since_the_last_reading_is_told_once_a_pair(tmp_path, monkeypatch):
    topics = Topics()
    reader, books = StoreReader(tmp_path, topics), [book("A", "A-B", 0), book("B", "A-B", 0), book("A", "A-C", 0)]
    monkeypatch.setattr("heliograph.control.owner.follow_up.read_stores", lambda _folder: {"store": tmp_path, "stores": books})
    box = topics.subscribe(["event"])
    reader.read()
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "A-B.sqlite").touch()
    reader.read()
    assert [message.body.text for message in box.take()] == [f"{pair}: 9,000 bits of key added, 10 bits of key spent" for pair in ("A-B", "A-C")]

    for k in (0, 1):
        books[k] = {**books[k], "delivered": books[k]["delivered"] + 90_624, "consumed": books[k]["consumed"] + 576}
    reader.read()
    reader.read()

    assert [message.body.text for message in box.take()] == ["A-B: 90,624 bits of key added, 576 bits of key spent"]


def test_who_asks_often_has_the_stores_read_once_more(tmp_path, monkeypatch):
    reader, reads, free = StoreReader(tmp_path, Topics()), list[int](), threading.Event()

    def read() -> None:
        reads.append(threading.active_count())
        free.wait(20.0)

    monkeypatch.setattr(reader, "read", read)
    for _ in range(50):
        reader.read_soon()
    wait_for(lambda: len(reads) == 1)
    for _ in range(50):
        reader.read_soon()
    assert len([thread for thread in threading.enumerate() if thread.name == "read stores"]) == 1
    free.set()
    wait_for(lambda: not any(thread.name == "read stores" for thread in threading.enumerate()))
    assert len(reads) in (2, 3)
    reader.read_soon()
    wait_for(lambda: len(reads) in (3, 4))


def test_the_station_of_the_owner_is_told_to_workers(workers, queue, monkeypatch, tmp_path):
    monkeypatch.setattr(tasks, "TELL", True)
    said = tmp_path / "said"
    job = put(queue, f"import pathlib, sys; pathlib.Path({str(said)!r}).write_text(' '.join(sys.argv[1:])); print('{{}}')")
    over(job)
    assert said.read_text() == f"--store {tmp_path / 'store'} --tell {tmp_path / 'station.toml'} --json"
    assert Path(tasks.COMMAND[0]).exists()


def test_the_journal_has_beginning_and_end_of_every_task_and_the_run_that_it_is_about(workers, queue, tmp_path):
    box, run = queue.topics.subscribe(["event"]), "20261120T185418Z-f94fb1"
    (tmp_path / f"{run}-p0.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "store" / "A" / "patterns").mkdir(parents=True)
    (tmp_path / "store" / "A" / "patterns" / f"{run}-A.bin").touch()
    made = workers.made("Distil", {"run": str(tmp_path / f"{run}-p0.h5")})
    good, bad = put(queue, run_id=made.run_id), put(queue, "import sys; sys.exit(3)")
    over(good, bad)
    events = list[tuple[str, str, str]]()
    wait_for(lambda: bool(events.extend((one.body.severity, one.body.text, one.body.run) for one in box.take()) or len(events) >= 4))
    names = f"Pretend {good.number}", f"Pretend {bad.number}"
    assert events[:3] == [("info", f"{names[0]} began", run), ("info", f"{names[0]} done", run), ("info", f"{names[1]} began", "")]
    assert events[3][0] == "error"
    assert events[3][1].startswith(f"Pretend {bad.number} failed: Pretend: its process ended with code 3")


def test_a_run_file_that_somebody_has_renamed_is_of_no_run(tmp_path):
    assert run_of(tmp_path / "20261120T185418Z-f94fb1-p0.salvaged.h5") == "20261120T185418Z-f94fb1"
    assert run_of(tmp_path / "monday.h5") == ""
