"""Single-photon detectors in amperes and volts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np

from ..core.errors import BadReply, DeviceFault, LimitError, WrongIdentity
from ..core.units import show
from .role_adapter import RoleAdapter
from .roles import Counts, Identity, Scalar, WireCount
from .single_quantum import MAX_PERIOD_MS, WebSQ
from .socket_links import TcpLink
from .station_models import InstrumentEntry
from .wire.websq import MIN_PERIOD_MS

TOLERANCE_A = 0.05e-6
TOLERANCE_V = 2e-3
LATCHED_OHM = 10e3
"""Voltage over bias current from which on a nanowire is taken for normal-conducting; superconducting ones have the resistance of their leads."""
_DEVICE_BIAS_A = (0.0, 100e-6)


class WebSQDetector(RoleAdapter):
    """A WebSQ as a `PhotonDetector`. Safe: every bias at its parking value, detectors off."""

    safe_step = 4
    _driver: WebSQ

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Open the control port; the counts port is opened for each measurement. Raises Disconnected."""
        counts = addresses.get("counts")
        timeout_s = configured.rules.timeout_s or 1.0
        opener = (lambda: TcpLink(counts, name=f"{name} counts", timeout_s=timeout_s)) if counts else None
        control = TcpLink(addresses["resource"], name=name, timeout_s=timeout_s)
        return cls(name, configured, WebSQ(control, name, counts_link=opener), station=station)

    @property
    def wire(self) -> WireCount:
        """Return the bytes exchanged so far, on both ports."""
        return super().wire + WireCount(*self._driver.counts_wire)

    def identify(self) -> Identity:
        """Ask for the labels by which a WebSQ is known; raises WrongIdentity if it has fewer detectors than the station uses."""
        found = self._driver.labels("NumberOfDetectors", optional=("SerialNumber", "SoftwareVersion"))
        number = found["NumberOfDetectors"]
        if not isinstance(number, int) or number < max(self.channels):
            raise WrongIdentity(f"the unit has {number!r} detectors, the station uses {max(self.channels)}", where=self.place, remedy="Check the address.")
        return Identity("Single Quantum", "WebSQ", str(found.get("SerialNumber", "")), str(found.get("SoftwareVersion", "")))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channel numbers in use."""
        return self._configured.wire.channels or (1,)

    @property
    def bias_unit(self) -> Literal["A", "V"]:
        """Unit of the bias."""
        return "A"

    @property
    def enabled(self) -> bool:
        """Whether the detectors are on, read from the device."""
        value = self._driver.enabled
        if not isinstance(value, bool):
            raise BadReply(f"DetectorEnable came as {value!r}", where=self.place, remedy="Check the device.")
        return value

    @enabled.setter
    def enabled(self, on: bool) -> None:
        self.approach("enabled", bool(on), self._switch)

    def _switch(self, on: float) -> None:
        self._driver.enabled = bool(on)
        if self.enabled is not bool(on):
            raise DeviceFault(f"the detectors do not switch {'on' if on else 'off'}", where=self.place, remedy="Check the unit's screen.")

    def bias(self, ch: int) -> float:
        """Read a detector's bias current (A)."""
        return self._of(self._biases_a(), ch)

    def set_bias(self, ch: int, x: float) -> None:
        """Set a detector's bias current (A) and read it back, upwards by tenths; raises LimitError or InterlockError before anything is sent, DeviceFault."""
        asked = self.within(x, self.rules.limits.bias_a or _DEVICE_BIAS_A, "A")
        self.approach(f"bias:{ch}", asked, lambda level: self._set_bias(ch, level), now=lambda: self.bias(ch))

    def _set_bias(self, ch: int, asked: float) -> None:
        biases = self._biases_a()
        self._of(biases, ch)
        biases[ch - 1] = asked
        self._driver.biases_ua = [round(bias * 1e6, 6) for bias in biases]
        if abs(self.bias(ch) - asked) > TOLERANCE_A:
            raise DeviceFault(
                f"detector {ch}: {show(asked, 'A')} was asked for, {show(self.bias(ch), 'A')} reads back", where=self.place, remedy="Is it latched?"
            )

    def latched(self, ch: int) -> bool:
        """Whether a biased nanowire is normal-conducting, by the voltage that its bias needs: latched, driven by bright light, or not connected."""
        bias_a = self.bias(ch)
        return bias_a > TOLERANCE_A and abs(self._of(self._numbers(self._driver.bias_voltages_v, "BiasVoltage"), ch)) > LATCHED_OHM * bias_a

    def threshold_v(self, ch: int) -> float:
        """Read a detector's trigger level (V)."""
        return self._of(self._thresholds_v(), ch)

    @property
    def threshold_range_v(self) -> tuple[float, float]:
        """Lowest and highest trigger level (V) that the station allows; the unit itself refuses what it cannot."""
        return self.rules.limits.threshold_v or (-math.inf, math.inf)

    def set_threshold_v(self, ch: int, volts: float) -> None:
        """Set a detector's trigger level (V) and read it back; raises LimitError before anything is sent, DeviceFault."""
        asked, levels = self.within(volts, self.threshold_range_v, "V"), self._thresholds_v()
        self._of(levels, ch)
        levels[ch - 1] = asked
        self.noted(f"threshold:{ch}", asked)
        self._driver.trigger_levels_mv = [round(level * 1e3, 3) for level in levels]
        found = self.threshold_v(ch)
        self.noted(f"threshold:{ch}", asked, found)
        if abs(found - asked) > TOLERANCE_V:
            raise DeviceFault(
                f"trigger level {ch}: {show(asked, 'V')} was asked for, {show(found, 'V')} reads back", where=self.place, remedy="Check the unit."
            )

    def _thresholds_v(self) -> list[float]:
        return [level * 1e-3 for level in self._numbers(self._driver.trigger_levels_mv, "TriggerLevel")]

    def counts(self, period_s: float) -> Counts:
        """Count for one period (s, 0.01 to 60, set in whole milliseconds), in the order of `channels`; `Counts.period_s` is the one that was set.

        Raises Tripped, with the bench made safe, if a rate is above the limit.
        """
        self.within(period_s, (MIN_PERIOD_MS * 1e-3, MAX_PERIOD_MS * 1e-3), "s", whose="device limit")
        period_ms = round(period_s * 1e3)
        period_s = period_ms / 1e3
        self._driver.period_ms = period_ms
        t_s, found = self._driver.await_counts(period_ms)
        if len(found) < max(self.channels):
            raise BadReply(f"{len(found)} counts came for {max(self.channels)} detectors", where=self.place, remedy="Check the unit.")
        n = np.array([found[ch - 1] for ch in self.channels], np.int64)
        self.arbiter.observe_rates(self.name, {ch: float(count) / period_s for ch, count in zip(self.channels, n, strict=True)}, period_s)
        return Counts(round(t_s * 1e9), n, period_s)

    def snapshot(self) -> dict[str, Scalar]:
        """Read state, biases and trigger levels."""
        found: dict[str, Scalar] = {"enabled": self.enabled}
        for ch in self.channels:
            found |= {f"bias_{ch}_a": self.bias(ch), f"threshold_{ch}_v": self.threshold_v(ch)}
        return found

    def _make_safe(self) -> None:
        number = len(self._biases_a())
        self._driver.biases_ua = [round(self.rules.safe.bias_a * 1e6, 6)] * number
        self._driver.enabled = False

    def is_safe(self) -> bool:
        """Read back that every bias is parked and the detectors are off."""
        found = self._driver.labels("BiasCurrent", "DetectorEnable")
        parked = [abs(ua * 1e-6 - self.rules.safe.bias_a) <= TOLERANCE_A for ua in self._numbers(found["BiasCurrent"], "BiasCurrent")]
        return all(parked) and found["DetectorEnable"] is False

    def _biases_a(self) -> list[float]:
        return [ua * 1e-6 for ua in self._numbers(self._driver.biases_ua, "BiasCurrent")]

    def _numbers(self, value: Any, label: str) -> list[float]:
        if not isinstance(value, list) or not value:
            raise BadReply(f"{label} came as {value!r}", where=self.place, remedy="Check the device.")
        return [self.reading(x, label) for x in value]

    def _of(self, values: list[float], ch: int) -> float:
        if not 1 <= ch <= len(values):
            raise LimitError(f"there is no detector {ch}", where=self.name, remedy="Nothing was sent.")
        return values[ch - 1]
