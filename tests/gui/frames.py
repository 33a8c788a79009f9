"""A window around small pages, without a bench, and how tests act on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from heliograph.gui.pages.page import BOTTOM, Page


class Rates(Page):
    """A small page, of which the first panel breaks where it is told to."""

    NAME: ClassVar[str] = "rates"
    TITLE: ClassVar[str] = "Rates"
    TOPICS: ClassVar[frozenset[str]] = frozenset({"counts", "event"})

    def __init__(self, desk: Any) -> None:
        super().__init__(desk)
        self.drawn: list[Any] = []
        self.label, self.field = QLabel("rate"), QLineEdit()
        self.field.setAccessibleName("Filter")
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.addWidget(self.label)
        column.addWidget(self.field)
        self.panel("One", inside)
        other = QPushButton("&Other")
        self.panel("Two", other, BOTTOM)

    def redraw(self, topic: str, payload: Any) -> None:
        if payload == "broken":
            raise ValueError("no such data")
        self.drawn.append((topic, payload))

    def filter_field(self) -> QWidget:
        return self.field


class Other(Rates):
    NAME: ClassVar[str] = "other"
    TITLE: ClassVar[str] = "Other"


PAGES: list[type[Page]] = [Rates, Other]


class Presses:
    """A guard that only counts."""

    def __init__(self) -> None:
        self.n = 0
        self.attending: list[bool] = []
        self.went = 0

    def make_safe(self, line: Any) -> dict[str, Any]:
        self.n += 1
        reports = [{"name": "laser", "state": "CONFIRMED", "detail": ""}, {"name": "voa_in", "state": "SENT", "detail": "moving"}]
        return {"by": "owner", "cause": "asked for by process 1", "reports": reports}

    def attend(self, on: bool) -> None:
        self.attending.append(on)

    def goes(self) -> None:
        self.went += 1

    def rescued(self) -> None:
        return None

    def close(self) -> None:
        """Nothing is open."""


def tell(window: Any, **payloads_by_topic: Any) -> None:
    for topic, payload in payloads_by_topic.items():
        window.desk.inject(topic, payload)
    window.tick.tick()


def presses(window: Any) -> int:
    return int(window.safety.guard.n)


def native(window: QWidget, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """Press a key as the system does: it comes to the window, not to a widget."""
    QTest.keyClick(window.windowHandle(), key, modifiers)
    QApplication.processEvents()


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now
