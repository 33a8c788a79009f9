"""Work beside the bench: processes of their own, one at a time, that make key of runs or learn with it.

A task stands in the same queue as the runs, in a lane of its own. It is a command of `heliograph`, told by its JSON result how it ended; to abort it is to end
its process, which then says what it did. Only such a process opens the key stores. One that goes by rounds can be paused: its process ends after the round that
is on, and another one takes it up from its checkpoint; meanwhile the lane is free.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, ClassVar, cast

from pymeasure.experiment import BooleanParameter, IntegerParameter, ListParameter, Parameter

from ...acquisition.procedures.base import CheckedProcedure
from ...core.answers import answer
from ...core.errors import BenchError, HeliographError, ParameterError, RunAborted
from ..owner.publishing import Topics
from ..topics import BY_ROUNDS, KeyProgress, LearningProgress
from .jobs import Entry, Lane, RunState
from .light import run_file
from .news import run_of, tell_begin, tell_state
from .order import Queue
from .rounds import END, joined, keep_back_for_workers

log = logging.getLogger(__name__)

TELL = True
"""Whether workers are asked to tell the owner how they get on."""
COMMAND = (sys.executable, "-m", "heliograph")
ENDING_S = 5.0
"""How long a process that is to end may take."""
_LOOK_S = 0.1
_STAGES = {"sifting": (0.0, 10.0), "correcting": (10.0, 80.0), "amplifying": (80.0, 100.0)}
"""Where in the whole of a distillation its stages begin and end, percent."""
MAKES_KEY = frozenset({"KeyExchange", "Distil"})


class WorkerTask(CheckedProcedure):
    """What a worker process does."""

    AFTER: ClassVar[frozenset[str]] = frozenset()
    """What it waits for, where that stands before it in the queue."""
    FINISHES: ClassVar[bool] = False
    """Whether what was begun is finished though its owner ends: a block whose bases went out is tried once."""

    def words(self) -> list[str]:
        """Return the command of `heliograph` without store and reporting. Raises ParameterError."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise ParameterError for what cannot be begun."""
        self.words()


class Distil(WorkerTask):
    """Make key of a run of light, and lay it into the stores of its pair."""

    FINISHES = True

    run = Parameter("Run file", default="")
    bound = ListParameter("Concentration bound", choices=["kato", "azuma"], default="kato")

    def words(self) -> list[str]:
        """Return the command; raises ParameterError without a run file."""
        if not Path(self.run).is_file():
            raise ParameterError("there is no such run file", where=f"Distil, run = {self.run!r}", remedy="Give the file of a key exchange.")
        return ["distil", str(self.run), "--bound", str(self.bound)]


class Learn(WorkerTask):
    """Learn to tell two digits apart, federated among the parties of the stores and masked with their keys."""

    AFTER = MAKES_KEY

    data = ListParameter("Data", choices=["digits", "mnist"], default="digits")
    classes = Parameter("Digits to tell apart", default="3-9")
    rounds = IntegerParameter("Rounds, 0 for those of the task", default=0, minimum=0, maximum=10_000)
    seed = IntegerParameter("Seed", default=0, minimum=0, maximum=2**31 - 1)
    non_iid = BooleanParameter("Each client has another mixture", default=False)

    def words(self) -> list[str]:
        """Return the command; raises ParameterError for what are not two digits."""
        first, _, second = str(self.classes).partition("-")
        if not (len(first) == len(second) == 1 and first.isdigit() and second.isdigit() and first != second):
            raise ParameterError(f"{self.classes!r} is not two different digits", where="Learn, classes", remedy="Write them as 3-9.")
        rounds = ["--rounds", str(self.rounds)] if self.rounds else []
        return ["learn", str(self.data), "--classes", str(self.classes), "--seed", str(self.seed), *rounds, *(["--non-iid"] if self.non_iid else [])]


TASKS: dict[str, type[WorkerTask]] = {"Distil": Distil, "Learn": Learn}


@dataclass(eq=False, slots=True)
class Task(Entry):
    """One task in the queue.

    folder: where one that goes by rounds keeps its checkpoint.  stop_early: it is to end after the round that is on, and keep what it found.
    again: its checkpoint is to be taken up.  told: the last that it said of its rounds.  earlier: the same before it was paused.
    """

    folder: Path | None = None
    stop_early: bool = False
    again: bool = False
    told: LearningProgress | None = None
    earlier: LearningProgress | None = None

    @property
    def lane(self) -> Lane:
        """Return where it is done."""
        return "worker"

    @property
    def task(self) -> WorkerTask:
        """Return its procedure as a worker's, which it is."""
        return cast(WorkerTask, self.procedure)

    @property
    def after(self) -> frozenset[str]:
        """Return the names of those that it waits for, where they stand before it in the queue."""
        return self.task.AFTER

    def pause(self, on: bool) -> None:
        """Have it stand still after the round that is on, or go on. Raises ParameterError for one that cannot."""
        with self.lock:
            if on:
                self._check_rounds("paused")
            self.pausing = on
            self._say_what_comes()

    def stop(self) -> None:
        """Have it end after the round that is on, and keep what it found. Raises ParameterError for one that cannot."""
        with self.lock:
            self._check_rounds("stopped early")
            self.stop_early = True
            self._say_what_comes()

    @property
    def to_end(self) -> bool:
        """Say whether its process is to end after the round that is on."""
        return self.pausing or self.stop_early

    def _check_rounds(self, what: str) -> None:
        where = f"{self.name} {self.number}"
        if self.name not in BY_ROUNDS:
            raise ParameterError(f"it cannot be {what}", where=where, remedy="It is done in one piece: let it end, or abort it.")
        if not (self.state.measures or self.state is RunState.STARTING):
            raise ParameterError(f"it is {self.state}", where=where, remedy="Only what has begun can be paused or stopped; remove or abort what waits.")

    def _say_what_comes(self) -> None:
        if self.state is not RunState.PAUSED:
            self.why = "stops after this round" if self.stop_early else "pauses after this round" if self.pausing else ""
        self.changed.notify_all()


class Workers:
    """Carries out the tasks of a queue, one after the other, in a thread of its own.

    station: file that the workers tell the owner by.  store: folder of the key stores.  runs: folder of the run files.
    changed: called when tasks may have changed the stores, and none of them has a store open.
    """

    def __init__(self, queue: Queue, topics: Topics, station: Path, store: Path, runs: Path, changed: Callable[[], None]) -> None:
        self._queue, self._topics, self._station, self.store, self._runs, self._changed = queue, topics, station, store, runs, changed
        self._thread = threading.Thread(target=self._work, name="workers", daemon=True)

    def start(self) -> None:
        """Begin to look at the queue."""
        self._thread.start()

    def made(self, name: str, texts: Mapping[str, str], **settings: Any) -> Task:
        """Return a task that is in no queue yet. Raises ParameterError."""
        if "run" in texts:
            texts = {**texts, "run": str(run_file(texts["run"], self._runs, self.store))}
        procedure = TASKS[name](**texts)
        procedure.check()
        task = Task(self._queue.number(), procedure, **settings)
        if "run" in texts:
            task.path = Path(texts["run"])
            task.run_id = run_of(task.path)
        return task

    def again(self, task: Task, texts: Mapping[str, str]) -> Task:
        """Return a task like another one, in no queue yet, with some parameters changed. Raises ParameterError."""
        return self.made(task.name, {**task.parameters, **texts}, who=task.who, operator=task.operator, purpose=task.purpose)

    def abort(self, cause: str, task: Task) -> None:
        """End a task; one that waits is taken out of the queue."""
        if self._queue.give_up(task, cause):
            if task.again:
                self._tell_end(task)
        else:
            with task.lock:
                task.cause = task.cause or cause
                task.changed.notify_all()

    def pause(self, task: Task, on: bool) -> None:
        """Pause a task that goes by rounds after the one that is on, or let it go on. Raises ParameterError for one that cannot."""
        task.pause(on)
        self._queue.look_again()

    def stop(self, task: Task) -> None:
        """End a task that goes by rounds after the one that is on, and keep what it found. Raises ParameterError for one that cannot."""
        task.stop()
        if self._queue.conclude(task, "stopped while it was paused"):
            self._tell_end(task)
        self._queue.publish()

    def close(self, cause: str) -> None:
        """End the task that is on, and wait for it; the queue must be closed. What finishes by itself is left to do so."""
        task = self._queue.on("worker")
        if isinstance(task, Task) and task.task.FINISHES:
            return
        if isinstance(task, Task):
            self.abort(cause, task)
        if self._thread.ident is not None:
            self._thread.join(2 * ENDING_S)

    def _work(self) -> None:
        keep_back_for_workers()
        while (task := self._queue.take("worker")) is not None:
            self._carry_out(cast(Task, task))

    def _carry_out(self, task: Task) -> None:
        task.enter(RunState.STARTING)
        try:
            ended_early = bool(self._process(task).get("ended_early"))
        except Exception as error:
            if not isinstance(error, HeliographError):
                log.exception("%s %d", task.name, task.number)
            self._fail(task, error if isinstance(error, HeliographError) else _not_run(task, error))
        else:
            if ended_early and not task.stop_early:
                self._set_aside(task)
                return
            task.why = "stopped early" if ended_early else ""
            task.percent = task.percent if ended_early else 100.0
            task.enter(RunState.DONE)
        self._queue.end(task)
        self._tell_end(task)
        self._read_again()

    def _fail(self, task: Task, error: HeliographError) -> None:
        task.error = RunAborted(task.cause, where=task.name) if task.cause else error
        task.why = task.cause or str(error)
        task.enter(RunState.ABORTED if task.cause else RunState.FAILED)

    def _set_aside(self, task: Task) -> None:
        """Keep a task that ended between two rounds until it is to go on; at once, if that was said meanwhile."""
        task.again, task.why, task.earlier = True, "", task.told
        self._queue.set_aside(task)
        tell_state(self._topics, task)
        self._read_again()

    def _read_again(self) -> None:
        if self._queue.has_next("worker"):
            return
        try:
            self._changed()
        except Exception:
            # What is behind it in the queue is done nevertheless.
            log.exception("the stores could not be read again")

    def _tell_end(self, task: Task) -> None:
        tell_state(self._topics, task)
        if task.told is not None and task.told.state == "paused":
            self._topics.publish("learning", replace(task.told, state="aborted" if task.cause else "done", why=task.why))

    def whole(self, told: LearningProgress) -> LearningProgress:
        """Return what a worker tells of a training together with what was told of it before it was paused."""
        task = self._queue.on("worker")
        if not isinstance(task, Task) or task.name not in BY_ROUNDS:
            return told
        task.told = joined(task.earlier, told)
        return task.told

    def heard(self, told: object) -> None:
        """Take what a worker tells of its work as the progress of the task that is on."""
        task = self._queue.on("worker")
        if isinstance(told, KeyProgress) and isinstance(task, Task) and task.name == "Distil" and told.stage in _STAGES:
            begins, ends = _STAGES[told.stage]
            task.percent = max(task.percent, begins + told.progress * (ends - begins))
        elif isinstance(told, LearningProgress) and isinstance(task, Task) and task.name == "Learn" and told.rounds:
            task.percent = 100.0 * told.round / told.rounds
        self._queue.publish(soon=True)

    def _kept(self, task: Task) -> list[str]:
        """Return the words by which a task that goes by rounds keeps its checkpoint, and takes it up."""
        if task.name not in BY_ROUNDS:
            return []
        if task.folder is None:
            begun = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            task.folder = self.store.parent / "learning" / f"{begun}-{task.number}"
            task.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ["--out", str(task.folder), *(["--resume"] if task.again else [])]

    def _process(self, task: Task) -> dict[str, Any]:
        """Run the command to its end; return what it says. Raises what it says went wrong, BenchError if it says nothing."""
        tell = ["--tell", str(self._station)] if TELL else []
        command = [*COMMAND, *task.task.words(), *self._kept(task), "--store", str(self.store), *tell, "--json"]
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complaints:
            # In a session of its own, deaf to the terminal's Ctrl-C: what goes out is finished, or ended by us.
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=complaints, start_new_session=True)
            try:
                task.enter(RunState.RUNNING)
                tell_begin(self._topics, task, again=task.again)
                self._queue.publish()
                self._await(task, process)
            finally:
                _end(process)
            return _judge(task, process.returncode, said, complaints)

    def _await(self, task: Task, process: subprocess.Popen[bytes]) -> None:
        told_to_end = False
        while process.poll() is None:
            if task.to_end and not told_to_end:
                process.send_signal(END)
                told_to_end = True
            if task.cause:
                task.enter(RunState.STOPPING)
                self._queue.publish()
                return
            with task.lock:
                task.changed.wait(_LOOK_S)


def _not_run(task: Task, error: Exception) -> BenchError:
    why = (error.strerror if isinstance(error, OSError) else None) or repr(error)
    return BenchError(f"its process could not be run ({why})", where=task.name, remedy="Is there room on the disk, and are there processes to spare?")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that is still there, in order if it can."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_S)
    if process.poll() is None:
        process.kill()
    process.wait()


def _judge(task: Task, code: int, said: IO[bytes], complaints: IO[bytes]) -> dict[str, Any]:
    said.seek(0)
    complaints.seek(0)
    told = answer(said.read(), complaints=complaints.read(), code=code, who="its process", where=task.name, remedy="See what it was asked to do.")
    if task.cause:
        raise BenchError("its process was ended", where=task.name, remedy="See what it was asked to do.")
    return told


def read_stores(store: Path, timeout_s: float = 60.0) -> dict[str, Any]:
    """Return what `heliograph keys show --json` tells of the stores of a folder. Raises what it says went wrong, BenchError if it says nothing."""
    command = [*COMMAND, "keys", "show", "--store", str(store), "--json"]
    begun = time.monotonic()
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False, start_new_session=True)
    except subprocess.TimeoutExpired as error:
        took_s = time.monotonic() - begun
        raise BenchError(f"the stores could not be read within {took_s:.0f} s", where=str(store), remedy="Try `heliograph keys show`.") from error
    return answer(ended.stdout, complaints=ended.stderr, where=str(store), remedy="Try `heliograph keys show`.")
