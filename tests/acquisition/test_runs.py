from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from heliograph.acquisition import _run_schema
from heliograph.acquisition.runs import Run, RunLayout, RunWriter, salvage
from heliograph.core.errors import ParameterError, RunFileError, StorageError
from heliograph.instruments.roles import Counts, Gap, TagBatch
from heliograph.instruments.station import Station, default_text

LAYOUT = RunLayout(
    tags={"tagger": {"D1": 1, "D2": 2, "sync": 3}},
    counts={"snspd": 2},
    scalars={"qber_x": "1"},
    tables={"fringe": {"drive": "V", "d1": "1/s", "d2": "1/s"}},
    announcement=True,
)


@pytest.fixture(scope="module")
def station() -> Station:
    return Station.parse(default_text(), Path("demo.toml"))


def writer(folder: Path, station: Station, **more: Any) -> RunWriter:
    settings = {"laser": {"power_w": 0.01, "emission": True}}
    return RunWriter.create(folder, "KeyExchange", {"pair": "A-B", "duration_s": 5.0}, station, settings, layout=LAYOUT, **more)


def batch(seq: int, n: int = 1000) -> TagBatch:
    rng = np.random.default_rng(seq)
    begin = seq * 200_000_040_000
    t = np.sort(rng.integers(begin, begin + 200_000_000_000, n))
    return TagBatch(
        seq, t, rng.integers(1, 4, n).astype(np.uint8), begin, begin + 200_000_040_000, (Gap(begin + 200_000_000_000, begin + 200_000_040_000, "dead-time"),)
    )


def fill(run: RunWriter, batches: int = 3) -> None:
    for seq in range(batches):
        run.tags("tagger", batch(seq))
    run.counts("snspd", Counts(5, np.array([10, 20]), 0.1))
    run.counts("snspd", Counts(6, np.array([11, 21]), 0.1))
    run.scalar("qber_x", "1", 7, 0.008)
    run.table("fringe", {"drive": [0.0, 1.0], "d1": [5.0, 6.0], "d2": [7.0, 8.0]})
    run.table("fringe", {"drive": 2.0, "d1": 7.0, "d2": 9.0})
    run.announcement(b"\x0a\x81\x01\x02", {"first_slot": 0, "n_slots": 100})
    run.event("warning", "tagger", "3 sync tags were lost")


def test_what_was_written_is_read_with_units(tmp_path, station):
    with writer(tmp_path, station, seed=5) as run:
        fill(run)
        run.summary["qber_x"] = 0.0081
    with Run.open(run.path) as found:
        assert found["fringe/drive"].tolist() == [0.0, 1.0, 2.0]
        assert found.units["fringe/drive"] == "V"
        assert found.units["snspd/period_s"] == "s"
        assert found["snspd/counts"].tolist() == [[10, 20], [11, 21]]
        assert found["qber_x/v"].tolist() == [0.008]
        assert found["tagger/t"].size == 3000
        assert found.announcement() == (b"\x0a\x81\x01\x02", [{"first_slot": 0, "n_bytes": 4, "n_slots": 100}])
        assert found.events[0][1:] == ("warning", "tagger", "3 sync tags were lost")
        assert (found.procedure, found.parameters["pair"], found.start["seed"]) == ("KeyExchange", "A-B", 5)
        assert found.stop["reason"] == "done"
        assert found.stop["tags"] == {"tagger": 3000}
        assert found.summary == {"qber_x": 0.0081}
        assert found.instruments["laser"]["emission"] is True
        assert found.environment["packages"]["numpy"] == np.__version__
        assert found.timing().sync == 3


def test_an_announcement_is_written_and_read_by_parts(tmp_path, station):
    with writer(tmp_path, station) as run:
        for n in (3, 0, 70_000):
            run.announcement(bytes(range(256)) * 300 if n > 9 else b"\x0a" * n, {"number": n})
    with Run.open(run.path) as found:
        parts = found.announced()
        assert [meta["n_bytes"] for meta in parts.meta] == [3, 0, 76_800]
        for _ in range(2):
            assert [len(part) for part in parts] == [3, 0, 76_800]
        assert found.announcement() == (b"".join(parts), parts.meta)


def test_the_digest_is_taken_in_pieces_and_sees_every_byte(tmp_path, station, monkeypatch):
    with writer(tmp_path, station) as run:
        fill(run)
        run.announcement(b"\x0a" * 5000, {})
    monkeypatch.setattr(_run_schema, "_ROWS", 999)
    Run.open(run.path).close()
    with h5py.File(run.path, "r+") as file:
        file["announcement/bytes"][4990] = 3
    with pytest.raises(RunFileError, match="altered"):
        Run.open(run.path)


def test_batches_come_back_as_they_were_taken(tmp_path, station):
    with writer(tmp_path, station) as run:
        fill(run)
    with Run.open(run.path) as found:
        for seq, taken in enumerate(found.batches()):
            wanted = batch(seq)
            assert np.array_equal(taken.t_ps, wanted.t_ps)
            assert np.array_equal(taken.ch, wanted.ch)
            assert taken.gaps == wanted.gaps
            assert (taken.seq, taken.t_begin_ps, taken.t_end_ps) == (seq, wanted.t_begin_ps, wanted.t_end_ps)


def test_the_file_keeps_the_station_without_the_simulation(tmp_path, station):
    with writer(tmp_path, station) as run:
        pass
    with Run.open(run.path) as found:
        assert found.station_text == station.public_text()
        assert b"20260101" not in run.path.read_bytes()
        assert found.start["station_sha256"] == station.sha256
        assert found.provenance.label == "simulated"
        assert found.provenance.reasons


def test_frames_have_columns_with_units(tmp_path, station):
    with writer(tmp_path, station) as run:
        fill(run)
    with Run.open(run.path) as found:
        assert list(found.to_pandas("fringe")) == ["d1 (1/s)", "d2 (1/s)", "drive (V)"]
        assert list(found.to_pandas()) == ["d1 (1/s)", "d2 (1/s)", "drive (V)"]
        assert list(found.to_pandas("snspd")) == ["counts 1", "counts 2", "period_s (s)", "t_ns (ns)"]
        with pytest.raises(RunFileError, match="no 'nothing'"):
            found.to_pandas("nothing")


@pytest.mark.parametrize(("error", "reason"), [(RuntimeError("boom"), "failed"), (KeyboardInterrupt(), "aborted")])
def test_why_a_run_stopped_is_kept(tmp_path, station, error, reason):
    run = writer(tmp_path, station)
    with pytest.raises(type(error)), run:
        fill(run)
        raise error
    with Run.open(run.path) as found:
        assert found.stop["reason"] == reason
        assert found.stop["error"]["type"] == type(error).__name__
        assert found["tagger/t"].size == 3000


def test_a_run_can_be_read_while_it_is_written(tmp_path, station):
    run = writer(tmp_path, station)
    fill(run, 2)
    run.flush()
    program = f"from heliograph.acquisition.runs import Run; r = Run.open({str(run.path)!r}); print(r.complete, r['tagger/t'].size, len(list(r.batches())))"
    seen = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    with Run.open(run.path) as beside:
        assert beside["tagger/t"].size == 2000
    run.close()

    assert seen.split() == ["False", "2000", "2"]


@pytest.mark.parametrize("parameters", [{"key": b"\x01\x02"}, {"pattern": np.zeros(5)}, {"bits": [0, 1] * 40}, {"hex": "ab" * 4000}, {"odd": object()}])
def test_lists_and_parameters_never_hold_patterns_or_keys(tmp_path, station, parameters):
    with pytest.raises(ParameterError, match="never patterns or keys"):
        RunWriter.create(tmp_path, "KeyExchange", parameters, station, {}, layout=LAYOUT)
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_declared_is_refused(tmp_path, station):
    with writer(tmp_path, station) as run:
        with pytest.raises(ParameterError, match="not declared"):
            run.scalar("temperature", "K", 1, 2.5)
        with pytest.raises(ParameterError, match="was declared"):
            run.scalar("qber_x", "V", 1, 2.5)
        with pytest.raises(ParameterError, match="expected"):
            run.table("fringe", {"drive": [1.0], "d1": [1.0, 2.0], "d2": [1.0]})
    with pytest.raises(ParameterError, match="closed"):
        run.flush()
    with pytest.raises(ParameterError, match="one name"):
        RunLayout(counts={"x": 2}, tables={"x": {"a": "V"}})


def test_other_files_are_refused(tmp_path, station):
    other = tmp_path / "other.h5"
    with pytest.raises(RunFileError, match="no such run file"):
        Run.open(other)
    other.write_bytes(b"something")
    with pytest.raises(RunFileError, match="no run file"):
        Run.open(other)
    with h5py.File(other, "w") as file:
        file["x"] = 1
    with pytest.raises(RunFileError, match="no run file"):
        Run.open(other)


def test_an_altered_file_is_noticed(tmp_path, station):
    with writer(tmp_path, station) as run:
        fill(run)
    with h5py.File(run.path, "r+") as file:
        start = json.loads(file.attrs["start"])
        start["simulated"] = False
        file.attrs["start"] = json.dumps(start, sort_keys=True)
    with pytest.raises(RunFileError, match="altered"):
        Run.open(run.path)


def test_altered_tags_are_noticed(tmp_path, station):
    with writer(tmp_path, station) as run:
        fill(run)
    with h5py.File(run.path, "r+") as file:
        file["tags/tagger/t"][1500] += 1
    with Run.open(run.path) as found, pytest.raises(RunFileError, match="batch 1 is damaged"):
        list(found.batches())


WRITER = textwrap.dedent("""
    import resource, sys, itertools
    from pathlib import Path
    import numpy as np
    from heliograph.acquisition.runs import RunLayout, RunWriter
    from heliograph.core.errors import HeliographError
    from heliograph.instruments.roles import TagBatch
    from heliograph.instruments.station import Station, default_text

    folder, limit = Path(sys.argv[1]), int(sys.argv[2])
    layout = RunLayout(tags={"tagger": {"D1": 1, "D2": 2, "sync": 3}}, counts={"snspd": 2})
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with RunWriter.create(folder, "KeyExchange", {}, Station.parse(default_text(), Path("x.toml")), {}, layout=layout) as run:
            for seq in itertools.count():
                n = 20_000
                t = np.arange(n, dtype=np.int64) + seq * n
                run.tags("tagger", TagBatch(seq, t, (t % 3 + 1).astype(np.uint8), seq * n, (seq + 1) * n))
                print(seq, flush=True)
    except HeliographError as error:
        print(type(error).__name__, error, file=sys.stderr)
        sys.exit(error.exit_code)
""")


def start_writer(folder: Path, limit: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(limit)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="locks of one open file")
def test_reading_a_run_in_the_process_that_writes_it_does_not_hide_that_it_goes_on(tmp_path, station):
    """A POSIX lock is lost once any descriptor of the file is closed in its process."""
    with writer(tmp_path, station) as run:
        fill(run)
        run.flush()
        Path(run.path).read_bytes()
        for _ in range(2):
            with pytest.raises(RunFileError, match="the run goes on"):
                salvage(run.path)
        seen = "import sys; from pathlib import Path; from heliograph.acquisition._room import being_written as on; print(on(Path(sys.argv[1])))"
        assert subprocess.check_output([sys.executable, "-c", seen, str(run.path)], text=True).strip() == "True"
    assert not list(tmp_path.glob("*salvaged*"))


@pytest.mark.parametrize("after", [1, 7, 30])
def test_a_killed_run_is_readable_and_salvaged_to_the_last_flush(tmp_path, after):
    process = start_writer(tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= after:
            break
    path = next(tmp_path.glob("*.h5"))
    with pytest.raises(RunFileError, match="the run goes on"):
        salvage(path)
    os.kill(process.pid, signal.SIGKILL)
    said = process.communicate()[0].split()

    with Run.open(path) as run:
        assert not run.complete
        assert run.stop["reason"] == "crash"
        whole = run["tagger/t"]
    rescued = salvage(path)

    assert whole.size >= 20_000 * (int(said[-1]) if said else after)
    assert np.array_equal(whole, np.arange(whole.size))
    with Run.open(rescued) as run:
        assert run.complete
        assert run.stop["reason"] == "crash"
        assert run.stop["tags"] == {"tagger": whole.size}
        assert np.array_equal(run["tagger/t"], whole)
        assert sum(part.t_ps.size for part in run.batches()) == whole.size
    with pytest.raises(RunFileError, match="nothing to salvage"):
        salvage(rescued)


@pytest.mark.slow
def test_runs_killed_at_100_random_moments_are_all_readable(tmp_path):
    rng = np.random.default_rng(7)
    for attempt in range(100):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        process = start_writer(folder)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(rng.uniform(0, 0.1)))
        os.kill(process.pid, signal.SIGKILL)
        printed = 1 + len(process.communicate()[0].split())
        with Run.open(salvage(next(folder.glob("*.h5")))) as run:
            kept = run["tagger/t"]
            assert kept.size >= 20_000 * (printed - 1)
            assert np.array_equal(kept, np.arange(kept.size))


def test_a_full_disk_is_one_clear_error_and_keeps_what_was_flushed(tmp_path):
    process = start_writer(tmp_path, limit=9_000_000)
    said, complaint = process.communicate(timeout=60)
    path = next(tmp_path.glob("*.h5"))

    assert process.returncode == StorageError.exit_code
    assert complaint.startswith("StorageError")
    assert "disk is full" in complaint
    assert "Traceback" not in complaint
    with Run.open(path) as run:
        kept = run["tagger/t"]
        assert kept.size >= 20_000 * len(said.split()) > 100_000
        assert np.array_equal(kept, np.arange(kept.size))
        assert run.stop["reason"] == "failed"
        assert run.stop["error"]["type"] == "StorageError"


def test_a_disk_that_is_full_from_the_start_leaves_no_file(tmp_path):
    process = start_writer(tmp_path, limit=1_000_000)
    complaint = process.communicate(timeout=60)[1]

    assert process.returncode == StorageError.exit_code
    assert complaint.startswith("StorageError")
    assert "Traceback" not in complaint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path, station):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageError):
        writer(blocked, station)


def test_names_tell_time_and_part(tmp_path, station):
    run = writer(tmp_path, station, clock_ns=lambda: 1_789_998_800 * 10**9)
    run.close()

    assert run.path.name.startswith("20260921T135320Z-")
    assert run.path.name.endswith("-p0.h5")
    assert stat.S_ISREG(run.path.stat().st_mode)


def test_a_gap_behind_the_end_of_its_batch_comes_back_with_it(tmp_path, station):
    told = [
        TagBatch(seq, np.array([seq * 100], np.int64), np.array([1], np.uint8), seq * 100, seq * 100 + 90, (Gap(seq * 100 + 90, seq * 100 + 100, "dead-time"),))
        for seq in range(3)
    ]
    with writer(tmp_path, station) as run:
        for one in told:
            run.tags("tagger", one)

    with Run.open(run.path) as found:
        assert [one.gaps for one in found.batches()] == [one.gaps for one in told]
        rows, gaps = found.batch_rows(), found.gap_rows()
        assert found.batch(rows[1], rows[2], gaps).gaps == told[1].gaps
