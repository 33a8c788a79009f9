"""The owner's end of its watchdog: it beats, hears requests for the safe state, and notices when the watchdog itself is gone."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import IO, Any

from ...core.errors import InterlockError
from ..roles import SafeReport
from .watchdog import BEAT_S, SILENCE_S, kill

READY_S = 20.0
_PATIENCE_S = 3.0


class DeadMan:
    """A watchdog process, from its start, which takes a moment, to `close`.

    drivers: names of the drivers it will need.  keep: open files that it holds as long as it lives.
    make_safe: called in a thread of its own with the cause, when the watchdog asks.  lost: called with the cause, once, when the watchdog is gone.
    """

    def __init__(
        self, drivers: Iterable[str], make_safe: Callable[[str], Sequence[SafeReport]], lost: Callable[[str], None], *, keep: Sequence[int] = ()
    ) -> None:
        self._make_safe, self._lost = make_safe, lost
        command = [sys.executable, "-m", __name__.replace("dead_man", "watchdog"), *sorted(set(drivers))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=tuple(keep), start_new_session=True)
        self._turn = threading.Lock()
        self._ready, self._closing, self._gone = threading.Event(), threading.Event(), threading.Event()
        self._told: dict[str, Any] = {"state": "SAFE"}
        self._number = 0
        self._threads: list[threading.Thread] = []
        self._echoed = time.monotonic()

    @property
    def pid(self) -> int:
        """Return its process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Say whether it watches."""
        return self._ready.is_set() and not self._gone.is_set() and not self._closing.is_set()

    @property
    def gone(self) -> bool:
        """Say whether it ended, or was ended, without being asked to."""
        return self._gone.is_set()

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Hand over the plan (see `watchdog`), and listen and beat from now on."""
        self._say(dict(plan))
        self._threads = [
            threading.Thread(target=self._listen, name="watchdog requests", daemon=True),
            threading.Thread(target=self._beat, name="watchdog beats", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def wait_ready(self) -> None:
        """Return when it watches. Raises InterlockError if it does not come up."""
        deadline = time.monotonic() + READY_S
        while not self._ready.wait(0.05):
            if self._gone.is_set() or time.monotonic() > deadline:
                raise InterlockError("the watchdog does not start", where=f"process {self.pid}", remedy="Nothing was switched on. See what it said above.")

    def tell(self, told: Mapping[str, Any]) -> None:
        """Say how the bench is: `state`, and whatever people who ask the watchdog should learn. It has been sent when this returns."""
        self._told = dict(told)
        if self.alive:
            self._send_beat()

    def close(self) -> None:
        """End the watchdog in order; a second call does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._say({"bye": True})
        _quietly_closed(self._process.stdin)
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(_PATIENCE_S)
        _quietly_closed(self._process.stdout)

    def _beat(self) -> None:
        self._ready.wait(READY_S)
        self._echoed = time.monotonic()
        while not self._closing.wait(BEAT_S) and not self._gone.is_set():
            self._send_beat()
            if time.monotonic() - self._echoed > SILENCE_S:
                kill(self.pid)
                self._end(f"the watchdog (process {self.pid}) has been silent for {SILENCE_S:g} s")

    def _send_beat(self) -> None:
        self._number += 1
        self._say({"beat": self._number, "told": self._told})

    def _say(self, told: Mapping[str, Any]) -> None:
        pipe = self._process.stdin
        with self._turn:
            if pipe is None or pipe.closed or self._gone.is_set():
                return
            # Its end is noticed where it is listened to.
            with contextlib.suppress(OSError):
                os.write(pipe.fileno(), json.dumps(told).encode() + b"\n")

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            said = json.loads(line)
            if "beat" in said:
                self._echoed = time.monotonic()
            elif "ready" in said:
                self._ready.set()
            elif "ask" in said:
                self._say({"ack": said["ask"]})
                threading.Thread(target=self._obey, args=(said["ask"], said["cause"]), name="safe", daemon=True).start()
        if not self._closing.is_set():
            self._end(f"the watchdog (process {self.pid}) has ended")

    def _obey(self, number: int, cause: str) -> None:
        reports = self._make_safe(cause)
        self._say({"done": number, "reports": [asdict(report) for report in reports]})

    def _end(self, cause: str) -> None:
        if not self._gone.is_set():
            self._gone.set()
            self._lost(cause)


def _quietly_closed(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()
