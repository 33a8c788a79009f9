"""Seeded randomness of the simulated bench: every element has streams of its own."""

from __future__ import annotations

from zlib import crc32

import numpy as np


class Seeds:
    """Generators keyed by (seed, element, epoch, chunk).

    Because an element's name is part of the key, adding an element never changes another's stream, and a chunk that was drawn ahead and never read
    changes nothing later.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def generator(self, element: str, epoch: int = 0, chunk: int = 0) -> np.random.Generator:
        """Return the generator of one chunk of one acquisition at one element."""
        key = (crc32(element.encode()), epoch, chunk)
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence(self._seed, spawn_key=key)))
