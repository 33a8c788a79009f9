"""Letters that bring Alt to a control: the same one never leads to two places that can be seen."""

from __future__ import annotations

import re

MENUS = "BEAVPNH"
"""Of the menu bar: Bench, Edit, Act, View, Page, Panels, Help."""
WINDOW = MENUS + "DY"
"""Of everything around the pages: also Dismiss, of a notice, and Put away, of the panel that tells what was made safe."""


def letter(text: str) -> str:
    """Return the letter of a text with a mnemonic, as a capital; empty without one."""
    found = re.search(r"&(\S)", text.replace("&&", ""))
    return found.group(1).upper() if found else ""
