"""A widget that cannot draw what it was given says so in its own place, and the others go on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

log = logging.getLogger(__name__)

P = ParamSpec("P")
W = TypeVar("W", bound=QWidget)
ERROR = "display error"
_MARK = "display-error"


def guarded(method: Callable[Concatenate[W, P], Any]) -> Callable[Concatenate[W, P], None]:
    """Wrap a widget's method that draws: what goes wrong in it is logged once and marked on the widget, until a later call succeeds."""

    @functools.wraps(method)
    def draw(self: W, /, *args: P.args, **named: P.kwargs) -> None:
        try:
            method(self, *args, **named)
        except Exception as error:  # noqa: BLE001
            # Data come from elsewhere: one chart that cannot show them must not take the safe button away.
            mark(self, error)
        else:
            unmark(self)

    return draw


def mark(widget: QWidget, error: Exception) -> None:
    """Show over a widget that it could not draw, and log why, once until it can again."""
    label = widget.findChild(QLabel, _MARK, Qt.FindChildOption.FindDirectChildrenOnly)
    if label is None:
        log.error("%s: %s (%s: %s)", widget.accessibleName() or type(widget).__name__, ERROR, type(error).__name__, error)
        label = QLabel(ERROR, widget)
        label.setObjectName(_MARK)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setAutoFillBackground(True)
        label.setFrameShape(QLabel.Shape.Box)
        label.setMargin(4)
        label.adjustSize()
        label.move(8, 8)
        label.show()


def unmark(widget: QWidget) -> None:
    """Take the mark away."""
    label = widget.findChild(QLabel, _MARK, Qt.FindChildOption.FindDirectChildrenOnly)
    if label is not None:
        label.setParent(None)
        label.deleteLater()


def marked(widget: QWidget) -> bool:
    """Say whether a widget shows that it could not draw."""
    return widget.findChild(QLabel, _MARK, Qt.FindChildOption.FindDirectChildrenOnly) is not None
