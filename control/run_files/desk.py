"""A process that reads run files for others: damaged or hostile ones bring down nobody but it, and HDF5 keeps no recorder waiting.

It speaks as an owner does (`link`), over a socket that it is given; what it replays it publishes there. `RunDesk` is the side that asks.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...core.errors import BenchError, FrameError, HeliographError, ParameterError, RunFileError, Timeout
from ..link import Link, Message, framed, receive
from ..topics import RunSummary
from .catalogue import details, find, salvaged, summaries
from .day_report import report
from .export import checked_place, export
from .replay import Replay

PATIENCE_S = 60.0
"""How long a file may take to be read; then it is given up."""
LONG_S = {"export": 3600.0, "salvage": 600.0}
"""The same for what goes through all of a file."""
REPLAYING = ("replay", "replay_seek", "replay_pause", "replay_speed", "replay_stop")
REQUESTS = ("runs", "run", "export", "salvage", "report", *REPLAYING)
MOST_RUNS = 5000
"""Runs in one answer, the newest ones; a frame holds three times as many."""
_LEAVE_S = 2.0
_SLOW, _ENDED = "reading took too long and was given up", "the process that reads run files ended"


class RunDesk:
    """Asks a process of its own about run files; it is started by the first question and ended by `close`.

    folder: of the run files.  told: hears topic and payload of what is replayed.  lost: hears, in any thread, why a reader ended of itself or was given up;
    what it replayed is over then.
    """

    def __init__(self, folder: Path, told: Callable[[str, Any], None] = lambda _topic, _body: None, *, lost: Callable[[str], None] = lambda _why: None) -> None:
        self.folder, self._told, self._lost = folder, told, lost
        self._turn = threading.Lock()
        self._link: Link | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, topic: str, body: Mapping[str, Any] | None = None, *, timeout_s: float | None = None) -> Any:
        """Return the answer to one of REQUESTS. Raises what the request does; RunFileError where the reader ended or did not come to an end.

        timeout_s: by default what the request may take, a minute for most.
        """
        link = self._linked()
        timeout_s = LONG_S.get(topic, PATIENCE_S) if timeout_s is None else timeout_s
        try:
            return link.ask(topic, dict(body or {}), timeout_s=timeout_s)
        except (Timeout, BenchError) as error:
            if isinstance(error, BenchError) and not link.over:
                raise
            where = str((body or {}).get("path", self.folder))
            what = _SLOW if isinstance(error, Timeout) else _ENDED
            self._given_up(link, what)
            raise RunFileError(what, where=where, remedy="The file may be damaged; try to salvage it.") from error

    def _linked(self) -> Link:
        link = self._link
        if link is not None and link.over:
            self._given_up(link, _ENDED)
        with self._turn:
            if self._link is None:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
                with theirs:
                    command = [sys.executable, "-m", "heliograph", "runs", "desk", "--out", str(self.folder), "--socket", str(theirs.fileno())]
                    self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), start_new_session=True)
                self._link = Link(ours, where=str(self.folder), heard=lambda message: self._told(message.topic, message.body))
                threading.Thread(target=self._attend, args=(self._link, self._process), name="run files", daemon=True).start()
            return self._link

    def _attend(self, link: Link, process: subprocess.Popen[bytes]) -> None:
        """Notice the end of a reader of which nothing is asked just then."""
        process.wait()
        self._given_up(link, _ENDED)

    def _given_up(self, link: Link, why: str) -> None:
        """Let go of a reader, and say so once."""
        if self._end(0.0, link):
            self._lost(why)

    @property
    def pid(self) -> int | None:
        """Return the reader's process id, None while there is none."""
        return self._process.pid if self._process is not None else None

    def close(self) -> None:
        """End the reader, whatever it is doing; another question starts another one."""
        self._end(_LEAVE_S)

    def _end(self, patience_s: float, only: Link | None = None) -> bool:
        """End the reader, or the one behind a link; return whether it was still here."""
        with self._turn:
            if self._link is None or (only is not None and self._link is not only):
                return False
            link, process, self._link, self._process = self._link, self._process, None, None
        link.close()
        if process is not None:
            try:
                process.wait(patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return True


class _Reader:
    """The other side: answers one request after the other."""

    def __init__(self, connection: socket.socket, folder: Path) -> None:
        self._socket, self._folder, self._stores = connection, folder, folder.resolve().parent / "store"
        self._turn = threading.Lock()
        self._replay: Replay | None = None
        self._answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "runs": self._runs,
            "run": lambda body: details(self._path(body)),
            "export": self._export,
            "salvage": lambda body: str(salvaged(self._path(body))),
            "report": lambda body: report(folder, self._stores, str(body.get("day", ""))),
            "replay": self._begin,
            "replay_seek": lambda body: self._playing().seek(float(body["t_s"])),
            "replay_pause": lambda body: self._playing().pause(bool(body["on"])),
            "replay_speed": lambda body: self._playing().at_speed(float(body["speed"])),
            "replay_stop": lambda _: self._stop(),
        }

    def _runs(self, body: Mapping[str, Any]) -> tuple[RunSummary, ...]:
        procedure, day, text = (str(body.get(name, "")) for name in ("procedure", "day", "text"))
        most = min(max(int(body.get("limit", MOST_RUNS)), 0), MOST_RUNS)
        return tuple(summaries(self._folder, procedure=procedure, day=day, text=text, most=most, skip=max(int(body.get("skip", 0)), 0)))

    def _path(self, body: Mapping[str, Any]) -> Path:
        return find(self._folder, str(body["path"]))

    def _export(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        place = checked_place(Path(body["to"]), body["kind"], self._stores)
        return tuple(str(path) for path in export(self._path(body), body["kind"], place, replace=body.get("replace") is True))

    def _begin(self, body: Mapping[str, Any]) -> Any:
        self._stop()
        self._replay = Replay(self._path(body), self._publish, speed=float(body.get("speed", 1.0)), paused=bool(body.get("paused", False)))
        return self._replay.state

    def _playing(self) -> Replay:
        if self._replay is None:
            raise ParameterError("nothing is replayed", where="replay", remedy="Choose a run first.")
        return self._replay

    def _stop(self) -> None:
        if self._replay is not None:
            self._replay.close()
            self._replay = None

    def _publish(self, topic: str, body: Any) -> None:
        # Nobody listens any more where this fails; the reader ends on its own then.
        with contextlib.suppress(OSError):
            self._send(Message(topic, body))

    def _send(self, message: Message) -> None:
        frame = framed(message)
        with self._turn:
            self._socket.sendall(frame)

    def serve(self) -> None:
        """Answer until the other side goes."""
        try:
            while (message := receive(self._socket)) is not None:
                answer = self._answer(message)
                with contextlib.suppress(OSError):
                    self._send(answer)
        finally:
            self._stop()

    def _answer(self, message: Message) -> Message:
        try:
            if message.topic not in self._answers:
                raise FrameError(f"nobody answers requests about {message.topic!r}", where="run files", remedy=f"There are {', '.join(self._answers)}.")
            return Message(message.topic, self._answers[message.topic](message.body or {}), message.id)
        except HeliographError as error:
            return Message(message.topic, error.with_traceback(None), message.id)
        except (KeyError, TypeError, ValueError) as error:
            wrong = ParameterError(f"the request cannot be read ({error!r})", where=message.topic)
            return Message(message.topic, wrong, message.id)
        except Exception as error:  # noqa: BLE001
            # One file that nobody foresaw takes neither the replay nor the other answers with it.
            odd = RunFileError(f"the reader stumbled ({error!r})", where=str((message.body or {}).get("path", self._folder)), remedy="Try to salvage the file.")
            return Message(message.topic, odd, message.id)


def serve(folder: Path, descriptor: int) -> None:
    """Answer questions about the run files of a folder at an open socket until its other side goes."""
    with socket.socket(fileno=descriptor) as connection:
        _Reader(connection, folder).serve()
