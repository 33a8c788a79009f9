"""`ibm:<device>` and `fake:<device>`: IBM's devices through its Runtime, and its fake ones, by one path.

What differs is where a job lives: a fake's ends with the process, so its samples are recorded at once; a device's is found again by its name or our tag.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.credentials import Secrets
from ...core.errors import QpuConfigError, QpuError
from .bit_order import from_bit_array
from .circuits import ReadWork
from .engine import Bits, Plan, ProviderBackend
from .fakes import compiled_for, fake_device
from .interface import Cost, JobStatus, Limits
from .projects import JobFile, Part
from .retries import Patience, retried
from .vendors import vendor, vendor_errors

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

EXECUTIONS = 10_000_000
"""Works times shots of one job, by IBM's job limits."""
LONGEST_S = 10_800
_STATES = {
    "INITIALIZING": JobStatus.QUEUED,
    "QUEUED": JobStatus.QUEUED,
    "RUNNING": JobStatus.RUNNING,
    "DONE": JobStatus.DONE,
    "ERROR": JobStatus.FAILED,
    "CANCELLED": JobStatus.CANCELLED,
}
_PART = "heliograph-part-"


class IBMRuntimeBackend(ProviderBackend):
    """An IBM device, or a fake one.

    device: the vendor's back-end object.  service: its client, None for a fake device.  Raises QpuConfigError where a fake device has no Aer: the old sampler
    would then run without any noise and not say so.
    """

    def __init__(self, name: str, device: Any, service: Any = None, **common: Any) -> None:
        self.cloud = service is not None
        self.simulated = service is None
        if service is None:
            vendor("qiskit_aer", "qiskit-aer")
        self._device = device
        self._service = service
        self._jobs: dict[str, Any] = {}
        self._sampler = _sampler_class()
        dynamic = "if_else" in device.target.operation_names
        limits = Limits(
            max_qubits=device.num_qubits,
            max_executions=EXECUTIONS,
            dynamic=dynamic,
            expr_conditions=dynamic and service is None,
            reset="reset" in device.target.operation_names,
            seedable=service is None,
        )
        super().__init__(name, limits, **common)

    @classmethod
    def fake(cls, device: str, **common: Any) -> IBMRuntimeBackend:
        """Return the back-end of a fake device by its name."""
        return cls(f"fake:{device}", fake_device(device), **common)

    @classmethod
    def real(cls, device: str, service: Any = None, **common: Any) -> IBMRuntimeBackend:
        """Return the back-end of a device by its name. service: IBM's client, made from its own environment or account file where it is not given."""
        name = f"ibm:{device}"

        def connected() -> Any:
            with vendor_errors(name, secrets=_saved_tokens):
                return service or vendor("qiskit_ibm_runtime", "qiskit-ibm-runtime").QiskitRuntimeService()

        def found() -> IBMRuntimeBackend:
            with vendor_errors(name, secrets=_secrets_of(client)):
                return cls(name, client.backend(device), client, **common)

        patience = common.get("patience") or Patience()
        client = retried(connected, patience)
        return retried(found, patience)

    def translate(self, work: ReadWork, seed: int | None) -> tuple[Any, dict[str, Any]]:
        """Compile for the device; an uncompiled circuit would be refused."""
        isa = self.compile(work.circuit)
        return (isa, [work.values[one.name] for one in isa.parameters]), {}

    def compile(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Return a circuit in the device's own gates and on its own qubits."""
        return compiled_for(self._device, circuit, self.settings)

    def parts(self, works: int, shots: int, seed: int | None) -> tuple[Part, ...]:
        """Return one part for all works, or with a seed one for each: a fake would give every circuit of one run the same samples."""
        if seed is None:
            return (Part(tuple(range(works)), shots),)
        return tuple(Part((work,), shots) for work in range(works))

    def price(self, parts: Sequence[Part]) -> Cost:
        """Return time instead of money: what the service may take at most."""
        shots = sum(part.shots * len(part.works) for part in parts)
        if not self.cloud:
            return Cost(len(parts), shots)
        return Cost(len(parts), shots, usd=None, qpu_seconds=float(self._seconds() * len(parts)))

    def send(self, plan: Plan, index: int, uuid: str, tags: Sequence[str]) -> str:
        """Run the sampler once."""
        part = plan.parts[index]
        sampler = self._sampler(mode=self._device)
        if self.cloud:
            sampler.options.environment.job_tags = [uuid, f"{_PART}{index}", *tags]
            sampler.options.max_execution_time = self._seconds()
        elif plan.seed is not None:
            (child,) = np.random.SeedSequence(plan.seed, spawn_key=(part.works[0],)).generate_state(1)
            sampler.options.simulator.seed_simulator = int(child) & 0x7FFFFFFF
        job = sampler.run([plan.payloads[work] for work in part.works], shots=part.shots)
        name = str(job.job_id())
        self._jobs[name] = job
        if not self.cloud:
            job.result()
        return name

    def state(self, provider_id: str) -> tuple[JobStatus, str]:
        """Return where a job stands; devices say it as text, fakes as an enumeration."""
        if not self.cloud and provider_id not in self._jobs:
            return JobStatus.FAILED, "its samples ended with the process that made them"
        job = self._job(provider_id)
        told = job.status()
        state = _STATES.get(str(getattr(told, "name", told)))
        if state is None:
            raise QpuError(f"the provider tells an unknown state {told!r}", where=provider_id, remedy="Report this.")
        return state, str(job.error_message() or "no reason was told") if state is JobStatus.FAILED else ""

    def position(self, provider_id: str) -> int | None:
        """Return the position that the service tells among what it measures of a job; not every plan is told one."""
        told = self._job(provider_id).metrics().get("position_in_queue") if self.cloud else None
        return told if type(told) is int and told >= 0 else None

    def fetch(self, provider_id: str, file: JobFile, part: Part) -> list[Bits]:
        """Return the samples; the service sends them anew on each call."""
        job = self._job(provider_id) if self.cloud else self._jobs.pop(provider_id)
        found = job.result()
        return [
            np.concatenate([from_bit_array(one.data[name].array, size) for name, size in file.works[work].cregs], axis=1)
            for work, one in zip(part.works, found, strict=True)
        ]

    def withdraw(self, provider_id: str) -> None:
        """Cancel a job."""
        self._job(provider_id).cancel()

    def search(self, uuid: str, since_ns: int) -> dict[int, str]:
        """Return the jobs that carry our tag."""
        jobs = self._service.jobs(job_tags=[uuid], limit=None, created_after=datetime.fromtimestamp(since_ns / 1e9 - 3600, UTC))
        return {_part_of(job.tags): str(job.job_id()) for job in jobs}

    def usage(self, provider_id: str) -> float | None:
        """Return the seconds on the device."""
        told = self._job(provider_id).usage() if self.cloud else None
        # It is 0 until the service has added it up; the reservation then stands.
        return float(told) if told else None

    def calibration(self) -> dict[str, Any] | None:
        """Return the device's calibration."""
        told = self._device.properties()
        return None if told is None else dict(told.to_dict())

    def secrets(self) -> Secrets:
        """Return what tells the token of the saved account."""
        return _secrets_of(self._service)

    def _seconds(self) -> int:
        return min(self.settings.seconds_per_job, LONGEST_S)

    def _job(self, provider_id: str) -> Any:
        if provider_id not in self._jobs:
            self._jobs[provider_id] = self._service.job(provider_id)
        return self._jobs[provider_id]


def _sampler_class() -> Any:
    """Return the sampler over the executor, which is the one without a deprecation; older releases have only the top-level one."""
    try:
        return vendor("qiskit_ibm_runtime.executor_sampler", "qiskit-ibm-runtime").Sampler
    except QpuConfigError:
        return vendor("qiskit_ibm_runtime", "qiskit-ibm-runtime").SamplerV2


def _part_of(tags: Sequence[str]) -> int:
    return next((int(tag.removeprefix(_PART)) for tag in tags if tag.startswith(_PART)), 0)


def _saved_tokens() -> list[str]:
    """Return the tokens of the accounts that IBM's client saved; it may be logging in with any of them."""
    saved = json.loads((Path.home() / ".qiskit" / "qiskit-ibm.json").read_text())
    return [token for account in saved.values() if isinstance(token := account.get("token"), str)]


def _secrets_of(service: Any) -> Secrets:
    def told() -> tuple[str, ...]:
        account = service.active_account() if hasattr(service, "active_account") else None
        return ((account or {}).get("token") or "", os.environ.get("QISKIT_IBM_TOKEN", ""))

    return told
