"""A model is a flat vector of parameters and a score per sample; the ansatz with an optional head."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import ConfigError
from . import encoding
from .qnn import Ansatz, Rotations

Head = Literal["none", "affine"]
Encoding = Literal["amplitude", "angle"]


class QnnModel:
    """Quantum neural network: encoding, hardware-efficient ansatz, read-out <Z_{n-1}>, head.

    head: `none` (score = f) or `affine` (score = tanh(a (f - c)), a and c trained, last in the vector).
    drop_dead: leave the last layer's Rz angles, whose gradient is exactly 0 and which still cost key, out of the vector.
    The vector holds the angles in the order (layer, qubit, gate), rad, then the head.
    """

    def __init__(
        self,
        n_qubits: int,
        n_layers: int,
        *,
        inputs: Encoding = "amplitude",
        head: Head = "none",
        rotations: Rotations = "ry_rz",
        drop_dead: bool = False,
        dtype: torch.dtype = torch.complex64,
    ) -> None:
        if drop_dead and rotations != "ry_rz":
            raise ConfigError("with Rz first no angle is dead", where="drop_dead")
        self.ansatz = Ansatz(n_qubits, n_layers, rotations=rotations, dtype=dtype)
        self.inputs = inputs
        self.head = head
        live = np.ones(self.ansatz.shape, dtype=bool)
        live[-1, :, 1] = not drop_dead
        self._live = torch.from_numpy(np.flatnonzero(live))
        self.d = len(self._live) + (2 if head == "affine" else 0)
        self.name = f"qnn/{inputs}/{n_qubits}x{n_layers}/{rotations}/{head}{'/live' if drop_dead else ''}"

    def initial(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Return start parameters, float64 (d,): angles 0.1 N(0, 1), head a = 2, c = 0."""
        theta = 0.1 * generator.standard_normal(self.d)
        if self.head == "affine":
            theta[-2:] = (2.0, 0.0)
        return theta

    def encode(self, x: NDArray[np.floating]) -> Tensor:
        """Return the states of samples (n, D), once for a whole training: complex (n, 2^n_qubits)."""
        if self.inputs == "amplitude":
            return encoding.amplitude(x, self.ansatz.n_qubits, self.ansatz.dtype)
        return encoding.angle(torch.as_tensor(np.asarray(x), dtype=self.ansatz.real), self.ansatz.dtype)

    def angles(self, theta: Tensor) -> Tensor:
        """Return the angles (L, n, 2), rad, of a parameter vector (d,)."""
        flat = theta[: len(self._live)]
        layers, n, two = self.ansatz.shape
        if len(self._live) < layers * n * two:
            flat = torch.zeros(layers * n * two, dtype=theta.dtype).index_put((self._live,), flat)
        return flat.reshape(layers, n, two)

    def scores(self, states: Tensor, theta: Tensor) -> Tensor:
        """Return the scores of encoded samples: real (n,), the first class where >= 0."""
        f = self.ansatz.readout(states, self.angles(theta))
        if self.head == "affine":
            return torch.tanh(theta[-2] * (f - theta[-1]))
        return f
