"""When a run pauses by itself, and when it goes on: rules of the station over what the run measures anyway.

Time is the run's own, in seconds of bench time; nothing here reads a clock. A metric that was not looked at leaves its rules as they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from ..core.errors import ConfigError
from ..core.units import show
from ..instruments.station_models import SUSPEND_UNITS, Suspend

if TYPE_CHECKING:
    from ..instruments.connect import Instruments
    from ..instruments.roles import Laser, PowerMeter
    from ..instruments.station import Station

ERROR_RATES = ("qber", "qber_x", "qber_y")
_DETECTORS = ("D1", "D2")


@dataclass(frozen=True, slots=True)
class Change:
    """A run was suspended or goes on.  t_s: since when this is known.  paused: now.  why: the rule and the value, for people."""

    t_s: float
    paused: bool
    why: str


@dataclass(slots=True)
class _Watched:
    """One rule on one metric.  since_s: from when on the metric has been on the side that would change `paused`; None where it is not."""

    rule: Suspend
    key: str
    paused: bool = False
    since_s: float | None = None

    def feed(self, t_s: float, value: float) -> bool:
        """Take a value; return whether the rule has changed its mind."""
        rule, bound = self.rule, self.bound
        beyond = value > bound if (rule.above is not None) is not self.paused else value < bound
        if not beyond:
            self.since_s = None
            return False
        if self.since_s is None:
            self.since_s = t_s
        if t_s - self.since_s < (rule.resume_for_s if self.paused else rule.for_s) - 1e-9:
            return False
        self.paused, self.since_s = not self.paused, None
        return True

    @property
    def bound(self) -> float:
        """Return the limit that matters now."""
        rule = self.rule
        limit = rule.above if rule.above is not None else rule.below
        resume = rule.resume_below if rule.above is not None else rule.resume_above
        return cast(float, resume if self.paused and resume is not None else limit)

    def told(self, value: float) -> str:
        """Return the rule and a value in words."""
        unit = SUSPEND_UNITS[self.rule.metric]
        side = "above" if self.rule.above is not None else "below"
        limit = cast(float, self.rule.above if self.rule.above is not None else self.rule.below)
        shown, bound = (show(x, unit) if unit else f"{x:.4f}" for x in (value, limit))
        return f"{self.key} {shown}, suspended {side} {bound}"


@dataclass(slots=True)
class Suspender:
    """The rules of one run. Feed it what is measured; it says when to pause and when to go on.

    A run is paused while any rule wants it to be.
    """

    watched: list[_Watched] = field(default_factory=list)

    @classmethod
    def of(cls, rules: Iterable[Suspend]) -> Suspender:
        """Return the rules ready to be fed. A rule on count rates without a detector holds for each."""
        return cls([_Watched(rule, key) for rule in rules for key in _keys(rule)])

    @property
    def paused(self) -> bool:
        """Say whether the run should stand still."""
        return any(one.paused for one in self.watched)

    @property
    def pending(self) -> bool:
        """Say whether some rule is about to pause the run: its metric is beyond the limit, not long enough yet."""
        return any(one.since_s is not None and not one.paused for one in self.watched)

    @property
    def keys(self) -> frozenset[str]:
        """Return the metrics that matter, such as `power` or `count_rate D1`."""
        return frozenset(one.key for one in self.watched)

    def feed(self, t_s: float, values: Mapping[str, float]) -> Change | None:
        """Take what was measured at a time (s, not decreasing); return the change, if the run is to pause or to go on from now."""
        before = self.paused
        why = [one.told(values[one.key]) for one in self.watched if one.key in values and one.feed(t_s, values[one.key])]
        return None if self.paused is before else Change(t_s, self.paused, "; ".join(why))


def _keys(rule: Suspend) -> tuple[str, ...]:
    if rule.metric == "count_rate":
        return tuple(f"count_rate {detector}" for detector in ((rule.on,) if rule.on else _DETECTORS))
    return (f"{rule.metric} {rule.on}" if rule.on else rule.metric,)


class Watch:
    """The rules that a station has for a kind of run, and where their metrics are read.

    metrics: those that the run can be suspended on; rules on others are left out.  Raises ConfigError for a rule on an instrument that does not measure it.
    """

    def __init__(self, instruments: Instruments, metrics: Iterable[str]) -> None:
        self._instruments = instruments
        rules = [rule for rule in instruments.station.safety.suspend if rule.metric in metrics]
        self.suspender = Suspender.of(rules)
        self._read = {key: self._source(rule) for rule in rules for key in _keys(rule) if rule.metric in ("power", "temperature")}

    @property
    def watches_errors(self) -> bool:
        """Say whether a rule asks for error rates, so that public preambles have to be sent."""
        return any(key in ERROR_RATES for key in self.suspender.keys)

    def look(self, t_s: float, measured: Mapping[str, float]) -> Change | None:
        """Read the metrics that instruments know, add those measured, and say whether the run is to pause or to go on."""
        if not self.suspender.watched:
            return None
        read = {key: self._value(key, name) for key, name in self._read.items()}
        return self.suspender.feed(t_s, {**read, **measured})

    def _value(self, key: str, name: str) -> float:
        device = self._instruments[name]
        if key.startswith("temperature"):
            return float(cast("Laser", device).temperature_degc)
        return float(cast("PowerMeter | Laser", device).power_w)

    def _source(self, rule: Suspend) -> str:
        """Return the instrument that measures what a rule is about: the one it names, else the power meter, else the laser."""
        return source_of(self._instruments.station, rule)


def source_of(station: Station, rule: Suspend) -> str:
    """Return the name of the instrument that measures the metric of a rule. Raises ConfigError if there is none."""
    roles = ("PowerMeter", "Laser") if rule.metric == "power" else ("Laser",)
    there = {name: entry.wire.role for name, entry in station.instruments.items() if entry.wire.role in roles}
    named = [name for role in roles for name, found in there.items() if found == role and rule.on in ("", name)]
    if not named:
        raise ConfigError(
            f"no {' or '.join(roles)} {rule.on!r} measures the {rule.metric} of a suspend rule" if rule.on else f"nothing measures the {rule.metric} of a rule",
            where=f"{station.path}: safety.suspend",
            remedy=f"Name one of {', '.join(there)} in `on`." if there else f"Add a {roles[0]} under [instruments].",
        )
    return named[0]
