"""The working point of an intensity modulator: it walks away by itself, and a bias controller that sees light pulls it back."""

from __future__ import annotations

from dataclasses import dataclass
from math import asin, inf, pi, sqrt

from ...instruments.wire.mbx import MOST_BIAS_V, BiasMode
from .drift import STEP_PS, Walk

LAG_PS = 10 * STEP_PS
"""How far a controller's lock runs behind the drift."""
_TARGETS = {BiasMode.PEAK: 1.0, BiasMode.NULL: 0.0, BiasMode.QUAD_POS: 0.5, BiasMode.QUAD_NEG: -0.5, BiasMode.HOLD_QUAD_POS: 0.5, BiasMode.HOLD_QUAD_NEG: -0.5}
"""Where a mode wants the working point, in v_pi above the darkest point."""
_HOLDING = (BiasMode.HOLD_QUAD_POS, BiasMode.HOLD_QUAD_NEG)


@dataclass(slots=True)
class Bias:
    """One modulator's bias electrode, with the controller on it.

    null_v: voltage (V) at which the modulator would be darkest at the start.  walk: how that voltage wanders.  v_pi: V.
    A controller in an automatic mode follows as long as it sees light; in the dark and while it holds, its voltage stands.
    """

    walk: Walk
    v_pi: float
    null_v: float = 0.0
    mode: BiasMode = BiasMode.OFF
    manual_v: float = 0.0
    power_ratio: float = 2.5
    held_v: float = 0.0
    sees_light: bool = False
    found: bool = False

    def null_at(self, time_ps: int) -> float:
        """Return the voltage (V) at which the modulator is darkest at a bench time."""
        return self.null_v + self.walk.at(time_ps)

    def follows(self) -> bool:
        """Say whether the controller tracks the drift now."""
        return self.sees_light and self._target() is not None and not (self.mode in _HOLDING and self.found)

    def voltage(self, time_ps: int) -> float:
        """Return what the controller applies (V) at a bench time."""
        if self.mode is BiasMode.OFF:
            return 0.0
        if self.mode is BiasMode.MANUAL:
            return self.manual_v
        target = self._target()
        if target is None or not self.follows():
            return self.held_v
        wanted = self.null_at(time_ps - LAG_PS) + target * self.v_pi
        # A working point that drifts out of reach comes again after two half-wave voltages.
        return wanted if abs(wanted) <= MOST_BIAS_V else self._wrapped(wanted)

    def error(self, time_ps: int) -> float:
        """Return by how much (V) the working point is off the one wanted; infinite where there is none, or no light to find it by."""
        target = self._target()
        if target is None or not self.sees_light:
            return inf
        return self._wrapped(self.voltage(time_ps) - self.null_at(time_ps) - target * self.v_pi)

    def _wrapped(self, volts: float) -> float:
        return volts - 2.0 * self.v_pi * round(volts / (2.0 * self.v_pi))

    def offset(self, time_ps: int) -> float:
        """Return what the bias adds to the modulator's drive (V) as seen from its darkest point."""
        return self.voltage(time_ps) - self.null_at(time_ps)

    def set_mode(self, mode: BiasMode, time_ps: int) -> None:
        """Change the mode; the voltage stays where it was until light shows where to go."""
        self.held_v = self.voltage(time_ps)
        self.mode = mode
        self.search(time_ps)

    def search(self, time_ps: int) -> None:
        """Look for the working point anew."""
        self.found = False
        if self.mode in _HOLDING and self.sees_light:
            self.held_v, self.found = self.voltage(time_ps), True

    def see(self, light: bool, time_ps: int) -> None:
        """Take note of light at the controller's tap, or of darkness, in which the voltage stands."""
        if light == self.sees_light:
            return
        self.held_v = self.voltage(time_ps)
        self.sees_light = light
        if light and self.mode in _HOLDING and not self.found:
            self.search(time_ps)

    def _target(self) -> float | None:
        if self.mode in (BiasMode.POWER_POS, BiasMode.POWER_NEG):
            # Of the bright modulator's power a share 1 / ratio shall pass: sin^2(pi u / 2) = 1 / ratio.
            share = 2.0 / pi * asin(sqrt(1.0 / self.power_ratio))
            return share if self.mode is BiasMode.POWER_POS else -share
        return _TARGETS.get(self.mode)
