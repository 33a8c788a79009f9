"""Words that several topics use, and the line for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scalar = float | str | bool | None
Source = Literal["live", "replay"]
Mode = Literal["SIMULATED", "HARDWARE", "MIXED"]


@dataclass(frozen=True, slots=True)
class Event:
    """One line for people.  run: id of the run it belongs to.  number: counts up in the owner's journal."""

    t: float
    severity: Literal["info", "warning", "error", "note"]
    source: str
    text: str
    run: str = ""
    number: int = 0
    acknowledged: bool = False
