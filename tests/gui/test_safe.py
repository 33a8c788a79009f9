from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QApplication, QMenu, QMessageBox

from heliograph.core.errors import LimitError
from heliograph.gui import access, announce
from heliograph.gui.safe import Keys

from . import payloads
from .frames import Clock, native, presses, tell


def test_the_safe_button_shows_what_became_of_each_device(window: Any, qtbot: Any) -> None:
    tell(window, station=payloads.station_state(instruments=(payloads.laser_state(), payloads.instrument_state())))

    qtbot.mouseClick(window.strip.safe, Qt.MouseButton.LeftButton)
    assert window.safe_panel.states() == {"laser": "sent", "voa_in": "sent"}
    qtbot.waitUntil(lambda: window.safe_panel.states()["laser"] == "confirmed")

    assert window.safe_panel.states() == {"laser": "confirmed", "voa_in": "sent"}
    assert any(text.startswith("laser: confirmed, ") for text in access.texts(window.safe_panel))
    assert (window.strip.safe.width() >= 44, window.strip.safe.height() >= 44, window.strip.safe.isEnabled()) == (True, True, True)


@pytest.mark.parametrize("where", ["in it", "nowhere", "on the page"])
def test_the_panel_that_is_put_away_leaves_the_focus_somewhere(window: Any, qtbot: Any, where: str) -> None:
    window.page.panels()[0].focus()
    before = QApplication.focusWidget()
    assert before is not None
    window.safe_panel.asked(["laser"])
    tell(window)
    if where == "in it":
        window.safe_panel.away.setFocus()
    elif where == "nowhere":
        before.clearFocus()

    qtbot.keyClick(window, Qt.Key.Key_F8, Qt.KeyboardModifier.ControlModifier)

    assert not window.safe_panel.isVisible()
    assert QApplication.focusWidget() is (before if where == "on the page" else window.strip.safe)


def test_whatever_goes_wrong_the_panel_says_so_and_waits_no_longer(window: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(window, station=payloads.station_state(instruments=(payloads.laser_state(),)))

    def make_safe(_owner: Any) -> Any:
        raise KeyError("safe")

    monkeypatch.setattr(window.safety.guard, "make_safe", make_safe)

    qtbot.mouseClick(window.strip.safe, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.safe_panel.states() == {"laser": "failed"})

    assert any("NOT SAFE" in text and "by hand" in text for text in access.texts(window.safe_panel))


@pytest.mark.parametrize("how", ["page", "dialog", "menu", "torn off"])
def test_the_safe_keys_work_wherever_the_focus_is(window: Any, qtbot: Any, how: str) -> None:
    target: Any = window
    if how == "dialog":
        target = QMessageBox(QMessageBox.Icon.NoIcon, "Sure?", "Delete?", QMessageBox.StandardButton.Ok, window)
        target.setModal(True)
        target.show()
    elif how == "menu":
        target = QMenu(window)
        target.addAction("act")
        target.popup(QPoint(50, 50))
    elif how == "torn off":
        target = window.page.panels()[0]
        target.setFloating(True)
    qtbot.waitUntil(lambda: target.windowHandle() is not None and target.windowHandle().isExposed())

    native(target, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: presses(window) == 1)
    # The first one closes what it comes to; the second one finds what is open then.
    native(target, Qt.Key.Key_Escape)
    native(target if target.isVisible() else window, Qt.Key.Key_Escape)

    qtbot.waitUntil(lambda: presses(window) == 2)


def test_the_first_escape_still_closes_a_dialog(window: Any, qtbot: Any) -> None:
    box = QMessageBox(QMessageBox.Icon.NoIcon, "Sure?", "Delete?", QMessageBox.StandardButton.Cancel, window)
    box.open()
    qtbot.waitUntil(lambda: box.windowHandle().isExposed())

    native(box, Qt.Key.Key_Escape)

    assert not box.isVisible()
    assert presses(window) == 0


@pytest.mark.parametrize("after, repeat, between, fires", [(0.59, False, None, 1), (0.7, False, None, 0), (0.1, True, None, 0), (0.3, False, Qt.Key.Key_A, 0)])
def test_only_two_presses_within_600_ms_count(window: Any, after: float, repeat: bool, between: Qt.Key | None, fires: int) -> None:
    clock, fired = Clock(), []
    keys = Keys(clock)
    keys.safe.connect(lambda: fired.append(1))

    def press(key: Qt.Key, again: bool = False) -> None:
        keys.eventFilter(window.windowHandle(), QKeyEvent(QEvent.Type.KeyPress, key, Qt.KeyboardModifier.NoModifier, "", again))

    press(Qt.Key.Key_Escape)
    if between is not None:
        press(between)
    clock.now += after
    press(Qt.Key.Key_Escape, repeat)

    assert len(fired) == fires


def test_a_third_escape_does_not_fire_again(window: Any) -> None:
    fired: list[int] = []
    keys = Keys(Clock())
    keys.safe.connect(lambda: fired.append(1))

    for _ in range(3):
        keys.eventFilter(window.windowHandle(), QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Escape, Qt.KeyboardModifier.NoModifier))

    assert fired == [1]


def test_a_failure_of_every_way_is_said_without_a_dialog(window: Any, qtbot: Any) -> None:
    def refuse(line: Any) -> Any:
        raise LimitError("the watchdog does not answer", where="station.toml", remedy="Switch the light off by hand.")

    window.safety.guard.make_safe = refuse

    window.safety.press()
    qtbot.waitUntil(window.notices.isVisible)

    assert "NOT SAFE" in window.safe_panel.accessibleDescription()
    assert "Switch the light off by hand." in access.texts(window.notices)


def test_a_trip_is_shown_with_its_cause_and_announced_once(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    sounds: list[int] = []
    monkeypatch.setattr(announce, "say", lambda widget, text, **_: said.append(text))
    monkeypatch.setattr(QApplication, "beep", lambda: sounds.append(1))
    reports = [{"name": "laser", "state": "CONFIRMED", "detail": ""}]

    window.safe_panel.made({"by": "the owner", "cause": "asked for", "reports": [{"name": "voa_in", "state": "CONFIRMED"}]})
    tell(window, safety=payloads.safety(state="TRIPPED", cause="VOA A lost", reports=[]))
    assert not window.safe_panel.isVisible(), "what it shows is of an earlier time"
    for _ in range(2):
        tell(window, safety=payloads.safety(state="TRIPPED", cause="VOA A lost", reports=reports))

    assert window.strip.safety.accessibleName() == "Safety: tripped, cause VOA A lost"
    assert window.safe_panel.isVisible()
    assert window.safe_panel.states() == {"laser": "confirmed"}
    assert said.count("Safety: tripped, cause VOA A lost") == 1
    assert sounds == [1]
