from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QByteArray, QEvent, QPointF, QRect, QSettings, Qt
from PySide6.QtGui import QMouseEvent, QUndoCommand
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDockWidget, QLabel, QLineEdit, QPushButton, QTabBar, QVBoxLayout, QWidget

from heliograph.core.errors import LimitError
from heliograph.gui import layout
from heliograph.gui.audit import audit
from heliograph.gui.pages.page import Page
from heliograph.gui.pages.panel import Panel
from heliograph.gui.plots import Chart
from heliograph.gui.quantity import QuantityEdit
from heliograph.gui.window import Window

from . import payloads
from .frames import PAGES, Presses, Rates, presses, tell


@pytest.mark.parametrize("theme_name, sizes", [("light", (100, 150, 200)), ("dark", (200,)), ("contrast", (100,))])
def test_nothing_in_the_frame_is_cut_or_unreachable(window: Any, qtbot: Any, theme_name: str, sizes: tuple[int, ...]) -> None:
    window.set_theme(theme_name)
    window.desk.notice(LimitError("25.00 dB asked, range 0.80 to 20.00 dB", where="voa_a", remedy="Nothing was sent."))
    window.safe_panel.asked(["laser", "voa_in", "snspd"])
    tell(window, station=payloads.station_state(), safety=payloads.safety(), queue=payloads.queue_state(), stores=payloads.store_states())

    for size in sizes:
        window.set_text_size(size)
        # Layouts in layouts take some turns of the event loop.
        qtbot.waitUntil(lambda: audit(window) == [])
        shown = [item for item in window.strip.items() if item.isVisible()]
        overlaps = [(a, b) for at, a in enumerate(shown) for b in shown[at + 1 :] if a.geometry().intersects(b.geometry())]
        assert overlaps == []


def test_the_audit_finds_what_is_wrong(qtbot: Any, appearance: str) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    column = QVBoxLayout(window)
    nameless, small, cut = QLineEdit(), QPushButton("&OK"), QLabel("a text that is much too long for this label")
    small.setFixedSize(16, 16)
    small.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    cut.setFixedWidth(40)
    first, second = QPushButton("Sa&ve"), QPushButton("Remo&ve")
    for one in (nameless, small, cut, QLabel("&Lost"), first, second):
        column.addWidget(one)
    window.show()

    found = "\n".join(audit(window))

    for part in (
        "no accessible name",
        "not reached by Tab",
        "QPushButton '&OK': 16x",
        "px in 40 px",
        "mnemonic without a buddy",
        "Alt+V leads to 'Sa&ve' and 'Remo&ve'",
    ):
        assert part in found


def test_text_size_and_theme_are_kept(window: Any, qtbot: Any) -> None:
    before = QApplication.font().pointSizeF()
    qtbot.keyClick(window, Qt.Key.Key_Plus, Qt.KeyboardModifier.ControlModifier)

    assert window.text_size == 110
    qtbot.waitUntil(lambda: QApplication.font().pointSizeF() == pytest.approx(before * 1.1))
    qtbot.keyClick(window, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: QApplication.font().pointSizeF() == pytest.approx(before))


def test_a_key_that_is_held_for_larger_text_changes_everything_once(window: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change keeps the event loop: a window that stands still for long loses its bench."""
    dressed: list[int] = []
    monkeypatch.setattr(window, "_dress", lambda dress=window._dress: (dressed.append(window.text_size), dress()))
    for _ in range(12):
        qtbot.keyClick(window, Qt.Key.Key_Plus, Qt.KeyboardModifier.ControlModifier)

    qtbot.waitUntil(lambda: dressed == [200])
    window.set_text_size(100)


def test_a_window_that_opens_with_large_text_has_it_everywhere(desk: Any, qtbot: Any) -> None:
    desk.settings.setValue("appearance/text", 200)
    before = QApplication.font().pointSizeF()
    made = Window(desk, pages=PAGES)
    qtbot.addWidget(made, before_close_func=lambda one: one.leave())
    made.tabs.show()
    made.show_page("rates")
    made.show()

    sizes = {one.font().pointSizeF() for one in made.findChildren(QWidget) if isinstance(one, QLabel | QLineEdit | QPushButton | QTabBar) and one.isVisible()}

    assert min(sizes) == 2 * before


def areas(page: Page) -> dict[str, tuple[Any, bool]]:
    return {dock.objectName(): (page.dockWidgetArea(dock), dock.isFloating()) for dock in page.findChildren(QDockWidget)}


def test_moved_panels_are_where_they_were_at_the_next_start(window: Any, desk: Any, qtbot: Any) -> None:
    page = window.page
    one, two = page.panels()
    page.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, one)
    two.setFloating(True)
    moved = areas(page)
    window.layouts.save()

    again = Window(desk, pages=PAGES)
    qtbot.addWidget(again, before_close_func=lambda made: made.leave())

    assert areas(again.pages[0]) == moved


def test_what_was_moved_just_before_another_page_was_shown_is_kept(window: Any, desk: Any) -> None:
    window.layouts.save()
    window.page.panels()[0].setFloating(True)
    window.page.panels()[1].close()

    window.show_page("other")
    window.leave()

    assert desk.settings.contains(layout.key("rates"))
    assert not desk.settings.contains(layout.key("other"))


def test_a_moved_panel_is_put_back_by_undo_and_by_reset(window: Any, qtbot: Any) -> None:
    page = window.page
    window.layouts.save()
    before = areas(page)
    page.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, page.panels()[0])
    moved = areas(page)
    window.layouts.save()

    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert areas(page) == before
    qtbot.keyClick(window, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert areas(page) == moved
    qtbot.keyClick(window, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier)

    assert areas(page) == before


def tabbed(page: Page) -> bool:
    first, *others = page.panels()
    return set(page.tabifiedDockWidgets(first)) == set(others)


def test_panels_lie_on_each_other_while_the_text_is_large_for_the_page(window: Any) -> None:
    before, size = areas(window.page), window.size()

    window.set_text_size(200)
    assert tabbed(window.page)
    window.set_text_size(100)

    assert areas(window.page) == before
    assert not tabbed(window.page)
    window.safe_panel.asked([f"device {number}" for number in range(40)])
    QApplication.processEvents()
    window.tick.tick()
    assert not tabbed(window.page), "what comes and goes above a page moves no panel"
    window.safe_panel.hide()
    window.set_text_size(200)
    window.resize(2000, 1600)
    QApplication.processEvents()
    window.tick.tick()
    assert not tabbed(window.page)
    window.resize(size)


def test_panels_that_the_operator_moved_stay_where_they_are_until_the_layout_is_reset(window: Any, desk: Any, qtbot: Any) -> None:
    page = window.page
    window.layouts.save()
    page.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, page.panels()[0])
    window.layouts.save()
    moved = areas(page)

    window.set_text_size(200)
    assert areas(page) == moved
    assert not tabbed(page)
    window.layouts.reset(page)

    assert tabbed(page)
    window.layouts.save()
    assert not desk.settings.contains(layout.key("rates"))
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert areas(page) == moved


def test_a_torn_off_panel_that_is_moved_while_another_page_is_shown_is_saved_then(window: Any, desk: Any, qtbot: Any) -> None:
    page, panel = window.page, window.page.panels()[0]
    panel.setFloating(True)
    window.show_page("other")
    steps = desk.undo.count()

    panel.setGeometry(120, 140, 300, 200)
    window.layouts.save()

    again = Rates(desk)
    qtbot.addWidget(again)
    layout.Layouts(desk, [again])
    assert [one.geometry() for one in again.panels() if one.isFloating()] == [panel.geometry()]
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert panel.geometry() != again.panels()[-1].geometry()
    assert (page.isVisible(), desk.undo.count()) == (False, steps + 1)


def test_a_panel_that_only_comes_to_the_front_is_no_layout_of_the_operators(window: Any, desk: Any) -> None:
    window.set_text_size(200)
    window.layouts.save()

    window.page.panels()[1].raise_()
    QApplication.processEvents()
    window.layouts.save()

    assert not desk.settings.contains(layout.key("rates"))
    assert not desk.undo.canUndo()


def drag_edge(page: Page, by: int) -> None:
    """Drag the edge between the two panels of a page, which lie one above the other."""
    upper, lower = page.panels()
    x, y = page.width() // 2, (upper.geometry().bottom() + lower.geometry().top()) // 2
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    for kind, down, button, held in (
        (QEvent.Type.MouseButtonPress, y, left, left),
        (QEvent.Type.MouseMove, y + by, none, left),
        (QEvent.Type.MouseButtonRelease, y + by, left, none),
    ):
        at = QPointF(x, down)
        QApplication.sendEvent(page, QMouseEvent(kind, at, page.mapToGlobal(at), button, held, Qt.KeyboardModifier.NoModifier))
        # The edge moves a moment later.
        QTest.qWait(20)
    QApplication.processEvents()


def test_what_panels_do_by_themselves_is_no_step_to_be_undone(window: Any) -> None:
    page = window.page
    drag_edge(page, -60)
    window.layouts.save()
    steps, before = window.desk.undo.count(), page.panels()[0].height()

    page.panels()[0].widget().setMinimumHeight(before + 80)
    QApplication.processEvents()
    window.layouts.save()

    assert page.panels()[0].height() > before
    assert (steps, window.desk.undo.count()) == (1, 1)


def test_an_edge_that_was_dragged_is_put_back_and_the_focus_stays(window: Any, qtbot: Any) -> None:
    page = window.page
    window.layouts.save()
    before = page.panels()[0].height()
    drag_edge(page, -60)
    window.layouts.save()
    assert page.panels()[0].height() < before
    button = page.panels()[1].findChild(QPushButton)
    button.setFocus()

    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    QApplication.processEvents()

    assert abs(page.panels()[0].height() - before) <= 2
    assert QApplication.focusWidget() is button


def test_ctrl_z_goes_on_to_the_window_where_a_field_has_nothing_to_undo(window: Any, qtbot: Any) -> None:
    field = QuantityEdit("Duration", "s")
    window.page.panels()[1].setWidget(field)
    field.setText("1 s")
    field.show()
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    window.desk.undo.push(QUndoCommand("a step"))

    qtbot.keyClicks(field, "0")
    qtbot.keyClick(field, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (field.text(), window.desk.undo.index()) == ("1 s", 1)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)

    assert window.desk.undo.index() == 0


@pytest.mark.parametrize("kind", ["random", "cut", "version", "text", "file"])
def test_a_damaged_layout_gives_the_default_and_one_line(desk: Any, qtbot: Any, kind: str, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    first = Rates(desk)
    qtbot.addWidget(first)
    good = first.saveState(layout.VERSION)
    damaged: dict[str, Any] = {
        "random": QByteArray(random.Random(1).randbytes(200)),
        "cut": good.left(20),
        "version": first.saveState(99),
        "text": "no layout",
        "file": None,
    }
    if kind == "file":
        Path(desk.settings.fileName()).write_bytes(random.Random(2).randbytes(300))
        desk.settings.sync()
    else:
        desk.settings.setValue(layout.key("rates"), damaged[kind])

    with caplog.at_level(logging.WARNING, "heliograph.gui.layout"):
        page = Rates(desk)
        qtbot.addWidget(page)
        default = areas(page)
        layout.Layouts(desk, [page])

    assert areas(page) == default
    assert len(caplog.records) == (0 if kind == "file" else 1)


def test_a_window_off_every_screen_is_moved_in(qtbot: Any, appearance: str) -> None:
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.setGeometry(QRect(9000, 9000, 400, 300))

    layout.move_in(widget)

    assert widget.screen().availableGeometry().contains(widget.frameGeometry())


def test_a_torn_off_panel_carries_the_safe_button(window: Any, qtbot: Any) -> None:
    panel = window.page.panels()[0]
    assert isinstance(panel, Panel)

    panel.setFloating(True)
    (safe,) = [one for one in panel.findChildren(QPushButton, "safe") if one.isVisible()]
    qtbot.mouseClick(safe, Qt.MouseButton.LeftButton)

    qtbot.waitUntil(lambda: presses(window) == 1)


def test_a_panel_that_is_torn_off_since_the_last_start_carries_the_safe_button_and_says_whose_data_it_shows(window: Any, desk: Any, qtbot: Any) -> None:
    window.page.panels()[0].setFloating(True)
    window.layouts.save()
    again = Window(desk, pages=PAGES)
    again.safety.guard = Presses()  # type: ignore[assignment]
    qtbot.addWidget(again, before_close_func=lambda made: made.leave())
    again.show()
    tell(again, station=payloads.station_state())

    (panel,) = [one for one in again.pages[0].panels() if one.isFloating()]
    (safe,) = [one for one in panel.findChildren(QPushButton, "safe") if one.isVisible()]
    qtbot.mouseClick(safe, Qt.MouseButton.LeftButton)

    qtbot.waitUntil(lambda: presses(again) == 1)
    assert presses(window) == 0
    assert "SIMULATED" in panel.windowTitle()


def test_windows_beside_the_main_one_say_that_their_data_are_simulated(window: Any, qtbot: Any) -> None:
    tell(window, station=payloads.station_state())
    chart = Chart("Rates", x="Time", x_unit="s", y="Rate", y_unit="Hz")
    panel = window.page.panel("Chart", chart)

    table = chart.show_table()
    panel.setFloating(True)
    other = chart.show_table()

    assert all("SIMULATED" in one.windowTitle() for one in (table, panel, other))
    assert panel.toggleViewAction().text() == "Chart"
    panel.setFloating(False)
    assert panel.windowTitle() == "Chart"


def test_preferences_lie_in_the_users_folder(tmp_path: Path) -> None:
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path))

    assert Path(layout.settings().fileName()) == tmp_path / "heliograph" / "window.ini"
