r"""A recorded session: one JSON object a line, a head and then what passed each link, as the recorder writes it and the replayed devices read it.

    {"schema": "heliograph-session/1", "recorded": "2026-11-20T09:00:00+00:00", "station_sha256": "...", "drivers": {"voa_a": "OzDD100"}}
    {"t_s": 0.01, "name": "voa_a", "port": "resource", "opens": "serial", "role": "Attenuator"}
    {"t_s": 0.02, "name": "voa_a", "port": "resource", "sent": "CD\r"}
    {"t_s": 0.03, "name": "voa_a", "port": "resource", "received": "IL:0.80\r\n"}

Bytes are text in Latin-1; where some were masked, there is a list of texts and of `{"masked": how many}`. A part of a unit whose link another instrument opened
has one line, `"shares": ["mbx", "resource"]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import DataError

SCHEMA = "heliograph-session/1"
TRANSPORTS = ("serial", "socket", "tcp", "zmq")

Segment = bytes | int
"""Bytes, or how many were masked."""
Segments = tuple[Segment, ...]
Place = tuple[str, str]
"""Instrument and port."""


@dataclass(slots=True)
class Exchange:
    """A message to the device and what came back before the next one.  sent: empty for what came unasked after opening.  line: in the file."""

    sent: Segments
    line: int
    received: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class Port:
    """One address of one instrument.  openings: the exchanges of each connection.  transport: one of TRANSPORTS."""

    transport: str
    openings: list[list[Exchange]] = field(default_factory=list)

    @property
    def speaks_only(self) -> bool:
        """Say whether the device never was sent anything here: a stream."""
        return not any(exchange.sent for opening in self.openings for exchange in opening)


@dataclass(frozen=True, slots=True)
class Session:
    """What was recorded.  head: the file's first line.  ports: by instrument and port.  shared: those that are another one's."""

    head: dict[str, Any]
    ports: dict[Place, Port]
    shared: dict[Place, Place]


def as_json(segments: Iterable[Segment]) -> str | list[str | dict[str, int]]:
    """Return segments as they stand in the file."""
    found: list[str | dict[str, int]] = [one.decode("latin-1") if isinstance(one, bytes) else {"masked": one} for one in segments]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else found


def _segments(written: Any) -> Segments:
    parts = written if isinstance(written, list) else [written]
    return tuple(int(part["masked"]) if isinstance(part, dict) else str(part).encode("latin-1") for part in parts)


def read(path: str | Path) -> Session:
    """Read a session file; raises DataError, which names the line, for one that is missing or damaged."""
    try:
        texts = Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the session cannot be read ({error})", where=str(path), remedy="Check the name.") from error
    ports: dict[Place, Port] = {}
    shared: dict[Place, Place] = {}
    head: dict[str, Any] = {}
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
            if number == 1:
                head = _head(line)
            else:
                _add(ports, shared, line, number)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            where = f"{path}, line {number}"
            raise DataError(f"this is no line of a session ({error})", where=where, remedy="Record it again, or cut the file before that line.") from error
    if not head:
        raise DataError("the session is empty", where=str(path), remedy="Record it again.")
    return Session(head, ports, shared)


def _head(line: dict[str, Any]) -> dict[str, Any]:
    if line["schema"] != SCHEMA:
        raise ValueError(f"{line['schema']!r} is not {SCHEMA}")
    return line


def _add(ports: dict[Place, Port], shared: dict[Place, Place], line: dict[str, Any], number: int) -> None:
    key = str(line["name"]), str(line["port"])
    if "shares" in line:
        name, port = line["shares"]
        shared[key] = str(name), str(port)
        return
    if "opens" in line:
        if line["opens"] not in TRANSPORTS:
            raise ValueError(f"nothing opens as {line['opens']!r}")
        ports.setdefault(key, Port(line["opens"])).openings.append([])
        return
    opening = ports[key].openings[-1]
    if "sent" in line:
        opening.append(Exchange(_segments(line["sent"]), number))
        return
    if not opening:
        opening.append(Exchange((), number))
    opening[-1].received += _segments(line["received"])
