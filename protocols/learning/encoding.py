"""Classical samples as quantum states.

Qubit 0 is the most significant bit of the amplitude index.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import DataError, ParameterError


def normalised(x: NDArray[np.floating], n_qubits: int) -> NDArray[np.float64]:
    """Return real samples (samples, D) zero-padded to 2^n_qubits and divided by their 2-norms: float64 (samples, 2^n_qubits).

    Raises `ParameterError` where D > 2^n_qubits and `DataError`, naming the sample, where one is all zero or not finite.
    """
    x = np.atleast_2d(np.asarray(x, dtype=np.float64))
    if x.shape[1] > 2**n_qubits:
        raise ParameterError(f"{x.shape[1]} values do not fit into the amplitudes of {n_qubits} qubits", where="amplitude encoding")
    norms = np.linalg.norm(x, axis=1)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if bad.size:
        raise DataError("all values are zero, or one is not finite", where=f"sample {bad[0]}", remedy="Leave the sample out.")
    return np.pad(x / norms[:, None], ((0, 0), (0, 2**n_qubits - x.shape[1])))


def amplitude(x: NDArray[np.floating], n_qubits: int, dtype: torch.dtype = torch.complex64) -> Tensor:
    """Return the states whose amplitudes are the normalised samples: complex (samples, 2^n_qubits)."""
    return torch.from_numpy(normalised(x, n_qubits)).to(dtype)


def angle(x: Tensor, dtype: torch.dtype = torch.complex64) -> Tensor:
    """Return Ry(x_i)|0> on every qubit i, differentiable in x: real (samples, n) -> complex (samples, 2^n)."""
    cosine, sine = torch.cos(x / 2), torch.sin(x / 2)
    state = torch.ones(x.shape[0], 1, dtype=x.dtype)
    for i in range(x.shape[1]):
        qubit = torch.stack([cosine[:, i], sine[:, i]], dim=1)
        state = (state[:, :, None] * qubit[:, None, :]).reshape(x.shape[0], -1)
    return state.to(dtype)
