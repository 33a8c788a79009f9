"""The run files of a folder: to be listed, searched, looked into and exported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ..acquisition.runs import Run, documents, salvage
from ..core.errors import ParameterError, RunFileError, StorageError
from .figures import flat
from .playback import Playback, read_strictly
from .topics import Event, RunDetails, RunSummary

Kind = Literal["csv", "png"]
Told = Callable[[float], None]
"""Hears how much of something is done, 0 to 1."""
KINDS: tuple[Kind, ...] = ("csv", "png")
_ROWS = 200_000
_SEVERITIES = {"info", "warning", "error"}


def run_files(folder: Path) -> list[Path]:
    """Return the run files of a folder, the oldest first. Raises StorageError if there is no such folder."""
    if not folder.is_dir():
        raise StorageError("there is no such folder", where=str(folder), remedy="Name the folder of the run files, or measure something first.")
    return sorted(folder.glob("*.h5"))


def summaries(folder: Path, *, procedure: str = "", day: str = "", text: str = "", told: Told = lambda _share: None) -> list[RunSummary]:
    """Return what the run files of a folder are, the oldest first; damaged ones say so.

    procedure: name, or the beginning of one.  day: YYYY-MM-DD, local.  text: found anywhere in what is said of the run, whatever its case.
    """
    files, found = run_files(folder), []
    for k, path in enumerate(files):
        summary = summary_of(path)
        if _matches(summary, procedure, day, text):
            found.append(summary)
        told((k + 1) / len(files))
    return found


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
    """Return what a run file says of itself; its data are not looked at. A damaged one is no error: its state says so."""
    try:
        stat = path.stat()
    except OSError:
        return RunSummary(path.stem, str(path), "", 0.0, "damaged", simulated=True, why="there is no such file")
    return _summary(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=20_000)
def _summary(path: Path, _changed_ns: int, _size: int) -> RunSummary:
    try:
        start, stop = documents(path)
        with read_strictly(path):
            return _told(path, start, stop)
    except RunFileError as error:
        return RunSummary(path.stem, str(path), "", 0.0, "damaged", simulated=True, why=error.message)


def _told(path: Path, start: dict[str, Any], stop: dict[str, Any] | None) -> RunSummary:
    begun = _seconds(start["time"])
    return RunSummary(
        run=str(start["run_id"]),
        path=str(path),
        procedure=str(start["procedure"]),
        begun=begun,
        state="unfinished" if stop is None else str(stop["reason"]),
        simulated=bool(start["simulated"]),
        seconds=None if stop is None or "time" not in stop else _seconds(stop["time"]) - begun,
        tags=sum(int(n) for n in stop.get("tags", {}).values()) if stop else 0,
        gaps=sum(int(n) for n in stop.get("gaps", {}).values()) if stop else 0,
        operator=str(start.get("operator", "")),
        purpose=str(start.get("purpose", "")),
        station=str(start.get("station_name", "")),
        numbers=flat(stop.get("summary", {})) if stop else {},
        why=str(stop.get("error", {}).get("message", "")) if stop else "",
    )


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def find(folder: Path, name: str) -> Path:
    """Return the run file of a path, a run id, or the beginning of one; `last` is the newest. Raises RunFileError."""
    if Path(name).is_file():
        return Path(name)
    files = run_files(folder)
    chosen = files[-1:] if name == "last" else [path for path in files if path.name.startswith(name)]
    whole = [path for path in chosen if ".salvaged" not in path.name] or chosen
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
            provenance=run.provenance.label + (f": {'; '.join(run.provenance.reasons)}" if run.provenance.reasons else ""),
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


# Export


def export(path: Path, kind: Kind, to: Path, *, replace: bool = False, told: Told = lambda _share: None) -> list[Path]:
    """Write a run as CSV files, one a group of arrays, or its figure as PNG; return what was written. What is simulated says so.

    to: a folder, or the name of the file; where a run has several groups, theirs stands behind it.  replace: write over files that are there.
    Raises RunFileError, ParameterError for another kind, StorageError for files that are there or cannot be written.
    """
    if kind not in KINDS:
        raise ParameterError(f"{kind!r} is neither csv nor png", where="export", remedy="Choose one of them.")
    with Run.open(path) as run, read_strictly(path):
        if kind == "png":
            target = to / f"{run.run_id}.png" if to.is_dir() else to
            figure = run.plot()
            _written(target, lambda file: figure.savefig(file, format="png", dpi=150), replace=replace)
            told(1.0)
            return [target]
        groups = list(dict.fromkeys(name.rpartition("/")[0] for name in run))
        targets = {group: _target(to, run, group, alone=len(groups) == 1) for group in groups}
        for k, (group, target) in enumerate(targets.items()):
            _written(target, lambda file, group=group, k=k: _csv(run, group, file, lambda share: told((k + share) / len(targets))), replace=replace)  # type: ignore[misc]
        return list(targets.values())


def _target(to: Path, run: Run, group: str, *, alone: bool) -> Path:
    if to.is_dir():
        return to / f"{run.run_id}-{group}.csv"
    return to if alone else to.with_name(f"{to.stem}-{group}.csv")


def _written(target: Path, write: Callable[[Path], object], *, replace: bool) -> None:
    """Write a file beside its place, then put it there."""
    if target.exists() and not replace:
        raise StorageError("the file is there already", where=str(target), remedy="Choose another name, or have it replaced.")
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        write(fresh)
        fresh.replace(target)
    except OSError as error:
        raise StorageError(f"the file cannot be written ({error.strerror or error})", where=str(target), remedy="Choose another folder.") from error
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def _csv(run: Run, group: str, file: Path, told: Told) -> None:
    """Write a group of arrays, head lines first, in pieces of bounded size."""
    import pandas as pd

    names = [name for name in run if name.rpartition("/")[0] == group]
    rows = run.shape(names[0])[0]
    heads = [f"run: {run.run_id}", f"procedure: {run.procedure}", f"provenance: {run.provenance.label}", *(f"because {one}" for one in run.provenance.reasons)]
    with file.open("w", newline="") as out:
        out.writelines(f"# {_one_line(head)}\n" for head in heads)
        for first in range(0, max(rows, 1), _ROWS):
            pd.DataFrame(_columns(run, names, first)).to_csv(out, index=False, header=first == 0)
            told(min(1.0, (first + _ROWS) / max(rows, 1)))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _columns(run: Run, names: list[str], first: int) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in names:
        values, unit, column = run.rows(name, first, first + _ROWS), run.units[name], name.rpartition("/")[2]
        label = f"{column} ({unit})" if unit not in ("", "1") else column
        columns |= {label: values} if values.ndim == 1 else {f"{label} {k + 1}": values[:, k] for k in range(values.shape[1])}
    return columns


def salvaged(path: Path) -> Path:
    """Copy what is whole of a run that was killed into an ordinary run file beside it; return its path. Raises RunFileError, StorageError."""
    with read_strictly(path):
        return salvage(path)
