"""Ctrl-C and its like from the moment that the window begins to start.

What a signal raises inside Python that Qt calls is lost there, or takes the program with it; so signals are noted, and acted on between two steps.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Notes signals within a `with` block.  early: the first one that came before there was a window to be closed; None without."""

    def __init__(self) -> None:
        self.early: int | None = None
        self._close: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._heard) for number in NUMBERS}
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def closes(self, close: Callable[[], object] | None) -> None:
        """From now on a signal calls `close`, or with None is only noted."""
        self._close = close

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        if self._close is not None:
            self._close()
        elif self.early is None:
            self.early = number

    def came_early(self) -> bool:
        """Say whether one came before there was a window to be closed."""
        return self.early is not None

    def end_early(self) -> None:
        """End the command as the signal would have that came before the window. Raises KeyboardInterrupt, SystemExit."""
        if self.early == signal.SIGINT:
            raise KeyboardInterrupt
        if self.early is not None:
            raise SystemExit(128 + self.early)
