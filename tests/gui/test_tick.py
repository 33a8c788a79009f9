from __future__ import annotations

import logging
from typing import Any

import pytest

from heliograph.gui import guarded, quantity
from heliograph.gui.tick import Pace

from . import payloads
from .frames import Clock, tell


def test_a_hidden_page_is_left_alone_until_it_is_shown(window: Any) -> None:
    tell(window, counts=1)
    other = window.pages[1]
    assert other.drawn == []

    window.show_page("other")

    assert other.drawn == [("counts", 1)]


def test_events_come_once_to_each_page(window: Any) -> None:
    tell(window, event=payloads.event(text="one"))
    tell(window, event=payloads.event(text="two"))

    assert [[one.text for one in payload] for topic, payload in window.page.drawn if topic == "event"] == [["one"], ["two"]]


def test_a_flood_of_events_is_taken_in_pieces(window: Any) -> None:
    for _ in range(450):
        window.desk.inject("event", payloads.event())

    window.tick.tick()
    assert window.desk.events_seen == 200
    window.tick.tick()
    window.tick.tick()

    assert window.desk.events_seen == 450


def test_a_page_that_cannot_draw_says_so_and_the_strip_goes_on(window: Any, caplog: pytest.LogCaptureFixture, display_errors: bool) -> None:
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            tell(window, counts="broken", safety=payloads.safety(state="ARMED"))

    assert guarded.marked(window.page)
    assert window.strip.safety.word == "armed"
    assert len([one for one in caplog.records if "display error" in one.message]) == 1
    tell(window, counts=2)
    assert not guarded.marked(window.page)


def test_what_is_pending_settles_though_nothing_comes(window: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    field = quantity.QuantityField("Power", "W")
    qtbot.addWidget(field)
    field.edit.entered.emit(0.01)
    window.tick.tick()
    assert field.pending

    monkeypatch.setattr(quantity, "PENDING_S", -1.0)
    window.tick.tick()

    assert not field.pending


def test_slow_drawing_is_done_less_often_and_fast_drawing_more_often_again() -> None:
    clock = Clock()
    pace = Pace(clock)

    for _ in range(40):
        pace.took(80.0)
    assert pace.interval_ms == 500
    for _ in range(250):
        clock.now += 0.1
        pace.took(5.0)

    assert pace.interval_ms == 100
