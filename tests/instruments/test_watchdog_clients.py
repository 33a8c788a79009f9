"""Clients of the watchdog: what they ask is heard, and what they do to be a nuisance is borne."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.instruments.guard.watchdog_clients import Client


@pytest.fixture
def ends() -> Iterator[tuple[Client, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Client(ours, 1), theirs


def test_requests_are_heard_also_in_pieces(ends):
    client, theirs = ends
    assert list(client.requests()) == []
    theirs.sendall(b'{"do":"safe"}\n{"do":"sta')
    assert list(client.requests()) == ["safe"]
    theirs.sendall(b'tus"}\n')
    assert list(client.requests()) == ["status"]
    theirs.close()
    with pytest.raises(EOFError):
        list(client.requests())


@given(st.binary(max_size=900))
def test_whatever_comes_is_a_request_or_none(garbage):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = Client(ours, 1)
        theirs.sendall(garbage + b'\n{"do":"safe"}\n')
        heard = list(client.requests())

    assert heard[-1] == "safe"
    assert len(heard) == garbage.count(b"\n") + 2


def test_depth_without_end_is_no_request(ends):
    client, theirs = ends
    theirs.sendall(b"[" * 4000 + b"\n")
    heard = [one for _ in range(4) for one in client.requests()]

    assert heard == [None]


def test_a_line_without_an_end_is_the_end(ends):
    client, theirs = ends
    theirs.sendall(b"x" * 10_000)

    with pytest.raises(EOFError):
        for _ in range(10):
            list(client.requests())


def test_a_client_that_never_reads_is_cut_off_and_keeps_nobody_waiting(ends):
    client, theirs = ends
    begun = time.monotonic()
    for _ in range(20_000):
        client.say({"watchdog": 1, "told": "x" * 100})

    with pytest.raises(EOFError):
        list(client.requests())
    assert time.monotonic() - begun < 5.0
    assert theirs.recv(10) == b'{"watchdog'


def test_answers_for_which_there_was_no_room_are_sent_later_and_whole(ends):
    client, theirs = ends
    told = [{"number": number, "text": "x" * 1000} for number in range(300)]
    theirs.settimeout(5.0)
    for one in told:
        client.say(one)
    heard = b""
    while heard.count(b"\n") < len(told):
        heard += (piece := theirs.recv(1 << 16))
        assert piece
        client.send()

    assert [json.loads(line) for line in heard.splitlines()] == told
