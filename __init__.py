"""Heliograph: control and acquisition suite of a quantum-optics bench on which several parties learn together without showing each other their data.

    from heliograph import PhaseScan, open_bench, simulated_station

    with open_bench(simulated_station("my-bench")) as bench:
        run = bench.run(PhaseScan(user="A", partner="B"))
    run.plot().savefig("fringe.png")

The names below are loaded when first used, so that `heliograph --help` answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .acquisition.procedures.count_rates import CountRates
    from .acquisition.procedures.phase_scan import PhaseScan
    from .acquisition.runs import Run
    from .control.bench import open_bench
    from .control.parties.node import network
    from .control.stations import simulated_station
    from .instruments.station import Station
    from .postprocess.procedures.key_exchange import KeyExchange
    from .protocols.learning.tasks import digits_task, mnist_task
    from .protocols.qunetqfl.driver import Settings, learn

    __version__: str

__all__ = [
    "CountRates",
    "KeyExchange",
    "PhaseScan",
    "Run",
    "Settings",
    "Station",
    "__version__",
    "digits_task",
    "learn",
    "mnist_task",
    "network",
    "open_bench",
    "simulated_station",
]

_PLACES = {
    "CountRates": ".acquisition.procedures.count_rates",
    "KeyExchange": ".postprocess.procedures.key_exchange",
    "PhaseScan": ".acquisition.procedures.phase_scan",
    "Run": ".acquisition.runs",
    "Settings": ".protocols.qunetqfl.driver",
    "Station": ".instruments.station",
    "digits_task": ".protocols.learning.tasks",
    "learn": ".protocols.qunetqfl.driver",
    "mnist_task": ".protocols.learning.tasks",
    "network": ".control.parties.node",
    "open_bench": ".control.bench",
    "simulated_station": ".control.stations",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("heliograph")
    if name in _PLACES:
        return getattr(import_module(_PLACES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
