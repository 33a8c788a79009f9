r"""JSON of the Single Quantum WebSQ: control on one TCP port, counts on another.

Host to device: bare JSON objects without terminator (they may arrive glued, ``}{``). Device to host: JSON objects, each followed by 0x17; glued ones are legal.
What the driver sends, and the broadcast it waits for (a set counts only when its broadcast returns):

- ``{"request": "labelProps", "value": "None"}`` -> one object per label ``{"label": L, "value": {"value": v, "min": .., "max": ..}}``. Labels read:
  ``NumberOfDetectors`` (int), ``InptMeasurementPeriod`` (ms), ``BiasCurrent`` (list, uA), ``TriggerLevel`` (list, mV), ``DetectorEnable`` (bool);
  ``SerialNumber`` and ``SoftwareVersion`` (text) if present.
- ``{"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", "value": 100}`` -> ``{"label": "InptMeasurementPeriod", "value": 100}``
- ``{"command": "SetAllBiasCurrents", "label": "BiasCurrent", "value": [18.0, 18.0]}`` -> ``{"label": "BiasCurrent", "value": [18.0, 18.0]}``
- ``{"command": "SetAllTriggerLevels", "label": "TriggerLevel", "value": [100.0, 100.0]}`` -> ``{"label": "TriggerLevel", "value": [100.0, 100.0]}``
- ``{"command": "DetectorEnable", "label": "DetectorEnable", "value": true}`` -> ``{"label": "DetectorEnable", "value": true}``
- ``{"request": "BiasVoltage", "value": "None"}`` -> ``{"label": "BiasVoltage", "value": [0.018, 0.018]}`` (V, over bias resistor and nanowire)

A label containing ``Error`` is a fault: ``{"label": "ErrorMessage", "value": "text"}``. Counts port: one line ``t,c1,c2,..\n`` per measurement period, t in
seconds; the first line after a connection covers one whole period.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...core.errors import BadReply

END = b"\x17"
LABEL_PROPERTIES = {"request": "labelProps", "value": "None"}
BIAS_VOLTAGES = {"request": "BiasVoltage", "value": "None"}
MIN_PERIOD_MS = 10
_MAX_OBJECT = 1 << 20


def command(name: str, label: str, value: object) -> dict[str, object]:
    """Return the object that sets a label."""
    return {"command": name, "label": label, "value": value}


def encode(message: dict[str, Any]) -> bytes:
    """Return an object as the host sends it: bare JSON."""
    return json.dumps(message, allow_nan=False).encode()


def encode_broadcast(label: str, value: object) -> bytes:
    """Return a label's value as the device sends it."""
    return json.dumps({"label": label, "value": value}, allow_nan=False).encode() + END


class Decoder:
    """Cuts a byte stream into JSON objects, glued or ended by 0x17; feed it any pieces."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._depth = 0
        self._quoted = False
        self._escaped = False

    @property
    def pending(self) -> bool:
        """Say whether an object has begun and not ended."""
        return bool(self._rest)

    def feed(self, piece: bytes) -> list[dict[str, Any]]:
        """Return the objects completed by a piece; raises BadReply for anything that is no JSON object, and forgets it."""
        objects: list[dict[str, Any]] = []
        for byte in piece:
            if not self._rest and byte in b"\x17 \t\r\n":
                continue
            self._rest.append(byte)
            if self._ends(byte):
                objects.append(self._take())
        return objects

    def _ends(self, byte: int) -> bool:
        if len(self._rest) > _MAX_OBJECT or byte == END[0] or (len(self._rest) == 1 and byte != ord("{")):
            self._forget()
            raise BadReply("the stream holds something that is no JSON object")
        if self._quoted:
            self._quoted = self._escaped or byte != ord('"')
            self._escaped = byte == ord("\\") and not self._escaped
            return False
        self._quoted = byte == ord('"')
        self._depth += (byte == ord("{")) - (byte == ord("}"))
        return self._depth == 0

    def _take(self) -> dict[str, Any]:
        text = bytes(self._rest)
        self._forget()
        try:
            found = json.loads(text, parse_constant=_no_number)
        except ValueError as error:
            raise BadReply(f"{text[:40]!r} is no JSON object") from error
        if not isinstance(found, dict):
            raise BadReply(f"{text[:40]!r} is no JSON object")
        return found

    def _forget(self) -> None:
        self._rest.clear()
        self._depth, self._quoted, self._escaped = 0, False, False


def _no_number(word: str) -> float:
    raise BadReply(f"the device says {word} where a number is due")


def counts_line(t_s: float, counts: Sequence[int]) -> bytes:
    """Return one line of the counts port."""
    return ",".join([f"{t_s:.6f}", *(str(int(count)) for count in counts)]).encode() + b"\n"


def parse_counts(line: bytes) -> tuple[float, tuple[int, ...]]:
    """Return (time in seconds, counts per detector) of one line; raises BadReply for anything else."""
    fields = line.decode("ascii", "replace").strip().split(",")
    try:
        t_s, counts = float(fields[0]), tuple(int(field) for field in fields[1:])
    except ValueError as error:
        raise BadReply(f"{line[:40]!r} is no line of counts") from error
    if not counts or min(counts) < 0 or not abs(t_s) < 1e18:
        raise BadReply(f"{line[:40]!r} is no line of counts")
    return t_s, counts
