"""A station with what was measured of it in place of what its file says: how later runs use calibrations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..core.errors import CalibrationError, Expired, Suspect
from .calibrations import Calibration, Calibrations, Standing, make

if TYPE_CHECKING:
    from ..instruments.connect import Instruments
    from ..instruments.station import Station

SITE = "site"


def elements(station: Station) -> tuple[str, ...]:
    """Return what of a station can have calibrations: instruments, modulators, and the detectors' `site`."""
    return (*station.instruments, *station.optics.modulators, SITE)


def heeded(station: Station, store: Calibrations) -> tuple[str, ...]:
    """Return the names of the records that runs must heed: those the station file asks for, and those there are for its elements.

    Records of a station of another name, which may lie in the same folder, are none of its own.
    """
    asked = {name for modulator in station.optics.modulators.values() for name in modulator.calibration}
    there = {name for name in store.names() if name.rpartition("-")[0] in elements(station) and not _of_another(station, store, name)}
    return tuple(sorted(asked | there))


def _of_another(station: Station, store: Calibrations, name: str) -> bool:
    try:
        return store.read(name).station != station.info.name
    except Suspect:
        # Nobody knows whose it is, so it is heeded, and refused.
        return False


def usable(station: Station, store: Calibrations, *, now: datetime | None = None) -> tuple[Calibration, ...]:
    """Return the records that runs use.

    Raises CalibrationError for one that the station file asks for and is not there; Expired and Suspect for any, also if only one of record and station is
    simulated, or if they are in part and the same instruments are not.
    """
    return tuple(use(station, store, name, now=now) for name in heeded(station, store))


def use(station: Station, store: Calibrations, name: str, *, now: datetime | None = None) -> Calibration:
    """Return a record that a station's runs may use now. Raises as `usable` does."""
    record = store.use(name, now=now)
    where = str(store.path(name))
    if record.station != station.info.name:
        raise CalibrationError(f"there is one of {record.station} only", where=where, remedy=make(name))
    if record.simulated is not station.simulated:
        told = "it was measured on simulated instruments, and these are not" if record.simulated else "it was measured on a real bench, and this one is not"
        raise Suspect(told, where=where, remedy=make(name))
    now_simulated = {instrument: entry.rules.simulated for instrument, entry in station.instruments.items()}
    then_simulated = store.simulated(record)
    # Of a bench that is partly real nobody knows which instruments made the value, so all must be what they were.
    if len({*now_simulated.values(), *then_simulated.values()}) > 1 and now_simulated != then_simulated:
        then, present = (", ".join(one for one, simulated in which.items() if simulated) or "nothing" for which in (then_simulated, now_simulated))
        raise Suspect(f"simulated was {then} when it was measured, and is {present} now", where=where, remedy=make(name))
    return record


def standing(station: Station, store: Calibrations, name: str) -> Standing:
    """Say what becomes of a record of this name in a station's runs now."""
    try:
        return Standing(name, "valid", use(station, store, name))
    except CalibrationError as error:
        state = {Expired: "expired", Suspect: "suspect"}.get(type(error), "missing")
        try:
            return Standing(name, state, store.read(name) if state != "missing" else None, error)
        except CalibrationError:
            return Standing(name, state, None, error)


def apply(station: Station, records: Sequence[Calibration]) -> Station:
    """Return the station with the values of the records in place of its own. Raises CalibrationError for a record of nothing in the station."""
    for record in records:
        change = _CHANGES.get(record.kind)
        if record.element not in elements(station):
            raise CalibrationError(f"the station has no {record.element}", where=record.name, remedy="Remove the record, or mend the station file.")
        if change is not None:
            station = change(station, record)
    return station


def in_use(instruments: Instruments, store: Calibrations, *, measuring: str = "") -> tuple[Instruments, tuple[Calibration, ...]]:
    """Return the instruments with the calibrated station in place of theirs, for one run, and the records that were used.

    measuring: the record that this run is to renew; then records that are stale are left out instead of refused.  Raises as `usable` does.
    """
    station = instruments.station
    if measuring:
        found = (standing(station, store, name) for name in heeded(station, store) if name != measuring)
        records = tuple(one.calibration for one in found if one.calibration is not None and one.error is None)
    else:
        records = usable(station, store)
    view = copy(instruments)
    view.station = apply(station, records)
    return view, records


def _modulator(station: Station, name: str, **found: Any) -> Station:
    modulators = station.optics.modulators
    changed = modulators[name].model_copy(update=found)
    return replace(station, optics=station.optics.model_copy(update={"modulators": {**modulators, name: changed}}))


def _bias(station: Station, record: Calibration) -> Station:
    # A bias controller finds the darkest point by itself, and would follow an offset.
    held = station.optics.modulators[record.element].bias is not None
    return _modulator(station, record.element, v_pi_v=record["v_pi_v"], **({} if held else {"null_v": record["null_v"]}))


def _extinction(station: Station, record: Calibration) -> Station:
    return _modulator(station, record.element, er_db=record["er_db"])


def _fringe(station: Station, record: Calibration) -> Station:
    return _modulator(station, record.element, v_pi_v=record["v_pi_v"])


def _delay(station: Station, record: Calibration) -> Station:
    return _modulator(station, record.element, trains_s=(record["clockwise_s"], record["counter_s"]))


def _response(station: Station, record: Calibration) -> Station:
    site = station.optics.site.model_copy(
        update={
            "eta": (record["eta_1"], record["eta_2"]),
            "dark_hz": (record["dark_1_hz"], record["dark_2_hz"]),
            "dead_time_s": (record["dead_1_s"] + record["dead_2_s"]) / 2.0,
        }
    )
    return replace(station, optics=station.optics.model_copy(update={"site": site}))


_CHANGES: dict[str, Callable[[Station, Calibration], Station]] = {
    "bias": _bias,
    "extinction": _extinction,
    "fringe": _fringe,
    "delay": _delay,
    "response": _response,
}
