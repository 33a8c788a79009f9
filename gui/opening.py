"""Opening a bench: attach to its owner, start one where nobody owns it, write the station of the simulated bench where there is none."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from ..control.link import address, connected
from ..core.errors import HeliographError, StorageError
from . import launching
from .connection import Connection, Standing
from .desk import Desk, Nobody, Passing
from .guard import Guard
from .safe import Safety

log = logging.getLogger(__name__)

_REFUSED = "the owner that does not open"


class Opening(QObject):
    """The bench that this window is attached to, and what keeps it attached.

    began: a station was chosen.  progress: one line on what is being done, empty when done.  given_up: the first bench that was chosen could not be opened,
    another one may be chosen.  failure: why the last one was not opened; None once one is open.  refused: why an owner that is there has told nothing yet.
    """

    began = Signal(object)
    progress = Signal(str)
    given_up = Signal()

    def __init__(self, desk: Desk, safety: Safety) -> None:
        super().__init__()
        self._desk, self._safety = desk, safety
        self.connection: Connection | None = None
        self.owner: launching.Owner | None = None
        self._workers: list[threading.Thread] = []
        self._over = threading.Event()
        self._locked = False
        self._told_by: int | None = None
        self._lost = -math.inf
        self.failure: HeliographError | None = None
        self.refused: HeliographError | None = None

    @property
    def owns(self) -> bool:
        """Say whether the owner of the bench was started by this window."""
        return self.owner is not None and not self.owner.ended

    def simulate(self, folder: Path = launching.DEMO_FOLDER) -> None:
        """Open the simulated bench of a folder."""
        self.progress.emit("Writing the station file of the simulated bench…")
        self._work(lambda: launching.simulated_station(folder), self.open)

    def open(self, station: Path) -> None:
        """Attach to the bench of a station; its owner is started if there is none. A window is for one bench: another one opens another window."""
        station = station.resolve()
        if not station.is_file():
            self._failed(StorageError("there is no such file", where=str(station), remedy="`heliograph station new FILE` writes one."))
            return
        if self._desk.station is not None:
            if station != self._desk.station:
                launching.other_window(station)
            self.start()
            return
        self._desk.station = station
        self.began.emit(station)
        self._safety.guard = Guard(station)
        self.connection = Connection(station, self._desk.mailbox, lambda standing: self._desk.later(lambda: self._stands(standing)))
        self._desk.line = self.connection
        self.start()

    def start(self) -> None:
        """Start the owner of the bench that was chosen, unless it has one."""
        station = self._desk.station
        if station is None or self.owns or _has_owner(station):
            return
        self.progress.emit("Starting the bench…")

        before = self.owner

        def begin() -> None:
            if before is not None:
                before.end()
            if self._over.is_set():
                return
            owner = self.owner = launching.Owner(station)
            if self._over.is_set():
                # The window was closed meanwhile.
                owner.end()
            else:
                owner.wait_ready()

        self._work(begin, lambda _: self.progress.emit(""))

    def _work(self, act: Callable[[], object], then: Callable[..., None]) -> None:
        def work() -> None:
            try:
                found = act()
            except (HeliographError, OSError) as error:
                told = error if isinstance(error, HeliographError) else StorageError(str(error), where="bench", remedy="Free what it needs, and try again.")
                self._desk.later(lambda: self._failed(told))
            else:
                self._desk.later(lambda: then(found))

        thread = threading.Thread(target=work, name="opening", daemon=True)
        self._workers = [one for one in self._workers if one.is_alive()] + [thread]
        thread.start()

    def _failed(self, error: HeliographError) -> None:
        self.progress.emit("")
        self._desk.notice(error)
        if self._desk.is_connected:
            return
        self.failure = error
        if self._desk.station is not None and self._desk.age_s() is None:
            # Nothing was ever heard of this bench: whoever chose it may choose another one.
            self.detach()
            self._desk.station = None
            self.given_up.emit()

    def _stands(self, standing: Standing) -> None:
        if self._over.is_set():
            return
        self._locked = standing.locked
        self._control(standing.controls, standing.why)
        self._desk.set_connected(standing.connected)
        if standing.connected:
            self.failure = None
            self.refused = None
            self._desk.settle(_REFUSED, "The bench is open.")
            self.progress.emit("")
        else:
            self._lost = time.monotonic()
            self._tell_refusal(standing.error)

    def _tell_refusal(self, error: HeliographError | None) -> None:
        """Tell once why nothing was ever heard of an owner that is there: it hangs, or speaks another version."""
        if error is None or self._desk.age_s() is not None:
            return
        if self.refused is None or str(error) != str(self.refused):
            self._desk.notice(Passing(error, _REFUSED, instead=True))
        self.refused = error

    def tick(self, changed: frozenset[str]) -> None:
        """Follow what the owner says about who controls the bench; a window that does keeps it lit by its heartbeat, as long as this is called."""
        if self._safety.guard is not None:
            self._safety.guard.goes()
        safety = self._desk.latest("safety")
        if "safety" in changed and safety is not None:
            if self._told_by not in (None, safety.get("owner")):
                self._end_what_ran()
            self._told_by = safety.get("owner")
        if "safety" not in changed or safety is None or not self._desk.is_connected or self._locked:
            return
        controller = safety.get("controller")
        if self.connection is not None:
            # Who has control when the owner goes has it of the next one.
            self.connection.wants_control = controller == os.getpid()
        if controller == os.getpid():
            self._control(True, "")
        else:
            holder = safety.get("holder") or f"process {controller}"
            self._control(False, f"control held by {holder}, take over" if controller is not None else "nobody controls the bench, take over")

    def _end_what_ran(self) -> None:
        """Show nothing as running that only an owner told of which is gone; of key the next one tells by itself."""
        learning, age_s = self._desk.latest("learning"), self._desk.age_s("learning")
        if learning is not None and learning.state in ("starting", "running") and age_s is not None and time.monotonic() - age_s < self._lost:
            self._desk.inject("learning", replace(learning, state="aborted", why="the owner of the bench that it was started on is gone"))

    def _control(self, controls: bool, why: str) -> None:
        if self._safety.guard is not None:
            self._safety.guard.attend(controls)
        self._desk.set_control(controls, why)

    def detach(self) -> None:
        """Leave the bench; one that may not be left alone becomes safe, and an owner that was started here ends."""
        connection, guard, owner = self.connection, self._safety.guard, self.owner
        self.connection = self.owner = self._safety.guard = None
        self._desk.line = Nobody()
        if guard is not None:
            guard.attend(False)
        if connection is not None:
            connection.close()
        if owner is not None:
            owner.end()
        if guard is not None:
            guard.close()

    def let_go(self) -> None:
        """Let the owner that was started here go on without this window, until everybody else has left it, too."""
        owner, self.owner = self.owner, None
        if owner is None:
            return
        if self.connection is not None:
            try:
                self.connection.ask("end_when_alone")
            except HeliographError as error:
                log.warning("%s", error)
        owner.let_go()

    def close(self) -> None:
        """Leave for good."""
        self._over.set()
        self.detach()
        for worker in self._workers:
            worker.join(launching.END_S)


def _has_owner(station: Path) -> bool:
    try:
        line = connected(address(station, "owner"))
    except HeliographError:
        return False
    if line is None:
        return False
    line.close()
    return True
