"""Acts of the page Bench for its menu: those of its panels, and those of the card with the focus."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QPushButton

from ..arming import Arming
from ..arming_rows import ROWS
from ..cards import ACTS, Card, Cards
from ..station_editor import StationEditor
from .page import Page

_OF_CARD = {
    "Home": ("Ho&me the instrument", "Ctrl+Alt+H"),
    "Working point": ("Find the &working point of the bias controller", "Ctrl+Alt+W"),
    "Set up inputs": ("Set &up the inputs of the tagger", "Ctrl+Alt+U"),
}
_OF_FILE = {
    "Open a station file": ("&Open a station file in the editor…", "Ctrl+Alt+O"),
    "Read the station file anew": ("Read the station file a&new", "Ctrl+Alt+R"),
    "Check the station file": ("C&heck the station file", "Ctrl+Alt+K"),
    "Save the station file": ("Sa&ve the station file", "Ctrl+Alt+S"),
}


def add_file_acts(page: Page, editor: StationEditor) -> None:
    """List what the editor of the station file does."""
    for name, button in editor.buttons.items():
        text, key = _OF_FILE[name]
        page.action(text, partial(_press, page, button, "The station file"), key)


def add_arming_acts(page: Page, arming: Arming, show: Callable[[], object]) -> None:
    """List the rows of arming, each of which leads to its button, for some are held; and the end of the way down.  show: brings the panel up."""

    def go_to(button: QPushButton) -> None:
        show()
        button.setFocus(Qt.FocusReason.ShortcutFocusReason)

    for at, (row, step) in enumerate(zip(ROWS, arming.steps, strict=True), 1):
        page.action(f"Start row &{at}: {row.title} (go to its button)", partial(go_to, step.button), f"Ctrl+Shift+{at}")
    page.action("S&top lowering", partial(_press, page, arming.stop, "Lowering"), "Ctrl+Shift+W")


def add_card_acts(page: Page, cards: Cards) -> None:
    """List what cards do: it is done to the instrument of the card with the focus, or else of the one that the drawing led to."""

    def act(find: Callable[[Card], QPushButton | None]) -> None:
        card = _card(cards)
        if card is None:
            page.desk.notice("Put the focus on the card of an instrument first, or choose it in the drawing.")
        else:
            _press(page, find(card), card.name)

    for text in sorted({text for acts in ACTS.values() for text, _, _ in acts}):
        told, key = _OF_CARD[text]
        page.action(told, partial(act, partial(_button, text)), key)
    page.action("Make the instrument sa&fe", partial(act, lambda card: card.safe), "Ctrl+Alt+F")
    page.action("Re&lease the instrument for service, or take it back", partial(act, lambda card: card.service), "Ctrl+Alt+V")


def _card(cards: Cards) -> Card | None:
    focus = QApplication.focusWidget()
    every = cards.grid.cards.values()
    return next((card for card in every if focus is not None and card.isAncestorOf(focus)), None) or next((card for card in every if card.marked), None)


def _button(text: str, card: Card) -> QPushButton | None:
    return next((button for button in card.buttons if button.text() == text and not button.isHidden()), None)


def _press(page: Page, button: QPushButton | None, what: str) -> None:
    """Press a button, or say why that cannot be done."""
    if button is None:
        page.desk.notice(f"{what} has no such act now.")
    elif button.isEnabled():
        button.click()
    else:
        page.desk.notice(f"{what}: {button.accessibleName().lower()} is not possible now. {button.toolTip()}".strip())
