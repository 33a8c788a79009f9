"""From the bit orders of vendors to ours, in one place. Count strings are never parsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...core.errors import QpuError


def from_bit_array(packed: NDArray[np.uint8], num_bits: int) -> NDArray[np.uint8]:
    """Return columns, classical bit 0 first, of the array inside Qiskit's `BitArray`: uint8 (shots, bytes), big-endian, bit 0 last."""
    return np.ascontiguousarray(np.unpackbits(packed, axis=-1)[..., ::-1][..., :num_bits])


def from_measured_qubits(measurements: NDArray[np.integer], measured_qubits: Sequence[int], clbit_of: Mapping[int, int], clbits: int) -> NDArray[np.uint8]:
    """Return columns of Braket's `measurements`, whose column i belongs to qubit `measured_qubits[i]`.

    clbit_of: classical bit by measured qubit.  clbits: their number; those never written read 0.
    """
    places = {qubit: column for column, qubit in enumerate(measured_qubits)}
    if missing := [qubit for qubit in clbit_of if qubit not in places]:
        raise QpuError(f"the result has no column for qubits {missing}", where="measured_qubits", remedy="Report this; the samples were not used.")
    bits = np.zeros((measurements.shape[0], clbits), np.uint8)
    for qubit, clbit in clbit_of.items():
        bits[:, clbit] = measurements[:, places[qubit]]
    return bits


def from_used_clbits(measurements: NDArray[np.integer], used: Sequence[int], clbits: int) -> NDArray[np.uint8]:
    """Return columns of Braket's `measurements` of a dynamic circuit: one column a classical bit that is ever written, in ascending order."""
    if measurements.shape[1] != len(used):
        raise QpuError(
            f"the result has {measurements.shape[1]} columns for {len(used)} classical bits",
            where="measurements",
            remedy="Report this; the samples were not used.",
        )
    bits = np.zeros((measurements.shape[0], clbits), np.uint8)
    bits[:, sorted(used)] = measurements
    return bits


def from_codes(codes: NDArray[np.integer], n: int) -> NDArray[np.uint8]:
    """Return the n bits of numbers, most significant first: uint8 (shots, n)."""
    return ((codes[:, None] >> np.arange(n - 1, -1, -1)) & 1).astype(np.uint8)
