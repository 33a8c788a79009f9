"""The collision rule of a Sagnac loop: at every user the two trains must pass at different times, or nothing can be encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.physics import GROUP_INDEX, LIGHT_SPEED, collision_margin_s

STEP_M = 0.01
SPARE_S = 0.1e-9
"""Spare time beyond the modulator gate that a remedy leaves, so that cutting the fibre a centimetre off does not undo it."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a user sits: fibre (m) from beam-splitter port 1, and the gate (s) of its phase modulator."""

    distance_m: float
    gate_s: float


@dataclass(frozen=True, slots=True)
class Remedy:
    """Fibre to add: how much (m), behind which user (empty: behind the last one), and the layout that results."""

    length_m: float
    behind: str
    loop_m: float
    moved: dict[str, float]

    def __str__(self) -> str:
        where = f"behind user {self.behind}" if self.behind else "between the last user and beam-splitter port 2"
        moved = "".join(f', distance of user {user} = "{distance:.2f} m"' for user, distance in self.moved.items())
        return f'Add {self.length_m:.2f} m of fibre {where}: loop length = "{self.loop_m:.2f} m"{moved}.'


def collisions(sites: Mapping[str, Site], loop_m: float, slot_s: float) -> dict[str, float]:
    """Return the time (s) between the two trains at every user where it is shorter than the modulator gate."""
    margins = {user: collision_margin_s(site.distance_m, loop_m, slot_s) for user, site in sites.items()}
    return {user: margin for user, margin in margins.items() if margin < sites[user].gate_s}


def find_remedy(sites: Mapping[str, Site], loop_m: float, slot_s: float) -> Remedy | None:
    """Return the shortest piece of fibre whose insertion in one place frees every user, or None if no single piece does.

    Fibre put in behind a user moves the users behind it away from port 1 and lengthens the loop; all users are checked again. Lengths beyond one slot repeat.
    """
    slot_m = slot_s * LIGHT_SPEED / GROUP_INDEX
    lengths: NDArray[np.float64] = np.arange(1.0, int(slot_m / STEP_M) + 1) * STEP_M
    order = sorted(sites, key=lambda user: sites[user].distance_m)
    found: Remedy | None = None
    for place in range(len(order), 0, -1):
        behind = order[place:]
        free = np.all([_is_free(sites[user], lengths, user in behind, loop_m, slot_s) for user in order], axis=0)
        if free.any() and (found is None or lengths[free][0] < found.length_m):
            length = float(lengths[free][0])
            moved = {user: sites[user].distance_m + length for user in behind}
            found = Remedy(length, order[place - 1] if behind else "", loop_m + length, moved)
    return found


def _is_free(site: Site, lengths: NDArray[np.float64], moves: bool, loop_m: float, slot_s: float) -> NDArray[np.bool_]:
    distances = site.distance_m + lengths * moves
    margins = [collision_margin_s(float(distance), loop_m + float(length), slot_s) for distance, length in zip(distances, lengths, strict=True)]
    return np.asarray(margins) >= site.gate_s + SPARE_S
