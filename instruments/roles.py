"""What a device can do, whoever made it: the protocols that procedures see, and the small things they return.

Quantities are SI floats named with their unit; tag times are int64 picoseconds.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .wire.mbx import BiasMode

Scalar = float | int | str | bool | None
Edge = Literal["RISING", "FALLING"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers at an address."""

    vendor: str
    model: str
    serial: str
    firmware: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A time from which nothing can be known: [t0_ps, t1_ps).  missed: events lost there, None where nobody counted."""

    t0_ps: int
    t1_ps: int
    reason: str
    missed: int | None = None


@dataclass(frozen=True, slots=True)
class TagBatch:
    """Every event between t_begin_ps and t_end_ps, apart from the gaps.

    seq: 0, 1, .. within a recording.  t_ps: int64 (n,), not decreasing, counted from the recording's start.  ch: uint8 (n,), the tagger's channel numbers.
    """

    seq: int
    t_ps: NDArray[np.int64]
    ch: NDArray[np.uint8]
    t_begin_ps: int
    t_end_ps: int
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of one period.  t_ns: the device's time at its end.  n: int64 (channels,).  period_s: its length."""

    t_ns: int
    n: NDArray[np.int64]
    period_s: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a waveform generator made of a waveform: sample rate, volts of the least significant bit, number of samples."""

    rate_hz: float
    lsb_v: float
    n: int


@dataclass(frozen=True, slots=True)
class SafeReport:
    """How making one instrument safe went: CONFIRMED is read back from the device, SENT is not yet, FAILED says why in `detail`."""

    name: str
    state: Literal["CONFIRMED", "SENT", "FAILED"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WireCount:
    """Bytes on the wire, counted on the driver's side."""

    sent: int
    received: int

    def __add__(self, other: WireCount) -> WireCount:
        return WireCount(self.sent + other.sent, self.received + other.received)


@runtime_checkable
class Instrument(Protocol):
    """What every role can do. Any call may raise an `InstrumentError`."""

    @property
    def name(self) -> str:
        """Return the name in the station file."""
        ...

    @property
    def simulated(self) -> bool:
        """Say whether the station calls it simulated: data copied into every record, and nothing else."""
        ...

    @property
    def wire(self) -> WireCount:
        """Return the bytes exchanged so far."""
        ...

    def identify(self) -> Identity:
        """Ask the device who it is."""
        ...

    def snapshot(self) -> dict[str, Scalar]:
        """Read the settings that a record should hold; never the samples of a waveform."""
        ...

    def to_safe(self) -> SafeReport:
        """Bring the device into its safe state and read it back; idempotent, does not raise for a device that fails."""
        ...

    def is_safe(self) -> bool:
        """Read back whether the device is in its safe state."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


@runtime_checkable
class Laser(Instrument, Protocol):
    """A light source."""

    emission: bool
    power_setpoint_w: float

    @property
    def power_w(self) -> float:
        """Measure the output power."""
        ...

    @property
    def power_range_w(self) -> tuple[float, float]:
        """Return the lowest and highest power allowed."""
        ...

    @property
    def wavelength_m(self) -> float:
        """Measure the wavelength in vacuum."""
        ...

    @property
    def interlock_closed(self) -> bool | None:
        """Say whether the interlock loop is closed; None where the device does not know."""
        ...

    @property
    def temperature_degc(self) -> float:
        """Measure the laser's temperature."""
        ...

    @property
    def faults(self) -> tuple[str, ...]:
        """Return the faults the device reports."""
        ...


@runtime_checkable
class WaveformSource(Instrument, Protocol):
    """A waveform generator with numbered outputs."""

    @property
    def max_points(self) -> int:
        """Return the longest waveform."""
        ...

    @property
    def max_rate_hz(self) -> float:
        """Return the highest sample rate."""
        ...

    def load(self, ch: int, volts: NDArray[np.float64], rate_hz: float) -> Loaded:
        """Load a waveform that repeats: volts float64 (n,), rate_hz samples a second. The output keeps its state."""
        ...

    def output(self, ch: int, on: bool) -> None:
        """Switch an output and read it back."""
        ...

    def output_is_on(self, ch: int) -> bool:
        """Read back whether an output is on."""
        ...

    def offset_v(self, ch: int) -> float:
        """Read the offset that is added to the waveform."""
        ...

    def set_offset_v(self, ch: int, volts: float) -> None:
        """Set the offset and read it back."""
        ...

    def limits_v(self, ch: int, low: float, high: float) -> None:
        """Set the device's own voltage limits and switch them on."""
        ...


@runtime_checkable
class Attenuator(Instrument, Protocol):
    """A variable optical attenuator."""

    attenuation_db: float

    @property
    def measured_db(self) -> float | None:
        """Measure the attenuation by motor or tap; None where the device cannot."""
        ...

    @property
    def range_db(self) -> tuple[float, float]:
        """Return the lowest and highest attenuation allowed."""
        ...

    @property
    def settled(self) -> bool:
        """Say whether the attenuation last asked for is reached."""
        ...

    @property
    def on_loss(self) -> Literal["max", "hold", "open"]:
        """Return what the device does when power or connection is lost."""
        ...


@runtime_checkable
class BiasController(Instrument, Protocol):
    """What holds the working point of an intensity modulator."""

    mode: BiasMode
    bias_v: float

    def calibrate(self) -> None:
        """Find the working point anew."""
        ...

    @property
    def stable(self) -> bool:
        """Say whether the bias is where the mode wants it."""
        ...

    @property
    def tap_w(self) -> float:
        """Measure the power behind the modulator."""
        ...


@runtime_checkable
class PowerMeter(Instrument, Protocol):
    """An optical power meter."""

    wavelength_m: float

    @property
    def power_w(self) -> float:
        """Measure the power, for the wavelength set."""
        ...

    @property
    def range_w(self) -> tuple[float, float]:
        """Return the full scale of the most and of the least sensitive range."""
        ...


@runtime_checkable
class PolarisationController(Instrument, Protocol):
    """Paddles that turn the polarisation in a fibre, numbered from 0 in the order of the light."""

    @property
    def angles_deg(self) -> tuple[float, ...]:
        """Read the angle of every paddle."""
        ...

    @property
    def range_deg(self) -> tuple[float, float]:
        """Return the lowest and highest angle allowed."""
        ...

    def move(self, i: int, deg: float) -> None:
        """Turn a paddle and wait until it is there."""
        ...

    def home(self, i: int | None = None) -> None:
        """Find the zero of a paddle, or of all."""
        ...

    def moving(self, i: int) -> bool:
        """Say whether a paddle turns now."""
        ...


@runtime_checkable
class PhotonDetector(Instrument, Protocol):
    """Single-photon detectors behind one controller; channels are numbered from 1."""

    enabled: bool

    @property
    def channels(self) -> tuple[int, ...]:
        """Return the channel numbers in use."""
        ...

    @property
    def bias_unit(self) -> Literal["A", "V"]:
        """Return the unit of the bias."""
        ...

    def bias(self, ch: int) -> float:
        """Read a detector's bias."""
        ...

    def set_bias(self, ch: int, x: float) -> None:
        """Set a detector's bias and read it back."""
        ...

    def threshold_v(self, ch: int) -> float:
        """Read a detector's trigger level."""
        ...

    @property
    def threshold_range_v(self) -> tuple[float, float]:
        """Return the lowest and highest trigger level allowed; infinite where nobody names one."""
        ...

    def set_threshold_v(self, ch: int, volts: float) -> None:
        """Set a detector's trigger level and read it back."""
        ...

    def counts(self, period_s: float) -> Counts:
        """Count for one period."""
        ...


@runtime_checkable
class TagSource(Instrument, Protocol):
    """A time tagger."""

    @property
    def channels(self) -> dict[str, int]:
        """Return the channel numbers by what is connected to them."""
        ...

    @property
    def clock(self) -> Literal["internal", "external"]:
        """Return the reference in use."""
        ...

    def configure(self, ch: int, threshold_v: float, edge: Edge, delay_ps: int, enabled: bool) -> None:
        """Set up an input and read it back."""
        ...

    def configure_inputs(self) -> None:
        """Set up every input as the station says."""
        ...

    @property
    def threshold_range_v(self) -> tuple[float, float]:
        """Return the lowest and highest threshold allowed."""
        ...

    @property
    def delay_range_s(self) -> tuple[float, float]:
        """Return the shortest and longest delay allowed; both 0 where there are no delays."""
        ...

    def set_threshold_v(self, ch: int, volts: float) -> None:
        """Set the threshold of an input that is set up, and read it back where that can be; refused during a recording."""
        ...

    def set_delay_s(self, ch: int, seconds: float) -> None:
        """Set what is added to the times of an input that is set up, in whole picoseconds, and read it back where that can be; refused during a recording."""
        ...

    def record(self, duration_s: float, sub_s: float = 0.2) -> Generator[TagBatch, None, None]:
        """Record for a time: one batch per sub-acquisition of `sub_s`; closing the iterator ends the recording, and raises DataLoss if tags are missing."""
        ...

    def end(self) -> None:
        """End the recording of `record`, whose iterator yields the gaps not told yet, and raises DataLoss if tags are missing."""
        ...

    def abandon(self) -> None:
        """End a recording of which nothing is kept."""
        ...

    def start(self, sub_s: float = 0.2) -> None:
        """Begin an endless recording."""
        ...

    def read(self, timeout_s: float) -> TagBatch:
        """Return the next batch of the recording that was started."""
        ...

    def stop(self) -> None:
        """End the recording that was started; raises DataLoss if tags are missing in what was read."""
        ...
