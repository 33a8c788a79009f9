from __future__ import annotations

import logging
from typing import Any

import pytest
from PySide6.QtWidgets import QWidget

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


def test_one_watcher_that_fails_leaves_pages_and_the_other_watchers_alone(
    window: Any, caplog: pytest.LogCaptureFixture, display_errors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    strip, announcer = window.strip, window.announcer
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        for one in (strip, announcer):
            patch.setattr(one, "_queue", lambda _queue: 1 / 0)
        for _ in range(3):
            tell(window, queue=payloads.queue_state(), counts=1)

    assert window.page.drawn[-1] == ("counts", 1)
    assert guarded.marked(strip)
    assert sorted(one.message.split(":")[0] for one in caplog.records if "display error" in one.message) == ["Announcer", "Bench at a glance"]
    tell(window, queue=payloads.queue_state())
    assert not guarded.marked(strip)


def test_a_gauge_that_fails_leaves_the_rest_of_the_strip_alone(window: Any, display_errors: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.gui.strip.words.scaled", lambda *_: 1 / 0)

    tell(window, stores=payloads.store_states(), safety=payloads.safety(state="ARMED"))

    assert guarded.marked(window.strip.key)
    assert not guarded.marked(window.strip)
    assert window.strip.safety.word == "armed"


def test_what_succeeds_takes_no_mark_away_that_something_else_has_left(qtbot: Any, appearance: str, display_errors: bool) -> None:
    class Both(QWidget):
        @guarded.guarded
        def one(self, value: float) -> None:
            1 / value

        @guarded.guarded
        def other(self) -> None:
            self.one(0.0)

    both = Both()
    qtbot.addWidget(both)
    both.other()
    assert guarded.marked(both)

    both.one(1.0)

    assert not guarded.marked(both)


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
