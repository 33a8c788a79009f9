"""An owner in a process of its own, and what waits for it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from heliograph.control.attached import AttachedBench, attach
from heliograph.instruments.station import Station, default_text

QUICK = """
import sys
from heliograph.cli import main
from heliograph.instruments.guard import ramp
ramp.BIAS_PAUSE_S = 0.002
main(sys.argv[1:])
"""


def quick(*words: str) -> list[str]:
    """Return a command as `python -m heliograph`, but simulated detectors are not waited for while their bias rises, as in the process of the tests."""
    return [sys.executable, "-c", QUICK, *words]


@contextlib.contextmanager
def owning(folder: Path, text: bytes | None = None) -> Iterator[Path]:
    """Own a simulated bench in a quick process of its own; give its station file."""
    with owner_process(folder, text, quick()) as (station, _):
        yield station


@contextlib.contextmanager
def owner_process(folder: Path, text: bytes | None, program: Sequence[str]) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Own a simulated bench in a process of its own, which ends well; give its station file, and the process.  program: how `heliograph` is run."""
    station = folder / "station.toml"
    station.write_bytes(text or default_text())
    with subprocess.Popen([*program, "bench", "own", "--station", str(station)], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            assert json.loads(owner.stdout.readline())["pid"] == owner.pid
            yield station, owner
        finally:
            owner.terminate()
            assert owner.wait(30) == 0


def attached(station: Path) -> AttachedBench:
    bench = attach(Station.load(station))
    assert bench is not None
    return bench


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
