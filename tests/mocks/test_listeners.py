from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import zmq

from heliograph.core.errors import BenchError
from heliograph.mocks.devices.base import Reply
from heliograph.mocks.listeners import Hub


class Echo:
    """Answers what it is fed, after a delay."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s

    def feed(self, data: bytes) -> list[Reply]:
        return [Reply(data, self.delay_s)]


class Ticks:
    """A stream with a clock of its own."""

    def __init__(self, log: list[str], name: str, period: int, room: int = 10**9) -> None:
        self.log, self.name, self.period, self.room, self.made = log, name, period, room, 0

    def due_ps(self) -> int | None:
        return (self.made + 1) * self.period

    def has_room(self) -> bool:
        return self.made < self.room

    def advance(self) -> None:
        self.made += 1
        self.log.append(self.name)


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.stop()
    for thread in threading.enumerate():
        if thread.name == "hub":
            thread.join()
    hub.close()


def serve(hub: Hub) -> threading.Thread:
    thread = threading.Thread(target=hub.run, name="hub", daemon=True)
    thread.start()
    return thread


def wait(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(condition())


def test_an_answer_under_way_does_not_delay_others(hub):
    slow, quick = (os.open(hub.add_pty(Echo(delay))[4:-7], os.O_RDWR | os.O_NOCTTY) for delay in (2.0, 0.0))
    serve(hub)
    os.write(slow, b"first")
    os.write(quick, b"second")
    assert os.read(quick, 10) == b"second"
    assert select.select([slow], [], [], 0)[0] == []
    assert os.read(slow, 10) == b"first"
    os.close(slow)
    os.close(quick)


def test_a_pty_passes_every_byte_unchanged(hub):
    port = os.open(hub.add_pty(Echo())[4:-7], os.O_RDWR | os.O_NOCTTY)
    serve(hub)
    os.write(port, bytes(range(256)))
    found = b""
    while len(found) < 256:
        found += os.read(port, 256)
    assert found == bytes(range(256))
    os.close(port)


def test_streams_share_one_clock_and_wait_for_the_slowest(hub):
    log: list[str] = []
    hub.producers += [Ticks(log, "a", 2), Ticks(log, "b", 3, room=4)]
    serve(hub)
    assert wait(lambda: log.count("b") == 4)
    time.sleep(0.05)
    # b is full after its fourth piece, at 12; a, due at 14 then, must not run ahead.
    assert log.count("a") <= 6


def test_a_pair_has_no_room_without_a_listener_and_four_messages_with_one_that_sleeps(hub):
    outlet = None
    # Another process may take the port before the hub does.
    while outlet is None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        with suppress(BenchError):
            outlet = hub.open_pair(port)
    assert not outlet.has_room()
    with pytest.raises(BenchError):
        hub.open_pair(port)
    context = zmq.Context()
    reader = context.socket(zmq.PAIR)
    reader.setsockopt(zmq.RCVHWM, 4)
    reader.connect(f"tcp://127.0.0.1:{port}")
    assert wait(outlet.has_room)
    big, sent = bytes(4_000_000), 0
    while wait(outlet.has_room, 0.3 if sent >= 4 else 10.0) and sent < 100:
        outlet.send(big)
        sent += 1
    assert 4 <= sent < 20
    context.destroy(0)
    outlet.close()


def test_stop_closes_every_port():
    hub = Hub()
    port = hub.add_tcp(Echo)
    thread = serve(hub)
    client = socket.create_connection(("127.0.0.1", port), timeout=20.0)
    client.sendall(b"x")
    assert client.recv(1) == b"x"
    hub.stop()
    thread.join(20.0)
    assert client.recv(1) == b""
    client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=20.0)
