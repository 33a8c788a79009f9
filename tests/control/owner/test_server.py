"""The owner's end of the line, with clients that send nonsense, too much, or nothing any more."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.control.link import VERSION, Link, Message, connected, decode, encode, receive
from heliograph.control.owner import server
from heliograph.control.owner.server import Server, send_waiting
from heliograph.control.topics import EVENT, TOPICS, Mailbox
from heliograph.core.errors import BenchError

from ..owned import wait_for


class Sessions:
    """Sessions that say hello when they may."""

    def __init__(self) -> None:
        self.free, self.left = threading.Event(), threading.Event()
        self.free.set()
        self.topics: list[str] = []

    def answer(self, message: Message) -> Message:
        self.free.wait(20.0)
        self.topics.append(message.topic)
        return Message(message.topic, "hello", message.id)

    def aside(self, topic: str) -> bool:
        return topic == "runs"

    def gone(self) -> None:
        self.left.set()


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    made = Sessions()
    yield made
    made.free.set()


@pytest.fixture
def path(tmp_path: Path, sessions: Sessions) -> Iterator[Path]:
    there = tmp_path / "owner"
    listening = Server(there, lambda _client: sessions)
    yield there
    sessions.free.set()
    listening.close()


def to(path: Path) -> socket.socket:
    connection = connected(path)
    assert connection is not None
    return connection


def frame(body: str = "null", **header: object) -> bytes:
    told = json.dumps({"version": VERSION, "id": 1, "topic": "t", "shapes": [], "dtypes": [], **header})
    rest = f'{told[:-1]}, "body": {body}}}\n'.encode()
    return struct.pack("<I", len(rest)) + rest


NONSENSE = {
    "deep": frame("[" * 100_000 + "]" * 100_000),
    "deep and known": frame('{"list": [' * 400 + "]}" * 400),
    "huge": frame(shapes=[[10**23]], dtypes=["<f8"]),
    "no kind": frame(dtypes=["(1"], shapes=[[1]]),
    "no text": struct.pack("<I", 4) + b"\xff\xfe\n\n",
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_whatever_a_client_sends_its_end_is_noticed(path: Path, sessions: Sessions, kind: str) -> None:
    with to(path) as connection:
        connection.sendall(NONSENSE[kind])
        connection.settimeout(20.0)
        assert connection.recv(1) == b""
    assert sessions.left.wait(20.0)
    with Link(to(path), where="again") as link:
        assert link.ask("hello") == "hello"


@pytest.mark.parametrize("kind", NONSENSE)
def test_whatever_an_owner_sends_its_client_does_not_wait_for_ever(kind: str) -> None:
    ours, theirs = socket.socketpair()
    with theirs, Link(ours, where="here") as link:
        theirs.sendall(NONSENSE[kind])
        with pytest.raises(BenchError, match="gone"):
            link.ask("hello", timeout_s=None)


def test_who_hears_what_is_published_may_stumble_and_the_end_is_noticed() -> None:
    def heard(_message: Message) -> None:
        raise ZeroDivisionError

    ours, theirs = socket.socketpair()
    with theirs, Link(ours, where="here", heard=heard) as link:
        theirs.sendall(encode(Message("published")))
        with pytest.raises(BenchError, match="ZeroDivisionError"):
            link.ask("hello", timeout_s=None)


def test_a_session_that_cannot_end_in_order_keeps_no_connection(path: Path, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        sessions.left.set()
        raise OSError

    monkeypatch.setattr(sessions, "gone", gone)
    with to(path) as connection:
        connection.sendall(NONSENSE["huge"])
        connection.settimeout(20.0)
        assert connection.recv(1) == b""


def test_more_requests_than_are_taken_are_refused_and_the_rest_answered(path: Path, sessions: Sessions) -> None:
    sessions.free.clear()
    with to(path) as connection:
        connection.sendall(b"".join(encode(Message("note", None, k)) for k in range(server.MOST_WAITING + 20)))
        refused = [receive(connection) for _ in range(20)]
        assert all(one is not None and isinstance(one.body, BenchError) and "wait" in str(one.body) for one in refused)
        sessions.free.set()
        answered = [receive(connection) for _ in range(server.MOST_WAITING)]
        assert {one.body for one in answered if one is not None} == {"hello"}


def test_a_client_that_only_asks_is_parted_from(path: Path, sessions: Sessions) -> None:
    sessions.free.clear()
    with to(path) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(b"".join(encode(Message("note", None, k)) for k in range(20_000)))
        assert sessions.left.wait(20.0)


def test_no_more_replies_are_made_than_are_read(path: Path, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(message: Message) -> Message:
        sessions.topics.append(message.topic)
        return Message(message.topic, "x" * 1_000_000, message.id)

    monkeypatch.setattr(sessions, "answer", answer)
    with to(path) as connection:
        connection.sendall(b"".join(encode(Message("events", None, k)) for k in range(100)))
        wait_for(lambda: len(sessions.topics) > server.MOST_REPLIES)
        time.sleep(0.3)
        # One is being sent, and one is made already for which there is no room.
        assert len(sessions.topics) <= server.MOST_REPLIES + 3
        assert [receive(connection) is not None for _ in range(100)] == [True] * 100


def test_who_cannot_be_let_in_leaves_the_door_open_for_others(tmp_path: Path, sessions: Sessions) -> None:
    tries: list[int] = []

    def open_session(_client: object) -> Sessions:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("no thread to spare")
        return sessions

    listening = Server(tmp_path / "owner", open_session)
    try:
        with to(tmp_path / "owner") as connection:
            connection.settimeout(20.0)
            assert connection.recv(1) == b""
        with Link(to(tmp_path / "owner"), where="again") as link:
            assert link.ask("hello") == "hello"
    finally:
        listening.close()


def test_no_more_is_published_in_a_tick_than_there_is_room_for_and_the_latest_state_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_BYTES", 20_000)
    box, sent = Mailbox(TOPICS), list[bytes]()

    def tick(*, everything: bool = False) -> list[tuple[str, str]]:
        sent.clear()
        send_waiting(box, sent.append, everything=everything)
        messages = [decode(frame[4:]) for frame in sent]
        return [(message.topic, message.body.strip()) for message in messages]

    for number in range(4):
        box.put(EVENT, f"{number}".ljust(4_000))
    for topic in ("counts", "histogram", "safety"):
        box.put(topic, f"old {topic}".ljust(9_000))

    assert tick() == [(EVENT, "0"), (EVENT, "1"), ("counts", "old counts")]
    box.put(EVENT, "4")
    box.put("counts", "new counts")
    box.put("safety", "new safety")
    assert tick() == [(EVENT, "2"), (EVENT, "3"), (EVENT, "4"), ("histogram", "old histogram"), ("safety", "new safety"), ("counts", "new counts")]
    assert tick() == []

    box.put("scan", "x" * 50_000)
    box.put("key", "y" * 50_000)
    assert [topic for topic, _ in tick()] == ["scan"], "one that is larger than the room goes by itself"
    box.put("scan", "z")
    assert [topic for topic, _ in tick(everything=True)] == ["key", "scan"]
