"""Every event of a bench, kept by day as JSON lines: DIR/2026-11-20.demo-lab.jsonl, in UTC, with the name of the station, for others may use the same folder.

A later line with the same number stands in place of the earlier one.
It is a log for people: a full disk does not stop the bench, and a line that was torn by a crash is left out.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...core.errors import ParameterError
from ..topics import MOST_EVENTS, Event

FOLDER = "journal"
_DAYS_READ = 3
_LONGEST_NAME = 60
_END_OF_TIME_S = 2.5e11
_END_OF_COUNTING = 1 << 53
_KINDS = {field.name: {"t": float, "number": int, "acknowledged": bool}.get(field.name, str) for field in fields(Event)}

log = logging.getLogger(__name__)


class Journal:
    """The events of one bench; for several threads.

    folder: made with the first event; without one nothing is written down.  station: its name.
    The latest ten thousand events are at hand, those of earlier days included.
    """

    def __init__(self, folder: Path | None, station: str = "") -> None:
        self.folder, self._station = folder, _file_safe(station)
        self._turn = threading.Lock()
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._failed = ""
        self._events.extend(self._earlier())
        self._last = max((event.number for event in self._events), default=0)

    def _earlier(self) -> list[Event]:
        """Return the events of the last days with any; files without a station's name are of an earlier version, and may be this one's."""
        paths = files(self.folder) if self.folder is not None else []
        days = sorted({day for day, _, _ in paths})[-_DAYS_READ:]
        ours = [path for day, station, path in paths if day in days and station in ("", self._station)]
        found = {event.number: event for path in ours for event in events_of(path)}
        return [found[number] for number in sorted(found)]

    def keep(self, event: Event) -> Event:
        """Number an event, write it down and return it."""
        with self._turn:
            self._last += 1
            event = replace(event, number=self._last)
            self._events.append(event)
            self._write(event)
        return event

    def since(self, number: int) -> tuple[Event, ...]:
        """Return the events after a number, as far back as they are at hand."""
        with self._turn:
            return tuple(event for event in self._events if event.number > number)

    def acknowledge(self, number: int) -> Event:
        """Note that somebody has seen an event; return it. Raises ParameterError for one that is not at hand."""
        return self._change(number, acknowledged=True)

    def amend(self, number: int, text: str) -> Event:
        """Say an event in another way, because more has come to light; return it. Raises ParameterError for one that is not at hand."""
        return self._change(number, text=text)

    def _change(self, number: int, **changes: Any) -> Event:
        with self._turn:
            for at, event in enumerate(self._events):
                if event.number == number:
                    changed = self._events[at] = replace(event, **changes)
                    if changed != event:
                        self._write(changed)
                    return changed
        raise ParameterError(f"there is no event {number}", where="journal", remedy="It may be older than what is kept at hand.")

    @property
    def failed(self) -> str:
        """Return why the last event could not be written; empty if it was."""
        return self._failed

    def _write(self, event: Event) -> None:
        if self.folder is None:
            return
        path = self.folder / ".".join(filter(None, (f"{datetime.fromtimestamp(event.t, UTC):%Y-%m-%d}", self._station, "jsonl")))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            line = json.dumps(asdict(event), sort_keys=True).encode() + b"\n"
            with path.open("ab+") as file:
                # What a crash has torn gets a line of its own.
                if file.tell() and not _ends_line(path):
                    line = b"\n" + line
                file.write(line)
            self._failed = ""
        except OSError as error:
            if not self._failed:
                log.error("%s: events cannot be written down (%s)", path, error.strerror)  # noqa: TRY400
            self._failed = error.strerror or str(error)


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def _file_safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:_LONGEST_NAME]


def files(folder: Path) -> list[tuple[str, str, Path]]:
    """Return the files of a journal in order, each with its day and with its station's name as that stands in the file's name."""
    found = []
    for path in folder.glob("*.jsonl"):
        day, _, rest = path.name.partition(".")
        found.append((day, rest.removesuffix("jsonl").rstrip("."), path))
    return sorted(found)


def events_of(path: Path) -> tuple[Event, ...]:
    """Return the events of one day in the order of their numbers, each as it was last written; lines that are no event are left out."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        log.warning("%s: the journal cannot be read (%s)", path, error.strerror)
        return ()
    found = {event.number: event for event in _parsed(lines)}
    return tuple(found[number] for number in sorted(found))


def _parsed(lines: list[bytes]) -> Iterator[Event]:
    for line in lines:
        try:
            told = json.loads(line)
            event = Event(**{name: kind(told[name]) for name, kind in _KINDS.items()})
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
        # No calendar has a day for any other time, and no owner counts so far.
        if 0.0 <= event.t < _END_OF_TIME_S and 0 <= event.number < _END_OF_COUNTING:
            yield event
