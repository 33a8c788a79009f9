"""What stands in the place of an instrument that was let go for service: its line is closed, and nothing reaches it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NoReturn, Self

from ..core.errors import Released
from .role_adapter import RoleAdapter, narrowed
from .roles import Identity, SafeReport, Scalar, WireCount
from .station_models import InstrumentEntry

WHY = "it was released for service"


@dataclass(frozen=True, slots=True)
class _ClosedLine:
    """What is left of a driver and its line.  where: instrument and address, for messages.  wire: bytes exchanged on it."""

    where: str
    wire: WireCount

    @property
    def adapter(self) -> _ClosedLine:
        return self


class ReleasedInstrument(RoleAdapter):
    """An instrument that others use just now. Every word to it raises Released; the arbiter takes the worst for granted of it."""

    released = True
    safe_step = 6

    @classmethod
    def of(cls, one: RoleAdapter, configured: InstrumentEntry, station: str) -> Self:
        """Return what takes the place of an open instrument.  configured: its entry in the station.  station: name of that file, for messages."""
        made = cls(one.name, configured, _ClosedLine(one.place, one.wire), station=station)
        made.arbiter = one.arbiter
        made.remember(one.known_identity)
        return made

    def refuse(self) -> NoReturn:
        """Raise Released."""
        raise Released(WHY, where=self.place, remedy="Take it back first.")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        self.refuse()

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and name != "arbiter":
            self.refuse()
        super().__setattr__(name, value)

    @property
    def driver(self) -> Any:
        """Raise Released."""
        self.refuse()

    @property
    def power_range_w(self) -> tuple[float, float]:
        """Of a laser, what the station allows."""
        return narrowed((0.0, math.inf), self.rules.limits.power_w)

    @property
    def can_home(self) -> bool:
        """False: nothing of it can be moved from here."""
        return False

    def share(self) -> None:
        """Nothing: there is nothing to share."""

    def identify(self) -> Identity:
        """Raise Released."""
        self.refuse()

    def snapshot(self) -> dict[str, Scalar]:
        """Raise Released."""
        self.refuse()

    def home(self) -> None:
        """Raise Released."""
        self.refuse()

    def is_safe(self) -> bool:
        """Raise Released."""
        self.refuse()

    def to_safe(self) -> SafeReport:
        """Report that it cannot be made safe from here."""
        return SafeReport(self.name, "FAILED", WHY)

    def close(self) -> None:
        """Nothing: it is closed."""
