"""What is told of each instrument: from what was read of it to its quantities, and one word for its state."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Literal

from ...instruments.roles import Scalar
from ..topics import InstrumentState, Quantity

if TYPE_CHECKING:
    from ...instruments.station_models import InstrumentEntry

RELEASED = "it is released for service"
Bounds = tuple[float | None, float | None]
_UNLIMITED: Bounds = (None, None)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one instrument.

    values: its settings as read last.  safe, moving: as read with them.  wanted, accepted: by quantity as the arbiter knows it.
    error: why it was not read last; `lost` if it did not answer, `released` if it was let go for service.  error_t, read_t: Unix seconds, 0 for never.
    read_at: as `read_t`, by the monotonic clock.
    """

    values: Mapping[str, Scalar] = field(default_factory=dict)
    safe: bool = True
    moving: bool = False
    wanted: Mapping[str, float] = field(default_factory=dict)
    accepted: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    lost: bool = False
    released: bool = False
    error_t: float = 0.0
    read_t: float = 0.0
    read_at: float = 0.0


def instrument_state(name: str, entry: InstrumentEntry, identity: str, address: str, seen: Seen) -> InstrumentState:
    """Return what is told of an instrument."""
    faults = str(seen.values.get("faults") or "")
    quantities = tuple(_QUANTITIES[entry.wire.role](entry, seen)) if seen.values else ()
    return InstrumentState(
        name,
        entry.wire.role,
        identity,
        address,
        entry.rules.simulated,
        _word(seen, faults),
        quantities,
        why=seen.error or faults,
        error_t=seen.error_t,
        read_t=seen.read_t,
        age_s=time.monotonic() - seen.read_at if seen.read_t else None,
    )


def _word(seen: Seen, faults: str) -> Literal["safe", "armed", "moving", "lost", "fault", "released"]:
    if seen.released:
        return "released"
    if seen.lost:
        return "lost"
    if seen.error or faults:
        return "fault"
    if seen.moving:
        return "moving"
    return "safe" if seen.safe else "armed"


@dataclass(frozen=True, slots=True)
class _Told:
    """Makes quantities of what was seen."""

    seen: Seen

    def set(
        self, label: str, unit: str, member: str, key: str, *, asked: str, taken: str = "", bounds: Bounds = _UNLIMITED, operate: Scalar = None
    ) -> Quantity:
        """Return one that can be set.  key: of the value read.  asked: quantity by which it was asked for.  taken: key of what the device says it took."""
        seen = self.seen
        wanted: Scalar = seen.wanted.get(asked)
        accepted: Scalar = seen.values.get(taken) if taken else seen.accepted.get(asked)
        measured = seen.values.get(key)
        if isinstance(measured, bool):
            wanted, accepted = (None if one is None else bool(one) for one in (wanted, accepted))
        return Quantity(label, unit, measured, wanted, accepted, member, *bounds, operate if isinstance(operate, float) else None)

    def read(self, label: str, unit: str, key: str) -> Iterator[Quantity]:
        """Yield one that is only read, if it was."""
        if key in self.seen.values:
            yield Quantity(label, unit, self.seen.values[key])


def _pair(bounds: tuple[float, float] | None) -> Bounds:
    return bounds if bounds is not None else _UNLIMITED


def bounds(what: str, unit: str, limits: tuple[float, float]) -> dict[str, Scalar]:
    """Return limits as values beside those that were read; an infinite one is none."""
    return {f"{what}_{end}_{unit}": limit if isfinite(limit) else None for end, limit in zip(("low", "high"), limits, strict=True)}


def _bounds(seen: Seen, what: str, unit: str) -> Bounds:
    return _number(seen.values.get(f"{what}_low_{unit}")), _number(seen.values.get(f"{what}_high_{unit}"))


def _number(value: Scalar) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _laser(entry: InstrumentEntry, seen: Seen) -> Iterator[Quantity]:
    told, rules = _Told(seen), entry.rules
    yield told.set("Emission", "", "emission", "emission", asked="emission")
    bounds, operate = _pair(rules.limits.power_w), rules.operate.power_w
    yield told.set("Power", "W", "power_setpoint_w", "power_w", asked="power_w", taken="power_setpoint_w", bounds=bounds, operate=operate)
    yield from told.read("Wavelength", "m", "wavelength_m")
    yield from told.read("Temperature", "degC", "temperature_degc")


def _attenuator(entry: InstrumentEntry, seen: Seen) -> Iterator[Quantity]:
    told, bounds = _Told(seen), (_number(seen.values.get("min_db")), _number(seen.values.get("max_db")))
    operate = entry.rules.operate.attenuation_db
    yield told.set("Attenuation", "dB", "attenuation_db", "attenuation_db", asked="attenuation_db", bounds=bounds, operate=operate)
    yield from told.read("Power at its tap", "W", "tap_w")


def _detector(entry: InstrumentEntry, seen: Seen) -> Iterator[Quantity]:
    told, rules = _Told(seen), entry.rules
    yield told.set("Switched on", "", "enabled", "enabled", asked="enabled")
    for key in seen.values:
        if found := re.fullmatch(r"bias_(\d+)_([av])", key):
            ch, unit = found[1], found[2].upper()
            bounds, operate = (rules.limits.bias_a, rules.operate.bias_a) if unit == "A" else (rules.limits.bias_v, rules.operate.bias_v)
            yield told.set(f"Bias {ch}", unit, f"set_bias:{ch}", key, asked=f"bias:{ch}", bounds=_pair(bounds), operate=operate)
            if f"threshold_{ch}_v" in seen.values:
                levels = _bounds(seen, "threshold", "v")
                yield told.set(f"Threshold {ch}", "V", f"set_threshold_v:{ch}", f"threshold_{ch}_v", asked=f"threshold:{ch}", bounds=levels)
            yield from told.read(f"Temperature {ch}", "degC", f"temperature_{ch}_degc")


def _source(entry: InstrumentEntry, seen: Seen) -> Iterator[Quantity]:
    told, bounds = _Told(seen), _pair(entry.rules.limits.volts_v)
    for key in seen.values:
        if found := re.fullmatch(r"ch(\d+)_on", key):
            ch = found[1]
            yield told.set(f"Output {ch}", "", f"output:{ch}", key, asked=f"output:{ch}")
            yield told.set(f"Offset {ch}", "V", f"set_offset_v:{ch}", f"ch{ch}_offset_v", asked=f"bias_v:{ch}", bounds=bounds)
            yield from told.read(f"Amplitude {ch}", "V", f"ch{ch}_amplitude_vpp")
            yield from told.read(f"Frequency {ch}", "Hz", f"ch{ch}_frequency_hz")


def _controller(entry: InstrumentEntry, seen: Seen) -> Iterator[Quantity]:
    told = _Told(seen)
    yield told.set("Bias", "V", "bias_v", "bias_v", asked="bias_v", bounds=_pair(entry.rules.limits.bias_v))
    yield from told.read("Mode", "", "mode")
    yield from told.read("Stable", "", "stable")
    yield from told.read("Power at its tap", "W", "tap_w")


def _meter(_entry: InstrumentEntry, seen: Seen) -> Iterator[Quantity]:
    told = _Told(seen)
    yield from told.read("Power", "W", "power_w")
    yield told.set("Wavelength", "m", "wavelength_m", "wavelength_m", asked="wavelength_m")


def _paddles(entry: InstrumentEntry, seen: Seen) -> Iterator[Quantity]:
    told, bounds = _Told(seen), _pair(entry.rules.limits.angle_deg)
    for key in seen.values:
        if found := re.fullmatch(r"angle_(\d+)_deg", key):
            yield told.set(f"Paddle {found[1]}", "deg", f"move:{found[1]}", key, asked=f"move:{found[1]}", bounds=bounds)


def _tagger(entry: InstrumentEntry, seen: Seen) -> Iterator[Quantity]:
    told, levels, delays = _Told(seen), _bounds(seen, "threshold", "v"), _bounds(seen, "delay", "s")
    yield from told.read("Clock", "", "clock")
    if "threshold_v" in seen.values:
        ch = min(entry.wire.channel_map.values(), default=1)
        yield told.set("Threshold, all inputs", "V", f"set_threshold_v:{ch}", "threshold_v", asked=f"threshold:{ch}", bounds=levels)
    for what, ch in entry.wire.channel_map.items():
        if f"{what}_threshold_v" in seen.values:
            yield told.set(f"Threshold {what}", "V", f"set_threshold_v:{ch}", f"{what}_threshold_v", asked=f"threshold:{ch}", bounds=levels)
        delay_ps = _number(seen.values.get(f"{what}_delay_ps"))
        if delay_ps is not None:
            asked = f"delay:{ch}"
            yield Quantity(f"Delay {what}", "s", delay_ps * 1e-12, seen.wanted.get(asked), seen.accepted.get(asked), f"set_delay_s:{ch}", *delays)


_QUANTITIES: dict[str, Callable[[InstrumentEntry, Seen], Iterator[Quantity]]] = {
    "Laser": _laser,
    "Attenuator": _attenuator,
    "PhotonDetector": _detector,
    "WaveformSource": _source,
    "BiasController": _controller,
    "PowerMeter": _meter,
    "PolarisationController": _paddles,
    "TagSource": _tagger,
}
