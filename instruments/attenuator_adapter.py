"""What attenuators that read back their decibels have in common, whatever drives them."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import ClassVar, Literal

from ..core.errors import DeviceFault
from .role_adapter import RoleAdapter


class AttenuatorAdapter(RoleAdapter):
    """An `Attenuator` that goes where it is asked to go, and is asked where it is.

    TOLERANCE_DB: by which it may miss.  IF_STUCK: what to do where it does not arrive.  Safe: the highest attenuation, or the station's value.
    """

    TOLERANCE_DB: ClassVar[float]
    IF_STUCK: ClassVar[str]
    safe_step = 2
    _asked_db: float | None = None

    @property
    @abstractmethod
    def range_db(self) -> tuple[float, float]:
        """Lowest and highest attenuation (dB) of the device, within the station's limits."""

    @property
    @abstractmethod
    def measured_db(self) -> float:
        """Attenuation (dB) as the device tells it."""

    @property
    @abstractmethod
    def _moving_s(self) -> float:
        """Return the longest time (s) on the way."""

    @abstractmethod
    def _send(self, attenuation_db: float) -> None:
        """Ask the device to go there."""

    @property
    def attenuation_db(self) -> float:
        """Attenuation (dB) as the device tells it."""
        return self.measured_db

    @attenuation_db.setter
    def attenuation_db(self, attenuation_db: float) -> None:
        self.approach("attenuation_db", self.within(attenuation_db, self.range_db, "dB"), self._go, now=lambda: self.measured_db)

    def _go(self, asked: float) -> None:
        self._send(asked)
        self._asked_db = asked
        deadline = time.monotonic() + self._moving_s
        while not self.settled:
            if time.monotonic() > deadline:
                raise DeviceFault(f"{asked:.2f} dB was asked for, {self.measured_db:.2f} dB is reached", where=self.place, remedy=self.IF_STUCK)
            time.sleep(0.02)

    @property
    def settled(self) -> bool:
        """Whether the attenuation last asked for is reached."""
        return self._asked_db is None or abs(self.measured_db - self._asked_db) <= self.TOLERANCE_DB

    @property
    def on_loss(self) -> Literal["max", "hold", "open"]:
        """What the device does when power or connection is lost."""
        return self.rules.on_loss

    @property
    def safe_db(self) -> float:
        """Attenuation (dB) of the safe state."""
        value = self.rules.safe.attenuation_db
        return self.range_db[1] if value == "max" else value

    def _make_safe(self) -> None:
        self._asked_db = self.safe_db
        self._send(self.safe_db)

    def is_safe(self) -> bool:
        """Read back that the safe attenuation is reached."""
        return self.measured_db >= self.safe_db - self.TOLERANCE_DB
