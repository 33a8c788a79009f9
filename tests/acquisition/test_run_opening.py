"""Run files that are cut short or hostile: an error at once, or what is whole, and never a reader that waits."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.acquisition import _run_opening, run_writer, runs
from heliograph.acquisition._room import Room
from heliograph.acquisition.runs import Run, RunLayout, RunWriter, documents, salvage
from heliograph.core.errors import RunFileError, RunFileHeld, StorageError
from heliograph.instruments.roles import TagBatch
from heliograph.instruments.station import Station, default_text

LAYOUT = RunLayout(tags={"tagger": {"D1": 1, "D2": 2, "sync": 3}}, counts={"snspd": 2})
N = 5_000
KILLED = """
import itertools, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_run_opening import written
written(Path(sys.argv[1]), itertools.count())
"""


def written(folder: Path, batches) -> Path:
    """Write a run of some batches, one flush each, and close it in order."""
    with RunWriter.create(folder, "KeyExchange", {}, Station.parse(default_text(), Path("x.toml")), {}, layout=LAYOUT) as run:
        for seq in batches:
            t = np.arange(N, dtype=np.int64) + seq * N
            run.tags("tagger", TagBatch(seq, t, (t % 3 + 1).astype(np.uint8), seq * N, (seq + 1) * N))
            run.flush()
            sys.stdout.write(f"{seq}\n")
            sys.stdout.flush()
    return run.path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One file that was closed, one whose writer was killed, and a copy of that taken while it wrote."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "closed").mkdir()
    (folder / "killed").mkdir()
    closed = written(folder / "closed", range(20))
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder / "killed"), str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 20:
            break
    (killed,) = (folder / "killed").glob("*.h5")
    live = folder / "live.h5"
    shutil.copy(killed, live)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return {"closed": closed, "killed": killed, "live": live}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["closed", "killed", "live"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_a_file_that_was_cut_short_is_told_at_once_or_read_as_far_as_it_is_whole(files, tmp_path, kind, share):
    cut = tmp_path / "cut.h5"
    shutil.copy(files[kind], cut)
    os.truncate(cut, int(cut.stat().st_size * share))

    for look in (documents, lambda path: Run.open(path).close()):
        with contextlib.suppress(RunFileError):
            look(cut)
    try:
        rescued = salvage(cut)
    except RunFileError:
        return
    with Run.open(rescued) as run:
        kept = run["tagger/t"]
        assert run.stop["reason"] == "crash"
        assert np.array_equal(kept, np.arange(kept.size))


@pytest.mark.parametrize("kind", ["killed", "live"])
def test_whole_files_are_read_while_written_and_after_a_kill(files, kind):
    with Run.open(files[kind]) as run:
        assert not run.complete
        assert run["tagger/t"].size >= 20 * N


def _piped(file: h5py.File, pipe: Path) -> None:
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_external(os.fsencode(pipe), 0, 100)
    h5py.h5d.create(file["snapshot"].id, b"environment", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple((100,)), made)


def _linked(file: h5py.File, pipe: Path) -> None:
    file["snapshot/environment"] = h5py.ExternalLink(str(pipe), "/x")


def _virtual(file: h5py.File, pipe: Path) -> None:
    layout = h5py.VirtualLayout((100,), "u1")
    layout[:] = h5py.VirtualSource(str(pipe), "x", (100,))
    file.create_virtual_dataset("snapshot/environment", layout)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("points_elsewhere", [_piped, _linked, _virtual])
def test_a_run_file_that_points_at_another_file_is_refused_and_the_other_is_not_opened(files, tmp_path, points_elsewhere):
    pipe, hostile = tmp_path / "pipe", tmp_path / "hostile.h5"
    os.mkfifo(pipe)
    shutil.copy(files["closed"], hostile)
    with h5py.File(hostile, "r+") as file:
        del file["snapshot/environment"]
        points_elsewhere(file, pipe)

    with pytest.raises(RunFileError, match="lies in another file"):
        Run.open(hostile)


ELSEWHERE = {"a device": "/dev/zero", "a link to nothing": "/nowhere/at/all"}


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("what", ["a pipe", "a socket", "a device", "a folder", "a link to nothing"])
@pytest.mark.parametrize("look", [lambda path: Run.open(path=path), lambda path: documents(path=path), salvage])
def test_what_is_no_ordinary_file_is_refused_and_not_opened(tmp_path, what, look):
    path = tmp_path / "x.h5"
    made: dict[str, Callable[[Path], object]] = {"a pipe": os.mkfifo, "a socket": socket_at, "a folder": Path.mkdir}
    made.get(what, lambda path: path.symlink_to(ELSEWHERE[what]))(path)

    with pytest.raises(RunFileError, match=rf"no ordinary file \({what}\)"):
        look(path)


def test_an_array_larger_than_any_memory_is_a_damaged_file(files, tmp_path):
    hostile = tmp_path / "hostile.h5"
    shutil.copy(files["closed"], hostile)
    with h5py.File(hostile, "r+") as file:
        file["tags/tagger/batches"].resize(10**13, axis=0)

    with pytest.raises(RunFileError, match="damaged"):
        Run.open(hostile)


ENDS = """
import os, sys
import h5py
file = h5py.File(sys.argv[1], "r+", locking=False)
file.attrs["more"] = 1
os.kill(os.getpid(), 9)
"""


def test_a_run_whose_writer_was_killed_while_it_wrote_the_end_is_read_and_salvaged(files, tmp_path):
    left = tmp_path / "left.h5"
    shutil.copy(files["closed"], left)
    with h5py.File(left, "r+") as file:
        del file.attrs["stop"]
    subprocess.run([sys.executable, "-c", ENDS, left], check=False)
    before = left.read_bytes()

    with Run.open(left) as run:
        assert not run.complete
        assert run["tagger/t"].size == 20 * N
    assert documents(left)[1] is None
    assert left.read_bytes() == before
    with Run.open(salvage(left)) as rescued:
        assert rescued["tagger/t"].size == 20 * N


def test_a_run_that_ends_once_it_is_opened_is_no_crash(files, tmp_path, monkeypatch):
    path = Path(shutil.copy(files["live"], tmp_path / "live.h5"))
    room = Room(path)
    room.mark_written()

    def then_it_ends(run, file, path, begin=Run.__init__):
        begin(run, file, path)
        room.close()

    monkeypatch.setattr(Run, "__init__", then_it_ends)
    with pytest.raises(RunFileError, match="goes on"):
        salvage(path)

    assert list(tmp_path.iterdir()) == [path]


def test_a_copy_that_fails_leaves_the_earlier_one_and_no_piece(files, tmp_path, monkeypatch):
    killed = shutil.copy(files["killed"], tmp_path / "killed.h5")
    whole = salvage(killed)
    before = whole.read_bytes()

    def full(_file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(runs, "digest", full)
    with pytest.raises(StorageError, match="disk is full"):
        salvage(killed)

    assert whole.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["killed.h5", whole.name]


LOOKS = """
import sys
from pathlib import Path
from heliograph.acquisition import _run_opening as opening
from heliograph.acquisition.runs import Run, documents
asked = opening.being_written
opening.being_written = lambda path: (asked(path), print("looks", flush=True))[0]
print("ready", flush=True)
sys.stdin.readline()
found = documents(Path(sys.argv[1]))[1]["reason"]
with Run.open(Path(sys.argv[1])) as run:
    print("found", found, run.stop["reason"], flush=True)
"""


def test_whoever_looks_while_the_end_of_a_run_is_written_waits_for_it(tmp_path, monkeypatch):
    writer = RunWriter.create(tmp_path, "KeyExchange", {}, Station.parse(default_text(), Path("x.toml")), {}, layout=LAYOUT)
    with subprocess.Popen([sys.executable, "-c", LOOKS, writer.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        ask, answers = reader.stdin, reader.stdout
        assert answers.readline() == "ready\n"

        @contextlib.contextmanager
        def looked_at(path, mode, **more):
            with h5py.File(path, mode, **more) as file:
                yield file
                if mode == "r+":
                    # Twice in the first attempt, and again before the second.
                    ask.write("\n")
                    ask.flush()
                    assert [answers.readline() for _ in range(3)] == ["looks\n"] * 3

        monkeypatch.setattr(run_writer, "h5py", SimpleNamespace(File=looked_at))
        writer.close("done", {"found": 1})
        said, _ = reader.communicate()

    assert said.splitlines()[-1] == "found done done"


def test_a_file_that_its_writer_holds_for_ever_is_not_called_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(_run_opening, "PATIENCE_S", 0.05)
    path = tmp_path / "held.h5"
    path.write_bytes(b"no run file yet")
    room = Room(path)
    room.mark_written()
    for look in (Run.open, lambda path: Run.open(path=path), lambda path: documents(path=path)):
        with pytest.raises(RunFileHeld, match="its writer holds the run file"):
            look(path)
    room.close()
    with pytest.raises(RunFileError, match="damaged"):
        Run.open(path)


READS = """
import sys
from pathlib import Path
from heliograph.acquisition.runs import Run
with Run.open(Path(sys.argv[1])) as run:
    print(run["tagger/t"].size, flush=True)
    sys.stdin.readline()
    print(run["tagger/t"].size, flush=True)
"""


def test_a_reader_in_another_process_does_not_keep_a_run_from_ending(tmp_path):
    with RunWriter.create(tmp_path, "KeyExchange", {}, Station.parse(default_text(), Path("x.toml")), {}, layout=LAYOUT) as writer:
        writer.tags("tagger", TagBatch(0, np.arange(N, dtype=np.int64), np.ones(N, np.uint8), 0, N))
        with subprocess.Popen([sys.executable, "-c", READS, writer.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            first = reader.stdout.readline()
            with pytest.raises(RunFileError, match="goes on"):
                salvage(writer.path)

            writer.close("done", {"found": 1})

            again = reader.communicate("\n")[0]

    assert (int(first), int(again)) == (N, N)
    with Run.open(writer.path) as run:
        assert run.stop["reason"] == "done"
        assert run.summary == {"found": 1}
