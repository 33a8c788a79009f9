"""Run files that are cut short or hostile: an error at once, or what is whole, and never a reader that waits."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.acquisition.runs import Run, RunLayout, RunWriter, documents, salvage
from heliograph.core.errors import RunFileError
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


def test_an_array_larger_than_any_memory_is_a_damaged_file(files, tmp_path):
    hostile = tmp_path / "hostile.h5"
    shutil.copy(files["closed"], hostile)
    with h5py.File(hostile, "r+") as file:
        file["tags/tagger/batches"].resize(10**13, axis=0)

    with pytest.raises(RunFileError, match="damaged"):
        Run.open(hostile)


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
