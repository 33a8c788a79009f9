"""Asking again: only questions, never submissions, and only where the failure may go away by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ...core.errors import QpuError
from .vendors import transient

Found = TypeVar("Found")
LONGEST_S = 900.0
SLOWEST_S = 60.0


@dataclass(frozen=True)
class Patience:
    """How time passes. sleep, clock: s, monotonic.  generator: spreads the delays of many clients.  told: before each wait, what failed."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    generator: np.random.Generator = field(default_factory=np.random.default_rng)
    told: Callable[[str], None] = lambda _: None

    def delay_s(self, attempt: int) -> float:
        """Return how long to wait after attempt 0, 1, ..: min(60, 2^attempt) s times a number from [0.5, 1)."""
        return float(min(SLOWEST_S, 2.0 ** min(attempt, 6)) * self.generator.uniform(0.5, 1.0))


def retried(call: Callable[[], Found], patience: Patience) -> Found:
    """Return what `call` returns, asking again after throttling, a server's failure or a lost connection, for at most 15 min in all.

    Raises the last error when the time is up, any other at once.
    """
    end, attempt = patience.clock() + LONGEST_S, 0
    while True:
        try:
            return call()
        except QpuError as error:
            delay = patience.delay_s(attempt)
            if not transient(error.__cause__) or patience.clock() + delay > end:
                raise
            patience.told(f"{error.message}; asking again in {delay:.0f} s, for {LONGEST_S / 60:.0f} min at most")
            patience.sleep(delay)
            attempt += 1
