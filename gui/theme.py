"""Colours: three themes, one table of series, and the contrast that each pair must have (WCAG 2.2).

Curves differ by colour, dash and end label; states by shape, word and colour. The plain Okabe-Ito colours fail 3:1 on white, so light has darker ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

Name = Literal["light", "dark", "contrast"]
Choice = Literal["light", "dark", "contrast", "system"]
CHOICES: tuple[Choice, ...] = ("system", "light", "dark", "contrast")
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 4), (1.5, 3), (7, 3, 1.5, 3), (14, 5))
"""Of series 1 to 5 in pixels on and off: solid, dash, dot, dash-dot, long dash."""
SYMBOLS = ("o", "t", "d", "s", "+")
"""Of series 1 to 5, in pyqtgraph's letters: circle, triangle, diamond, square, cross."""


@dataclass(frozen=True, slots=True)
class Theme:
    """One set of colours, "#RRGGBB".

    ground: of the window and of plots.  base: of fields and tables.  raised: of buttons, cards and headers.  line: of borders and grids that must be seen.
    muted: text that is stale or secondary.  series: of curves; the first also means ok, the second warning.  trip, on_trip: the safe button, and its text.
    """

    name: Name
    text: str
    muted: str
    ground: str
    base: str
    raised: str
    line: str
    series: tuple[str, str, str, str, str]
    selection: str
    on_selection: str
    trip: str = "#B00020"
    on_trip: str = "#FFFFFF"
    failure: str = "#B00020"

    @property
    def ok(self) -> str:
        """Return the colour of what is as it should be."""
        return self.series[0]

    @property
    def warning(self) -> str:
        """Return the colour of what needs a look."""
        return self.series[1]

    def role(self, role: str) -> str:
        """Return the colour of a role: `ok`, `warning`, `failure`, `text`, `muted`, `third`, `fourth`, `fifth`."""
        named = {"ok": self.series[0], "warning": self.series[1], "third": self.series[2], "fourth": self.series[3], "fifth": self.series[4]}
        return named.get(role) or {"failure": self.failure, "text": self.text, "muted": self.muted}[role]

    def pairs(self) -> list[tuple[str, str, str, float]]:
        """Return what must be told apart: what it is, foreground, background, and the least contrast."""
        found = [("text", self.text, ground, 4.5) for ground in (self.ground, self.base, self.raised)]
        found += [("muted text", self.muted, ground, 4.5) for ground in (self.ground, self.base, self.raised)]
        found += [("selected text", self.on_selection, self.selection, 4.5), ("SAFE", self.on_trip, self.trip, 4.5)]
        found += [("failure", self.failure, ground, 4.5) for ground in (self.ground, self.base, self.raised)]
        found += [(f"series {number}", colour, ground, 4.5) for number, colour in enumerate(self.series, 1) for ground in (self.ground, self.base, self.raised)]
        return [*found, ("line", self.line, self.ground, 3.0), ("line on base", self.line, self.base, 3.0)]


LIGHT = Theme(
    name="light", text="#1B1B1F", muted="#5A5A62", ground="#FFFFFF", base="#FFFFFF", raised="#F4F4F6", line="#85858D",
    series=("#0072B2", "#B85000", "#007A59", "#A6487E", "#8A5E00"), selection="#0067A3", on_selection="#FFFFFF",
)  # fmt: skip
DARK = Theme(
    name="dark", text="#E6E6E6", muted="#A8ABB3", ground="#16181D", base="#1B1E24", raised="#20242B", line="#767B86",
    series=("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442"), selection="#1F5F8B", on_selection="#FFFFFF", failure="#FF7A85",
)  # fmt: skip
CONTRAST = Theme(
    name="contrast", text="#FFFFFF", muted="#D0D0D0", ground="#000000", base="#000000", raised="#000000", line="#FFFFFF",
    series=("#56C8FF", "#FFB000", "#00E6A8", "#FF9ED8", "#F0E442"), selection="#FFFF00", on_selection="#000000", failure="#FF8A94",
)  # fmt: skip
THEMES: dict[str, Theme] = {theme.name: theme for theme in (LIGHT, DARK, CONTRAST)}

_now: list[Theme] = [LIGHT]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours "#RRGGBB", 1 to 21 (WCAG 2.2, relative luminance)."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[first : first + 2], 16) / 255 for first in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def resolve(choice: str) -> Theme:
    """Return the theme of a choice; `system`, and what is not known, follows the desktop."""
    if choice in THEMES:
        return THEMES[choice]
    return DARK if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark else LIGHT


def current() -> Theme:
    """Return the theme that was applied last."""
    return _now[0]


def apply(app: QApplication, theme: Theme) -> None:
    """Give the application and its plots the colours of a theme; widgets that paint themselves are told by their page's `retheme`."""
    import pyqtgraph

    _now[0] = theme
    app.setPalette(palette(theme))
    pyqtgraph.setConfigOptions(foreground=theme.text, background=theme.ground, antialias=False)


def palette(theme: Theme) -> QPalette:
    """Return a theme as Qt wants it."""
    role = QPalette.ColorRole
    colours = {
        role.Window: theme.ground, role.WindowText: theme.text, role.Base: theme.base, role.AlternateBase: theme.raised, role.Text: theme.text,
        role.Button: theme.raised, role.ButtonText: theme.text, role.BrightText: theme.text, role.ToolTipBase: theme.raised, role.ToolTipText: theme.text,
        role.PlaceholderText: theme.muted, role.Highlight: theme.selection, role.HighlightedText: theme.on_selection, role.Link: theme.ok,
        role.LinkVisited: theme.series[3], role.Accent: theme.selection,
    }  # fmt: skip
    if theme.name == "contrast":
        # Fusion draws frames from these; black on black would hide them.
        colours |= {role.Light: theme.line, role.Midlight: theme.line, role.Mid: theme.line, role.Dark: theme.line, role.Shadow: theme.line}
    found = QPalette(QColor(theme.raised), QColor(theme.ground))
    for one, colour in colours.items():
        found.setColor(one, QColor(colour))
    for one in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        found.setColor(QPalette.ColorGroup.Disabled, one, QColor(theme.muted))
    found.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(theme.raised))
    return found


def pen(series: int, theme: Theme | None = None, *, width: float = 1.0) -> Any:
    """Return the pyqtgraph pen of a series, counted from 0: colour and dash."""
    import pyqtgraph

    colour = (theme or current()).series[series % 5]
    dash = DASHES[series % 5]
    return pyqtgraph.mkPen(colour, width=width, dash=list(dash)) if dash else pyqtgraph.mkPen(colour, width=width)
