"""Texts that come with data stand as they are, everywhere in the window: no tool tip, label, table, chart or report reads markup in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QAction, QTextDocument
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QGraphicsTextItem,
    QGraphicsView,
    QLabel,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from heliograph.gui.badges import tip
from heliograph.gui.window import Window

from . import operating

MARK = "<b>zq</b>&lt;"
READ = "zq"
KEPT = {
    "state",
    "severity",
    "lane",
    "kind",
    "source",
    "mode",
    "stage",
    "unit",
    "role",
    "controller",
    "asked",
    "member",
    "default",
    "procedure",
    "sha256",
    "path",
}
"""Words of our own, numbers, and what is looked up by its name."""


def marked(value: Any, name: str = "") -> Any:
    """Return a payload with markup in each of its texts."""
    if isinstance(value, str):
        return f"{value}{MARK}" if value and name not in KEPT else value
    if isinstance(value, tuple | list):
        return type(value)(marked(one, name) for one in value)
    if isinstance(value, dict):
        keep = all(isinstance(key, str) and key.isidentifier() for key in value) and "state" in value
        return {key if keep else marked(key): marked(one, key if keep else "") for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: marked(getattr(value, one.name), one.name) for one in fields(value)})
    return value


def read(text: str) -> bool:
    """Say whether markup in a text was read; its end may be cut off."""
    return text.count(READ) != text.count(f"<b>{READ}")


def shown(text: str) -> str:
    """Return what Qt shows of a text that it may take for markup."""
    if not Qt.mightBeRichText(text):  # type: ignore[attr-defined]
        return text
    document = QTextDocument()
    document.setHtml(text)
    return document.toPlainText()


def texts(window: QWidget) -> Iterator[tuple[str, str]]:
    """Yield where every text of a window stands, and what is shown of it."""
    for widget in (window, *window.findChildren(QWidget)):
        where = f"{type(widget).__name__} {widget.accessibleName()[:40]!r}"
        yield f"tool tip of {where}", shown(widget.toolTip())
        if isinstance(widget, QLabel):
            yield where, widget.text() if widget.textFormat() == Qt.TextFormat.PlainText else shown(widget.text())
        elif isinstance(widget, QTextEdit | QPlainTextEdit):
            yield where, widget.toPlainText()
        elif isinstance(widget, QGraphicsView) and widget.scene() is not None:
            yield from ((where, one.toPlainText()) for one in widget.scene().items() if isinstance(one, QGraphicsTextItem))
        elif isinstance(widget, QAbstractItemView) and (model := widget.model()) is not None:
            for row in range(model.rowCount(QModelIndex())):
                for column in range(model.columnCount(QModelIndex())):
                    yield f"tool tip in {where}", shown(str(model.index(row, column).data(Qt.ItemDataRole.ToolTipRole) or ""))
    for action in window.findChildren(QAction):
        yield f"tool tip of {action.text()}", shown(action.toolTip())


@pytest.fixture
def window(tmp_path: Path, qapp: QApplication) -> Iterator[Window]:
    with operating.made_by_hand(tmp_path, qapp) as made:
        made.desk.answers.replies |= marked(operating.REPLIES)  # type: ignore[attr-defined]
        yield made


def test_no_text_of_the_bench_is_read_as_markup(window: Window) -> None:
    told = {topic: marked(payload) for topic, payload in operating.states().items()}
    found = 0
    window.desk.set_control(False, marked("somebody looks"))
    window.desk.notice(marked("The laser is lost."))
    for page in window.pages:
        window.show_page(page.NAME)
        operating.tell(window, told)
        QApplication.processEvents()
        told_here = list(texts(window))
        assert [(where, text) for where, text in told_here if read(text)] == [], page.NAME
        found += sum(READ in text for _, text in told_here)
    assert found > 500, "the markup has to arrive"


@pytest.mark.parametrize("text", [MARK, "a < b", "<i>", "&lt;script&gt;", "<?xml", "a & b", "plain"])
def test_a_tool_tip_shows_its_text_as_it_is(text: str) -> None:
    assert shown(tip(text)) == text
