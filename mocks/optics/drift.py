"""What wanders on a bench while time passes: seeded random walks that are functions of bench time, whoever asks and in whatever order."""

from __future__ import annotations

from math import sqrt

import numpy as np

from ..randomness import Seeds

STEP_PS = 100_000_000_000
"""How often what drifts is looked at; between two steps it stands still."""
_STEPS = 600
_MINUTE_PS = 60 * 10**12


class Walk:
    """A random walk that starts at 0 with bench time.

    name: key of its randomness.  rms: its rms value after a minute; 0 stands still.
    """

    def __init__(self, seeds: Seeds, name: str, rms: float) -> None:
        self._seeds = seeds
        self._name = name
        self._per_step = rms * sqrt(STEP_PS / _MINUTE_PS)
        self._blocks: list[np.ndarray] = []

    @property
    def moves(self) -> bool:
        """Say whether it ever leaves its start."""
        return self._per_step > 0.0

    def at(self, time_ps: int) -> float:
        """Return the value at a bench time; before its start it is 0."""
        step = time_ps // STEP_PS
        if not self.moves or step <= 0:
            return 0.0
        block, place = divmod(step, _STEPS)
        while len(self._blocks) <= block:
            self._blocks.append(self._drawn(len(self._blocks)))
        return float(self._blocks[block][place])

    def _drawn(self, block: int) -> np.ndarray:
        """Return the values of one block of steps; the very first value is the start."""
        moves = self._per_step * self._seeds.generator(f"walk {self._name}", 0, block).standard_normal(_STEPS)
        if block == 0:
            moves[0] = 0.0
        return np.cumsum(moves) + (self._blocks[-1][-1] if self._blocks else 0.0)
