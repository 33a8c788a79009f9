"""Runs out of CSV files that PyMeasure wrote: each becomes one ordinary run file, which says where it comes from."""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...acquisition.procedures.emitted import Emitted
from ...acquisition.run_writer import RunWriter
from ...acquisition.runs import documents
from ...core.errors import ConfigError, DataError, HeliographError, ParameterError, RunFileError, StorageError
from ...core.files import sync_folder
from .playback import read_strictly
from .pymeasure_csv import PyMeasureCsv, opened, printable, reading

if TYPE_CHECKING:
    from pymeasure.experiment import Procedure

Told = Callable[[float], None]
"""Hears how much of something is done, 0 to 1."""
_TIMES = frozenset({"starttime", "startedat", "started", "begun", "timestamp", "datetime", "dateandtime"})
"""Names under which procedures keep when they began, without spaces and in small letters."""
_LATEST = 4e9
_ASIDE, _LOCK = ".import-", "import.lock"
_LONGEST_LIST = 64


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """One CSV file and the run file that holds it.

    run: path of the run file.  new: whether it was made now; False where the file had been imported before.  rows: written now, None if it is not new.
    begun: Unix time (s), and begun_from: where that is known from.  notes: what was left out or kept in another form, in words.
    """

    file: str
    sha256: str
    run: str
    new: bool
    procedure: str
    begun: float
    begun_from: str
    rows: int | None = None
    notes: tuple[str, ...] = ()


def procedure_class(name: str) -> type[Procedure]:
    """Import a class of procedures that a person named as `module:Class`. Raises ParameterError for another name, ConfigError for one that is not there."""
    from pymeasure.experiment import Procedure

    module, colon, attribute = name.partition(":")
    if not (colon and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ParameterError(f"{name!r} names no class", where="--procedure", remedy="Write MODULE:CLASS, such as my_sweeps:RandomNumbers.")
    try:
        found = getattr(import_module(module), attribute)
    # Whatever a foreign module does while it is imported, this is its fault and has its name.
    except (Exception, SystemExit) as error:
        why, cure = _not_loaded(error, module, attribute)
        what = f"{name} cannot be loaded: {why} ({type(error).__name__}: {error})"
        raise ConfigError(what, where="--procedure", remedy=f"{cure}; or leave the option out: then parameters are kept as text.") from error
    if not (isinstance(found, type) and issubclass(found, Procedure)):
        raise ConfigError(f"{name} is no class of procedures", where="--procedure", remedy="Name a class derived from PyMeasure's Procedure.")
    return found


def _not_loaded(error: BaseException, module: str, attribute: str) -> tuple[str, str]:
    """Return why a class cannot be loaded, and what to do."""
    if isinstance(error, SystemExit):
        return "its module ends the program", "Let the module begin nothing but under `if __name__ == '__main__':`"
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return "there is no such module", "Install its package, or add its folder to PYTHONPATH, such as `PYTHONPATH=.`"
    if isinstance(error, AttributeError) and error.name == attribute and getattr(error.obj, "__name__", "") == module:
        return "its module has no such class", "Check the name"
    return "its code failed", "Correct its module, or install what it needs"


def check_folder(folder: Path) -> None:
    """Raise StorageError for a folder of run files that cannot be made, as a file is in its place."""
    for one in (folder, *folder.parents):
        if os.path.lexists(one) and not one.is_dir():
            raise StorageError("this is a file, no folder", where=str(one), remedy="Nothing was imported: choose another folder for the run files.")


def import_csv(file: Path, folder: Path, kind: type[Procedure] | None = None, *, told: Told = lambda _share: None) -> ImportedRun:
    """Make a run file in a folder out of a CSV file that PyMeasure wrote; a file that is there as a run already is left alone.

    kind: its procedure, by whose parameters those of the file are read as numbers; without one they are kept as text. The class that the file names is never
    imported.
    Raises DataError for what cannot be read, StorageError for what cannot be written; nothing is left behind then.
    """
    check_folder(folder)
    sha256 = _hash(file)
    there = _imported_before(file, sha256, folder)
    if there is not None:
        return there
    with PyMeasureCsv(file) as source:
        begun, begun_from, unusable = _begun(source)
        about = {"file": printable(file.name), "sha256": sha256, "procedure": source.head.procedure, "begun_from": begun_from}
        about |= {"read_as": f"{kind.__module__}:{kind.__qualname__}"} if kind is not None else {}
        parameters, notes = _typed(source.head.parameters, kind)
        notes += unusable
        name, table = f"{source.head.name} (CSV)", _table(source)
        with _aside(folder) as aside:
            foreign = f"{source.head.procedure}, as the file says"
            with RunWriter.create_imported(aside, name, parameters, about, begun_ns=int(begun * 1e9), layout=table.layout(), foreign=foreign) as writer:
                rows = _fill(writer, source, table, notes, told)
            target = _put(writer.path, folder)
    return ImportedRun(str(file), sha256, str(target), new=True, procedure=name, begun=begun, begun_from=begun_from, rows=rows, notes=tuple(notes))


def _hash(file: Path) -> str:
    with opened(file) as source, reading(file):
        return hashlib.file_digest(source, "sha256").hexdigest()


def _imported_before(file: Path, sha256: str, folder: Path) -> ImportedRun | None:
    """Return the run that a CSV file is there as: the name of its file ends in the beginning of the hash."""
    for path in sorted(folder.glob(f"*-{sha256[:6]}-p0.h5")):
        with suppress(RunFileError), read_strictly(path):
            start = documents(path)[0]
            if "imported" in start and start["imported"]["sha256"] == sha256:
                begun = datetime.fromisoformat(start["time"]).timestamp()
                return ImportedRun(str(file), sha256, str(path), False, str(start["procedure"]), begun, str(start["imported"]["begun_from"]))
    return None


def _table(source: PyMeasureCsv) -> Emitted:
    try:
        table = Emitted(source.head.name, source.head.columns)
        table.layout()
    except HeliographError as error:
        raise DataError(error.message, where=f"{source.path}, line {source.head.line}", remedy="Rename them in a copy of the file.") from error
    return table


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """Give a folder in which to write a run file that gets its name once it is whole; whatever is left in it goes. Raises StorageError."""
    undone = "Nothing of this file was imported. Free space, or choose another folder."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        with tempfile.TemporaryDirectory(prefix=_ASIDE, dir=folder) as aside, (Path(aside) / _LOCK).open("w+b") as lock:
            # Where a disk knows no locks, nobody takes it for stale.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield Path(aside)
    except StorageError as error:
        raise StorageError(error.message, where=str(folder), remedy=undone) from error
    except OSError as error:
        raise StorageError(f"the folder cannot be written ({error.strerror})", where=str(folder), remedy=undone) from error


def _remove_stale(folder: Path) -> None:
    """Remove what imports left that were killed: a lock in it is held as long as its process lives."""
    for aside in folder.glob(f"{_ASIDE}*"):
        with suppress(OSError), (aside / _LOCK).open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(aside)


def _fill(writer: RunWriter, source: PyMeasureCsv, table: Emitted, notes: list[str], told: Told) -> int:
    """Write all rows, and what is to be said of them; return how many there are."""
    rows, names = 0, [name for name, _ in table.columns.values()]
    for values in source.rows():
        writer.table(table.table, dict(zip(names, values.T, strict=True)))
        rows += len(values)
        told(min(1.0, source.bytes_read / max(source.size, 1)))
    if source.sha256 != writer.opening.start["imported"]["sha256"]:
        raise DataError("the file changed while it was read", where=str(source.path), remedy="Import it once its procedure has ended.")
    if source.cut_off:
        notes.append("the last line has no end and is left out: its last number may lack digits")
    if source.comments:
        notes.append(f"{source.comments} comments between the rows are left out")
    writer.event("info", "import", f"when it began: {writer.opening.start['imported']['begun_from']}")
    for note in notes:
        writer.event("warning", "import", note)
    if source.head.metadata:
        writer.summary["metadata"] = source.head.metadata
    return rows


def _put(made: Path, folder: Path) -> Path:
    """Give a whole run file its place, unless another one has it."""
    target = folder / made.name
    if target.exists():
        raise StorageError(f"there is another run file called {made.name}")
    made.rename(target)
    sync_folder(folder)
    return target


# What the head says


def _begun(source: PyMeasureCsv) -> tuple[float, str, list[str]]:
    """Return when the run began (Unix seconds), where that is known from, and what is to be said of entries that should have told it."""
    told = {name: text for name, text in (source.head.metadata | source.head.parameters).items() if re.sub(r"[\W_]", "", name).lower() in _TIMES}
    for name, text in told.items():
        found = _time(text)
        if found is not None:
            return found, f"told by {name!r:.60} in the file", []
    if not 0.0 <= source.changed < _LATEST:
        what = "the file tells no possible time at which it began, and was changed at an impossible one"
        raise DataError(what, where=str(source.path), remedy="Set its time with `touch`.")
    notes = [f"{name!r:.60} says {text!r:.60}, which is no possible date and time: that of the last change of the file was used" for name, text in told.items()]
    return source.changed, f"the file was last changed then; it tells no {'possible ' if told else ''}time itself", notes


def _time(text: str) -> float | None:
    """Return a date with its time of day, or Unix seconds, as Unix seconds; local time where it names no zone. None for anything else."""
    with suppress(ValueError, OverflowError, OSError):
        found = datetime.fromisoformat(text.strip()).timestamp() if ":" in text else float(text)
        if 1e6 < found < _LATEST:
            return found
    return None


def _typed(texts: Mapping[str, str], kind: type[Procedure] | None) -> tuple[dict[str, Any], list[str]]:
    """Return parameters by name, those that the class knows as values, their units in the name; and what is to be said of the others."""
    from pymeasure.experiment import Parameter

    # The class is not called: a constructor may open instruments.
    declared = {one.name: deepcopy(one) for _, one in inspect.getmembers_static(kind) if isinstance(one, Parameter)} if kind is not None else {}
    found: dict[str, Any] = {}
    kept = list[str]()
    for name, text in texts.items():
        value = _value(declared[name], text) if name in declared else None
        if value is None:
            found[name] = text
            kept.append(name)
        else:
            units = getattr(declared[name], "units", None)
            found[f"{name} ({units})" if units else name] = value
    return found, [f"the procedure that was named does not read {name!r}: kept as text" for name in kept] if kind is not None else []


def _value(parameter: Any, text: str) -> Any:
    """Return what a parameter of PyMeasure makes of a text; None where it takes none, or no run file would."""
    try:
        parameter.value = text
        value = parameter.value
    # PyMeasure does not read back all that it writes, and stumbles in many ways.
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError):
        return None
    numbers = isinstance(value, list) and len(value) <= _LONGEST_LIST and all(map(_is_number, value))
    return value if numbers or isinstance(value, str) or _is_number(value) else None


def _is_number(value: Any) -> bool:
    """Say whether JSON has this number, as it has none that is infinite."""
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
