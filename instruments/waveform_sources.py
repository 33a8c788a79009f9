"""Waveform generators in volts and samples a second."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import DeviceFault, LimitError, WrongIdentity
from . import keysight
from .keysight import Keysight81160A, finite_number
from .links import told
from .role_adapter import RoleAdapter
from .roles import Identity, Loaded, Scalar
from .station_models import InstrumentEntry

CHANNELS = (1, 2)


class KeysightSource(RoleAdapter):
    """An 81160A as a `WaveformSource`. Safe: both outputs off.

    Snapshots hold the length of each waveform and the hash of a salted copy, never samples: they are a party's secret phases.
    """

    safe_step = 5
    _driver: Keysight81160A

    def __init__(self, name: str, configured: InstrumentEntry, driver: Any, *, station: str) -> None:
        super().__init__(name, configured, driver, station=station)
        self._salt = secrets.token_bytes(16)
        self._loaded: dict[int, tuple[int, str]] = {}

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Open the socket; raises Disconnected."""
        wire = configured.wire
        connection = keysight.link(
            addresses["resource"],
            name=name,
            read_termination=wire.read_termination or "\n",
            write_termination=wire.write_termination or "\n",
            timeout_s=configured.rules.timeout_s,
        )
        return cls(name, configured, Keysight81160A(connection, name), station=station)

    def identify(self) -> Identity:
        """Ask for the identity; raises WrongIdentity if it is no 81160A."""
        found = Identity(*self._driver.identity())
        if "81160A" not in found.model:
            raise WrongIdentity(f"{found.model!r} answers, an 81160A is expected", where=self.place, remedy="Check the address.")
        return found

    @property
    def max_points(self) -> int:
        """Longest waveform."""
        return keysight.MAX_POINTS

    @property
    def max_rate_hz(self) -> float:
        """Highest sample rate (1/s)."""
        return keysight.MAX_RATE_HZ

    @property
    def _volts(self) -> tuple[float, float]:
        return self.rules.limits.volts_v or (-5.0, 5.0)

    def load(self, ch: int, volts: ArrayLike, rate_hz: float) -> Loaded:
        """Load a waveform that repeats, limits first; the output keeps its state.

        ch: 1 or 2.  volts: float64 (n,), without the offset.  rate_hz: samples a second.
        Raises LimitError before anything is set, DeviceFault if the device reads back something else, Rejected.
        """
        channel, samples = self._driver.channel(ch), np.array(volts, np.float64)
        self._check_samples(samples, rate_hz)
        offset_v = self.offset_v(ch)
        for extreme in (samples.min(), samples.max()):
            self.within(float(extreme) + offset_v, self._volts, "V")
        amplitude = max(2.0 * float(np.abs(samples).max()), keysight.MIN_AMPLITUDE_VPP)
        self.within(amplitude, (0.0, keysight.MAX_AMPLITUDE_VPP), "V", whose="peak to peak, device limit")
        self.limits_v(ch, *self._volts)
        channel.waveform_volatile = samples
        channel.forget_waveform()
        channel.shape = "USER"
        channel.frequency = rate_hz / samples.size
        channel.amplitude = amplitude
        self._compare(channel.frequency, rate_hz / samples.size, "frequency", 1e-6 * rate_hz / samples.size)
        self._compare(channel.amplitude, amplitude, "amplitude", 1e-3)
        self._driver.check_errors()
        self._loaded[ch] = samples.size, hashlib.sha256(self._salt + samples.tobytes()).hexdigest()
        return Loaded(rate_hz, amplitude / 2.0 / keysight.MAX_DAC, samples.size)

    def _check_samples(self, samples: NDArray[np.float64], rate_hz: float) -> None:
        if samples.ndim != 1 or not 1 <= samples.size <= self.max_points or not np.isfinite(samples).all():
            raise LimitError(f"a waveform is 1 to {self.max_points:,} finite volts", where=self.name, remedy="Nothing was sent.")
        self.within(rate_hz, (float(samples.size), self.max_rate_hz), "Hz", whose="device limit")

    def _compare(self, found: object, asked: float, what: str, tolerance: float) -> None:
        if abs(finite_number(found, what, self.place) - asked) > tolerance:
            raise DeviceFault(f"{what} {asked:g} was asked for, {found} reads back", where=self.place, remedy="The generator changed it; check its limits.")

    def output(self, ch: int, on: bool) -> None:
        """Switch an output and read it back; raises DeviceFault if it stays as it was."""
        self.approach(f"output:{ch}", bool(on), lambda wanted: self._switch(ch, bool(wanted)))

    def _switch(self, ch: int, on: bool) -> None:
        if on:
            # The generator may have been switched off and on since, and then has no limits.
            self.limits_v(ch, *self._volts)
        self._driver.channel(ch).output = on
        if self.output_is_on(ch) is not on:
            raise DeviceFault(f"output {ch} does not switch {'on' if on else 'off'}", where=self.place, remedy="Check for an overload at the output.")

    def output_is_on(self, ch: int) -> bool:
        """Read back whether an output is on."""
        with told(self.place):
            return bool(self._driver.channel(ch).output)

    def offset_v(self, ch: int) -> float:
        """Read the offset (V) added to the waveform."""
        return finite_number(self._driver.channel(ch).offset, "offset", self.place)

    def set_offset_v(self, ch: int, volts: float) -> None:
        """Set the offset (V) and read it back; raises LimitError, DeviceFault, Rejected."""
        low, high = self._volts
        self.approach(f"bias_v:{ch}", self.within(volts, (max(low, -4.995), min(high, 4.995)), "V"), lambda level: self._set_offset(ch, level))

    def _set_offset(self, ch: int, volts: float) -> None:
        channel = self._driver.channel(ch)
        channel.offset = volts
        self._compare(channel.offset, volts, "offset", 1e-3)
        self._driver.check_errors()

    def limits_v(self, ch: int, low: float, high: float) -> None:
        """Set the generator's own voltage limits (V), within those of the station, and switch them on."""
        self._driver.channel(ch).set_limits(self.within(low, self._volts, "V"), self.within(high, self._volts, "V"))

    def snapshot(self) -> dict[str, Scalar]:
        """Read output state, offset, amplitude and frequency of both outputs; waveforms by length and salted hash."""
        found: dict[str, Scalar] = {}
        for ch in CHANNELS:
            channel = self._driver.channel(ch)
            size, digest = self._loaded.get(ch, (0, ""))
            found |= {
                f"ch{ch}_on": self.output_is_on(ch),
                f"ch{ch}_offset_v": self.offset_v(ch),
                f"ch{ch}_amplitude_vpp": finite_number(channel.amplitude, "amplitude", self.place),
                f"ch{ch}_frequency_hz": finite_number(channel.frequency, "frequency", self.place),
                f"ch{ch}_waveform_points": size,
                f"ch{ch}_waveform_salted_sha256": digest,
            }
        return found

    def _make_safe(self) -> None:
        for ch in CHANNELS:
            self._driver.channel(ch).output = False

    def is_safe(self) -> bool:
        """Read back that both outputs are off."""
        return not any(self.output_is_on(ch) for ch in CHANNELS)
