"""What nodes and workers tell the owner of a bench: to a server that answers as an owner does."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from heliograph.acquisition.runs import Run
from heliograph.cli import main
from heliograph.control.link import Message, address
from heliograph.control.owner.job_reader import JobReader
from heliograph.control.owner.publishing import Topics
from heliograph.control.owner.server import Server
from heliograph.control.parties.node import PairKey, network
from heliograph.control.parties.telling import KeyTelling, LearningTelling, Teller, qpu_jobs, telling, telling_jobs
from heliograph.control.run_files.figures import with_earlier
from heliograph.control.topics import BlockFigures, KeyProgress, LearningProgress, QpuJobs
from heliograph.core.errors import ParameterError, RunAborted
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, link, open_party
from heliograph.protocols.qpu.projects import Project
from heliograph.protocols.qunetqfl.result import RoundNews, RoundRecord

from ..live_runs import recorded
from ..owned import wait_for


class Owner:
    """Keeps what is published."""

    def __init__(self, path: Path) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.refuses = False
        self._server = Server(path, lambda _client: self)

    def answer(self, message: Message) -> Message:
        if self.refuses:
            return Message(message.topic, ParameterError("not now"), message.id)
        self.heard.append((message.body["topic"], message.body["body"]))
        return Message(message.topic, None, message.id)

    def aside(self, _topic: str) -> bool:
        return False

    def gone(self) -> None:
        pass

    def bodies(self, topic: str) -> list[Any]:
        return [body for name, body in self.heard if name == topic]

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def station(tmp_path: Path) -> Path:
    return tmp_path / "station.toml"


@pytest.fixture
def owner(station: Path) -> Iterator[Owner]:
    one = Owner(address(station, "owner"))
    yield one
    one.close()


def made() -> PairKey:
    statement = SecurityStatement((), (), 1e-10, 5, Provenance(True, ("simulated light",)))
    return PairKey("A-B", "run-1", 3, 2.0, 100_000, 81_000, 0.01, 0.02, 7000, 1.1, 9000, 4500.0, 1.19, 4000.0, {"y_bits": 2 * 990}, {"total": 1e-10}, statement)


class Stumbles:
    """A line at whose other end somebody stumbles."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.closed = error, False

    def ask(self, *_: Any, **__: Any) -> Any:
        raise self.error

    def close(self) -> None:
        self.closed = True


def test_whatever_the_owner_answers_the_work_goes_on(tmp_path):
    warned: list[str] = []
    with Run.open(recorded(tmp_path)) as run:
        for error in (TypeError("f"), KeyError("blocks"), ValueError("x"), AttributeError("a"), OSError(9, "bad"), ParameterError("not now")):
            for tell in (
                lambda teller: teller.tell("key", 1),
                lambda teller: KeyTelling(teller, run).at("Sifting", 5.0),
                lambda teller: KeyTelling(teller, run).done(made()),
                lambda teller, error=error: teller.stores(tmp_path, {"A": Stumbles(error)}),
            ):
                line: Any = Stumbles(error)
                teller = Teller(line, warned.append)
                tell(teller)
                assert line.closed
                assert not teller.heard
    assert len(warned) == 24


def test_what_cannot_be_told_of_a_block_leaves_it_alone(tmp_path):
    warned: list[str] = []
    line: Any = Stumbles(AssertionError())
    with Run.open(recorded(tmp_path)) as run:
        KeyTelling(Teller(line, warned.append), run).done(replace(made(), disclosed=None))  # type: ignore[arg-type]
    assert len(warned) == 1


def test_the_stages_of_a_distillation_are_told_with_their_progress(tmp_path, station, owner):
    ticks = iter(range(100))
    with telling(station, pytest.fail) as told, Run.open(recorded(tmp_path)) as run:
        told._clock = lambda: float(next(ticks))
        story = KeyTelling(told, run)
        for what, percent in (("Sifting", 5.0), ("Correcting errors", 45.0), ("Amplifying privacy", 80.0), ("Laying down key", 90.0)):
            story.at(what, percent)
        story.done(made())

    found = owner.bodies("key")
    assert [(one.stage, one.progress) for one in found] == [("sifting", 0.5), ("correcting", 0.5), ("amplifying", 0.0), ("amplifying", 0.5), ("done", 1.0)]
    assert {one.events for one in found[:-1]} == {500}
    assert found[0].n_x == pytest.approx(405.0, rel=0.1)
    (block,) = found[-1].blocks
    assert (block.key_bits, block.y_bits, block.gain, block.provenance) == (9000, 990, 100_000 / 2e8, "simulated: simulated light")
    assert found[-1].n_x == 81_000.0


def test_a_distillation_that_fails_says_why(tmp_path, station, owner):
    with telling(station, pytest.fail) as told, Run.open(recorded(tmp_path)) as run:
        story = KeyTelling(told, run)
        with pytest.raises(RunAborted), story.telling_failure():
            raise RunAborted("the errors were too many", where="A-B")

    assert (owner.bodies("key")[-1].stage, owner.bodies("key")[-1].why) == ("failed", "the errors were too many")


def test_what_comes_too_soon_is_left_out_but_never_the_last_word(station, owner):
    with telling(station, pytest.fail) as told:
        told._clock = lambda: 0.0
        for progress in (0.1, 0.2, 0.3):
            told.tell("key", KeyProgress("live", "sifting", progress=progress))
        told.tell("key", KeyProgress("live", "done"), soon=False)

    assert [one.stage for one in owner.bodies("key")] == ["sifting", "done"]


def test_blocks_told_one_by_one_stay_together():
    def told(number: int, bits: int, source: Any = "live") -> KeyProgress:
        return KeyProgress(source, "done", blocks=(BlockFigures("A-B", number, "r", 0.0, 1.0, 1, 0.0, 0.0, 0.0, 0, None, bits, 1.0, {}, "simulated"),))

    both = with_earlier(told(2, 20), with_earlier(told(1, 10), None))

    assert [block.key_bits for block in both.blocks] == [10, 20]
    assert [block.key_bits for block in with_earlier(told(2, 21), both).blocks] == [10, 21]
    assert [block.key_bits for block in with_earlier(told(3, 30, "replay"), both).blocks] == [30]


def news(number: int, *, absent: str = "") -> RoundNews:
    record = RoundRecord(number, 0.5 + 0.1 * number, 1.0 - 0.1 * number, 300, 3, 1000, unmasked_equal=True)
    names = tuple(name for name in "ABC" if name != absent)
    return RoundNews(record, names, dict.fromkeys(names, (0.9, 0.6)), dict.fromkeys("ABC", 40), {"A-B": 101, "A-C": 102, "B-C": 100 + number})


def test_learning_is_told_round_by_round(station, owner):
    left = iter([3, 2, 1, 0, 0])
    with telling(station, pytest.fail) as told:
        ticks = iter(range(100))
        told._clock = lambda: float(next(ticks))
        story = LearningTelling(told, "digits 3-9", 2, ("A", "B", "C"), simulated=True, rounds_left=lambda: next(left))
        with story.whole():
            story.round(news(0))
            story.round(news(1, absent="C"))

    found = cast("list[LearningProgress]", owner.bodies("learning"))
    assert [(one.state, one.round) for one in found] == [("starting", 0), ("running", 1), ("running", 2), ("done", 2)]
    last = found[-1]
    assert last.accuracy.tolist() == [0.5, 0.6]
    assert {pair: bits.tolist() for pair, bits in last.key_bits.items()} == {"A-B": [101, 101], "A-C": [102, 102], "B-C": [100, 101]}
    assert [(one.name, one.present, one.samples) for one in last.clients] == [("A", True, 40), ("B", True, 40), ("C", False, 40)]
    assert last.clients[2].loss.tolist()[0] == 0.9
    assert np.isnan(last.clients[2].loss[1])
    assert (last.rounds_left, last.unmasked_equal) == (0, True)


def test_learning_that_stops_says_why(station, owner):
    with telling(station, pytest.fail) as told:
        story = LearningTelling(told, "digits", 2, ("A", "B", "C"), simulated=True)
        with pytest.raises(RunAborted), story.whole():
            raise RunAborted("no key is left", where="A-B")

    assert (owner.bodies("learning")[-1].state, owner.bodies("learning")[-1].why) == ("failed", "no key is left")


def test_without_an_owner_the_work_goes_on_with_one_warning(station):
    warnings: list[str] = []
    with telling(station, warnings.append) as told:
        told.tell("key", KeyProgress("live", "done"))
        assert not told.heard
    with telling(None, pytest.fail) as told:
        told.tell("key", KeyProgress("live", "done"))

    assert len(warnings) == 1
    assert "nobody owns the bench" in warnings[0]


@pytest.mark.parametrize("goes", [True, False])
def test_an_owner_that_goes_or_refuses_is_told_nothing_more(station, owner, goes):
    warnings: list[str] = []
    with telling(station, warnings.append) as told:
        told.tell("key", KeyProgress("live", "done"), soon=False)
        if goes:
            owner.close()
        owner.refuses = True
        for _ in range(3):
            told.tell("key", KeyProgress("live", "done"), soon=False)

    assert len(owner.heard) == 1
    assert len(warnings) == 1
    assert "told nothing more" in warnings[0]


def test_open_stores_are_told_without_key(tmp_path, station, owner):
    with network(tmp_path / "store", ["A", "B"]) as keys, telling(station, pytest.fail) as told:
        told.stores(keys.folder, keys.parties)

    (states,) = owner.bodies("stores")
    assert [(one.party, one.pair, one.delivered) for one in states.stores] == [("A", "A-B", 0), ("B", "A-B", 0)]


def test_jobs_are_told_when_the_ledger_changes(tmp_path, station, owner):
    folder = tmp_path / "qpu"
    intent = {"uuid": "0" * 32, "backend": "local", "shots": 100, "works": 1, "parts": 1, "cloud": True, "cost": _cost(1.5), "hash": [], "t_ns": 5}

    with telling_jobs(station, folder, pytest.fail):
        home = Project(folder)
        home.ledger.append("intent", **{name: value for name, value in intent.items() if name != "t_ns"})

    (jobs,) = {len(one.jobs): one for one in owner.bodies("qpu")}.values()
    assert isinstance(jobs, QpuJobs)
    assert jobs == qpu_jobs(Project(folder))
    (job,) = jobs.jobs
    assert (job.backend, job.shots, job.state, job.cost, jobs.cap) == ("local", 100, "unanswered", 1.5, None)


def test_a_cap_that_is_changed_while_jobs_are_watched_is_told(tmp_path, station, owner):
    home = Project(tmp_path / "qpu")
    home.ledger.append("intent", uuid="1" * 32, backend="ibm:one", shots=100, works=1, parts=1, cloud=True, cost=_cost(1.5), hash=[])
    with telling_jobs(station, home.folder, pytest.fail):
        wait_for(lambda: owner.bodies("qpu") != [])
        (home.folder / "qpu.toml").write_text("[budget]\nmax_usd = 4.0\n")
        wait_for(lambda: owner.bodies("qpu")[-1].cap == 4.0)
    (usd, *_) = owner.bodies("qpu")[-1].limits
    assert (usd.name, usd.spent, usd.cap) == ("usd", 1.5, 4.0)


def test_jobs_are_read_again_in_a_process_of_its_own_and_a_failure_is_an_event(tmp_path, station, owner):
    topics = Topics()
    box, folder = topics.subscribe(["event"]), tmp_path / "qpu"
    reader = JobReader(topics, station)
    reader.read_soon()
    home = Project(folder)
    home.ledger.append("intent", uuid="1" * 32, backend="ibm:one", shots=100, works=1, parts=1, cloud=True, cost=_cost(1.5), hash=[])
    home.ledger.append("submitted", uuid="1" * 32, provider_ids={"0": "job"})
    home.ledger.append("position", uuid="1" * 32, position=12)
    topics.publish("qpu", QpuJobs(str(folder), (), 0.0, None))

    reader.read_soon()
    wait_for(lambda: owner.bodies("qpu") != [] and not reader._reading.locked())
    (told,) = owner.bodies("qpu")
    assert [(job.job, job.state, job.position) for job in told.jobs] == [("1" * 32, "QUEUED", 12)]
    assert box.take() == []

    topics.publish("qpu", QpuJobs(str(tmp_path / "--gone"), (), 0.0, None))
    reader.read_soon()
    wait_for(lambda: not reader._reading.locked())
    (event,) = [message.body for message in box.take()]
    assert (event.source, event.severity) == ("qpu", "warning")
    assert "no such project folder" in event.text


def _cost(usd: float) -> dict[str, Any]:
    return {"shots": 100, "usd": usd, "qpu_seconds": None}


def test_a_teller_is_of_no_weight_where_nobody_listens():
    told = Teller(None)
    story = LearningTelling(told, "digits", 1, ("A",), simulated=True, rounds_left=lambda: cast("int", pytest.fail("asked")))

    with story.whole():
        story.round(news(0))


# The commands


@pytest.fixture
def heliograph(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run a command line in this process; exit code, and what stood on standard error."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main([*map(str, words), "--json"])
        return int(left.value.code or 0), capsys.readouterr().err

    yield run
    for number, handler in kept.items():
        signal.signal(number, handler)


def filled(folder: Path, bits: int = 40_000) -> Path:
    keys = {name: open_party(folder, name) for name in "ABC"}
    statement = SecurityStatement((), (), 3e-10, 0, Provenance(True, ("simulated light",)))
    for number, (a, b) in enumerate(itertools.combinations("ABC", 2)):
        with link(keys[a], keys[b]) as joined:
            material = np.random.default_rng(number).integers(0, 256, bits // 8, dtype=np.uint8)
            joined.ingest(*(KeyBlock(joined.pair, 0, material.copy(), bits, statement, statement.provenance) for _ in range(2)))
    return folder


def test_a_learning_run_tells_rounds_clients_key_and_a_falling_gauge(tmp_path, station, owner, heliograph):
    code, _ = heliograph("learn", "digits", "--store", filled(tmp_path / "store"), "--rounds", 2, "--seed", 1, "--tell", station)

    told = owner.bodies("learning")
    assert code == 0
    assert (told[0].state, told[-1].state) == ("starting", "done")
    last = told[-1]
    assert (last.round, last.rounds, last.loss.size) == (2, 2, 2)
    assert {one.name for one in last.clients} == {"A", "B", "C"}
    for one in last.clients:
        assert one.present
        assert (one.loss > 0.0).all()
        assert ((one.accuracy >= 0.0) & (one.accuracy <= 1.0)).all()
        assert one.samples == 60
    assert {pair: bool((bits >= 576).all()) for pair, bits in last.key_bits.items()} == {"A-B": True, "A-C": True, "B-C": True}
    # A round takes three chunks of 256 bits, of which 192 bits are burned.
    assert told[0].rounds_left - last.rounds_left == 2
    gauges = [states.stores[0].spendable for states in owner.bodies("stores")]
    assert gauges == sorted(gauges, reverse=True)
    assert gauges[-1] <= 20_000 - 2 * 576


def test_key_that_runs_short_is_told(tmp_path, station, owner, heliograph):
    code, _ = heliograph("learn", "digits", "--store", filled(tmp_path / "store", 1000), "--rounds", 2, "--tell", station)

    assert code == 5
    assert owner.bodies("learning")[-1].state == "failed"
    assert "needs" in owner.bodies("learning")[-1].why


def test_a_distillation_without_patterns_tells_that_it_failed(tmp_path, station, owner, heliograph):
    with network(tmp_path / "store", ["A", "B"]):
        pass

    code, _ = heliograph("distil", recorded(tmp_path), "--store", tmp_path / "store", "--tell", station)

    assert code != 0
    assert owner.bodies("key")[-1].stage == "failed"
    assert owner.bodies("key")[-1].why


def test_a_circuit_runs_where_nobody_owns_the_bench_with_a_warning(tmp_path, station, heliograph):
    circuit = tmp_path / "one.qasm"
    circuit.write_text('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[1];\ncreg c[1];\nmeasure q[0] -> c[0];\n')

    code, warned = heliograph("qpu", "run", circuit, "--shots", 10, "--project", tmp_path / "qpu", "--tell", station)

    assert code == 0
    assert "nobody owns the bench" in warned


def test_the_jobs_of_a_project_are_told_while_a_circuit_runs(tmp_path, station, owner, heliograph):
    circuit = tmp_path / "one.qasm"
    circuit.write_text('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[1];\ncreg c[1];\nmeasure q[0] -> c[0];\n')

    assert heliograph("qpu", "run", circuit, "--shots", 10, "--project", tmp_path / "qpu", "--tell", station)[0] == 0

    assert [(job.state, job.shots, job.cost) for job in owner.bodies("qpu")[-1].jobs] == [("DONE", 10, 0.0)]
