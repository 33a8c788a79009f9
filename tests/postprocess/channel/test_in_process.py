"""The pipe between two endpoints."""

from __future__ import annotations

import pytest

from heliograph.core.errors import FrameError
from heliograph.postprocess.channel.in_process import pipe


def test_bytes_arrive_in_order_and_only_at_the_other_end():
    a, b = pipe()

    a.send(b"one")
    a.send(b"two")
    b.send(b"three")

    assert b.receive() == b"onetwo"
    assert b.receive() == b""
    assert a.receive() == b"three"


def test_an_answer_has_arrived_when_send_returns():
    a, b = pipe()
    b.on_bytes = lambda data: b.send(data + b"!")

    a.send(b"ask")

    assert a.receive() == b"ask!"


def test_a_fault_drops_alters_and_repeats():
    outcome = {b"drop": [], b"alter": [b"altar"], b"twice": [b"twice", b"twice"]}
    a, b = pipe(lambda end, data: outcome[data] if end == 0 else [data])

    for word in outcome:
        a.send(word)
    b.send(b"drop")

    assert b.receive() == b"altartwicetwice"
    assert a.receive() == b"drop"


def test_a_closed_connection_takes_nothing_and_loses_what_was_under_way():
    a, b = pipe()

    def answer_and_hang_up(data: bytes) -> None:
        b.send(data)
        b.close()

    b.on_bytes = answer_and_hang_up

    a.send(b"x")

    assert a.receive() == b""
    assert not a.open
    with pytest.raises(FrameError, match="closed"):
        a.send(b"y")
