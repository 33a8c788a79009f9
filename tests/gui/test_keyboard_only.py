"""The whole way by keyboard alone: from the welcome page and a safe bench to a finished key block and back; no mouse event is sent, or would be heard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QDateEdit, QMenu, QMenuBar, QToolButton

from heliograph.gui import audit, safe
from heliograph.gui.card_rows import Switch
from heliograph.gui.pages.panel import TitleBar
from heliograph.gui.schematic_element import ElementButton
from heliograph.gui.window import Window

from . import payloads
from .operating import PAGES, made_by_hand, opened, page_of, states, tell
from .person import Person, called

_MOUSE = {QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease, QEvent.Type.MouseButtonDblClick, QEvent.Type.Wheel}


class NoMouse(QObject):
    """Counts what comes from a mouse."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        self.heard += event.type() in _MOUSE
        return False


@pytest.fixture
def no_mouse(qapp: QApplication) -> Iterator[NoMouse]:
    made = NoMouse()
    qapp.installEventFilter(made)
    yield made
    qapp.removeEventFilter(made)
    assert made.heard == 0


def enter(person: Person, name: str, text: str) -> None:
    """Go to a field and write into it."""
    person.tab_to(name)
    person.write(text)


@pytest.mark.slow
def test_from_safe_to_a_finished_key_block_and_back(qapp: QApplication, tmp_path: Path, no_mouse: NoMouse) -> None:
    with opened(tmp_path, qapp) as day:
        person, desk = day.person, day.desk
        day.window.welcome.simulate.disconnect()
        day.window.welcome.simulate.connect(lambda: day.window.opening.simulate(tmp_path / "demo"))
        person.tab_to("Simulated bench")
        person.key(Qt.Key.Key_Space)
        day.wait_open()
        assert day.state == "SAFE"
        day.window.activateWindow()

        person.until(lambda: person.sees("Put the first steps away"), "the first steps")
        person.tab_to("Put the first steps away")
        person.key(Qt.Key.Key_Space)

        # The page of the bench has a key that leads to its arming button.
        person.page(1)
        person.key(Qt.Key.Key_A, control=True, alt=True)
        person.until(lambda: person.focus == "Arm", "the focus on Arm")
        person.until(lambda: person.find("Arm").isEnabled(), "leave to arm")
        person.hold_key(Qt.Key.Key_Space)
        person.until(lambda: day.state == "ARMED", "the armed bench", 60.0)

        person.page(3)
        person.until(lambda: person.sees("Procedure") and person.find("Start").isEnabled(), "the form")
        person.tab_to("Procedure")
        person.pick("Key exchange")
        enter(person, "Light", "1")
        person.key(Qt.Key.Key_Return, control=True)
        person.until(lambda: day.delivered("A-B") > 0, "key", 90.0)
        person.until(lambda: desk.latest("key").blocks, "the block")
        blocks = desk.latest("key").blocks
        assert [(one.pair, one.key_bits > 0) for one in blocks] == [("A-B", True)]

        person.key(Qt.Key.Key_Period, control=True)
        person.until(lambda: day.state == "SAFE", "the safe bench", 5.0)


@pytest.fixture(scope="module")
def window(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with made_by_hand(tmp_path_factory.mktemp("window"), qapp) as made:
        tell(made, states())
        made.first_light.put_away()
        yield made


@pytest.mark.parametrize("name", PAGES)
def test_tab_comes_to_every_control_of_a_page_once_and_around(window: Window, name: str) -> None:
    page_of(window, name)
    window.activateWindow()
    person = Person(window)
    window.strip.safe.setFocus()
    seen: list[Any] = []
    for _ in range(400):
        now = QApplication.focusWidget()
        assert now is not None
        if len(seen) > 1 and now is seen[0]:
            break
        assert called(now), f"{now} has the focus and no name"
        # A date has three places, which Tab goes through.
        if not (isinstance(now, QDateEdit) and now is seen[-1]):
            assert now not in seen, f"Tab is caught at {called(now)!r}"
            seen.append(now)
        person.key(Qt.Key.Key_Tab, control=person._keeps_tab())
    names = {called(one) for one in seen}
    assert {"Make safe", "Pages"} <= names
    left_out = [called(one) for one in audit.reachable(window) if one not in seen]
    assert not left_out, f"Tab does not come to {left_out}"


CONTROL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
RUN, TASK = payloads.queue_row(job=4, lane="bench", state="running"), payloads.queue_row(job=5, lane="worker", procedure="Learn", state="running")


@pytest.fixture
def asked(window: Window) -> Iterator[Any]:
    """What the window asks for while it controls the bench; another test finds the queue and the standing that it knows."""
    answers: Any = window.desk.line
    answers.asked.clear()
    why = window.desk.view_only_why
    window.desk.set_control(True)
    yield answers
    window.desk.set_control(False, why)
    tell(window, {"queue": states()["queue"]})


@pytest.mark.parametrize(("name", "on", "job"), [("queue", (RUN, TASK), 5), ("queue", (TASK,), 5), ("log", (RUN, TASK), 4), ("log", (TASK,), 5)])
def test_the_keys_abort_what_the_button_names(
    window: Window, asked: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, name: str, on: tuple[Any, ...], job: int
) -> None:
    monkeypatch.setattr(safe, "HOLD_MS", 50)
    page: Any = page_of(window, name)
    tell(window, {"queue": payloads.queue_state(rows=on)})
    if name == "queue":
        page.table.choose(on[-1].job)

    assert f"job {job}" in window.abort_button.toolTip()
    QTest.keyPress(window.windowHandle(), Qt.Key.Key_A, CONTROL_SHIFT)
    qtbot.waitUntil(lambda: bool(asked.of("abort")))
    QTest.keyRelease(window.windowHandle(), Qt.Key.Key_A, CONTROL_SHIFT)

    assert asked.of("abort") == [{"job": job}]


@pytest.mark.parametrize("name", PAGES)
def test_the_run_on_the_bench_is_paused_from_every_page(window: Window, asked: Any, qtbot: Any, name: str) -> None:
    page_of(window, name)
    tell(window, {"queue": payloads.queue_state(rows=(RUN,))})

    Person(window).key(Qt.Key.Key_P, control=True, shift=True)

    qtbot.waitUntil(lambda: asked.of("pause") == [{"job": 4}])


def test_the_key_of_reset_leads_to_the_button_that_is_held(window: Window, asked: Any) -> None:
    person = Person(window)
    page_of(window, "log")
    tell(window, {"safety": payloads.safety(state="TRIPPED", cause="D1 above its limit", reports=[])})
    window.desk.set_control(True)

    person.key(Qt.Key.Key_F5, control=True, shift=True)
    assert (person.focus, asked.of("reset")) == ("Reset after the trip", [])

    tell(window, {"safety": states()["safety"]})
    window.desk.set_control(True)
    person.key(Qt.Key.Key_F5, control=True, shift=True)
    assert "has not tripped" in window.notices.earlier[-1].text


def actions(menu: Any) -> list[Any]:
    return [one for action in menu.actions() for one in (actions(action.menu()) if action.menu() is not None else [action])]


@pytest.mark.parametrize("name", PAGES)
def test_every_act_of_a_page_is_in_a_menu_that_keys_open(window: Window, name: str) -> None:
    page: Any = page_of(window, name)
    (bar,) = window.findChildren(QMenuBar)
    listed = [one for action in bar.actions() for one in actions(action.menu())]
    assert set(page.menu_actions()) <= set(listed)
    # Panels are gone through by F6; what says its keys itself hears them elsewhere.
    panels = {dock.toggleViewAction() for dock in page.panels()}
    assert [one.text() for one in listed if not one.isSeparator() and not one.shortcuts() and "\t" not in one.text() and one not in panels] == []
    shortcuts = [key.toString() for action in listed if action.isEnabled() for key in action.shortcuts()]
    assert len(shortcuts) == len(set(shortcuts)), sorted(one for one in shortcuts if shortcuts.count(one) > 1)


OTHERWISE = {
    "Abort the run": "Abort what is on: hold the button",
    "Abort the job": "Abort what is on: hold the button",
    "Let the queue go on": "Stop after this run, or go on",
    "Save changes": "Add to the queue",
    "Leave as it was": "Leave the job as it was",
    "Add the note": "Write a note",
    "Play the run": "Play or pause the replay",
    "Repeat the run with changes": "Repeat with changes",
    "Reset after the trip": "Reset after a trip: hold the button",
}
"""Acts that a menu tells in other words than their button."""


def is_act(button: QAbstractButton) -> bool:
    """Say whether a button does something to the bench, a run or a file: fields, and what moves panels and lists, do not."""
    # Panels are moved and hidden by the menu Panels, and the drawing by its own act.
    field = isinstance(button, ElementButton) or type(button).__name__ == "BooleanInput" or isinstance(button.parentWidget(), Switch | TitleBar)
    return bool(called(button)) and not field and type(button) not in (QAbstractButton, QToolButton)


def said(text: str) -> frozenset[str]:
    """Return the words of an act, but for articles and punctuation."""
    return frozenset(re.findall(r"[\w-]+", text.replace("&", "").partition("\t")[0].lower())) - {"the", "a", "an"}


@pytest.mark.parametrize("name", PAGES)
def test_every_button_of_a_page_and_of_the_strip_is_in_a_menu(window: Window, name: str) -> None:
    page: Any = page_of(window, name)
    (bar,) = window.findChildren(QMenuBar)
    listed = [said(one.text()) for action in bar.actions() for one in actions(action.menu())]
    instruments = {one.name for one in window.desk.latest("station").instruments}
    bars = (window.strip, window.notices, window.safe_panel, window.first_light)
    buttons = [one for inside in (page, *bars) for one in inside.findChildren(QAbstractButton) if is_act(one)]
    assert len(buttons) > 6

    missing = {called(one) for one in buttons if not any(said(OTHERWISE.get(called(one), called(one))) - instruments <= words for words in listed)}
    assert missing == set()


def test_acts_of_a_card_are_done_to_the_one_with_the_focus(window: Window, asked: Any, qtbot: Any) -> None:
    page: Any = page_of(window, "bench")
    window.desk.set_control(True)
    window.strip.safe.setFocus()
    person = Person(window)
    person.key(Qt.Key.Key_H, control=True, alt=True)
    assert "Put the focus on the card" in window.notices.earlier[-1].text

    page.cards.grid.cards["voa_a"].safe.setFocus()
    person.key(Qt.Key.Key_H, control=True, alt=True)

    qtbot.waitUntil(lambda: [(body["name"], body["member"]) for body in asked.of("call")] == [("voa_a", "home")])
    person.key(Qt.Key.Key_W, control=True, alt=True)
    assert window.notices.earlier[-1].text == "voa_a has no such act now."


def test_the_menu_leads_to_the_buttons_of_control_and_of_arming_rows_and_shows_a_plot_as_a_table(window: Window, asked: Any) -> None:
    person = Person(window)
    window.desk.set_control(False, "control held by ana@lab1, take over")
    window.tick.tick()
    person.key(Qt.Key.Key_F9)
    assert person.focus == "Take over control"
    person.key(Qt.Key.Key_F9, control=True)
    assert "Nobody asks" in window.notices.earlier[-1].text

    window.desk.set_control(True)
    page_of(window, "bench")
    person.key(Qt.Key.Key_4, control=True, shift=True)
    assert person.focus == "Start: Emission"

    page: Any = page_of(window, "acquire")
    page.bars.view.setFocus()
    before = set(QApplication.topLevelWidgets())
    window.menus._to_table()
    opened_ = [one for one in QApplication.topLevelWidgets() if one not in before and one.isVisible()]
    assert opened_
    for one in opened_:
        one.close()


def test_every_menu_opens_by_alt_and_its_letter(window: Window) -> None:
    person = Person(window)
    window.activateWindow()
    (bar,) = window.findChildren(QMenuBar)
    for action in bar.actions():
        letter = action.text()[action.text().index("&") + 1].upper()
        menu = action.menu()
        assert isinstance(menu, QMenu)
        person.key(Qt.Key[f"Key_{letter}"], alt=True)
        assert menu.isVisible(), action.text()
        person.key(Qt.Key.Key_Escape)
        person.until(lambda menu=menu: not menu.isVisible(), "its end")  # type: ignore[misc]
