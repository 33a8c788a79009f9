from __future__ import annotations

import os
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QFileDialog, QMenu, QMessageBox, QPushButton

from heliograph.core.errors import LimitError
from heliograph.gui import access, theme
from heliograph.gui.connection import Standing
from heliograph.gui.window import Window

from . import payloads
from .frames import Rates, native, presses, tell


def test_pages_and_panels_are_reached_by_keys(window: Any, qtbot: Any) -> None:
    qtbot.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert window.page.NAME == "other"
    window.page.panels()[0].focus()
    first = QApplication.focusWidget()
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_F6)

    assert QApplication.focusWidget() is not first
    assert window.page.panels()[1].isAncestorOf(QApplication.focusWidget())


@pytest.mark.parametrize("back", [False, True])
def test_every_panel_is_reached_once_in_the_order_of_reading_also_behind_others(window: Any, qtbot: Any, back: bool) -> None:
    page = window.page
    for name in ("Three", "Four"):
        page.panel(name, QPushButton(name))
        page.tabifyDockWidget(page.panels()[0] if name == "Three" else docks(page)["Three"], docks(page)[name])
    page.tabifyDockWidget(docks(page)["Four"], docks(page)["One"])
    QApplication.processEvents()
    before = page.panels()
    window.strip.safe.setFocus()

    reached = []
    for _ in range(10):
        window.next_panel(-1 if back else 1)
        QApplication.processEvents()
        focus = QApplication.focusWidget()
        reached.append(next((one.accessibleName() for one in page.panels() if one.isAncestorOf(focus)), "strip"))

    once = ["Two", "Four", "Three", "One"] if back else ["One", "Three", "Four", "Two"]
    assert reached == [*once, "strip"] * 2
    assert page.panels() == before


def test_a_panel_that_was_torn_off_is_gone_through_like_the_others(window: Any, qtbot: Any) -> None:
    torn = docks(window.page)["One"]
    torn.setFloating(True)
    qtbot.waitUntil(lambda: torn.windowHandle() is not None and torn.windowHandle().isExposed())
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.strip.safe.setFocus()

    reached = []
    for _ in range(6):
        native(QApplication.activeWindow() or window, Qt.Key.Key_F6)
        focus = QApplication.focusWidget()
        reached.append(next((one.accessibleName() for one in window.page.panels() if one.isAncestorOf(focus)), "strip"))

    assert reached == ["Two", "One", "strip"] * 2


def test_a_file_is_chosen_without_holding_the_window_up(window: Any) -> None:
    window.welcome.ask_for_file()

    (dialog,) = window.findChildren(QFileDialog)
    assert dialog.isVisible()
    assert QApplication.activeModalWidget() is None
    dialog.reject()


def docks(page: Any) -> dict[str, Any]:
    return {one.accessibleName(): one for one in page.panels()}


def test_the_filter_is_reached_by_ctrl_f(window: Any, qtbot: Any) -> None:
    qtbot.keyClick(window, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)

    assert QApplication.focusWidget() is window.page.field


@pytest.mark.parametrize(
    "key, modifiers, asked",
    [
        (Qt.Key.Key_F5, Qt.KeyboardModifier.NoModifier, ("reread", None)),
        (Qt.Key.Key_P, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier, ("pause", {"job": 7})),
        (Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier, ("hold", {"on": True, "why": "stop after this"})),
    ],
)
def test_acts_of_the_window_have_keys(window: Any, qtbot: Any, key: Qt.Key, modifiers: Qt.KeyboardModifier, asked: tuple[str, Any]) -> None:
    tell(window, queue=payloads.queue_state())

    qtbot.keyClick(window, key, modifiers)

    qtbot.waitUntil(lambda: asked in window.desk.answers.asked)


def test_an_act_of_the_page_has_its_key_to_itself(window: Any, qtbot: Any) -> None:
    started: list[int] = []
    window.page.action("&Start", lambda: started.append(1), "Ctrl+Return")
    window.menus.page_changed(window.page)

    qtbot.keyClick(window.page.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    window.show_page("other")
    qtbot.keyClick(window.page.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)

    assert started == [1]


def test_the_wheel_changes_no_field_on_any_page(window: Any, qtbot: Any) -> None:
    box = QComboBox()
    box.addItems(["one", "two", "three"])
    box.setCurrentIndex(1)
    qtbot.addWidget(box)
    box.show()
    at, turn = QPointF(box.rect().center()), QPoint(0, 120)
    event = QWheelEvent(at, at, turn, turn, Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)

    QApplication.sendEvent(box, event)

    assert box.currentIndex() == 1


def test_every_act_is_in_a_menu_with_a_mnemonic(window: Any) -> None:
    def walk(menu: Any) -> list[Any]:
        return [one for action in menu.actions() for one in ([action] if action.menu() is None else walk(action.menu()))]

    menus = [action.menu() for action in window.menuBar().actions()]
    listed = [action for menu in menus for action in walk(menu)]

    assert all("&" in action.text() for action in listed if action.text() and action not in [dock.toggleViewAction() for dock in window.page.panels()])
    assert set(window.actions()) <= set(listed)


def test_the_bench_is_told_that_the_window_lives_also_while_a_dialog_or_a_menu_has_an_event_loop_of_its_own(window: Any) -> None:
    guard = window.safety.guard
    box, menu = QMessageBox(window), QMenu(window)
    menu.addAction("act")
    for inside, end in ((box, box.reject), (menu, menu.close)):
        before, looks = guard.went, iter(range(40))
        look = QTimer(inside, interval=250)
        look.timeout.connect(lambda before=before, looks=looks, end=end: end() if guard.went - before >= 2 or next(looks, None) is None else None)
        look.start()
        inside.exec()
        look.stop()
        assert guard.went - before >= 2

    window.tick.stop()
    before = guard.went
    QTest.qWait(300)
    assert guard.went == before


def test_colours_of_the_system_follow_it_and_others_do_not(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, changed = theme.resolve, QGuiApplication.styleHints().colorSchemeChanged
    monkeypatch.setattr(theme, "resolve", lambda choice: theme.DARK if choice == "system" else resolve(choice))
    changed.emit(Qt.ColorScheme.Dark)
    assert theme.current() is theme.LIGHT, "light was chosen"

    window.desk.settings.setValue("appearance/theme", "system")
    changed.emit(Qt.ColorScheme.Dark)
    assert theme.current() is theme.DARK

    window.set_theme("light")
    assert theme.current() is theme.LIGHT


def test_an_error_is_a_notice_and_the_same_again_is_counted(window: Any) -> None:
    error = LimitError("25.00 dB asked, range 0.80 to 20.00 dB", where="voa_a", remedy="Nothing was sent.")
    window.desk.notice("first")
    for _ in range(3):
        window.desk.notice(error)

    told = access.texts(window.notices)

    assert "voa_a: 25.00 dB asked, range 0.80 to 20.00 dB (×3)" in told
    assert "Nothing was sent." in told
    assert [one.times for one in window.notices.earlier] == [1, 3]
    assert QApplication.activeModalWidget() is None


def test_acts_of_a_bar_that_comes_and_goes_are_in_a_menu_while_it_is_there(window: Any, qtbot: Any) -> None:
    listed = {one.text().replace("&", ""): one for one in window.actions()}
    dismiss, arm, away = (listed[name] for name in ("Dismiss the notice", "First steps: 1, arm: hold the button", "First steps: put away"))
    tell(window)
    assert not any(one.isEnabled() for one in (dismiss, arm, away))

    window.desk.notice("something")
    tell(window, station=payloads.station_state(), safety=payloads.safety(controller=os.getpid()), queue=payloads.queue_state(rows=()))
    assert all(one.isEnabled() for one in (dismiss, arm, away))

    qtbot.keyClick(window, Qt.Key.Key_F8, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(window, Qt.Key.Key_F7)
    assert window.first_light.arm.hasFocus()
    qtbot.keyClick(window, Qt.Key.Key_F7, Qt.KeyboardModifier.ShiftModifier)
    assert "Count rates need an armed bench" in window.notices.earlier[-1].text
    assert not window.desk.answers.of("enqueue")
    qtbot.keyClick(window, Qt.Key.Key_F8, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(window, Qt.Key.Key_F7, Qt.KeyboardModifier.ControlModifier)
    tell(window)
    assert not any(one.isVisible() for one in (window.notices, window.first_light))
    assert not any(one.isEnabled() for one in (dismiss, arm, away))


def test_a_refused_request_becomes_a_notice(window: Any, qtbot: Any) -> None:
    window.desk.answers.replies["arm"] = LimitError("no", where="bench")

    window.desk.ask("arm")

    qtbot.waitUntil(lambda: bool(window.notices.earlier))
    assert window.notices.earlier[-1].text == "bench: no"


def test_a_window_without_a_bench_offers_the_simulated_one_and_a_file(qtbot: Any, desk: Any) -> None:
    made = Window(desk, pages=[Rates])
    qtbot.addWidget(made, before_close_func=lambda one: one.leave())
    made.show()
    asked: list[str] = []
    made.welcome.simulate.disconnect()
    made.welcome.simulate.connect(lambda: asked.append("simulate"))

    buttons = {one.accessibleName(): one for one in made.welcome.findChildren(QPushButton)}
    qtbot.mouseClick(buttons["Simulated bench"], Qt.MouseButton.LeftButton)

    assert asked == ["simulate"]
    assert {"Simulated bench", "Open a station file"} <= set(buttons)
    assert "Bench: No bench is open" in access.texts(made.strip)


def test_first_light_leads_from_safe_to_count_rates(window: Any, qtbot: Any) -> None:
    mine = {"controller": os.getpid()}
    tell(window, station=payloads.station_state(), safety=payloads.safety(**mine), queue=payloads.queue_state(rows=()))
    assert window.first_light.isVisible()
    with qtbot.waitSignal(window.first_light.arm.held, timeout=3000):
        qtbot.mousePress(window.first_light.arm, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.desk.answers.of("arm") == [{}])
    tell(window, safety=payloads.safety(state="ARMED", **mine))

    qtbot.mouseClick(window.first_light.count, Qt.MouseButton.LeftButton)

    qtbot.waitUntil(lambda: bool(window.desk.answers.of("enqueue")))
    (body,) = window.desk.answers.of("enqueue")
    assert (body["procedure"], body["parameters"]) == ("CountRates", {"duration_s": "120", "pair": "A-B"})


@pytest.mark.parametrize(("owner", "told_again", "state"), [(5000, False, "aborted"), (5000, True, "running"), (4321, False, "running")])
def test_nothing_that_only_an_owner_told_of_which_is_gone_is_shown_as_running(window: Any, owner: int, told_again: bool, state: str) -> None:
    tell(window, safety=payloads.safety(owner=4321), learning=payloads.learning_progress())
    window.opening._stands(Standing(False, why="gone"))

    if told_again:
        tell(window, learning=payloads.learning_progress())
    tell(window, safety=payloads.safety(owner=owner))

    assert window.desk.latest("learning").state == state


LEARN = payloads.queue_row(job=8, lane="worker", procedure="Learn", progress=0.1)


class OwnedProcess:
    """Stands for the owner that a window has started."""

    ended, went = False, ""

    def end(self) -> None:
        self.went = "ended"

    def let_go(self) -> None:
        self.went = "left alone"


@pytest.mark.parametrize(
    ("rows", "safety", "told", "leave"),
    [
        ((LEARN,), {"controller": os.getpid()}, "Learn, job 8, is running.", False),
        ((), {"controller": 4711, "holder": "ana@lab1 (process 4711)"}, "ana@lab1 (process 4711) controls the bench", True),
    ],
)
def test_closing_asks_where_it_ends_the_work_or_the_light_of_somebody(
    window: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, rows: Any, safety: Any, told: str, leave: bool
) -> None:
    owner = window.opening.owner = OwnedProcess()
    tell(window, queue=payloads.queue_state(rows=rows), safety=payloads.safety(**safety))

    window.close()

    (box,) = window.findChildren(QMessageBox)
    assert told in box.text()
    buttons = {one.text().replace("&", "").removesuffix(" (hold)"): one for one in box.buttons()}
    assert ("Leave it to them and close" in buttons) == leave
    assert window.isVisible()
    assert not owner.went
    if leave:
        buttons["Leave it to them and close"].click()
    else:
        qtbot.mouseClick(buttons["End the bench and close"], Qt.MouseButton.LeftButton)
        assert not owner.went, "it is held"
        qtbot.keyPress(buttons["End the bench and close"], Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: not window.isVisible())
    assert owner.went == ("left alone" if leave else "ended")


@pytest.mark.parametrize(("holder", "went"), [(4711, "left alone"), (None, "ended")])
def test_a_window_that_is_told_to_end_leaves_the_bench_to_who_controls_it(window: Any, holder: int | None, went: str) -> None:
    owner = window.opening.owner = OwnedProcess()
    tell(window, queue=payloads.queue_state(), safety=payloads.safety(controller=holder))

    window.close_now()

    assert owner.went == went


def test_closing_asks_nothing_where_nobody_loses_anything(window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(window.opening), "owns", property(lambda _: True))
    tell(window, queue=payloads.queue_state(rows=()), safety=payloads.safety(controller=os.getpid()))

    window.close()

    assert not window.isVisible()


def test_closing_while_a_run_is_on_asks_in_a_dialog_that_hears_the_safe_keys(window: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(window, queue=payloads.queue_state())
    monkeypatch.setattr(type(window.opening), "owns", property(lambda _: True))

    window.close()
    (box,) = window.findChildren(QMessageBox)
    qtbot.waitUntil(lambda: box.windowHandle() is not None and box.windowHandle().isExposed())
    native(box, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)

    qtbot.waitUntil(lambda: presses(window) == 1)
    assert window.isVisible()
    box.close()
