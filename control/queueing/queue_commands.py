"""What a client may ask of the queue: look at it, put something in, change the order, stop and go on. Everything but looking is for the controller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import HeliographError, ParameterError
from ..topics import QueueRow
from . import forms
from .jobs import Entry, Job
from .light import waiting_light, with_choice
from .tasks import TASKS, Task

if TYPE_CHECKING:
    from ..owner.owner import Owner

Body = Mapping[str, Any]
Request = Callable[[Body], Any]
_LONGEST_WAIT_S = 1.0


class QueueCommands:
    """The queue of an owner, as one client sees it.

    pid, who: of the client.  control: makes it the controller, or raises InstrumentLocked.
    """

    def __init__(self, owner: Owner, pid: int, who: str, control: Callable[[], None]) -> None:
        self._owner, self._pid, self._who, self._control = owner, pid, who, control

    def requests(self) -> dict[str, Request]:
        """Return what answers each topic of requests."""
        reading: dict[str, Request] = {
            "queue": lambda _: self._owner.queue.state(),
            "procedures": lambda _: with_choice(forms.forms(TASKS, self._owner.station), waiting_light(self._owner.folder, self._owner.store)),
            "follow": self._follow,
        }
        changing: dict[str, Request] = {
            "submit": self._submit,
            "enqueue": self._enqueue,
            "move": lambda body: self._owner.queue.move(int(body["job"]), int(body["to"])),
            "edit": self._edit,
            "duplicate": self._duplicate,
            "remove": self._remove,
            "hold": self._hold,
            "go_on": lambda _: self._owner.queue.go_on(),
            "policy": lambda body: self._owner.queue.set_policy(bool(body["go_on_after_failure"])),
            "pause": lambda body: self._pause(body, True),
            "resume": lambda body: self._pause(body, False),
            "stop": self._stop,
            "calibrate": self._calibrate,
        }
        found = {**reading, **{topic: self._controlled(act) for topic, act in changing.items()}, "abort": self._abort}
        return {topic: _readable(topic, act) for topic, act in found.items()}

    def _controlled(self, act: Request) -> Request:
        def controlled(body: Body) -> Any:
            self._control()
            return act(body)

        return controlled

    def _job(self, body: Body) -> Job:
        return self._owner.runner.find(int(body["job"]))

    def _submit(self, body: Body) -> int:
        """Take a procedure as another process made it, which then follows it."""
        procedure = forms.carried(str(body["procedure"]), body["parameters"], body["carried"])
        settings = {"operator": body["operator"], "purpose": body["purpose"], "seed": body["seed"]}
        return self._owner.runner.submit(procedure, Path(body["folder"]), who=self._pid, followed=True, **settings).number

    def _follow(self, body: Body) -> dict[str, Any]:
        """Wait a moment for what a run says; `over` once it says nothing more, with its file, its result and its error."""
        job = self._job(body)
        said, emitted = job.since(int(body["since"]), min(float(body["wait_s"]), _LONGEST_WAIT_S))
        told = {"said": said, "emitted": emitted, "over": job.state.over, "row": job.row()}
        if job.state.over:
            told |= {"path": job.path, "error": job.error, "result": job.bench_procedure.result}
        return told

    def _enqueue(self, body: Body) -> int:
        """Put a procedure or task into the queue, its parameters given as texts; return its number."""
        name, texts = str(body["procedure"]), {str(key): str(text) for key, text in (body.get("parameters") or {}).items()}
        settings = {"who": self._pid, "operator": str(body.get("operator") or ""), "purpose": str(body.get("purpose") or "")}
        if name in TASKS:
            made: Entry = self._owner.workers.made(name, texts, **settings)
        else:
            procedure, extra = forms.made(name, texts, self._owner.store)
            seed = body.get("seed")
            made = self._owner.runner.made(procedure, self._owner.folder, seed=None if seed is None else int(seed), extra=extra, **settings)
        self._owner.queue.add(made)
        return made.number

    def _again(self, entry: Entry, texts: Body) -> Entry:
        given = {str(key): str(text) for key, text in texts.items()}
        made: Entry = self._owner.workers.again(entry, given) if isinstance(entry, Task) else self._owner.runner.again(_as_job(entry), given)
        made.who = self._pid
        return made

    def _edit(self, body: Body) -> None:
        entry = self._owner.queue.find(int(body["job"]))
        self._owner.queue.replace(entry.number, self._again(entry, body["parameters"]))

    def _duplicate(self, body: Body) -> int:
        """Put something that was, is, or will be done at the end of the queue once more; return its number."""
        made = self._again(self._owner.queue.find(int(body["job"])), {})
        made.followed = made.completes = False
        self._owner.queue.add(made)
        return made.number

    def _remove(self, body: Body) -> QueueRow:
        """Take out what waits; return its row, from which it can be put in again."""
        return self._owner.queue.remove(int(body["job"])).row()

    def _hold(self, body: Body) -> None:
        if body.get("on", True):
            self._owner.queue.hold(str(body.get("why") or f"stopped after this, asked for by {self._who}"))
        else:
            self._owner.queue.go_on()

    def _pause(self, body: Body, on: bool) -> None:
        entry = self._owner.queue.find(int(body["job"]))
        if isinstance(entry, Task):
            self._owner.workers.pause(entry, on)
        else:
            _as_job(entry).pause(on)

    def _stop(self, body: Body) -> None:
        entry = self._owner.queue.find(int(body["job"]))
        if isinstance(entry, Task):
            self._owner.workers.stop(entry)
        else:
            _as_job(entry).stop()

    def _abort(self, body: Body) -> None:
        entry = self._owner.queue.find(int(body["job"]))
        if entry.who != self._pid:
            self._control()
        self._owner.abort(entry, f"asked for by {self._who}")

    def _calibrate(self, body: Body) -> tuple[int, ...]:
        """Put the calibrations that are missing or stale, or those named, into the queue in their order; return their numbers."""
        from ...acquisition.calibration_plans import in_order

        owner, names = self._owner, body.get("names")
        plans = in_order(owner.station, owner.calibrations, None if names is None else [str(name) for name in names])
        made = [owner.runner.made(plan.made(), owner.folder, who=self._pid, purpose=f"calibration {plan.name}", extra={"keep": "True"}) for plan in plans]
        if made:
            owner.queue.add(*made)
        return tuple(job.number for job in made)


def _readable(topic: str, act: Request) -> Request:
    """Have a request that lacks something, or holds what cannot be, answered by a ParameterError."""

    def answered(body: Body) -> Any:
        try:
            return act(body)
        except HeliographError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise ParameterError(f"the request cannot be read ({error!r})", where=topic, remedy="See what it takes, in owner-requests.md.") from error

    return answered


def _as_job(entry: Entry) -> Job:
    if not isinstance(entry, Job):
        raise ParameterError(f"{entry.name} {entry.number} is no run on the bench", where="queue")
    return entry
