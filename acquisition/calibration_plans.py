"""Which calibrations a station can have, and the procedure that makes each, in the order in which one builds on another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import ParameterError
from .procedures import table

if TYPE_CHECKING:
    from ..instruments.station import Station
    from .calibrations import Calibrations
    from .procedures.base import BenchProcedure


@dataclass(frozen=True, slots=True)
class Plan:
    """One calibration.

    name: of its record.  finds: what, in words.  procedure: by name.  parameters: which make it this one.  needs: names of those on which it builds.
    """

    name: str
    finds: str
    procedure: str
    parameters: Mapping[str, str]
    needs: tuple[str, ...] = ()

    def made(self, given: Mapping[str, str] | None = None) -> BenchProcedure:
        """Return the procedure, with more parameters as text. Raises ParameterError for one that would make it another calibration, or is impossible."""
        for name, value in (given or {}).items():
            if self.parameters.get(name, value) != value:
                raise ParameterError(f"{name} is {self.parameters[name]} for {self.name}", where="--param", remedy="Leave it out, or run another calibration.")
        return table.made(self.procedure, {**self.parameters, **(given or {})})


def plans(station: Station) -> dict[str, Plan]:
    """Return the calibrations of a station by the names of their records."""
    return {plan.name: plan for plan in _plans(station)}


def _plans(station: Station) -> Iterator[Plan]:
    optics, users = station.optics, tuple(station.optics.users)
    carvers = [name for name in optics.line if name in optics.modulators]
    attenuators = [name for name, entry in station.instruments.items() if entry.wire.role == "Attenuator"]
    for name in carvers:
        yield Plan(f"{name}-bias", f"half-wave voltage and darkest point of {name}", "BiasScan", {"modulator": name})
    for name in carvers:
        yield Plan(f"{name}-extinction", f"extinction ratio of {name}", "Extinction", {"modulator": name}, (f"{name}-bias",))
    paddles = [name for name, entry in station.instruments.items() if entry.wire.role == "PolarisationController" and len(users) > 1]
    carved = tuple(f"{name}-bias" for name in carvers)
    for name in paddles:
        yield Plan(f"{name}-polarisation", f"paddle angles of {name} for the best visibility", "PolarisationScan", {"controller": name}, carved)
    for user, partner in zip(users, users[1:] + users[:1], strict=True) if len(users) > 1 else ():
        pair, modulator = {"user": user, "partner": partner}, optics.users[user].pm
        seen = (*carved, *(f"{name}-polarisation" for name in paddles))
        yield Plan(f"{modulator}-delay", f"when the trains pass the modulator of user {user}", "DelayScan", pair, seen)
        yield Plan(f"{modulator}-fringe", f"half-wave voltage of user {user}, and visibility", "PhaseScan", pair, (f"{modulator}-delay",))
    # Its quarter of a turn is as good as the user's half-wave voltage.
    if len(users) > 1:
        pair = {"user": users[0], "partner": users[1]}
        yield Plan(
            "site-response",
            "efficiency, dark counts, dead time and afterpulses of the detectors",
            "DetectorResponse",
            pair,
            (f"{optics.users[users[0]].pm}-fringe",),
        )
    for name in attenuators:
        if name in optics.line or any(user.voa == name for user in optics.users.values()):
            yield Plan(f"{name}-linearity", f"linearity of {name}", "AttenuatorLinearity", {"attenuator": name}, carved)


def plan(station: Station, name: str) -> Plan:
    """Return one calibration of a station. Raises ParameterError for another name, and names those there are."""
    found: dict[str, Any] = plans(station)
    if name not in found:
        raise ParameterError(f"there is no calibration {name!r} of this station", where="calibrate", remedy=f"There are {', '.join(found)}; or all, or stale.")
    chosen: Plan = found[name]
    return chosen


def in_order(station: Station, store: Calibrations, names: Sequence[str] | None = None) -> list[Plan]:
    """Return the calibrations of these names in the order in which to make them; without names those that are missing or stale.

    Raises ParameterError for a name that is no calibration of the station.
    """
    from .calibrated import standing

    planned = plans(station)
    for name in names or ():
        plan(station, name)
    return [one for name, one in planned.items() if (name in names if names is not None else standing(station, store, name).state != "valid")]
