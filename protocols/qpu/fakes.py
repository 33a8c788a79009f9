"""IBM's fake devices: coupling, basis gates and noise of real ones, as they were calibrated once."""

from __future__ import annotations

from typing import Any

from ...core.errors import QpuConfigError
from .vendors import vendor

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


def _known(provider: Any) -> dict[str, str]:
    classes = (name for name in dir(provider) if name.startswith("Fake") and name not in {"FakeProviderForBackendV2", "FakeFractionalBackend"})
    return {name.removeprefix("Fake").removesuffix("V2").lower(): name for name in classes}
