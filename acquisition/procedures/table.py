"""The one place where a procedure's name finds its class, ours or another package's. Nothing is imported before it is used.

Another package adds a procedure by an entry point of the group `heliograph.procedures`: its name, and its class, which may be one of PyMeasure alone.  Here
stand procedures that need nothing but their parameters; the key exchange, which needs key stores too, has a command of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ...core import plugins
from ...core.errors import ParameterError

if TYPE_CHECKING:
    from .base import BenchProcedure

PROCEDURES: dict[str, str] = {
    "AttenuatorLinearity": ".attenuator_linearity",
    "BiasScan": ".bias_scan",
    "CountRates": ".count_rates",
    "DelayScan": ".delay_scan",
    "DetectorResponse": ".detector_response",
    "Extinction": ".extinction",
    "PhaseScan": ".phase_scan",
    "PolarisationScan": ".polarisation",
}
"""The procedures of this room: name of the class -> its module; `names` and `procedure` know those of others too."""


_ELSEWHERE = frozenset({"KeyExchange", "Distil", "Learn"})
"""What else stands in the queue by its name."""


def names() -> tuple[str, ...]:
    """Return the names of all procedures, those of other packages included."""
    return tuple(sorted({*PROCEDURES, *plugins.offered(plugins.PROCEDURES)}))


def procedure(name: str) -> type[BenchProcedure]:
    """Return the class of a procedure.

    Raises ParameterError for an unknown one, and names those there are; ConfigError for one of another package that is broken or takes a name of ours.
    """
    if name in plugins.offered(plugins.PROCEDURES):
        return _foreign(name)
    if name not in PROCEDURES:
        raise ParameterError(f"no procedure is called {name!r}", where="procedure", remedy=f"Procedures: {', '.join(names())}.")
    found: type[BenchProcedure] = getattr(import_module(PROCEDURES[name], __package__), name)
    return found


def _foreign(name: str) -> type[BenchProcedure]:
    from pymeasure.experiment import Procedure

    from .base import BenchProcedure

    if name in PROCEDURES or name in _ELSEWHERE:
        raise plugins.broken(plugins.PROCEDURES, name, "has the name of a procedure that comes with Heliograph")
    found = plugins.load(plugins.PROCEDURES, name)
    if not (isinstance(found, type) and issubclass(found, Procedure)):
        raise plugins.broken(plugins.PROCEDURES, name, f"is {found!r}, a class derived from Procedure is needed")
    origin = f"package {plugins.package(plugins.offered(plugins.PROCEDURES)[name][0])}"
    if issubclass(found, BenchProcedure):
        found.foreign = origin
        return found
    from .bridged import bridge

    return bridge(found, name, origin)


def parameters(name: str) -> dict[str, dict[str, Any]]:
    """Return what may be given to a procedure, by parameter: `label`, `units`, `default`, `minimum`, `maximum` and `choices`, None where there is none."""
    return {
        key: {
            "label": one.name,
            "units": getattr(one, "units", None),
            "default": one.default,
            "minimum": getattr(one, "minimum", None),
            "maximum": getattr(one, "maximum", None),
            "choices": list(getattr(one, "choices", None) or ()) or None,
        }
        for key, one in procedure(name)().parameter_objects().items()
    }


def made(name: str, texts: Mapping[str, str]) -> BenchProcedure:
    """Return a procedure with the parameters given as text, as on a command line or in a form; raises ParameterError."""
    return procedure(name)(**texts)
