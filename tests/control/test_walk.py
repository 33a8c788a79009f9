"""A walk along the pairs: who is next, what a killed walk leaves, and how the next one goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from heliograph.control.walk import Turns, Walk
from heliograph.core.errors import HeliographError, NoKeyError, ParameterError, ReconciliationError, StorageError, VerificationError
from heliograph.core.ledger import records
from heliograph.instruments.station import default_text


def taken(turns: Turns, had: dict[str, float], gains: dict[str, list[float]], blocks: int) -> list[str]:
    """Let pairs have blocks; each gives the next of its gains, 0 for a block without key, the last one for ever."""
    order = []
    for _ in range(blocks):
        pair = turns.next()
        gain = gains[pair].pop(0) if len(gains[pair]) > 1 else gains[pair][0]
        had[pair] += gain
        turns.ended(pair, well=gain > 0.0)
        order.append(pair)
    return order


def test_the_pair_with_the_least_key_is_next():
    had = {"A-B": 0.0, "A-C": 0.0, "B-C": 30.0}
    order = taken(Turns(tuple(had), had.__getitem__), had, {"A-B": [50.0], "A-C": [10.0], "B-C": [10.0]}, 8)
    assert order == ["A-B", "A-C", "A-C", "A-C", "A-C", "B-C", "A-C", "B-C"]


def test_a_pair_that_gives_no_key_keeps_nobody_waiting():
    had = {"A-B": 0.0, "A-C": 0.0, "B-C": 0.0}
    order = taken(Turns(tuple(had), had.__getitem__), had, {"A-B": [0.0], "A-C": [0.0], "B-C": [10.0]}, 7)
    assert order == ["A-B", "A-C", "B-C", "A-B", "A-C", "B-C", "A-B"]


def test_where_no_pair_gives_key_all_have_their_turn():
    had = {"A-B": 0.0, "A-C": 0.0}
    assert taken(Turns(tuple(had), had.__getitem__), had, {"A-B": [0.0], "A-C": [0.0]}, 5) == ["A-B", "A-C", "A-B", "A-C", "A-B"]


def test_no_pair_is_no_walk():
    with pytest.raises(ParameterError):
        Turns((), lambda _pair: 0.0)


@dataclass
class Recorded:
    """Stands for a run file."""

    path: Path = Path("run-p0.h5")
    run_id: str = "run"
    simulated: bool = True
    summary: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class Stores:
    """Stand for key stores into which the blocks of some pairs do not go."""

    def __init__(self, refused: HeliographError) -> None:
        self.refused = refused
        self.parties = dict.fromkeys("AB", SimpleNamespace(available_bits=lambda _peer: 0))

    def distil(self, _run: Recorded, **_: object) -> None:
        raise self.refused


@pytest.mark.parametrize("error", [NoKeyError("l = -3"), VerificationError("1 of 7 frames differs"), ReconciliationError("parities contradict")])
def test_a_block_without_key_does_not_end_the_walk(error):
    walk = Walk(SimpleNamespace(run=lambda *_, **__: Recorded()), Path("store"), 2.0, Stores(error))
    blocks = list(walk.along(["A-B"], 6.0))
    assert [block.why for block in blocks] == [error.message] * 3
    assert {block.key for block in blocks} == {None}


def test_a_store_that_refuses_ends_the_walk():
    walk = Walk(SimpleNamespace(run=lambda *_, **__: Recorded()), Path("store"), 2.0, Stores(StorageError("the disk is full")))
    with pytest.raises(StorageError):
        list(walk.along(["A-B"], 6.0))


def test_without_stores_the_pair_with_the_least_light_is_next():
    walk = Walk(SimpleNamespace(run=lambda *_, **__: Recorded()), Path("store"), 2.0)
    assert [block.pair for block in walk.along(["A-B", "A-C", "B-C"], 9.0)] == ["A-B", "A-C", "B-C", "A-B"]


def command(folder: Path, *words: str) -> list[str]:
    (folder / "station.toml").write_bytes(default_text())
    start = "-m heliograph acquire key --station station.toml --store store --out runs --json"
    return [sys.executable, *start.split(), *words]


def walked(folder: Path, *words: str, code: int = 0) -> Any:
    done = subprocess.run(command(folder, *words), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def distilled(folder: Path) -> int:
    path = folder / "store" / "A" / "distillation.jsonl"
    return sum(record["kind"] == "distilled" for record in records(path)) if path.exists() else 0


def test_a_walk_distils_each_block_and_serves_the_poor_first(tmp_path):
    found = walked(tmp_path, "--pairs", "A-B,B-C", "--seconds", "2", "--for", "8 s", "--distil", "--seed", "3")

    pairs = [block["pair"] for block in found["blocks"]]
    keys = {pair: sum(block["key"]["key_bits"] for block in found["blocks"] if block["pair"] == pair and "key" in block) for pair in set(pairs)}
    assert pairs == ["A-B", "B-C", "B-C", "B-C"]
    assert keys["A-B"] > keys["B-C"]
    assert found["security"]["epsilon"] > 0.0
    assert found["simulated"] is True
    assert not list((tmp_path / "store").glob("*/patterns/*.bin"))


@pytest.mark.slow
def test_light_that_waits_is_distilled_first_and_a_killed_walk_goes_on_with_the_next_block(tmp_path):
    walked(tmp_path, "--pairs", "A-B", "--seconds", "1")
    assert len(list((tmp_path / "store").glob("*/patterns/*.bin"))) == 2

    words = ("--pairs", "A-B", "--seconds", "1", "--for", "1h", "--distil")
    with subprocess.Popen(command(tmp_path, *words), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as walk:
        deadline = time.monotonic() + 120.0
        while distilled(tmp_path) < 2 and walk.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        walk.send_signal(signal.SIGKILL)
    before = distilled(tmp_path)
    assert before >= 2

    found = walked(tmp_path, *words[:5], "1 s", "--distil")

    new = [block["key"]["block"] for block in found["blocks"] if "key" in block]
    assert new
    assert min(new) > before
    assert distilled(tmp_path) == before + len(new)


def test_less_than_one_block_is_no_walk(tmp_path):
    error = walked(tmp_path, "--pairs", "A-B", "--seconds", "5", "--for", "1 s", code=3)["error"]
    assert error["where"] == "--for"
