"""Changing a cap of a project's budget: by one command, with a reason, on record, and never below what is spent or reserved.

`qpu.toml` says what the cap is, so whoever reads the project sees it; the ledger says who changed it, from what, to what, and why. Both happen while the ledger
is held, as a job is booked: no job slips in between.
"""

from __future__ import annotations

import os
import re
import tomllib
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ...core.errors import QpuConfigError, StorageError
from ...core.files import sync_folder
from ...core.ledger import Ledger, records
from .budget import Spent, spent
from .ledger import note
from .projects import Project
from .records import store
from .settings import FILE, load_settings

UNITS: Final = {"usd": "USD", "qpu_seconds": "s", "shots": "shots", "jobs": "jobs"}
"""Units of the caps, by their names in `qpu.toml` without `max_`."""
SETTINGS: Final = FILE
"""File of a project in which the caps are."""
WHOLE: Final = frozenset({"shots", "jobs"})
LARGEST: Final = 2**53
"""Largest cap: up to it every whole number is one of its own in a ledger."""
EVENT: Final = "cap"
UNDONE: Final = "cap_undone"
"""Says that the change before it did not come about."""


@dataclass(frozen=True, slots=True)
class Cap:
    """One cap.  spent: by cloud jobs so far, what is reserved for them included.  most: None where nothing is said, which counts as 0."""

    limit: str
    unit: str
    spent: float
    most: float | None


@dataclass(frozen=True, slots=True)
class CapChange:
    """A change as the ledger has it.  old: 0 where nothing was said.  t_ns: when."""

    limit: str
    old: float
    new: float
    spent: float
    who: str
    why: str
    t_ns: int = 0


def caps(project: Project) -> tuple[Cap, ...]:
    """Return the caps as they are now, and what is spent. Raises QpuConfigError or LedgerCorrupt where that cannot be read."""
    used, budget = spent(project.ledger.jobs().values()), load_settings(project.folder).budget
    return tuple(Cap(limit, unit, float(getattr(used, limit)), getattr(budget, f"max_{limit}")) for limit, unit in UNITS.items())


def changes(project: Project) -> tuple[CapChange, ...]:
    """Return every change that was ever made, the oldest first; one that did not come about is left out."""
    path, rows = project.ledger.path, list[dict[str, Any]]()
    for row in records(path) if path.exists() else ():
        if row["kind"] == f"qpu_{EVENT}":
            rows.append(row)
        elif row["kind"] == f"qpu_{UNDONE}" and rows:
            rows.pop()
    return tuple(CapChange(**{name: row[name] for name in CapChange.__slots__}) for row in rows)


def change_cap(project: Project, limit: str, most: float, *, who: str, why: str, was: float | None = None) -> CapChange:
    """Change a cap, and return the change; a job that is being booked is waited for, and the next one sees the new cap.

    limit: one of UNITS.  most: the new cap, in its unit.  was: what the cap is believed to be, 0 for none; another one is left alone.
    Raises QpuConfigError for what cannot be, for less than is spent or reserved, and where settings or ledger cannot be read; nothing is changed then.
    """
    where = f"{project.folder / FILE}, budget.max_{limit}"
    _check(limit, most, why, where)
    with project.ledger.held() as book:
        used: Spent = spent(project.ledger.jobs().values())
        old = float(getattr(load_settings(project.folder).budget, f"max_{limit}") or 0)
        change = CapChange(limit, old, float(most), float(getattr(used, limit)), who, why.strip(), project.ledger.clock_ns())
        _compare(change, was, where)
        # Where the name is a link, the file that it leads to is the one to be changed.
        path = (project.folder / FILE).resolve()
        fresh = path.with_name(f".{FILE}.new")
        # Written first, for the disk may be full; it counts once the ledger knows of it.
        store(fresh, with_cap(_text(project), limit, most, where))
        note(book, EVENT, **{name: value for name, value in asdict(change).items() if name != "t_ns"})
        _put_in_place(fresh, path, book, change, where)
    return change


def _put_in_place(fresh: Path, path: Path, book: Ledger, change: CapChange, where: str) -> None:
    """Let the fresh settings take the place of those that were, as readable as they were. Raises StorageError."""
    try:
        _as_readable(fresh, path)
        fresh.replace(path)
    except OSError as error:
        failure = StorageError(f"the settings cannot be written ({error.strerror})", where=where, remedy="The cap is as it was. Ask again.")
        fresh.unlink(missing_ok=True)
        try:
            note(book, UNDONE, limit=change.limit, old=change.old, new=change.new)
        except StorageError as second:
            failure.add_note(f"The ledger says that it was changed, for: {second}")
        raise failure from error
    try:
        sync_folder(path.parent)
    except OSError as error:
        remedy = f"The cap is {change.new:,.12g} {UNITS[change.limit]} now, but may be the former one after a power failure: look then."
        raise StorageError(f"the folder cannot be synced ({error.strerror})", where=where, remedy=remedy) from error


def _as_readable(fresh: Path, path: Path) -> None:
    with suppress(FileNotFoundError):
        was = path.stat()
        if was.st_gid != fresh.stat().st_gid:
            # Only members of the group can keep it; for others the file is as readable as it may be without.
            with suppress(PermissionError):
                os.chown(fresh, -1, was.st_gid)
        fresh.chmod(was.st_mode & 0o777)


def _check(limit: str, most: float, why: str, where: str) -> None:
    if limit not in UNITS:
        raise QpuConfigError(f"there is no cap of {limit!r}", where=where, remedy=f"There are {', '.join(UNITS)}.")
    if not 0 <= most <= LARGEST or (limit in WHOLE and most != int(most)):
        kind = "a whole number" if limit in WHOLE else "a number"
        raise QpuConfigError(f"{most!r} {UNITS[limit]} is no cap", where=where, remedy=f"Give {kind} from 0 to {LARGEST:,}.")
    if not why.strip():
        raise QpuConfigError("there is no reason", where=where, remedy="Say why the cap is changed: it is kept in the ledger.")


def _compare(change: CapChange, was: float | None, where: str) -> None:
    unit = UNITS[change.limit]
    if was is not None and was != change.old:
        message = f"the cap is {change.old:,.12g} {unit} now, not {was:,.12g} {unit}"
        raise QpuConfigError(message, where=where, remedy="It was left alone. Look who changed it: heliograph qpu cap.")
    # A sum of prices may be off by its last bit.
    if change.new < change.spent * (1 - 1e-12):
        message = f"{change.spent:,.12g} {unit} are spent or reserved already, so the cap cannot be {change.new:,.12g} {unit}"
        raise QpuConfigError(message, where=where, remedy="It was left alone. Give at least that; what runs can be cancelled: heliograph qpu resume --cancel.")
    if change.new == change.old:
        raise QpuConfigError(f"the cap is {change.old:,.12g} {unit} already", where=where, remedy="Nothing was changed.")


def _text(project: Project) -> str:
    """Return the settings file as it is, which can be read: that was tried before."""
    path = project.folder / FILE
    return path.read_bytes().decode() if path.exists() else ""


def with_cap(text: str, limit: str, most: float, where: str = "") -> str:
    """Return a settings file with another cap, everything else as it was, comments included. Raises QpuConfigError for one that is written in a rare way."""
    if "\r\n" in text and text.count("\r\n") == text.count("\n"):
        return with_cap(text.replace("\r\n", "\n"), limit, most, where).replace("\n", "\r\n")
    key, value = f"max_{limit}", repr(int(most) if limit in WHOLE else float(most))
    wanted: dict[str, Any] = deepcopy(tomllib.loads(text))
    wanted["budget"] = {**wanted.get("budget", {}), key: tomllib.loads(f"x = {value}")["x"]}
    for written in _written(text, key, value):
        try:
            found = tomllib.loads(written)
        except tomllib.TOMLDecodeError:
            continue
        if found == wanted:
            return written
    raise QpuConfigError("the settings are written in a way that is left to people", where=where, remedy="Change it there by hand.")


def _written(text: str, key: str, value: str) -> list[str]:
    """Return ways to write the cap, of which at most one is right: in place, below the table's head, beside its other dotted keys, in a table of its own."""
    value_of = rf"^([ \t]*(?:budget[ \t]*\.[ \t]*)?{key}[ \t]*=[ \t]*)[^#\n]*?([ \t]*(?:#.*)?)$"
    inside = re.sub(value_of, rf"\g<1>{value}\g<2>", text, flags=re.MULTILINE)
    below = re.sub(r"^([ \t]*\[[ \t]*budget[ \t]*\].*)$", rf"\g<1>\n{key} = {value}", text, count=1, flags=re.MULTILINE)
    beside = re.sub(r"^([ \t]*budget[ \t]*\..*)$", rf"\g<1>\nbudget.{key} = {value}", text, count=1, flags=re.MULTILINE)
    end = "" if not text or text.endswith("\n") else "\n"
    return [inside, below, beside, f"{text}{end}{chr(10) if text else ''}[budget]\n{key} = {value}\n"]
