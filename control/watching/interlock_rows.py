"""The conditions for light on biased detectors, as an operator sees them: does each hold, what was read, and how to clear it.

They are the arbiter's own rules over what was read last; the arbiter reads again before it permits anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from ...core.units import show
from ...instruments.guard import interlocks, readings
from ...instruments.guard.arming import DARK_W
from ...instruments.guard.interlocks import AttenuatorNow, DetectorNow, LaserNow, Reading
from ..topics import Interlock
from .instrument_states import Seen

if TYPE_CHECKING:
    from ...instruments.connect import Instruments
    from ...instruments.station import Station

INTERLOCK = "interlock_closed"
"""Key under which it is kept among what was read of a laser."""


@dataclass(frozen=True, slots=True)
class Guards:
    """What guards the bench.  tripped: why, empty if it did not.  watchdog: its process, None without one.  begun: there was one."""

    tripped: str = ""
    watchdog: int | None = None
    begun: bool = False


def interlock_rows(
    instruments: Instruments, seen: Mapping[str, Seen], guards: Guards, today: date, now: float, before: Mapping[str, Interlock]
) -> list[Interlock]:
    """Return the interlocks.

    seen: what was read of each instrument.  now: Unix seconds.  before: the rows as they were, by name, whose `since` holds on where nothing changed.
    """
    station, found = instruments.station, list[Interlock]()
    found.append(_tripped(guards))
    found.append(_watchdog(guards))
    found.append(_answering(instruments, seen))
    found += _light(station, _readings(instruments, seen), today)
    found += _fixed_loss(station, today)
    found += _loops(instruments, seen)
    found += _dark(instruments, seen)
    return [_dated(row, before.get(row.name), now) for row in found]


def _dated(row: Interlock, before: Interlock | None, now: float) -> Interlock:
    return replace(row, since=before.since if before is not None and before.holds is row.holds else now)


def _row(name: str, holds: bool, cause: str, clear: str) -> Interlock:
    return Interlock(name, holds, cause, "" if holds else clear, 0.0)


def _tripped(guards: Guards) -> Interlock:
    return _row("Not tripped", not guards.tripped, guards.tripped or "no rule has tripped the bench", "Find the cause, then reset the bench.")


def _watchdog(guards: Guards) -> Interlock:
    watches = f"process {guards.watchdog} watches" if guards.watchdog else "it is gone" if guards.begun else "it starts with the light"
    return _row("Watchdog", bool(guards.watchdog) or not guards.begun, watches, "Reset the bench and arm it: that starts another one.")


def _answering(instruments: Instruments, seen: Mapping[str, Seen]) -> Interlock:
    """Tell of those that do not answer at all, and of those whose answer makes no sense; one that was not read yet is not said to answer."""
    known = {name: seen.get(name, Seen()) for name in instruments}
    away = [name for name, one in known.items() if one.released]
    told = [f"{', '.join(away)} {'is' if len(away) == 1 else 'are'} released for service"] if away else []
    told += [f"{name} {'lost' if one.lost else 'gives no good answer'}: {one.error}" for name, one in known.items() if one.error and not one.released]
    read = sum(bool(one.values) for one in known.values())
    well = f"{read} instruments answer" if read == len(known) else f"{read} of {len(known)} instruments answer, the others were not read yet"
    clear = "Take it back, on its card." if len(told) == bool(away) else "Check its power and its cable; it is asked again by itself."
    return _row("Instruments answer", not told, "; ".join(told) or well, clear)


def _light(station: Station, now: Mapping[str, Reading], today: date) -> Iterator[Interlock]:
    """Yield the balance of light and attenuation; where nothing shines, that of the light that would be switched on."""
    lasers = [one for one in now.values() if isinstance(one, LaserNow)]
    detectors = [name for name, one in now.items() if isinstance(one, DetectorNow)]
    if not lasers or not detectors:
        return
    lit = [one for one in lasers if one.emission]
    found = interlocks.balance(station, now, today, lit or lasers, detectors)
    if isinstance(found, str):
        yield _row("Light on detectors", holds=False, cause=found, clear="Add limits.flux or limits.rate to its rules in the station file.")
        return
    clear = "Attenuate more, lower the laser's power, or park the detectors."
    yield _row("Light on detectors", found.holds, str(found) if lit else f"the light is off; {found}", clear)


def _fixed_loss(station: Station, today: date) -> Iterator[Interlock]:
    fixed = station.optics.att_fixed
    if "att_fixed" in station.optics.line:
        until = fixed.verified + timedelta(days=fixed.valid_days)
        cause = f"{fixed.loss_db:g} dB were verified on {fixed.verified} and hold until {until}"
        yield _row("Fixed loss", fixed.verified <= today <= until, cause, "Measure it again and enter loss and date in the station file.")


def _loops(instruments: Instruments, seen: Mapping[str, Seen]) -> Iterator[Interlock]:
    for name in instruments:
        closed = seen[name].values.get(INTERLOCK) if name in seen else None
        if closed is not None:
            yield _row(f"Interlock loop of {name}", bool(closed), "closed" if closed else "open", "Close it: doors, covers, key switch.")


def _dark(instruments: Instruments, seen: Mapping[str, Seen]) -> Iterator[Interlock]:
    lit = any(seen[name].values.get("emission") is True for name in seen)
    for name, one in instruments.items():
        if one.role != "PowerMeter":
            continue
        power_w = seen[name].values.get("power_w") if name in seen else None
        silent = name in seen and bool(seen[name].error)
        read = f"{show(float(power_w), 'W')} are measured" if isinstance(power_w, int | float) else "it was not read yet"
        told = f"{'it is released for service' if seen[name].released else 'it does not answer'}, so nobody knows" if silent else read
        dark = isinstance(power_w, int | float) and power_w <= DARK_W and not silent
        yield _row(f"Dark at {name}", dark or lit, f"{told} while the light is on" if lit else told, "Look for stray light; zero the meter.")


def _readings(instruments: Instruments, seen: Mapping[str, Seen]) -> dict[str, Reading]:
    """Return what was read, as the arbiter judges it; the worst of what does not answer."""
    found: dict[str, Reading] = {}
    for name, one in instruments.items():
        if not readings.guarded(instruments.station, one):
            continue
        known = seen.get(name, Seen())
        found[name] = readings.worst(one) if known.error or not known.values else _reading(one, known)
    return found


def _reading(one: object, known: Seen) -> Reading:
    role, values = getattr(one, "role", ""), known.values
    if role == "Laser":
        power_w = max(_number(values, "power_setpoint_w"), _number(values, "power_w"))
        return LaserNow(values.get("emission") is True, power_w, _number(values, "wavelength_m"))
    if role == "Attenuator":
        return AttenuatorNow(_number(values, "attenuation_db") if values.get("attenuation_db") is not None else None)
    if role == "PhotonDetector":
        biases = {k: _number(values, key) for k, key in enumerate(key for key in values if key.startswith("bias_"))}
        return DetectorNow(biases, getattr(one, "parked_bias", 0.0), values.get("enabled") is True)
    return interlocks.SourceNow({})


def _number(values: Mapping[str, object], key: str) -> float:
    found = values.get(key)
    return float(found) if isinstance(found, int | float) else 0.0
