"""What comes after a run or a task: calibrations that are kept, key that is made of light, stores that are read again."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import HeliographError, StoreLocked
from .jobs import Entry, Job
from .publishing import Topics
from .store_states import short_of_key, store_states
from .tasks import Workers, read_stores

if TYPE_CHECKING:
    from ..acquisition.calibrations import Calibrations


class FollowUp:
    """For a runner to ask when a run is done.

    calibrations: where those that are to be kept are written.  workers: what makes key.
    """

    def __init__(self, calibrations: Calibrations, workers: Workers) -> None:
        self._calibrations, self._workers = calibrations, workers

    def concluded(self, job: Job) -> None:
        """Keep the calibration of a run that was to be kept. Raises CalibrationError, StorageError; then the run has failed."""
        from ..acquisition.runs import Run

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
    """Reads the key stores of a folder, in a process and a thread of their own, and publishes what they hold.

    A store that a worker has open is locked, so nothing is read meanwhile; the worker's end is the time to read.
    """

    def __init__(self, store: Path, topics: Topics) -> None:
        self._store, self._topics = store, topics
        self._reading = threading.Lock()

    def read(self) -> None:
        """Read and publish, in this thread; a failure is told as an event. Nothing happens where there are no stores."""
        if not any(self._store.glob("*/*-*.sqlite")):
            return
        with self._reading:
            try:
                states = store_states(read_stores(self._store), time.time())
            except StoreLocked:
                return
            except HeliographError as error:
                self._topics.event("warning", "stores", str(error))
                return
            before = self._topics.latest("stores")
            self._topics.publish("stores", states)
        for text in short_of_key(states, before):
            self._topics.event("warning", "stores", text)

    def read_soon(self) -> None:
        """Read and publish in another thread."""
        threading.Thread(target=self.read, name="read stores", daemon=True).start()
