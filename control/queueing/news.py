"""What the journal is told of everything in the queue: when it began, when it stood still, and how it ended."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from ...core.errors import RunFileError
from ..owner.publishing import Topics
from .jobs import Entry, Job, RunState

_RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_LOUD: dict[RunState, Literal["warning", "error"]] = {RunState.FAILED: "error", RunState.ABORTED: "warning"}


def run_of(path: Path) -> str:
    """Return the id of the run that a run file is of, as its name tells; empty for a name that somebody has given it."""
    found = _RUN.match(path.name)
    return found[0] if found is not None else ""


def _gaps_of(entry: Entry) -> str:
    """Return in words in how many times nothing could be recorded, by the file of a run; empty where there were none."""
    if not isinstance(entry, Job) or not entry.state.over or entry.path is None:
        return ""
    from ...acquisition.runs import documents

    try:
        stop = documents(entry.path)[1]
    except RunFileError:
        return ""
    gaps = sum(stop.get("gaps", {}).values()) if stop else 0
    return f", {gaps} {'gap' if gaps == 1 else 'gaps'} in its tags" if gaps else ""


def tell_begin(topics: Topics, entry: Entry, *, again: bool = False) -> None:
    """Tell that an entry is begun.  again: it had begun before, and goes on."""
    topics.event("info", "queue", f"{entry.name} {entry.number} {'goes on' if again else 'began'}", run=entry.run_id)


def tell_state(topics: Topics, entry: Entry) -> None:
    """Tell the state that an entry has come to: its end, or a pause; and why, where something is to be said of that."""
    text = f"{entry.name} {entry.number} {entry.state}{_gaps_of(entry)}"
    topics.event(_LOUD.get(entry.state, "info"), "queue", f"{text}: {entry.why}" if entry.why else text, run=entry.run_id)
