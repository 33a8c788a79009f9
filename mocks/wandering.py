"""What moves by itself on the bench, and what holds it: laser power, working points of the modulators, polarisation before the loop."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, sqrt

from .layout import Layout
from .optics.bias import Bias
from .optics.drift import STEP_PS, Walk
from .optics.polarisation import HORIZONTAL, Jones, overlap, paddles, rotated
from .randomness import Seeds

_RESTING_DEG = (0.0, 0.0, 0.0)


class Wandering:
    """Everything of a layout that drifts, as functions of bench time, and the knobs against it.

    Each element draws from its own stream, so that one more changes no other.
    """

    def __init__(self, layout: Layout, seeds: Seeds) -> None:
        drift = layout.drift
        self._drift = drift
        self._laser = Walk(seeds, "laser", drift.laser_db)
        self._turns = (Walk(seeds, "polarisation 2", drift.polarisation_rad), Walk(seeds, "polarisation 3", drift.polarisation_rad))
        self._input = _random_state(seeds) if drift.random_polarisation else HORIZONTAL
        self._angles: dict[str, tuple[float, ...]] = dict.fromkeys(layout.line.paddles, _RESTING_DEG)
        self._on_ps: int | None = None
        self.biases = [self._bias(seeds, source, carver.v_pi) for source, carver in layout.carvers]
        self._controlled = {name: bias for name, bias in zip(layout.biases, self.biases, strict=True) if name}

    def _bias(self, seeds: Seeds, source: str, v_pi: float) -> Bias:
        start = seeds.generator(f"bias {source}").uniform(-1.0, 1.0) * self._drift.bias_start_v
        return Bias(Walk(seeds, f"bias {source}", self._drift.bias_v), v_pi, float(start))

    @property
    def still(self) -> bool:
        """Say whether nothing depends on bench time."""
        walks = (self._laser, *self._turns, *(bias.walk for bias in self.biases))
        return not any(walk.moves for walk in walks) and self._drift.warm_up_db == 0.0

    def step(self, time_ps: int) -> int:
        """Return the number of the piece of bench time in which nothing changes by itself."""
        return 0 if self.still else time_ps // STEP_PS

    def switched(self, emission: bool, time_ps: int) -> None:
        """Take note of when the laser was switched on."""
        if not emission:
            self._on_ps = None
        elif self._on_ps is None:
            self._on_ps = time_ps

    def power_factor(self, time_ps: int) -> float:
        """Return the laser's power over its set-point: warm-up and drift."""
        if self.still:
            return 1.0
        since_s = (time_ps - (time_ps if self._on_ps is None else self._on_ps)) * 1e-12
        gain_db = self._laser.at(time_ps) - self._drift.warm_up_db * exp(-max(0.0, since_s) / self._drift.warm_up_s)
        return float(10.0 ** (gain_db / 10.0))

    def bias(self, controller: str) -> Bias | None:
        """Return the bias that a controller drives; None if it is on no modulator."""
        return self._controlled.get(controller)

    def controlled(self) -> Iterable[tuple[int, Bias]]:
        """Return the controlled biases with the number of modulators before each."""
        return [(k, bias) for k, bias in enumerate(self.biases) if any(bias is one for one in self._controlled.values())]

    def offsets_v(self, time_ps: int) -> list[float]:
        """Return what bias and drift add to the drive (V) of each modulator of the line."""
        return [bias.offset(time_ps) for bias in self.biases]

    def turn_paddles(self, name: str, angles_deg: tuple[float, ...]) -> None:
        """Turn the paddles of a polarisation controller; one that is not in the line turns nothing."""
        if name in self._angles:
            self._angles[name] = angles_deg

    def overlap(self, time_ps: int, turned_rad: float = 0.0) -> float:
        """Return the share of the power that enters the loop in the state that interferes.  turned_rad: a turn of the state that comes to the drift."""
        if not self._angles and self.still and self._input is HORIZONTAL and turned_rad == 0.0:
            return 1.0
        state = rotated(self._input, self._turns[0].at(time_ps) + turned_rad, self._turns[1].at(time_ps))
        return overlap(state, [paddles(angles) for angles in self._angles.values()])

    def visibility(self, time_ps: int, turned_rad: float = 0.0) -> float:
        """Return the factor of the polarisation on the visibility; as `overlap`."""
        return sqrt(self.overlap(time_ps, turned_rad))


def _random_state(seeds: Seeds) -> Jones:
    x, y, z, w = seeds.generator("polarisation start").standard_normal(4)
    state: Jones = (HORIZONTAL * (x + 1j * y)) + (HORIZONTAL[::-1] * (z + 1j * w))
    return state / sqrt(x * x + y * y + z * z + w * w)
