"""What is told of the bench: instruments, interlocks, optical path, calibrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .common import Mode, Scalar


@dataclass(frozen=True, slots=True)
class Quantity:
    """One value of an instrument, SI or dB.

    label: as people say it.  member: of its role, by which it is set; empty for one that is only read.  wanted: last asked for.  accepted: what the device
    took.  measured: what it reads back.  low, high: limits of the station, None where there is none.  operate: value of normal work, None where the procedure
    says.
    """

    label: str
    unit: str
    measured: Scalar
    wanted: Scalar = None
    accepted: Scalar = None
    member: str = ""
    low: float | None = None
    high: float | None = None
    operate: float | None = None


@dataclass(frozen=True, slots=True)
class InstrumentState:
    """One instrument.  state: one word, with `why` and since when (`error_t`).  can_home: it has a motor.

    read_t: when it was last read, to be shown; 0 for never.  age_s: how long before this was told that was, by the owner's monotonic clock, which nobody sets;
    None for never.
    """

    name: str
    role: str
    identity: str
    address: str
    simulated: bool
    state: Literal["safe", "armed", "moving", "lost", "fault", "released"]
    quantities: tuple[Quantity, ...] = ()
    why: str = ""
    error_t: float = 0.0
    read_t: float = 0.0
    can_home: bool = True
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Interlock:
    """One condition for light on biased detectors.  holds: it allows them now.  cause: what stands against it, or what was read.  clear: what to do."""

    name: str
    holds: bool
    cause: str
    clear: str
    since: float


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the optical path.  kind: such as `laser`, `modulator`, `attenuator`, `tap`, `circulator`, `splitter`, `loop`, `user`, `detector`.

    feeds: elements that its light, or its electrical signal, goes to.  driven_by: instruments.  loss_db: now, None where unknown.  power_w: that leaves it,
    computed from the laser's power and the losses that are read back; None where unknown.
    """

    name: str
    kind: str
    feeds: tuple[str, ...]
    driven_by: tuple[str, ...] = ()
    loss_db: float | None = None
    power_w: float | None = None


@dataclass(frozen=True, slots=True)
class CalibrationState:
    """One calibration of the station.  needs: those that come before it.  text: value with its uncertainty, or why it is not good.

    user: whose.  visibility: of the interference, with its standard deviation, as it was measured last, whatever the state; None where none is kept.
    """

    name: str
    procedure: str
    state: Literal["good", "stale", "missing", "suspect"]
    text: str
    taken: float = 0.0
    until: float = 0.0
    needs: tuple[str, ...] = ()
    user: str = ""
    visibility: float | None = None
    visibility_sigma: float | None = None


@dataclass(frozen=True, slots=True)
class StationState:
    """The bench as it stands.  order: names of missing or stale calibrations in the order in which to make them.

    t: when that was told, by the clock of `read_t`; 0 where nobody says.
    """

    name: str
    path: str
    sha256: str
    mode: Mode
    instruments: tuple[InstrumentState, ...]
    interlocks: tuple[Interlock, ...]
    elements: tuple[Element, ...]
    calibrations: tuple[CalibrationState, ...] = ()
    order: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    t: float = 0.0
