"""Runs as files for other programs: a CSV file for each group of arrays, or the figure as PNG."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from ...acquisition.runs import Run
from ...core.errors import FilesThere, ParameterError, StorageError
from ...core.files import beside
from .catalogue import Told
from .playback import read_strictly

Kind = Literal["csv", "png"]
KINDS: tuple[Kind, ...] = ("csv", "png")
_ROWS = 200_000
_STRANGE = re.compile(r"[^\w.-]", re.ASCII)


def checked_place(to: Path, kind: str, stores: Path) -> Path:
    """Return where something is to be written, if it may be there: at an absolute path, of the right ending unless it is a folder.

    kind: the ending without its point, so that no run, station or store is ever written over.  stores: folder of the key stores, in which nothing is written.
    Raises ParameterError, StorageError.
    """
    if not to.is_absolute():
        raise ParameterError("the path does not begin at the root", where=str(to), remedy="Name the whole path: the owner has another working folder.")
    if not to.is_dir() and to.suffix.lower() != f".{kind}":
        raise ParameterError(f"the name does not end in .{kind}", where=str(to), remedy="Give it this ending, or name a folder that is there.")
    if to.resolve().is_relative_to(stores.resolve()):
        raise StorageError("this is the folder of the key stores", where=str(to), remedy="Choose another folder.")
    return to


def export(path: Path, kind: Kind, to: Path, *, replace: bool = False, told: Told = lambda _share: None) -> list[Path]:
    """Write a run as CSV files, one a group of arrays, or its figure as PNG; return what was written. What is simulated says so.

    to: a folder, or the name of the file; where a run has several groups, theirs stands behind it.  replace: write over files that are there.
    Raises RunFileError, ParameterError for another kind, FilesThere before anything is written, StorageError for what cannot be written.
    """
    if kind not in KINDS:
        raise ParameterError(f"{kind!r} is neither csv nor png", where="export", remedy="Choose one of them.")
    with Run.open(path) as run, read_strictly(path):
        if kind == "png":
            target = to / f"{path.stem}.png" if to.is_dir() else to
            free([target], replace=replace)
            figure = run.plot()
            written(target, lambda file: figure.savefig(file, format="png", dpi=150))
            told(1.0)
            return [target]
        groups = list(dict.fromkeys(name.rpartition("/")[0] for name in run))
        targets = {group: _target(to, path, group, alone=len(groups) == 1) for group in groups}
        free(list(targets.values()), replace=replace)
        for k, (group, target) in enumerate(targets.items()):
            written(target, lambda file, group=group, k=k: _csv(run, group, file, lambda share: told((k + share) / len(targets))))  # type: ignore[misc]
        return list(targets.values())


def _target(to: Path, path: Path, group: str, *, alone: bool) -> Path:
    """Return the file of a group. What a run file calls itself is not asked: it may have come from anywhere."""
    plain = _STRANGE.sub("_", group)
    if to.is_dir():
        return to / f"{path.stem}-{plain}.csv"
    return to if alone else to.with_name(f"{to.stem}-{plain}.csv")


def free(targets: Sequence[Path], *, replace: bool) -> None:
    """Raise FilesThere where a file is in the way and may not be replaced, StorageError where something else is."""
    if len(set(targets)) < len(targets):
        raise StorageError("two groups of the run would have one file", where=", ".join(target.name for target in targets), remedy="Export it as PNG.")
    there = [target for target in targets if target.is_symlink() or target.exists()]
    if odd := [target for target in there if target.is_symlink() or not target.is_file()]:
        raise StorageError("what is there is no ordinary file", where=str(odd[0]), remedy="Choose another name.")
    if there and not replace:
        what = f"{', '.join(target.name for target in there)}: {'this file is' if len(there) == 1 else 'these files are'} there already"
        raise FilesThere(what, where=str(there[0].parent), remedy="Choose another name, or have them replaced.")


def written(target: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place, then put it there. Raises StorageError; what was there stays then."""
    try:
        with beside(target) as fresh:
            write(fresh)
    except OSError as error:
        raise StorageError(f"the file cannot be written ({error.strerror or error})", where=str(target), remedy="Choose another folder.") from error


def _csv(run: Run, group: str, file: Path, told: Told) -> None:
    """Write a group of arrays, head lines first, in pieces of bounded size."""
    import pandas as pd

    names = _declared(run, group)
    rows = run.shape(names[0])[0]
    heads = [f"run: {run.run_id}", f"procedure: {run.procedure}", f"provenance: {run.origin}", *(f"because {one}" for one in run.provenance.reasons)]
    heads += [f"foreign procedure: {run.start['foreign']}"] if "foreign" in run.start else []
    with file.open("w", newline="") as out:
        out.writelines(f"# {_one_line(head)}\n" for head in heads)
        for first in range(0, max(rows, 1), _ROWS):
            pd.DataFrame(_columns(run, names, first)).to_csv(out, index=False, header=first == 0)
            told(min(1.0, (first + _ROWS) / max(rows, 1)))


def _declared(run: Run, group: str) -> list[str]:
    """Return the arrays of a group, those of a table in the order in which they were declared: what was driven first."""
    names = [name for name in run if name.rpartition("/")[0] == group]
    order = list(run.layout.tables.get(group, ()))
    return sorted(names, key=lambda name: order.index(name.rpartition("/")[2]) if order else 0)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _columns(run: Run, names: list[str], first: int) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in names:
        values, unit, column = run.rows(name, first, first + _ROWS), run.units[name], name.rpartition("/")[2]
        label = f"{column} ({unit})" if unit not in ("", "1") else column
        columns |= {label: values} if values.ndim == 1 else {f"{label} {k + 1}": values[:, k] for k in range(values.shape[1])}
    return columns
