"""Buttons that say why they cannot be used now."""

from __future__ import annotations

from PySide6.QtWidgets import QAbstractButton

from .badges import tip


def offer(button: QAbstractButton, why_not: str, about: str = "") -> None:
    """Offer a button, or say why not.  why_not: empty where it can be used.  about: what it does."""
    told = f"Not now: {why_not}" if why_not else about
    button.setEnabled(not why_not)
    button.setToolTip(tip(told))
    button.setAccessibleDescription(told)
