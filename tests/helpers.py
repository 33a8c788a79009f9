"""What tests of several rooms share: waiting for others without counting what this process waits for a processor, and numbers that come again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from heliograph.core.entropy import SimRandom
from heliograph.mocks import truth

T = TypeVar("T")


class Repeated(SimRandom):
    """Says that it is the operating system's, and gives the same numbers each time: with others a short block keeps an error now and then, and gives no key."""

    origin = "os"


def soon(found: Callable[[], T | None], since: float, limit_s: float) -> T:
    """Ask again and again until there is an answer, and return it; fail once there was none when it was asked later than the limit after a monotonic time."""
    while True:
        asked = time.monotonic()
        answer = found()
        if answer is not None:
            return answer
        assert asked - since < limit_s, f"not within {limit_s} s"
        time.sleep(0.01)


def dark_after(socket: Path, since: float, limit_s: float) -> float:
    """Wait until a simulated bench is dark, and return how long after a monotonic time it became so, 0 if it was before; fail if that was too late.

    The bench says itself since when: a look that comes late neither lets a slow bench pass nor a quick one fail.
    """

    def dark_since() -> float | None:
        told: Any = truth.ask(socket)["dark_since"]
        return None if told is None else float(told)

    took = max(0.0, soon(dark_since, since, limit_s) - since)
    assert took < limit_s
    return took
