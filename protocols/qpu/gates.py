"""Matrices of gates whose angles differ from work to work, in closed form: float64 (batch,) in, complex128 (batch, d, d) out, Qiskit's qubit order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Angles = NDArray[np.float64]
Matrices = NDArray[np.complex128]


def _rows(*rows: tuple[NDArray[np.complexfloating] | Angles, ...]) -> Matrices:
    return np.stack([np.stack(np.broadcast_arrays(*row), axis=-1) for row in rows], axis=-2).astype(np.complex128)


def _rx(theta: Angles) -> Matrices:
    c, s = np.cos(theta / 2), -1j * np.sin(theta / 2)
    return _rows((c, s), (s, c))


def _ry(theta: Angles) -> Matrices:
    c, s = np.cos(theta / 2), np.sin(theta / 2)
    return _rows((c, -s), (s, c))


def _rz(theta: Angles) -> Matrices:
    zero = np.zeros_like(theta)
    return _rows((np.exp(-0.5j * theta), zero), (zero, np.exp(0.5j * theta)))


def _p(theta: Angles) -> Matrices:
    zero = np.zeros_like(theta)
    return _rows((zero + 1, zero), (zero, np.exp(1j * theta)))


def _u(theta: Angles, phi: Angles, lam: Angles) -> Matrices:
    c, s = np.cos(theta / 2), np.sin(theta / 2)
    return _rows((c, -np.exp(1j * lam) * s), (np.exp(1j * phi) * s, np.exp(1j * (phi + lam)) * c))


def _cp(theta: Angles) -> Matrices:
    found = np.tile(np.eye(4, dtype=np.complex128), (theta.size, 1, 1))
    found[:, 3, 3] = np.exp(1j * theta)
    return found


CLOSED: dict[str, Callable[..., Matrices]] = {"rx": _rx, "ry": _ry, "rz": _rz, "p": _p, "u": _u, "cp": _cp}
