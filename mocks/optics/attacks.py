"""An eavesdropper on the line: what intercepting and sending again does to the interference, and what bright light does to detectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...core.physics import Floats

BLINDING_W = 1e-7
"""Continuous light at a detector from which on single photons do not make it click, but only bright pulses; less than this adds clicks."""


def resent_visibility(fraction: float) -> float:
    """Return the factor on the visibility if a share of a user's pulses is measured in a random basis and sent again as found.  1 - f/2.

    With the basis angle theta, 0 or pi/2 at random, Eve finds theta with probability cos^2((phi - theta)/2) and theta + pi otherwise. What she sends has the
    mean e^(i phi') = e^(i theta) cos(phi - theta); over both bases (cos phi + i sin phi)/2 = e^(i phi)/2. So half of the interference of these pulses is left:
    an error rate of 1/4 in either of the users' bases.
    """
    return 1.0 - fraction / 2.0


def resent_phases(phase: Floats, generator: np.random.Generator) -> Floats:
    """Return the phases (rad) that Eve sends for those she measured, one by one, each in a basis of its own: what `resent_visibility` is the mean of."""
    theta = generator.integers(0, 2, phase.shape) * (np.pi / 2.0)
    found = generator.random(phase.shape) >= np.cos((phase - theta) / 2.0) ** 2
    sent: Floats = theta + np.pi * found
    return sent


def blinds(power_w: float) -> bool:
    """Say whether continuous light of a power makes a detector blind to single photons."""
    return power_w >= BLINDING_W


def missed(times: NDArray[np.int64], share: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return sorted times without a random share of them."""
    return times[generator.random(times.size) >= share] if share > 0.0 else times
