"""What count rates tell: too many make the bench trip, none at all where darks are due mean a latched detector."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..station import Station

SATURATION_SHARE = 0.8
"""Share of the highest allowed rate at which the bench trips, where the station has no rule of its own."""
WINDOW_S = 0.1
_SIGMAS = 5.0
MISSED_DARKS = 20.0
"""Dark counts that must be missing before a silent detector is taken for latched."""
MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class RateLimit:
    """limit_hz: highest rate of a channel, on average over window_s."""

    limit_hz: float
    window_s: float = WINDOW_S

    def exceeded(self, rate_hz: float, window_s: float) -> bool:
        """Say whether a rate is above the limit. Over less than the window, five standard deviations of its counts are allowed for."""
        allowed = self.limit_hz * window_s
        if window_s < self.window_s * (1.0 - 1e-9):
            allowed += _SIGMAS * sqrt(allowed)
        return rate_hz * window_s > allowed


def rate_limits(station: Station) -> dict[str, RateLimit]:
    """Return the limit of every instrument that counts: that of its rule, else 0.8 times its `limits.rate`; taggers have the strictest one of the detectors."""
    own = {row.on: RateLimit(row.limit_hz, row.window_s) for row in station.safety.interlock}
    found: dict[str, RateLimit] = {}
    for name, entry in station.instruments.items():
        rate_hz = entry.rules.limits.rate_hz
        if entry.wire.role == "PhotonDetector" and (name in own or rate_hz is not None):
            found[name] = own[name] if name in own else RateLimit(SATURATION_SHARE * (rate_hz or 0.0))
    strictest = min(found.values(), key=lambda limit: limit.limit_hz, default=None)
    for name, entry in station.instruments.items():
        if entry.wire.role == "TagSource" and (name in own or strictest is not None):
            found[name] = own.get(name) or strictest or RateLimit(0.0)
    return found


def detectors(station: Station) -> list[tuple[str, int]]:
    """Return instrument and channel of every detector, in the order of the station."""
    return [(name, ch) for name, one in station.instruments.items() if one.wire.role == "PhotonDetector" for ch in one.wire.channels]


def called(station: Station, name: str, ch: int) -> str:
    """Return what a detector is called on the line: D1, D2, in the order of the station."""
    places = detectors(station)
    return f"D{places.index((name, ch)) + 1}" if (name, ch) in places else f"detector {ch}"


@dataclass(slots=True)
class Silence:
    """How long a detector channel has been silent, and how often it was biased anew for it.  clicks: whether it clicked when it was last looked at."""

    dark_hz: float
    clicks: bool = False
    silent_s: float = 0.0
    tries: int = 0

    def latched(self, rate_hz: float, window_s: float) -> bool:
        """Note a rate and say whether so many darks are missing by now that the detector must be latched."""
        self.clicks = rate_hz > 0.0
        if self.clicks:
            self.silent_s, self.tries = 0.0, 0
            return False
        self.silent_s += window_s
        return self.dark_hz * self.silent_s >= MISSED_DARKS


@dataclass(slots=True)
class Silences:
    """The silences of all detector channels of a station."""

    station: Station
    _by_channel: dict[tuple[str, int | str], Silence] = field(default_factory=dict)

    def of(self, name: str, channel: int | str) -> Silence:
        """Return that of one channel."""
        found = self._by_channel.get((name, channel))
        if found is None:
            found = self._by_channel[name, channel] = Silence(min(self.station.optics.site.dark_hz))
        return found

    def forget(self) -> None:
        """Begin anew, as after a bias was parked."""
        self._by_channel.clear()
