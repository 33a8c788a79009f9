"""Where secret bits come from, kept apart from the randomness of simulations.

Simulation, training and sampling take a `numpy.random.Generator`. Whatever becomes key, pad, pattern or public-but-fresh seed takes a `RandomSource`; the two
are different types, so that no seeded number is ever taken for a secret.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

Origin = Literal["os", "qrng", "simulated"]
_SECRETS = 0x5EC2E7
"""Sets `SimRandom` apart from generators of simulation and training under the same seed, whose numbers are public."""


@runtime_checkable
class RandomSource(Protocol):
    """A source of random bytes that knows its own origin."""

    @property
    def origin(self) -> Origin:
        """Say what stands behind the bytes; `simulated` never yields a real key."""
        ...

    def take(self, n: int) -> bytes:
        """Return n fresh bytes."""
        ...


class OsRandom:
    """The operating system's generator."""

    origin: Origin = "os"

    def take(self, n: int) -> bytes:
        """Return n bytes from the operating system."""
        return secrets.token_bytes(n)


class SimRandom:
    """A seeded stream, for demonstrations and tests only: everything drawn from it is marked simulated.

    seed, stream: two sources with equal seed and stream give equal bytes.
    """

    origin: Origin = "simulated"

    def __init__(self, seed: int, stream: int = 0) -> None:
        self._generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(_SECRETS, stream))))

    def take(self, n: int) -> bytes:
        """Return the next n bytes of the stream."""
        return self._generator.bytes(n)

    @property
    def state(self) -> dict[str, Any]:
        """Return where the stream is, in plain numbers, so that another process goes on from there."""
        return dict(self._generator.bit_generator.state)

    @classmethod
    def at(cls, state: Mapping[str, Any]) -> SimRandom:
        """Return the stream that goes on from a state; raises ValueError for one that is none."""
        source = cls(0)
        source._generator.bit_generator.state = dict(state)
        return source
