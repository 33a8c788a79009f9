"""What would keep somebody from using a window by keyboard or by ear: names, buddies, the order of Tab, letters, sizes, cut texts, contrast."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QMainWindow,
    QMenuBar,
    QPlainTextEdit,
    QScrollBar,
    QStackedWidget,
    QTabBar,
    QWidget,
)

from . import theme
from .letters import letter

INTERACTIVE = (QAbstractButton, QAbstractItemView, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QTabBar)
LEAST_PX = 24
_PARTS = (QAbstractSpinBox, QComboBox, QTabBar, QAbstractItemView)
"""Widgets whose children belong to them and are not reached by themselves."""


def audit(root: QWidget) -> list[str]:
    """Return the findings for what can be seen of a window; an empty list is what is wanted."""
    shown = _shown(root)
    interactive = _interactive(shown)
    return [
        *(f"{_name(one)}: no accessible name" for one in interactive if not _named(one)),
        *(f"{_name(one)}: not reached by Tab" for one in interactive if one.isEnabled() and not one.focusPolicy() & Qt.FocusPolicy.TabFocus),
        *(f"{_name(one)}: {one.width()}x{one.height()} px" for one in interactive if min(one.width(), one.height()) < LEAST_PX),
        *_cut(shown),
        *_low(interactive),
        *_clipped(shown),
        *_buddies(shown),
        *ambiguous(shown),
        *_order(root, interactive),
        *contrast_findings(theme.current()),
    ]


def reachable(root: QWidget) -> list[QWidget]:
    """Return the controls that can be seen of a window and used now, to each of which Tab must come."""
    return [one for one in _interactive(_shown(root)) if one.isEnabled() and one.focusPolicy() & Qt.FocusPolicy.TabFocus]


def _shown(root: QWidget) -> list[QWidget]:
    return [one for one in [root, *root.findChildren(QWidget)] if one.isVisible() and not _is_part(one)]


def _interactive(shown: Sequence[QWidget]) -> list[QWidget]:
    return [one for one in shown if isinstance(one, INTERACTIVE) and not isinstance(one, QScrollBar)]


def _is_part(widget: QWidget) -> bool:
    """Say whether a widget is a part of a larger one, such as the line edit of a spin box."""
    above = widget.parentWidget()
    while above is not None:
        if isinstance(above, _PARTS):
            return True
        above = above.parentWidget()
    return widget.objectName().startswith("qt_")


def _named(widget: QWidget) -> bool:
    return bool(widget.accessibleName() or (isinstance(widget, QAbstractButton) and widget.text()))


def _name(widget: QWidget) -> str:
    kind = type(widget).__name__
    text = widget.text() if isinstance(widget, QAbstractButton | QLabel) else ""
    return f"{kind} {widget.accessibleName() or text or widget.objectName() or '?'!r}"


def _cut(shown: Sequence[QWidget]) -> list[str]:
    """Return labels and buttons whose text is wider or higher than they are."""
    found = []
    for one in shown:
        if not isinstance(one, QLabel | QAbstractButton) or not one.text() or one.visibleRegion().isEmpty():
            continue
        wraps = isinstance(one, QLabel) and one.wordWrap()
        text = one.text().replace("&&", "\0").replace("&", "").replace("\0", "&")
        width = max(one.fontMetrics().horizontalAdvance(line) for line in text.splitlines() or [""])
        if not wraps and width > one.width():
            found.append(f"{_name(one)}: text of {width} px in {one.width()} px")
        if wraps and one.heightForWidth(one.width()) > one.height() + 1:
            found.append(f"{_name(one)}: text of {one.heightForWidth(one.width())} px in a height of {one.height()} px")
    return found


def _low(interactive: Sequence[QWidget]) -> list[str]:
    """Return fields and buttons that are lower than their text, or whose text has no room beside it."""
    found = []
    for one in interactive:
        text = one.findChild(QLineEdit) if isinstance(one, QAbstractSpinBox) else None
        written = isinstance(one, QLineEdit | QAbstractSpinBox | QComboBox) or (isinstance(one, QAbstractButton) and bool(one.text()))
        if written and one.height() < one.fontMetrics().height():
            found.append(f"{_name(one)}: text of {one.fontMetrics().height()} px in a height of {one.height()} px")
        if text is not None and text.width() < one.width() / 2:
            found.append(f"{_name(one)}: {text.width()} px for the text of a field of {one.width()} px")
    return found


def _clipped(shown: Sequence[QWidget]) -> list[str]:
    """Return what reaches out of the widget that it lies in, and cannot be scrolled to."""
    found = []
    for one in shown:
        above = one.parentWidget()
        if above is None or one.isWindow() or isinstance(above.parentWidget(), QAbstractScrollArea) or isinstance(above, QStackedWidget | QMainWindow):
            continue
        if isinstance(one, (*INTERACTIVE, QLabel)) and not above.rect().contains(one.geometry()):
            found.append(f"{_name(one)}: {one.geometry().getRect()} in {above.width()}x{above.height()} px")
    return found


def _buddies(shown: Sequence[QWidget]) -> list[str]:
    """Return labels with a mnemonic that leads nowhere."""
    labels = [one for one in shown if isinstance(one, QLabel) and one.textFormat() != Qt.TextFormat.RichText]
    return [f"{_name(one)}: a mnemonic without a buddy" for one in labels if "&" in one.text().replace("&&", "") and one.buddy() is None]


def ambiguous(shown: Sequence[QWidget]) -> list[str]:
    """Return the letters that lead to two places, menus included: Qt goes to neither at once."""
    places: dict[str, list[str]] = {}
    for one in shown:
        texts = [action.text() for action in one.actions() if action.isVisible()] if isinstance(one, QMenuBar) else []
        if isinstance(one, QTabBar):
            texts = [one.tabText(at) for at in range(one.count())]
        elif isinstance(one, QAbstractButton) or (isinstance(one, QLabel) and one.buddy() is not None):
            texts = [one.text()]
        for text in texts:
            if letter(text):
                places.setdefault(letter(text), []).append(repr(text))
    return [f"Alt+{key} leads to {' and '.join(found)}" for key, found in sorted(places.items()) if len(found) > 1]


def _order(root: QWidget, interactive: Sequence[QWidget]) -> list[str]:
    """Return the controls that Tab does not come to, or comes to twice on its way round."""
    wanted = {id(one) for one in interactive if one.isEnabled() and one.focusPolicy() & Qt.FocusPolicy.TabFocus}
    seen: list[int] = []
    window = root.window()
    # Backwards: what the binding keeps of each `nextInFocusChain` makes it give up items of live layouts when a form dies.
    now = window.previousInFocusChain()
    for _ in range(20_000):
        if now is window or now is None:
            break
        if id(now) in wanted:
            seen.append(id(now))
        now = now.previousInFocusChain()
    named = {id(one): _name(one) for one in interactive}
    missed = [f"{named[one]}: left out by Tab" for one in sorted(wanted - set(seen), key=named.__getitem__)]
    return missed + [f"{named[one]}: visited twice by Tab" for one in sorted(set(seen), key=named.__getitem__) if seen.count(one) > 1]


def contrast_findings(now: theme.Theme) -> list[str]:
    """Return the pairs of a theme, and of the palette that is in use, that cannot be told apart."""
    found = [
        f"{now.name}, {what}: {theme.contrast(fore, back):.2f}:1 for {fore} on {back}, {least:g}:1 is needed"
        for what, fore, back, least in now.pairs()
        if theme.contrast(fore, back) < least
    ]
    colours = QApplication.palette()
    for fore, back in ((colours.windowText(), colours.window()), (colours.text(), colours.base()), (colours.buttonText(), colours.button())):
        ratio = theme.contrast(fore.color().name(), back.color().name())
        if ratio < 4.5:
            found.append(f"palette: {ratio:.2f}:1 for {fore.color().name()} on {back.color().name()}")
    return found
