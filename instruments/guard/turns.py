"""A driver that several threads may use: one conversation with the device at a time.

The operator's way to the safe state, an attached viewer and a running procedure speak to one device from different threads. A turn lasts for one property or
one call of the driver, and no lock but another turn is waited for while it is held: whoever needs the arbiter has it before any turn, also for `alone`, which
waits for its turns a limited time. So no two threads can wait for each other for ever. What only waits for a measurement holds no
turn: a driver names such calls in `waits`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from pymeasure.instruments import Channel

from ...core.errors import Busy

_interrupted: dict[int, type[BaseException]] = {}


def interrupt(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise an error at its next turn with any driver, and at every one after that; None lets it go on."""
    if error is None:
        _interrupted.pop(thread, None)
    else:
        _interrupted[thread] = error


def _go_on() -> None:
    error = _interrupted.get(threading.get_ident())
    if error is not None:
        raise error


class OneAtATime:
    """A driver, or a channel of one, of which every property and call is a turn.

    waits: attribute of the driver's class, the names of calls that are no turn.
    """

    __slots__ = ("_driver", "_turn")

    def __init__(self, driver: Any, turn: Any = None) -> None:
        object.__setattr__(self, "_driver", driver)
        object.__setattr__(self, "_turn", turn if turn is not None else _turn_of(driver))

    def __getattr__(self, name: str) -> Any:
        _go_on()
        if name in getattr(type(self._driver), "waits", ()):
            return getattr(self._driver, name)
        with self._turn:
            value = getattr(self._driver, name)
        return self._in_turn(value)

    def __setattr__(self, name: str, value: Any) -> None:
        _go_on()
        with self._turn:
            setattr(self._driver, name, value)

    def _in_turn(self, value: Any) -> Any:
        if isinstance(value, Channel):
            return OneAtATime(value, self._turn)
        if isinstance(value, dict) and any(isinstance(item, Channel) for item in value.values()):
            return {key: self._in_turn(item) for key, item in value.items()}
        if getattr(value, "__self__", None) is self._driver:
            return self._one_turn(value)
        return value

    def _one_turn(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def in_turn(*args: Any, **kwargs: Any) -> Any:
            _go_on()
            with self._turn:
                # A driver may hand out its channels by a call.
                return self._in_turn(call(*args, **kwargs))

        return in_turn


def busy(driver: Any) -> bool:
    """Say whether another thread has its turn with a driver just now; never for one that is not shared."""
    if not isinstance(driver, OneAtATime):
        return False
    turn = object.__getattribute__(driver, "_turn")
    if not turn.acquire(blocking=False):
        return True
    turn.release()
    return False


@contextmanager
def alone(driver: Any, patience_s: float, *, where: str) -> Iterator[None]:
    """Keep everybody else from a driver for a while; nothing for one that is not shared. Raises Busy if somebody has his turn for longer than that."""
    if not isinstance(driver, OneAtATime):
        yield
        return
    turn = object.__getattribute__(driver, "_turn")
    if not turn.acquire(timeout=patience_s):
        raise Busy(f"somebody has spoken with it for {patience_s:g} s", where=where, remedy="Wait until it is idle.")
    try:
        yield
    finally:
        turn.release()


def retire(driver: Any, instead: object) -> None:
    """Let whoever waits for his turn with a driver, or still has it, meet something else; nothing for one that is not shared."""
    if isinstance(driver, OneAtATime):
        object.__setattr__(driver, "_driver", instead)


def _turn_of(driver: Any) -> Any:
    """Return the lock of the line that a driver speaks on; two drivers on one line, as those of the parts of one unit, take turns with each other."""
    line = getattr(driver, "adapter", driver)
    turn = getattr(line, "turn", None)
    if turn is None:
        turn = line.turn = threading.RLock()
    return turn
