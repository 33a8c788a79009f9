"""Every page for keyboard, ear and eye: nothing without a name, cut off, left out by Tab, or hard to tell apart, in every theme and text size."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QRect
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QWidget

from heliograph.gui import access, audit, letters
from heliograph.gui.plots import Chart
from heliograph.gui.window import Window

from . import payloads
from .finding import clipped
from .operating import PAGES, made_by_hand, page_of, states, tell

WORDS = {
    "bench": ("laser", "Arming", "Optical path"),
    "acquire": ("Count rates", "Arrivals", "Scan", "Coincidences"),
    "key": ("QBER", "Gain", "Key stores", "Sifted"),
    "learning": ("Accuracy", "Loss", "Clients"),
    "queue": ("Key exchange", "Count rates"),
    "log": ("Events", "no answer in 0.5 s"),
    "runs": (payloads.RUN,),
}
LOOKS = [("light", 100), ("dark", 200)]
EVERY_LOOK = [look for look in itertools.product(("light", "dark", "contrast"), (100, 150, 200)) if look not in LOOKS]


@pytest.fixture(scope="module")
def window(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    with made_by_hand(tmp_path_factory.mktemp("window"), qapp) as made:
        tell(made, states())
        made.desk.inject("event", payloads.event())
        made.first_light.put_away()
        yield made


def dress(window: Window, theme: str, size: int) -> None:
    window.desk.settings.setValue("appearance/text", size)
    window.set_theme(theme)


def colours(window: Window) -> int:
    image = window.grab().toImage()
    return len({image.pixel(x, y) for x in range(0, image.width(), 3) for y in range(0, image.height(), 3)})


def overlapping(window: Window) -> list[str]:
    """Return the items of the strip that lie on each other, or outside of it."""
    items = [one for one in (*window.strip.items(), window.strip.safe) if one.isVisible()]
    boxes = {one.accessibleName(): QRect(one.mapTo(window.strip, QPoint(0, 0)), one.size()) for one in items}
    outside = [name for name, box in boxes.items() if not window.strip.rect().contains(box)]
    return outside + [f"{one} on {other}" for (one, a), (other, b) in itertools.combinations(boxes.items(), 2) if a.intersects(b)]


def findings(window: Window, name: str) -> list[str]:
    page = page_of(window, name)
    QTest.qWait(30)
    texts = " ".join(access.texts(page))
    missing = [f"{name}: no {word!r} in the texts" for word in WORDS[name] if word not in texts]
    return [*(f"{name}: {one}" for one in (*audit.audit(window), *clipped(window), *overlapping(window))), *missing]


def examine(window: Window, look: tuple[str, int]) -> None:
    dress(window, *look)
    found = [one for name in PAGES for one in findings(window, name)]
    assert not found, "\n".join(found)
    assert colours(window) >= 3


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_findings(window: Window, look: tuple[str, int]) -> None:
    examine(window, look)


@pytest.mark.slow
@pytest.mark.parametrize("look", EVERY_LOOK)
def test_no_page_has_findings_in_any_other_look(window: Window, look: tuple[str, int]) -> None:
    examine(window, look)


def seen_px(widget: QWidget) -> int:
    """Return the height of what can be seen of a widget without scrolling."""
    rect, above = widget.rect().translated(widget.pos()), widget.parentWidget()
    while above is not None:
        rect = (rect & above.rect()).translated(above.pos())
        above = None if above.isWindow() else above.parentWidget()
    return rect.height()


def nested(page: QWidget) -> list[str]:
    """Return what scrolls inside of something that scrolls the same way."""
    areas = [one for one in page.findChildren(QAbstractScrollArea) if not one.visibleRegion().isEmpty()]
    found = []
    for one, other in itertools.permutations(areas, 2):
        if one.isAncestorOf(other) and one.verticalScrollBar().isVisible() and other.verticalScrollBar().isVisible():
            found.append(f"{other.accessibleName() or type(other).__name__} in {type(one).__name__}")
    return found


@pytest.mark.parametrize("name", PAGES)
def test_large_text_in_a_common_window_leaves_charts_their_height_and_nothing_scrolls_twice(window: Window, name: str) -> None:
    if window.text_size != 200:
        dress(window, "light", 200)
    page: Any = page_of(window, name)
    assert page.is_stacked
    found = []
    for dock in page.panels():
        dock.raise_()
        QApplication.processEvents()
        found += [f"{dock.windowTitle()}: {one}" for one in nested(dock)]
        found += [f"{one.name}: {seen_px(one)} px" for one in dock.findChildren(Chart) if one.isVisible() and seen_px(one) < one.minimumHeight()]

    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_panel_can_be_read_when_it_is_brought_to_the_front(window: Window, name: str) -> None:
    dress(window, "light", 150)
    page: Any = page_of(window, name)
    found = []
    for dock in page.panels():
        dock.raise_()
        QTest.qWait(10)
        found += [f"{dock.windowTitle()}: {one}" for one in audit.audit(window)]
    page.default_layout()
    assert not found, "\n".join(found)


def test_a_letter_leads_to_one_place_on_every_page_whatever_stands_above_it(window: Window) -> None:
    window.desk.notice("something was refused")
    window.safe_panel.asked(["laser", "voa_in"])
    window.first_light.show()
    found = []
    for name in PAGES:
        page: Any = page_of(window, name)
        if name == "queue":
            page.composer.begin(payloads.queue_row(job=8, state="queued", procedure="PhaseScan"))
        found += [f"{name}: {one}" for one in audit.ambiguous([one for one in window.findChildren(QWidget) if one.isVisible()])]
        if name == "queue":
            page.composer.leave()
    for above in (window.notices, window.safe_panel, window.first_light):
        above.hide()

    assert found == []
    assert "".join(letters.letter(action.text()) for action in window.menuBar().actions()) == letters.MENUS


def test_what_must_not_be_missed_is_announced(window: Window) -> None:
    said: list[str] = []
    window.desk.announced.connect(said.append)
    tell(window, {"queue": payloads.queue_state(rows=(payloads.queue_row(),)), "stores": payloads.store_states(stores=(payloads.store_state(),))})

    tell(window, {"safety": payloads.safety(state="TRIPPED", cause="VOA A lost")})
    tell(window, {"queue": payloads.queue_state(rows=(payloads.queue_row(state="failed", why="tagger: gone"),))})
    tell(window, {"stores": payloads.store_states(stores=(replace(payloads.store_state(), spendable=8_000),))})

    assert [text for text in said if not text.startswith("Made safe")] == [
        "Safety: tripped, cause VOA A lost",
        "Phase scan, job 7, failed: tagger: gone",
        "The key store of pair A-B is below its reserve: 8\u2009000 bits are left",
    ]


def test_another_theme_keeps_data_and_layout(window: Window) -> None:
    dress(window, "light", 100)
    page: Any = page_of(window, "acquire")
    tell(window, states())
    QTest.qWait(50)

    def seen() -> tuple[list[Any], list[str]]:
        docks = [(dock.windowTitle(), page.dockWidgetArea(dock), dock.isVisible(), dock.isFloating()) for dock in page.panels()]
        return docks, [text for text in access.texts(page) if "data" not in text]

    before = seen()
    dress(window, "dark", 100)
    QTest.qWait(50)

    assert seen() == before
