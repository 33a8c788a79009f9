"""The run files of a folder: to be listed, searched and looked into."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...acquisition.runs import Run, documents, salvage
from ...core.errors import RunFileError, RunFileHeld, StorageError
from ..topics import Event, RunDetails, RunSummary
from .figures import flat
from .playback import Playback, read_strictly

Told = Callable[[float], None]
"""Hears how much of something is done, 0 to 1."""
_SEVERITIES = {"info", "warning", "error"}
_LATEST = 4e9
"""Unix seconds, in the year 2096."""


def run_files(folder: Path) -> list[Path]:
    """Return the run files of a folder, the oldest first. Raises StorageError if there is no such folder."""
    if folder.exists() and not folder.is_dir():
        raise StorageError("this is a file, no folder", where=str(folder), remedy="Name the folder of the run files.")
    if not folder.is_dir():
        raise StorageError("there is no such folder", where=str(folder), remedy="Name the folder of the run files, or measure something first.")
    return sorted(path for path in folder.glob("[!.]*.h5") if not path.is_dir())


def summaries(
    folder: Path, *, procedure: str = "", day: str = "", text: str = "", most: int | None = None, skip: int = 0, told: Told = lambda _share: None
) -> list[RunSummary]:
    """Return what the run files of a folder are, the oldest first; damaged ones say so.

    procedure: name, or the beginning of one.  day: YYYY-MM-DD, local.  text: found anywhere in what is said of the run, whatever its case.
    most: only so many, the newest of those that fit; older files are not even opened.  skip: leave out so many of the newest before that.
    """
    files, found = run_files(folder)[::-1], list[RunSummary]()
    for k, path in enumerate(files):
        if most is not None and len(found) >= skip + most:
            break
        summary = summary_of(path)
        if _matches(summary, procedure, day, text):
            found.append(summary)
        told((k + 1) / len(files))
    return found[skip:][::-1]


def _matches(summary: RunSummary, procedure: str, day: str, text: str) -> bool:
    words = (summary.run, summary.procedure, summary.state, summary.operator, summary.purpose, summary.station, summary.why, *summary.numbers)
    return (
        summary.procedure.lower().startswith(procedure.lower())
        and (not day or local_day(summary.begun) == day)
        and (not text or any(text.lower() in word.lower() for word in (*words, *(str(one) for one in summary.numbers.values()))))
    )


def local_day(t: float) -> str:
    """Return the day of a time (Unix seconds) where we are, YYYY-MM-DD."""
    return datetime.fromtimestamp(t, UTC).astimezone().date().isoformat()


def summary_of(path: Path) -> RunSummary:
    """Return what a run file says of itself; its data are not looked at. A damaged one is no error, nor one that its writer holds: the state says so."""
    try:
        try:
            stat = path.stat()
        except OSError:
            # Gone, or a link to nothing: not to be remembered.
            return _looked_at(path)
        return _summary(path, stat.st_mtime_ns, stat.st_size)
    except RunFileHeld as error:
        return _unread(path, "unfinished", error)


@lru_cache(maxsize=20_000)
def _summary(path: Path, _changed_ns: int, _size: int) -> RunSummary:
    return _looked_at(path)


def _looked_at(path: Path) -> RunSummary:
    try:
        start, stop = documents(path)
        with read_strictly(path):
            return _told(path, start, stop)
    except RunFileHeld:
        # Not to be remembered: its writer may leave the file without another word.
        raise
    except RunFileError as error:
        return _unread(path, "damaged", error)


def _unread(path: Path, state: str, error: RunFileError) -> RunSummary:
    return RunSummary(path.stem, str(path), "", _begun_by_name(path), state, simulated=True, why=error.message)


def _told(path: Path, start: dict[str, Any], stop: dict[str, Any] | None) -> RunSummary:
    begun = _seconds(start["time"])
    return RunSummary(
        run=str(start["run_id"]),
        path=str(path),
        procedure=str(start["procedure"]),
        begun=begun,
        state="unfinished" if stop is None else str(stop["reason"]),
        simulated=bool(start["simulated"]),
        seconds=None if stop is None or "time" not in stop or "imported" in start else _seconds(stop["time"]) - begun,
        tags=sum(int(n) for n in stop.get("tags", {}).values()) if stop else None,
        gaps=sum(int(n) for n in stop.get("gaps", {}).values()) if stop else None,
        operator=str(start.get("operator", "")),
        purpose=str(start.get("purpose", "")),
        station=str(start.get("station_name", "")),
        numbers=flat(stop.get("summary", {})) if stop else {},
        why=str(stop.get("error", {}).get("message", "")) if stop else "",
        imported="imported" in start,
    )


def _provenance(run: Run) -> str:
    """Return in words what the station's data are, and which procedure is not Heliograph's."""
    known = run.origin + (f": {'; '.join(run.provenance.reasons)}" if run.provenance.reasons else "")
    return f"{known}; foreign procedure: {run.start['foreign']}" if "foreign" in run.start else known


def _begun_by_name(path: Path) -> float:
    """Return when a run began by the name of its file, which its writer gives it; 0 for another name."""
    try:
        return datetime.strptime(path.name[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _seconds(time: str) -> float:
    """Return Unix seconds. Raises ValueError for a time in which there were no runs: clocks and calendars do not hold any number."""
    found = datetime.fromisoformat(time).timestamp()
    if not 0.0 <= found < _LATEST:
        raise ValueError(time)
    return found


def find(folder: Path, name: str) -> Path:
    """Return the run file of a path, a run id, or the beginning of one; `last` is the newest. Raises RunFileError."""
    # Also what is there and no ordinary file: whoever opens it says so.
    if os.path.lexists(name) and not Path(name).is_dir():
        return Path(name)
    files = run_files(folder)
    named = files if name == "last" else [path for path in files if path.name.startswith(name)]
    whole = [path for path in named if ".salvaged" not in path.name] or named
    whole = whole[-1:] if name == "last" else whole
    if len(whole) != 1:
        what = f"{len(whole)} run files begin with {name!r}" if whole else f"no run file is called {name!r}"
        raise RunFileError(what, where=str(folder), remedy="`heliograph runs list` shows them.")
    return whole[0]


def details(path: Path) -> RunDetails:
    """Return everything about a run but its arrays. Raises RunFileError."""
    with Run.open(path) as run, read_strictly(path):
        start, environment = run.start, run.environment
        taken = {name: str(one.get("taken", "")) for name, one in start.get("calibrations", {}).items()}
        versions = {**environment.get("packages", {}), "python": environment.get("python"), "platform": environment.get("platform")}
        found = RunDetails(
            summary=summary_of(path),
            parameters={name: str(value) for name, value in run.parameters.items()},
            provenance=_provenance(run),
            station_sha256=str(start.get("station_sha256", "")),
            seed=start.get("seed"),
            events=tuple(events_of(run)),
            arrays=tuple((name, run.units[name], " x ".join(f"{n:,}" for n in run.shape(name))) for name in run),
            calibrations=taken,
            environment={name: str(value) for name, value in versions.items()},
        )
    finals: dict[str, Any] = {}
    with Playback(path, finals.__setitem__) as playback:
        playback.seek(playback.duration_s)
        playback.finish()
    found.finals.update(finals)
    return found


def events_of(run: Run) -> Iterator[Event]:
    """Yield what happened in a run."""
    for number, (t_ns, severity, source, text) in enumerate(run.events):
        yield Event(t_ns * 1e-9, severity if severity in _SEVERITIES else "info", source, text, run.run_id, number)  # type: ignore[arg-type]


def salvaged(path: Path) -> Path:
    """Copy what is whole of a run that was killed into an ordinary run file beside it; return its path. Raises RunFileError, StorageError."""
    with read_strictly(path):
        return salvage(path)
