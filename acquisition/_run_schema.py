"""What a run file is made of: names, types, and the layout a procedure declares before it starts."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..core.errors import ParameterError

SCHEMA = "heliograph-run/1"
BATCH = np.dtype([("seq", "<i8"), ("t_begin", "<i8"), ("t_end", "<i8"), ("first", "<i8"), ("n", "<i8"), ("crc32", "<u4")])
GAP = np.dtype([("t0", "<i8"), ("t1", "<i8"), ("reason", "S16"), ("missed", "<i8")])
EVENT = np.dtype([("t_ns", "<i8"), ("severity", "u1"), ("source", "S32"), ("text", "S200")])
SEVERITIES = ("info", "warning", "error")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_LONGEST_LIST = 64
_ROWS = 1 << 20
_LONGEST_TEXT = 4096
_PACKAGES = ("heliograph", "numpy", "scipy", "numba", "h5py", "pymeasure", "pyvisa", "pyzmq")


@dataclass(frozen=True, slots=True)
class RunLayout:
    """Which streams a run will hold; all are created before the first datum, so that a reader may look on.

    tags: source -> channel numbers by name.  counts: detector -> number of channels.  scalars: name -> unit.  tables: name -> column -> unit.
    announcement: whether the run holds an announcement of events.
    """

    tags: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    scalars: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    announcement: bool = False

    def __post_init__(self) -> None:
        names = [*self.tags, *self.counts, *self.scalars, *self.tables]
        wrong = [name for name in names if not _NAME.match(name) or name == "announcement"]
        if wrong or len(set(names)) < len(names):
            raise ParameterError(f"{wrong[0]!r} is no name" if wrong else "two streams have one name", where="run layout")


def create(file: h5py.File, layout: RunLayout) -> None:
    """Create every group and dataset of a run file."""
    for source, channels in layout.tags.items():
        group = file.create_group(f"tags/{source}")
        group.attrs["resolution_ps"], group.attrs["clock"], group.attrs["map"] = 1, "recording", json.dumps(dict(channels), sort_keys=True)
        _growing(group, "t", "<i8", 2**18, "ps")
        _growing(group, "ch", "u1", 2**18, "")
        _growing(group, "batches", BATCH, 256, "")
        _growing(group, "gaps", GAP, 256, "")
    for detector, width in layout.counts.items():
        group = file.create_group(f"counts/{detector}")
        _growing(group, "t_ns", "<i8", 1024, "ns")
        group.create_dataset("counts", (0, width), "<i8", maxshape=(None, width), chunks=(1024, width)).attrs["unit"] = "1"
        _growing(group, "period_s", "<f8", 1024, "s")
    for name, unit in layout.scalars.items():
        group = file.create_group(f"scalars/{name}")
        group.attrs["unit"] = unit
        _growing(group, "t_ns", "<i8", 1024, "ns")
        _growing(group, "v", "<f8", 1024, unit)
    for name, columns in layout.tables.items():
        group = file.create_group(f"tables/{name}")
        group.attrs["columns"] = json.dumps(list(columns))
        for column, unit in columns.items():
            _growing(group, column, "<f8", 1024, unit)
    if layout.announcement:
        group = file.create_group("announcement")
        _growing(group, "bytes", "u1", 2**16, "")
        _growing(group, "meta", "S400", 64, "")
    _growing(file, "events", EVENT, 256, "")


def _growing(group: h5py.Group, name: str, kind: Any, chunk: int, unit: str) -> None:
    group.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(chunk,)).attrs["unit"] = unit


def chunk_bytes(file: h5py.File) -> int:
    """Return the size of one chunk of every growing dataset together."""
    sizes: list[int] = []
    file.visititems(lambda _, found: sizes.append(int(np.prod(found.chunks)) * found.dtype.itemsize) if getattr(found, "chunks", None) else None)
    return sum(sizes)


def plain(values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return parameters or a summary as JSON holds them.

    Raises ParameterError for bytes, arrays, long lists and long texts: a run file holds sizes and rates, never patterns or keys.
    """
    return {str(name): _plain(value, f"{what}.{name}") for name, value in values.items()}


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return plain(value, where)
    if isinstance(value, (list, tuple)) and len(value) <= _LONGEST_LIST:
        return [_plain(entry, where) for entry in value]
    if (isinstance(value, str) and len(value) > _LONGEST_TEXT) or not isinstance(value, (str, int, float, bool, type(None))):
        raise ParameterError(
            f"a {type(value).__name__} is not written into a run file", where=where, remedy="It holds sizes and rates, never patterns or keys."
        )
    return value


def digest(file: h5py.File) -> str:
    """Return the SHA-256, hex, over the start document, station, announcement, and the batch rows of every tag source, in the order of their names.

    Tables, counts, scalars, gaps, events and the stop document are not covered, and no key goes in: it finds accidents, not intent.
    """
    total = hashlib.sha256(str(file.attrs["start"]).encode())
    for name in ("snapshot/station", "announcement/meta", "announcement/bytes"):
        if name in file:
            for rows in by_rows(file[name]):
                total.update(rows.tobytes())
    for source in sorted(file.get("tags", ())):
        total.update(file[f"tags/{source}/batches"][()].tobytes())
    return total.hexdigest()


def by_rows(stream: h5py.Dataset) -> Iterator[NDArray[Any]]:
    """Yield a dataset in pieces of bounded size, in order."""
    for first in range(0, stream.shape[0], _ROWS):
        yield stream[first : first + _ROWS]


def environment() -> dict[str, Any]:
    """Return versions, platform, and the commit of the source tree where there is one."""
    root = Path(__file__).resolve().parents[1]
    commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no")) if commit else None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "git": {"commit": commit, "dirty": dirty},
        "command": Path(sys.argv[0]).name if sys.argv else "",
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(("git", "-C", str(root), *words), capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def short(text: str, length: int) -> bytes:
    """Return text as at most `length` bytes of UTF-8, cut between characters."""
    return text.encode()[:length].decode(errors="ignore").encode()
