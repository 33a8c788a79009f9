"""What other installed packages offer: drivers, simulators and procedures, found by their entry points.

    [project.entry-points."heliograph.instruments"]
    N7764A = "acme_bench.attenuator:DRIVER"

Nothing of another package is imported before its name is asked for. One that is broken spoils nothing but its own names.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import ConfigError

INSTRUMENTS = "heliograph.instruments"
MOCKS = "heliograph.mocks"
PROCEDURES = "heliograph.procedures"


@cache
def offered(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of a group by name; looked for once a process. Two under one name are two packages that contradict each other."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in sorted(entry_points(group=group), key=lambda one: (one.name, one.value)):
        found[point.name] = (*found.get(point.name, ()), point)
    return found


@cache
def load(group: str, name: str) -> Any:
    """Return the object that another package offers under a name; the name must be in `offered(group)`.

    Raises ConfigError, which names the package, if it cannot be imported or if two packages offer the same name.
    """
    points = offered(group)[name]
    if len(points) > 1:
        raise ConfigError(f"{name} is offered by {' and by '.join(map(package, points))}", where=group, remedy="Uninstall one of them.")
    try:
        return points[0].load()
    # Whatever a foreign module does while it is imported, this is its fault and has its name.
    except Exception as error:
        raise broken(group, name, f"cannot be loaded ({type(error).__name__}: {error})") from error


def broken(group: str, name: str, what: str) -> ConfigError:
    """Return the error for an object of another package that is not what it should be."""
    point = offered(group)[name][0]
    return ConfigError(f"{name} of {package(point)} {what}", where=f'{group}: {name} = "{point.value}"', remedy="Update that package, or uninstall it.")


def package(point: EntryPoint) -> str:
    """Return the name and version of the package that an entry point comes from."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
