"""How good the states of a back-end are: error of a transfer with its interval, by input, and the law that states are drawn from afterwards.

A device that measures all four qubits is dealer, Alice and Bob in one: such a run shows noise, not secrecy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from ...core.entropy import RandomSource, SimRandom
from ...core.errors import ParameterError, QpuConfigError
from ..qpu import Project, Work, open_backend
from ..qpu.jobs import recorded_samples
from .accuracy import deviation_bound
from .circuits import Name, state_circuit
from .inner_product import inner_product
from .laws import WRONG, Codes, Law, error_by_input, error_rate, law_of, preset
from .states import Cursor, DrawnStates, MeasuredStates

if TYPE_CHECKING:
    from pathlib import Path

    from qiskit import QuantumCircuit

    from ..qpu.engine import ProviderBackend
    from ..qpu.ledger import JobHistory
    from ..qpu.retries import Patience
    from ..qpu.samples import Samples

CONFIDENCE = 0.95
PRESET = "law:"
DEPOLARISED = "cx="
LAW = "local:joint"
TAG = "qot-characterise"
"""Begins the tag by which the ledger knows a job as one of states; circuit and two-qubit gates, as they were compiled, follow."""
PUBLISHED_CX_ERRORS = (1e-3, 5e-3, 1e-2, 2e-2, 5e-2)
"""CNOT errors of `sweep`, from better than today's devices to one at which little is left."""
THREE = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.2, 0.2])
"""Vectors of `sweep`, with inner product 0.3."""


@dataclass(frozen=True, slots=True)
class Characterised:
    """What a back-end's states are like.

    error: share of codes with a wrong t.  error_low, error_high: its Clopper-Pearson interval, 95 %.  per_input: error given b1, b0, s, in the order of the
    binary numbers 000 to 111, NaN where an input never came.  cx_count: two-qubit gates as they were run, None where a law is sampled.  job: uuid, empty for a
    law.  law: of the states, exact where the back-end tells it, else the frequencies.  codes: as measured, in the order of the shots if `ordered`.
    usd_per_state: None where the back-end tells no price.
    """

    backend: str
    error: float
    error_low: float
    error_high: float
    per_input: tuple[float, ...]
    shots: int
    cx_count: int | None
    job: str
    circuit: Name
    simulated: bool
    law: Law
    codes: Codes
    usd_per_state: float | None = 0.0
    ordered: bool = True

    def stream(self, cursor: Cursor | None = None) -> MeasuredStates:
        """Return the codes as states to be used once each. Raises ParameterError if the back-end has lost the order of the shots."""
        return MeasuredStates(self.codes, ordered=self.ordered, cursor=cursor)

    @property
    def true_error(self) -> float:
        """Return the error of the law that states are drawn from; `error` is what the parties estimate."""
        return error_rate(self.law)

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        names = ("backend", "error", "error_low", "error_high", "per_input", "shots", "cx_count", "job", "circuit")
        return {name: getattr(self, name) for name in names}


def interval(wrong: int, shots: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a rate."""
    from scipy.stats import binomtest

    found = binomtest(wrong, shots).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)


def open_states(name: str, project: Project | Path | str | None = None, *, patience: Patience | None = None) -> ProviderBackend:
    """Return a back-end by name: those of `heliograph qpu list`, and laws as `law:santiago`, or `law:cx=0.05` for a circuit whose CNOTs alone err."""
    if not name.startswith(PRESET):
        return open_backend(name, project, patience=patience)
    which = name.removeprefix(PRESET)
    if not which.startswith(DEPOLARISED):
        return open_backend(LAW, project, law=preset(which))
    try:
        cx_error = float(which.removeprefix(DEPOLARISED))
    except ValueError as error:
        raise ParameterError(f"{name!r} names no CNOT error", where="back-end", remedy="Write it as law:cx=0.05.") from error
    return open_backend(LAW, project, law=depolarised_law("paper", cx_error))


def characterise(
    name: str,
    shots: int = 20_000,
    *,
    circuit: Name = "paper",
    seed: int | None = None,
    project: Project | Path | str | None = None,
    backend: ProviderBackend | None = None,
    timeout: float | None = None,
    sent: Callable[[str], None] | None = None,
) -> Characterised:
    """Run a state circuit on a back-end and judge the codes.

    backend: one that is open already; otherwise it is opened by name.  timeout: seconds to wait for the job.  sent: told the job's uuid before anything is
    waited for; `finish` comes back to it.  Raises the errors of the back-end.
    """
    where = backend or open_states(name, project)
    work = Work(state_circuit(circuit))
    is_law = where.name == LAW
    cx = None if is_law else cx_count(where.compiled(work))
    job = where.submit([work], shots, seed=seed, tags=[f"{TAG}:{circuit}:{'' if cx is None else cx}"])
    if sent is not None:
        sent(job.uuid)
    (samples,) = job.result(timeout)
    law = where.probabilities(work) if where.limits.exact else None
    found = _judged(name, samples, circuit, cx, "" if is_law else job.uuid, where.cost([work], shots).usd)
    return found if law is None else replace(found, law=law)


def finish(uuid: str, project: Project | Path | str, *, timeout: float | None = None) -> Characterised:
    """Come back to a job of `characterise`, in any process, by its ledger: wait for its codes, or read them again, and judge them. Nothing is submitted.

    uuid: of the job, or its beginning.  The law is that of the codes.  Raises QpuConfigError if the job is none of states, else the errors of the back-end.
    """
    home = project if isinstance(project, Project) else Project(project)
    history = home.ledger.job(uuid)
    name = str(history.intent["backend"])
    circuit, cx = _what_was_sent(history)
    if history.recorded:
        (samples,) = recorded_samples(home, history.uuid, history.sha256)
    else:
        (samples,) = open_backend(name, home).resume(history.uuid).result(timeout)
    return _judged(name, samples, circuit, cx, history.uuid, history.intent["cost"]["usd"])


def _what_was_sent(history: JobHistory) -> tuple[Name, int | None]:
    """Return circuit and two-qubit gates of a job, from its tag: a device may be calibrated anew, and compiled for differently, before it is resumed."""
    for circuit in get_args(Name):
        for tag in history.intent["tags"]:
            if tag.startswith(f"{TAG}:{circuit}:"):
                cx = tag.rpartition(":")[2]
                return circuit, int(cx) if cx else None
    raise QpuConfigError("the job measured no states", where=f"job {history.uuid}", remedy=f"See its samples: heliograph qpu resume {history.uuid}")


def _judged(name: str, samples: Samples, circuit: Name, cx: int | None, job: str, usd: float | None) -> Characterised:
    codes = samples.codes().astype(np.uint8)
    wrong = int(WRONG[codes].sum())
    low, high = interval(wrong, codes.size)
    return Characterised(
        name,
        wrong / codes.size,
        low,
        high,
        tuple(float(one) for one in _by_input(codes)),
        int(codes.size),
        cx,
        job,
        circuit,
        bool(samples.meta["simulated"]),
        law_of(codes),
        codes,
        None if usd is None else usd / codes.size,
        samples.ordered,
    )


def _by_input(codes: Codes) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return error_by_input(law_of(codes)).ravel()


def cx_count(circuit: QuantumCircuit) -> int:
    """Return the two-qubit gates of a circuit; three-qubit ones are counted by the CNOTs they take between neighbours that are all coupled."""
    if any(len(one.qubits) > 2 and one.operation.name != "barrier" for one in circuit.data):
        from qiskit import transpile

        circuit = transpile(circuit, basis_gates=["cx", "u"], optimization_level=0)
    return sum(len(one.qubits) == 2 and one.operation.name != "barrier" for one in circuit.data)


def depolarised_law(circuit: Name, cx_error: float) -> Law:
    """Return the law of a state circuit in which every CNOT is followed by depolarising noise and nothing else errs, all qubits coupled.

    cx_error: average gate infidelity g of a CNOT; the depolarising parameter of Aer is 4 g / 3.  Raises ParameterError.
    """
    if not 0.0 <= cx_error <= 0.75:
        raise ParameterError(f"{cx_error!r} is no infidelity of a CNOT", where="CNOT error", remedy="It lies from 0 to 0.75.")
    from qiskit import transpile
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    bare = transpile(state_circuit(circuit, measured=False), basis_gates=["cx", "u"], optimization_level=0)
    # Aer's most significant bit is the last qubit named, ours is b1, qubit 0.
    bare.save_probabilities([3, 2, 1, 0], label="law")
    model = NoiseModel(["cx", "u"])
    model.add_all_qubit_quantum_error(depolarizing_error(4.0 * cx_error / 3.0, 2), ["cx"])
    simulator = AerSimulator(method="density_matrix", noise_model=model)
    law = np.asarray(simulator.run(bare, shots=1).result().data(0)["law"], np.float64)
    found: Law = law / law.sum()
    return found


@dataclass(frozen=True, slots=True)
class Sweep:
    """Estimates of one inner product against shots, for several CNOT errors.

    cx_errors, errors: (k,), of a CNOT and of a transfer.  shots: (n,).  estimates, deviations: (k, n).  product: what is estimated.
    """

    cx_errors: tuple[float, ...]
    errors: tuple[float, ...]
    shots: tuple[int, ...]
    estimates: NDArray[np.float64]
    deviations: NDArray[np.float64]
    product: float


def sweep(
    cx_errors: Sequence[float] = PUBLISHED_CX_ERRORS,
    shots: Sequence[int] = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000),
    *,
    circuit: Name = "paper",
    source: RandomSource | None = None,
) -> Sweep:
    """Estimate an inner product in three dimensions with states of several CNOT errors; more shots go on from fewer.  source: of draws, pads and states."""
    if any(n < 1 for n in shots) or sorted(set(shots)) != list(shots):
        raise ParameterError("shots must grow", where="shots")
    drawn = source or SimRandom(0)
    u, v = THREE
    laws = [depolarised_law(circuit, one) for one in cx_errors]
    errors = tuple(error_rate(law) for law in laws)
    estimates = np.empty((len(laws), len(shots)))
    for row, (law, error) in enumerate(zip(laws, errors, strict=True)):
        states, ones = DrawnStates(law, drawn), 0
        for column, (before, total) in enumerate(zip((0, *shots[:-1]), shots, strict=True)):
            ones += inner_product(states, u, v, total - before, drawn, drawn).ones
            estimates[row, column] = 0.5 + (ones / total - 0.5) / (1.0 - 2.0 * error) ** u.size
    bounds = np.array([[deviation_bound(error, u.size, n) for n in shots] for error in errors])
    return Sweep(tuple(cx_errors), errors, tuple(shots), estimates, bounds, float(u @ v))
