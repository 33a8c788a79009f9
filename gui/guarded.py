"""A widget that cannot draw what it was given says so in its own place, and the others go on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

log = logging.getLogger(__name__)

P = ParamSpec("P")
W = TypeVar("W", bound=QWidget)
ERROR = "display error"
_MARK = "display-error"


_failing: WeakKeyDictionary[object, set[str]] = WeakKeyDictionary()
"""What of each widget went wrong when it was last called."""


def guarded(method: Callable[Concatenate[W, P], Any]) -> Callable[Concatenate[W, P], None]:
    """Wrap a widget's method that draws: what goes wrong in it is logged once and marked on the widget, until a later call succeeds."""

    @functools.wraps(method)
    def draw(self: W, /, *args: P.args, **named: P.kwargs) -> None:
        attempt(self, method.__name__, lambda: method(self, *args, **named))

    return draw


def attempt(one: object, what: str, act: Callable[[], Any]) -> None:
    """Do something for a widget, or for what has none; if it goes wrong, log it once and mark the widget, until the same succeeds.  what: its name."""
    try:
        act()
    except Exception as error:  # noqa: BLE001
        # Data come from elsewhere: one chart that cannot show them must not take the safe button away.
        mark(one, error)
        _failing.setdefault(one, set()).add(what)
    else:
        wrong = _failing.get(one)
        if wrong is not None and what in wrong:
            wrong.discard(what)
            if not wrong:
                del _failing[one]
                unmark(one)


def mark(one: object, error: Exception) -> None:
    """Show over a widget that it could not draw, and log why, once until it can again; of what is no widget it is logged alone."""
    if marked(one):
        return
    name = one.accessibleName() if isinstance(one, QWidget) else ""
    log.error("%s: %s (%s: %s)", name or type(one).__name__, ERROR, type(error).__name__, error)
    if isinstance(one, QWidget):
        label = QLabel(ERROR, one)
        label.setObjectName(_MARK)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setAutoFillBackground(True)
        label.setFrameShape(QLabel.Shape.Box)
        label.setMargin(4)
        label.adjustSize()
        label.move(8, 8)
        label.show()


def unmark(one: object) -> None:
    """Take the mark away."""
    label = _label(one)
    if label is not None:
        label.setParent(None)
        label.deleteLater()


def marked(one: object) -> bool:
    """Say whether a widget shows that it could not draw, or whether something without a widget fails."""
    return _label(one) is not None if isinstance(one, QWidget) else one in _failing


def _label(one: object) -> QLabel | None:
    return one.findChild(QLabel, _MARK, Qt.FindChildOption.FindDirectChildrenOnly) if isinstance(one, QWidget) else None
