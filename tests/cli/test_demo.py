"""The demo as its users start it: what it prints, what survives its sudden end, and what goes wrong on purpose."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heliograph.acquisition.runs import Run, salvage
from heliograph.control.lab import find
from heliograph.core.ledger import records

LIGHT_S = "2"
"""Light of every pair: the least that gives each of them key."""
QUICK = ("--seconds", LIGHT_S, "--rounds", "3")


SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000)); from heliograph.cli import main; main()"


HELIOGRAPH = ("-m", "heliograph")
Broken = dict[str, tuple[Path, subprocess.Popen[str]]]


def started(folder: Path, *words: str, seed: int = 3, by: tuple[str, ...] = HELIOGRAPH) -> subprocess.Popen[str]:
    """Start `demo --json` from a working folder elsewhere. by: what Python runs."""
    command = [sys.executable, *by, "demo", "--out", os.path.relpath(folder, "/"), "--seed", str(seed), *words, "--json"]
    return subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def ended(process: subprocess.Popen[str], timeout: float = 200) -> Ended:
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out, err)


def wait_until(happened: Callable[[], Any], seconds: float = 150.0) -> None:
    """Wait for something; raises AssertionError if it does not come."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def benches(folder: Path) -> list[str]:
    """Return the command lines of benches that serve the station of a folder."""
    station = str(folder / "station.toml").encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if station in words and b"serve" in words:
            found.append(" ".join(word.decode() for word in words))
    return found


def no_bench_left(folder: Path) -> bool:
    wait_until(lambda: not benches(folder), 30.0)
    return find(folder / "station.toml") is None


def kill(process: subprocess.Popen[str], after_s: float) -> None:
    time.sleep(after_s)
    process.kill()
    process.communicate()


def spending(folder: Path) -> bool:
    """Say whether a learning run of a demo has masked an upload."""
    return any(path.stat().st_size > 0 for path in folder.glob("learning/*/C/uploads.jsonl"))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    """Demos to which something happens meanwhile: what happens -> folder and process."""
    folder = tmp_path_factory.mktemp("broken")
    words = {"interrupted": QUICK, "full": QUICK, "tagger-port-closed": ("--fault", "tagger-port-closed")}
    by = {"full": ("-c", SMALL_FILES)}
    running = {name: (folder / name, started(folder / name, *given, by=by.get(name, HELIOGRAPH))) for name, given in words.items()}
    where, process = running["interrupted"]
    wait_until(lambda: len(list((where / "runs").glob("*.h5"))) == 2)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    yield running
    for _, process in running.values():
        if process.returncode is None:
            ended(process)


@pytest.fixture(scope="module")
def survivor(broken: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo was killed while it spent key, and twice at random moments."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    rng = random.Random(2026)
    process = started(folder, "--seconds", LIGHT_S, "--rounds", "2000")
    wait_until(lambda: spending(folder) or process.poll() is not None)
    kill(process, rng.uniform(0.0, 0.3))
    assert process.returncode == -signal.SIGKILL
    assert no_bench_left(folder)
    for after_s in (rng.uniform(0.8, 2.5), rng.uniform(2.5, 5.0)):
        kill(started(folder, *QUICK), after_s)
        assert no_bench_left(folder)
    return folder


@pytest.fixture(scope="module")
def demo(survivor: Path, broken: Broken) -> Ended:
    """The one demo that all tests look at: it runs where three others were killed, and beside another one, which has a bench of its own."""
    beside = survivor.parent / "beside"
    broken["flipped-mask-bit"] = beside, started(beside, *QUICK, "--fault", "flipped-mask-bit")
    return ended(started(survivor, *QUICK))


@pytest.fixture(scope="module")
def failures(broken: Broken, demo: Ended) -> dict[str, tuple[Path, Ended]]:
    """How they ended."""
    return {name: (folder, ended(process)) for name, (folder, process) in broken.items()}


def test_the_demo_ends_well_with_one_object_and_its_report(demo, survivor):
    assert demo.code == 0, demo.err
    assert demo.out.count("\n") == 1
    assert (survivor / "report.html").stat().st_size > 100_000
    for text in ("Count rates", "Phase scans", "Keys from", "Learning", "Report:", "heliograph keys show"):
        assert text in demo.err


def test_the_object_holds_what_was_promised(demo):
    found = demo.json

    assert set(found["pairs"]) == {"A-B", "A-C", "B-C"}
    for pair in found["pairs"].values():
        assert 0.0 < pair["qber_x"] < 0.02
        assert 0.0 < pair["qber_y"] < 0.03
        assert 1.0 <= pair["f_ec"] < 1.25
        assert all(isinstance(pair[name], int) for name in ("sifted_bits", "leak_bits", "key_bits"))
        assert 0 < pair["leak_bits"] < pair["sifted_bits"]
        assert 0 < pair["key_bits"] < pair["sifted_bits"]
        assert pair["key_rate_bps"] == pytest.approx(pair["key_bits"] / float(LIGHT_S), rel=1e-3)
    assert [type(record["accuracy"]) for record in found["rounds"]] == [float] * 3
    assert all(record["key_bits_spent"] > 0 for record in found["rounds"])
    assert found["final_accuracy"] == found["rounds"][-1]["accuracy"]
    assert found["unmasked_equal"] is True
    assert all(record["unmasked_equal"] is True for record in found["rounds"])
    assert found["simulated"] is True
    # A third of a minute by itself; here other demos run beside it, and other tests.
    assert 0 < found["wall_seconds"] < 180
    assert {"claims", "assumptions", "epsilon", "leaked_bits"} <= set(found["security"])
    assert found["security"]["leaked_bits"] > 0
    assert 0 < found["security"]["epsilon"] < 1e-8


def test_bytes_are_counted_on_every_wire(demo):
    wire = demo.json["wire"]
    assert len(wire) == 12
    assert all(count["sent"] > 0 and count["received"] > 0 for count in wire.values())
    # Eleven bytes a tag, about three million tags; a waveform is 200,000 bytes.
    assert wire["tagger"]["received"] > 20_000_000
    assert wire["awg_a"]["sent"] > 400_000


def test_the_demo_leaves_no_bench(demo, survivor):
    assert no_bench_left(survivor)


def audit(store: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        found = [json.loads(text) for (text,) in connection.execute("SELECT j FROM audit ORDER BY n")]
    connection.close()
    return found


def check_once(folder: Path) -> int:
    """Assert that no chunk was given out twice, and no key consumed twice, in any store; return how many keys both ends consumed."""
    agreed, places = 0, {}
    for path in sorted(folder.glob("store/*/*.sqlite")):
        taken: Counter[tuple[int, int]] = Counter()
        consumed: Counter[str] = Counter()
        for record in audit(path):
            for key_id, (pool, first, n, _) in zip(record["keys"], record["places"], strict=True) if record["ev"] in ("reserve", "offer") else ():
                taken.update((pool, index) for index in range(first, first + n))
                # Both ends take the same chunks for the same key, so equal masks are the same spending.
                assert places.setdefault((path.stem, key_id), (pool, first, n)) == (pool, first, n)
            if record["ev"] == "consume":
                consumed.update(record["keys"])
        assert max(taken.values(), default=0) <= 1, path
        assert max(consumed.values(), default=0) <= 1, path
        agreed += len(consumed)
    uploads = [record["sha256"] for path in folder.glob("learning/*/*/uploads.jsonl") for record in records(path)]
    assert len(uploads) == len(set(uploads))
    return agreed


def why_ended(path: Path) -> str:
    """Return why a run ended, from what can be read of its file, and salvage it if it was cut off."""
    with Run.open(path) as run:
        reason = str(run.stop["reason"])
    if reason == "crash":
        with Run.open(salvage(path)) as run:
            assert run.complete
    return reason


def test_after_kills_no_key_is_spent_twice_and_everything_can_be_read(demo, survivor, heliograph):
    assert demo.code == 0, demo.err
    assert check_once(survivor) > 18

    shown = heliograph("keys", "show", "--store", survivor / "store", "--json")
    assert shown.code == 0
    assert all(book["audit_ok"] for book in shown.json["stores"])
    assert len(shown.json["stores"]) == 6

    reasons = [why_ended(path) for path in sorted((survivor / "runs").glob("*.h5"))]
    assert reasons.count("done") >= 14
    assert set(reasons) <= {"done", "crash"}


def test_no_run_file_holds_the_seed_from_which_patterns_were_drawn(demo, survivor):
    for path in map(Path, demo.json["runs"]):
        with Run.open(path) as run:
            assert run.start["seed"] is None


def no_key(folder: Path) -> bool:
    """Say whether no store of a folder was ever given key."""
    return not any(record["ev"] == "ingest" for path in folder.glob("store/*/*.sqlite") for record in audit(path))


def check_refused(result: Ended, folder: Path, kind: str, instrument: str) -> None:
    assert result.code == 4
    assert result.json["error"]["type"] == kind
    assert instrument in result.json["error"]["where"]
    assert "Traceback" not in result.err
    assert no_key(folder)
    assert no_bench_left(folder)


def test_a_laser_that_refuses_is_one_clear_error_and_no_key(heliograph, tmp_path):
    check_refused(heliograph("demo", "--out", tmp_path, "--fault", "laser-refuses", "--json"), tmp_path, "Rejected", "laser")


def test_a_closed_tagger_port_is_one_clear_error_and_no_key(failures):
    folder, result = failures["tagger-port-closed"]
    check_refused(result, folder, "Timeout", "tagger")


def test_a_flipped_bit_of_a_mask_is_noticed_and_the_result_refused(failures):
    _, result = failures["flipped-mask-bit"]
    assert result.code == 1
    assert result.json["unmasked_equal"] is False
    assert [record["unmasked_equal"] for record in result.json["rounds"]] == [False, True, True]
    assert "must not be used" in result.err


def test_a_full_disk_is_one_clear_error(failures):
    folder, result = failures["full"]
    assert result.code == 3
    assert result.json["error"]["type"] == "StorageError"
    assert str(folder) in result.json["error"]["where"]
    assert result.json["error"]["remedy"]
    assert "Traceback" not in result.err
    assert no_bench_left(folder)


def test_an_interrupted_demo_says_so_and_leaves_no_bench(failures):
    folder, result = failures["interrupted"]
    assert result.code == 130
    assert result.json["error"]["type"] == "Interrupted"
    assert "Traceback" not in result.err
    assert no_bench_left(folder)
    assert no_key(folder)
    assert "aborted" in [why_ended(path) for path in (folder / "runs").glob("*.h5")]


def test_a_fault_that_nobody_knows_is_refused_with_those_that_are_known(heliograph, tmp_path):
    result = heliograph("demo", "--out", tmp_path, "--fault", "nope", "--json")
    assert result.code == 3
    assert "flipped-mask-bit" in result.json["error"]["remedy"]
    assert "laser-refuses" in result.json["error"]["remedy"]
    # Help is wrapped, also behind a hyphen.
    assert "flipped-mask-bit" in "".join(heliograph("demo", "--help").out.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", ["detector-unplugged", "tagger-overflow", "garbage:laser", "garbage:voa_in", "garbage:awg_a", "garbage:snspd", "garbage:tagger"]
)
def test_every_fault_ends_the_demo_with_its_cause_and_without_key(tmp_path, fault):
    result = ended(started(tmp_path / "out", *QUICK, "--fault", fault))
    error = result.json["error"]
    assert result.code in (1, 4)
    assert error["remedy"] or error["message"]
    assert {"detector-unplugged": "D1", "tagger-overflow": "tagger"}.get(fault, fault.partition(":")[2]) in error["message"] + error["where"]
    assert "Traceback" not in result.err
    assert no_key(tmp_path / "out")
    assert no_bench_left(tmp_path / "out")


@pytest.mark.slow
def test_twenty_kills_at_random_moments_spend_no_key_twice(tmp_path):
    folder, rng = tmp_path / "out", random.Random(7)
    for _ in range(20):
        kill(started(folder, "--seconds", LIGHT_S, "--rounds", "40"), rng.uniform(0.5, 20.0))
        assert no_bench_left(folder)
    assert ended(started(folder, *QUICK)).code == 0
    check_once(folder)
    assert {why_ended(path) for path in (folder / "runs").glob("*.h5")} <= {"done", "crash"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_seeds_learn_digits_three_and_nine(tmp_path):
    accuracies = []
    for seed in range(5):
        result = ended(started(tmp_path / str(seed), "--seconds", LIGHT_S, seed=seed))
        assert result.code == 0, result.err
        accuracies.append(result.json["final_accuracy"])
    assert sorted(accuracies)[2] >= 0.90
    assert min(accuracies) >= 0.80
