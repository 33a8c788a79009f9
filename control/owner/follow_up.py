"""What comes after a run or a task: calibrations that are kept, key that is made of light, stores that are read again."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import HeliographError, StoreLocked
from ..queueing.jobs import Entry, Job
from ..queueing.tasks import Workers, read_stores
from ..topics import StoreStates
from ..watching.store_states import made_and_spent, merged, short_of_key, store_states
from .publishing import Topics

if TYPE_CHECKING:
    from ...acquisition.calibrations import Calibrations

log = logging.getLogger(__name__)


class FollowUp:
    """For a runner to ask when a run is done.

    calibrations: where those that are to be kept are written.  workers: what makes key.
    """

    def __init__(self, calibrations: Calibrations, workers: Workers) -> None:
        self._calibrations, self._workers = calibrations, workers

    def concluded(self, job: Job) -> None:
        """Keep the calibration of a run that was to be kept. Raises CalibrationError, StorageError; then the run has failed."""
        from ...acquisition.runs import Run

        if job.extra.get("keep") == "True":
            with Run.open(job.written) as run:
                self._calibrations.keep(run)

    def following(self, job: Job) -> list[Entry]:
        """Return what comes next of a run that is done, before all that waits: key is made of light, if that was asked for."""
        if job.extra.get("distil") != "True":
            return []
        settings = {"who": job.who, "operator": job.operator, "purpose": job.purpose}
        return [self._workers.made("Distil", {"run": str(job.written)}, completes=True, **settings)]


class StoreReader:
    """Reads the key stores of a folder, in a process and a thread of their own, hears what workers tell of them, and publishes what they hold.

    A store that a worker has open is locked, so nothing is read meanwhile; the worker's end is the time to read.
    """

    def __init__(self, store: Path, topics: Topics) -> None:
        self._store, self._topics = store, topics
        self._reading, self._turn = threading.Lock(), threading.Lock()
        self._known: StoreStates | None = None
        self._read: StoreStates | None = None
        self._others: set[str] = set()
        self._wanted = self._begun = False

    def read(self) -> None:
        """Read and publish, in this thread; a failure is told as an event. Nothing happens where there are no stores."""
        if not any(self._store.glob("*/*-*.sqlite")):
            # What is made from now on is new.
            self._read = StoreStates(str(self._store), time.time(), ())
            return
        with self._reading:
            try:
                states = store_states(read_stores(self._store), time.time())
            except StoreLocked:
                return
            except Exception as error:
                if not isinstance(error, HeliographError):
                    log.exception("the stores could not be read")
                self._topics.event("warning", "stores", str(error) if isinstance(error, HeliographError) else f"the stores could not be read: {error!r}")
                return
            for text in made_and_spent(states, self._read):
                self._topics.event("info", "stores", text)
            self._read = states
            self._tell(states)

    def hear(self, told: StoreStates) -> None:
        """Publish what a worker tells of the stores that it has open, together with what is known of the others."""
        if Path(told.folder).resolve() != self._store.resolve():
            # Whoever looks at the gauge sees the key of this bench, and of no other.
            if told.folder not in self._others:
                self._others.add(told.folder)
                self._topics.event("info", "stores", f"somebody works with the stores of {told.folder}; shown are those of {self._store}")
            return
        self._tell(told, some=True)

    def _tell(self, states: StoreStates, *, some: bool = False) -> None:
        """Compare with what was known, publish, and warn of stores that have come below their reserve.  some: the others stay as they were."""
        with self._turn:
            before, self._known = self._known, merged(self._known, states) if some else states
            self._topics.publish("stores", self._known)
            short = short_of_key(self._known, before)
        for text in short:
            self._topics.event("warning", "stores", text)

    def read_soon(self) -> None:
        """Read and publish in another thread; one reading that has not begun serves everybody who asks for it meanwhile."""
        with self._turn:
            self._wanted = True
            if self._begun:
                return
            self._begun = True
        threading.Thread(target=self._read_while_wanted, name="read stores", daemon=True).start()

    def _read_while_wanted(self) -> None:
        while self._is_wanted():
            self.read()

    def _is_wanted(self) -> bool:
        with self._turn:
            self._begun, self._wanted = self._wanted, False
            return self._begun
