"""IBM's fake devices: coupling, basis gates and noise of real ones, as they were calibrated once; and compiling for them and for real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.errors import QpuConfigError
from .settings import Settings
from .vendors import vendor

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

_MODULE = "qiskit_ibm_runtime.fake_provider"


def fake_device(name: str) -> Any:
    """Return the fake device of a name such as `santiago`, `fake_lagos` or `FakeOslo`. Raises QpuConfigError listing the names there are."""
    provider = vendor(_MODULE, "qiskit-ibm-runtime")
    known = _known(provider)
    key = name.lower().removeprefix("fake_").removeprefix("fake").removesuffix("_v2").removesuffix("v2")
    if key not in known:
        raise QpuConfigError(f"there is no fake device {name!r}", where="back-end", remedy=f"There are: {', '.join(sorted(known))}.")
    return getattr(provider, known[key])()


def fake_names() -> list[str]:
    """Return the names of all fake devices."""
    return sorted(_known(vendor(_MODULE, "qiskit-ibm-runtime")))


def compiled_for(device: Any, circuit: QuantumCircuit, settings: Settings) -> QuantumCircuit:
    """Return a circuit in the gates of a device, as optimisation level and seed of the settings say."""
    from qiskit.transpiler import generate_preset_pass_manager

    found: QuantumCircuit = generate_preset_pass_manager(settings.optimization_level, backend=device, seed_transpiler=settings.seed_transpiler).run(circuit)
    return found


def _known(provider: Any) -> dict[str, str]:
    classes = (name for name in dir(provider) if name.startswith("Fake") and name not in {"FakeProviderForBackendV2", "FakeFractionalBackend"})
    return {name.removeprefix("Fake").removesuffix("V2").lower(): name for name in classes}
