"""The ledger of quantum jobs is read again, and caps of its project are changed, on request: by processes of their own, which tell the owner what they find."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.answers import answer
from ...core.errors import BenchError, HeliographError, ParameterError
from ..queueing.tasks import COMMAND
from ..topics import QpuJobs
from .publishing import Topics

_LONGEST_S = 60.0
_LONGEST_REASON = 500


class JobReader:
    """Serves the project that a worker told of last.  station: file that the processes tell the owner by."""

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
            self._ask(project, "jobs")
        except HeliographError as error:
            self._topics.event("warning", "qpu", str(error))
        finally:
            self._reading.release()

    def change_cap(self, body: Mapping[str, Any], who: str) -> dict[str, Any]:
        """Change a cap of the project, and tell the journal; return the change. The ledger's own process judges it, and publishes topic `qpu`.

        body: `project` that the client sees; `limit`; `most`, the new cap; `was`, the one that the client sees, 0 for none; `why`; `operator`.
        Raises ParameterError for a request that cannot be read or is about another project, and what the process says.
        """
        told = self._topics.latest("qpu")
        try:
            project, limit, most, was = str(body["project"]), str(body["limit"]), float(body["most"]), float(body["was"])
            why, operator = (" ".join(str(body[name]).split())[:_LONGEST_REASON] for name in ("why", "operator"))
        except (KeyError, TypeError, ValueError) as error:
            raise ParameterError(f"the request cannot be read ({error!r})", where="qpu_cap", remedy="See what it takes, in owner-requests.md.") from error
        if not isinstance(told, QpuJobs) or told.project != project:
            now = f"of {told.project}" if isinstance(told, QpuJobs) else "no project"
            raise ParameterError(f"a worker told {now} last, not of {project}", where="qpu_cap", remedy="No cap was changed. Look again, then ask again.")
        whose = f"{operator}, {who}" if operator else who
        changed: dict[str, Any] = self._ask(project, "cap", f"--why={why}", f"--who={whose}", f"--was={was!r}", after=("--", limit, repr(most)))["changed"]
        unit = next((one.unit for one in told.limits if one.name == limit), limit)
        spent = f"{changed['spent']:,.12g} {unit} spent or reserved"
        text = f"the cap of {project} is {changed['new']:,.12g} {unit} now, it was {changed['old']:,.12g} {unit} ({spent}); {whose}: {why}"
        self._topics.event("info", "qpu", text)
        return changed

    def _ask(self, project: str, what: str, *options: str, after: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return what the process says. Raises what went wrong, in its own words where it has any."""
        command = [*COMMAND, "qpu", what, f"--project={project}", *options, "--tell", str(self._station), "--json", *after]
        remedy = f"Try `heliograph qpu {what}`."
        try:
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LONGEST_S, check=False, start_new_session=True)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            done = "the jobs could not be read again" if what == "jobs" else "nobody knows whether the cap was changed; see the ledger"
            raise BenchError(done, where=project, remedy=remedy) from error
        return answer(ended.stdout, where=project, remedy=remedy, complaints=ended.stderr, code=ended.returncode)
