"""Nobody begins to arm a bench while it is being made safe."""

from __future__ import annotations

import threading

import pytest

from heliograph.control.owner import way_down
from heliograph.control.owner.way_down import WayDown


def test_who_arms_waits_until_the_last_has_made_it_safe() -> None:
    way, armed = WayDown(), threading.Event()

    def arm() -> None:
        with way.over():
            armed.set()

    arming = threading.Thread(target=arm)
    with way.under_way():
        with way.under_way():
            arming.start()
        assert not armed.wait(0.05)
    arming.join(20.0)
    assert armed.is_set()


def test_who_makes_it_safe_waits_for_who_has_begun_to_arm() -> None:
    way, down = WayDown(), threading.Event()

    def make_safe() -> None:
        with way.under_way():
            down.set()

    making = threading.Thread(target=make_safe)
    with way.over():
        making.start()
        assert not down.wait(0.05)
    making.join(20.0)
    assert down.is_set()


def test_a_way_down_that_does_not_end_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_down, "_LONGEST_S", 0.01)
    way = WayDown()
    with pytest.raises(ZeroDivisionError), way.under_way():
        with way.over():
            pass
        raise ZeroDivisionError
    with way.over():
        pass
