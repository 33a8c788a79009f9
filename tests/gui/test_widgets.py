"""Badges, hold buttons, tables, charts and forms: what is seen of them, and what is heard."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QFontMetrics, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from heliograph.gui import access, guarded, theme, words
from heliograph.gui.badges import Badge, Value
from heliograph.gui.flow import Flow
from heliograph.gui.forms import Form, mnemonics
from heliograph.gui.hold import HoldButton
from heliograph.gui.journal.events import Events
from heliograph.gui.pages.panel import Scroll
from heliograph.gui.plots import Chart
from heliograph.gui.tables import Cell, Column, Table, icon

from .payloads import event, procedure_form


def colours_of(widget: QWidget) -> int:
    image = widget.grab().toImage()
    return len({image.pixel(x, y) for x in range(0, image.width(), 2) for y in range(0, image.height(), 2)})


def wheel_over(widget: QWidget) -> None:
    at = QPointF(widget.rect().center())
    QApplication.sendEvent(
        widget,
        QWheelEvent(at, at, QPoint(0, 120), QPoint(0, 120), Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False),
    )


def test_a_badge_says_what_it_shows_and_that_it_is_stale(qtbot: Any, appearance: str) -> None:
    badge = Badge("Safety", "tripped", "cause VOA A lost")
    qtbot.addWidget(badge)
    badge.show()

    assert badge.accessibleName() == "Safety: tripped, cause VOA A lost"
    badge.set_stale(True)
    assert badge.accessibleName() == "Safety: tripped, cause VOA A lost, stale"


@pytest.mark.parametrize("appearance", ["light", "dark", "contrast"], indirect=True)
def test_every_word_is_drawn_in_every_theme(qtbot: Any, appearance: str) -> None:
    badge = Badge("State")
    qtbot.addWidget(badge)

    for word in words.VOCABULARY:
        badge.set_state(word)
        assert colours_of(badge) >= 3, word


def test_words_that_mean_opposite_things_have_other_shapes_too() -> None:
    for one, other in (("safe", "armed"), ("safe", "tripped"), ("done", "failed"), ("closed", "open"), ("confirmed", "failed"), ("good", "stale")):
        assert words.look(one).shape != words.look(other).shape


def test_markup_in_data_stays_text(qtbot: Any, appearance: str) -> None:
    value = Value("Identity", "<b>bold</b>")
    qtbot.addWidget(value)

    assert value.textFormat() == Qt.TextFormat.PlainText
    assert value.accessibleName() == "Identity: <b>bold</b>"


@pytest.fixture
def button(qtbot: Any, appearance: str) -> HoldButton:
    made = HoldButton("&Arm")
    qtbot.addWidget(made)
    made.show()
    return made


def test_a_hold_of_one_second_acts(button: HoldButton, qtbot: Any) -> None:
    begun = time.monotonic()
    with qtbot.waitSignal(button.held, timeout=3000):
        qtbot.mousePress(button, Qt.MouseButton.LeftButton)
        assert button.text() == "keep holding"

    assert time.monotonic() - begun >= 0.95
    assert button.text() == "&Arm"


def test_a_key_held_for_a_second_acts_and_its_repeats_do_not_count(button: HoldButton, qtbot: Any) -> None:
    with qtbot.waitSignal(button.held, timeout=3000):
        qtbot.keyPress(button, Qt.Key.Key_Space)


def test_its_letter_brings_the_focus_to_it_and_does_not_act(button: HoldButton, qtbot: Any) -> None:
    above = QWidget()
    qtbot.addWidget(above)
    column = QVBoxLayout(above)
    field, other = QLineEdit(), HoldButton("&Arm")
    column.addWidget(field)
    column.addWidget(other)
    acted: list[int] = []
    other.held.connect(lambda: acted.append(1))
    above.show()
    above.activateWindow()
    qtbot.waitUntil(above.isActiveWindow)
    field.setFocus()

    qtbot.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.AltModifier)

    assert QApplication.focusWidget() is other
    assert not other.holding
    assert acted == []


@pytest.mark.parametrize("how", ["release", "leave", "key", "off"])
def test_letting_go_earlier_does_nothing(button: HoldButton, qtbot: Any, how: str) -> None:
    acted: list[int] = []
    button.held.connect(lambda: acted.append(1))
    if how == "key":
        qtbot.keyClick(button, Qt.Key.Key_Return)
    else:
        qtbot.mousePress(button, Qt.MouseButton.LeftButton)
    if how == "release":
        qtbot.mouseRelease(button, Qt.MouseButton.LeftButton)
    elif how == "leave":
        QTest.mouseMove(button, QPoint(-50, -50))
        QApplication.processEvents()
    elif how == "off":
        button.setEnabled(False)

    assert (button.holding, acted) == (False, [])


def test_a_table_keeps_what_is_selected_while_its_rows_move(qtbot: Any, appearance: str) -> None:
    table = Table("Runs", ["run", Column("rate", number=True)])
    qtbot.addWidget(table)
    table.set_rows([["one", "1"], ["two", "2"], ["three", "3"]], keys=["a", "b", "c"])
    table.choose("b")

    table.set_rows([["zero", "0"], ["two", "2.5"], ["three", "3"]], keys=["z", "b", "c"])

    assert table.chosen() == ["b"]
    assert table.copied() == "run\trate\ntwo\t2.5"


def test_a_table_is_read_out_cell_by_cell_and_picked_by_enter(qtbot: Any, appearance: str) -> None:
    picked: list[str] = []
    table = Table("Runs", ["run", "state"], picked.append)
    qtbot.addWidget(table)
    table.set_rows([["one", Cell("done", word="done")]], keys=["a"])
    table.show()
    table.choose("a")

    qtbot.keyClick(table, Qt.Key.Key_Return)

    assert picked == ["a"]
    assert "run: one" in access.texts(table)
    assert "state: done" in access.texts(table)


def test_a_table_sorts_by_number_where_it_has_one(qtbot: Any, appearance: str) -> None:
    table = Table("Runs", ["size"])
    qtbot.addWidget(table)
    table.set_rows([[Cell("9 MB", order=9)], [Cell("10 MB", order=10)], [Cell("2 MB", order=2)]])

    table.model_of_rows.sort(0)

    assert [table.model_of_rows.cell(at, 0).text for at in range(3)] == ["2 MB", "9 MB", "10 MB"]


def test_a_table_that_is_painted_again_makes_no_new_picture(qtbot: Any, appearance: str) -> None:
    table, events = Table("Runs", ["state"]), Events()
    qtbot.addWidget(table)
    role, pictures = Qt.ItemDataRole.DecorationRole, set()
    for number in range(100):
        table.set_rows([[Cell(f"done {number}", word="done")]])
        events.add([event(number=number + 1)])
        pictures |= {table.model_of_rows.index(0, 0).data(role).cacheKey(), events.index(number, 1).data(role).cacheKey()}

    assert len(pictures) == 2


def test_an_icon_is_another_one_in_another_theme_and_text_size(qapp: QApplication, appearance: str) -> None:
    light = icon("done").cacheKey()
    theme.apply(qapp, theme.DARK)
    dark = icon("done").cacheKey()
    font = qapp.font()
    font.setPointSizeF(2 * font.pointSizeF())
    qapp.setFont(font)

    assert len({light, dark, icon("done").cacheKey()}) == 3
    assert icon("done").availableSizes()[0].height() == QFontMetrics(font).height()


@pytest.fixture
def chart(qtbot: Any, appearance: str) -> Chart:
    made = Chart("QBER", x="Time", x_unit="s", y="QBER", y_unit="%", si=False)
    qtbot.addWidget(made)
    made.resize(500, 300)
    made.show()
    return made


def test_a_chart_says_its_last_values_and_its_limit(chart: Chart) -> None:
    chart.set_curve("QBER X", [0, 1, 2], [0.9, 1.6, 1.2])
    chart.set_limit_line("abort", 5.0, "abort above 5 %")

    assert chart.summary() == "QBER X 1.20 %, range 0.900 % to 1.60 %; limit abort 5.00 %"
    assert "QBER" in chart.view.accessibleName()


def test_the_summary_is_refreshed_once_a_second_at_most(chart: Chart, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("heliograph.gui.plots.time.monotonic", lambda: now[0])
    chart.set_curve("X", [0, 1], [1, 2])
    first = chart.view.accessibleDescription()
    now[0] += 0.5
    chart.set_curve("X", [0, 1], [1, 3])
    assert chart.view.accessibleDescription() == first
    now[0] += 0.6
    chart.set_curve("X", [0, 1], [1, 4])

    assert chart.view.accessibleDescription() != first


def test_the_last_change_is_told_however_soon_it_came(chart: Chart, window: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("heliograph.gui.plots.time.monotonic", lambda: now[0])
    chart.set_curve("X", [0, 1], [1, 2])
    chart.set_curve("X", [0, 1], [1, 92])

    window.tick.tick()
    assert "92.0 %" not in chart.view.accessibleDescription(), "once a second at most"
    now[0] += 1.1
    window.tick.tick()

    assert chart.view.accessibleDescription() == chart.accessibleDescription() == "X 92.0 %, range 1.00 % to 92.0 %"


def test_a_chart_shows_its_data_as_a_table(chart: Chart, qtbot: Any) -> None:
    chart.set_curve("X", [0, 1], [1.5, np.nan])
    window = chart.show_table()

    (table,) = window.findChildren(Table)

    assert chart.table() == (["curve", "Time (s)", "QBER (%)"], [["X", "0", "1.5"], ["X", "1", "-"]])
    assert table.accessibleName() == "Data of QBER"
    window.close()


def test_curves_differ_by_colour_and_dash_and_keep_them_when_the_theme_changes(chart: Chart, qapp: QApplication) -> None:
    for name in ("one", "two", "three"):
        chart.set_curve(name, [0, 1], [1, 2])
    before = [tuple(curve.item.opts["pen"].dashPattern()) for curve in chart._curves.values()]

    theme.apply(qapp, theme.DARK)
    chart.retheme()

    pens = [curve.item.opts["pen"] for curve in chart._curves.values()]
    assert [tuple(pen.dashPattern()) for pen in pens] == before
    assert [pen.color().name().upper() for pen in pens] == list(theme.DARK.series[:3])
    assert len(set(before)) == 3


def test_a_chart_that_cannot_draw_says_so_until_it_can(chart: Chart, display_errors: bool) -> None:
    chart.set_curve("X", [0, 1], ["a", "b"])
    assert guarded.marked(chart)
    assert [label.text() for label in chart.findChildren(QLabel, "display-error")] == ["display error"]

    chart.set_curve("X", [0, 1], [1.0, 2.0])

    assert not guarded.marked(chart)


def test_bars_and_images_and_steps_are_drawn(chart: Chart) -> None:
    chart.set_bars({"D1": 3.0, "D2": float("nan")})
    assert chart.summary() == "D1 3.00 %; D2 -"
    chart.clear()
    chart.set_image(np.arange(128 * 128).reshape(128, 128), x=(-4, 4), y=(-4, 4))
    assert colours_of(chart) > 20
    chart.clear()
    chart.set_steps("D1", np.arange(11), np.arange(10))

    assert chart.summary().startswith("D1 9.00 %")


def test_a_form_gives_texts_and_takes_them_back(qtbot: Any, appearance: str) -> None:
    form = Form(procedure_form(), {"points": "55", "duration_s": "2.5", "pair": "B-C", "distil": "False", "note": "x"})
    qtbot.addWidget(form)

    assert form.texts() == {"duration_s": "2.5", "pair": "B-C", "points": "55", "distil": "False", "note": "x"}
    assert form.field("duration_s").accessibleName() == "Duration"
    assert form.field("duration_s").accessibleDescription() == f"0.1 to 3{words.THIN}600 s (duration_s)"


def test_the_wheel_changes_nothing_in_a_form(qtbot: Any, appearance: str) -> None:
    form = Form(procedure_form())
    qtbot.addWidget(form)
    form.show()
    before = form.texts()

    for name in before:
        form.field(name).setFocus()
        wheel_over(form.field(name))

    assert form.texts() == before


def test_a_number_is_typed_with_a_point_in_any_country(qtbot: Any, appearance: str) -> None:
    form = Form(procedure_form())
    qtbot.addWidget(form)
    form.show()
    field: Any = form.field("duration_s")
    field.selectAll()

    qtbot.keyClicks(field, "12.5")

    assert form.texts()["duration_s"] == "12.5"


def test_a_refusal_stands_under_its_field(qtbot: Any, appearance: str) -> None:
    form = Form(procedure_form())
    qtbot.addWidget(form)
    form.show()

    form.complain("points", "more than the station allows")

    assert form.field("points").accessibleDescription() == "Not taken: more than the station allows"
    assert "more than the station allows" in access.texts(form)
    form.field("points").setValue(9)  # type: ignore[attr-defined]
    assert "more than the station allows" not in access.texts(form)


def test_no_mnemonic_is_given_twice() -> None:
    marked = mnemonics(["Duration:", "Delay:", "R&D:", "Dud:", "D:"])
    letters = [text[text.replace("&&", "..").index("&") + 1].lower() for text in marked if "&" in text.replace("&&", "")]

    assert len(letters) == len(set(letters))
    assert marked[2].replace("&&", "\0").replace("&", "").replace("\0", "&") == "R&D:"


def test_a_chart_beside_what_flows_shrinks_again_after_it_was_large(qtbot: Any, appearance: str) -> None:
    chart, line = Chart("QBER", x="Time", y="QBER"), QWidget()
    flow = Flow(line)
    flow.addWidget(QPushButton("a gate"))
    inside = QWidget()
    column = QVBoxLayout(inside)
    column.addWidget(chart, 1)
    column.addWidget(line)
    area = Scroll(inside)
    qtbot.addWidget(area)
    for high in (600, 300):
        area.resize(500, high)
        area.show()
        QApplication.processEvents()
        # As after a change of the text's size, what the layouts remember of their widgets is asked anew.
        chart.view.updateGeometry()
        QApplication.processEvents()

    assert inside.height() <= 300
