"""Writes docs/reference/commands.md from the command line itself: `python docs/commands_page.py`. A test compares the two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "reference" / "commands.md"
HEAD = """# Commands

Every command takes `--help` and `--json`; under `--json` standard output is [one object](../how-to/script-the-command-line.md). Failures are
[errors](errors.md) with [exit codes](exit-codes.md). This page is made from the commands' own help.
"""
JSON = "--json"


def page() -> str:
    """Return the Markdown of all commands."""
    from typer.main import get_command

    from heliograph.cli import app

    return "\n".join([HEAD, *(line for words, command in commands(get_command(app), "heliograph") for line in section(words, command))])


def commands(group: Any, words: str) -> Iterator[tuple[str, Any]]:
    """Yield the words and the object of every command below a group."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, f"{words} {name}")
        elif not command.hidden:
            yield f"{words} {name}", command


def section(words: str, command: Any) -> Iterator[str]:
    """Yield the lines about one command."""
    shown = [parameter for parameter in command.params if not parameter.hidden and JSON not in parameter.opts]
    needed = [usage(parameter) for parameter in shown if parameter.required]
    others = ["[OPTIONS]"] if any(not parameter.required for parameter in shown) else []
    yield from (f"## {words}", "", "```text", " ".join([words, *needed, *others]), "```", "", " ".join(command.help.split()), "")
    if shown:
        yield from ("| option | default | what it is |", "|---|---|---|")
        yield from (f"| `{usage(parameter)}` | {default(parameter)} | {parameter.help.replace('|', ', ')} |" for parameter in shown)
        yield ""


def usage(parameter: Any) -> str:
    """Return how an option or argument is written."""
    if parameter.param_type_name == "argument" or parameter.is_flag:
        return str(parameter.metavar or parameter.opts[0])
    return f"{parameter.opts[0]} {parameter.metavar or parameter.name.upper()}"


def default(parameter: Any) -> str:
    """Return what holds where an option is not given."""
    if parameter.required:
        return "must be given"
    return "" if parameter.default is None or parameter.is_flag else f"`{parameter.default}`"


if __name__ == "__main__":
    PAGE.write_text(page())
