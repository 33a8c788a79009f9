"""Every page is drawn again and again with other numbers: no reference to None is lost, which some bindings do and which ends the interpreter."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QApplication

from heliograph.gui.window import Window

from .operating import PAGES, changed, made_by_hand, page_of, tell

WARM = 10


@pytest.fixture(scope="module")
def window(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with made_by_hand(tmp_path_factory.mktemp("window"), qapp) as made:
        yield made


def repainted(window: Window, name: str, times: int) -> int:
    """Draw a page so often; return by how much the references to None have fallen since the first ten."""
    page = page_of(window, name)
    before = 0
    for number in range(WARM + times):
        if number == WARM:
            before = sys.getrefcount(None)
        tell(window, changed(number))
        page.repaint()
        QApplication.processEvents()
    return before - sys.getrefcount(None)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_drawn_again_and_again_and_loses_no_reference(window: Window, name: str) -> None:
    # One lost with every second drawing would be seen; with the binding that is at fault it is eleven with each curve.
    assert repainted(window, name, 30) < 15


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_drawn_two_thousand_times_and_loses_no_reference(window: Window, name: str) -> None:
    assert repainted(window, name, 2000) < 100
