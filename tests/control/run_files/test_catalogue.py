from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from heliograph.acquisition import _run_opening
from heliograph.acquisition._room import Room
from heliograph.control.link import Message, encode, receive
from heliograph.control.parties.node import network
from heliograph.control.run_files import day_report
from heliograph.control.run_files.catalogue import details, find, local_day, salvaged, summaries, summary_of
from heliograph.control.run_files.desk import REPLAYING, REQUESTS, RunDesk, _Reader
from heliograph.control.run_files.export import _target, export
from heliograph.control.topics import RunDetails, RunSummary
from heliograph.core.errors import FilesThere, FrameError, HeliographError, ParameterError, RunFileError, StorageError
from heliograph.core.ledger import Ledger
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.keystore import KeyBlock, link, open_party

from ..live_runs import FILLS, begun, fill_key, recorded


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lab") / "runs"
    for procedure in FILLS:
        recorded(folder, procedure)
    with pytest.raises(KeyError), begun(folder, "CountRates"):
        raise KeyError("the lamp")
    (folder / "a-wreck.h5").write_bytes(b"no run file at all")
    return folder


def named(runs: Path, procedure: str) -> Path:
    return next(Path(one.path) for one in summaries(runs, procedure=procedure) if one.state == "done")


def test_every_run_file_is_listed_and_a_wreck_says_so(runs):
    found = summaries(runs)

    assert sorted((one.procedure, one.state) for one in found) == [
        ("", "damaged"),
        ("CountRates", "done"),
        ("CountRates", "failed"),
        ("KeyExchange", "done"),
        ("PhaseScan", "done"),
    ]
    key = next(one for one in found if one.procedure == "KeyExchange")
    assert (key.tags, key.gaps, key.operator, key.simulated, key.numbers["mu"]) == (240_000, 20, "Ada", True, 0.0085)
    assert next(one for one in found if one.state == "failed").why == "'the lamp'"


def test_runs_are_found_by_procedure_day_and_text(runs):
    days = {local_day(one.begun) for one in summaries(runs) if one.procedure}

    assert {one.procedure for one in summaries(runs, procedure="phase")} == {"PhaseScan"}
    assert sum(one.procedure != "" for day in days for one in summaries(runs, day=day)) == 4
    assert summaries(runs, day="2001-01-01") == []
    assert [one.procedure for one in summaries(runs, text="V_PI")] == ["PhaseScan"]
    assert [one.state for one in summaries(runs, text="lamp")] == ["failed"]


def test_a_run_is_found_by_the_beginning_of_its_name(runs, tmp_path):
    path = named(runs, "PhaseScan")

    # Less than all of its digits may be those of another run of that second.
    assert find(runs, path.stem[:-3]) == find(runs, str(path)) == path
    assert find(runs, "last").name.endswith(".h5")
    with pytest.raises(RunFileError, match="run files begin with"):
        find(runs, "20")
    with pytest.raises(RunFileError, match="no run file is called"):
        find(runs, "nothing")
    with pytest.raises(StorageError, match="no such folder"):
        find(tmp_path / "nowhere", "last")


def test_details_hold_everything_but_the_arrays(runs):
    found = details(named(runs, "KeyExchange"))

    assert found.parameters == {"pair": "A-B", "seconds": "2.0"}
    assert found.provenance == "simulated: light comes from simulated instruments"
    assert [(event.severity, event.text) for event in found.events] == [("warning", "the light was dim")]
    assert ("tagger/t", "ps", "240,000") in found.arrays
    assert found.finals["key"].events == 500
    assert found.finals["counts"].tags == 240_000
    assert found.environment["python"]


def test_csv_carries_units_provenance_and_every_row(runs, tmp_path):
    files = export(named(runs, "PhaseScan"), "csv", tmp_path)

    fringe = next(file for file in files if file.stem.endswith("-fringe"))
    assert "# provenance: simulated\n# because light comes from simulated instruments\n" in fringe.read_text()
    table = pd.read_csv(fringe, comment="#")
    assert list(table) == ["drive (V)", "d1 (1/s)", "d2 (1/s)"]
    assert table["drive (V)"].to_numpy() == pytest.approx(0.1 * np.arange(30))
    counts = pd.read_csv(next(file for file in files if file.stem.endswith("-snspd")), comment="#")
    assert list(counts)[0:2] == ["counts 1", "counts 2"]
    assert not [file for file in tmp_path.iterdir() if file.suffix != ".csv"]


def test_a_figure_is_exported_and_nothing_is_overwritten_unasked(runs, tmp_path):
    (written,) = export(named(runs, "CountRates"), "png", tmp_path / "rates.png")

    assert written.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(StorageError, match="there already"):
        export(named(runs, "CountRates"), "png", written)
    assert export(named(runs, "CountRates"), "png", written, replace=True) == [written]
    with pytest.raises(StorageError, match="cannot be written"):
        export(named(runs, "CountRates"), "png", tmp_path / "no" / "folder.png")
    with pytest.raises(ParameterError, match="neither csv nor png"):
        export(named(runs, "CountRates"), "pdf", tmp_path)  # type: ignore[arg-type]


def test_all_files_that_would_be_written_over_are_named_and_none_is(runs, tmp_path):
    path = named(runs, "PhaseScan")
    for name in ("a-fringe.csv", "a-snspd.csv"):
        (tmp_path / name).write_text("mine")
    desk = RunDesk(runs)
    try:
        with pytest.raises(FilesThere, match=r"a-snspd\.csv, a-fringe\.csv: these files are there already|a-fringe\.csv, a-snspd\.csv: these"):
            desk.ask("export", {"path": str(path), "kind": "csv", "to": str(tmp_path / "a.csv")})
        assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a-fringe.csv": "mine", "a-snspd.csv": "mine"}
        desk.ask("export", {"path": str(path), "kind": "csv", "to": str(tmp_path / "a.csv"), "replace": True})
        assert (tmp_path / "a-fringe.csv").read_text().startswith("# run: ")
    finally:
        desk.close()


@pytest.mark.parametrize(
    ("to", "kind", "what"),
    [
        ("station.toml", "csv", "does not end in .csv"),
        ("runs/20.h5", "png", "does not end in .png"),
        ("a.csv", "png", "does not end in .png"),
        ("link.csv", "csv", "no ordinary file"),
        ("folder.png/x.png", "png", "folder of the key stores"),
        ("store/A/x.csv", "csv", "folder of the key stores"),
        ("store", "csv", "folder of the key stores"),
    ],
)
def test_a_client_cannot_have_other_files_written(tmp_path, to, kind, what):
    path = recorded(tmp_path / "runs", "CountRates")
    (tmp_path / "store" / "A").mkdir(parents=True)
    (tmp_path / "station.toml").write_text("mine")
    (tmp_path / "link.csv").symlink_to(tmp_path / "station.toml")
    (tmp_path / "folder.png").symlink_to(tmp_path / "store")
    reader = _Reader(socket.socket(), tmp_path / "runs")

    with pytest.raises((ParameterError, StorageError), match=what):
        reader._export({"path": str(path), "kind": kind, "to": str(tmp_path / to), "replace": True})
    with pytest.raises(ParameterError, match="begin at the root"):
        reader._export({"path": str(path), "kind": "csv", "to": "a.csv"})
    assert (tmp_path / "station.toml").read_text() == "mine"
    assert not list((tmp_path / "store" / "A").iterdir())
    reader._socket.close()


def test_a_file_is_called_as_it_is_called_and_not_as_it_says(tmp_path):
    path = recorded(tmp_path / "runs", "CountRates")
    with h5py.File(path, "r+") as file:
        file.attrs["run_id"] = "../../evil"
        start = json.loads(file.attrs["start"])
        file.attrs["start"] = json.dumps({**start, "run_id": "../../evil"})
    (tmp_path / "a" / "b").mkdir(parents=True)

    for kind in ("csv", "png"):
        with suppress(RunFileError):
            assert [file.parent for file in export(path, kind, tmp_path / "a" / "b")] == [tmp_path / "a" / "b"]
    assert not list(tmp_path.glob("evil*"))
    assert (_target(tmp_path, path, "../../x\ny", alone=False).parent, _target(tmp_path, path, "a/b", alone=False).name) == (tmp_path, f"{path.stem}-a_b.csv")


def test_a_damaged_file_is_refused_in_words(runs, tmp_path):
    for act in (details, salvaged, lambda path: export(path, "csv", tmp_path)):
        with pytest.raises(RunFileError):
            act(runs / "a-wreck.h5")
    assert summary_of(tmp_path / "gone.h5").state == "damaged"


# The process that reads for others


def test_the_desk_answers_and_replays_in_a_process_of_its_own(runs, tmp_path):
    heard: list[tuple[str, object]] = []
    desk = RunDesk(runs, lambda topic, body: heard.append((topic, body)))
    assert desk.pid is None
    try:
        listed = desk.ask("runs", {"procedure": "Count"})
        assert {type(one) for one in listed} == {RunSummary}
        path = named(runs, "CountRates")
        assert isinstance(desk.ask("run", {"path": str(path)}), RunDetails)
        assert desk.ask("report", {}).startswith("# 20")
        (csv,) = desk.ask("export", {"path": str(path), "kind": "csv", "to": str(tmp_path / "rates.csv")})
        assert Path(csv).read_text().startswith("# run: ")
        with pytest.raises(RunFileError):
            desk.ask("salvage", {"path": str(path)})
        with pytest.raises(ParameterError, match="cannot be read"):
            desk.ask("export", {"path": str(path)})
        with pytest.raises(FrameError, match="nobody answers"):
            desk.ask("arm")
        assert desk.ask("replay", {"path": str(path), "speed": 100.0}).duration_s == pytest.approx(2.0)
        _until(lambda: any(topic == "scan" and body.over for topic, body in heard))  # type: ignore[attr-defined]
        desk.ask("replay_seek", {"t_s": 0.5})
        desk.ask("replay_pause", {"on": True})
        desk.ask("replay_speed", {"speed": 2.0})
        desk.ask("replay_stop")
        with pytest.raises(ParameterError, match="nothing is replayed"):
            desk.ask("replay_seek", {"t_s": 0.5})
        assert set(REPLAYING) < set(REQUESTS)
    finally:
        process = desk._process
        desk.close()
    assert process is not None
    assert process.poll() == 0


def test_a_reader_that_hangs_or_dies_is_replaced(runs):
    desk = RunDesk(runs)
    try:
        told = ""
        # Where its end was noticed before the question, that goes to the next one already.
        while "ended" not in told:
            assert desk.ask("runs")
            assert desk._process is not None
            desk._process.kill()
            with pytest.raises(RunFileError) as caught:
                desk.ask("run", {"path": "x"})
            told = str(caught.value)
        assert desk.ask("runs")
        assert desk.pid is not None
        os.kill(desk.pid, signal.SIGSTOP)
        with pytest.raises(RunFileError, match="took too long"):
            desk.ask("runs", timeout_s=0.2)
        assert desk.ask("runs")
    finally:
        desk.close()


def test_an_answer_that_is_too_long_is_an_error_and_the_reader_goes_on(runs, monkeypatch):
    ours, theirs = socket.socketpair()
    monkeypatch.setattr("heliograph.control.link.LONGEST", 2000)
    with ours, theirs:
        reader = _Reader(theirs, runs)
        serving = threading.Thread(target=reader.serve)
        serving.start()
        ours.sendall(encode(Message("runs", {}, 1)))
        too_long = receive(ours)
        ours.sendall(encode(Message("runs", {"limit": 1}, 2)))
        short = receive(ours)
        ours.shutdown(socket.SHUT_RDWR)
        serving.join(5.0)

    assert too_long is not None
    assert isinstance(too_long.body, FrameError)
    assert short is not None
    assert len(short.body) == 1


def test_a_fault_nobody_foresaw_is_answered(runs):
    reader = _Reader(socket.socket(), runs)
    reader._answers["runs"] = lambda _body: 1 / 0

    assert isinstance(reader._answer(Message("runs", {}, 1)).body, RunFileError)
    reader._socket.close()


def test_the_newest_runs_come_page_by_page(runs):
    every = summaries(runs)

    assert summaries(runs, most=2) == every[-2:]
    assert summaries(runs, most=2, skip=2) == every[-4:-2]
    assert summaries(runs, most=2, skip=len(every)) == []
    assert summaries(runs, procedure="Count", most=1) == [one for one in every if one.procedure == "CountRates"][-1:]


@pytest.mark.slow
def test_no_flipped_byte_brings_down_the_one_who_asks(tmp_path):
    path = recorded(tmp_path / "runs", "CountRates")
    raw, rng = path.read_bytes(), np.random.default_rng(4)
    desk = RunDesk(tmp_path / "runs")
    try:
        for place in rng.integers(0, len(raw), 60):
            wreck = bytearray(raw)
            wreck[place] ^= int(rng.integers(1, 256))
            (tmp_path / "wreck.h5").write_bytes(wreck)
            with suppress(HeliographError):
                assert isinstance(desk.ask("run", {"path": str(tmp_path / "wreck.h5")}, timeout_s=5.0), RunDetails)
    finally:
        desk.close()


def _until(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


# The end of a day


def test_the_report_of_a_day_tells_runs_key_alarms_and_notes(runs):
    # That of the run, not of the clock: it may be past midnight.
    now = next(one.begun for one in summaries(runs, procedure="KeyExchange"))
    today = local_day(now)
    journal, store = runs / "journal", runs.parent / "store"
    journal.mkdir()
    lines = [
        {"t": now, "severity": "error", "source": "bench", "text": "voa_a | lost\n<b>", "run": "", "number": 1, "acknowledged": False},
        {"t": now, "severity": "note", "source": "Ada", "text": "new fibre", "run": "", "number": 2, "acknowledged": False},
        {"t": now, "severity": "info", "source": "bench", "text": "armed", "run": "", "number": 3, "acknowledged": False},
        {"t": now - 4e5, "severity": "note", "source": "Ada", "text": "long ago", "run": "", "number": 0, "acknowledged": False},
    ]
    (journal / f"{today}.jsonl").write_text("\n".join([*map(json.dumps, lines), "half a li"]))
    with network(store, ["A", "B"]):
        pass
    for party in "AB":
        with Ledger(store / party / "distillation.jsonl", clock_ns=lambda: round(now * 1e9)) as ledger:
            ledger.append("distilled", run_id="r1", pair="A-B", block=1, bits=12_345, disclosed={}, epsilons={})

    text = day_report.report(runs, store, today)

    assert text.count("| KeyExchange | done |") == 1
    assert text.count("12,345 |") == 1
    assert "Together: A-B 12,345 bits." in text
    assert "| error | bench | voa_a \\| lost &lt;b> |" in text
    assert "| note | Ada | new fibre |" in text
    assert "armed" not in text
    assert "long ago" not in text
    assert "| A | A-B | 0 | 0 | 0 | 0 | simulated |" in text
    assert "## Key spent\n\nNone." in text


def test_key_that_was_spent_is_told_by_purpose(tmp_path):
    material, store = np.arange(5000, dtype=np.uint8), tmp_path / "store"
    statement = SecurityStatement((), (), 3e-10, 0, Provenance(True, ("simulated light",)))
    with open_party(store, "A") as a, open_party(store, "B") as b, link(a, b) as made:
        made.ingest(*(KeyBlock("A-B", 0, material.copy(), 40_000, statement, statement.provenance) for _ in range(2)))
        for _ in range(2):
            keys = a.fetch(a.hold("B", 512, "masks"))
            b.fetch_by_id("A", tuple(key.key_id for key in keys), "masks")

    text = day_report.report(tmp_path / "runs", store)

    assert "| A-B | A, B | masks | 1,024 |" in text
    assert "Together: A-B 1,024 bits." in text
    assert "| A | A-B | 40,000 |" in text
    assert sum(one.bits for one in day_report.spent(store)) == 4 * 512


def test_a_day_without_anything_is_reported_too(tmp_path):
    text = day_report.report(tmp_path / "runs", tmp_path / "store", "2001-02-03")

    assert text.startswith("# 2001-02-03\n")
    assert text.count("None.") == 6
    with pytest.raises(ParameterError, match="is no day"):
        day_report.report(tmp_path, tmp_path, "yesterday")


def test_a_killed_run_is_salvaged(tmp_path):
    run = begun(tmp_path, "KeyExchange")
    fill_key(run, batches=2)
    run.flush()

    assert summary_of(run.path).state == "unfinished"
    assert (summary_of(run.path).tags, summary_of(run.path).gaps) == (None, None)
    killed = Path(shutil.copy(run.path, tmp_path / "killed.h5"))
    made = salvaged(killed)
    run.close()

    assert (summary_of(made).state, summary_of(made).tags) == ("crash", 48_000)
    with h5py.File(made) as file:
        assert json.loads(file["tables/block"].attrs["columns"]) == ["time", "rate"]


@pytest.mark.timeout(10)
def test_a_pipe_among_the_run_files_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "x.h5")
    (tmp_path / ".7.new.y.salvaged.h5").touch()

    assert [(one.run, one.state) for one in summaries(tmp_path)] == [("x", "damaged")]


def test_a_file_that_its_writer_holds_is_unfinished_until_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(_run_opening, "PATIENCE_S", 0.02)
    path = tmp_path / "held.h5"
    path.write_bytes(b"no run file yet")
    room = Room(path)
    room.mark_written()

    held = summary_of(path)
    room.close()

    assert (held.state, held.why) == ("unfinished", "its writer holds the run file, which cannot be read now")
    assert summary_of(path).state == "damaged"


def test_the_last_run_is_none_that_was_salvaged(tmp_path):
    last = begun(tmp_path, "KeyExchange")
    fill_key(last, batches=2)
    last.flush()
    shutil.copy(last.path, tmp_path / "copy.h5")
    salvaged(tmp_path / "copy.h5").rename(last.path.with_suffix(".salvaged.h5"))
    (tmp_path / "copy.h5").unlink()

    assert find(tmp_path, "last") == last.path
    assert find(tmp_path, last.path.stem[:-3]) == last.path
    last.close()


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+00:00", "1969-12-31T00:00:00+00:00"])
def test_a_run_of_no_time_of_ours_is_damaged(tmp_path, time):
    path = recorded(tmp_path, "PhaseScan")
    with h5py.File(path, "r+") as file:
        file.attrs["start"] = json.dumps({**json.loads(file.attrs["start"]), "time": time})

    (one,) = summaries(tmp_path)

    assert one.state == "damaged"
    assert one.begun == pytest.approx(datetime.now(UTC).timestamp(), abs=60)
