"""The Sagnac loop: both trains pass every user; which phase each picks up depends on where the user sits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np

from ...core.physics import Floats, collision_margin_s, interference, train_fractions
from .light import Drive


@dataclass(frozen=True, slots=True)
class User:
    """One user of the loop.

    name: party letter.  distance_m: fibre from beam-splitter port 1.  loss_db: the user's arm without its attenuator.  v_pi, gain: phase modulator and its
    amplifier.  error_x, error_y: wrong-port share of each basis.  pm_gain: error factor of the modulator.
    """

    name: str
    distance_m: float
    loss_db: float
    v_pi: float
    gain: float
    gate_s: float
    error_x: float
    error_y: float
    pm_gain: float = 1.0


@dataclass(frozen=True, slots=True)
class Loop:
    """Geometry of the loop.  length_m: fibre.  slot_s: pulse period.  slots: frame length."""

    length_m: float
    slot_s: float
    slots: int


def collides(user: User, loop: Loop) -> bool:
    """Say whether the two trains pass the user's modulator within one gate of each other."""
    return collision_margin_s(user.distance_m, loop.length_m, loop.slot_s) < user.gate_s


def net_phase(user: User, drive: Drive, offsets: tuple[int, int], loop: Loop) -> Floats:
    """Return the phase (rad, (slots,)) by which the user shifts the clockwise train against the counter-clockwise one, in slots as they arrive.

    offsets: slots by which the user's waveform lags on the clockwise and on the counter-clockwise train.  A user at whom the trains collide shifts both alike.
    """
    if collides(user, loop):
        return np.zeros(loop.slots)
    trains = []
    for fraction, offset in zip(train_fractions(user.distance_m, loop.length_m, loop.slot_s), offsets, strict=True):
        times = ((np.arange(loop.slots) - offset) % loop.slots + fraction) * loop.slot_s
        trains.append(drive.at(times) * (pi * user.pm_gain * user.gain / user.v_pi))
    return trains[0] - trains[1]


def user_visibility(phase: Floats, error_x: float, error_y: float) -> Floats:
    """Return a user's factor on the visibility at its own phase.  (1 - 2 e_X) cos^2 + (1 - 2 e_Y) sin^2: e_X at 0 and pi, e_Y between."""
    c2 = np.cos(phase) ** 2
    return (1.0 - 2.0 * error_x) * c2 + (1.0 - 2.0 * error_y) * (1.0 - c2)


def phase_and_visibility(
    users: Sequence[User],
    drives: Mapping[str, Drive],
    offsets: Mapping[str, tuple[int, int]],
    loop: Loop,
    pair_errors: Mapping[str, tuple[float, float]],
) -> tuple[Floats, Floats]:
    """Return phase (rad) and visibility of the interference in every slot of a frame, (slots,) each.

    drives, offsets: by user name.  pair_errors: (e_X, e_Y) of a pair such as "A-B"; they replace the users' own when exactly these two modulate.
    A modulator whose output is off adds neither phase nor noise.
    """
    active = [user for user in users if drives[user.name].on]
    override = pair_errors.get("-".join(sorted(user.name for user in active))) if len(active) == 2 else None
    phase, visibility = np.zeros(loop.slots), np.ones(loop.slots)
    for user in active:
        own = net_phase(user, drives[user.name], offsets[user.name], loop)
        errors = (user.error_x, user.error_y) if override is None else tuple((1.0 - sqrt(1.0 - 2.0 * e)) / 2.0 for e in override)
        phase = phase + own
        visibility = visibility * user_visibility(own, *errors)
    return phase, visibility


def arms(users: Sequence[User], drives: Mapping[str, Drive], arm_db: Mapping[str, float]) -> tuple[str, str]:
    """Return the two users through whose arms the trains return, in alphabetical order.

    They are those whose modulators are on; where these are more or fewer than two, the most transparent arms are taken. arm_db: loss of each arm with its
    attenuator. A loop with one user returns both trains through that one.
    """
    ranked = sorted(users, key=lambda user: (not drives[user.name].on, arm_db[user.name], user.name))
    chosen = sorted(user.name for user in ranked[:2])
    return chosen[0], chosen[-1]


def detected(photons: Floats, arm: tuple[float, float], phase: Floats, visibility: Floats, efficiency: tuple[float, float]) -> Floats:
    """Return the mean detected photons in every slot at D1 and D2, shape (2, slots).

    photons: mean photon number leaving each user, (slots,).  arm: power transmission of the two arms.
    """
    return np.stack(interference((photons * arm[0], photons * arm[1]), phase, visibility, efficiency))
