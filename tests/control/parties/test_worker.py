"""The worker that distils: what it reports, that it is alone, and that it is never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from heliograph.control.parties.worker import Distiller
from heliograph.core.errors import HeliographError, ParameterError, RunFileError, StoreLocked

ORPHAN = """
import os, pathlib, signal, sys
from heliograph.control.parties.worker import Distiller

with Distiller(pathlib.Path(sys.argv[1])) as distiller:
    distiller.hand_over(pathlib.Path("none.h5"))
    os.kill(distiller.pid, signal.SIGSTOP)
    print(distiller.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_error_of_the_worker_keeps_its_kind_place_and_remedy(tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"no run")
    with Distiller(tmp_path / "store") as distiller:
        distiller.hand_over(tmp_path / "bad.h5")
        with pytest.raises(RunFileError) as caught:
            distiller.collect()
        assert caught.value.where == str(tmp_path / "bad.h5")
        assert caught.value.remedy
        assert distiller.collect() is None


def test_a_worker_that_was_killed_is_an_error_and_the_next_block_may_come(tmp_path):
    told = ""
    with Distiller(tmp_path) as distiller:
        # On a busy computer it may have ended by itself: there is no such file.
        while "code -9" not in told:
            distiller.hand_over(tmp_path / "none.h5")
            assert distiller.pid
            os.kill(distiller.pid, signal.SIGKILL)
            with pytest.raises(HeliographError) as caught:
                distiller.collect()
            told = str(caught.value)
        distiller.hand_over(tmp_path / "none.h5")


def test_there_are_never_two_workers_and_none_is_left(tmp_path):
    with Distiller(tmp_path) as distiller:
        distiller.hand_over(tmp_path / "none.h5")
        first = distiller.pid
        with pytest.raises(ParameterError):
            distiller.hand_over(tmp_path / "none.h5")
        assert distiller.pid == first
        assert first
        assert is_alive(first)
    assert not is_alive(first)


def test_a_second_walk_waits_and_then_is_refused(tmp_path):
    heard: list[str] = []
    with Distiller(tmp_path), pytest.raises(StoreLocked), Distiller(tmp_path, told=heard.append, wait_s=0.2):
        pass
    assert heard
    with Distiller(tmp_path, wait_s=0.0):
        pass


def test_the_worker_of_a_walk_that_was_killed_is_waited_for(tmp_path):
    ended = subprocess.run([sys.executable, "-c", ORPHAN, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    orphan = int(ended.stdout)

    try:
        with pytest.raises(StoreLocked), Distiller(tmp_path, wait_s=0.2):
            pass
    finally:
        os.kill(orphan, signal.SIGCONT)

    with Distiller(tmp_path, wait_s=60.0):
        pass
