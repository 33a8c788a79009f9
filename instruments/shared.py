"""Drivers that several instruments of a station share because they are one unit at one address."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class SharedUnits(Generic[_T]):
    """The open units of one kind in this process, by address; the first user opens one, the last one closes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._units: dict[str, tuple[_T, int]] = {}

    def take(self, address: str, open_unit: Callable[[], _T]) -> tuple[_T, bool]:
        """Return the unit at an address, opened now if nobody uses it, and whether it was opened now."""
        with self._lock:
            found = self._units.get(address)
            unit, users = found if found is not None else (open_unit(), 0)
            self._units[address] = unit, users + 1
            return unit, users == 0

    def give_back(self, address: str, close: Callable[[_T], None]) -> None:
        """Note that a user of a unit is gone, and close it behind the last one."""
        with self._lock:
            unit, users = self._units.pop(address)
            if users > 1:
                self._units[address] = unit, users - 1
            else:
                close(unit)
