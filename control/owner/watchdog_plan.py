"""What a watchdog has to know to make a bench safe by itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from typing import Any

from ...instruments.station import Station
from ..link import address


def plan(station: Station, addresses: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return what the owner, which is this process, hands to its watchdog (see `instruments.guard.watchdog`).  addresses: of the instruments, by name."""
    return {
        "station": str(station.path.resolve()),
        "text": station.text.decode(),
        "today": date.today().isoformat(),  # noqa: DTZ011
        "addresses": {name: dict(where) for name, where in addresses.items()},
        "pid": os.getpid(),
        "socket": str(address(station.path, "watchdog")),
        "record": str(address(station.path, "rescue")),
        "unattended": station.info.allow_unattended,
    }
