"""What an owner answers to one client: topics of requests, who may ask for what, and errors that arrive as what they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import FrameError, UnknownInstrument
from .link import VERSION, Message
from .members import Members, members
from .topics import TOPICS

if TYPE_CHECKING:
    from ..acquisition.procedures.base import BenchProcedure
    from .owner import Owner
    from .runner import Job
    from .server import Client

_LONGEST_WAIT_S = 1.0


class Session:
    """One client's requests. They come one after the other; `gone` may come at any time."""

    def __init__(self, owner: Owner, client: Client) -> None:
        self._owner, self._client = owner, client
        self._streams: dict[int, Iterator[Any]] = {}
        self._topics: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "hello": self._hello,
            "control": lambda _: self._take_control(),
            "release": lambda _: self._owner.release(self),
            "get": self._get,
            "set": self._set,
            "call": self._call,
            "open": self._open,
            "next": self._next,
            "close": self._close,
            "snapshot": lambda _: self._owner.instruments.snapshot(),
            "wire": lambda _: self._owner.instruments.wire_counts(),
            "watch": lambda _: self._controlled(self._owner.renew_watchdog),
            "arm": lambda _: self._controlled(self._owner.arm),
            "reset": lambda _: self._controlled(self._owner.reset),
            "safe": lambda _: self._owner.make_safe(f"asked for by process {self.pid}"),
            "status": lambda _: self._owner.status(),
            "queue": lambda _: self._owner.runner.queue.state(),
            "submit": self._submit,
            "follow": self._follow,
            "abort": self._abort,
            "stop": self._stop,
            "subscribe": self._subscribe,
        }

    @property
    def pid(self) -> int:
        """Return the client's process."""
        return self._client.pid

    def answer(self, message: Message) -> Message:
        """Return the reply to a request; an error is its body."""
        try:
            if message.topic not in self._topics:
                raise FrameError(f"nobody answers requests about {message.topic!r}", where="link", remedy=f"There are {', '.join(self._topics)}.")
            reply = self._topics[message.topic](message.body or {})
        except Exception as error:  # noqa: BLE001
            # The client raises it, wherever it came from; what is left here is a session that goes on.
            reply = error.with_traceback(None)
        return Message(message.topic, reply, message.id)

    def gone(self) -> None:
        """End the client's streams and runs; if it was the controller, the bench becomes safe unless it may be left alone."""
        if self._client.mailbox is not None:
            self._owner.topics.unsubscribe(self._client.mailbox)
        self._owner.left(self)
        self._streams.clear()

    def _hello(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if body.get("version") != VERSION:
            raise FrameError(f"version {body.get('version')} of the link asks, {VERSION} is spoken here", remedy="Use one version of Heliograph for both.")
        station = self._owner.station
        return {
            "pid": os.getpid(),
            "sha256": station.sha256,
            "roles": {name: one.role for name, one in self._owner.instruments.items()},
            "folder": self._owner.folder,
        }

    def _take_control(self) -> None:
        self._owner.take_control(self)

    def _controlled(self, act: Callable[[], Any]) -> Any:
        self._take_control()
        return act()

    def _instrument(self, body: Mapping[str, Any], kind: str) -> tuple[Any, str, Members]:
        name, member = str(body["name"]), str(body["member"])
        if name not in self._owner.instruments:
            raise UnknownInstrument.of(name, self._owner.instruments, where="bench")
        one = self._owner.instruments[name]
        known = members(one.role)
        known.check(name, member, kind)
        return one, member, known

    def _get(self, body: Mapping[str, Any]) -> Any:
        one, member, _ = self._instrument(body, "readable")
        return getattr(one, member)

    def _set(self, body: Mapping[str, Any]) -> None:
        one, member, _ = self._instrument(body, "settable")
        self._take_control()
        setattr(one, member, body["value"])

    def _call(self, body: Mapping[str, Any]) -> Any:
        one, member, known = self._instrument(body, "methods")
        if known.needs_control(member):
            self._take_control()
        return getattr(one, member)(*body["args"], **body["kwargs"])

    def _open(self, body: Mapping[str, Any]) -> int:
        one, member, _ = self._instrument(body, "streams")
        self._take_control()
        number = max(self._streams, default=0) + 1
        self._streams[number] = getattr(one, member)(*body["args"], **body["kwargs"])
        return number

    def _next(self, body: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return one piece of a stream, or nothing at its end."""
        for piece in self._streams[body["stream"]]:
            return (piece,)
        del self._streams[body["stream"]]
        return ()

    def _close(self, body: Mapping[str, Any]) -> None:
        stream = self._streams.pop(body["stream"], None)
        close = getattr(stream, "close", None)
        if close is not None:
            close()

    def _submit(self, body: Mapping[str, Any]) -> int:
        procedure = _procedure(str(body["procedure"]), body["parameters"], body["carried"])
        self._take_control()
        job = self._owner.runner.submit(
            procedure, Path(body["folder"]), who=self.pid, operator=body["operator"], purpose=body["purpose"], seed=body["seed"], followed=True
        )
        return job.number

    def _job(self, body: Mapping[str, Any]) -> Job:
        return self._owner.runner.find(int(body["job"]))

    def _follow(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Wait a moment for what a run says; `over` once it says nothing more, with its file, its result and its error."""
        job = self._job(body)
        said, emitted = job.since(int(body["since"]), min(float(body["wait_s"]), _LONGEST_WAIT_S))
        told = {"said": said, "emitted": emitted, "over": job.state.over, "row": job.row()}
        if job.state.over:
            told |= {"path": job.path, "error": job.error, "result": job.procedure.result}
        return told

    def _abort(self, body: Mapping[str, Any]) -> None:
        job = self._job(body)
        if job.who != self.pid:
            self._take_control()
        self._owner.runner.abort(f"asked for by process {self.pid}", job)

    def _stop(self, body: Mapping[str, Any]) -> None:
        self._take_control()
        self._job(body).stop_early = True

    def _subscribe(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        if self._client.mailbox is not None:
            self._owner.topics.unsubscribe(self._client.mailbox)
        self._client.mailbox = self._owner.topics.subscribe(body.get("topics") or TOPICS)
        return TOPICS


def _procedure(name: str, parameters: Mapping[str, Any], carried: Mapping[str, Any]) -> BenchProcedure:
    """Return the procedure of a name with its parameters. Raises ParameterError for one that is not known here, or for a parameter out of range."""
    if name == "KeyExchange":
        from ..postprocess.procedures.key_exchange import KeyExchange

        return KeyExchange(**parameters, **carried)
    from ..acquisition.procedures.table import procedure

    return procedure(name)(**parameters, **carried)
