"""Rows, how they are timed, and where their results go.

A row is a function under `@row(...)` in any module of `benchmarks/rows/`; it prepares its data, checks that both sides give the same answer, and returns a
`Race` or, where nothing is timed, `Figures`.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from time import process_time

ROUNDS = 9


@dataclass(frozen=True)
class Race:
    """Two ways to the same answer.

    ours, theirs: do the work once; `theirs` may instead be a rate in the row's unit that needs no measuring.
    work: what one call does, in the row's unit times seconds.
    """

    ours: Callable[[], object]
    theirs: Callable[[], object] | float
    work: float


@dataclass(frozen=True)
class Figures:
    """Two figures that are not times.  smaller_is_better: the ratio is then theirs over ours, so that a larger ratio is always better."""

    ours: float
    theirs: float
    smaller_is_better: bool = False


@dataclass(frozen=True)
class Result:
    """One row of results.json.  ratio: ours over the peer, larger is better.  peer_version: empty for a peer that is no package."""

    name: str
    peer: str
    peer_version: str
    ours: float
    theirs: float
    ratio: float
    unit: str


@dataclass(frozen=True)
class Row:
    """What `row` registered."""

    name: str
    peer: str
    unit: str
    package: str | None
    prepare: Callable[[], Race | Figures]


_ROWS: dict[str, Row] = {}


def row(name: str, *, peer: str, unit: str, package: str | None = None) -> Callable[[Callable[[], Race | Figures]], Callable[[], Race | Figures]]:
    """Register a row.  peer: its name in the results.  package: the distribution that `peer` comes from, if it is one."""

    def register(prepare: Callable[[], Race | Figures]) -> Callable[[], Race | Figures]:
        if name in _ROWS:
            raise ValueError(f"two rows are called {name}")
        _ROWS[name] = Row(name, peer, unit, package, prepare)
        return prepare

    return register


def names() -> list[str]:
    """Return the names of all rows."""
    rows = importlib.import_module(".rows", __package__)
    for module in pkgutil.iter_modules(rows.__path__, f"{rows.__name__}."):
        importlib.import_module(module.name)
    return sorted(_ROWS)


class PeerMissing(Exception):
    """The peer of a row is not installed; the text says how to get it."""


def run(name: str) -> Result:
    """Run one row. Raises PeerMissing."""
    entry = _ROWS[name]
    try:
        version = metadata.version(entry.package) if entry.package else ""
    except metadata.PackageNotFoundError as error:
        raise PeerMissing(f"{name}: {entry.package} is not installed; `make bench` installs it, or: pip install -c constraints.txt -e '.[bench]'") from error
    prepared = entry.prepare()
    figures = prepared if isinstance(prepared, Figures) else Figures(*rates(prepared))
    ratio = figures.theirs / figures.ours if figures.smaller_is_better else figures.ours / figures.theirs
    return Result(name, entry.peer, version, figures.ours, figures.theirs, ratio, entry.unit)


def rates(race: Race, *, rounds: int = ROUNDS, clock: Callable[[], float] = process_time) -> tuple[float, float]:
    """Return ours and theirs in work a second: medians of interleaved rounds, after one that does not count."""
    sides = [side for side in (race.ours, race.theirs) if callable(side)]
    taken: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds + 1):
        for side, times in zip(sides, taken, strict=True):
            begin = clock()
            side()
            if turn:
                times.append(clock() - begin)
    found = [race.work / median(times) for times in taken]
    return found[0], found[1] if callable(race.theirs) else race.theirs


def save(path: Path, result: Result) -> None:
    """Put a result into a JSON list sorted by name; the other rows keep what the file says."""
    known = {entry["name"]: entry for entry in json.loads(path.read_text())} if path.exists() else {}
    known[result.name] = asdict(result)
    path.write_text(json.dumps([known[name] for name in sorted(known)], indent=2) + "\n")
