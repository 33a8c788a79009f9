"""What workers tell: learning, and jobs on quantum processors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BY_ROUNDS = frozenset({"Learn"})
"""Tasks that go by rounds: they can be paused, and stopped early, after one."""


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """One client of a learning run.  loss, accuracy: of its last round on its own data, NaN where unknown.  train: samples."""

    name: str
    present: bool
    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    samples: int = 0


@dataclass(frozen=True, slots=True)
class LearningProgress:
    """A learning run.

    loss, accuracy: of the shared model, float64 (rounds,).  key_bits: by pair, int64 (rounds,).  rounds_left: that the stores still pay for.
    """

    task: str
    state: Literal["starting", "running", "paused", "done", "failed", "aborted"]
    round: int
    rounds: int
    clients: tuple[ClientFigures, ...]
    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    key_bits: dict[str, NDArray[np.int64]]
    rounds_left: int | None = None
    unmasked_equal: bool | None = None
    simulated: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class QpuJobState:
    """One job on a quantum processor.  position: in its queue, None where unknown.  cost: so far, in `currency`."""

    job: str
    backend: str
    state: str
    shots: int
    cost: float
    currency: str = "USD"
    position: int | None = None
    submitted: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class QpuLimit:
    """One limit of a project's budget.  name: as its settings have it.  spent: or reserved, in `unit`.  cap: None where nothing is said, which is 0."""

    name: str
    unit: str
    spent: float
    cap: float | None


@dataclass(frozen=True, slots=True)
class QpuJobs:
    """Jobs of a project.  cap: of its budget in `currency`, None without one.  limits: all of the budget, that one included."""

    project: str
    jobs: tuple[QpuJobState, ...]
    spent: float
    cap: float | None
    currency: str = "USD"
    limits: tuple[QpuLimit, ...] = ()
