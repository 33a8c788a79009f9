"""Heliograph: control and acquisition suite of a quantum-optics bench on which several parties learn together.

    from heliograph import Run, open_bench

    with open_bench("station.toml") as bench:
        ...

The names below are loaded when first used, so that `heliograph --help` answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .acquisition.runs import Run
    from .control.bench import open_bench
    from .instruments.station import Station

    __version__: str

__all__ = ["Run", "Station", "__version__", "open_bench"]

_PLACES = {"Run": ".acquisition.runs", "Station": ".instruments.station", "open_bench": ".control.bench"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("heliograph")
    if name in _PLACES:
        return getattr(import_module(_PLACES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
