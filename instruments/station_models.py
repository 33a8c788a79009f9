"""What a station file may say: one model a table, quantities as SI floats, unknown keys refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import date
from math import degrees, log10
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from ..core.errors import ConfigError
from ..core.units import Dimension, parse, show


def _quantity(dimension: Dimension) -> Callable[[Any], float]:
    def convert(text: Any) -> float:
        try:
            return parse(text, dimension)
        except ConfigError as error:
            raise ValueError(f"{error.message}. {error.remedy}") from error

    return convert


Watts = Annotated[float, BeforeValidator(_quantity("W"))]
Volts = Annotated[float, BeforeValidator(_quantity("V"))]
Amperes = Annotated[float, BeforeValidator(_quantity("A"))]
Seconds = Annotated[float, BeforeValidator(_quantity("s"))]
Hertz = Annotated[float, BeforeValidator(_quantity("Hz"))]
Metres = Annotated[float, BeforeValidator(_quantity("m"))]
Decibels = Annotated[float, BeforeValidator(_quantity("dB"))]
Radians = Annotated[float, BeforeValidator(_quantity("rad"))]
Degrees = Annotated[float, BeforeValidator(lambda text: round(degrees(_quantity("rad")(text)), 9))]
Fraction = Annotated[float, Field(ge=0.0, lt=0.5)]


def _share(text: Any) -> float:
    number = text.strip().removesuffix("%") if isinstance(text, str) and text.strip().endswith("%") else ""
    try:
        return parse(f"{number.strip()} m", "m") / 100.0
    except ConfigError as error:
        raise ValueError(f'{text!r} is no share. Write it as "1 %"') from error


Share = Annotated[float, BeforeValidator(_share), Field(gt=0.0, lt=1.0)]


class Table(BaseModel):
    """A table of the file: frozen, and nothing in it that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class StationInfo(Table):
    """name: of the laboratory.  data_dir: where run files go.  allow_unattended: whether light may be on with nobody watching."""

    name: str = Field(min_length=1)
    data_dir: str = "runs"
    allow_unattended: bool = False


class Clock(Table):
    """Pulse rate, slots of one pattern period, and slots between two sync tags. With an external reference the tagger must run on it."""

    rep_rate_hz: Hertz = Field(alias="rep_rate", gt=0)
    reference: str = Field(default="internal", pattern=r"^(internal|external)\b")
    pattern_slots: int = Field(default=10_000, ge=8)
    sync_divider: int = Field(default=1000, ge=1)

    @property
    def slot_s(self) -> float:
        """Return the length of a slot."""
        return 1.0 / self.rep_rate_hz

    @property
    def slot_ps(self) -> int:
        """Return the length of a slot in whole picoseconds."""
        return round(1e12 / self.rep_rate_hz)


class UserErrors(Table):
    """Wrong-port probabilities of one user or one pair, in the X and the Y basis."""

    error_x: Fraction
    error_y: Fraction


class WarmUp(Table):
    """What a laser lacks when it is switched on, and the time in which that falls to 1/e."""

    lacking_db: Decibels = Field(alias="lacking", ge=0)
    time_s: Seconds = Field(alias="time", gt=0)


class SimDetector(Table):
    """What tells a simulated detector from the site's numbers; None where those hold.  afterpulse: its probability after a click, and its decay."""

    dead_time_s: Seconds | None = Field(default=None, alias="dead_time", ge=0)
    jitter_s: Seconds | None = Field(default=None, alias="jitter", ge=0)
    afterpulse: float | None = Field(default=None, ge=0, lt=0.5)
    afterpulse_tau_s: Seconds | None = Field(default=None, alias="afterpulse_tau", gt=0)


class Sim(Table):
    """What only the simulated world reads. It never reaches the acquisition. Drifts are rms values after a minute, and grow with the square root of time."""

    seed: int = Field(ge=0)
    clock: Literal["lockstep", "paced"] = "lockstep"
    users: dict[str, UserErrors] = {}
    pairs: dict[str, UserErrors] = {}
    detectors: dict[Literal["D1", "D2"], SimDetector] = {}
    bias_drift_v: Volts = Field(default=0.0, alias="bias_drift", ge=0)
    bias_start_v: Volts = Field(default=0.0, alias="bias_start", ge=0)
    laser_drift_db: Decibels = Field(default=0.0, alias="laser_drift", ge=0)
    warm_up: WarmUp | None = None
    polarisation_drift_rad: Radians = Field(default=0.0, alias="polarisation_drift", ge=0)
    polarisation_start: Literal["aligned", "random"] = "aligned"


class Wire(Table):
    """How to reach a device: role, driver, addresses, terminations, and which of its channels are used for what."""

    role: str
    driver: str
    resource: str = Field(min_length=1)
    second: str | None = None
    counts: str | None = None
    datalink: str | None = None
    read_termination: str | None = None
    write_termination: str | None = None
    channels: tuple[int, ...] = ()
    channel_map: dict[str, int] = Field(default={}, alias="map")

    @field_validator("channel_map")
    @classmethod
    def _own_channels(cls, channels: dict[str, int]) -> dict[str, int]:
        names = {number: name for name, number in channels.items()}
        for name, number in channels.items():
            if names[number] != name:
                raise ValueError(f"{name} and {names[number]} are on the same channel {number}")
        return channels

    def addresses(self) -> dict[str, str]:
        """Return the addresses by kind: `resource` and, where given, `second`, `counts` and `datalink`."""
        given = {"resource": self.resource, "second": self.second, "counts": self.counts, "datalink": self.datalink}
        return {kind: address for kind, address in given.items() if address is not None}


class Expect(Table):
    """What must answer at the address; empty texts are not compared."""

    vendor: str = ""
    model: str = ""
    serial: str = ""


_BIAS = "bias"


def _unless(other: Dimension, instead: str | None = None) -> BeforeValidator:
    """Take a bias in the field's own unit, and `instead` of one in the other: nanowires are biased in amperes, avalanche diodes in volts."""

    def convert(given: Any) -> Any:
        first = given[0] if isinstance(given, list | tuple) and given else given
        try:
            parse(first, other)
        except ConfigError:
            return given
        return instead

    return BeforeValidator(convert)


class Limits(Table):
    """Lowest and highest values anybody may ask for; None where the device's own range is enough.

    rate_hz: highest count rate of a channel.  flux_hz: highest rate of detected photons with all modulators open; where it is None, rate_hz is taken.
    """

    power_w: tuple[Watts, Watts] | None = Field(default=None, alias="power")
    attenuation_db: tuple[Decibels, Decibels] | None = Field(default=None, alias="attenuation")
    volts_v: tuple[Volts, Volts] | None = Field(default=None, alias="volts")
    bias_a: Annotated[tuple[Amperes, Amperes] | None, _unless("V")] = Field(default=None, alias="bias")
    bias_v: Annotated[tuple[Volts, Volts] | None, _unless("A")] = Field(default=None, alias=_BIAS)
    angle_deg: tuple[Degrees, Degrees] | None = Field(default=None, alias="angle")
    threshold_v: tuple[Volts, Volts] | None = Field(default=None, alias="threshold")
    delay_s: tuple[Seconds, Seconds] | None = Field(default=None, alias="delay")
    rate_hz: Hertz | None = Field(default=None, alias="rate", gt=0)
    flux_hz: Hertz | None = Field(default=None, alias="flux", gt=0)

    @field_validator("power_w", "attenuation_db", "volts_v", "bias_a", "bias_v", "angle_deg", "threshold_v", "delay_s")
    @classmethod
    def _ordered(cls, pair: tuple[float, float] | None) -> tuple[float, float] | None:
        if pair is not None and not pair[0] <= pair[1]:
            raise ValueError("the lower limit is above the upper one")
        return pair


class Safe(Table):
    """The safe state, as far as the device has it."""

    emission: Literal[False] = False
    attenuation_db: Literal["max"] | Decibels = Field(default="max", alias="attenuation")
    bias_a: Annotated[Amperes, _unless("V", "0 A")] = Field(default=0.0, alias="bias")
    bias_v: Annotated[Volts | None, _unless("A")] = Field(default=None, alias=_BIAS)
    enabled: Literal[False] = False


class Operate(Table):
    """Values for normal work; None where the procedure says."""

    power_w: Watts | None = Field(default=None, alias="power")
    attenuation_db: Decibels | None = Field(default=None, alias="attenuation")
    bias_a: Annotated[Amperes | None, _unless("V")] = Field(default=None, alias="bias")
    bias_v: Annotated[Volts | None, _unless("A")] = Field(default=None, alias=_BIAS)


class Input(Table):
    """How an input of the tagger sees its pulses: the voltage they cross, in which direction, and what is added to their time."""

    threshold_v: Volts = Field(alias="threshold")
    edge: Literal["RISING", "FALLING"]
    delay_s: Seconds = Field(default=0.0, alias="delay", ge=0)

    @property
    def delay_ps(self) -> int:
        """Return the delay in whole picoseconds."""
        return round(self.delay_s * 1e12)


# Amplified nanowire pulses are negative; a generator's sync is a positive logic pulse.
_DETECTOR = Input.model_construct(threshold_v=-0.4, edge="FALLING", delay_s=0.0)
_SYNC = Input.model_construct(threshold_v=0.5, edge="RISING", delay_s=0.0)


class Rules(Table):
    """What holds for a device: identity, limits, safe state. `simulated` is copied into every record and changes nothing else."""

    simulated: bool = False
    timeout_s: Seconds | None = Field(default=None, alias="timeout", gt=0, le=60)
    on_loss: Literal["max", "hold", "open"] = "hold"
    clock: Literal["internal", "external"] | None = None
    expect: Expect = Expect()
    limits: Limits = Limits()
    safe: Safe = Safe()
    operate: Operate = Operate()
    inputs: dict[str, Input] = {}

    @model_validator(mode="after")
    def _operates_within_limits(self) -> Self:
        operate, limits = self.operate, self.limits
        for what, unit, value, pair in (
            ("power", "W", operate.power_w, limits.power_w),
            ("attenuation", "dB", operate.attenuation_db, limits.attenuation_db),
            ("bias", "A", operate.bias_a, limits.bias_a),
            ("bias", "V", operate.bias_v, limits.bias_v),
        ):
            if value is not None and pair is not None and not pair[0] <= value <= pair[1]:
                raise ValueError(f"operate sets {what} to {show(value, unit)}, limits allow {show(pair[0], unit)} to {show(pair[1], unit)}")
        return self

    def input_of(self, name: str) -> Input:
        """Return the settings of a tagger's input; where the file has none, those of a detector's or the sync's pulses."""
        return self.inputs.get(name, _SYNC if name == "sync" else _DETECTOR)


class InstrumentEntry(Table):
    """One instrument of the station."""

    wire: Wire
    rules: Rules = Rules()

    @model_validator(mode="after")
    def _inputs_are_wired(self) -> Self:
        if unknown := sorted(set(self.rules.inputs) - set(self.wire.channel_map)):
            raise ValueError(f"the input {unknown[0]!r} has no channel in `map`")
        return self


class Modulator(Table):
    """An optical modulator driven by `source` ("instrument:channel") through an amplifier of `gain`.

    null_v: at the modulator, where an intensity modulator is darkest.  trains_s: when in the slot the clockwise and the other train pass a phase modulator;
    without it, by the station's distances.  calibration: records that must be there and valid.
    """

    kind: Literal["IntensityModulator", "PhaseModulator"]
    source: str = Field(pattern=r"^\w+:\d+$")
    v_pi_v: Volts = Field(alias="v_pi", gt=0)
    gain: float = Field(default=1.0, gt=0)
    er_db: Decibels = Field(default=30.0, alias="er")
    bias: str | None = None
    gate_s: Seconds = Field(default=1e-9, alias="gate", gt=0)
    null_v: Volts = Field(default=0.0, alias="null")
    trains_s: tuple[Seconds, Seconds] | None = Field(default=None, alias="trains")
    calibration: tuple[str, ...] = ()

    @field_validator("calibration", mode="before")
    @classmethod
    def _named(cls, names: Any) -> Any:
        listed = (names,) if isinstance(names, str) else names
        return tuple(name.removesuffix(".toml") if isinstance(name, str) else name for name in listed) if isinstance(listed, list | tuple) else listed

    @property
    def instrument(self) -> str:
        """Return the name of the waveform source."""
        return self.source.partition(":")[0]

    @property
    def channel(self) -> int:
        """Return the output of the waveform source."""
        return int(self.source.partition(":")[2])


class User(Table):
    """One user of the loop: its modulator and attenuator by name, fibre from beam-splitter port 1, loss of its own arm."""

    pm: str
    voa: str
    distance_m: Metres = Field(alias="distance", gt=0)
    loss_db: Decibels = Field(alias="loss", ge=0)


class Tap(Table):
    """A coupler in the line that sends a share of the light to a power meter.  included: what it takes is part of the loss of att_fixed."""

    meter: str
    share: Share
    included: bool = False

    @property
    def through_db(self) -> float:
        """Return what the light that goes on loses beyond the fixed loss."""
        return 0.0 if self.included else -10.0 * log10(1.0 - self.share)


class FixedLoss(Table):
    """A loss that was measured on a day and is trusted for some."""

    loss_db: Decibels = Field(alias="loss", ge=0)
    verified: date
    valid_days: int = Field(ge=1)


class Interlock(Table):
    """A rule of this station's own. rule: `count_rate`.  on: instrument.  limit_hz: counts a second of a channel, on average over window_s.  action: `trip`."""

    rule: Literal["count_rate"]
    on: str
    limit_hz: Hertz = Field(alias="limit", gt=0)
    window_s: Seconds = Field(default=0.1, alias="window", gt=0)
    action: Literal["trip"] = "trip"


SUSPEND_UNITS: dict[str, Dimension | None] = {"qber": None, "qber_x": None, "qber_y": None, "power": "W", "temperature": "degC", "count_rate": "Hz"}
"""What a run may be suspended on, and in which unit; error rates have none."""
_BOUNDS = ("above", "below", "resume_below", "resume_above")


class Suspend(Table):
    """When a run pauses, and when it goes on.

    metric: one of SUSPEND_UNITS.  on: instrument, or detector for a count rate; where it is empty, the first there is, and each detector.
    above or below: where the metric must not be for for_s.  resume_below or resume_above: where it must be for resume_for_s, by default the same limit.
    """

    metric: Literal["qber", "qber_x", "qber_y", "power", "temperature", "count_rate"]
    on: str = ""
    above: float | None = None
    below: float | None = None
    resume_below: float | None = None
    resume_above: float | None = None
    for_s: Seconds = Field(default=0.0, alias="for", ge=0)
    resume_for_s: Seconds = Field(default=0.0, alias="resume_for", ge=0)

    @model_validator(mode="before")
    @classmethod
    def _in_units(cls, given: Any) -> Any:
        unit = SUSPEND_UNITS.get(given.get("metric", "")) if isinstance(given, dict) else None
        return given if unit is None else {key: _quantity(unit)(value) if key in _BOUNDS else value for key, value in given.items()}

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            raise ValueError("either above or below is needed")
        if (self.resume_above if self.above is not None else self.resume_below) is not None:
            raise ValueError("above goes with resume_below, and below with resume_above")
        if self.above is not None and self.resume_below is not None and self.resume_below > self.above:
            raise ValueError("resume_below is higher than above")
        if self.below is not None and self.resume_above is not None and self.resume_above < self.below:
            raise ValueError("resume_above is lower than below")
        return self


class Safety(Table):
    """What makes the bench safe by itself."""

    interlock: tuple[Interlock, ...] = ()
    suspend: tuple[Suspend, ...] = ()


class Loop(Table):
    """The fibre loop."""

    length_m: Metres = Field(alias="length", gt=0)


class Site(Table):
    """The measuring site: efficiencies, dark rates, dead time, jitter and gate of the two detectors."""

    eta: tuple[float, float]
    dark_hz: tuple[Hertz, Hertz] = Field(alias="dark")
    dead_time_s: Seconds = Field(default=30e-9, alias="dead_time", ge=0)
    jitter_s: Seconds = Field(default=100e-12, alias="jitter", ge=0)
    gate_s: Seconds = Field(default=2e-9, alias="gate", gt=0)

    @field_validator("eta")
    @classmethod
    def _efficiencies(cls, eta: tuple[float, float]) -> tuple[float, float]:
        if not all(0.0 < value <= 1.0 for value in eta):
            raise ValueError("an efficiency lies between 0 and 1")
        return eta


class Optics(Table):
    """The optical table. Users are called by their capital letter, everything else by its name in the file."""

    modulators: dict[str, Modulator]
    users: dict[str, User]
    att_fixed: FixedLoss
    loop: Loop
    site: Site
    line: tuple[str, ...]
    taps: dict[str, Tap] = {}

    @property
    def input_taps_db(self) -> float:
        """Return what the taps between laser and loop take from the light that goes on."""
        before = itertools.takewhile(lambda name: not name.startswith("loop("), self.line)
        return sum(self.taps[name].through_db for name in before if name in self.taps)


class Pair(Table):
    """How two users exchange key: mean photon number, loss of each arm (arms are made equal), slots of the pattern where both are in Y."""

    mu: float = Field(gt=0, lt=1)
    arm_loss_db: Decibels = Field(alias="arm_loss", ge=0)
    yy_overlap: int = Field(ge=1)
    error_x: Fraction = 0.01
    error_y: Fraction = 0.01
