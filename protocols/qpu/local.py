"""`local`: our own simulator, batched over works; and `local:joint`, which samples a law that is given."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import QpuConfigError
from .bit_order import from_codes
from .circuits import ReadWork, read_works
from .engine import Bits, Plan, ProviderBackend
from .interface import JobStatus, Limits, Work
from .program import Step, matrix, steps_of
from .projects import JobFile, Part
from .trajectories import trajectories
from .vendors import vendor

STATIC_QUBITS = 20
DYNAMIC_QUBITS = 12
_AMPLITUDES = 2**23
LOST = "its samples ended with the process that made them"


class LocalProvider(ProviderBackend):
    """What simulators that run in this process have in common: a job is done when it is sent, and its samples are kept here until they are fetched, once."""

    def __init__(self, name: str, limits: Limits, **common: Any) -> None:
        super().__init__(name, limits, **common)
        self._done: dict[str, list[Bits]] = {}

    def keep(self, bits: list[Bits]) -> str:
        """Keep samples and return the name they are fetched by."""
        name = f"local-{uuids.uuid4().hex}"
        self._done[name] = bits
        return name

    def state(self, provider_id: str) -> tuple[JobStatus, str]:
        """Return DONE, or FAILED for a job of another process."""
        return (JobStatus.DONE, "") if provider_id in self._done else (JobStatus.FAILED, LOST)

    def fetch(self, provider_id: str, file: JobFile, part: Part) -> list[Bits]:
        """Return the samples."""
        return self._done.pop(provider_id)


def generators(seed: int | None, works: int) -> list[np.random.Generator]:
    """Return a generator for each work, children of one root; None draws a fresh root."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(works)]


class LocalBackend(LocalProvider):
    """The simulator of this project. Static circuits of one structure are simulated together; dynamic ones shot by shot, many shots at once.

    law: float64 (2^c,) over the classical bits, bit 0 most significant; every circuit then gives samples of it, whatever its gates.  Raises QpuConfigError for
    a law that is none.
    """

    def __init__(self, *, law: NDArray[np.floating] | None = None, **common: Any) -> None:
        limits = Limits(max_qubits=STATIC_QUBITS, dynamic=True, expr_conditions=True, reset=True, seedable=True, exact=True)
        super().__init__("local" if law is None else "local:joint", limits, **common)
        self._law = None if law is None else _checked_law(law)
        vendor("torch", "torch")

    def probabilities(self, work: Work) -> NDArray[np.float64]:
        """Return the exact law over the classical bits: float64 (2^c,), bit 0 most significant. Static circuits only."""
        (read,) = read_works([work], 1, self.limits, self.name)
        if self._law is not None:
            return _fitting(self._law, read, self.name)
        if not read.needs.static:
            raise QpuConfigError("a dynamic circuit has no exact law here", where=self.name, remedy="Sample it.")
        import torch

        return over_clbits(self._laws([read], torch.complex128)[0], read)

    def translate(self, work: ReadWork, seed: int | None) -> tuple[Any, dict[str, Any]]:
        """Check what only this simulator can know."""
        if self._law is None and not work.needs.static and work.circuit.num_qubits > DYNAMIC_QUBITS:
            raise QpuConfigError(
                f"a dynamic circuit may have {DYNAMIC_QUBITS} qubits here, not {work.circuit.num_qubits}", where=self.name, remedy="Choose aer."
            )
        if self._law is not None:
            _fitting(self._law, work, self.name)
        return work, {}

    def send(self, plan: Plan, index: int, uuid: str, tags: Sequence[str]) -> str:
        """Simulate everything."""
        from .. import statevector

        with statevector.single_thread():
            return self.keep(self._simulated(plan))

    def _simulated(self, plan: Plan) -> list[Bits]:
        import torch

        draws = generators(plan.seed, len(plan.works))
        bits: list[Bits | None] = [None] * len(plan.works)
        for group in _groups(plan.works):
            works = [plan.works[n] for n in group]
            if self._law is not None:
                laws: Any = [self._law] * len(works)
            elif not works[0].needs.static:
                for n, work in zip(group, works, strict=True):
                    bits[n] = trajectories(steps_of(work.circuit), work.values, work.circuit.num_qubits, work.circuit.num_clbits, plan.shots, draws[n])
                continue
            else:
                laws = self._laws(works, torch.complex64)
            for n, work, law in zip(group, works, laws, strict=True):
                bits[n] = self._sampled(law, work, plan.shots, draws[n])
        return [one for one in bits if one is not None]

    def _sampled(self, law: NDArray[np.float64], work: ReadWork, shots: int, draw: np.random.Generator) -> Bits:
        codes = sample_codes(law, shots, draw)
        if self._law is not None:
            return from_codes(codes, work.circuit.num_clbits)
        return scattered(codes, work)

    def _laws(self, works: Sequence[ReadWork], dtype: Any) -> NDArray[np.float64]:
        """Return the laws over the measured qubits of works of one structure, in the order of `places`."""
        qubits = [qubit for qubit, _ in works[0].needs.places]
        size = max(1, _AMPLITUDES >> works[0].circuit.num_qubits)
        return np.concatenate([_law_of(works[start : start + size], qubits, dtype) for start in range(0, len(works), size)])


def _fitting(law: NDArray[np.float64], work: ReadWork, where: str) -> NDArray[np.float64]:
    clbits = work.circuit.num_clbits
    if law.size != 2**clbits:
        raise QpuConfigError(f"the law is over {law.size} outcomes, the circuit has {clbits} classical bits", where=where, remedy="Make them fit.")
    return law


def _law_of(works: Sequence[ReadWork], qubits: list[int], dtype: Any) -> NDArray[np.float64]:
    from .. import statevector

    known: dict[int, list[Step]] = {}
    for work in works:
        if id(work.circuit) not in known:
            known[id(work.circuit)] = [step for step in steps_of(work.circuit) if step.kind == "gate"]
    programs, values = [known[id(work.circuit)] for work in works], [work.values for work in works]
    psi = statevector.zero_states(len(works), works[0].circuit.num_qubits, dtype)
    for steps in zip(*programs, strict=True):
        psi = statevector.apply(psi, matrix(steps, values), steps[0].wires[::-1])
    return statevector.law(psi, qubits)


def _groups(works: Sequence[ReadWork]) -> list[list[int]]:
    """Return the indices of works that can be simulated together."""
    known: dict[int, tuple[Any, ...]] = {}
    groups: dict[tuple[Any, ...], list[int]] = {}
    for n, work in enumerate(works):
        if id(work.circuit) not in known:
            known[id(work.circuit)] = _structure(work)
        groups.setdefault(known[id(work.circuit)], []).append(n)
    return list(groups.values())


def _structure(work: ReadWork) -> tuple[Any, ...]:
    if not work.needs.static:
        return (id(work.circuit),)
    return (work.circuit.num_qubits, work.circuit.num_clbits, *(step.shape for step in steps_of(work.circuit)))


def sample_codes(law: NDArray[np.floating], shots: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Draw outcomes of a law in random order, by its cumulative sum: int64 (shots,)."""
    edges = np.cumsum(law, dtype=np.float64)
    found: NDArray[np.int64] = np.searchsorted(edges, draw.random(shots) * edges[-1], side="right")
    return found


def scattered(codes: NDArray[np.int64], work: ReadWork) -> Bits:
    """Return codes over the measured qubits as columns of classical bits; those never written read 0."""
    places = [clbit for _, clbit in work.needs.places]
    bits = np.zeros((codes.size, work.circuit.num_clbits), np.uint8)
    bits[:, places] = from_codes(codes, len(places))
    return bits


def over_clbits(law: NDArray[np.float64], work: ReadWork) -> NDArray[np.float64]:
    """Return a law over the measured qubits as one over all classical bits, bit 0 most significant."""
    n = work.circuit.num_clbits
    bits = scattered(np.arange(law.size), work).astype(np.int64)
    found = np.zeros(2**n)
    found[bits @ (1 << np.arange(n - 1, -1, -1))] = law
    return found


def _checked_law(law: NDArray[np.floating]) -> NDArray[np.float64]:
    found = np.asarray(law, np.float64)
    whole = found.ndim == 1 and found.size >= 2 and found.size & (found.size - 1) == 0
    if not whole or not np.isfinite(found).all() or (found < 0).any() or abs(found.sum() - 1) > 1e-9:
        raise QpuConfigError("the law is no probability vector over bits", where="law", remedy="Give 2^c numbers from 0 up that sum to 1.")
    whole_law: NDArray[np.float64] = found / found.sum()
    return whole_law
