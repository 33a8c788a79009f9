"""A process of its own that makes key of one block while the bench sends the light of the next.

Compiled kernels hold the interpreter for seconds, so in a thread beside the acquisition they would keep the bench waiting. The worker is `heliograph distil`,
deaf to the terminal's Ctrl-C: a block whose bases went out is tried once, so what was begun is finished, also where the walk itself was killed.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ...core.answers import answer
from ...core.errors import (
    AlreadyDistilled,
    NoKeyError,
    ParameterError,
    ReconciliationError,
    StorageError,
    StoreLocked,
    VerificationError,
)
from ...core.statement import Provenance, SecurityStatement
from .node import Bound

LOCK = ".distilling"
"""File in the folder of the stores that is locked as long as a walk or its worker lives."""
WAIT_SECONDS = 300.0
_NO_KEY = (NoKeyError, ReconciliationError, VerificationError, AlreadyDistilled)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a block.

    key: what `heliograph distil --json` tells of it, without its statement; None where there is no key.  why: there is none, empty otherwise.
    """

    key: dict[str, Any] | None = None
    statement: SecurityStatement | None = None
    why: str = ""


class Distiller:
    """Makes key of runs, one at a time, in a worker process; a context manager that leaves no worker behind.

    store: folder of the key stores, which nobody else may have open meanwhile.  told: hears what is waited for.
    """

    def __init__(self, store: Path, bound: Bound = "kato", *, told: Callable[[str], None] = lambda _text: None, wait_s: float = WAIT_SECONDS) -> None:
        self.store, self.bound = store, bound
        self._told, self._wait_s = told, wait_s
        self._lock = -1
        self._work: _Work | None = None

    def __enter__(self) -> Self:
        """Take the folder of the stores. Raises StoreLocked if another walk keeps it, StorageError if it cannot be written."""
        try:
            self.store.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.store / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"the folder cannot be written ({error.strerror})", where=str(self.store), remedy="Check the folder and its disk.") from error
        try:
            self._take()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def _take(self) -> None:
        deadline = time.monotonic() + self._wait_s
        while not _locked(self._lock):
            if time.monotonic() >= deadline:
                raise StoreLocked("another walk distils into these stores", where=str(self.store), remedy="Wait for it or stop it.")
            self._told("Waiting for a block of another walk")
            time.sleep(0.1)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for the block that is being distilled; interrupted again, end its worker."""
        try:
            if self._work is not None:
                self._work.end()
        finally:
            self._work = None
            os.close(self._lock)

    @property
    def pid(self) -> int | None:
        """Return the process id of the worker, None while nothing was handed over."""
        return self._work.process.pid if self._work else None

    def hand_over(self, run: Path) -> None:
        """Begin to distil a run whose file is closed. Raises ParameterError while the outcome of the run before has not been collected."""
        if self._work is not None:
            raise ParameterError("the block before this one has not been collected", where=str(run))
        words = ["distil", str(run), "--store", str(self.store), "--bound", self.bound, "--json"]
        # The worker holds the lock too: where the walk is killed, the next one waits for what it left.
        self._work = _Work(run, [sys.executable, "-m", "heliograph", *words], self._lock)

    def collect(self) -> Outcome | None:
        """Wait for the run that was handed over and return what came of it; None if there is none.

        Raises what ended the worker, if that is more than that the block gives no key.
        """
        work = self._work
        if work is None:
            return None
        if work.process.poll() is None:
            self._told("Distilling")
        code = work.process.wait()
        self._work = None
        try:
            said = work.said(code)
        except _NO_KEY as error:
            return Outcome(why=error.message)
        return _outcome(said)


class _Work:
    """One worker process. Files take what it says, so that it never waits for a reader, nor misses one that was killed."""

    def __init__(self, run: Path, command: list[str], lock: int) -> None:
        self.run = run
        with ExitStack() as files:
            self._out: IO[bytes] = files.enter_context(tempfile.TemporaryFile())
            self._complaints: IO[bytes] = files.enter_context(tempfile.TemporaryFile())
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._complaints, pass_fds=(lock,), start_new_session=True
            )
            self._files = files.pop_all()

    def said(self, code: int) -> dict[str, Any]:
        """Return the object that the worker, which has ended, printed. Raises what it told; BenchError if it printed none."""
        with self._files:
            self._out.seek(0)
            self._complaints.seek(0)
            remedy = "Run `heliograph distil` on it, if its patterns are still there."
            who = "the process that distilled this run"
            return answer(self._out.read(), complaints=self._complaints.read(), code=code, who=who, where=str(self.run), remedy=remedy)

    def end(self) -> None:
        """Wait for the process; an interruption meanwhile ends it the way Ctrl-C would."""
        try:
            self.process.wait()
        except BaseException:
            self.process.terminate()
            self.process.wait()
            raise
        finally:
            self._files.close()


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _outcome(said: dict[str, Any]) -> Outcome:
    security = said.pop("security")
    simulated = said.pop("simulated")
    provenance = Provenance(simulated, tuple(security["provenance"]))
    claims, assumptions = tuple(security["claims"]), tuple(security["assumptions"])
    return Outcome(said, SecurityStatement(claims, assumptions, security["epsilon"], security["leaked_bits"], provenance))
