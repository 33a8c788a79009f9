"""A replay: a run file played at some speed, to be paused and sought in, for one who looks on."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ...core.errors import HeliographError, ParameterError
from ..topics import REPLAY, ReplayState
from .playback import Playback, Told

SPEEDS = (1.0, 100.0)
"""Slowest and fastest replay."""
SLICE_S = 1.0
"""Most of a run that is read before a request is looked at."""
_TICK_S = 0.05
_TELL_S = 0.1


class Replay:
    """A run file that is played in a thread from construction to `close`; at the end it stands still, and can be sought in.

    publish: hears the topics of the run and, ten times a second, `replay`.  Raises RunFileError for a file that cannot be played, ParameterError for a speed
    outside SPEEDS.  A file that turns out to be damaged later ends the replay; `ReplayState.why` says so.
    """

    def __init__(self, path: Path, publish: Told, *, speed: float = 1.0, paused: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._speed, self._publish, self._clock = checked_speed(speed), publish, clock
        self._playback = Playback(path, publish)
        self._paused, self._over, self._why = paused, False, ""
        self._target: float | None = None
        self._left, self._told = False, -math.inf
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._play, name="replay", daemon=True)
        self._thread.start()

    @property
    def state(self) -> ReplayState:
        """Return how far it is."""
        one = self._playback
        return ReplayState(str(one.path), one.run_id, one.t_s, one.duration_s, self._speed, self._paused, self._over, self._why)

    def pause(self, on: bool) -> None:
        """Stand still, or go on."""
        self._change(paused=bool(on))

    def at_speed(self, speed: float) -> None:
        """Play faster or slower. Raises ParameterError."""
        self._change(speed=checked_speed(speed))

    def seek(self, t_s: float) -> None:
        """Go to a time of the run. Raises ParameterError for one that is no number."""
        if not math.isfinite(t_s):
            raise ParameterError(f"{t_s} is no time", where="replay", remedy="Give seconds from the beginning of the run.")
        self._change(target=t_s)

    def _change(self, *, paused: bool | None = None, speed: float | None = None, target: float | None = None) -> None:
        with self._changed:
            self._paused = self._paused if paused is None else paused
            self._speed = self._speed if speed is None else speed
            self._target = self._target if target is None else target
            self._changed.notify_all()

    def close(self) -> None:
        """End the replay."""
        with self._changed:
            self._left = True
            self._changed.notify_all()
        self._thread.join()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the end of the run is reached, or the replay cannot go on; say whether that came about."""
        with self._changed:
            return self._changed.wait_for(lambda: self._over or bool(self._why), timeout_s)

    def _play(self) -> None:
        with self._playback:
            try:
                self._go_through()
            except HeliographError as error:
                with self._changed:
                    self._why = str(error)
                    self._changed.notify_all()
                self._tell(at_once=True)

    def _go_through(self) -> None:
        before = self._clock()
        while True:
            self._tell()
            with self._changed:
                self._changed.wait_for(lambda: self._left or self._target is not None, _TICK_S if not (self._paused or self._over) else _TELL_S)
                if self._left:
                    return
                target, self._target = self._target, None
                paused, speed = self._paused, self._speed
            now = self._clock()
            if target is not None:
                self._playback.seek(target)
                self._over = False
                self._tell(at_once=True)
            elif not paused and not self._over:
                # What cannot be read as fast as it should be played is played as fast as it can be read.
                self._playback.advance(self._playback.t_s + min(speed * (now - before), SLICE_S))
                self._end_reached()
            before = now

    def _end_reached(self) -> None:
        if self._playback.over and self._playback.t_s >= self._playback.duration_s:
            self._playback.finish()
            with self._changed:
                self._over = True
                self._changed.notify_all()
            self._tell(at_once=True)

    def _tell(self, *, at_once: bool = False) -> None:
        if at_once or self._clock() - self._told >= _TELL_S:
            self._told = self._clock()
            self._publish(REPLAY, self.state)


def checked_speed(speed: float) -> float:
    """Return a speed of replay; raises ParameterError outside SPEEDS."""
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise ParameterError(f"{speed:g} times as fast", where="replay", remedy=f"Choose a speed from {SPEEDS[0]:g} to {SPEEDS[1]:g}.")
    return float(speed)
