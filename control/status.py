"""How the bench of a station is, and the way to its safe state, whoever owns it and whether or not it answers.

Owner and watchdog are found by the path of the station file alone: neither a fault in the file nor its loss keeps anybody from them.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.errors import BenchError, ConfigError, HeliographError, Timeout
from ..instruments.guard.watchdog import DONE_S, rescue
from ..instruments.station import Station
from .lab import find
from .link import VERSION, Link, WatchdogLine, address, sockets
from .stations import station_lock

log = logging.getLogger(__name__)

_NOBODY: dict[str, Any] = {
    "state": "CLOSED", "cause": "", "owner": None, "controller": None, "holder": None, "watchdog": None, "unattended": False, "run": None,
    "reports": [], "made_safe": 0,
}  # fmt: skip
_UNCONFIRMED = "its owner and its watchdog ended, or hang, without confirming that the bench is safe"
_SLOWEST_S = DONE_S + 2 * 2.0 + 4.0
"""What the owner may take, then the watchdog twice, opening the devices included."""


def of(path: Path) -> dict[str, Any]:
    """Return how a bench is: state, cause, owner, controller, watchdog, run, and the reports of the last safe state.

    The state is CLOSED where nobody has it open, SILENT where its owner does not answer. Of a closed one `by` says who left word of its end: `owner`, which
    closed it in order, or `watchdog`, which had to act by itself. It is UNCONFIRMED where neither answers and neither left word: nobody knows of a safe bench.
    `station_fault` is there if the station file cannot be used now.
    Raises ConfigError for such a file where nobody has the bench open.
    """
    found = _asked(path)
    if found is None:
        word = _rescued(path)
        if word or not sockets(path):
            return {"station": str(path), **_NOBODY, **word, "simulated": Station.load(path).simulated}
        found = {**_NOBODY, "state": "UNCONFIRMED", "cause": _UNCONFIRMED}
    return {"station": str(path), **found, **_of_file(path)}


def _of_file(path: Path) -> dict[str, Any]:
    """Return whether a station is simulated; for a file that cannot be used, that it is not known to be, and why."""
    try:
        return {"simulated": Station.load(path).simulated}
    except ConfigError as error:
        return {"simulated": False, "station_fault": str(error)}


def _asked(path: Path) -> dict[str, Any] | None:
    try:
        link = Link.to_owner(path)
        if link is not None:
            with link:
                link.ask("hello", {"version": VERSION})
                return dict(link.ask("status"))
    except HeliographError:
        # An owner that does not answer is what the watchdog is for.
        pass
    line = WatchdogLine.of(path)
    if line is None:
        return None
    try:
        told = line.ask("status")
    except (BenchError, Timeout):
        return None
    finally:
        line.close()
    return {**_NOBODY, **told["told"], "state": "SILENT", "owner": told["owner"], "watchdog": told["watchdog"], "silent_s": told["silent_s"]}


def _rescued(path: Path) -> dict[str, Any]:
    """Return what was left by whoever made the bench safe last: its owner as it ended, or a watchdog that had to act by itself."""
    try:
        return dict(json.loads(address(path, "rescue").read_text()) | {"owner": None})
    except (OSError, ValueError):
        return {}


def make_safe(path: Path) -> dict[str, Any]:
    """Make a bench safe and return `by` (owner, watchdog, this process, or nobody where nothing was there), `cause` and the `reports`.

    The station file is read afterwards, or where this process has to do it: `station_fault` is there if it cannot be used now.
    Raises InstrumentLocked if a process has the bench open and has neither watchdog nor answer, ConfigError for such a file where nobody has the bench open.
    """
    line = WatchdogLine.of(path)
    if line is not None:
        try:
            return {**line.ask("safe", timeout_s=_SLOWEST_S), **_of_file(path)}
        except (BenchError, Timeout) as error:
            log.warning("%s; going on without it", error)
        finally:
            line.close()
    link = Link.to_owner(path)
    if link is not None:
        with link:
            reports = link.ask("safe", timeout_s=_SLOWEST_S)
        return {"by": "owner", "cause": "asked for", "reports": [asdict(report) for report in reports], **_of_file(path)}
    station = Station.load(path)
    lock = station_lock(station)
    try:
        found = _by_ourselves(station)
        if all(report["state"] != "FAILED" for report in found):
            # What a killed owner left behind says no longer that the bench may be lit.
            for socket in sockets(path):
                socket.unlink(missing_ok=True)
        return {"by": "this command" if found else "nobody", "cause": "asked for", "reports": found, "simulated": station.simulated}
    finally:
        lock.release()


def _by_ourselves(station: Station) -> list[dict[str, Any]]:
    lab = find(station.path) if station.simulated else None
    devices = lab.devices if lab is not None else {}
    addresses = {name: devices.get(name, entry.wire.addresses()) for name, entry in station.instruments.items() if lab is not None or not entry.rules.simulated}
    return [asdict(report) for report in rescue(station, addresses)]
