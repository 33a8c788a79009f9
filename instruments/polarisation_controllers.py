"""Polarisation controllers in degrees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from ..core.errors import DeviceFault, LimitError, NotHomed, WrongIdentity
from .apt_links import AptLink
from .role_adapter import RoleAdapter, narrowed
from .roles import Identity, Scalar
from .station_models import InstrumentEntry
from .thorlabs_apt import Mpc320, Paddle
from .wire import apt

TOLERANCE_DEG = 0.2


class Mpc320Controller(RoleAdapter):
    """A Thorlabs MPC320 as a `PolarisationController`. It has no unsafe state."""

    safe_step = 6
    _driver: Mpc320

    @classmethod
    def open(cls, name: str, configured: InstrumentEntry, addresses: Mapping[str, str], *, station: str) -> Self:
        """Open the serial port; raises Disconnected."""
        link = AptLink(addresses["resource"], name=name, timeout_s=configured.rules.timeout_s)
        return cls(name, configured, Mpc320(link, name), station=station)

    def identify(self) -> Identity:
        """Ask for the identity; raises WrongIdentity if it is no MPC320."""
        found = self._driver.info()
        if not found.model.startswith("MPC"):
            raise WrongIdentity(f"{found.model!r} answers, an MPC320 is expected", where=self.place, remedy="Check the address.")
        return Identity("Thorlabs", found.model, str(found.serial), found.firmware)

    @property
    def angles_deg(self) -> tuple[float, ...]:
        """Angles (deg) of the paddles in the order of the light; raises NotHomed if one does not know its own."""
        return tuple(self._angle_deg(paddle) for paddle in self._driver.paddles)

    @property
    def range_deg(self) -> tuple[float, float]:
        """Lowest and highest angle (deg) allowed."""
        return narrowed((0.0, apt.TRAVEL_DEG), self.rules.limits.angle_deg)

    def move(self, i: int, deg: float) -> None:
        """Turn a paddle (0 to 2) and wait until it is there; raises LimitError, NotHomed, DeviceFault if it gets elsewhere."""
        paddle, asked = self._paddle(i), self.within(deg, self.range_deg, "deg")
        self._angle_deg(paddle)
        self._enable()
        self.noted(f"move:{i}", asked)
        paddle.angle = asked
        paddle.wait()
        if abs((reached := self._angle_deg(paddle)) - asked) > TOLERANCE_DEG:
            raise DeviceFault(f"paddle {i} was sent to {asked:.2f} deg and is at {reached:.2f} deg", where=self.place, remedy="Is the fibre caught?")
        self.noted(f"move:{i}", asked, reached)

    def moving(self, i: int) -> bool:
        """Say whether a paddle (0 to 2) turns now."""
        return bool(self._paddle(i).is_moving)

    @property
    def homed(self) -> bool:
        """Whether every paddle knows its position."""
        return all(bool(paddle.is_homed) for paddle in self._driver.paddles)

    def home(self, i: int | None = None) -> None:
        """Find the zero of a paddle (0 to 2), or of all, needed after power-up; some seconds each."""
        self._enable()
        for paddle in self._driver.paddles if i is None else (self._paddle(i),):
            paddle.home()

    def snapshot(self) -> dict[str, Scalar]:
        """Read the angle of every paddle, None for one that is not homed, and the velocity."""
        states = [paddle.status for paddle in self._driver.paddles]
        angles: dict[str, Scalar] = {f"angle_{k}_deg": apt.degrees(state.position) if state.homed else None for k, state in enumerate(states)}
        return {**angles, "velocity_percent": int(self._driver.velocity)}

    def _paddle(self, i: int) -> Paddle:
        if i not in range(len(self._driver.paddles)):
            raise LimitError(f"there is no paddle {i!r}", where=self.name, remedy="Nothing was sent. Paddles are numbered from 0 to 2.")
        return self._driver.paddles[i]

    def _angle_deg(self, paddle: Paddle) -> float:
        state = paddle.status
        if not state.homed:
            raise NotHomed("a paddle does not know its position", where=self.place, remedy="Home it.")
        return self.reading(apt.degrees(state.position), "angle", (-1.0, apt.TRAVEL_DEG + 1.0))

    def _enable(self) -> None:
        # The unit disables every paddle that is not named, so all are.
        if self._driver.enabled != {1, 2, 3}:
            self._driver.enabled = (1, 2, 3)

    def _make_safe(self) -> None:
        """Nothing: a polarisation endangers nobody."""

    def is_safe(self) -> bool:
        """Return True: a polarisation endangers nobody."""
        return True
