"""What a window is told of run files: lists, details, replay."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .common import Event, Scalar


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run file in a list.

    state: `done`, `aborted`, `failed`, `crash`, `unfinished` (being written, or its writer was killed), or `damaged`.  begun: 0 where unknown.
    why: of one that failed, is damaged, or is held by its writer so that it cannot be read now.
    procedure: empty where the file could not be read; then nobody knows where its data come from either.
    seconds: from its first line to its last, tags, gaps: recorded; None for an unfinished one, in which nobody has counted, seconds
    of an imported one too.  numbers: what the procedure found.  imported: from a file of another program; it counts as simulated as well, for it is not known
    to be real.
    """

    run: str
    path: str
    procedure: str
    begun: float
    state: str
    simulated: bool
    seconds: float | None = None
    tags: int | None = None
    gaps: int | None = None
    operator: str = ""
    purpose: str = ""
    station: str = ""
    numbers: dict[str, Scalar] = field(default_factory=dict)
    why: str = ""
    imported: bool = False

    @property
    def origin(self) -> str:
        """Return in a word where the data come from: `real`, `simulated` or `imported`; `unknown` of a file that could not be read."""
        if not self.procedure:
            return "unknown"
        return "imported" if self.imported else "simulated" if self.simulated else "real"


@dataclass(frozen=True, slots=True)
class RunDetails:
    """Everything about one run but its arrays.

    parameters: as text.  provenance: `real`, `simulated` or `imported`, with reasons.  arrays: (name, unit, shape) of each.  calibrations: in use, with when
    they were taken.  environment: versions.  finals: last state of every topic that the run can be replayed as.
    """

    summary: RunSummary
    parameters: dict[str, str]
    provenance: str
    station_sha256: str
    seed: int | None
    events: tuple[Event, ...]
    arrays: tuple[tuple[str, str, str], ...]
    calibrations: dict[str, str]
    environment: dict[str, str]
    finals: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplayState:
    """A run file that is replayed.  t_s, duration_s: time in the run.  over: its end is reached.  why: it cannot go on."""

    path: str
    run: str
    t_s: float
    duration_s: float
    speed: float
    paused: bool
    over: bool = False
    why: str = ""
