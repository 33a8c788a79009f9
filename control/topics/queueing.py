"""What is told of the queue, and the forms in which one asks for more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .workers import BY_ROUNDS


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One run or task.  lane: `bench` one at a time on the instruments; `worker` processes beside them.  state: of runner 4.4, lower case.

    parameters: as text, with which it can be repeated.  eta_s: until its end, None where unknown.  began, ended: 0 for not yet.  who: process that wants it.
    progress: 0 to 1.  operator: who stands in its run file.  seed: that it was asked for with, None where it is drawn.
    """

    job: int
    lane: Literal["bench", "worker"]
    procedure: str
    parameters: dict[str, str]
    state: Literal["queued", "starting", "running", "suspended", "paused", "stopping", "done", "aborted", "failed"]
    progress: float = 0.0
    eta_s: float | None = None
    began: float = 0.0
    ended: float = 0.0
    path: str | None = None
    why: str = ""
    who: int = 0
    purpose: str = ""
    operator: str = ""
    seed: int | None = None

    @property
    def on(self) -> bool:
        """Say whether it has begun and not ended."""
        return not (self.over or self.state == "queued")

    @property
    def over(self) -> bool:
        """Say whether nothing more will come of it."""
        return self.state in ("done", "aborted", "failed")

    @property
    def measures(self) -> bool:
        """Say whether it is at its work, so that it can be paused and stopped early."""
        return self.state in ("running", "suspended", "paused")

    @property
    def can_stand_still(self) -> bool:
        """Say whether it is of a kind that can be paused, and stopped early: a run on the bench, or a task that goes by rounds."""
        return self.lane == "bench" or self.procedure in BY_ROUNDS


@dataclass(frozen=True, slots=True)
class QueueState:
    """Runs in order: ended lately, on, waiting.  held: nothing more is begun, and why.  go_on_after_failure: policy.  eta_s: until the queue is empty."""

    rows: tuple[QueueRow, ...]
    held: str = ""
    go_on_after_failure: bool = False
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class ParameterForm:
    """One parameter of a procedure, as a form asks for it.  kind: what is typed.  default: as text.  labels: names of the choices, if not they themselves."""

    name: str
    label: str
    kind: Literal["float", "integer", "boolean", "choice", "text"]
    unit: str
    default: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcedureForm:
    """What can be put into the queue.  duration_s: estimate with the default parameters, None where unknown.

    needs_armed: it is begun on an armed bench only, or where `needs_armed_if` names a boolean parameter, if that is true.
    foreign: where it comes from, such as `package acme 0.1`; empty for what comes with Heliograph.
    """

    name: str
    title: str
    text: str
    lane: Literal["bench", "worker"]
    parameters: tuple[ParameterForm, ...]
    duration_s: float | None = None
    needs_armed: bool = False
    needs_armed_if: str = ""
    foreign: str = ""
