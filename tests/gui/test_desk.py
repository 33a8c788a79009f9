from __future__ import annotations

import dataclasses
import inspect
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QSettings

from heliograph.control import topics
from heliograph.control.topics import EVENT, MOST_EVENTS
from heliograph.core.errors import BenchError, HeliographError, LimitError
from heliograph.gui.desk import Desk

from . import payloads
from .conftest import Answers


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def threaded(qtbot: Any, answers: Answers, tmp_path: Any) -> Iterator[Desk]:
    """A desk that asks in threads, as it does in the window."""
    made = Desk(answers, settings=QSettings(str(tmp_path / "w.ini"), QSettings.Format.IniFormat))
    yield made
    made.close()


def test_an_answer_comes_in_the_main_thread_and_asking_waits_for_nothing(threaded: Desk, answers: Answers, qtbot: Any) -> None:
    came: list[tuple[Any, bool]] = []
    release, begun = threading.Event(), time.monotonic()
    answers.replies["status"] = lambda _: release.wait(20) and "well"

    threaded.ask("status", then=lambda reply: came.append((reply, threading.current_thread() is threading.main_thread())))
    assert time.monotonic() - begun < 10, "it is answered later"
    release.set()
    qtbot.waitUntil(lambda: bool(came))

    assert came == [("well", True)]


@pytest.mark.parametrize("error, told", [(LimitError("no", where="voa_a"), "voa_a: no"), (ValueError("odd"), "the request failed (ValueError: odd)")])
def test_an_error_nobody_waits_for_becomes_a_notice(threaded: Desk, answers: Answers, qtbot: Any, error: Exception, told: str) -> None:
    noticed: list[str] = []
    threaded.noticed.connect(lambda what: noticed.append(str(what)))
    answers.replies["arm"] = error

    threaded.ask("arm")

    qtbot.waitUntil(lambda: bool(noticed))
    assert told in noticed[0]


def test_whoever_waits_for_an_error_gets_it_instead(threaded: Desk, answers: Answers, qtbot: Any) -> None:
    failed: list[HeliographError] = []
    answers.replies["arm"] = LimitError("no")

    threaded.ask("arm", failed=failed.append)

    qtbot.waitUntil(lambda: bool(failed))
    assert isinstance(failed[0], LimitError)


def test_nobody_hears_an_answer_that_comes_after_the_end(threaded: Desk, answers: Answers, qtbot: Any) -> None:
    came: list[Any] = []
    release = threading.Event()
    answers.replies["status"] = lambda _: release.wait(5)

    threaded.ask("status", then=came.append)
    threaded.close()
    release.set()
    qtbot.wait(100)

    assert came == []


def test_without_a_bench_everything_is_refused_with_what_to_do(qtbot: Any, tmp_path: Any) -> None:
    desk = Desk(settings=QSettings(str(tmp_path / "w.ini"), QSettings.Format.IniFormat), threads=False)
    failed: list[HeliographError] = []

    desk.ask("arm", failed=failed.append)

    assert isinstance(failed[0], BenchError)
    assert "Choose the simulated bench" in failed[0].remedy


def test_the_latest_state_wins_and_its_age_is_by_the_monotonic_clock(desk: Any) -> None:
    now = time.monotonic()
    desk.mailbox.put("counts", (now - 500.0, "old"))
    desk.mailbox.put("counts", (now - 100.0, "new"))

    desk.collect()

    assert desk.latest("counts") == "new"
    assert desk.age_s("counts") == pytest.approx(100.0, abs=10.0)
    assert desk.age_s("queue") is None


def test_a_flood_of_events_is_counted_where_it_was_cut(desk: Any) -> None:
    for _ in range(MOST_EVENTS + 7):
        desk.mailbox.put(EVENT, (time.monotonic(), payloads.event()))

    while desk.collect():
        pass

    assert desk.events[-1].text == "7 events more are in the run files"
    assert len(desk.events) == MOST_EVENTS


def test_control_is_told_once_for_each_change(desk: Any) -> None:
    changes: list[bool] = []
    desk.control_changed.connect(lambda: changes.append(desk.controls))

    for controls, why in ((False, "held by 1"), (False, "held by 1"), (False, "held by 2"), (True, "")):
        desk.set_control(controls, why)

    assert changes == [False, False, True]
    assert desk.view_only_why == ""


def test_there_is_a_payload_of_every_kind() -> None:
    kinds = {
        one for one in vars(topics).values() if isinstance(one, type) and dataclasses.is_dataclass(one) and getattr(one, "__module__", "") == topics.__name__
    }
    makers = [one for name, one in inspect.getmembers(payloads, inspect.isfunction) if one.__module__ == payloads.__name__ and not name.startswith("_")]
    made = {type(maker()) for maker in makers}

    assert {kind.__qualname__ for kind in kinds - made} == set()
