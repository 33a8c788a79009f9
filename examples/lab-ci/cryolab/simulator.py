"""A simulated Lake Shore 224: bytes in, bytes out. It knows nothing of sockets; the place puts it behind one."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi, sin
from typing import Any

import numpy as np

from heliograph.mocks.devices.base import Link, TextLink
from heliograph.mocks.place import Place, Resources
from heliograph.mocks.world import World

BASE_K, SWING_K, NOISE_K = 2.5, 0.05, 0.001
PERIOD_S = 60.0


class Monitor:
    """The monitor on a cryostat whose temperature swings with its compressor, in bench time.  noise: of the sensor."""

    def __init__(self, world: World, noise: np.random.Generator) -> None:
        self._world = world
        self._noise = noise

    def link(self) -> Link:
        """Return a connection."""
        return TextLink(self.answer, b"\r\n")

    def answer(self, command: str) -> str | None:
        """Return the answer to a query, None for anything else."""
        if command == "*IDN?":
            return "LSCI,MODEL224,224001,1.5"
        return f"{self._kelvin():+.4f}" if command == "KRDG? A" else None

    def _kelvin(self) -> float:
        phase = 2.0 * pi * self._world.clock_ps * 1e-12 / PERIOD_S
        return BASE_K + SWING_K * sin(phase) + NOISE_K * float(self._noise.standard_normal())


def switch_on(place: Place, name: str, _entry: Mapping[str, Any]) -> Resources:
    """Switch the monitor on and return its address."""
    return {"resource": place.raw_socket(name, Monitor(place.world, place.seeds.generator(f"noise {name}")))}
