"""`heliograph doctor`: is this machine fit, and if not, what to do."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from .output import JsonOption, command

State = Literal["ok", "warn", "fail"]

ROOM_WARN, ROOM_FAIL = 2_000_000_000, 200_000_000
"""Bytes: a demo and a day of runs; a demo."""
QT_LIBRARIES = "libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1"


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found.

    state: ok, warn (something will not work) or fail (nothing will).  remedy: empty where the state is ok.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


def doctor(json_output: JsonOption = False) -> None:
    """Look at this machine and say how to mend it.

    Looks at Python, packages, compiled libraries, folders and what simulated instruments need. Exit code 1 if something fails.
    """
    with command(json_output) as out:
        found: list[Check] = []
        with out.progress("Looking around", total=len(CHECKS)) as bar:
            for look in CHECKS:
                found += look()
                bar.step()
        failed = any(check.state == "fail" for check in found)
        out.table("This machine", ["check", "state", "found"], [(check.name, check.state, check.detail) for check in found])
        for check in found:
            if check.remedy:
                out.say(f"{check.state}: {check.name}: {check.remedy}")
        out.result({"healthy": not failed, "checks": found}, exit_code=1 if failed else 0)


def python_version() -> list[Check]:
    """Return whether this Python is one that the package was made for."""
    from packaging.specifiers import SpecifierSet

    version, wanted = platform.python_version(), metadata.metadata("heliograph")["Requires-Python"]
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return [Check("python", "ok", f"{version}, {sys.executable}")]
    return [Check("python", "fail", version, f"Make a new environment with Python {wanted}: `make demo PYTHON=...`.")]


def packages() -> list[Check]:
    """Return which of the packages of a plain install are here, in the version that is needed."""
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in metadata.requires("heliograph") or ()]
    return [_package(need.name, need.specifier.contains) for need in wanted if need.marker is None or need.marker.evaluate({"extra": ""})]


def _package(name: str, fits: Callable[[str], bool]) -> Check:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "fail", "not installed", "Run `make test` once, or `pip install -c constraints.txt -e .[test]`.")
    if fits(version):
        return Check(name, "ok", version)
    return Check(name, "fail", f"{version} does not fit", "Run `pip install -c constraints.txt -e .[test]`.")


def libraries() -> list[Check]:
    """Return whether the compiled libraries load, each in a process of its own, so that one that crashes is named too."""
    apt = f"On Debian: `sudo apt-get install {QT_LIBRARIES}`. The command line works without."
    broken = "Install it again: `pip install --force-reinstall`; a CPU without AVX2 cannot run it."
    return [
        _loads("torch", "import torch; torch.zeros(1)", "fail", broken),
        _loads("h5py", "import h5py", "fail", broken),
        _loads("zmq", "import zmq; zmq.Context.instance().socket(zmq.PAIR)", "fail", broken),
        _loads("qt", "from PySide6.QtWidgets import QApplication; QApplication([])", "warn", apt),
    ]


def _loads(name: str, code: str, otherwise: State, remedy: str) -> Check:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"} if name == "qt" else None
    try:
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return Check(f"{name} loads", otherwise, "no answer in 120 s", remedy)
    if ended.returncode == 0:
        return Check(f"{name} loads", "ok", "yes")
    said = ended.stderr.strip().splitlines() or [f"ended with code {ended.returncode}"]
    return Check(f"{name} loads", otherwise, said[-1], remedy)


def numba_compiles() -> list[Check]:
    """Return whether hot loops can be compiled here."""
    try:
        import numba

        doubled = numba.njit(lambda x: 2 * x)(21)
    except (ImportError, OSError, RuntimeError) as error:
        return [Check("numba compiles", "fail", str(error), "Install numba again, and see that NUMBA_CACHE_DIR is writable.")]
    return [Check("numba compiles", "ok" if doubled == 42 else "fail", f"2 x 21 = {doubled}")]


def pseudo_terminals() -> list[Check]:
    """Return whether simulated serial instruments can be reached."""
    try:
        ours, theirs = os.openpty()
    except OSError as error:
        return [Check("pseudo-terminals", "fail", str(error), "Mount /dev/pts; without it no serial instrument can be simulated.")]
    try:
        os.write(ours, b"1\n")
        works = os.read(theirs, 2) == b"1\n"
    finally:
        os.close(ours)
        os.close(theirs)
    return [Check("pseudo-terminals", "ok", "yes") if works else Check("pseudo-terminals", "fail", "bytes do not arrive", "Check /dev/pts.")]


def local_sockets() -> list[Check]:
    """Return whether simulated network instruments can be reached."""
    import socket

    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
            return [Check("local sockets", "ok", "yes")]
    except OSError as error:
        return [Check("local sockets", "fail", str(error), "Allow connections to 127.0.0.1.")]


def folders() -> list[Check]:
    """Return whether files can be written and locked here, and how much room there is."""
    return [check for name, folder in (("working folder", Path.cwd()), ("temporary folder", Path(tempfile.gettempdir()))) for check in _folder(name, folder)]


def _folder(name: str, folder: Path) -> Iterator[Check]:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.write(b"\0")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        yield Check(name, "fail", f"{folder}: {error.strerror}", "Work in a folder of a local disk that you may write.")
        return
    free = shutil.disk_usage(folder).free
    state: State = "fail" if free < ROOM_FAIL else "warn" if free < ROOM_WARN else "ok"
    yield Check(name, state, f"{folder}: writable, {free / 1e9:.1f} GB free", "" if state == "ok" else "Free some space, or use `--out` on another disk.")


def data_folder() -> list[Check]:
    """Return which data sets are here, and whether the folder for them is there, if one is named."""
    from ..protocols.learning.catalogue import data_root, datasets

    folder, named = data_root(), bool(os.environ.get("HELIOGRAPH_DATA"))
    if named and not folder.is_dir():
        return [Check("HELIOGRAPH_DATA", "fail", f"{folder}: no such folder", "Create it, or unset HELIOGRAPH_DATA.")]
    names = [data.name for data in datasets() if data.present and not data.embedded]
    return [Check("HELIOGRAPH_DATA", "ok", f"{'' if named else 'not set: '}data sets lie in {folder} ({', '.join(names) or 'none yet'}); digits is built in")]


CHECKS: tuple[Callable[[], list[Check]], ...] = (
    python_version,
    packages,
    libraries,
    numba_compiles,
    pseudo_terminals,
    local_sockets,
    folders,
    data_folder,
)
