"""From a configuration string to a back-end; and which ones there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import QpuConfigError
from .engine import ProviderBackend
from .projects import Project
from .retries import Patience


@dataclass(frozen=True, slots=True)
class Known:
    """One kind of back-end. needs: module and package.  cloud: circuits leave this machine."""

    config: str
    what: str
    needs: tuple[str, str] | None
    cloud: bool = False

    @property
    def installed(self) -> bool:
        """Return whether its package is here."""
        return self.needs is None or find_spec(self.needs[0]) is not None


KNOWN = (
    Known("local", "own simulator, batched, up to 20 qubits", ("torch", "torch")),
    Known("local:joint", "samples of a law that is given (from Python only)", ("torch", "torch")),
    Known("aer", "Qiskit Aer, ideal", ("qiskit_aer", "qiskit-aer")),
    Known("aer:<device>", "Qiskit Aer with the noise of a fake device", ("qiskit_aer", "qiskit-aer")),
    Known("fake:<device>", "fake IBM device, by the path of the real ones", ("qiskit_ibm_runtime", "qiskit-ibm-runtime")),
    Known("ibm:<device>", "IBM device", ("qiskit_ibm_runtime", "qiskit-ibm-runtime"), cloud=True),
    Known("braket:sv", "Braket state vector on this machine", ("qiskit_braket_provider", "qiskit-braket-provider")),
    Known("braket:dm", "Braket density matrix on this machine", ("qiskit_braket_provider", "qiskit-braket-provider")),
    Known("braket:<arn>", "Braket device or simulator at AWS", ("qiskit_braket_provider", "qiskit-braket-provider"), cloud=True),
    Known("recorded:<folder>", "what was once measured", None),
    Known("outside:<name>", "somebody else runs it: qpu export, qpu import", None),
)


@dataclass(frozen=True, slots=True)
class _Given:
    law: Any
    client: Any
    common: dict[str, Any]


def open_backend(
    config: str | None = None,
    project: Project | Path | str | None = None,
    *,
    law: NDArray[np.floating] | None = None,
    client: Any = None,
    patience: Patience | None = None,
) -> ProviderBackend:
    """Return the back-end of a configuration string, the project's own where it is None.

    project: folder in which jobs are remembered; clouds need one.  law: of `local:joint`, (2^c,).  client: an IBM Runtime service or a Braket session that is
    already there; else the vendors' own chains find the credentials.  Raises QpuConfigError, QpuAuthError or QpuUnavailable; nothing was sent.
    """
    home = Project(project) if isinstance(project, Path | str) else project
    name = config or (home.settings.backend if home else "local")
    kind, _, argument = name.partition(":")
    makers: dict[str, Callable[..., ProviderBackend]] = {
        "local": _local, "aer": _aer, "fake": _fake, "ibm": _ibm, "braket": _braket, "recorded": _recorded, "outside": _outside
    }  # fmt: skip
    if kind not in makers:
        raise QpuConfigError(f"there is no back-end {name!r}", where="back-end", remedy=f"There are: {', '.join(one.config for one in KNOWN)}.")
    if not argument and kind in {"fake", "ibm", "braket", "recorded", "outside"}:
        raise QpuConfigError(
            f"{kind} of what?", where="back-end", remedy=f"Write one of: {', '.join(one.config for one in KNOWN if one.config.startswith(kind))}."
        )
    return makers[kind](argument, _Given(law, client, {"project": home, "patience": patience}))


def _local(argument: str, given: _Given) -> ProviderBackend:
    from .local import LocalBackend

    if argument not in {"", "joint"} or (argument == "joint") != (given.law is not None):
        raise QpuConfigError("local:joint goes with a law, local without", where="back-end", remedy="Give `law=` together with local:joint.")
    return LocalBackend(law=given.law, **given.common)


def _aer(argument: str, given: _Given) -> ProviderBackend:
    from .aer import AerBackend

    return AerBackend(argument or None, **given.common)


def _fake(argument: str, given: _Given) -> ProviderBackend:
    from .ibm import IBMRuntimeBackend

    return IBMRuntimeBackend.fake(argument, **given.common)


def _ibm(argument: str, given: _Given) -> ProviderBackend:
    from .ibm import IBMRuntimeBackend

    return IBMRuntimeBackend.real(argument, given.client, **given.common)


def _braket(argument: str, given: _Given) -> ProviderBackend:
    from .braket import BraketBackend

    if argument.startswith("arn:"):
        return BraketBackend.at_aws(argument, given.client, **given.common)
    return BraketBackend.on_this_machine(argument, **given.common)


def _recorded(argument: str, given: _Given) -> ProviderBackend:
    from .recorded import RecordedBackend

    return RecordedBackend(argument, **given.common)


def _outside(argument: str, given: _Given) -> ProviderBackend:
    from .exchange import OutsideBackend

    return OutsideBackend(argument, **given.common)
