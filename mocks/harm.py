"""What is wrong with the optical bench, and who eavesdrops on it, from which bench time on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ..core.errors import ConfigError
from .fault_kinds import KINDS
from .faults import Fault
from .layout import Layout
from .optics.line import DETECTORS

_HOP_M = -0.8e-9
"""By how much the wavelength jumps in a mode hop: one channel of the 100 GHz grid."""
_NONE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Harm:
    """The faults of the bench at one time; without any, as it should be.

    laser_db: of the laser's power.  hop_m: of its wavelength.  lasing: it does not stop emitting.  unlocked: its interlock loop is open.
    null_v: by which the modulators' darkest point has moved.
    stuck: attenuators that do not move.  cut_db: loss that was added, by user, `` for the line.  turned_rad: of the polarisation.  slips: slots by user.
    dark: factor on the dark rates.  latches: how often each nanowire was made to latch.  missed: share of the clicks not recorded.
    swapped: the detectors' cables at the tagger.  clockless: no reference clock.
    resent: share of a user's pulses that Eve measures and sends again.  bright_w: her continuous light at each detector.
    """

    laser_db: float = 0.0
    hop_m: float = 0.0
    lasing: bool = False
    unlocked: bool = False
    null_v: float = 0.0
    stuck: frozenset[str] = frozenset()
    cut_db: Mapping[str, float] = field(default_factory=lambda: _NONE)
    turned_rad: float = 0.0
    slips: Mapping[str, float] = field(default_factory=lambda: _NONE)
    dark: tuple[float, float] = (1.0, 1.0)
    latches: tuple[int, int] = (0, 0)
    missed: tuple[float, float] = (0.0, 0.0)
    swapped: bool = False
    clockless: bool = False
    resent: Mapping[str, float] = field(default_factory=lambda: _NONE)
    bright_w: float = 0.0


def _at(detector: str, size: float, before: tuple[float, float]) -> tuple[float, float]:
    return (size if detector in ("", DETECTORS[0]) else before[0], size if detector in ("", DETECTORS[1]) else before[1])


def _latched(detector: str, before: tuple[int, int]) -> tuple[int, int]:
    return (before[0] + (detector in ("", DETECTORS[0])), before[1] + (detector in ("", DETECTORS[1])))


_CHANGES: dict[str, Callable[[Harm, Fault], Harm]] = {
    "laser-drift": lambda harm, fault: replace(harm, laser_db=harm.laser_db + fault.size),
    "mode-hop": lambda harm, fault: replace(harm, laser_db=harm.laser_db - fault.size, hop_m=harm.hop_m + _HOP_M),
    "emission-stuck": lambda harm, _fault: replace(harm, lasing=True),
    "interlock-open": lambda harm, _fault: replace(harm, unlocked=True),
    "bias-drift": lambda harm, fault: replace(harm, null_v=harm.null_v + fault.size),
    "voa-stuck": lambda harm, fault: replace(harm, stuck=harm.stuck | {fault.target}),
    "fibre-cut": lambda harm, fault: replace(harm, cut_db={**harm.cut_db, fault.target: harm.cut_db.get(fault.target, 0.0) + fault.size}),
    "polarisation-jump": lambda harm, fault: replace(harm, turned_rad=harm.turned_rad + fault.size),
    "slip": lambda harm, fault: replace(harm, slips={**harm.slips, fault.target: harm.slips.get(fault.target, 0.0) + round(fault.size)}),
    "dark": lambda harm, fault: replace(harm, dark=_at(fault.target, fault.size, harm.dark)),
    "latch": lambda harm, fault: replace(harm, latches=_latched(fault.target, harm.latches)),
    "missed-tags": lambda harm, fault: replace(harm, missed=_at(fault.target, fault.size, harm.missed)),
    "swapped-channels": lambda harm, _fault: replace(harm, swapped=True),
    "clock-lost": lambda harm, _fault: replace(harm, clockless=True),
    "intercept-resend": lambda harm, fault: replace(harm, resent={**harm.resent, fault.target: fault.size}),
    "blinding": lambda harm, fault: replace(harm, bright_w=fault.size),
}
"""What each fault of the world does."""


class Harms:
    """The faults of a bench in the order of time."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._from: list[tuple[int, Harm]] = [(0, Harm())]

    def add(self, fault: Fault, now_ps: int) -> None:
        """Let a fault of the world begin; raises ConfigError as `check` does."""
        self.check(fault)
        if fault.kind == "slip" and not fault.target:
            fault = replace(fault, target=self._layout.users[0].name)
        begin = max(now_ps, round(fault.after_s * 1e12))
        before = [(at, harm) for at, harm in self._from if at <= begin]
        after = [(at, _CHANGES[fault.kind](harm, fault)) for at, harm in self._from if at > begin]
        self._from = [*before, (begin, _CHANGES[fault.kind](before[-1][1], fault)), *after]

    def check(self, fault: Fault) -> None:
        """Raise ConfigError where a fault falls on nothing."""
        known = {
            "user": [user.name for user in self._layout.users],
            "detector": list(DETECTORS),
            "instrument": [*self._layout.line.entry.attenuators, *filter(None, self._layout.attenuators.values())],
        }.get(KINDS[fault.kind].target, [])
        if fault.target and fault.target not in known:
            raise ConfigError(f"there is no {fault.target!r} for it", where=f"fault {fault.kind}", remedy=f"Choose one of {', '.join(known)}.")

    def index(self, time_ps: int) -> int:
        """Return which of the states holds at a bench time."""
        return max(k for k, (at, _) in enumerate(self._from) if at <= max(time_ps, 0))

    def at(self, time_ps: int) -> Harm:
        """Return what is wrong at a bench time."""
        return self._from[self.index(time_ps)][1]
