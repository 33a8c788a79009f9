"""Every text of every chart can be read at any text size, in a small window, fresh and stale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QFont, QFontMetricsF
from PySide6.QtWidgets import QApplication, QWidget

from heliograph.gui.axis import Axis, apart, shortened, trimmed
from heliograph.gui.plots import Chart
from heliograph.gui.window import Window

from . import payloads
from .chart_texts import findings
from .operating import changed, made_by_hand, tell

RESULT = {"v_pi_v": 5.006, "v_pi_sigma_v": 0.004, "visibility": 0.98, "visibility_sigma": 0.002}


@pytest.fixture(scope="module")
def whole(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """One window for all sizes; to make one takes longer than to look at it."""
    with made_by_hand(tmp_path_factory.mktemp("charts"), qapp) as made:
        yield made


def in_turn(page: Any) -> Iterator[QWidget]:
    """Give all that has charts: the page, or one panel after the other where they lie on each other."""
    if not page.is_stacked:
        yield page
        return
    for dock in page.panels():
        if dock.findChild(Chart) is not None:
            dock.raise_()
            QApplication.processEvents()
            yield dock


SLOW = [pytest.param(percent, size, marks=pytest.mark.slow) for percent, size in ((150, (1280, 800)), (200, (1280, 800)), (200, (1000, 700)))]


@pytest.mark.parametrize("percent, size", [(100, (1000, 700)), *SLOW])
def test_no_text_of_a_chart_is_cut_or_lies_on_another(whole: Window, qapp: QApplication, percent: int, size: tuple[int, int]) -> None:
    page_of: Any = whole
    whole.set_text_size(percent)
    whole.resize(*size)
    found: list[str] = []
    for page in ("acquire", "key", "learning"):
        whole.show_page(page)
        for stale in (False, True):
            said = changed(7) | {"scan": payloads.scan_rows(over=True, result=RESULT)}
            tell(whole, said)
            page_of.page.stale(stale)
            for shown in in_turn(page_of.page):
                for _ in range(4):
                    whole.tick.tick()
                    QApplication.processEvents()
                found += [f"{page}{', stale' if stale else ''}: {one}" for one in findings(shown)]
    whole.set_text_size(100)

    assert found == []


def test_a_label_is_cut_in_its_name_and_never_in_its_unit(qapp: QApplication) -> None:
    metrics = QFontMetricsF(QFont())
    room = metrics.horizontalAdvance("Key r… (kbit/s)") + 1

    assert shortened("Key rate (kbit/s)", 1e3, metrics) == "Key rate (kbit/s)"
    assert shortened("Key rate (kbit/s)", room, metrics) == "Key r… (kbit/s)"
    assert shortened("Key rate (kbit/s)", 1.0, metrics) == "(kbit/s)"


def test_of_numbers_without_room_every_second_is_left_out_and_the_last_stays() -> None:
    texts: list[Any] = [(QRectF(10.0 * at, 0.0, 12.0, 5.0), None, str(at)) for at in range(5)]

    assert [text for _, _, text in apart(texts, 1.0, upright=False)] == ["4", "2", "0"]
    assert len(apart(texts[:1], 1.0, upright=False)) == 1


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(0.0, 0.3, ["0.00", "0.10", "0.20", "0.05", "0.15", "0.25"]), (-0.32, 0.06, ["-0.30", "-0.20", "-0.10", "0.00", "-0.25", "-0.15", "-0.05", "0.05"]),
     (0.0, 290_000.0, ["0", "100\u2009000", "200\u2009000", "50\u2009000", "150\u2009000", "250\u2009000"])],
)  # fmt: skip
def test_numbers_of_an_axis_have_equally_many_decimals_and_spaces_between_thousands(qapp: QApplication, low: float, high: float, told: list[str]) -> None:
    axis = Axis("left")
    axis.setStyle(maxTickLevel=1)

    levels = axis.tickValues(low, high, 200.0)

    assert [text for spacing, values in levels for text in axis.tickStrings(values, 1.0, spacing)] == told


def test_zeros_that_all_numbers_of_an_axis_end_with_are_left_out() -> None:
    def shown(*texts: str) -> list[str]:
        return [text for _, _, text in trimmed([(QRectF(), None, text) for text in texts])]

    assert shown("1.00", "0.50") == ["1.0", "0.5"]
    assert shown("1.0", "-2.0") == ["1", "-2"]
    assert shown("100", "1.0") == ["100", "1.0"]
    assert shown() == []
