"""States before anybody measures them: what either basis gives to either party, and how many pass the X test.

A density matrix knows all of it; a law of four bits knows what Z gives, and belongs to the dephased state. Qubits cannot be sent through this program: `Qubits`
stands for states of which each party holds two qubits, and draws what a measurement gives only when it is made. Whoever comes second finds what quantum
mechanics says given the first one's basis and outcome, so that it does not matter who measures first, nor in which basis. That is exact for whoever measures
both qubits of a state in one basis, Z or X; measurements in other bases are not modelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.entropy import RandomSource
from ...core.errors import DesyncError, ParameterError
from ..qpu.interface import Work
from .circuits import Name, state_circuit
from .gates import Bits
from .inner_product import uniform
from .laws import Codes, Law, checked

if TYPE_CHECKING:
    from qiskit.quantum_info import DensityMatrix

    from ..qpu.engine import ProviderBackend

DEPHASED_PASS = 5.0 / 16.0
"""Share of dephased states that pass the X test, whatever their law in Z: X then gives every outcome alike, and five of sixteen pass."""
_CODE = np.arange(16)
_B1, _B0, _S, _T = (_CODE >> shift & 1 for shift in (3, 2, 1, 0))
PASSES: NDArray[np.bool_] = np.where(_T == 1, _B1 != _B0, (_B1 | _B0 | _S) == 0)
"""bool (16,): outcomes of X on all four qubits that the pure state gives."""
_H = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0)
_CHANGE: tuple[NDArray[np.float64], ...] = np.eye(4), np.asarray(np.kron(_H, _H), np.float64)
_NOT_YET = 2
_PIECE = 1 << 20
_TOLERANCE = 1e-9


class Basis(IntEnum):
    """In which a qubit is prepared or measured."""

    Z = 0
    X = 1


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A state of four qubits, as measurements in Z and X see it.

    laws: float64 (2, 2, 16), the joint law of the four bits by Alice's basis and by Bob's.
    """

    laws: NDArray[np.float64]

    @classmethod
    def of(cls, density: ArrayLike) -> Self:
        """Return the state of a density matrix, (16, 16), rows and columns in the order of codes. Raises ParameterError unless it is one."""
        rho = np.asarray(density, np.complex128)
        if rho.shape != (16, 16) or not np.isfinite(rho).all() or np.abs(rho - rho.conj().T).max() > _TOLERANCE or abs(np.trace(rho) - 1.0) > _TOLERANCE:
            raise ParameterError("a state of four qubits is a Hermitian matrix (16, 16) of trace 1", where="density")
        if float(np.linalg.eigvalsh(rho).min()) < -_TOLERANCE:
            raise ParameterError("the matrix has a negative eigenvalue", where="density")
        return cls(np.array([[_measured(rho, np.asarray(np.kron(alice, bob), np.float64)) for bob in _CHANGE] for alice in _CHANGE]))

    @classmethod
    def of_circuit(cls, name: Name = "paper", cx_error: float = 0.0) -> Self:
        """Return what a circuit prepares, coherent.

        cx_error: average infidelity of each CNOT, all others exact.  `rccx` has another phase and is refused: it fails the X test by construction.
        """
        if name == "rccx":
            raise ParameterError("rccx gives the law in Z only, not the coherent state", where="circuit", remedy="Take paper or one_ccx, or let Trent twirl.")
        return cls.of(density(name, cx_error))

    @classmethod
    def dephased(cls, law: ArrayLike) -> Self:
        """Return the dephased state with a law in Z: all that a law tells."""
        return cls.of(np.diag(checked(law) / np.sum(law)))

    def twirled(self) -> Self:
        """Return what is left of it when Trent applies a uniformly random Z to each qubit."""
        return type(self).dephased(self.law)

    @property
    def law(self) -> Law:
        """Return the law of the codes, float64 (16,): both measure in Z."""
        return np.asarray(self.laws[Basis.Z, Basis.Z])

    @property
    def x_pass(self) -> float:
        """Return the share that passes the X test: 1 for the pure state, 5/16 for dephased ones."""
        return float(self.laws[Basis.X, Basis.X][PASSES].sum())


def _measured(rho: NDArray[np.complex128], change: NDArray[np.float64]) -> Law:
    chances = np.clip(np.diag(change @ rho @ change.T).real, 0.0, None)
    return np.asarray(chances / chances.sum())


def density(name: Name = "paper", cx_error: float = 0.0) -> NDArray[np.complex128]:
    """Return the density matrix of a state circuit, complex128 (16, 16), in the order of codes.

    cx_error: average infidelity of a CNOT, from 0 to 0.75; depolarising noise follows each, nothing else errs, all qubits are coupled.
    """
    found = _exactly(name) if cx_error == 0.0 else _depolarised(name, cx_error)
    # Qiskit's most significant bit is the last qubit, ours is b1, qubit 0.
    return np.asarray(found.reverse_qargs().data, np.complex128)


def calibrated_pass(backend: ProviderBackend, shots: int = 20_000, *, name: Name = "paper", seed: int | None = None) -> float:
    """Return the share that passes the X test on a back-end, its noise included, found with so many states. Raises the errors of the back-end."""
    (samples,) = backend.submit([Work(state_circuit(name, in_x=True))], shots, seed=seed).result()
    return float(PASSES[samples.codes()].mean())


def _exactly(name: Name) -> DensityMatrix:
    from qiskit.quantum_info import DensityMatrix

    return DensityMatrix(state_circuit(name, measured=False))


def _depolarised(name: Name, cx_error: float) -> DensityMatrix:
    if not 0.0 <= cx_error <= 0.75:
        raise ParameterError(f"{cx_error!r} is no infidelity of a CNOT", where="CNOT error", remedy="It lies from 0 to 0.75.")
    from qiskit import transpile
    from qiskit.quantum_info import DensityMatrix
    from qiskit_aer import AerSimulator
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    bare = transpile(state_circuit(name, measured=False), basis_gates=["cx", "u"], optimization_level=0)
    bare.save_density_matrix(label="rho")
    model = NoiseModel(["cx", "u"])
    model.add_all_qubit_quantum_error(depolarizing_error(4.0 * cx_error / 3.0, 2), ["cx"])
    return DensityMatrix(AerSimulator(method="density_matrix", noise_model=model).run(bare, shots=1).result().data(0)["rho"])


class Qubits:
    """States shared by two parties, 0 and 1, each of which measures its qubits of a state once.

    n: how many.  source: of the outcomes.
    """

    def __init__(self, state: Prepared, n: int, source: RandomSource) -> None:
        self._chances, self._source = _chances(state), source
        self._basis, self._found = np.full((2, n), _NOT_YET, np.uint8), np.zeros((2, n), np.uint8)

    @property
    def size(self) -> int:
        """Return the number of states."""
        return int(self._basis.shape[1])

    def measure(self, party: int, at: NDArray[np.int64], basis: Basis) -> Codes:
        """Return what a party finds at positions, int64 (k,), distinct: its half, uint8 (k,). Raises DesyncError if it has measured one before."""
        if (self._basis[party, at] != _NOT_YET).any():
            raise DesyncError("a state was measured before", where="qubits")
        for first in range(0, at.size, _PIECE):
            self._measure(party, at[first : first + _PIECE], basis)
        return np.asarray(self._found[party, at])

    def _measure(self, party: int, at: NDArray[np.int64], basis: Basis) -> None:
        other = 1 - party
        steps = self._chances[party, basis, self._basis[other, at], self._found[other, at]]
        self._found[party, at] = (uniform(self._source, at.size)[:, None] >= steps).sum(axis=1)
        self._basis[party, at] = basis


def _chances(state: Prepared) -> NDArray[np.float64]:
    """Return chances of outcomes up to 0, 1, 2: float64 (2, 2, 3, 4, 3), by party, its basis, the other's basis or none yet, the other's outcome."""
    joint = state.laws.reshape(2, 2, 4, 4)
    found = np.empty((2, 2, 3, 4, 4))
    for basis in Basis:
        for other in Basis:
            found[0, basis, other], found[1, basis, other] = joint[basis, other].T, joint[other, basis]
        # Without a signal from the other side its basis does not matter.
        found[0, basis, _NOT_YET], found[1, basis, _NOT_YET] = joint[basis, Basis.Z].sum(axis=1), joint[Basis.Z, basis].sum(axis=0)
    total = found.sum(axis=-1, keepdims=True)
    never = total <= 0.0
    return np.asarray(np.cumsum(np.where(never, 0.25, found / np.where(never, 1.0, total)), axis=-1)[..., :3])


class Half:
    """One party's qubits of states that arrived, kept until they are measured.

    party: 0 for Alice, whose half of a code is 2 b1 + b0, 1 for Bob, whose half is 2 s + t.
    """

    def __init__(self, qubits: Qubits, party: int) -> None:
        self._qubits, self._party, self._dropped = qubits, party, False

    @property
    def size(self) -> int:
        """Return the number of states."""
        return self._qubits.size

    def measure(self, which: NDArray[np.bool_], basis: Basis = Basis.Z) -> Codes:
        """Return what the marked states give, in order: both qubits in one basis. Raises DesyncError for what was measured before, or dropped."""
        if self._dropped:
            raise DesyncError("these states were dropped", where="qubits", remedy="Let the dealer send others.")
        return self._qubits.measure(self._party, np.flatnonzero(which), basis)

    def measure_all(self, basis: Basis = Basis.Z) -> Codes:
        """Return what all of them give."""
        return self.measure(np.ones(self.size, np.bool_), basis)

    def drop(self) -> None:
        """Give the batch up: nothing can be measured any more."""
        self._dropped = True


def x_test(alice: Codes, bob: Codes) -> Bits:
    """Return which states pass, uint8 (k,).  alice, bob: halves measured in X."""
    return np.asarray(PASSES[alice << np.uint8(2) | bob], np.uint8)
