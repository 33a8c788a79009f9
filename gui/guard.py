"""The window's own way to the safe state: a line to the watchdog that is open beforehand, then the owner, then `heliograph bench safe`.

The same thread keeps up the heartbeat of a window that controls the bench, as long as the window's clock goes.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from ..control.link import WatchdogLine, address
from ..core.answers import answer
from ..core.errors import BenchError, HeliographError
from .desk import Line

log = logging.getLogger(__name__)

LOOK_S = 0.25
LONGEST_S = 10.5
"""What owner and watchdog may take, one after the other, opening the devices included."""
STILL_S = 1.5
"""A window whose clock has not gone for so long hears no key, and no longer keeps the bench lit. Only the watchdog's patience comes on top of it."""
PATIENCE_S = 3.0
"""After which the owner is asked, too."""
_COMMAND_S = 30.0
_BY_HAND = "Switch the light off by hand, now."
_GLANCE_S = 0.001
_ANYTHING = (Exception, KeyboardInterrupt)
"""What an owner's answer may be rebuilt as."""


class Guard:
    """Lines to the watchdog of a station, opened again whenever another watchdog watches."""

    def __init__(self, station: Path) -> None:
        self.station = station
        self._turn = threading.Lock()
        self._ready: WatchdogLine | None = None
        self._attending: WatchdogLine | None = None
        self._attends = False
        self._went = time.monotonic()
        self._over, self._look = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="guard", daemon=True)
        self._thread.start()

    @property
    def watched(self) -> bool:
        """Say whether a watchdog watches."""
        return self._ready is not None

    @property
    def attends(self) -> bool:
        """Say whether this window's heartbeat keeps the bench lit."""
        return self._attending is not None

    def attend(self, on: bool) -> None:
        """Send heartbeats while the window's clock goes, or no longer; called in its thread."""
        self.goes()
        self._attends = on
        self._look.set()

    def goes(self) -> None:
        """Note that the window's clock goes; called with every tick."""
        self._went = time.monotonic()

    def _lives(self) -> bool:
        return time.monotonic() - self._went < STILL_S

    def _keep(self) -> None:
        while not self._over.is_set():
            with self._turn:
                if self._ready is None or _gone(self._ready):
                    self._ready = self._line()
            if self._attending is not None and (not self._attends or _gone(self._attending)):
                self._leave()
            if self._attends and self._attending is None and self._lives():
                self._attending = self._line()
                if self._attending is not None:
                    self._attending.attend(self._lives)
            self._look.wait(LOOK_S)
            self._look.clear()
        self._leave()

    def _line(self) -> WatchdogLine | None:
        try:
            return WatchdogLine.of(self.station)
        except (HeliographError, OSError) as error:
            log.warning("%s", error)
            return None

    def _leave(self) -> None:
        line, self._attending = self._attending, None
        if line is not None:
            line.close()

    def make_safe(self, owner: Line) -> dict[str, Any]:
        """Make the bench safe and return `by`, `cause` and the `reports`; takes as long as it takes, so it is called in a thread.

        Every way is tried, whatever the one before it raised. Raises what the last one does, a HeliographError.
        """
        ways: list[Callable[[], dict[str, Any]]] = [lambda: self._by_watchdog(owner), lambda: _by_owner(owner), self._by_command]
        for way in ways:
            try:
                return way()
            except _ANYTHING as error:
                # Whatever goes wrong with one way, the next one is tried.
                log.warning("SAFE: %r; trying the next way", error)
                last = error
        if isinstance(last, HeliographError):
            raise last
        raise BenchError(f"no way worked ({last!r})", where=str(self.station), remedy="Switch the light off by hand, now.") from last

    def _by_watchdog(self, owner: Line) -> dict[str, Any]:
        with self._turn:
            line, self._ready = self._ready, None
        line = line or WatchdogLine.of(self.station)
        if line is None:
            raise BenchError("no watchdog watches", where=str(self.station))
        # A watchdog that hangs must not keep the owner from hearing of it.
        besides = threading.Timer(PATIENCE_S, _quietly, [owner])
        besides.start()
        try:
            return line.ask("safe", timeout_s=LONGEST_S)
        finally:
            besides.cancel()
            line.close()
            self._look.set()

    def _by_command(self) -> dict[str, Any]:
        command = [sys.executable, "-m", "heliograph", "bench", "safe", "--station", str(self.station), "--json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_S, check=False, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError) as error:
            raise BenchError(f"`heliograph bench safe` gave no answer ({error})", where=str(self.station), remedy=_BY_HAND) from error
        told = answer(done.stdout, complaints=done.stderr, who="`heliograph bench safe`", where=str(self.station), remedy=_BY_HAND)
        rescue = self.rescued() if not told.get("reports") else None
        if rescue is not None:
            # Nobody has opened the bench since its watchdog made it safe.
            return {**rescue, "cause": f"{rescue.get('cause', '')}; nobody has opened the bench since"}
        return told

    def rescued(self) -> dict[str, Any] | None:
        """Return what the last watchdog wrote that had to act by itself, None if none did."""
        try:
            return dict(json.loads(address(self.station, "rescue").read_text()))
        except (OSError, ValueError, HeliographError):
            return None

    def close(self) -> None:
        """Leave in order: nobody is missed."""
        self._over.set()
        self._look.set()
        self._thread.join(3.0)
        with self._turn:
            if self._ready is not None:
                self._ready.close()
                self._ready = None


def _gone(line: WatchdogLine) -> bool:
    if not line.wait_gone(_GLANCE_S):
        return False
    line.close()
    return True


def _by_owner(owner: Line) -> dict[str, Any]:
    reports = owner.ask("safe", timeout_s=LONGEST_S) or ()
    return {"by": "owner", "cause": "asked for", "reports": [asdict(one) if is_dataclass(one) and not isinstance(one, type) else one for one in reports]}


def _quietly(owner: Line) -> None:
    try:
        _by_owner(owner)
    except _ANYTHING as error:
        log.warning("SAFE: %r", error)
