"""What a protocol sees of a quantum processor, whichever it is: back-ends, jobs, and what goes in and comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit

    from .samples import Samples


class JobStatus(StrEnum):
    """Where a job stands. The last three are final and never change."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Return whether nothing more will happen."""
        return self in {JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a back-end can take; None is unknown or unlimited.

    max_executions: works times shots of one job.  dynamic: measurement in mid-circuit and `if_test` on single bits.  expr_conditions: XOR and NOT of bits as
    condition.  reset: qubits can be set to |0> again.  seedable: a seed gives the same samples again.  exact: `probabilities` is there.
    """

    max_qubits: int | None = None
    max_shots: int | None = None
    max_works: int | None = None
    max_executions: int | None = None
    dynamic: bool = False
    expr_conditions: bool = False
    reset: bool = False
    seedable: bool = False
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """One circuit with values for all its parameters, by name, in rad; a sweep is a list of works."""

    circuit: QuantumCircuit
    params: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, circuit: QuantumCircuit, params: Mapping[str, float] | None = None) -> Work:
        """Return the work of a circuit with a dictionary of parameters."""
        return cls(circuit, tuple((params or {}).items()))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job takes: tasks at the provider, shots over all works, money and time on the device; None where it cannot be known beforehand."""

    tasks: int
    shots: int
    usd: float | None = 0.0
    qpu_seconds: float | None = 0.0

    def as_dict(self) -> dict[str, float | None]:
        """Return the four numbers by name, as the ledger keeps them."""
        return {"tasks": self.tasks, "shots": self.shots, "usd": self.usd, "qpu_seconds": self.qpu_seconds}


class Job(Protocol):
    """What `submit` returns; its name is made before anything is sent."""

    @property
    def uuid(self) -> str:
        """Return our name of the job."""
        ...

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """Return the provider's names of its parts."""
        ...

    def status(self) -> JobStatus:
        """Return where the job stands; asks the provider unless the answer is final."""
        ...

    def result(self, timeout: float | None = None) -> list[Samples]:
        """Wait for the samples of every work, at most `timeout` seconds; they are recorded before they are returned."""
        ...

    def cancel(self) -> JobStatus:
        """Ask the provider to give the job up and return where it stands."""
        ...


class Backend(Protocol):
    """A quantum processor, simulated or not."""

    @property
    def name(self) -> str:
        """Return the configuration string."""
        ...

    @property
    def limits(self) -> Limits:
        """Return what it can take."""
        ...

    @property
    def simulated(self) -> bool:
        """Return whether samples come from a simulation."""
        ...

    @property
    def cloud(self) -> bool:
        """Return whether circuits leave this machine."""
        ...

    def cost(self, works: Sequence[Work], shots: int) -> Cost:
        """Return what `submit` of the same would take. Nothing is sent."""
        ...

    def submit(self, works: Sequence[Work], shots: int, *, seed: int | None = None, tags: Sequence[str] = ()) -> Job:
        """Send works, the same number of shots for each. When this returns, job and provider's ids are on disk."""
        ...

    def run(self, works: Sequence[Work], shots: int, *, seed: int | None = None, tags: Sequence[str] = (), timeout: float | None = None) -> list[Samples]:
        """Submit and wait for the samples."""
        ...

    def compiled(self, work: Work) -> QuantumCircuit:
        """Return the circuit as the device gets it."""
        ...

    def probabilities(self, work: Work) -> NDArray[np.float64]:
        """Return the exact law over the classical bits: float64 (2^c,), bit 0 most significant; only where `limits.exact`."""
        ...

    def resume(self, uuid: str) -> Job:
        """Return a job of this project again, after a time-out or in another process. Nothing is ever submitted again."""
        ...
