"""Learning that is paused between two rounds and taken up again: one training, whose key is spent once."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymeasure.experiment import Parameter

from heliograph.control.link import Message, address
from heliograph.control.owner.publishing import Topics
from heliograph.control.owner.server import Server
from heliograph.control.parties.node import network
from heliograph.control.queueing import tasks
from heliograph.control.queueing.jobs import RunState
from heliograph.control.queueing.order import Queue
from heliograph.control.queueing.rounds import END, ending_between_rounds, joined
from heliograph.control.queueing.tasks import Task, Workers, WorkerTask
from heliograph.control.topics import ClientFigures, LearningProgress
from heliograph.core.errors import ParameterError
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, link, open_party

from ..owned import wait_for

ROUNDS = 2
BITS = 40_000
WORD_BITS = 576
"""Of one round's mask, a pair."""


class Owner:
    """Takes what a worker tells as a session does."""

    def __init__(self, station: Path, workers: Workers, topics: Topics) -> None:
        self.workers, self.topics = workers, topics
        self._server = Server(address(station, "owner"), lambda _client: self)

    def answer(self, message: Message) -> Message:
        topic, told = message.body["topic"], message.body["body"]
        if isinstance(told, LearningProgress):
            told = self.workers.whole(told)
        self.topics.publish(topic, told)
        self.workers.heard(told)
        return Message(message.topic, None, message.id)

    def aside(self, _topic: str) -> bool:
        return False

    def gone(self) -> None:
        pass

    def close(self) -> None:
        self._server.close()


def filled(folder: Path) -> Path:
    """Lay key into the stores of three parties."""
    statement = SecurityStatement((), (), 3e-10, 0, Provenance(True, ("simulated light",)))
    parties = {name: open_party(folder, name) for name in "ABC"}
    for number, (a, b) in enumerate(itertools.combinations("ABC", 2)):
        with link(parties[a], parties[b]) as made:
            material = np.random.default_rng(number).integers(0, 256, BITS // 8, dtype=np.uint8)
            made.ingest(*(KeyBlock(made.pair, 0, material.copy(), BITS, statement, statement.provenance) for _ in range(2)))
    return folder


def books(folder: Path) -> list[dict[str, Any]]:
    """Return what every store says it holds and gave."""
    with network(folder, "ABC", existing=True) as stores:
        return [party.ledger(peer).as_dict() for party in stores.parties.values() for peer in party.peers]


@pytest.fixture
def queue() -> Queue:
    return Queue(Topics())


@pytest.fixture
def workers(queue: Queue, tmp_path: Path) -> Iterator[Workers]:
    made = Workers(queue, queue.topics, tmp_path / "station.toml", tmp_path / "store", tmp_path, lambda: None)
    made.start()
    yield made
    queue.close("the test is over")
    made.close("the test is over")


def rounds_of(queue: Queue) -> LearningProgress | None:
    told = queue.topics.latest("learning")
    return told if isinstance(told, LearningProgress) else None


def test_a_paused_training_goes_on_as_one_run_and_spends_each_key_once(queue, workers, tmp_path):
    filled(tmp_path / "store")
    before = books(tmp_path / "store")
    owner = Owner(tmp_path / "station.toml", workers, queue.topics)
    try:
        task = workers.made("Learn", {"rounds": str(ROUNDS), "seed": "1"})
        queue.add(task)
        wait_for(lambda: task.state is RunState.RUNNING)
        workers.pause(task, True)
        assert task.why == "pauses after this round"
        wait_for(lambda: task.state is RunState.PAUSED, 120.0)
        paused = rounds_of(queue)
        assert paused is not None
        assert (paused.state, len(paused.loss), task.why) == ("paused", 1, "")
        assert queue.on("worker") is None
        spent = [one["consumed"] for one in books(tmp_path / "store")]
        assert spent == [one["consumed"] + len(paused.loss) * WORD_BITS for one in before]

        workers.pause(task, False)
        wait_for(lambda: task.state is RunState.DONE, 120.0)
    finally:
        owner.close()

    whole, after = rounds_of(queue), books(tmp_path / "store")
    assert whole is not None
    assert (whole.state, whole.round, task.percent) == ("done", ROUNDS, 100.0)
    assert [one["consumed"] for one in after] == [one["consumed"] + ROUNDS * WORD_BITS for one in before]
    for store in after:
        purposes = [debit["purpose"] for debit in store["debits"] if "round" in debit["purpose"]]
        assert len(purposes) == len(set(purposes)) == ROUNDS, purposes
    assert all(len(bits) == ROUNDS and bits.min() >= WORD_BITS for bits in whole.key_bits.values())
    assert np.isfinite(whole.loss).all()
    assert len(whole.loss) == len(whole.clients[0].loss) == ROUNDS


class Learn(WorkerTask):
    """A process that stands for learning: Python that ends in order between two rounds, and says how often it was begun."""

    code = Parameter("Python", default="")

    def words(self) -> list[str]:
        return [textwrap.dedent(str(self.code))]


ENDS_IN_ORDER = """
    import json, pathlib, signal, sys, threading
    end = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: end.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    with pathlib.Path(sys.argv[sys.argv.index("--out") + 1], "begun").open("a") as file:
        file.write("again " if "--resume" in sys.argv else "first ")
    print(json.dumps({"ended_early": end.wait(60)}))
"""


@pytest.fixture
def task(queue: Queue, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A pretended training that is on."""
    monkeypatch.setattr(tasks, "COMMAND", (sys.executable, "-c"))
    made, box = Task(queue.number(), Learn(code=ENDS_IN_ORDER)), queue.topics.subscribe(["event"])
    queue.add(made)
    # That it has begun is told a moment later than it has.
    wait_for(lambda: made.state is RunState.RUNNING and bool(box.take()))
    return made


def begun(task: Task) -> str:
    assert task.folder is not None
    return (task.folder / "begun").read_text()


def test_a_paused_training_leaves_the_lane_to_others_and_goes_on_before_what_waits(queue, workers, task):
    box = queue.topics.subscribe(["event"])
    workers.pause(task, True)
    wait_for(lambda: task.state is RunState.PAUSED)
    other = Task(queue.number(), Learn(code=ENDS_IN_ORDER))
    queue.add(other)
    wait_for(lambda: other.state is RunState.RUNNING)
    waiting = Task(queue.number(), Learn(code=ENDS_IN_ORDER))
    queue.add(waiting)

    queue.hold("stopped")
    workers.pause(task, False)
    assert [row.state for row in queue.state().rows] == ["running", "paused", "queued"]
    workers.stop(other)
    wait_for(lambda: task.state is RunState.RUNNING)

    assert (other.state, other.why, waiting.state) == (RunState.DONE, "stopped early", RunState.QUEUED)
    wait_for(lambda: begun(task) == "first again ")
    names = f"Learn {task.number}", f"Learn {other.number}"
    told = [one.body.text for one in box.take()]
    assert told == [f"{names[0]} paused", f"{names[1]} began", f"{names[1]} done: stopped early", f"{names[0]} goes on"]


def test_a_paused_training_can_be_ended_with_what_it_found_or_given_up(queue, workers, task):
    workers.pause(task, True)
    wait_for(lambda: task.state is RunState.PAUSED)
    task.told = LearningProgress("digits", "paused", 1, 8, (), np.zeros(1), np.zeros(1), {})

    workers.stop(task)

    assert (task.state, task.why, task.percent) == (RunState.DONE, "stopped while it was paused", 0.0)
    told = rounds_of(queue)
    assert told is not None
    assert (told.state, len(told.loss)) == ("done", 1)

    other = Task(queue.number(), Learn(code=ENDS_IN_ORDER))
    queue.add(other)
    wait_for(lambda: other.state is RunState.RUNNING)
    workers.pause(other, True)
    wait_for(lambda: other.state is RunState.PAUSED)
    workers.abort("no time", other)
    assert (other.state, other.why) == (RunState.ABORTED, "no time")


def test_what_does_not_go_by_rounds_or_waits_is_neither_paused_nor_stopped(queue, workers, task):
    waiting = Task(queue.number(), Learn(code=ENDS_IN_ORDER))
    queue.add(waiting)
    with pytest.raises(ParameterError, match="it is queued"):
        workers.pause(waiting, True)
    with pytest.raises(ParameterError, match="it cannot be stopped early"):
        Task(queue.number(), tasks.Distil()).stop()


def test_a_process_is_told_to_end_even_before_it_listens_and_does_not_die_of_it_afterwards():
    before = signal.getsignal(END)
    code = """
        import os, signal, time
        from heliograph.control.queueing.rounds import ending_between_rounds
        with ending_between_rounds() as told:
            print(told.wait(30))
        os.kill(os.getpid(), signal.SIGUSR1)
        print("ended")
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {END})
    try:
        child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {END})
    child.send_signal(END)
    assert child.communicate(timeout=60)[0].split() == ["True", "ended"]
    with ending_between_rounds() as told:
        os.kill(os.getpid(), END)
        assert told.wait(20)
    signal.signal(END, before)


def test_what_is_told_before_and_after_a_pause_is_one_training():
    def told(rounds: int, **changes: Any) -> LearningProgress:
        clients = (ClientFigures("A", True, np.full(rounds, 0.5), np.full(rounds, 0.6), 40 * (rounds > 0)),)
        loss, accuracy, key = np.arange(rounds, dtype=float), np.ones(rounds), {"A-B": np.full(rounds, 7)}
        return replace(LearningProgress("digits", "running", rounds, 9, clients, loss, accuracy, key, unmasked_equal=True), **changes)

    starting = joined(told(2), told(0, key_bits={}, unmasked_equal=None))
    assert (starting.round, starting.loss.tolist(), starting.unmasked_equal) == (2, [0.0, 1.0], True)
    assert (starting.key_bits["A-B"].tolist(), starting.clients[0].samples) == ([7, 7], 40)
    later = joined(told(2), told(1, unmasked_equal=None, clients=(ClientFigures("B", True, np.zeros(1), np.zeros(1)),)))
    assert (later.loss.tolist(), later.unmasked_equal) == ([0.0, 1.0, 0.0], None)
    assert np.isnan(later.clients[0].loss[:2]).all()
    assert joined(None, later) is later
