"""The Log page as a person uses it: history and what is new, filters, notes, acknowledging, and ten thousand rows."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit

from heliograph.core.errors import ParameterError
from heliograph.gui.audit import audit
from heliograph.gui.journal.events import MOST, Events, Filter
from heliograph.gui.pages.log import Log

from . import payloads
from .finding import clipped, control, press

OTHER = "20260920T151000Z-rates-77aa"
HISTORY = (
    payloads.event(number=1, severity="info", source="runner", text="PhaseScan 7 began"),
    payloads.event(number=2, severity="warning", source="voa_a", text="no answer in 0.5 s. Check its cable."),
    payloads.event(number=3, severity="error", source="watchdog", text="tripped: VOA A lost", run="", acknowledged=True),
    payloads.event(number=4, severity="note", source="operator", text="swapped the patch cord", run=OTHER),
)


@pytest.fixture
def page(desk, drawn, qtbot):
    desk.answers.replies["events"] = HISTORY
    made = drawn(Log(desk))
    made.resize(1440, 800)
    made.shown_first()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    return made


@pytest.fixture
def hear(page, desk):
    """Let events come as the clock of the window brings them."""

    def come(*events):
        seen = desk.events_seen
        for event in events:
            desk.inject("event", event)
        while desk.collect():
            pass
        page.redraw("event", desk.events_since(seen))
        QApplication.processEvents()

    return come


def shown(page):
    return [page.model.at(row).number for row in range(page.model.rowCount())]


def choose(qtbot, page, row, modifier=Qt.KeyboardModifier.NoModifier):
    at = page.table.visualRect(page.model.index(row, 4)).center()
    qtbot.mouseClick(page.table.viewport(), Qt.MouseButton.LeftButton, modifier, at)


def why_not(page, name):
    button = control(page, name, QAbstractButton)
    assert not button.isEnabled()
    return button.toolTip().removeprefix("Not now: ")


def typed(qtbot, page, name, text):
    field = control(page, name, QLineEdit)
    field.setFocus()
    qtbot.keyClicks(field, text)
    return field


# What is shown


def test_history_comes_first_and_what_is_new_behind_it(page, hear):
    hear(payloads.event(number=5, t=payloads.NOW + 1), payloads.event(number=6, t=payloads.NOW + 2))

    assert shown(page) == [1, 2, 3, 4, 5, 6]
    assert page.desk.answers.of("events") == [{"since": 0}]
    assert "Events shown: 6 of 6, 3 not acknowledged" in page.texts()


def test_what_came_while_the_journal_was_read_stands_there_once(desk, drawn):
    desk.answers.replies["events"] = HISTORY
    page = drawn(Log(desk), event=(HISTORY[3], payloads.event(number=5, t=payloads.NOW + 1)))

    page.shown_first()

    assert shown(page) == [1, 2, 3, 4, 5]


def test_a_row_says_severity_by_shape_and_word(page):
    texts = page.texts()

    for wanted in ("Severity: warning", "Source: voa_a", "Text: tripped: VOA A lost", f"Run: {OTHER}", "Seen: not yet", "Seen: seen"):
        assert wanted in texts
    shapes = [page.model.data(page.model.index(row, 1), Qt.ItemDataRole.DecorationRole).pixmap(16, 16).toImage() for row in range(4)]
    assert all(one != other for at, one in enumerate(shapes) for other in shapes[:at])


def test_the_whole_text_of_an_event_can_be_read(page, qtbot):
    choose(qtbot, page, 1)

    assert page.whole.toPlainText().endswith("no answer in 0.5 s. Check its cable.")
    assert payloads.RUN in page.whole.toPlainText()


def test_events_that_were_left_out_are_told(page, hear):
    hear(payloads.event(number=0, source="link", text="12 events more are in the run files"))
    hear(payloads.event(number=0, source="link", text="3 events more are in the run files"))

    assert [page.model.at(row).text for row in (4, 5)] == ["12 events more are in the run files", "3 events more are in the run files"]


def test_more_than_the_window_kept_is_read_from_the_journal(page, desk):
    desk.events_seen += 30_000

    page.redraw("event", ())

    assert len(desk.answers.of("events")) == 2


# Following


def many(first, n):
    return [payloads.event(number=number, t=payloads.NOW + number, text=f"event {number}") for number in range(first, first + n)]


def test_it_follows_the_latest_until_somebody_scrolls_up(page, hear, qtbot):
    hear(*many(10, 150))
    bar = page.table.verticalScrollBar()
    assert bar.value() == bar.maximum()

    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_Home, Qt.KeyboardModifier.ControlModifier)
    assert not control(page, "Follow the latest", QAbstractButton).isChecked()
    hear(*many(200, 20))
    assert bar.value() == 0

    press(qtbot, page, "Follow the latest")
    hear(*many(300, 20))
    assert bar.value() == bar.maximum()


def test_ten_thousand_events_are_quick(page, hear):
    begun = time.process_time()
    page.model.set_events(many(1, 10_000))
    page.filters.text.setText("event 77")
    page.filters.reset()
    loaded = time.process_time() - begun
    begun = time.process_time()
    for batch in range(5):
        hear(*many(20_000 + 200 * batch, 200))
    a_batch = (time.process_time() - begun) / 5

    assert page.model.rowCount() == 11_000
    assert loaded < 1.0
    assert a_batch < 0.05, "a tick has 50 ms"


def test_the_oldest_events_give_way():
    model = Events()
    for batch in range(11):
        model.add(many(1 + 2000 * batch, 2000))

    assert len(model.events) <= MOST
    assert model.events[-1].number == 22_000


# Filters


@pytest.mark.parametrize(
    "wanted, numbers",
    [
        (Filter(), [1, 2, 3, 4]),
        (Filter(severities=frozenset({"error", "warning"})), [2, 3]),
        (Filter(unseen=True), [2]),
        (Filter(source="operator"), [4]),
        (Filter(text="CABLE answer"), [2]),
        (Filter(run="77AA"), [4]),
        (Filter(run="77aa", severities=frozenset({"error"})), []),
    ],
)
def test_a_filter_shows_what_was_asked_for(wanted, numbers):
    model = Events()
    model.set_events(HISTORY)
    model.set_filter(wanted)

    assert [model.events[at].number for at in model.shown] == numbers


def test_filters_are_set_by_keys_and_hold_for_what_comes(page, hear, qtbot):
    assert page.filter_field() is control(page, "Text of the events", QLineEdit)
    typed(qtbot, page, "Text of the events", "cable")
    assert shown(page) == [2]

    hear(payloads.event(number=5, text="the cable is back"), payloads.event(number=6, text="something else"))
    assert shown(page) == [2, 5]
    assert "Events shown: 2 of 6, 3 not acknowledged" in page.texts()

    press(qtbot, page, "Show all events")
    severity = control(page, "Severity of the events", QComboBox)
    severity.setFocus()
    qtbot.keyClicks(severity, "notes")
    assert shown(page) == [4]
    qtbot.keyClick(severity, Qt.Key.Key_Home)
    source = control(page, "Source of the events", QComboBox)
    source.setFocus()
    qtbot.keyClicks(source, "watch")
    assert shown(page) == [3]


def test_the_events_of_one_run_are_shown_alone(page, qtbot):
    choose(qtbot, page, 3)
    press(qtbot, page, "Only this run")
    assert shown(page) == [4]

    page.wish(payloads.RUN)
    assert shown(page) == [1, 2]


# Acts


def test_alarms_are_acknowledged_by_key(page, desk, qtbot):
    desk.answers.replies["acknowledge"] = lambda body: replace(HISTORY[1], acknowledged=True)
    choose(qtbot, page, 0)
    assert why_not(page, "Acknowledge") == "only warnings and errors are acknowledged"
    choose(qtbot, page, 2)
    assert why_not(page, "Acknowledge") == "it is acknowledged"

    choose(qtbot, page, 1)
    qtbot.keyClick(page.table, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)

    assert desk.answers.of("acknowledge") == [{"number": 2}]
    assert page.model.at(1).acknowledged
    assert shown(page) == [1, 2, 3, 4]
    assert why_not(page, "Acknowledge") == "it is acknowledged"


def test_a_note_is_sent_and_the_field_emptied_once_it_is_kept(page, desk, qtbot):
    desk.answers.replies["note"] = ParameterError("the journal is full", where="note")
    assert why_not(page, "Add the note") == "the note is empty"
    field = typed(qtbot, page, "Note", "laser warm")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert field.text() == "laser warm", "what was refused is not lost"

    desk.answers.replies["note"] = HISTORY[3]
    typed(qtbot, page, "Run of the note", OTHER)
    press(qtbot, page, "Add the note")

    assert desk.answers.of("note")[-1] == {"text": "laser warm", "run": OTHER}
    assert field.text() == ""


def test_events_are_copied_as_text(page, qtbot):
    choose(qtbot, page, 2)
    choose(qtbot, page, 3, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(page.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)

    lines = QApplication.clipboard().text().splitlines()

    assert lines[0].startswith("Time\tSeverity\t")
    assert lines[1].split("\t")[1:5] == ["error", "seen", "watchdog", "tripped: VOA A lost"]
    assert len(lines) == 3


def test_enter_goes_to_the_run(page, desk, qtbot):
    wanted = []
    desk.page_wanted.connect(lambda name, wish: wanted.append((name, wish)))

    choose(qtbot, page, 3)
    qtbot.keyClick(page.table, Qt.Key.Key_Return)
    choose(qtbot, page, 2)

    assert wanted == [("runs", OTHER)]
    assert why_not(page, "Go to the run") == "the event belongs to no run"


def test_markup_in_an_event_stays_text(page, hear):
    hear(payloads.event(number=9, text="<b>bold</b> <img src=x>"))

    assert page.model.data(page.model.index(4, 4)) == "<b>bold</b> <img src=x>"
    assert "&lt;b&gt;" in page.model.data(page.model.index(4, 4), Qt.ItemDataRole.ToolTipRole)


@pytest.mark.parametrize(("appearance", "percent"), [("light", 100), ("contrast", 200)], indirect=["appearance"])
def test_nothing_is_cut_off(page, qapp, appearance, percent):
    larger = QFont(qapp.font())
    larger.setPointSizeF(larger.pointSizeF() * percent / 100)
    qapp.setFont(larger)
    page.retheme()
    for _ in range(4):
        qapp.processEvents()

    assert clipped(page) == []
    assert audit(page) == []


def test_the_menu_copies_from_the_table_alone_and_follows_as_the_box_says(page, qtbot):
    QApplication.clipboard().clear()
    choose(qtbot, page, 1)
    page.whole.setFocus()
    qtbot.keyClick(page.whole, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert "no answer" not in QApplication.clipboard().text()
    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert "no answer in 0.5 s" in QApplication.clipboard().text()

    follow = next(one for one in page.menu_actions() if "Follow" in one.text())
    assert (follow.isChecked(), page.follow.isChecked()) == (True, True)
    follow.trigger()
    assert (follow.isChecked(), page.follow.isChecked()) == (False, False)
    page.follow.click()
    assert follow.isChecked()
    page.follow.setEnabled(False)
    follow.trigger()
    assert (follow.isChecked(), page.follow.isChecked()) == (True, True)
