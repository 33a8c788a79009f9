"""The simulated instruments as a process of their own, as hardware would be, and how commands find them.

A serving bench holds a lock on `<station file>.bench.json`, where it has written its process id and the resource of every device. A command uses the bench that
is serving its station; where none is, it starts one, tethered to itself by a pipe: that bench ends when the pipe closes, however its parent died.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..core.errors import BenchError, StorageError
from ..instruments.station import Station
from ..mocks.faults import Fault, Faults

START_SECONDS = 60.0
_RECORD = ".bench.json"


@dataclass(frozen=True, slots=True)
class Lab:
    """A serving bench.

    pid: its process.  devices: per instrument the resources that stand in for those of the station file.
    """

    pid: int
    devices: Mapping[str, Mapping[str, str]]


def rendezvous(station: Path) -> Path:
    """Return the file in which the bench of a station tells where its devices are."""
    return station.with_name(station.name + _RECORD)


def serve(path: Path, faults: Sequence[str] = (), *, tethered: bool = False, truth: Path | None = None, announce: IO[str] = sys.stdout) -> None:
    """Simulate the instruments of a station until interrupted, or until standard input closes if tethered.

    truth: Unix socket at which tests read what the world really does.
    Prints one JSON line {pid, devices} when every device answers.  Raises BenchError if this station is being served already.
    """
    from ..mocks.lab import Lab as Devices

    station = Station.load(path)
    with _claimed(path) as file:
        devices = Devices(station.plain(), faults)
        try:
            found = {"pid": os.getpid(), "station_sha256": station.sha256, "devices": devices.start()}
            file.write(json.dumps(found))
            file.flush()
            if truth is not None:
                devices.tell_truth(truth)
            _end_on_signal_or_eof(devices.stop, tethered)
            announce.write(json.dumps({"pid": found["pid"], "devices": found["devices"], "simulated": True, "security": None}) + "\n")
            announce.flush()
            devices.run_forever()
        finally:
            devices.stop()
            rendezvous(path).unlink(missing_ok=True)
            if truth is not None:
                truth.unlink(missing_ok=True)


def _end_on_signal_or_eof(stop: Any, tethered: bool) -> None:
    signal.signal(signal.SIGTERM, lambda *_: stop())
    if not tethered:
        signal.signal(signal.SIGINT, lambda *_: stop())
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.read(0, 4096):
            pass
        stop()

    threading.Thread(target=watch, name="tether", daemon=True).start()


@contextmanager
def _claimed(path: Path) -> Iterator[IO[str]]:
    where = rendezvous(path)
    try:
        file = os.fdopen(os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    except OSError as error:
        raise StorageError(
            f"cannot write the bench's address ({error.strerror})", where=str(where), remedy="Put the station file in a folder of yours."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BenchError("a simulated bench serves this station already", where=str(path), remedy="Use it, or end it with Ctrl-C.") from error
        file.truncate()
        yield file


def find(path: Path) -> Lab | None:
    """Return the bench that serves a station, or None.  Raises BenchError if it was started from another version of the file."""
    try:
        text = _told(rendezvous(path))
    except OSError as error:
        raise BenchError(f"the bench's address cannot be read ({error.strerror})", where=str(rendezvous(path)), remedy="Is it another user's bench?") from error
    if not text:
        return None
    found = json.loads(text)
    if found["station_sha256"] != Station.load(path).sha256:
        raise BenchError("the running bench was started before the station file was changed", where=str(path), remedy="End it and start it again.")
    return Lab(found["pid"], found["devices"])


def left_behind(folder: Path) -> list[Path]:
    """Return the station files of a folder that are there no more, renamed or removed, while a simulated bench serves them still."""
    found = []
    for record in sorted(folder.glob(f"*{_RECORD}")):
        station = record.with_name(record.name.removesuffix(_RECORD))
        with suppress(OSError):
            if not station.exists() and _told(record):
                found.append(station)
    return found


def _told(record: Path) -> str:
    """Return what a serving bench has written at its rendezvous; nothing where none is serving. Raises OSError."""
    try:
        file = record.open()
    except FileNotFoundError:
        return ""
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read()
        return ""


@contextmanager
def running(path: Path, faults: Sequence[str | Fault] = (), *, started: Callable[[int], None] = lambda _tether: None) -> Iterator[Lab]:
    """Give the bench of a station: the one that is serving it, else one that lives as long as this context.

    faults: what is to go wrong in a bench started here, as names, script files or `Fault`s.  started: told, before the devices answer, the file that keeps a
    bench started here alive in whoever has it open; -1 for one that was serving already.  Raises ConfigError for an unknown fault, BenchError if it does not
    come up.
    """
    Faults.parse(faults, [name for name, entry in Station.load(path).instruments.items() if entry.rules.simulated])
    found = find(path)
    if found is not None:
        if faults:
            raise BenchError("a bench without these faults serves this station already", where=str(path), remedy="End it first.")
        started(-1)
        yield found
        return
    with tempfile.TemporaryFile("w+") as complaints:
        process = _start(path, faults, complaints)
        try:
            started(process.stdin.fileno() if process.stdin is not None else -1)
            yield _wait_ready(process, path, complaints)
        finally:
            _end(process)


def _start(path: Path, faults: Sequence[str | Fault], complaints: IO[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "heliograph", "bench", "serve", "--station", str(path.resolve()), "--tethered", "--json"]
    for fault in faults:
        command += ["--fault", fault.text() if isinstance(fault, Fault) else fault]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True, start_new_session=True)


def _wait_ready(process: subprocess.Popen[str], path: Path, complaints: IO[str]) -> Lab:
    if process.stdout is None:
        raise BenchError("no pipe to the simulated bench", where=str(path))
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else ""
    if not line:
        process.kill()
        process.wait()
        complaints.seek(0)
        said = complaints.read().strip().splitlines()
        why = said[-1] if said else "no word from it"
        raise BenchError(f"the simulated bench did not start: {why}", where=str(path), remedy="Try `heliograph bench serve --station FILE`.")
    found = json.loads(line)
    if "error" in found:
        told = found["error"]
        raise BenchError(f"the simulated bench did not start: {told['message']}", where=told["where"] or str(path), remedy=told["remedy"])
    return Lab(found["pid"], found["devices"])


def _end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
