"""What goes wrong in one figure stays in it."""

from __future__ import annotations

import importlib
import pkgutil

from PySide6.QtWidgets import QWidget

from heliograph.gui import figures


def test_every_figure_marks_itself_where_it_cannot_draw():
    modules = [importlib.import_module(f"{figures.__name__}.{one.name}") for one in pkgutil.iter_modules(figures.__path__)]
    kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__}
    draws = {f"{kind.__name__}.{name}": act for kind in kinds if issubclass(kind, QWidget) for name, act in vars(kind).items() if name.startswith("show_")}

    assert len(draws) > 20
    assert [name for name, act in draws.items() if not hasattr(act, "__wrapped__")] == []
