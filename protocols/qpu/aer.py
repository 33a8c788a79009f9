"""`aer` and `aer:<fake>`: Qiskit's simulator, ideal or with the noise of a fake device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import QpuConfigError
from .bit_order import from_bit_array
from .circuits import ReadWork, read_works
from .engine import Bits, Plan
from .fakes import compiled_for, fake_device
from .interface import Limits, Work
from .local import LocalProvider, generators, over_clbits
from .vendors import vendor, vendor_errors

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

DENSITY_QUBITS = 10
"""Up to here noise is simulated exactly, by density matrices; beyond it shot by shot."""
_WIDEST = 26


class AerBackend(LocalProvider):
    """Aer's sampler. device: name of the fake device whose noise is taken, None for none. Raises QpuConfigError if Aer is not installed."""

    def __init__(self, device: str | None = None, **common: Any) -> None:
        aer = vendor("qiskit_aer", "qiskit-aer")
        self._primitives = vendor("qiskit_aer.primitives", "qiskit-aer")
        self._device = None if device is None else fake_device(device)
        self._simulator = aer.AerSimulator() if self._device is None else aer.AerSimulator.from_backend(self._device)
        dynamic = self._device is None or "if_else" in self._device.target.operation_names
        widest = _WIDEST if self._device is None else self._device.num_qubits
        limits = Limits(max_qubits=widest, dynamic=dynamic, expr_conditions=dynamic, reset=True, seedable=True, exact=True)
        super().__init__("aer" if device is None else f"aer:{device}", limits, **common)

    def translate(self, work: ReadWork, seed: int | None) -> tuple[Any, dict[str, Any]]:
        """Compile for the simulator or the device."""
        return self.compile(work.circuit), {}

    def calibration(self) -> dict[str, Any] | None:
        """Return the calibration that the noise is taken from."""
        return None if self._device is None else self._device.properties().to_dict()

    def send(self, plan: Plan, index: int, uuid: str, tags: Sequence[str]) -> str:
        """Sample every work with a seed of its own: repeated runs with one seed would be equal."""
        draws = generators(plan.seed, len(plan.works))
        return self.keep([self._sampled(work, isa, plan.shots, draw) for work, isa, draw in zip(plan.works, plan.payloads, draws, strict=True)])

    def probabilities(self, work: Work) -> NDArray[np.float64]:
        """Return the exact law over the classical bits, noise and read-out errors included: float64 (2^c,), bit 0 most significant.

        Raises QpuConfigError for dynamic circuits and for noise on more than 10 qubits.
        """
        (read,) = read_works([work], 1, self.limits, self.name)
        if not read.needs.static:
            raise QpuConfigError("a dynamic circuit has no exact law here", where=self.name, remedy="Sample it.")
        with vendor_errors(self.name):
            isa = self._bound(self.compile(work.circuit), read)
            return over_clbits(self._law(isa, read), read)

    def compile(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Return a circuit in the gates and on the qubits of the simulated device."""
        return compiled_for(self._simulator, circuit, self.settings)

    def _bound(self, isa: Any, work: ReadWork) -> Any:
        values = {one: work.values[one.name] for one in isa.parameters}
        return isa.assign_parameters(values) if values else isa

    def _sampled(self, work: ReadWork, isa: Any, shots: int, draw: np.random.Generator) -> Bits:
        options = {"method": self._method(isa)}
        sampler = self._primitives.SamplerV2.from_backend(self._simulator, seed=int(draw.integers(2**31)), options={"run_options": options})
        data = sampler.run([self._bound(isa, work)], shots=shots).result()[0].data
        return np.concatenate([from_bit_array(data[name].array, size) for name, size in work.cregs], axis=1)

    def _method(self, isa: Any) -> str:
        if self._device is None:
            return "automatic"
        return "density_matrix" if len(_active(isa)) <= DENSITY_QUBITS else "automatic"

    def _law(self, isa: Any, work: ReadWork) -> NDArray[np.float64]:
        """Return the law over the measured qubits in the order of `places`: density matrix, then the read-out matrices of the device."""
        wires = {isa.find_bit(one.clbits[0]).index: isa.find_bit(one.qubits[0]).index for one in isa.data if one.operation.name == "measure"}
        measured = [wires[clbit] for _, clbit in work.needs.places]
        if self._device is not None and len(_active(isa)) > DENSITY_QUBITS:
            raise QpuConfigError(f"noise on more than {DENSITY_QUBITS} qubits has no exact law here", where=self.name, remedy="Sample it.")
        bare = isa.remove_final_measurements(inplace=False)
        # Aer's most significant bit is the last qubit named.
        bare.save_probabilities(measured[::-1], label="law")
        method = "statevector" if self._device is None else "density_matrix"
        law = np.asarray(self._simulator.run(bare, shots=1, method=method).result().data(0)["law"], np.float64)
        for position, wire in enumerate(measured):
            law = _read_out(law, position, len(measured), self._readout(wire))
        found: NDArray[np.float64] = law / law.sum()
        return found

    def _readout(self, wire: int) -> NDArray[np.float64]:
        """Return P(read | true) of a qubit, rows: true value."""
        if self._device is None:
            return np.eye(2)
        errors = self._simulator.options.noise_model.to_dict()["errors"]
        found = [one["probabilities"] for one in errors if one["type"] == "roerror" and one["gate_qubits"] == [(wire,)]]
        return np.asarray(found[0], np.float64) if found else np.eye(2)


def _active(isa: Any) -> set[int]:
    return {isa.find_bit(qubit).index for one in isa.data for qubit in one.qubits if one.operation.name not in {"barrier", "delay"}}


def _read_out(law: NDArray[np.float64], position: int, n: int, readout: NDArray[np.float64]) -> NDArray[np.float64]:
    parts = law.reshape(2**position, 2, 2 ** (n - 1 - position))
    found: NDArray[np.float64] = np.einsum("atb,tr->arb", parts, readout).reshape(-1)
    return found
