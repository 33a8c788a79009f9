"""Polarisation of the light that enters the loop: three paddles, a state that drifts before them, and what is left of the interference."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

Jones = NDArray[np.complex128]

HORIZONTAL: Jones = np.array([1.0, 0.0], np.complex128)
"""The state that the loop lets interfere."""


def wave_plate(angle_deg: float, retardance_rad: float) -> Jones:
    """Return the Jones matrix (2, 2) of a plate whose fast axis stands at an angle.  R(angle) diag(1, exp(i retardance)) R(-angle)."""
    c, s = cos(radians(angle_deg)), sin(radians(angle_deg))
    turn = np.array([[c, -s], [s, c]], np.complex128)
    return turn @ np.diag([1.0, np.exp(1j * retardance_rad)]) @ turn.T


def paddles(angles_deg: Sequence[float]) -> Jones:
    """Return the Jones matrix (2, 2) of quarter-wave, half-wave and quarter-wave paddle, passed in this order."""
    first, second, third = angles_deg
    return wave_plate(third, np.pi / 2) @ wave_plate(second, np.pi) @ wave_plate(first, np.pi / 2)


def rotated(state: Jones, about_s2_rad: float, about_s3_rad: float) -> Jones:
    """Return a state (2,) turned on the Poincare sphere about the diagonal and then about the circular axis."""
    a, b = about_s2_rad / 2.0, about_s3_rad / 2.0
    diagonal = np.array([[cos(a), -1j * sin(a)], [-1j * sin(a), cos(a)]], np.complex128)
    circular = np.array([[cos(b), -sin(b)], [sin(b), cos(b)]], np.complex128)
    return circular @ diagonal @ state


def overlap(state: Jones, plates: Sequence[Jones]) -> float:
    """Return the share of the power (0 to 1) that is horizontal behind plates passed in order.  The visibility has its square root as a factor."""
    for plate in plates:
        state = plate @ state
    return min(1.0, float(abs(np.vdot(HORIZONTAL, state)) ** 2))
