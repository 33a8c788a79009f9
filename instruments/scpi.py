"""What drivers of SCPI devices share."""

from __future__ import annotations

from collections.abc import Callable

from ..core.errors import DeviceFault, Rejected
from .wire import scpi

MOST_ERRORS = 32
"""Entries of an error queue that are read at most; a device that always reports one would hold a driver for ever."""


def error_queue(ask: Callable[[str], str]) -> list[tuple[int, str]]:
    """Read a device's error queue and return it if it is empty.

    ask: sends a question and returns the reply.  Raises Rejected with the first entry, DeviceFault if the queue does not end within 32.
    """
    found: list[tuple[int, str]] = []
    for _ in range(MOST_ERRORS):
        code, text = scpi.error_entry(ask("SYST:ERR?"))
        if code == 0:
            break
        found.append((code, text))
    else:
        raise DeviceFault("the error queue does not end", remedy="Restart the device.")
    if found:
        raise Rejected(f"{found[0][1]} (code {found[0][0]})", remedy="The setting was not accepted.")
    return found
