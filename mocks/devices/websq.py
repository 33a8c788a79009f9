"""Single Quantum WebSQ: bias and trigger levels as JSON on one port, counts as lines on another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core.errors import BadReply
from ...instruments.wire import websq as wire
from ..world import DETECTORS, World
from .base import Link, Reply

MAX_BIAS_UA = 30.0
PULSE_MV = 500.0
"""Height of the amplified pulses; a trigger level above it sees nothing."""
MAX_TRIGGER_MV = 2000.0
KILO_OHM = 1.0
OPEN_CIRCUIT_V = 5.0


class WebSQ:
    """Two nanowire channels.

    unplugged: detectors (0, 1) whose cable is off; their bias source runs into its voltage limit, and nothing clicks.
    """

    def __init__(self, world: World, unplugged: frozenset[int] = frozenset()) -> None:
        self._world = world
        self._unplugged = unplugged
        self._values = self._defaults()
        self._bounds = {
            "InptMeasurementPeriod": (wire.MIN_PERIOD_MS, 60_000),
            "BiasCurrent": (0.0, MAX_BIAS_UA),
            "TriggerLevel": (-MAX_TRIGGER_MV, MAX_TRIGGER_MV),
        }
        self._commands: dict[str, tuple[str, Callable[[Any], bool]]] = {
            "SetMeasurementPeriod": ("InptMeasurementPeriod", lambda value: self._number(value, "InptMeasurementPeriod") and value == int(value)),
            "SetAllBiasCurrents": ("BiasCurrent", lambda value: self._list(value, "BiasCurrent")),
            "SetAllTriggerLevels": ("TriggerLevel", lambda value: self._list(value, "TriggerLevel")),
            "DetectorEnable": ("DetectorEnable", lambda value: isinstance(value, bool)),
        }

    @staticmethod
    def _defaults() -> dict[str, Any]:
        return {
            "NumberOfDetectors": len(DETECTORS),
            "InptMeasurementPeriod": 100,
            "BiasCurrent": [0.0, 0.0],
            "TriggerLevel": [100.0, 100.0],
            "DetectorEnable": False,
            "SerialNumber": "SQ-2611",
            "SoftwareVersion": "3.2.0",
        }

    def power_cycle(self) -> None:
        """Switch the unit off and on: no bias, and the trigger levels it comes with."""
        self._values = self._defaults()
        self._apply()

    def link(self) -> Link:
        """Return a control connection."""
        return _Control(self)

    def counts(self) -> CountsFeed:
        """Return what a new connection to the counts port receives."""
        return CountsFeed(self, self._world)

    @property
    def period_s(self) -> float:
        """Return the length of a counting period."""
        return float(self._values["InptMeasurementPeriod"]) * 1e-3

    def sees(self, detector: int) -> bool:
        """Say whether a detector's pulses cross its trigger level."""
        return bool(0.0 < abs(self._values["TriggerLevel"][detector]) < PULSE_MV)

    def answer(self, message: dict[str, Any]) -> bytes:
        """Return what one object is answered with."""
        if "request" in message:
            return self._describe(message["request"])
        label, accepts = self._commands.get(str(message.get("command")), ("", lambda _value: False))
        if not label or message.get("label") != label:
            return self._fault(f"unknown command {message.get('command')!r}")
        value = message.get("value")
        if not accepts(value):
            return self._fault(f"{label} cannot be {value!r}")
        self._values[label] = value
        self._apply()
        return wire.encode_broadcast(label, value)

    def _describe(self, request: Any) -> bytes:
        if request == "labelProps":
            return b"".join(wire.encode_broadcast(label, self._properties(label)) for label in self._values)
        if request == "BiasVoltage":
            return wire.encode_broadcast(request, self._bias_voltages())
        if request == "TemperatureHistory":
            return wire.encode_broadcast(request, {"temperature_long_memory": {"T": [2.5], "T2": [40.0]}})
        return self._fault(f"unknown request {request!r}")

    def _properties(self, label: str) -> dict[str, Any]:
        low, high = self._bounds.get(label, (None, None))
        return {"value": self._values[label]} | ({} if low is None else {"min": low, "max": high})

    def _bias_voltages(self) -> list[float]:
        """Return the voltages over bias resistor and nanowire.

        A latched or blinded wire adds its own resistance, an open cable drives the source to its limit.
        """
        return [
            OPEN_CIRCUIT_V if k in self._unplugged and ua > 0.0 else ua * 1e-3 * KILO_OHM * (100.0 if self._world.is_latched(k) or self._world.blinded else 1.0)
            for k, ua in enumerate(self._values["BiasCurrent"])
        ]

    @staticmethod
    def _fault(text: str) -> bytes:
        return wire.encode_broadcast("ErrorMessage", text)

    def _number(self, value: Any, label: str) -> bool:
        low, high = self._bounds[label]
        return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high

    def _list(self, value: Any, label: str) -> bool:
        return isinstance(value, list) and len(value) == len(DETECTORS) and all(self._number(entry, label) for entry in value)

    def _apply(self) -> None:
        for detector, bias_ua in enumerate(self._values["BiasCurrent"]):
            self._world.set_bias(detector, float(bias_ua) * 1e-6)
        self._world.set_detectors_enabled(self._values["DetectorEnable"])


class CountsFeed:
    """Lines for one connection to the counts port; every line is one period of bench time, stamped with the time since the connection."""

    def __init__(self, device: WebSQ, world: World) -> None:
        self._device = device
        self._world = world
        self._epoch = world.next_epoch("counts")
        self._chunk = 0
        self._elapsed_s = 0.0

    def due_ps(self) -> int:
        """Return the bench time at which the next line is complete."""
        return self._world.clock_ps + round(self._device.period_s * 1e12)

    def line(self) -> bytes:
        """Count for one period and return its line."""
        period_s = self._device.period_s
        counts = self._world.counts(self._epoch, self._chunk, period_s)
        self._chunk += 1
        self._elapsed_s += period_s
        seen = [n if self._device.sees(k) else 0 for k, n in enumerate(counts)]
        return wire.counts_line(self._elapsed_s, seen)


class _Control:
    def __init__(self, device: WebSQ) -> None:
        self._device = device
        self._objects = wire.Decoder()

    def feed(self, data: bytes) -> list[Reply]:
        replies: list[Reply] = []
        # Byte by byte, so that what stood before a damaged object is still answered.
        for byte in data:
            try:
                objects = self._objects.feed(bytes((byte,)))
            except (BadReply, RecursionError) as error:
                replies.append(Reply(wire.encode_broadcast("ErrorMessage", str(error))))
            else:
                replies += [Reply(self._device.answer(found)) for found in objects]
        return replies
