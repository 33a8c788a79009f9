"""A walk along the pairs: who is next, what a killed walk leaves, and how the next one goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self, cast

import pytest

from heliograph.acquisition.run_writer import RunLayout, RunWriter
from heliograph.acquisition.runs import Run
from heliograph.control.bench import Bench
from heliograph.control.parties.walk import Turns, Walk
from heliograph.control.parties.worker import Distiller, Outcome
from heliograph.core.errors import HeliographError, ParameterError, RunFileError, StorageError
from heliograph.core.ledger import records
from heliograph.instruments.station import Station, default_text
from heliograph.postprocess.procedures.key_exchange import KeyExchange, pattern_path


def taken(had: dict[str, float], gains: dict[str, list[float]], blocks: int) -> list[str]:
    """Let pairs have blocks; each gives the next of its gains, 0 for a block without key, the last one for ever."""
    turns, order = Turns(tuple(had), had), []
    for _ in range(blocks):
        pair = turns.next()
        gain = gains[pair].pop(0) if len(gains[pair]) > 1 else gains[pair][0]
        turns.ended(pair, gain)
        order.append(pair)
    return order


def test_the_pair_with_the_least_key_is_next():
    had = {"A-B": 0.0, "A-C": 0.0, "B-C": 30.0}
    order = taken(had, {"A-B": [50.0], "A-C": [10.0], "B-C": [10.0]}, 8)
    assert order == ["A-B", "A-C", "A-C", "A-C", "A-C", "B-C", "A-C", "B-C"]


def test_a_pair_that_gives_no_key_keeps_nobody_waiting():
    had = {"A-B": 0.0, "A-C": 0.0, "B-C": 0.0}
    order = taken(had, {"A-B": [0.0], "A-C": [0.0], "B-C": [10.0]}, 7)
    assert order == ["A-B", "A-C", "B-C", "A-B", "A-C", "B-C", "A-B"]


def test_where_no_pair_gives_key_all_have_their_turn():
    had = {"A-B": 0.0, "A-C": 0.0}
    assert taken(had, {"A-B": [0.0], "A-C": [0.0]}, 5) == ["A-B", "A-C", "A-B", "A-C", "A-B"]


def test_no_pair_is_no_walk():
    with pytest.raises(ParameterError):
        Turns((), {})


def test_of_equals_the_one_whose_block_is_not_yet_distilled_comes_last():
    turns = Turns(("A-B", "B-C"), {})
    assert [turns.next(), turns.next()] == ["A-B", "B-C"]


def test_a_block_that_is_not_yet_distilled_counts_as_much_as_the_one_before():
    turns = Turns(("A-B", "B-C"), {"B-C": 70.0})
    assert turns.next() == "A-B"
    turns.ended("A-B", 50.0)
    assert [turns.next(), turns.next()] == ["A-B", "B-C"]


@dataclass
class Recorded:
    """Stands for a run file."""

    path: Path
    run_id: str = "run"
    simulated: bool = True
    summary: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Place:
    """Stands for a bench and for a worker that is busy until it is waited for; remembers what happened in which order."""

    def __init__(self, folder: Path, *outcomes: Outcome | HeliographError) -> None:
        self.folder = folder
        self.outcomes = list(outcomes)
        self.happened: list[str] = []
        self.busy: Path | None = None

    def run(self, procedure: KeyExchange, **_: object) -> Recorded:
        run = Recorded(Path(f"{procedure.pair}-{sum(what.startswith('light') for what in self.happened)}"))
        self.happened.append(f"light {run.path}")
        return run

    def hand_over(self, run: Path) -> None:
        assert self.busy is None
        self.busy = run
        self.happened.append(f"begun {run}")

    def collect(self) -> Outcome | None:
        if self.busy is None:
            return None
        self.happened.append(f"ended {self.busy}")
        self.busy, outcome = None, self.outcomes.pop(0)
        if isinstance(outcome, HeliographError):
            raise outcome
        return outcome


def walk_of(place: Place, *, distil: bool = True) -> Walk:
    return Walk(cast(Bench, place), place.folder, 2.0, cast(Distiller, place) if distil else None)


def key(bits: int) -> Outcome:
    return Outcome({"key_bits": bits})


def test_the_light_of_a_block_is_sent_while_the_one_before_is_distilled_and_one_at_most_waits(tmp_path):
    place = Place(tmp_path, key(1), key(2), key(3))
    blocks = list(walk_of(place).along(["A-B"], 6.0))

    order = "light 0, begun 0, light 1, ended 0, begun 1, light 2, ended 1, begun 2, ended 2"
    assert place.happened == [f"{word} A-B-{n}" for word, n in (step.split() for step in order.split(", "))]
    assert [(str(block.run), block.key) for block in blocks] == [(f"A-B-{n}", {"key_bits": n + 1}) for n in range(3)]


def test_one_block_for_each_pair_overlaps_too(tmp_path):
    place = Place(tmp_path, key(1), key(2))
    assert [block.pair for block in walk_of(place).once(["A-B", "B-C"])] == ["A-B", "B-C"]
    assert place.happened[:4] == ["light A-B-0", "begun A-B-0", "light B-C-1", "ended A-B-0"]


def test_key_that_was_reported_decides_who_is_next(tmp_path):
    place = Place(tmp_path, key(50), *[key(20)] * 4)
    assert [block.pair for block in walk_of(place).along(["A-B", "B-C"], 10.0)] == ["A-B", "B-C", "B-C", "B-C", "A-B"]


def test_a_block_without_key_does_not_end_the_walk(tmp_path):
    place = Place(tmp_path, *[Outcome(why="l = -3")] * 3)
    blocks = list(walk_of(place).along(["A-B"], 6.0))
    assert [(block.key, block.why) for block in blocks] == [(None, "l = -3")] * 3


def test_a_store_that_refuses_ends_the_walk(tmp_path):
    place = Place(tmp_path, StorageError("the disk is full"))
    with pytest.raises(StorageError):
        list(walk_of(place).along(["A-B"], 6.0))
    assert place.happened[-1] == "ended A-B-0"


def test_without_stores_the_pair_with_the_least_light_is_next(tmp_path):
    blocks = walk_of(Place(tmp_path), distil=False).along(["A-B", "A-C", "B-C"], 9.0)
    assert [block.pair for block in blocks] == ["A-B", "A-C", "B-C", "A-B"]


def left_behind(folder: Path, *users: str) -> Path:
    """Write a finished run of no light, and something where its users keep their patterns."""
    station = Station.parse(default_text(), folder / "station.toml")
    with RunWriter.create(folder, "KeyExchange", {}, station, {}, layout=RunLayout()) as writer:
        pass
    for user in users:
        path = pattern_path(folder, user, writer.run_id)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"left")
    return writer.path


def test_a_spoilt_block_of_an_earlier_walk_is_told_and_ends_nothing(tmp_path, caplog):
    old = left_behind(tmp_path, "A", "B")
    torn = tmp_path / "20000101T000000Z-000000-p0.h5"
    torn.write_bytes(b"no run")
    for user in "AB":
        pattern_path(tmp_path, user, "20000101T000000Z-000000").write_bytes(b"left")
    place = Place(tmp_path, RunFileError("no pattern fits", where=str(old)), key(7), key(7))

    blocks = list(walk_of(place).along(["A-B"], 4.0))

    assert [block.run for block in blocks] == [old, Path("A-B-0"), Path("A-B-1")]
    assert [block.key for block in blocks] == [None, {"key_bits": 7}, {"key_bits": 7}]
    assert "no pattern fits" in blocks[0].why
    assert torn.name in caplog.text


def test_what_a_killed_exchange_left_is_erased(tmp_path, caplog):
    station = Station.parse(default_text(), tmp_path / "station.toml")
    killed = RunWriter.create(tmp_path, "KeyExchange", {}, station, {}, layout=RunLayout(announcement=True))
    killed.flush()
    for user in "AB":
        path = pattern_path(tmp_path, user, killed.run_id)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"left")

    blocks = list(walk_of(Place(tmp_path, key(7), key(7))).along(["A-B"], 4.0))

    assert [block.run for block in blocks] == [Path("A-B-0"), Path("A-B-1")]
    assert not list(tmp_path.glob("*/patterns/*"))
    assert "announced no events" in caplog.text
    killed.close("aborted")


def test_a_spoilt_block_of_this_walk_ends_it(tmp_path):
    place = Place(tmp_path, RunFileError("no pattern fits"))
    with pytest.raises(RunFileError):
        list(walk_of(place).along(["A-B"], 4.0))


def command(folder: Path, *words: str) -> list[str]:
    (folder / "station.toml").write_bytes(default_text())
    start = "-m heliograph acquire key --station station.toml --store store --out runs --json"
    return [sys.executable, *start.split(), *words]


def walked(folder: Path, *words: str, code: int = 0) -> Any:
    done = subprocess.run(command(folder, *words), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def distilled(folder: Path) -> list[dict[str, Any]]:
    path = folder / "store" / "A" / "distillation.jsonl"
    return [record for record in records(path) if record["kind"] == "distilled"] if path.exists() else []


def until(walk: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120.0
    while not reached() and walk.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert reached()


@pytest.mark.slow
def test_a_walk_distils_each_block_and_serves_the_poor_first(tmp_path):
    found = walked(tmp_path, "--pairs", "A-B,B-C", "--seconds", "2", "--for", "8 s", "--distil", "--seed", "3")

    pairs = [block["pair"] for block in found["blocks"]]
    keys = {pair: sum(block["key"]["key_bits"] for block in found["blocks"] if block["pair"] == pair and "key" in block) for pair in set(pairs)}
    assert pairs == ["A-B", "B-C", "B-C", "B-C"]
    assert keys["A-B"] > keys["B-C"]
    assert found["security"]["epsilon"] > 0.0
    assert found["simulated"] is True
    assert not list((tmp_path / "store").glob("*/patterns/*.bin"))
    with Run.open(tmp_path / found["blocks"][1]["run"]) as second:
        assert datetime.fromisoformat(second.start["time"]).timestamp() < distilled(tmp_path)[0]["t_ns"] / 1e9


def test_ctrl_c_lets_the_block_that_is_being_distilled_finish_and_leaves_no_worker(tmp_path):
    words = command(tmp_path, "--pairs", "A-B", "--seconds", "1", "--for", "1h", "--distil")
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as walk:
        until(walk, lambda: len(list((tmp_path / "runs").glob("*-p0.h5"))) == 2)
        # As a terminal does: to every process of the group.
        os.killpg(walk.pid, signal.SIGINT)
        assert walk.wait(120.0) == 130

    with Distiller(tmp_path / "store", wait_s=0.0):
        assert len(distilled(tmp_path)) == 1


@pytest.mark.slow
def test_light_that_waits_is_distilled_first_and_a_killed_walk_goes_on_with_the_next_block(tmp_path):
    walked(tmp_path, "--pairs", "A-B", "--seconds", "1")
    assert len(list((tmp_path / "store").glob("*/patterns/*.bin"))) == 2

    words = ("--pairs", "A-B", "--seconds", "1", "--for", "1h", "--distil")
    with subprocess.Popen(command(tmp_path, *words), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as walk:
        until(walk, lambda: len(distilled(tmp_path)) >= 2)
        walk.send_signal(signal.SIGKILL)
    before = len(distilled(tmp_path))

    found = walked(tmp_path, *words[:5], "1 s", "--distil")

    new = [block["key"]["block"] for block in found["blocks"] if "key" in block]
    made = [record["block"] for record in distilled(tmp_path)]
    assert new
    assert made == list(range(1, len(made) + 1))
    assert made[-len(new) :] == new
    # What the killed walk's worker had begun, it finished, and the new walk waited for it.
    assert len(made) - before - len(new) in (0, 1)


def test_less_than_one_block_is_no_walk(tmp_path):
    error = walked(tmp_path, "--pairs", "A-B", "--seconds", "5", "--for", "1 s", code=3)["error"]
    assert error["where"] == "--for"
