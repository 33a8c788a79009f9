"""The five rows from the safe state to light: what each asks the owner, and what the instruments read back about it. Pure functions of what the owner told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ..control.topics import CountRates, InstrumentState, Quantity, StationState
from ..core.errors import ArmRefused
from . import unread, words
from .card_rows import request

Ask = tuple[str, dict[str, Any]]
STEP_DB = 1.0
"""Largest step in which light is let through."""
_CLOSED_DB = 0.2


@dataclass(frozen=True, slots=True)
class Row:
    """One row.  hazard: it needs a deliberate act.  roles: of the instruments it is about."""

    title: str
    hazard: bool
    roles: tuple[str, ...]


ROWS = (
    Row("Attenuators at maximum", False, ("Attenuator",)),
    Row("Power meter as expected", False, ("PowerMeter",)),
    Row("Detector bias", True, ("PhotonDetector",)),
    Row("Emission", True, ("Laser",)),
    Row("Attenuation down", True, ("Attenuator",)),
)


def quantities(station: StationState, role: str, wanted: Callable[[Quantity], bool]) -> Iterator[tuple[InstrumentState, Quantity]]:
    """Yield instrument and quantity for every quantity of a role that is wanted."""
    for one in station.instruments:
        if one.role == role:
            yield from ((one, quantity) for quantity in one.quantities if wanted(quantity))


def attenuations(station: StationState) -> list[tuple[InstrumentState, Quantity]]:
    """Return the attenuations that can be set."""
    return list(quantities(station, "Attenuator", lambda one: one.unit == "dB" and bool(one.member)))


def biases(station: StationState) -> list[tuple[InstrumentState, Quantity]]:
    """Return the biases of detectors."""
    return list(quantities(station, "PhotonDetector", lambda one: one.unit in ("A", "V") and "bias" in one.label.lower()))


def _powers(station: StationState, role: str) -> list[tuple[InstrumentState, Quantity]]:
    return list(quantities(station, role, lambda one: one.unit == "W"))


def _switches(station: StationState, role: str, member: str) -> list[tuple[InstrumentState, Quantity]]:
    return list(quantities(station, role, lambda one: one.member == member))


def asks(row: int, station: StationState) -> list[Ask]:
    """Return what a row (0 to 3) asks the owner, in order. Raises ArmRefused where the station does not say enough."""
    return (_close, _look, _bias, _light)[row](station)


def _close(station: StationState) -> list[Ask]:
    found = []
    for one, quantity in attenuations(station):
        if quantity.high is None:
            raise ArmRefused("its highest attenuation is not known", where=one.name, remedy="Give it limits in the station file, or use Arm.")
        found.append(request(one.name, quantity.member, quantity.high))
    return found


def _look(station: StationState) -> list[Ask]:
    return [("get", {"name": one.name, "member": "power_w"}) for one in station.instruments if one.role == "PowerMeter"]


def _bias(station: StationState) -> list[Ask]:
    found = [request(one.name, quantity.member, True) for one, quantity in _switches(station, "PhotonDetector", "enabled")]
    for one, quantity in biases(station):
        if quantity.operate is None:
            raise ArmRefused("the station names no bias for normal work", where=one.name, remedy='Add operate = { bias = ".. uA" } to its rules, or use Arm.')
        if quantity.member:
            found.append(request(one.name, quantity.member, quantity.operate))
    return found


def _light(station: StationState) -> list[Ask]:
    found = [request(one.name, q.member, q.operate) for one, q in _powers(station, "Laser") if q.member and q.operate is not None]
    return found + [request(one.name, quantity.member, True) for one, quantity in _switches(station, "Laser", "emission")]


def reached(row: int, station: StationState) -> bool:
    """Say whether the instruments read back what a row is for."""
    if row == 0:
        found = attenuations(station)
        return bool(found) and all(q.high is not None and isinstance(q.measured, float) and q.measured >= q.high - _CLOSED_DB for _, q in found)
    if row == 1:
        return all(one.holds for one in station.interlocks if "meter" in one.name.lower() or "dark" in one.name.lower())
    if row == 2:
        detectors = [one for one in station.instruments if one.role == "PhotonDetector"]
        return bool(detectors) and all(one.state == "armed" for one in detectors)
    if row == 3:
        return any(quantity.measured is True for _, quantity in _switches(station, "Laser", "emission"))
    return False


def dark(station: StationState) -> bool:
    """Say whether there are lasers, and every one reads back that it is off."""
    found = _switches(station, "Laser", "emission")
    return bool(found) and all(quantity.measured is False for _, quantity in found)


def fresh(row: int, station: StationState) -> bool:
    """Say whether what the instruments of a row read back is of now."""
    old = unread.unread(station.instruments)
    return not any(one.name in old for one in station.instruments if one.role in ROWS[row].roles)


def against(station: StationState) -> list[str]:
    """Return what stands against light on biased detectors now, each with what to do."""
    return [f"Open: {one.name}, {one.cause}. {one.clear}".strip() for one in station.interlocks if not one.holds]


def read_back(row: int, station: StationState, counts: CountRates | None = None) -> str:
    """Return what the instruments read back about a row, in words, and which of it is old."""
    old = unread.unread(station.instruments)
    ages = [f"{one.name} {unread.mark(old[one.name])}" for one in station.instruments if one.role in ROWS[row].roles and one.name in old]
    return ", ".join([_read_back(row, station, counts), *ages])


def _read_back(row: int, station: StationState, counts: CountRates | None) -> str:
    if row in (0, 4):
        told = [f"{one.name} {words.quantity(quantity.measured, 'dB')}" for one, quantity in attenuations(station)]
        return ", ".join(told if row == 0 else [*told, *rates(counts)]) or "no attenuator"
    if row == 1:
        return ", ".join(f"{one.name} {words.power(_float(q.measured))}" for one, q in _powers(station, "PowerMeter")) or "no power meter"
    if row == 2:
        return ", ".join(f"{one.name} {q.label.lower()}: {words.quantity(q.measured, q.unit)}" for one, q in biases(station)) or "no detector"
    lasers = [f"{one.name} {words.quantity(q.measured)}" for one, q in _switches(station, "Laser", "emission")]
    return ", ".join([*lasers, *(words.power(_float(q.measured)) for _, q in _powers(station, "Laser")[:1])]) or "no laser"


def rates(counts: CountRates | None) -> list[str]:
    """Return the count rate of every channel beside its limit."""
    if counts is None:
        return []
    return [
        f"{name} {words.scaled(float(rate), 'Hz')} of {words.scaled(float(limit), 'Hz')}" if isfinite(limit) else f"{name} {words.scaled(float(rate), 'Hz')}"
        for name, rate, limit in zip(counts.names, counts.rates_hz, counts.limit_hz, strict=True)
    ]


def row_of(where: str, station: StationState) -> int | None:
    """Return the row that an error is about, by the instrument that it names; None where it names none."""
    role = next((one.role for one in station.instruments if one.name == where.partition(":")[0].strip()), "")
    return next((at for at, row in enumerate(ROWS) if role in row.roles), None)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
