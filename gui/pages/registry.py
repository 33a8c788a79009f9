"""The pages, in the order of their keys Ctrl+1, Ctrl+2 and so on. A new page is one line here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .page import Page

PAGES: tuple[str, ...] = ("bench", "acquire", "key", "learning", "run_queue", "log", "runs")
"""Modules of this package; each defines exactly one subclass of `Page` of its own."""


def page_class(name: str) -> type[Page]:
    """Return the page that a module of this package defines."""
    from .page import Page

    module = import_module(f".{name}", __package__)
    found = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Page) and one.__module__ == module.__name__]
    if len(found) != 1:
        raise ImportError(f"{module.__name__} defines {len(found)} pages, one is needed")
    return found[0]


def classes() -> list[type[Page]]:
    """Return every page, in order."""
    return [page_class(name) for name in PAGES]
