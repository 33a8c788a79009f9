"""The report of a day: what was run, which key was made and spent, what went wrong, what people noted. Markdown."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...core.errors import HeliographError, ParameterError
from ...core.ledger import records
from ...postprocess.keystore.ledger import read_ledgers
from ..owner.journal import FOLDER, events_of, files
from ..topics import Event, RunSummary
from .catalogue import local_day, summaries

_ALARMS = ("warning", "error")
_ROUND = re.compile(r" round (\d+)")


@dataclass(frozen=True, slots=True)
class Made:
    """A block of key that was made."""

    t: float
    pair: str
    block: int
    bits: int
    run: str


@dataclass(frozen=True, slots=True)
class Spent:
    """Key that a party handed out, for a purpose."""

    t: float
    pair: str
    party: str
    purpose: str
    bits: int


def report(runs: Path, store: Path, day: str = "") -> str:
    """Return the report of a day (YYYY-MM-DD, local; by default today) as Markdown.

    runs: folder of the run files, with the journal in it.  store: of the key stores; there may be none.  Raises ParameterError for what is no day.
    """
    today = checked_day(day)
    parts = [f"# {today}", "", f"Written {_clock(datetime.now(UTC).timestamp(), seconds=True)}; times are local. Runs in {runs.resolve()}.", ""]
    notes = [event for event in journal(runs) if local_day(event.t) == today]
    for head, lines in (
        ("Runs", lambda: _runs(summaries(runs, day=today) if runs.is_dir() else [])),
        ("Key made", lambda: _made(one for one in made(store) if local_day(one.t) == today)),
        ("Key spent", lambda: _spent(store, today)),
        ("In the stores now", lambda: _stores(store)),
        ("Alarms", lambda: _events(event for event in notes if event.severity in _ALARMS)),
        ("Notes", lambda: _events(event for event in notes if event.severity == "note")),
    ):
        parts += [f"## {head}", "", *(_section(lines) or ["None."]), ""]
    return "\n".join(parts)


def _section(lines: Callable[[], list[str]]) -> list[str]:
    """Return what is told, or why it cannot be: the rest of the day is told nevertheless."""
    try:
        return lines()
    except (HeliographError, OSError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        return [f"This cannot be told: {_cell(str(error) or type(error).__name__)}"]


def has_stores(store: Path) -> bool:
    """Say whether there are key stores in a folder; such as cannot be read count."""
    try:
        return store.is_dir() and bool(read_ledgers(store))
    except HeliographError:
        return True


def simulated(runs: Path, store: Path, day: str = "") -> bool:
    """Say whether the report of a day tells of simulated data: of a run of that day, or in the stores. What cannot be read counts as simulated."""
    today = checked_day(day)
    try:
        books = read_ledgers(store) if store.is_dir() else []
    except HeliographError:
        return True
    return any(book.provenance != "real" for book in books) or (runs.is_dir() and any(one.simulated for one in summaries(runs, day=today)))


def checked_day(day: str) -> str:
    """Return a day as YYYY-MM-DD, today for an empty text. Raises ParameterError."""
    if not day:
        return local_day(datetime.now(UTC).timestamp())
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError as error:
        raise ParameterError(f"{day!r} is no day", where="day", remedy="Write it as 2026-09-30.") from error


# Where it comes from


def journal(runs: Path) -> list[Event]:
    """Return what the owners of benches kept in their journals beside the run files, as it stands now, the oldest first.

    Where several stations did, each event tells from which it is.
    """
    paths = files(runs / FOLDER)
    several = len({station for _, station, _ in paths}) > 1
    found = [replace(event, source=f"{station}: {event.source}") if several else event for _, station, path in paths for event in events_of(path)]
    return sorted(found, key=lambda event: event.t)


def made(store: Path) -> list[Made]:
    """Return the blocks that were made, once each, the oldest first."""
    blocks: dict[tuple[str, int], Made] = {}
    for path in sorted(store.glob("*/distillation.jsonl")):
        for one in records(path):
            if one["kind"] == "distilled":
                blocks.setdefault((one["pair"], one["block"]), Made(one["t_ns"] * 1e-9, one["pair"], one["block"], one["bits"], one["run_id"]))
    return sorted(blocks.values(), key=lambda block: block.t)


def spent(store: Path, unread: Callable[[str], object] = lambda _why: None) -> list[Spent]:
    """Return what every party handed out, the oldest first, from the records of the stores, in which nothing is changed.

    unread: told in words of each store that cannot be read, and what the list then lacks.
    """
    found: list[Spent] = []
    for path in sorted(store.glob("*/*-*.sqlite")):
        try:
            handed_out = [record for record in _audit(path) if record["ev"] == "consume"]
            found += [Spent(_time(one["t"] * 1e-3), path.stem, path.parent.name, str(one["purpose"]), int(one["bits"])) for one in handed_out]
        except (sqlite3.Error, LookupError, TypeError, ValueError, ArithmeticError, OSError) as error:
            unread(f"{path.parent.name}'s store of {path.stem} cannot be read ({error}): what it handed out is not in this table.")
    return sorted(found, key=lambda one: one.t)


def _time(t: float) -> float:
    local_day(t)
    return t


def _audit(path: Path) -> list[dict[str, Any]]:
    # A store without a log is open nowhere, and then reading it leaves no files behind.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?{mode}", uri=True, timeout=0.5)) as connection:
        return [json.loads(row[0]) for row in connection.execute("SELECT j FROM audit ORDER BY n")]


# How it reads


def _runs(found: list[RunSummary]) -> list[str]:
    rows = [
        (
            _clock(one.begun),
            one.procedure or "?",
            one.state + (f": {one.why}" if one.why else ""),
            "-" if one.seconds is None else f"{one.seconds:,.0f}",
            "-" if one.tags is None else f"{one.tags:,}",
            one.origin,
            one.purpose,
            one.run,
        )
        for one in found
    ]
    return _table(("begun", "procedure", "state", "s", "tags", "data", "purpose", "run"), rows)


def _made(blocks: Iterator[Made]) -> list[str]:
    made_today = list(blocks)
    rows = [(_clock(one.t), one.pair, f"{one.block}", f"{one.bits:,}", one.run) for one in made_today]
    sums = {pair: sum(one.bits for one in made_today if one.pair == pair) for pair in sorted({one.pair for one in made_today})}
    return [*_table(("time", "pair", "block", "bits", "run"), rows), *_sums(sums)]


def _spent(store: Path, today: str) -> list[str]:
    unread: list[str] = []
    debits = [one for one in spent(store, unread.append) if local_day(one.t) == today]
    table = _spent_table(debits)
    return [*unread, *(["", *(table or ["None in the others."])] if unread else table)]


def _spent_table(debits: Sequence[Spent]) -> list[str]:
    """Return what each pair spent, purpose by purpose: all rounds together, and once what both parties of a pair spent alike."""
    groups: dict[tuple[str, str], list[Spent]] = {}
    for one in debits:
        groups.setdefault((one.pair, _ROUND.sub(" rounds", one.purpose)), []).append(one)
    rows = []
    for (pair, _), ones in groups.items():
        by = {party: sum(one.bits for one in ones if one.party == party) for party in dict.fromkeys(one.party for one in ones)}
        alike = {", ".join(by): next(iter(by.values()))} if len(set(by.values())) == 1 else by
        rows += [(_clock(ones[-1].t), pair, who, _for(ones), f"{bits:,}") for who, bits in alike.items()]
    return [*_table(("last", "pair", "by", "for", "bits"), rows), *_sums(_by_pair(debits))]


def _for(ones: Sequence[Spent]) -> str:
    """Return one purpose for those that differ by the number of their round only."""
    numbers = sorted({int(found[1]) for one in ones if (found := _ROUND.search(one.purpose))})
    return ones[0].purpose if len(numbers) < 2 else _ROUND.sub(f" rounds {numbers[0]} to {numbers[-1]}", ones[0].purpose)


def _by_pair(debits: Sequence[Spent]) -> dict[str, int]:
    """Return the bits that each pair spent: both parties spend the same key."""
    by: dict[tuple[str, str], int] = {}
    for one in debits:
        by[one.pair, one.party] = by.get((one.pair, one.party), 0) + one.bits
    return {pair: max(bits for (name, _), bits in by.items() if name == pair) for pair in sorted({pair for pair, _ in by})}


def _sums(sums: dict[str, int]) -> list[str]:
    return ["", "Together: " + ", ".join(f"{pair} {bits:,} bits" for pair, bits in sums.items()) + "."] if sums else []


def _stores(store: Path) -> list[str]:
    try:
        books = read_ledgers(store) if store.is_dir() else []
    except HeliographError as error:
        return [f"The stores cannot be read: {error}"]
    rows = [(book.party, book.pair, f"{book.delivered:,}", f"{book.spendable:,}", f"{book.consumed:,}", f"{book.burned:,}", book.provenance) for book in books]
    return _table(("party", "pair", "delivered", "spendable", "spent", "burned", "provenance"), rows)


def _events(events: Iterator[Event]) -> list[str]:
    rows = [(_clock(event.t, seconds=True), event.severity, event.source, event.text, event.run) for event in events]
    return _table(("time", "kind", "from", "what", "run"), rows)


def _clock(t: float, *, seconds: bool = False) -> str:
    return datetime.fromtimestamp(t, UTC).astimezone().strftime("%H:%M:%S" if seconds else "%H:%M")


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    cells = [heads, tuple("---" for _ in heads), *rows]
    return ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in cells]


def _cell(text: str) -> str:
    """Return text that stays within its cell."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split()) or " "
