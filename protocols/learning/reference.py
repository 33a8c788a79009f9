"""The ansatz gate by gate, in a form that can be checked against the text: the plain twin of `qnn.Ansatz`."""

from __future__ import annotations

import torch
from torch import Tensor

from .qnn import ring, signs

_Z = (1.0, -1.0)


def ry(a: Tensor) -> Tensor:
    """Return exp(-i a Y/2): complex128 (2, 2)."""
    c, s = torch.cos(a / 2), torch.sin(a / 2)
    return torch.stack([torch.stack([c, -s]), torch.stack([s, c])]).to(torch.complex128)


def rz(b: Tensor) -> Tensor:
    """Return exp(-i b Z/2): complex128 (2, 2)."""
    return torch.diag(torch.exp(-0.5j * b * torch.tensor(_Z, dtype=torch.float64)))


def single(psi: Tensor, gate: Tensor, qubit: int, n: int) -> Tensor:
    """Apply a one-qubit gate to states (batch, 2^n)."""
    view = psi.reshape(psi.shape[0], 2**qubit, 2, 2 ** (n - qubit - 1))
    return torch.einsum("ij,bajc->baic", gate, view).reshape(psi.shape)


def cnot(psi: Tensor, control: int, target: int, n: int) -> Tensor:
    """Apply CNOT(control -> target) to states (batch, 2^n)."""
    index = torch.arange(2**n)
    controlled = (index >> (n - 1 - control)) & 1
    return psi[:, index ^ (controlled << (n - 1 - target))]


def state(psi: Tensor, theta: Tensor, rotations: str = "ry_rz") -> Tensor:
    """Return the states after all layers: complex128 (batch, 2^n), from theta (L, n, 2), rad."""
    n = theta.shape[1]
    psi = psi.to(torch.complex128)
    for layer in theta.to(torch.float64):
        for i in range(n):
            first, second = ry(layer[i, 0]), rz(layer[i, 1])
            if rotations == "rz_ry":
                first, second = second, first
            psi = single(single(psi, first, i, n), second, i, n)
        for control, target in ring(n):
            psi = cnot(psi, control, target, n)
    return psi


def expectations(psi: Tensor, theta: Tensor, rotations: str = "ry_rz") -> Tensor:
    """Return <Z_i> of every qubit: float64 (batch, n)."""
    final = state(psi, theta, rotations)
    return (final.abs() ** 2) @ torch.from_numpy(signs(theta.shape[1]))
