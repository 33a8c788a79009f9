"""What a `heliograph ... --json` command said that was run as a process: its result, or its error as what it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .errors import BenchError, HeliographError, kind_named

_SENTENCES = ("message", "where", "remedy")


def answer(said: str | bytes, *, where: str, remedy: str, complaints: str | bytes = "", code: int = 0, who: str = "the process") -> dict[str, Any]:
    """Return the object that a command printed. Raises the error that it told; BenchError where it printed no object, or ended with a code other than 0.

    said, complaints: its standard output and error, ended.  where, remedy: of an error that does not say it.  code: 0 where no code is wrong.
    """
    told = _object(said)
    if told is not None and isinstance(error := told.get("error"), Mapping):
        raise told_error(error, where=where)
    if told is None or code != 0:
        what = f"ended with code {code}" if code != 0 else "ended without a result that can be read"
        last = (complaints.decode(errors="replace") if isinstance(complaints, bytes) else complaints).strip().rpartition("\n")[2]
        raise BenchError(f"{who} {what}" + (f": {last}" if last else ""), where=where, remedy=remedy)
    return told


def _object(said: str | bytes) -> dict[str, Any] | None:
    """Return the object on the last line, None if there is none."""
    lines = said.strip().splitlines()
    try:
        told = json.loads(lines[-1]) if lines else None
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and isinstance(told.get("error"), Mapping | None) else None


def told_error(told: Mapping[str, Any], *, where: str = "") -> HeliographError:
    """Return the error of the tree that a command told by `type`, `message`, `where` and `remedy`.  where: if it does not say where."""
    kind = kind_named(str(told.get("type", "")))
    error = kind.__new__(kind)
    sentences = {name: str(told.get(name) or "") for name in _SENTENCES}
    HeliographError.__init__(error, sentences["message"], where=sentences["where"] or where, remedy=sentences["remedy"])
    return error
