"""Single-photon avalanche diodes: efficiency and dark counts against bias and temperature, and how they get cold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, exp2

AMBIENT_DEGC = 20.0
NOMINAL_DEGC = -20.0
NOMINAL_BIAS_V = 60.0
"""Bias at which, at the nominal temperature, the site's efficiencies and dark rates hold."""
BREAKDOWN_V = 55.0
"""Bias, at the nominal temperature, up to which the diode does not multiply."""
AFTERPULSE = 0.01
"""Probability of an afterpulse where the station says nothing."""
THERMAL_S = 2.0
"""Bench time in which the distance from the target falls to 1/e; the real one is minutes."""
_BREAKDOWN_V_PER_K = 0.05
_HALF_V, _WIDTH_V = 2.0, 0.5
_DOUBLING_K = 9.0
_STEP_DEGC = 0.5


@dataclass(frozen=True, slots=True)
class Diode:
    """Knobs of one diode.

    bias_v: bias.  triggers: its pulses cross the threshold of its comparator.  cooled: its temperature is held at target_degc, else it goes to ambient.
    start_degc, start_ps: temperature at the bench time when that was last changed.
    """

    bias_v: float = 0.0
    triggers: bool = True
    cooled: bool = False
    target_degc: float = NOMINAL_DEGC
    start_degc: float = AMBIENT_DEGC
    start_ps: int = 0

    def degc(self, now_ps: int) -> float:
        """Return the temperature at a bench time."""
        goal = self.target_degc if self.cooled else AMBIENT_DEGC
        return goal + (self.start_degc - goal) * exp(-max(0, now_ps - self.start_ps) * 1e-12 / THERMAL_S)

    def held(self, now_ps: int, *, cooled: bool | None = None, target_degc: float | None = None) -> Diode:
        """Return the diode with another target from now on."""
        target, on = self.target_degc if target_degc is None else target_degc, self.cooled if cooled is None else cooled
        return replace(self, cooled=on, target_degc=target, start_degc=self.degc(now_ps), start_ps=now_ps)

    def step(self, now_ps: int) -> int:
        """Return a number that changes when the temperature has changed enough to matter."""
        return round(self.degc(now_ps) / _STEP_DEGC)

    def response(self, now_ps: int) -> float:
        """Return the efficiency over that at nominal bias and temperature: a sigmoid of the excess bias over a breakdown that rises with temperature."""
        if not self.triggers:
            return 0.0
        excess = self.bias_v - BREAKDOWN_V - _BREAKDOWN_V_PER_K * (self.step(now_ps) * _STEP_DEGC - NOMINAL_DEGC)
        return _sigmoid(excess) / _sigmoid(NOMINAL_BIAS_V - BREAKDOWN_V) if excess > 0.0 else 0.0

    def darkness(self, now_ps: int) -> float:
        """Return the dark rate over the nominal one: it goes with the efficiency, and doubles every 9 degrees."""
        return self.response(now_ps) * exp2((self.step(now_ps) * _STEP_DEGC - NOMINAL_DEGC) / _DOUBLING_K)


def _sigmoid(excess_v: float) -> float:
    return 1.0 / (1.0 + exp(-(excess_v - _HALF_V) / _WIDTH_V))
