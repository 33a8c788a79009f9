"""Whether a bench is being made safe just now: nobody begins to arm it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_S = 3.0


class WayDown:
    """Who makes a bench safe, and who waits for that; may be used from any thread."""

    def __init__(self) -> None:
        self._changed, self._under_way = threading.Condition(), 0

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Note that the bench is being made safe inside; several may do that at once."""
        with self._changed:
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    @contextmanager
    def over(self) -> Iterator[None]:
        """Wait until nobody makes the bench safe, 3 s at most, and let nobody begin inside."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, _LONGEST_S)
            yield
