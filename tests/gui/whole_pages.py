"""One page for all tests of a module, quiet again before each, and the look at it in another theme and text size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QSettings
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication

from heliograph.gui import hold, theme
from heliograph.gui.audit import audit
from heliograph.gui.pages.page import Page
from heliograph.gui.plots import Chart

from .conftest import OfflineDesk
from .finding import clipped

LOOKS = [("light", 1.0), ("dark", 1.5), ("contrast", 2.0)]
"""Themes and text sizes in which a page is looked at."""


@contextmanager
def kept(kind: Callable[[Any], Any], qapp: QApplication, folder: Path, size: tuple[int, int], forms: tuple[Any, ...]) -> Iterator[Any]:
    """Show a page at a size (px) on an offline desk: to make one takes longer than to use it.  forms: procedures that are offered."""
    qapp.setStyle("Fusion")
    theme.apply(qapp, theme.THEMES["light"])
    desk = OfflineDesk(QSettings(str(folder / "window.ini"), QSettings.Format.IniFormat))
    desk.answers.replies["procedures"] = forms
    page = kind(desk)
    page.resize(*size)
    page.show()
    page.shown_first()
    yield page
    page.close()
    desk.close()


def quieten(page: Any, forms: tuple[Any, ...], live: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring a page to a quiet moment: controlled, everything live, nothing asked yet.  live: payloads by topic."""
    monkeypatch.setattr(hold, "HOLD_MS", 40)
    page.desk.answers.asked.clear()
    page.desk.answers.replies = {"procedures": forms}
    page.desk.notices.clear()
    page.desk.set_control(True)
    page.activateWindow()
    for topic, payload in live.items():
        page.desk.inject(topic, payload)
        if topic in page.TOPICS:
            page.redraw(topic, payload)
    page.stale(False)
    page.desk.ticked.emit()
    QApplication.processEvents()


def look(page: Page, qapp: QApplication, name: str, scale: float, payloads: Mapping[str, Any]) -> None:
    """Find nothing cut off, unnamed or without units on a page in a theme and at a text size.  payloads: by topic, those with the most to say."""
    before = qapp.font()
    larger = QFont(before)
    larger.setPointSizeF(10.0 * scale)
    try:
        qapp.setFont(larger)
        theme.apply(qapp, theme.THEMES[name])
        for topic, payload in payloads.items():
            page.redraw(topic, payload)
        page.retheme()
        page.desk.ticked.emit()
        for _ in range(4):
            QApplication.processEvents()

        assert clipped(page) == []
        assert audit(page) == []
        assert all(chart.plot.getAxis(side).labelString() for chart in page.findChildren(Chart) for side in ("bottom", "left"))
    finally:
        qapp.setFont(before)
        theme.apply(qapp, theme.THEMES["light"])
        page.retheme()
