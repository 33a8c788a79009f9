"""A label and its field as one, so that they are not parted at the end of a line."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from .badges import plain


def labelled(label: str, field: QWidget) -> QWidget:
    """Return a label with its field.  label: with its mnemonic."""
    whole = QWidget()
    layout = QHBoxLayout(whole)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(plain(label, buddy=field))
    layout.addWidget(field)
    return whole
