"""Single-photon detectors with avalanche diodes, biased in volts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from typing import Literal, Self, cast

import numpy as np

from ..core.errors import BadReply, ConfigError, DeviceFault, LimitError, WrongIdentity
from ..core.units import show
from .role_adapter import RoleAdapter
from .roles import Counts, Identity, Scalar, WireCount
from .s_fifteen import SFifteenSPD, spd_link
from .station_models import InstrumentEntry
from .wire.tdc1 import MAX_TIME_MS

TOLERANCE_V, THRESHOLD_TOLERANCE_V = 0.2, 0.01
SLICE_MS = 500
"""A unit that counts does not listen, so it counts in pieces of this length, between which it can be made safe."""
_DEVICE_BIAS_V = (-500.0, 500.0)


class SFifteenDetector(RoleAdapter):
    """One or two SPDs as a `PhotonDetector`, a unit a channel, counting at the same time.

    Safe: every bias at the station's parking value, for the units cannot switch it off; `enabled` says that one is not.  The diodes stay cooled.
    """

    safe_step = 4
    _driver: SFifteenSPD

    def __init__(self, name: str, configured: InstrumentEntry, units: Mapping[int, SFifteenSPD], *, station: str) -> None:
        super().__init__(name, configured, next(iter(units.values())), station=station)
        self._units = dict(units)
        self._counted_ns = 0

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Open the serial ports; raises Disconnected, ConfigError if there are more or fewer channels than units."""
        places = [addresses[kind] for kind in ("resource", "second") if kind in addresses]
        channels = configured.wire.channels or tuple(range(1, len(places) + 1))
        if len(channels) != len(places):
            raise ConfigError(
                f"{len(channels)} channels and {len(places)} units",
                where=f"{station}: instruments.{name}",
                remedy='An SPD has one channel: give the address of the other one as second = "ASRL/dev/ttyUSB5::INSTR".',
            )
        with ExitStack() as opened:
            units = {}
            for channel, resource in zip(channels, places, strict=True):
                units[channel] = SFifteenSPD(spd_link(resource, name=name, timeout_s=configured.rules.timeout_s), name)
                opened.callback(units[channel].adapter.close)
            opened.pop_all()
        return cls(name, configured, units, station=station)

    def share(self) -> None:
        """Let several threads use the units from now on: one conversation with each at a time."""
        from .guard.turns import OneAtATime

        self._units = {ch: cast(SFifteenSPD, OneAtATime(unit)) for ch, unit in self._units.items()}
        self._driver = next(iter(self._units.values()))

    def check_identity(self) -> Identity:
        """Compare who answers with what the station expects; also whenever the connection to a unit was lost and opened anew. Raises WrongIdentity."""
        found = super().check_identity()
        for unit in self._units.values():
            unit.adapter.after_reopen = self.check_identity
        return found

    @property
    def wire(self) -> WireCount:
        """Return the bytes exchanged so far, with all units."""
        return sum((unit.adapter.wire for unit in self._units.values()), WireCount(0, 0))

    def identify(self) -> Identity:
        """Ask every unit who it is, serial numbers joined by `+`; raises WrongIdentity."""
        try:
            found = [Identity(*unit.identity()) for unit in self._units.values()]
        except BadReply as error:
            raise WrongIdentity("no SPD answers", where=error.where or self.place, remedy="Check the address.") from error
        return Identity(found[0].vendor, found[0].model, "+".join(one.serial for one in found), found[0].firmware)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channel numbers in use."""
        return tuple(self._units)

    @property
    def bias_unit(self) -> Literal["A", "V"]:
        """Unit of the bias."""
        return "V"

    @property
    def operate_bias(self) -> float | None:
        """Bias (V) for normal work; None where the station names none."""
        return self.rules.operate.bias_v

    @property
    def parked_bias(self) -> float:
        """Bias (V) of the safe state; raises ConfigError where the station names none."""
        parked = self.rules.safe.bias_v
        if parked is None:
            raise ConfigError("no safe bias is known", where=f"{self._station}: instruments.{self.name}", remedy='Add safe = { bias = "40 V" } to its rules.')
        return parked

    @property
    def enabled(self) -> bool:
        """Whether a bias, as read back, is not parked."""
        return not all(self._is_parked(unit) for unit in self._units.values())

    @enabled.setter
    def enabled(self, on: bool) -> None:
        self.approach("enabled", bool(on), self._switch)

    def _switch(self, on: float) -> None:
        """Park every bias; or cool the diodes, without which a bias is not worth setting."""
        if not on:
            self._park()
        for ch, unit in self._units.items():
            if not on and not self._is_parked(unit):
                raise DeviceFault(f"detector {ch} does not go to its parking bias", where=unit.adapter.where, remedy="Switch it off by hand.")
            if on:
                unit.cooled = True
                if not unit.cooled:
                    raise DeviceFault(f"detector {ch} does not hold its temperature", where=unit.adapter.where, remedy="Check the unit.")

    def bias(self, ch: int) -> float:
        """Read a detector's bias (V)."""
        return float(self._unit(ch).bias_v)

    def set_bias(self, ch: int, x: float) -> None:
        """Set a detector's bias (V) and read it back, upwards by tenths; raises LimitError or InterlockError before anything is sent, DeviceFault."""
        self._unit(ch)
        asked = self.within(x, self.rules.limits.bias_v or _DEVICE_BIAS_V, "V")
        self.approach(f"bias:{ch}", asked, lambda level: self._set_bias(ch, level), now=lambda: self.bias(ch))

    def _set_bias(self, ch: int, asked: float) -> None:
        self._unit(ch).bias_v = asked
        found = self.bias(ch)
        if abs(found - asked) > TOLERANCE_V:
            raise DeviceFault(f"detector {ch}: {show(asked, 'V')} was asked for, {show(found, 'V')} reads back", where=self.place, remedy="Check the unit.")

    def threshold_v(self, ch: int) -> float:
        """Read a detector's threshold (V)."""
        return float(self._unit(ch).threshold_v)

    @property
    def threshold_range_v(self) -> tuple[float, float]:
        """Lowest and highest threshold (V) that the station allows; what the unit itself cannot does not read back."""
        return self.rules.limits.threshold_v or (-math.inf, math.inf)

    def set_threshold_v(self, ch: int, volts: float) -> None:
        """Set a detector's threshold (V) and read it back; raises LimitError before anything is sent, DeviceFault."""
        asked, unit = self.within(volts, self.threshold_range_v, "V"), self._unit(ch)
        self.noted(f"threshold:{ch}", asked)
        unit.threshold_v = asked
        found = self.threshold_v(ch)
        self.noted(f"threshold:{ch}", asked, found)
        if abs(found - asked) > THRESHOLD_TOLERANCE_V:
            raise DeviceFault(f"threshold {ch}: {show(asked, 'V')} was asked for, {show(found, 'V')} reads back", where=self.place, remedy="Check the unit.")

    def temperature_degc(self, ch: int) -> float:
        """Measure the temperature (degC) of a detector's diode; it takes a while to be cold."""
        return float(self._unit(ch).temperature_degc)

    def counts(self, period_s: float) -> Counts:
        """Count for one period (s, 0.001 to 65.535, set in whole milliseconds), in the order of `channels`.

        The units have no clock: `Counts.t_ns` is the time counted so far.  Raises Tripped, with the bench made safe, if a rate is above the limit.
        """
        self.within(period_s, (1e-3, MAX_TIME_MS * 1e-3), "s", whose="device limit")
        period_ms = round(period_s * 1e3)
        found = np.zeros(len(self._units), np.int64)
        for begin in range(0, period_ms, SLICE_MS):
            found += self._count(min(SLICE_MS, period_ms - begin))
        self._counted_ns += period_ms * 10**6
        rates: dict[int | str, float] = {ch: float(n) / (period_ms * 1e-3) for ch, n in zip(self._units, found, strict=True)}
        self.arbiter.observe_rates(self.name, rates, period_ms * 1e-3)
        return Counts(self._counted_ns, found, period_ms / 1e3)

    def _count(self, period_ms: int) -> list[int]:
        """Count with all units at once; nobody else speaks to them meanwhile."""
        with ExitStack() as turns:
            for unit in self._units.values():
                turns.enter_context(getattr(unit.adapter, "turn", nullcontext()))
            for unit in self._units.values():
                unit.begin_count(period_ms)
            return [unit.counted(period_ms) for unit in self._units.values()]

    def snapshot(self) -> dict[str, Scalar]:
        """Read biases, thresholds and temperatures."""
        found: dict[str, Scalar] = {"enabled": self.enabled}
        for ch, unit in self._units.items():
            found |= {
                f"bias_{ch}_v": self.bias(ch),
                f"threshold_{ch}_v": self.threshold_v(ch),
                f"temperature_{ch}_degc": self.temperature_degc(ch),
                f"target_{ch}_degc": float(unit.target_degc),
                f"cooled_{ch}": bool(unit.cooled),
            }
        return found

    def _make_safe(self) -> None:
        self._park()

    def is_safe(self) -> bool:
        """Read back that every bias is parked."""
        return not self.enabled

    def _park(self) -> None:
        """Park every unit, the others too if one does not answer."""
        with ExitStack() as every:
            for unit in self._units.values():
                every.callback(setattr, unit, "bias_v", self.parked_bias)

    def _is_parked(self, unit: SFifteenSPD) -> bool:
        return abs(float(unit.bias_v) - self.parked_bias) <= TOLERANCE_V

    def _unit(self, ch: int) -> SFifteenSPD:
        if ch not in self._units:
            raise LimitError(f"there is no detector {ch}", where=self.name, remedy="Nothing was sent.")
        return self._units[ch]

    def close(self) -> None:
        """Give every connection back, the others even if one does not close."""
        with ExitStack() as every:
            for unit in self._units.values():
                every.callback(unit.adapter.close)
