"""What the documentation shows is true: marked snippets run, links lead somewhere, every error has its place.

A fenced block of `python` or `console` is run where the line before it is `<!-- run -->`, or `<!-- run: slow -->` for one that takes long. In a console block
the lines that start with `$ ` are commands, the others what is printed on standard output; `...` stands for anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from heliograph.core import errors

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"<!-- run(: slow)? -->\n```(python|console)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


class Snippet(NamedTuple):
    page: Path
    language: str
    text: str
    slow: bool


def _snippets() -> Iterator[Snippet]:
    for page in PAGES:
        for slow, language, text in FENCE.findall(page.read_text()):
            yield Snippet(page, language, text, bool(slow))


SNIPPETS = [
    pytest.param(snippet, marks=pytest.mark.slow if snippet.slow else (), id=f"{snippet.page.relative_to(ROOT)}-{n}") for n, snippet in enumerate(_snippets())
]


def _run(command: list[str] | str, folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    ended = subprocess.run(command, shell=isinstance(command, str), cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_does_what_it_shows(snippet, tmp_path):
    if snippet.language == "python":
        _run([sys.executable, "-W", "error", "-c", snippet.text], tmp_path)
        return
    for command, *shown in _commands(snippet.text):
        said = _run(command, tmp_path)
        pattern = ".*".join(re.escape(piece.strip()) for piece in "\n".join(shown).split("..."))
        assert re.search(pattern, said, re.DOTALL), said


def _commands(text: str) -> Iterator[list[str]]:
    for block in re.split(r"(?m)^\$ ", text)[1:]:
        yield block.strip().split("\n")


def test_there_are_snippets_to_run():
    assert {"python", "console"} <= {snippet.language for snippet in _snippets()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        generated = "/api/" in f"/{target}"
        assert generated or (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


@pytest.mark.parametrize("folder", ["tutorials", "how-to", "explanation", "reference", "decisions"])
def test_every_page_is_on_the_index_of_its_folder(folder):
    index = (ROOT / "docs" / folder / "index.md").read_text()
    for page in (ROOT / "docs" / folder).glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index, f"{page.name} is not on the index of {folder}"


def test_the_other_names_of_errors_are_mapped_to_ones_that_exist():
    table = (ROOT / "docs" / "reference" / "errors.md").read_text().split("## Other names")[1]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| `")]

    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named
    assert all(hasattr(errors, name) for name in named)


def test_decisions_are_numbered_without_a_gap_and_short():
    pages = sorted((ROOT / "docs" / "decisions").glob("0*.md"))

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert page.read_text().count("\n\n**") <= 5
        assert page.read_text().startswith(f"# {int(page.name[:4])}. ")


def test_the_page_of_commands_is_what_the_commands_say():
    written = (ROOT / "docs" / "reference" / "commands.md").read_text()
    code = f"import runpy; print(runpy.run_path({str(ROOT / 'docs' / 'commands_page.py')!r})['page'](), end='')"

    assert _run([sys.executable, "-c", code], ROOT) == written, "run `python docs/commands_page.py`"


def test_every_key_of_the_station_file_has_its_place():
    from heliograph.instruments import station_models

    page = (ROOT / "docs" / "reference" / "station-file.md").read_text()
    tables = [model for model in vars(station_models).values() if isinstance(model, type) and issubclass(model, station_models.Table)]
    keys = {field.alias or name for model in tables for name, field in model.model_fields.items()} - {"modulators", "taps"}  # written by name

    assert len(keys) > 40
    assert [key for key in sorted(keys) if not re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", page)] == []


def test_every_driver_and_role_is_named():
    from heliograph.instruments.catalogue import DRIVERS

    page = (ROOT / "docs" / "reference" / "station-file.md").read_text()

    assert all(f"`{name}`" in page and f"`{entry.role}`" in page for name, entry in DRIVERS.items())


def test_every_fault_is_explained():
    from heliograph.mocks.faults import NAMES

    page = (ROOT / "docs" / "reference" / "faults.md").read_text()

    assert [name for name in NAMES if f"| `{name}` |" not in page] == []


def test_the_readme_shows_the_two_commands_and_a_picture():
    readme = (ROOT / "README.md").read_text()
    picture = ROOT / "docs" / "images" / "report.png"

    assert "$ make demo" in readme
    assert "$ make test" in readme
    assert "(docs/images/report.png)" in readme
    assert picture.stat().st_size < 300_000
