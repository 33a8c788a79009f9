"""What an owner answers to one client: topics of requests, who may ask for what, and errors that arrive as what they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ...core.errors import BenchError, FrameError, HeliographError, ParameterError, UnknownInstrument
from ..link import VERSION, Message
from ..members import Members, members
from ..queueing.queue_commands import QueueCommands
from ..run_files.desk import REQUESTS, RunDesk
from ..run_files.figures import with_earlier
from ..topics import REPLAY, TOPICS, Event, KeyProgress, LearningProgress, ReplayState, StoreStates
from ..topics.payloads import checked
from . import service

if TYPE_CHECKING:
    from .owner import Owner
    from .server import Client

LONGEST_NOTE = 2000
MOST_STREAMS = 16
MOST_NOTES = 100
"""That may wait for the file of a run."""


class Session:
    """One client's requests. They come one after the other; `gone` may come at any time."""

    def __init__(self, owner: Owner, client: Client) -> None:
        self._owner, self._client = owner, client
        self._over = False
        self._streams: dict[int, Iterator[Any]] = {}
        self._desk = RunDesk(owner.folder, self._replayed, lost=self._reader_lost)
        self._shown: ReplayState | None = None
        self._topics: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "hello": self._hello,
            "control": lambda _: self._take_control(),
            "end_when_alone": lambda _: self._end_when_alone(),
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
            "arm": lambda _: self._controlled(lambda: self._owner.arm(lambda: not self._over)),
            "reset": lambda _: self._controlled(self._owner.reset),
            "release_instrument": lambda body: self._controlled(lambda: service.release(self._owner, str(body["name"]), self.who)),
            "take_back": lambda body: self._controlled(lambda: service.take_back(self._owner, str(body["name"]), self.who)),
            "safe": lambda _: self._owner.make_safe(f"asked for by {self.who}"),
            "status": lambda _: self._owner.status(),
            "subscribe": self._subscribe,
            "take_over": lambda _: self._owner.ask_for_control(self),
            "keep_control": lambda _: self._owner.keep_control(self),
            "yield_control": lambda body: self._owner.hand_over(self, body.get("to")),
            "note": self._note,
            "acknowledge": self._acknowledge,
            "events": lambda body: self._owner.journal.since(int(body.get("since", 0))),
            "publish": self._forward,
            "reread": lambda _: self._reread(),
            "qpu_cap": lambda body: self._controlled(lambda: self._owner.jobs.change_cap(body, self.who)),
            "gates": lambda body: self._controlled(lambda: self._owner.live.set_gates(body)),
            **{topic: partial(self._of_files, topic) for topic in REQUESTS},
            **QueueCommands(owner, self.pid, self.who, self._take_control).requests(),
        }

    @property
    def pid(self) -> int:
        """Return the client's process."""
        return self._client.pid

    @property
    def who(self) -> str:
        """Return whose process the client is."""
        return self._client.who

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

    def aside(self, topic: str) -> bool:
        """Say whether requests about a topic are answered beside the others: those about run files and ledgers, which may take long."""
        return topic in REQUESTS or topic == "qpu_cap"

    def gone(self) -> None:
        """End the client's streams and runs; if it was the controller, the bench becomes safe unless it may be left alone."""
        self._over = True
        self._owner.clients.went(self)
        if self._client.mailbox is not None:
            self._owner.topics.unsubscribe(self._client.mailbox)
        try:
            self._owner.left(self)
        finally:
            self._streams.clear()
            self._desk.close()

    def _hello(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if body.get("version") != VERSION:
            raise FrameError(f"version {body.get('version')} of the link asks, {VERSION} is spoken here", remedy="Use one version of Heliograph for both.")
        self._owner.clients.came(self)
        if self._over:
            # It may have gone before it came.
            self._owner.clients.went(self)
        station = self._owner.station
        return {
            "pid": os.getpid(),
            "sha256": station.sha256,
            "roles": {name: one.role for name, one in self._owner.instruments.items()},
            "folder": self._owner.folder,
        }

    def _end_when_alone(self) -> None:
        """Note that the owner is to end after the last client, on the word of the process that started it, or of the controller."""
        if self.pid != self._owner.clients.starter:
            self._owner.controllers.check(self)
        self._owner.clients.ends = True

    def _take_control(self) -> None:
        if self._over:
            raise BenchError("the client is gone", where="link")
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
        try:
            setattr(one, member, body["value"])
        finally:
            self._owner.watch.soon()

    def _call(self, body: Mapping[str, Any]) -> Any:
        one, member, known = self._instrument(body, "methods")
        if known.needs_control(member):
            self._take_control()
        try:
            return getattr(one, member)(*body["args"], **body["kwargs"])
        finally:
            if known.needs_control(member):
                self._owner.watch.soon()

    def _open(self, body: Mapping[str, Any]) -> int:
        one, member, _ = self._instrument(body, "streams")
        self._take_control()
        if len(self._streams) >= MOST_STREAMS:
            raise ParameterError(f"{MOST_STREAMS} streams are open", where="link", remedy="Close one, or read it to its end.")
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

    def _note(self, body: Mapping[str, Any]) -> Event:
        """Note what an operator says, also in the file of the run that is on."""
        self._owner.controllers.check(self)
        job, text = self._owner.runner.job, str(body["text"]).strip()
        if not text:
            raise ParameterError("the note is empty", where="note", remedy="Write something.")
        run = str(body.get("run") or (job.run_id if job is not None else ""))
        if job is not None and run == job.run_id:
            if len(job.notes) >= MOST_NOTES:
                raise ParameterError(f"{MOST_NOTES} notes wait for the file of the run", where="note", remedy="Wait until they are written down.")
            job.notes.append(text[:LONGEST_NOTE])
        elif run and not any(path.name.startswith(run) for path in self._owner.folder.glob("*.h5")):
            raise ParameterError("no run file is called so", where=f"note about {run}", remedy="Give the id of a run, or none.")
        return self._owner.topics.event("note", "operator", text[:LONGEST_NOTE], run=run)

    def _acknowledge(self, body: Mapping[str, Any]) -> Event:
        self._owner.controllers.check(self)
        seen = self._owner.journal.acknowledge(int(body["number"]))
        self._owner.topics.tell(seen)
        return seen

    def _forward(self, body: Mapping[str, Any]) -> None:
        """Publish what a node or a worker tells. Raises ParameterError for any other topic or payload."""
        topic, told = body.get("topic"), checked(body.get("topic"), body.get("body"))
        if isinstance(told, StoreStates):
            self._owner.stores.hear(told)
            return
        if isinstance(told, KeyProgress):
            told = with_earlier(told, self._owner.topics.latest("key"))
        if isinstance(told, LearningProgress):
            told = self._owner.workers.whole(told)
        self._owner.topics.publish(str(topic), told)
        self._owner.workers.heard(told)

    def _of_files(self, topic: str, body: Mapping[str, Any]) -> Any:
        """Ask the process that reads run files; while it replays one, the client hears nothing of the bench's own figures."""
        box = self._client.mailbox
        if topic == "replay" and box is not None:
            box.replaying = True
        try:
            reply = self._desk.ask(topic, body)
            if topic == "replay" and box is not None:
                # A reader that was found to be lost put the bench's own figures back.
                box.replaying = True
            return reply
        except HeliographError:
            self._live_again(topic in ("replay", "replay_stop"))
            raise
        finally:
            self._live_again(topic == "replay_stop")

    def _live_again(self, over: bool) -> None:
        box = self._client.mailbox
        if over and box is not None and box.replaying:
            box.replaying = False
            self._owner.topics.refresh(box)

    def _reader_lost(self, why: str) -> None:
        """Go back to the bench's own figures where the process that replayed is gone, and say so."""
        box, shown = self._client.mailbox, self._shown
        if box is None or not box.replaying or self._over:
            return
        if shown is not None:
            box.put_replayed(REPLAY, replace(shown, paused=True, why=why))
        self._live_again(True)
        self._owner.topics.event("warning", "run files", f"The replay ended: {why}.", run=shown.run if shown is not None else "")

    def _replayed(self, topic: str, body: Any) -> None:
        if topic == REPLAY:
            self._shown = body
        if self._client.mailbox is not None:
            self._client.mailbox.put_replayed(topic, body)

    def _reread(self) -> None:
        self._owner.stores.read_soon()
        self._owner.jobs.read_soon()
        self._owner.watch.soon()

    def _subscribe(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        if self._client.mailbox is not None:
            self._owner.topics.unsubscribe(self._client.mailbox)
        self._client.mailbox = self._owner.topics.subscribe(body.get("topics") or TOPICS)
        self._owner.watch.soon()
        return TOPICS
