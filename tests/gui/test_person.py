"""Somebody in front of a window looks at that one, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QPushButton

from heliograph.core.errors import BenchError
from heliograph.gui.window import Window

from .conftest import OfflineDesk
from .frames import PAGES
from .person import Person


@pytest.fixture
def other(window: Any, qtbot: Any, tmp_path: Path) -> Iterator[Window]:
    """A second window beside the first, which is older and was in front last."""
    desk = OfflineDesk(QSettings(str(tmp_path / "other.ini"), QSettings.Format.IniFormat))
    made = Window(desk, pages=PAGES)
    made.tabs.show()
    made.show_page("rates")
    made.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    yield made
    made.leave()


def tabbed(window: Any) -> list[QPushButton]:
    """Lay two more panels on each other; return what is in them."""
    page, made = window.page, [QPushButton("Three"), QPushButton("Four")]
    first, second = (page.panel(one.text(), one) for one in made)
    page.tabifyDockWidget(first, second)
    first.raise_()
    QTest.qWait(20)
    return made


def test_panels_come_to_the_front_in_the_window_that_is_looked_at(window: Any, other: Window) -> None:
    mine, theirs = tabbed(other), tabbed(window)

    Person(other).tab("Panels", "Four")
    QTest.qWait(20)

    assert not mine[1].visibleRegion().isEmpty()
    assert theirs[1].visibleRegion().isEmpty()


def test_keys_come_to_the_window_that_is_looked_at(window: Any, other: Window) -> None:
    Person(other).page(2)

    assert (other.page.NAME, window.page.NAME) == ("other", "rates")  # type: ignore[union-attr]


def test_what_is_in_front_of_everything_is_seen_and_what_is_in_another_window_is_not(window: Any, other: Window) -> None:
    (button, _), person = tabbed(window), Person(other)
    assert not person.sees(button.text())
    with pytest.raises(BenchError, match="0 controls are called 'Three'"):
        person.click("Three")

    person.key(Qt.Key.Key_O, control=True)
    person.until(lambda: isinstance(QApplication.activeWindow(), QFileDialog), "the dialog")
    person.key(Qt.Key.Key_Escape)

    assert not isinstance(QApplication.activeWindow(), QFileDialog)
