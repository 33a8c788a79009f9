"""The hardware-efficient ansatz as a batched state-vector engine in torch.

Layer l: on every qubit Ry(theta[l, i, 0]) then Rz(theta[l, i, 1]); then a ring of CNOTs, CNOT(0->1) .. CNOT(n-2->n-1) and, for n >= 3, CNOT(n-1->0).
Ry(a) = exp(-i a Y/2), Rz(b) = exp(-i b Z/2). Class of circuits: arXiv:1704.05018; the gate set is this project's choice. Qubit 0 is the most significant bit.

`Ansatz` fuses each layer into two matrices and one permutation; `reference.py` holds its plain twin, gate by gate.
"""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import ParameterError

Rotations = Literal["ry_rz", "rz_ry"]


def ring_permutation(n: int) -> NDArray[np.int64]:
    """Return PERM of the CNOT ring, a gather: new[y] = old[PERM[y]], int64 (2^n,)."""
    x = np.arange(2**n)
    bits = (x[:, None] >> np.arange(n - 1, -1, -1)) & 1
    for control, target in ring(n):
        bits[:, target] ^= bits[:, control]
    image = bits @ (1 << np.arange(n - 1, -1, -1))
    return np.argsort(image)


def ring(n: int) -> list[tuple[int, int]]:
    """Return the (control, target) pairs of the ring in order."""
    return [(i, i + 1) for i in range(n - 1)] + ([(n - 1, 0)] if n >= 3 else [])


def signs(n: int) -> NDArray[np.float64]:
    """Return the eigenvalues of Z_i on every basis state: float64 (2^n, n)."""
    bits = (np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1)) & 1
    return np.where(bits, -1.0, 1.0)


class Ansatz:
    """Hardware-efficient ansatz on batches of states.

    n_qubits: 2 to 16.  n_layers: 1 or more.  rotations: `ry_rz` (default; the Rz angles of the last layer cannot reach any Z read-out) or `rz_ry`.
    dtype: torch.complex64, or complex128 where ten digits matter.  Raises `ParameterError` for other sizes.
    """

    def __init__(self, n_qubits: int, n_layers: int, *, rotations: Rotations = "ry_rz", dtype: torch.dtype = torch.complex64) -> None:
        if not (2 <= n_qubits <= 16 and n_layers >= 1):
            raise ParameterError(f"{n_qubits} qubits in {n_layers} layers cannot be simulated", where="ansatz", remedy="2 to 16 qubits, 1 layer or more.")
        self.n_qubits = n_qubits
        self.n_layers = n_layers
        self.rotations = rotations
        self.dtype = dtype
        self.real = torch.float64 if dtype == torch.complex128 else torch.float32
        self._permutation = torch.from_numpy(ring_permutation(n_qubits))
        self._signs = torch.from_numpy(signs(n_qubits)).to(self.real)
        self._last = self._signs[:, -1].contiguous()
        self._groups = _groups(n_qubits)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape (L, n, 2) of the angles."""
        return (self.n_layers, self.n_qubits, 2)

    def state(self, psi: Tensor, theta: Tensor) -> Tensor:
        """Return the states after all layers: complex (batch, 2^n), from psi of the same shape and theta (L, n, 2), rad."""
        batch = psi.shape[0]
        gates = self._gates(theta)
        for layer in range(self.n_layers):
            tensor = psi.reshape(batch, *[2 ** len(group) for group in self._groups])
            for axis, group in enumerate(self._groups, start=1):
                matrix = reduce(_kron, [gates[layer, i] for i in group])
                tensor = _apply(matrix, tensor, axis)
            psi = tensor.reshape(batch, -1)[:, self._permutation]
        return psi

    def expectations(self, psi: Tensor, theta: Tensor) -> Tensor:
        """Return <Z_i> of every qubit: real (batch, n). Angles that reach no read-out have gradient exactly 0."""
        return self._probabilities(psi, theta) @ self._signs

    def readout(self, psi: Tensor, theta: Tensor) -> Tensor:
        """Return f = <Z_{n-1}>: real (batch,)."""
        return self._probabilities(psi, theta) @ self._last

    def _probabilities(self, psi: Tensor, theta: Tensor) -> Tensor:
        final = self.state(psi, self._live(theta))
        return final.real**2 + final.imag**2

    def _live(self, theta: Tensor) -> Tensor:
        if self.rotations == "rz_ry":
            return theta
        # The last Rz commute with ring and read-out. Rounding would give them gradients of 1e-9, and Adam turns any gradient into a full step.
        mask = torch.ones_like(theta)
        mask[-1, :, 1] = 0
        return theta * mask

    def _gates(self, theta: Tensor) -> Tensor:
        theta = theta.to(self.real)
        cosine, sine = torch.cos(theta[..., 0] / 2), torch.sin(theta[..., 0] / 2)
        phase = torch.polar(torch.ones_like(cosine), -theta[..., 1] / 2)
        rows: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
        if self.rotations == "ry_rz":
            rows = ((phase * cosine, -phase * sine), (phase.conj() * sine, phase.conj() * cosine))
        else:
            rows = ((phase * cosine, -phase.conj() * sine), (phase * sine, phase.conj() * cosine))
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _groups(n: int) -> list[list[int]]:
    """Cut the qubits into two groups for n <= 8, else into groups of at most four."""
    cuts = [0, n // 2, n] if n <= 8 else [*range(0, n, 4), n]
    return [list(range(start, stop)) for start, stop in pairwise(cuts)]


def _kron(left: Tensor, right: Tensor) -> Tensor:
    side = left.shape[0] * right.shape[0]
    return (left[:, None, :, None] * right[None, :, None, :]).reshape(side, side)


def _apply(matrix: Tensor, tensor: Tensor, axis: int) -> Tensor:
    if axis == tensor.dim() - 1:
        return tensor @ matrix.T
    if axis == tensor.dim() - 2:
        return matrix @ tensor
    return torch.movedim(torch.tensordot(matrix, tensor, dims=([1], [axis])), 0, axis)
