"""What whoever made a bench safe last wrote down, for those who looked on: its owner as it ended, or the watchdog of one that was silent or gone.

The next owner tells what a watchdog did; what an owner did stands in its journal.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..topics import Event

if TYPE_CHECKING:
    from .owner import Owner

SOURCE, OWNER = "watchdog", "owner"

log = logging.getLogger(__name__)


def tell(owner: Owner, path: Path) -> None:
    """Put the record at a path, if there is one, into the owner's journal at the time when it happened, and take it away."""
    try:
        told = json.loads(path.read_text())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        log.warning("%s: %s", path, error)
        told = {}
    if isinstance(told, dict) and told.get("by") == OWNER:
        path.unlink(missing_ok=True)
        return
    owner.topics.tell(owner.journal.keep(event(told if isinstance(told, dict) else {})))
    path.unlink(missing_ok=True)


def leave(owner: Owner, path: Path) -> None:
    """Write down that an owner, which is this process, has closed its bench, and whether all of it was safe then; nothing where it never had it open."""
    if not owner.ended:
        return
    reports = [asdict(report) for report in owner.instruments.closed_with]
    told = {"by": OWNER, "cause": owner.ended, "reports": reports, "time": time.time(), "owner": os.getpid()}
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_text(json.dumps(told))
        fresh.replace(path)
    except OSError as error:
        log.warning("%s: %s", path, error)


def event(told: Mapping[str, Any]) -> Event:
    """Return a record as an event; one that cannot be read is an event, too, of now."""
    listed = told.get("reports")
    reports = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    failed = [str(one.get("name")) for one in reports if one.get("state") == "FAILED"]
    at = told.get("time")
    t = float(at) if isinstance(at, int | float) and 0 < at < time.time() + 1 else time.time()
    if not told:
        return Event(t, "error", SOURCE, "the watchdog of the owner before this one had to act by itself; what it wrote down cannot be read")
    did = f"could NOT make {', '.join(failed)} safe" if failed else f"made {len(reports)} instruments safe by itself"
    clock = f"{datetime.fromtimestamp(t, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Event(t, "error", SOURCE, f"the watchdog {did} at {clock}: {told.get('cause') or 'no cause was written down'} (owner {told.get('owner')})")
