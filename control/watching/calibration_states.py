"""How the calibrations of a station stand, looked at anew when their folder changed, or after a minute."""

from __future__ import annotations

import time
from dataclasses import replace
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING

from ..topics import CalibrationState

if TYPE_CHECKING:
    from ...acquisition.calibration_plans import Plan
    from ...acquisition.calibrations import Calibrations, Standing
    from ...instruments.station import Station

KEPT_S = 60.0
_STATES = {"valid": "good", "expired": "stale", "missing": "missing", "suspect": "suspect"}
_SHOWN = 2
Signature = tuple[tuple[str, int], ...]


class CalibrationStates:
    """The calibrations of one station.

    Behind each record stands a run file, whose hash takes a moment.
    """

    def __init__(self, station: Station, store: Calibrations) -> None:
        self._station, self._store = station, store
        self._found: tuple[CalibrationState, ...] = ()
        self._signature: Signature | None = None
        self._looked = 0.0

    def look(self) -> tuple[CalibrationState, ...]:
        """Return how they stand, in the order in which to make them."""
        signature, now = _signature(self._store.folder), time.monotonic()
        if signature != self._signature or now - self._looked > KEPT_S:
            self._signature, self._looked = signature, now
            self._found = states(self._station, self._store)
        return self._found


def _signature(folder: Path) -> Signature:
    try:
        return tuple(sorted((path.name, path.stat().st_mtime_ns) for path in folder.glob("*.toml")))
    except OSError:
        return ()


def states(station: Station, store: Calibrations) -> tuple[CalibrationState, ...]:
    """Return how every calibration of a station stands, those that other runs heed included."""
    from ...acquisition.calibrated import heeded, standing
    from ...acquisition.calibration_plans import plans

    planned = plans(station)
    found = []
    for name in dict.fromkeys([*planned, *heeded(station, store)]):
        one, plan = standing(station, store, name), planned.get(name)
        found.append(_state(one, plan))
    return tuple(found)


def order(found: tuple[CalibrationState, ...]) -> tuple[str, ...]:
    """Return the names of those that are missing or stale and can be made, in the order in which to make them."""
    return tuple(one.name for one in found if one.state != "good" and one.procedure)


def _uncertain(value: float, sigma: float) -> str:
    """Return a value and its standard deviation, with two digits of that."""
    if not 1e-12 < sigma < 1e6:
        return f"{value:.4g}"
    digits = max(0, 1 - floor(log10(sigma)))
    return f"{value:.{digits}f} ± {sigma:.{digits}f}" if digits <= 6 else f"{value:.4g} ± {sigma:.2g}"


def _state(one: Standing, plan: Plan | None) -> CalibrationState:
    """Return how a record stands.  plan: None for one that no plan of the station renews."""
    record, told = one.calibration, CalibrationState(one.name, plan.procedure if plan else "", _STATES[one.state], "", needs=plan.needs if plan else ())  # type: ignore[arg-type]
    told = replace(told, user=plan.parameters.get("user", "") if plan else "", text=one.error.message if one.error else "")
    if record is None:
        return told
    values = ", ".join(f"{name} {_uncertain(found.value, found.sigma)} {found.unit}".rstrip() for name, found in list(record.values.items())[:_SHOWN])
    told = replace(told, text=told.text or values, taken=record.taken.timestamp(), until=record.until.timestamp())
    seen = record.values.get("visibility")
    return replace(told, visibility=seen.value, visibility_sigma=seen.sigma) if seen is not None else told
