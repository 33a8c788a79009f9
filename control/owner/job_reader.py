"""The ledger of quantum jobs is read again on request: by a process of its own, which tells the owner what it finds."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from ...core.answers import answer
from ...core.errors import BenchError, HeliographError
from ..queueing.tasks import COMMAND
from ..topics import QpuJobs
from .publishing import Topics

_LONGEST_S = 60.0


class JobReader:
    """Reads again the project that a worker told of last.  station: file that the reading process tells the owner by."""

    def __init__(self, topics: Topics, station: Path) -> None:
        self._topics, self._station = topics, station
        self._reading = threading.Lock()

    def read_soon(self) -> None:
        """Read in another thread, which publishes topic `qpu`; nothing happens where no project was told of, or while it is being read."""
        told = self._topics.latest("qpu")
        if isinstance(told, QpuJobs) and self._reading.acquire(blocking=False):
            threading.Thread(target=self._read, args=(told.project,), name="read jobs", daemon=True).start()

    def _read(self, project: str) -> None:
        try:
            self._ask(project)
        except HeliographError as error:
            self._topics.event("warning", "qpu", str(error))
        finally:
            self._reading.release()

    def _ask(self, project: str) -> None:
        """Raise what went wrong, in its own words where it has any."""
        command = [*COMMAND, "qpu", "jobs", f"--project={project}", "--tell", str(self._station), "--json"]
        remedy = "Try `heliograph qpu jobs`."
        try:
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST_S, check=False, start_new_session=True)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BenchError("the jobs could not be read again", where=project, remedy=remedy) from error
        answer(ended.stdout, where=project, remedy=remedy, complaints=ended.stderr, code=ended.returncode)
