"""Names with values beside them, or below them where the text is large and the panel narrow."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFormLayout, QLabel, QWidget

from ..badges import Value, plain
from ..guarded import guarded

_SHORT = 20
"""Characters of a value that may stand beside its name."""


class Lines(QWidget):
    """Names and widgets in two columns; in one, each widget below its name, where the longest of both do not fit beside each other.

    Qt's own form layout looks at each row alone, and cuts some off.  title: accessible name of the list.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setAccessibleName(title)
        self._pairs: list[tuple[QLabel, QWidget]] = []
        self._wide: list[QWidget] = []
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)

    def add_line(self, name: str, widget: QWidget) -> None:
        """Add a name and its widget."""
        label = plain(name)
        self._form.addRow(label, widget)
        self._pairs.append((label, widget))

    def add_wide(self, widget: QWidget) -> None:
        """Add a widget that takes the whole width."""
        self._form.addRow(widget)
        self._wide.append(widget)

    def clear(self) -> None:
        """Take all lines out."""
        while self._form.rowCount():
            self._form.removeRow(0)
        self._pairs, self._wide = [], []

    def wrap(self) -> None:
        """Choose between one column and two."""
        names = max((label.sizeHint().width() for label, _ in self._pairs), default=0)
        widgets = max((widget.sizeHint().width() for _, widget in self._pairs), default=0)
        fits = names + max(self._form.horizontalSpacing(), 0) + widgets <= self.width()
        policy = QFormLayout.RowWrapPolicy.DontWrapRows if fits else QFormLayout.RowWrapPolicy.WrapAllRows
        if policy != self._form.rowWrapPolicy():
            self._form.setRowWrapPolicy(policy)

    def event(self, event: QEvent) -> bool:
        """Choose again when a value has become longer, or the text larger."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.FontChange):
            self.wrap()
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Choose again."""
        super().resizeEvent(event)
        self.wrap()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the width of the longest name or widget: it can be made narrower than both together."""
        shown = [*(one for pair in self._pairs for one in pair), *self._wide]
        return QSize(max((_least(one) for one in shown), default=0), super().minimumSizeHint().height())


def _least(widget: QWidget) -> int:
    """Return the width that a widget must have: what it asks for, but a label that wraps can be narrower."""
    wraps = isinstance(widget, QLabel) and widget.wordWrap()
    return widget.minimumSizeHint().width() if wraps else widget.sizeHint().width()


class Facts(Lines):
    """Names and values as text; long values stand below their names."""

    def __init__(self, title: str) -> None:
        super().__init__(title)
        self._values: dict[str, Value] = {}
        self._shape: list[tuple[str, bool]] = []

    @guarded
    def show_facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Show these; where the names are those of before only the values change."""
        shape = [(name, len(text) > _SHORT) for name, text in facts]
        if shape != self._shape:
            self._begin(shape)
        for name, text in facts:
            self._values[name].show_text(text)

    def facts(self) -> list[tuple[str, str]]:
        """Return what is shown."""
        return [(name, value.text()) for name, value in self._values.items()]

    def _begin(self, shape: list[tuple[str, bool]]) -> None:
        self.clear()
        self._shape, self._values = shape, {name: Value(name) for name, _ in shape}
        for name, long in shape:
            if long:
                self._values[name].setWordWrap(True)
                self.add_wide(plain(name))
                self.add_wide(self._values[name])
            else:
                self.add_line(name, self._values[name])
