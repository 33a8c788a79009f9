"""Thorlabs MPC320 motorised polarisation controller, over APT."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pymeasure.instruments import Channel, Instrument
from pymeasure.instruments.validators import strict_discrete_set, strict_range

from ..core.errors import BadReply, DeviceFault, Timeout
from .links import told, where_of
from .wire import apt
from .wire.apt import Id, Info, Message, Parameters, Status

HOMING = 15.0
"""How long homing may take, in timeouts of a reply."""
MOVING = 8.0
"""How long a move may take, in timeouts of a reply."""
POLL_S = 0.01
"""The unit wants to be asked no more often than this."""


class Paddle(Channel):
    """One paddle of an MPC320; `id` is its mask."""

    parent: Mpc320

    position = Channel.measurement("STATUS position", "Measure the position (int, counts, 0 to 1370).", get_process=int)

    angle = Channel.control(
        "STATUS position",
        "MOVE %d",
        "Control the angle (float, deg, 0 to 170, steps of 0.124); setting it begins the motion.",
        validator=strict_range,
        values=(0.0, apt.TRAVEL_DEG),
        set_process=apt.counts,
        get_process=apt.degrees,
    )

    is_moving = Channel.measurement("STATUS moving", "Get whether the paddle turns (bool).", get_process=bool)

    is_homed = Channel.measurement("STATUS homed", "Get whether the paddle knows its position (bool).", get_process=bool)

    is_enabled = Channel.measurement("STATUS enabled", "Get whether the paddle takes commands (bool).", get_process=bool)

    @property
    def status(self) -> Status:
        """Get everything the paddle says about itself (`wire.apt.Status`)."""
        return self._own(Id.REQUEST_STATUS, 0)

    def home(self) -> None:
        """Go to the mechanical zero and wait for the end; needed once after power-up."""
        self.parent.request(Message(Id.HOME, int(self.id)), timeouts=HOMING)

    def jog(self, forward: bool = True) -> None:
        """Begin one jog step, forward or back."""
        self.parent.send(Message(Id.JOG, int(self.id), 1 if forward else 2))

    def stop(self) -> None:
        """Stop at once."""
        self._own(Id.STOP, 1)

    def wait(self) -> None:
        """Wait until the paddle stands still; raises DeviceFault if it does not."""
        with self.parent.told():
            deadline = time.monotonic() + MOVING * self.parent.timeout_s
            while self.is_moving:
                if time.monotonic() > deadline:
                    raise DeviceFault(f"the paddle of mask {self.id} does not stand still", remedy="Is the fibre caught?")
                time.sleep(POLL_S)

    def values(self, command: str, *args: Any, **kwargs: Any) -> list[float]:
        """Read the field of the status that a command names."""
        return [getattr(self.status, command.partition(" ")[2])]

    def write(self, command: str, **kwargs: Any) -> None:
        """Begin to move to the position (counts) of a command."""
        self.parent.send(apt.move(int(self.id), int(command.partition(" ")[2])))

    def _own(self, kind: Id, param2: int) -> Status:
        return Status.unpack(self.parent.request(Message(kind, int(self.id), param2)).data)


class Mpc320(Instrument):
    """Thorlabs MPC320 motorised polarisation controller: FTDI serial, 115200 8N1 with handshake, APT messages.

    Three paddles (quarter-wave, half-wave, quarter-wave for most fibres) of 170 deg each, driven by `paddle_1` to `paddle_3`. A paddle must be enabled to move,
    and homed once after power-up.  Messages that come unasked are taken from the stream and dropped.  Wire format: `wire.apt`.
    """

    paddle_1 = Instrument.ChannelCreator(Paddle, apt.MASKS[0])
    paddle_2 = Instrument.ChannelCreator(Paddle, apt.MASKS[1])
    paddle_3 = Instrument.ChannelCreator(Paddle, apt.MASKS[2])

    def __init__(self, adapter: Any, name: str = "Thorlabs MPC320", **kwargs: Any) -> None:
        self.turn = threading.RLock()
        self.unasked = 0
        super().__init__(adapter, name, includeSCPI=False, **kwargs)
        self.timeout_s: float = getattr(adapter, "timeout_s", 1.0)

    velocity = Instrument.control(
        "PARAMETERS velocity",
        "PARAMETERS velocity %d",
        "Control the speed of all paddles (int, per cent, 10 to 100).",
        validator=strict_range,
        values=(10, 100),
        get_process=int,
    )

    home_angle = Instrument.control(
        "PARAMETERS home",
        "PARAMETERS home %d",
        "Control the angle to which paddles go when the unit is switched on (float, deg, 0 to 170).",
        validator=strict_range,
        values=(0.0, apt.TRAVEL_DEG),
        set_process=apt.counts,
        get_process=apt.degrees,
    )

    @property
    def paddles(self) -> tuple[Paddle, Paddle, Paddle]:
        """Return the paddles in the order of the light."""
        return self.paddle_1, self.paddle_2, self.paddle_3

    @property
    def jog_steps(self) -> tuple[float, float, float]:
        """Control the jog steps of the paddles (three floats, deg, 0 to 170)."""
        first, second, third = (apt.degrees(step) for step in self.parameters().steps)
        return first, second, third

    @jog_steps.setter
    def jog_steps(self, steps_deg: tuple[float, float, float]) -> None:
        first, second, third = (apt.counts(strict_range(step, (0.0, apt.TRAVEL_DEG))) for step in steps_deg)
        with self.turn:
            self._set_parameters(replace(self.parameters(), steps=(first, second, third)))

    @property
    def enabled(self) -> frozenset[int]:
        """Control which paddles take commands (set of ints, 1 to 3). The unit disables those that are not named."""
        return frozenset(number for number, paddle in enumerate(self.paddles, 1) if paddle.is_enabled)

    @enabled.setter
    def enabled(self, numbers: Iterable[int]) -> None:
        mask = sum(apt.MASKS[strict_discrete_set(number, (1, 2, 3)) - 1] for number in frozenset(numbers))
        self.send(Message(Id.ENABLE, mask, 1))

    def info(self) -> Info:
        """Get who the unit is (`wire.apt.Info`)."""
        return Info.unpack(self.request(Message(Id.REQUEST_INFO)).data)

    def parameters(self) -> Parameters:
        """Get velocity, home position and jog steps (`wire.apt.Parameters`)."""
        return Parameters.unpack(self.request(Message(Id.REQUEST_PARAMETERS)).data)

    def values(self, command: str, *args: Any, **kwargs: Any) -> list[float]:
        """Read the parameter that a command names."""
        return [getattr(self.parameters(), command.partition(" ")[2])]

    def write(self, command: str, **kwargs: Any) -> None:
        """Set the parameter that a command names, and leave the others as they are."""
        _, field, value = command.split()
        changed: dict[str, Any] = {field: int(value)}
        with self.turn:
            self._set_parameters(replace(self.parameters(), **changed))

    def _set_parameters(self, parameters: Parameters) -> None:
        self.send(Message(Id.SET_PARAMETERS, data=parameters.pack()))

    def told(self) -> Any:
        """Return a context that gives every error raised inside the name of the unit and its address."""
        return told(where_of(self.adapter, self.name))

    def send(self, message: Message) -> None:
        """Send a message that has no answer."""
        with self.turn, self.told():
            self.write_bytes(apt.encode(message))

    def request(self, message: Message, *, timeouts: float = 1.0) -> Message:
        """Send a message and return its answer; what comes unasked before it is dropped.

        timeouts: how long to wait for it, in timeouts of a reply.
        Raises Timeout, BadReply, Disconnected.
        """
        with self.turn, self.told():
            self.write_bytes(apt.encode(message))
            deadline = time.monotonic() + timeouts * self.timeout_s
            try:
                while True:
                    answer = self._next(deadline)
                    if apt.answers(message, answer):
                        return answer
                    self.unasked += 1
            finally:
                self._wait_for(self.timeout_s)

    def _next(self, deadline: float) -> Message:
        header = self._taken(apt.HEADER.size, deadline)
        return apt.decode(header + (self._taken(length, deadline) if (length := apt.data_length(header)) else b""))

    def _taken(self, count: int, deadline: float) -> bytes:
        left_s = deadline - time.monotonic()
        if left_s <= 0.0:
            raise Timeout("the awaited answer did not come", remedy="Check that the unit is on.")
        self._wait_for(left_s)
        content: bytes = self.read_bytes(count)
        if len(content) != count:
            raise BadReply(f"{len(content)} bytes came instead of {count}")
        return content

    def _wait_for(self, seconds: float) -> None:
        if hasattr(self.adapter, "timeout_s"):
            self.adapter.timeout_s = seconds
