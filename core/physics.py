"""Laws that the simulated bench obeys and the analysis expects: light budget, modulators, interference, clicks.

Lengths in metres, powers in watts, voltages in volts, phases in radians; floats or arrays broadcast against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import ArrayLike, NDArray

PLANCK = 6.62607015e-34
"""Planck constant (J s)."""
LIGHT_SPEED = 299_792_458.0
"""Speed of light in vacuum (m/s)."""
GROUP_INDEX = 1.4682
"""Group index of standard fibre at 1550 nm."""

Floats = NDArray[np.float64]


def photons_per_pulse(power_w: ArrayLike, wavelength_m: float, rep_rate_hz: float) -> Floats:
    """Return the mean photon number per pulse of light of mean power `power_w`.  mu = P lambda / (h c f_rep)."""
    return np.asarray(power_w, float) * wavelength_m / (PLANCK * LIGHT_SPEED * rep_rate_hz)


def pulse_power_w(photons: ArrayLike, wavelength_m: float, rep_rate_hz: float) -> Floats:
    """Return the mean power (W) of pulses of `photons` mean photons; inverse of `photons_per_pulse`."""
    return np.asarray(photons, float) * PLANCK * LIGHT_SPEED * rep_rate_hz / wavelength_m


def transmission(loss_db: ArrayLike) -> Floats:
    """Return the power transmission of a loss in dB."""
    ratio: Floats = np.power(10.0, -np.asarray(loss_db, float) / 10.0)
    return ratio


def loss_db(transmitted: ArrayLike) -> Floats:
    """Return the loss in dB of a power transmission; inverse of `transmission`."""
    loss: Floats = -10.0 * np.log10(np.asarray(transmitted, float))
    return loss


def modulator_transmission(volts: ArrayLike, v_pi: float, *, bias_v: float = 0.0, extinction_db: float = 30.0) -> Floats:
    """Return the power transmission of a Mach-Zehnder intensity modulator.

    volts: drive, any shape.  v_pi: volts from dark to bright.  bias_v: drive at which it is darkest.  extinction_db: bright over dark.
    T = 1/ER + (1 - 1/ER) sin^2(pi (U - U0) / (2 U_pi)).
    """
    floor = transmission(extinction_db)
    through: Floats = floor + (1.0 - floor) * np.sin(pi * (np.asarray(volts, float) - bias_v) / (2.0 * v_pi)) ** 2
    return through


def phase_rad(volts: ArrayLike, v_pi: float) -> Floats:
    """Return the phase of a phase modulator.  phi = pi U / U_pi."""
    return pi * np.asarray(volts, float) / v_pi


@dataclass(frozen=True, slots=True)
class Clicks:
    """Probabilities per slot, each of the broadcast shape of the inputs."""

    only_d1: Floats
    only_d2: Floats
    both: Floats


def interference(mu_t: tuple[ArrayLike, ArrayLike], phase: ArrayLike, visibility: ArrayLike, efficiency: tuple[float, float]) -> tuple[Floats, Floats]:
    """Return the mean detected photons per slot at D1 and D2.

    mu_t: mean photon numbers of the two trains at the beam splitter (photons per pulse times channel transmission).  phase: phi_a - phi_b.
    I_k = eta_k/2 (mu_a t_a + mu_b t_b +- 2 V sqrt(mu_a t_a mu_b t_b) cos phase); equal phases go to D1.
    """
    a, b = (np.asarray(x, float) for x in mu_t)
    total = a + b
    swing = 2.0 * np.asarray(visibility, float) * np.sqrt(a * b) * np.cos(phase)
    return efficiency[0] * (total + swing) / 2.0, efficiency[1] * (total - swing) / 2.0


def click_law(mean_d1: ArrayLike, mean_d2: ArrayLike, dark: tuple[float, float]) -> Clicks:
    """Return the probabilities of the three outcomes of a slot.

    mean_d1, mean_d2: mean detected photons.  dark: dark count probability per gate at each detector.  p_k = 1 - (1 - d_k) exp(-I_k).
    """
    p1 = 1.0 - (1.0 - dark[0]) * np.exp(-np.asarray(mean_d1, float))
    p2 = 1.0 - (1.0 - dark[1]) * np.exp(-np.asarray(mean_d2, float))
    return Clicks(p1 * (1.0 - p2), p2 * (1.0 - p1), p1 * p2)


def dead_time_rate(true_rate_hz: ArrayLike, dead_time_s: float) -> Floats:
    """Return the counted rate (1/s) of Poisson clicks behind a non-paralysable dead time."""
    rate = np.asarray(true_rate_hz, float)
    counted: Floats = rate / (1.0 + rate * dead_time_s)
    return counted


def fibre_delay_s(length_m: float) -> float:
    """Return the time light needs for a length of fibre."""
    return GROUP_INDEX * length_m / LIGHT_SPEED


def collision_margin_s(distance_m: float, loop_m: float, slot_s: float) -> float:
    """Return how far apart (s, cyclic, 0 to slot/2) the two trains of a loop pass a user.

    distance_m: fibre from beam-splitter port 1 to the user.  Below one modulator gate, the modulator cannot address one train alone.
    Source: collision rule, n_g (L - 2x) / c modulo the slot.
    """
    apart = fibre_delay_s(loop_m - 2.0 * distance_m) % slot_s
    return min(apart, slot_s - apart)


def train_fractions(distance_m: float, loop_m: float, slot_s: float) -> tuple[float, float]:
    """Return where inside the slot (0 to 1) the clockwise and the counter-clockwise train pass a user's phase modulator.

    The generator of each user is delayed so that the clockwise train passes at a quarter of the slot.
    """
    return 0.25, (0.25 + fibre_delay_s(loop_m - 2.0 * distance_m) / slot_s) % 1.0
