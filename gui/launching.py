"""Processes that the window starts: the owner of a bench, and the command that writes the station file of the simulated one."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from ..core.answers import answer
from ..core.errors import BenchError, HeliographError, StorageError

START_S = 60.0
"""How long an owner may take to open its bench."""
END_S = 12.0
DEMO_FOLDER = Path("heliograph-demo")
_LOOK_S = 0.1


def simulated_station(folder: Path) -> Path:
    """Return the station file of the simulated bench in a folder, written where there is none; takes half a second then. Raises StorageError, BenchError."""
    path = folder.resolve() / "station.toml"
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the folder cannot be made ({error.strerror})", where=str(folder), remedy="Choose another folder.") from error
    done = subprocess.run(_command("station", "new", str(path)), capture_output=True, text=True, timeout=START_S, check=False, stdin=subprocess.DEVNULL)
    if not path.exists():
        raise _told(done.stdout, "the station file was not written", str(path))
    return path


def other_window(station: Path) -> None:
    """Open another window, for another bench; it lives by itself."""
    command = [sys.executable, "-m", "heliograph", "gui", "--station", str(station)]
    subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)


class Owner:
    """The owner of a bench as a process of this window's. If the window is killed it makes the bench safe, or does what is left to do alone, then ends."""

    def __init__(self, station: Path) -> None:
        self.station = station
        self._complaints: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._over = threading.Event()
        self._process = subprocess.Popen(
            _command("bench", "own", "--until-alone", "--station", str(station)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Return its process."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Say whether it has ended."""
        return self._process.poll() is not None

    def wait_ready(self) -> None:
        """Wait until the bench is open; called in a thread. Raises BenchError with what the process said."""
        pipe = self._process.stdout
        deadline = time.monotonic() + START_S
        line = ""
        while pipe is not None and not self._over.is_set() and time.monotonic() < deadline:
            if select.select([pipe], [], [], _LOOK_S)[0]:
                line = pipe.readline()
                break
        if self._over.is_set():
            return
        if "watchdog" not in line:
            self._stop()
            self._complaints.seek(0)
            said = self._complaints.read().strip() or "no word from it"
            self._complaints.close()
            raise _told(line, said, str(self.station))

    def end(self) -> None:
        """Tell it to end, which makes the bench safe, and wait; killed if it does not listen, which makes the watchdog do it."""
        self._stop()
        self._complaints.close()

    def let_go(self) -> None:
        """Let it go on by itself."""
        self._over.set()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._complaints.close()

    def _stop(self) -> None:
        self._over.set()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            # One that was stopped hears nothing.
            self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "heliograph", *words, "--json"]


def _told(line: str, otherwise: str, where: str) -> HeliographError:
    """Return what a command said on its JSON line, or the last line of the rest."""
    what, remedy = "it said nothing of the bench", "Try `heliograph bench own --station FILE` in a terminal."
    try:
        answer(line, complaints=otherwise, where=where, remedy=remedy)
    except HeliographError as error:
        what, where, remedy = error.message, error.where, error.remedy
    return BenchError(f"the bench was not opened: {what}", where=where, remedy=remedy)
