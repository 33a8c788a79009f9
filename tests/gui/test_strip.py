from __future__ import annotations

import os
import time
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from heliograph.core.errors import FrameError
from heliograph.gui import access, safe, theme
from heliograph.gui.audit import audit
from heliograph.gui.badges import Value
from heliograph.gui.connection import Standing
from heliograph.gui.strip import SmallStrip, Strip

from . import payloads
from .frames import tell


def test_the_strip_says_how_the_bench_is(window: Any) -> None:
    tell(window, station=payloads.station_state(), safety=payloads.safety(), queue=payloads.queue_state(), stores=payloads.store_states())

    told = access.texts(window.strip)

    assert "Bench: simulated, sagnac-demo" in told
    assert "Safety: safe" in told
    assert "Interlocks: open, 1 open: pm reads 1.4 µW" in told
    assert "Run: running, Phase scan 25 %, 45 s left" in told
    assert any(text.startswith("Key store: key A-C 16.4 kbit, below reserve") for text in told)
    assert window.windowTitle() == "sagnac-demo - Heliograph, SIMULATED"
    assert window.strip.abort.isVisible()


def test_values_are_greyed_two_seconds_after_the_last_word(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(window, station=payloads.station_state(), counts=payloads.count_rates())
    assert not window.page.is_stale

    for topic in window.desk._came:
        window.desk._came[topic] -= 2.1
    window.tick.tick()

    assert window.page.is_stale
    assert window.strip.mode.accessibleName().endswith("stale")
    assert window.strip.age.text().endswith("stale")


def test_counts_alone_do_not_keep_the_state_of_the_bench_fresh(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    tell(window, station=payloads.station_state(), safety=payloads.safety(), counts=payloads.count_rates())
    window.desk._came["station"] -= 2.1
    tell(window, counts=payloads.count_rates())

    for badge in (window.strip.mode, window.strip.safety, window.strip.interlocks):
        assert badge.accessibleName().endswith(", stale")
    assert "last known 2.1 s ago" in window.strip.safety.accessibleName()
    assert not window.page.is_stale, "what it shows has just come"
    assert not window.strip.age.text().endswith("stale")


def test_an_owner_that_is_there_and_does_not_open_says_why_once(window: Any) -> None:
    window.desk.set_connected(False)
    error = FrameError("version 1 of the link asks, 2 is spoken here", where="link", remedy="Use one version of Heliograph for both.")
    for _ in range(3):
        window.opening._stands(Standing(False, why=str(error), error=error))
        window.tick.tick()

    told = window.notices.earlier[-1]
    assert (told.what, told.remedy, told.times) == (error.message, error.remedy, 1)
    assert window.strip.owner.isVisible()
    assert window.strip.owner.accessibleName() == f"Owner: lost, {error.message}"
    window.opening._stands(Standing(True, True))
    tell(window, station=payloads.station_state())
    assert told.remedy == "The bench is open."
    assert not window.strip.owner.isVisible()


def test_a_lost_owner_is_said_with_the_last_safety_state(window: Any) -> None:
    tell(window, station=payloads.station_state(), safety=payloads.safety())

    window.desk.set_connected(False)
    window.tick.tick()

    assert window.strip.owner.accessibleName().startswith("Owner: lost, safety: safe, last known 0.")
    assert "Start the bench" in window.notices.earlier[-1].text


def test_a_second_window_only_looks_and_asks_for_control(window: Any, qtbot: Any) -> None:
    tell(window, safety=payloads.safety(controller=4711, holder="ana@lab1 (process 4711)"))
    assert not window.desk.controls
    assert window.strip.view_only.accessibleName() == "Control: view only, control held by ana@lab1 (process 4711), take over"
    window.desk.answers.replies["take_over"] = "ana@lab1 (process 4711)"

    with qtbot.waitSignal(window.strip.take_over.held, timeout=3000):
        qtbot.keyPress(window.strip.take_over, Qt.Key.Key_Space)

    qtbot.waitUntil(lambda: window.desk.answers.of("take_over") == [None])
    assert window.safety.guard.attending[-1] is False


def test_the_controller_may_give_control(window: Any, qtbot: Any) -> None:
    tell(window, safety=payloads.safety(controller=os.getpid(), asked=4711))
    assert window.strip.hand_over.isVisible()
    assert "Process 4711 asks for control" in window.notices.earlier[-1].text

    window.strip.hand_over.held.emit()

    qtbot.waitUntil(lambda: window.desk.answers.of("yield_control") == [{"to": 4711}])
    assert window.safety.guard.attending[-1] is True


def test_the_controller_may_keep_control(window: Any, qtbot: Any) -> None:
    tell(window, safety=payloads.safety(controller=os.getpid(), asked=4711, asker="ana@lab1 (process 4711)"))
    told = window.notices.earlier[-1]
    assert "ana@lab1 (process 4711) asks for control of the bench. Hold Give control" in told.text

    window.strip.keep.click()

    qtbot.waitUntil(lambda: window.desk.answers.of("keep_control") == [None])
    tell(window, safety=payloads.safety(controller=os.getpid()))
    assert not window.strip.keep.isVisible()
    assert told.remedy == "That was answered."


def test_a_run_is_aborted_by_a_hold(window: Any, qtbot: Any) -> None:
    tell(window, queue=payloads.queue_state())

    with qtbot.waitSignal(window.strip.abort.held, timeout=3000):
        qtbot.keyPress(window.strip.abort, Qt.Key.Key_Space)

    qtbot.waitUntil(lambda: window.desk.answers.of("abort") == [{"job": 7}])


def test_abort_needs_its_keys_held(window: Any, qtbot: Any) -> None:
    tell(window, queue=payloads.queue_state())
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier

    QTest.keyClick(window.windowHandle(), Qt.Key.Key_A, both)
    assert window.desk.answers.of("abort") == []
    QTest.keyPress(window.windowHandle(), Qt.Key.Key_A, both)

    qtbot.waitUntil(lambda: window.desk.answers.of("abort") == [{"job": 7}], timeout=3000)
    QTest.keyRelease(window.windowHandle(), Qt.Key.Key_A, both)


def test_keys_that_another_window_takes_are_held_no_longer(window: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(window, queue=payloads.queue_state())
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    other = QWidget()
    qtbot.addWidget(other)
    other.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    # Long enough for the other window to come to the front of a busy computer.
    monkeypatch.setattr(safe, "HOLD_MS", 600)

    QTest.keyPress(window.windowHandle(), Qt.Key.Key_A, both)
    other.activateWindow()
    qtbot.waitUntil(other.isActiveWindow)
    qtbot.wait(700)

    assert window.desk.answers.of("abort") == []


def test_keys_that_find_nothing_to_abort_say_so(window: Any) -> None:
    tell(window, queue=payloads.queue_state(rows=()))

    window.keys.abort.emit()

    assert window.notices.earlier[-1].text == "Nothing is on that could be aborted."


def test_time_left_is_what_the_owner_says_as_everywhere(window: Any) -> None:
    strip: Strip = window.strip
    for eta, told in ((100.0, "1 min 40 s left"), (5.0, "5.0 s left"), (None, "time left unknown")):
        tell(window, queue=payloads.queue_state(rows=(payloads.queue_row(eta_s=eta),)))
        assert strip.run.accessibleName().endswith(told)


def test_what_the_strip_says_of_the_run_has_its_room_before_it_is_drawn(window: Any) -> None:
    window.resize(1280, 800)
    tell(window, station=payloads.station_state(), safety=payloads.safety(), queue=payloads.queue_state(rows=()), stores=payloads.store_states())
    QApplication.processEvents()

    tell(window, queue=payloads.queue_state(rows=(payloads.queue_row(procedure="KeyExchange", progress=0.04, eta_s=97.0),)))

    assert window.strip.run.width() >= window.strip.run.sizeHint().width()


def test_a_panel_that_was_torn_off_has_the_strip_in_short(window: Any, qtbot: Any) -> None:
    queue = payloads.queue_state(rows=(payloads.queue_row(progress=0.25),))
    tell(window, station=payloads.station_state(), safety=payloads.safety(), queue=queue, stores=payloads.store_states())
    panel = window.page.panels()[0]
    panel.setFloating(True)
    QApplication.processEvents()

    (small,) = panel.findChildren(SmallStrip)
    told = access.texts(small)
    assert {"Bench: simulated", "Safety: safe", "Interlocks: open, 1", "Run: running, 25 %"} <= set(told)
    assert any(text.startswith("Key store: key A-C 16.4 kbit") for text in told)
    window.desk._came["station"] -= 3.0
    window.tick.tick()
    assert small.interlocks.accessibleName() == "Interlocks: open, 1, stale"

    window.set_text_size(200)
    panel.resize(600, 300)
    qtbot.waitUntil(lambda: audit(panel) == [])
    window.set_text_size(100)
    panel.setFloating(False)


def test_a_task_beside_the_bench_is_told_with_its_progress_and_can_be_aborted(window: Any, qtbot: Any) -> None:
    distil = payloads.queue_row(job=8, lane="worker", procedure="Distil", progress=0.1, eta_s=20.0)
    ended = payloads.queue_row(job=7, state="done")
    tell(window, queue=payloads.queue_state(rows=(ended, distil)))
    assert window.strip.run.accessibleName() == "Run: running, Distil 10 %, 20 s left, beside the bench"
    assert window.strip.abort.toolTip().startswith("Aborts Distil, job 8.")
    window.strip.abort.held.emit()
    qtbot.waitUntil(lambda: window.desk.answers.of("abort") == [{"job": 8}])

    tell(window, queue=payloads.queue_state(rows=(payloads.queue_row(job=9), distil)))
    assert window.strip.run.accessibleName() == "Run: running, Phase scan 25 %, 45 s left; beside it Distil 10 %, 20 s left"


@pytest.mark.parametrize("name", list(theme.THEMES))
@pytest.mark.parametrize("whole", [False, True])
def test_what_the_strip_says_can_be_read_in_every_palette(window: Any, qapp: QApplication, name: str, whole: bool) -> None:
    tell(window, station=payloads.station_state(), safety=payloads.safety(), queue=payloads.queue_state())
    # Also where something else than the window changes the colours.
    if whole:
        window.set_theme(name)
    else:
        theme.apply(qapp, theme.THEMES[name])
    values = [one for one in window.strip.items() if isinstance(one, Value)]
    assert {one.name for one in values} == {"Bench", "Data age", "Drawing"}

    for value, old in [(value, old) for value in values for old in (None, True, False)]:
        if old is not None:
            value.set_stale(old)
        value.show()
        QApplication.processEvents()
        # What is behind the text is drawn by the window.
        back = window.grab().toImage().pixelColor(value.mapTo(window, QPoint(0, 0))).name()
        fore = value.palette().color(QPalette.ColorGroup.Active, value.foregroundRole()).name()
        assert theme.contrast(fore, back) >= 4.5, (value.name, fore, back)


@pytest.mark.parametrize("name", list(theme.THEMES))
def test_the_text_of_the_gauge_stands_on_one_ground_however_full_it_is(window: Any, name: str) -> None:
    window.set_theme(name)
    tell(window, station=payloads.station_state(), stores=payloads.store_states())
    window.strip.key.setValue(500)
    QApplication.processEvents()

    image = window.strip.key.grab().toImage()

    middle = image.height() // 3
    assert image.pixelColor(4, middle).name() == image.pixelColor(image.width() - 5, middle).name()
    below = image.height() - 4
    assert image.pixelColor(4, below).name() != image.pixelColor(image.width() - 5, below).name()
