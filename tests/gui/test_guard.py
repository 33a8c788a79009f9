"""The lines to owner and watchdog, with others at their ends than a bench."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from heliograph.control.link import VERSION, Message, WatchdogLine, address
from heliograph.control.owner.server import Client, Server
from heliograph.control.topics import TOPICS, Mailbox
from heliograph.core.errors import BenchError, FrameError, InstrumentLocked
from heliograph.gui import launching
from heliograph.gui.connection import Connection, Standing
from heliograph.gui.guard import Guard
from heliograph.instruments.guard.local_sockets import listen


def until(true: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


@pytest.fixture
def station(tmp_path: Path) -> Path:
    return tmp_path / "station.toml"


class Watchdog:
    """Answers as a watchdog does, and keeps what it heard; `answer` of None never answers."""

    def __init__(self, station: Path, answer: dict[str, Any] | None) -> None:
        self.heard: list[tuple[float, str]] = []
        self.left = 0
        self._answer = answer
        self._open: list[socket.socket] = []
        self._path = address(station, "watchdog")
        self._listener = listen(self._path)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # Its end may be closed under it, by whichever side.
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            for line in lines:
                what = json.loads(line)["do"]
                self.heard.append((time.monotonic(), what))
                if what == "safe" and self._answer is not None:
                    connection.sendall(json.dumps(self._answer).encode() + b"\n")
                elif what == "leave":
                    self.left += 1
                    connection.sendall(b'{"left": true}\n')

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._path.unlink(missing_ok=True)
        self._accepting.join(5.0)
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def of(self, what: str) -> list[float]:
        return [t for t, heard in self.heard if heard == what]


class Owner:
    """A line to an owner that answers, or does not."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self.asked: list[str] = []

    def ask(self, topic: str, body: Any = None, *, timeout_s: float | None = 2.0) -> Any:
        self.asked.append(topic)
        if isinstance(self.reply, BaseException):
            raise self.reply
        return self.reply


@pytest.fixture
def guard(station: Path) -> Iterator[Guard]:
    made = Guard(station)
    yield made
    made.close()


MADE = {"by": "owner", "cause": "asked for", "reports": [{"name": "laser", "state": "CONFIRMED", "detail": ""}]}
NOBODY = BenchError("gone")


def test_a_press_reaches_the_watchdog_within_100_ms_on_a_line_that_is_open(station: Path, guard: Guard) -> None:
    watchdog = Watchdog(station, MADE)
    took: list[float] = []
    # The shortest of some, since other tests may hold the processor.
    while len(took) < 5 and min(took, default=1.0) >= 0.1:
        until(lambda: guard.watched)
        pressed = time.monotonic()
        assert guard.make_safe(Owner(NOBODY)) == MADE
        took.append(watchdog.of("safe")[-1] - pressed)

    assert min(took) < 0.1
    watchdog.close()


def test_without_a_watchdog_the_owner_is_asked(guard: Guard) -> None:
    owner = Owner([{"name": "laser", "state": "CONFIRMED", "detail": ""}])

    told = guard.make_safe(owner)

    assert (told["by"], owner.asked) == ("owner", ["safe"])


def test_without_either_the_command_is_run(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        ran.append(command)
        return type("Done", (), {"stdout": json.dumps({**MADE, "by": "this command"}) + "\n", "stderr": ""})

    monkeypatch.setattr("heliograph.gui.guard.subprocess.run", run)

    told = guard.make_safe(Owner(NOBODY))

    assert told["by"] == "this command"
    assert ran[0][3:6] == ["bench", "safe", "--station"]


@pytest.mark.parametrize("wrong", [KeyError("safe"), TypeError("x"), ValueError("y"), AttributeError("z"), KeyboardInterrupt("now")])
def test_whatever_the_owner_answers_the_command_is_run(guard: Guard, monkeypatch: pytest.MonkeyPatch, wrong: BaseException) -> None:
    answer = json.dumps({**MADE, "by": "this command"})
    monkeypatch.setattr("heliograph.gui.guard.subprocess.run", lambda *_, **__: type("Done", (), {"stdout": answer, "stderr": ""}))

    assert guard.make_safe(Owner(wrong))["by"] == "this command"


@pytest.mark.parametrize("torn", [b'{"by": "watch\n', b"[1]\n", b"\xff\n"])
def test_a_torn_word_of_the_watchdog_is_followed_by_the_owner(guard: Guard, monkeypatch: pytest.MonkeyPatch, torn: bytes) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(torn)
    monkeypatch.setattr("heliograph.gui.guard.WatchdogLine.of", lambda _station: WatchdogLine(ours, where="here"))

    assert guard.make_safe(Owner([]))["by"] == "owner"
    theirs.close()


def test_what_goes_wrong_last_is_one_of_our_own_errors(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.gui.guard.subprocess.run", lambda *_, **__: type("Done", (), {}))

    with pytest.raises(BenchError, match="no way worked"):
        guard.make_safe(Owner(KeyError("safe")))


def test_what_the_last_way_says_is_raised(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = json.dumps({"error": {"type": "BenchError", "message": "locked", "where": "laser", "remedy": "Look."}})
    monkeypatch.setattr("heliograph.gui.guard.subprocess.run", lambda *_, **__: type("Done", (), {"stdout": answer, "stderr": ""}))

    with pytest.raises(BenchError, match="laser: locked"):
        guard.make_safe(Owner(NOBODY))


def test_a_watchdog_that_hangs_does_not_keep_the_owner_from_hearing_of_it(station: Path, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.gui.guard.PATIENCE_S", 0.1)
    watchdog = Watchdog(station, None)
    until(lambda: guard.watched)
    owner = Owner([])
    press = threading.Thread(target=guard.make_safe, args=(owner,))

    press.start()
    until(lambda: owner.asked == ["safe"])
    watchdog.close()
    press.join(5.0)

    assert not press.is_alive()


def test_a_watchdog_that_dies_while_it_is_asked_is_followed_by_the_owner(station: Path, guard: Guard) -> None:
    watchdog = Watchdog(station, None)
    until(lambda: guard.watched)
    threading.Timer(0.1, watchdog.close).start()

    told = guard.make_safe(Owner([]))

    assert told["by"] == "owner"


def test_heartbeats_are_sent_while_the_window_controls_and_it_leaves_in_order(station: Path, guard: Guard) -> None:
    watchdog = Watchdog(station, MADE)

    guard.attend(True)
    until(lambda: guard.goes() or len(watchdog.of("heartbeat")) >= 5)
    guard.attend(False)
    until(lambda: watchdog.left == 1)

    # Four a second; some may come late, since other tests may hold the processor.
    assert median(b - a for a, b in pairwise(watchdog.of("heartbeat"))) < 0.5
    watchdog.close()


def test_no_heartbeat_is_sent_while_the_clock_of_the_window_stands_still(station: Path, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.gui.guard.STILL_S", 0.4)
    watchdog = Watchdog(station, MADE)
    guard.attend(True)
    until(lambda: guard.goes() or watchdog.of("heartbeat"))

    # Nothing ticks.
    time.sleep(0.9)
    still = len(watchdog.of("heartbeat"))
    time.sleep(0.5)
    assert len(watchdog.of("heartbeat")) == still

    guard.goes()
    until(lambda: len(watchdog.of("heartbeat")) > still)
    watchdog.close()


def test_another_watchdog_is_found_and_attended(station: Path, guard: Guard) -> None:
    first = Watchdog(station, MADE)
    guard.attend(True)
    until(lambda: bool(first.of("heartbeat")))
    first.close()
    second = Watchdog(station, MADE)

    until(lambda: bool(second.of("heartbeat")))

    assert guard.make_safe(Owner(NOBODY)) == MADE
    second.close()


@dataclass
class Bench:
    """What the sessions of a served owner share."""

    sha256: str = "one"
    controller: Any = None
    asked: list[str] = field(default_factory=list)


class Session:
    """One client of an owner without instruments."""

    def __init__(self, bench: Bench, client: Client) -> None:
        self._bench, self._client = bench, client

    def answer(self, message: Message) -> Message:
        self._bench.asked.append(message.topic)
        reply: Any = None
        if message.topic == "hello":
            assert message.body == {"version": VERSION}
            reply = {"pid": 1, "sha256": self._bench.sha256, "folder": Path("runs")}
        elif message.topic == "control" and self._bench.controller is not None:
            reply = InstrumentLocked("process 4711 controls the bench", where="station.toml")
        elif message.topic == "subscribe":
            self._client.mailbox = Mailbox(TOPICS)
            self._client.mailbox.put("safety", {"state": "SAFE"})
        return Message(message.topic, reply, message.id)

    def aside(self, topic: str) -> bool:
        """Answer everything in turn."""
        return False

    def gone(self) -> None:
        """Nothing is held."""


@pytest.fixture
def connect(station: Path) -> Iterator[Callable[[], tuple[Connection, list[Standing], Mailbox]]]:
    made: list[Connection] = []

    def one() -> tuple[Connection, list[Standing], Mailbox]:
        told: list[Standing] = []
        mailbox = Mailbox(TOPICS)
        made.append(Connection(station, mailbox, told.append))
        return made[-1], told, mailbox

    yield one
    for connection in made:
        connection.close()


def serve(station: Path, bench: Bench) -> Server:
    return Server(address(station, "owner"), lambda client: Session(bench, client))


def test_a_window_attaches_takes_control_and_hears_the_topics(station: Path, connect: Any) -> None:
    server = serve(station, Bench())
    connection, told, mailbox = connect()

    until(lambda: told)
    messages: list[Message] = []
    until(lambda: messages.extend(mailbox.take()) or messages)

    assert told == [Standing(True, True)]
    assert messages[0].topic == "safety"
    assert messages[0].body[1] == {"state": "SAFE"}
    assert connection.ask("status") is None
    server.close()


def test_an_owner_of_another_version_is_told_of(station: Path, connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = FrameError("version 1 of the link asks, 2 is spoken here", where="link", remedy="Use one version of Heliograph for both.")
    monkeypatch.setattr(Session, "answer", lambda _self, message: Message(message.topic, refusal, message.id))
    server = serve(station, Bench())
    _, told, _ = connect()

    until(lambda: told)

    assert not told[0].connected
    assert str(told[0].error) == str(refusal)
    server.close()


def test_a_second_window_only_looks(station: Path, connect: Any) -> None:
    server = serve(station, Bench(controller=4711))
    _, told, _ = connect()

    until(lambda: told)

    assert told == [Standing(True, False, "process 4711 controls the bench")]
    server.close()


def test_a_window_that_only_looked_does_not_take_the_bench_of_the_next_owner(station: Path, connect: Any) -> None:
    server = serve(station, Bench(controller=4711))
    connection, told, _ = connect()
    until(lambda: told)
    connection.wants_control = False
    server.close()
    until(lambda: len(told) == 2)

    bench = Bench()
    server = serve(station, bench)
    until(lambda: len(told) == 3)

    assert (told[2].connected, told[2].controls, told[2].locked) == (True, False, False)
    assert "control" not in bench.asked
    server.close()


@pytest.mark.parametrize("sha256, standing", [("one", Standing(True, True)), ("two", None)])
def test_an_owner_that_comes_back_is_found_and_controlled_only_with_the_same_station(
    station: Path, connect: Any, sha256: str, standing: Standing | None
) -> None:
    server = serve(station, Bench())
    connection, told, _ = connect()
    until(lambda: told)
    server.close()
    until(lambda: len(told) == 2)
    with pytest.raises(BenchError, match="no owner now"):
        connection.ask("status")

    bench = Bench(sha256)
    server = serve(station, bench)
    until(lambda: len(told) == 3)

    assert told[1].connected is False
    assert told[2] == standing or (told[2].locked and "control" not in bench.asked)
    server.close()


def test_a_bench_that_does_not_open_says_why(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text("[station]\nname = 3\n")
    owner = launching.Owner(path)

    with pytest.raises(BenchError, match="the bench was not opened"):
        owner.wait_ready()

    assert owner.ended
