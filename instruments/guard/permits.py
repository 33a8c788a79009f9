"""What an adapter needs of whoever guards the bench, and what stands in where nobody does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ...core.errors import InstrumentError
from ..roles import TagBatch


class BenchState(StrEnum):
    """SAFE: dark and parked.  ARMING: on the way to light.  ARMED: light or bias may be on.  TRIPPED: made safe by a rule, until somebody resets it."""

    SAFE = "SAFE"
    ARMING = "ARMING"
    ARMED = "ARMED"
    TRIPPED = "TRIPPED"


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one command.  walk: go there in small steps, each with a permit.  watch: look at the counts afterwards."""

    walk: bool = False
    watch: bool = False


class Guard(Protocol):
    """Asked before, and told after, everything that can do harm."""

    @property
    def generation(self) -> int:
        """Count how often the bench was made safe; who is on the way somewhere stops when it changes."""
        ...

    def permit(self, name: str, quantity: str, value: float) -> Permit:
        """Judge a command before it is sent; raises LimitError, InterlockOpen, Tripped or ArmRefused."""
        ...

    def done(self, name: str, quantity: str, value: float) -> None:
        """Note what was sent and read back."""
        ...

    def check(self) -> None:
        """Count for a moment with every biased detector; raises Tripped above a limit."""
        ...

    def parked(self, name: str) -> None:
        """Note that an instrument was sent to its safe state."""
        ...

    def lost(self, name: str, error: InstrumentError) -> None:
        """Note that an instrument did not answer."""
        ...

    def observe_rates(self, name: str, rates_hz: Mapping[int | str, float], window_s: float | None = None) -> None:
        """Judge count rates by channel; raises Tripped above a limit."""
        ...

    def observe_tags(self, name: str, channels: Mapping[str, int], batch: TagBatch) -> None:
        """Judge the rates of a batch and look for signs of blinding; raises Tripped above a limit."""
        ...

    def report(self, name: str, sign: str) -> None:
        """Note a sign that the light is not what it should be."""
        ...


class Unguarded:
    """For an adapter by itself, outside a connected bench: everything is permitted and nothing noted."""

    generation = 0

    def permit(self, name: str, quantity: str, value: float) -> Permit:
        """Permit."""
        return Permit()

    def done(self, name: str, quantity: str, value: float) -> None:
        """Note nothing."""

    def check(self) -> None:
        """Look at nothing."""

    def parked(self, name: str) -> None:
        """Note nothing."""

    def lost(self, name: str, error: InstrumentError) -> None:
        """Note nothing."""

    def observe_rates(self, name: str, rates_hz: Mapping[int | str, float], window_s: float | None = None) -> None:
        """Judge nothing."""

    def observe_tags(self, name: str, channels: Mapping[str, int], batch: TagBatch) -> None:
        """Judge nothing."""

    def report(self, name: str, sign: str) -> None:
        """Note nothing."""
