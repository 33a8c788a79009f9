"""The edges of controls. Fusion derives them from the ground, by less than 3:1 on white and not at all on black; here they have a colour of the theme."""

from __future__ import annotations

from pathlib import Path

from .theme import Theme

_SHEET = """
QPushButton {{ background: {raised}; color: {text}; border: 1px solid {line}; border-radius: 3px; padding: 3px 10px; min-height: {button}px; }}
QPushButton:hover {{ border-color: {ok}; }}
QPushButton:pressed, QPushButton:checked {{ background: {selection}; color: {on_selection}; }}
QPushButton:disabled {{ color: {muted}; border-style: dashed; }}
QPushButton:focus {{ border: 2px solid {ok}; padding: 2px 9px; }}
QLineEdit, QAbstractSpinBox, QPlainTextEdit, QTextEdit {{ border: 1px solid {line}; border-radius: 3px; padding: 1px 4px; background: {base}; }}
QLineEdit, QAbstractSpinBox, QComboBox {{ min-height: {field}px; }}
QLineEdit:focus, QAbstractSpinBox:focus, QPlainTextEdit:focus, QTextEdit:focus {{ border: 2px solid {ok}; padding: 0px 3px; }}
QAbstractSpinBox QLineEdit {{ border: none; background: transparent; padding: 0px 5px; min-height: 0px; }}
QTableView, QListView, QTreeView {{ border: 1px solid {line}; background: {base}; gridline-color: {line}; }}
QTableView:focus, QListView:focus, QTreeView:focus {{ border: 2px solid {ok}; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{ subcontrol-origin: border; width: 0px; }}
QComboBox {{ border: 1px solid {line}; border-radius: 3px; padding: 1px 4px; background: {raised}; color: {text}; }}
QComboBox:focus {{ border: 2px solid {ok}; padding: 0px 3px; }}
QComboBox:disabled {{ color: {muted}; }}
QComboBox::drop-down {{ border: none; width: 18px; }}
QComboBox::down-arrow {{ image: url({arrow}); width: 11px; height: 11px; }}
QHeaderView::section {{ background: {raised}; color: {text}; border: none; border-right: 1px solid {line}; border-bottom: 1px solid {line}; padding: 3px 6px; }}
QCheckBox::indicator {{ width: {side}px; height: {side}px; border: 1px solid {line}; border-radius: 2px; background: {base}; }}
QCheckBox::indicator:checked {{ background: {selection}; image: url({tick}); }}
QCheckBox:focus {{ color: {ok}; }}
QTabBar::tab {{ background: {raised}; color: {text}; border: 1px solid {line}; border-bottom: none; padding: 5px 12px; margin-right: 2px; }}
QTabBar::tab:selected {{ background: {ground}; border-top: 3px solid {ok}; padding-top: 3px; }}
QTabBar::tab:focus {{ border-color: {ok}; }}
QMenu {{ border: 1px solid {line}; background: {raised}; color: {text}; }}
QMenu::item:selected {{ background: {selection}; color: {on_selection}; }}
QMenu::item:disabled {{ color: {muted}; }}
QToolTip {{ border: 1px solid {line}; background: {raised}; color: {text}; padding: 3px; }}
Strip, SafePanel, Notices, FirstLight, SmallStrip {{ border: 1px solid {line}; border-radius: 3px; }}
"""


def sheet(theme: Theme, line: int) -> str:
    """Return the style sheet of a theme.  line: height of a line of text, pixels; a height that is given here counts more than what a widget asks for."""
    here = Path(__file__).parent
    colours = {name: getattr(theme, name) for name in ("text", "muted", "ground", "base", "raised", "line", "selection", "on_selection", "ok")}
    tick = here / ("tick-black.svg" if theme.on_selection == "#000000" else "tick-white.svg")
    arrow = here / ("arrow-dark.svg" if theme.name == "light" else "arrow-light.svg")
    sizes = {"side": max(14, line - 2), "button": max(16, line), "field": max(20, line + 2)}
    return _SHEET.format(**colours, **sizes, tick=tick.as_posix(), arrow=arrow.as_posix())
