"""A held queue and a run that failed are told on every page, with what to do."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt

from heliograph.control.topics import QueueState
from heliograph.gui import access
from heliograph.gui.figures.start import StartPanel
from heliograph.gui.held import LATE_S, QueueNotices

from . import payloads
from .frames import Clock, tell

HELD = "KeyExchange 4 failed: the disk is full"
WAITS = payloads.queue_row(job=5, procedure="KeyExchange", state="queued", progress=0.0, eta_s=None, began=0.0)
FAILED = payloads.queue_row(job=4, procedure="KeyExchange", state="failed", why="the disk is full", eta_s=None)


def held(*rows: Any, why: str = HELD) -> QueueState:
    return QueueState(rows, held=why)


@pytest.fixture
def notices(desk: Any) -> tuple[QueueNotices, Clock]:
    clock = Clock()
    return QueueNotices(desk, clock), clock


def show(desk: Any, notices: QueueNotices, queue: QueueState) -> None:
    desk.inject("queue", queue)
    notices.tick(frozenset({"queue"}))


def test_the_strip_says_that_and_why_the_queue_is_held_and_goes_on(window: Any, qtbot: Any) -> None:
    tell(window, station=payloads.station_state(), queue=held(FAILED, WAITS))
    assert window.strip.run.accessibleName() == f"Run: paused, queue held: {HELD}, 1 in the queue"

    qtbot.mouseClick(window.strip.go_on, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.desk.answers.of("go_on") == [None])

    tell(window, queue=QueueState((FAILED, WAITS)))
    assert not window.strip.go_on.isVisible()
    assert window.strip.run.accessibleName() == "Run: idle, 1 in the queue"


def test_the_strip_says_what_comes_after_a_run_in_a_held_queue(window: Any) -> None:
    tell(window, station=payloads.station_state(), queue=held(payloads.queue_row(), why="stop after this"))

    assert window.strip.run.accessibleName().endswith("left; then the queue is held: stop after this")


def test_who_only_looks_cannot_go_on(window: Any) -> None:
    tell(window, safety=payloads.safety(controller=4711), queue=held(WAITS))

    assert not window.strip.go_on.isVisible()


def test_what_waits_in_a_held_queue_is_told_once(desk: Any, notices: tuple[QueueNotices, Clock]) -> None:
    watch, clock = notices
    show(desk, watch, held(WAITS))
    assert desk.notices == []

    for clock.now in (LATE_S, 5 * LATE_S):
        watch.tick(frozenset())
        show(desk, watch, held(WAITS))

    assert len(desk.notices) == 1
    assert "Key exchange (job 5) waits: the queue is held, " + HELD in desk.notices[0]
    assert "Go on" in desk.notices[0]


def test_what_follows_a_run_by_itself_is_no_news(desk: Any, notices: tuple[QueueNotices, Clock]) -> None:
    watch, clock = notices
    show(desk, watch, held(WAITS))
    clock.now = 0.9 * LATE_S
    show(desk, watch, held(payloads.queue_row(job=5)))
    clock.now = 3 * LATE_S
    watch.tick(frozenset())

    assert desk.notices == []


def test_what_waited_before_the_queue_was_held_is_no_news(desk: Any, notices: tuple[QueueNotices, Clock]) -> None:
    watch, clock = notices
    show(desk, watch, QueueState((WAITS,)))
    for now in (0.0, 3 * LATE_S):
        clock.now = now
        show(desk, watch, held(WAITS, why="stop after this"))

    assert desk.notices == []


def test_a_run_that_fails_is_told_once_with_what_to_do(desk: Any, notices: tuple[QueueNotices, Clock]) -> None:
    watch, _ = notices
    show(desk, watch, QueueState((payloads.queue_row(job=4),)))
    for _ in range(2):
        show(desk, watch, held(FAILED))

    assert len(desk.notices) == 1
    assert "the disk is full" in desk.notices[0]
    assert "Go on" in desk.notices[0]


def test_what_failed_before_the_window_looked_is_no_news(desk: Any, notices: tuple[QueueNotices, Clock]) -> None:
    show(desk, notices[0], held(FAILED))

    assert desk.notices == []


def test_the_notices_of_a_held_queue_are_withdrawn_once_it_goes_on(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(window, station=payloads.station_state(), queue=QueueState((payloads.queue_row(job=4, procedure="KeyExchange"),)))
    tell(window, queue=held(FAILED))
    assert window.notices.isVisible()
    assert "The queue is held" in window.notices.earlier[-1].text

    tell(window, queue=QueueState((FAILED,)))

    assert not window.notices.isVisible()
    assert "the disk is full" in window.notices.earlier[-1].text
    assert "Go on" not in window.notices.earlier[-1].text
    assert "The queue goes on since" in window.notices.earlier[-1].text


def test_a_notice_of_something_else_stays_when_the_queue_goes_on(window: Any) -> None:
    tell(window, station=payloads.station_state(), queue=QueueState((payloads.queue_row(job=4, procedure="KeyExchange"),)))
    tell(window, queue=held(FAILED))
    window.desk.notice("The lamp flickers.")

    tell(window, queue=QueueState((FAILED,)))

    assert window.notices.isVisible()
    assert "The queue goes on since" in window.notices.earlier[-2].text


def test_many_jobs_in_a_held_queue_make_one_notice(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    watch = QueueNotices(window.desk, clock)
    rows: list[Any] = []
    for job in range(30):
        rows.append(payloads.queue_row(job=job, state="queued", began=0.0))
        show(window.desk, watch, held(*rows))
        clock.now += 2 * LATE_S
        watch.tick(frozenset())

    assert len(window.notices.earlier) == 1
    assert window.notices.earlier[-1].text.startswith("queue: 30 jobs wait, the last is Phase scan (job 29): the queue is held")


def test_whoever_starts_something_sees_that_it_will_wait(desk: Any, qtbot: Any) -> None:
    panel = StartPanel(desk, lambda _: True, lambda _: True)
    qtbot.addWidget(panel)
    panel.show()

    panel.show_queue(held())
    assert any(HELD in text and "Go on" in text for text in access.texts(panel))

    panel.show_queue(QueueState(()))
    assert not panel.held.isVisible()


def test_a_long_cause_is_told_once_and_short_elsewhere(window: Any, qtbot: Any) -> None:
    cause = "the stores of 2 parties are here (A, B), three or more are needed"
    failed = payloads.queue_row(job=6, procedure="Learn", lane="worker", state="failed", why=f"store: {cause}. Make key with each further party.", eta_s=None)
    tell(window, station=payloads.station_state(), queue=QueueState((payloads.queue_row(job=6, procedure="Learn", lane="worker"),)))
    tell(window, queue=held(failed, why=f"Learn 6 failed: {cause}"))
    panel = StartPanel(window.desk, lambda _: True, lambda _: True)
    qtbot.addWidget(panel)
    panel.resize(280, 600)
    panel.show()
    panel.show_queue(held(failed, why=f"Learn 6 failed: {cause}"))

    assert window.strip.run.accessibleName() == "Run: paused, queue held: Learn 6 failed, no run"
    assert cause in window.notices.earlier[-1].text
    assert ".." not in window.notices.earlier[-1].text
    assert panel.held.text().startswith("The queue is held: Learn 6 failed. What")
    assert panel.which.text() == f"Learn, job 6: store: {cause}"
    qtbot.waitUntil(lambda: panel.which.height() >= panel.which.heightForWidth(panel.which.width()))
