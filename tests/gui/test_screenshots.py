"""The pictures of the documentation: taken anew of a live bench, they say what its files say; a bench that is stopped, and texts that are old, are noticed."""

from __future__ import annotations

import copy
import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from heliograph.core.errors import BenchError

from .operating import PAGES, opened, stores_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "screenshots"
MOST_BYTES = 250_000
tool = SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "screenshots.py")))


@pytest.fixture(scope="module")
def taken(qapp: QApplication, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, Path]:
    """A fresh set of pictures of a short day; and, taken last, what the tool says when the bench has been stopped."""
    folder = tmp_path_factory.mktemp("pictures")
    bench = folder / "demo"
    stores_of(bench / "store", ("A-C", "B-C"))
    with opened(folder, qapp) as day:
        day.begin(bench)
        found = tool.take(day, folder / "out", tool.rehearse(day, points=9, pairs=("A-B",), light_s=1.0, rounds=2))
        tool.end(day, found)
        owner = day.window.opening.owner
        assert owner is not None
        owner.end()
        day.person.until(lambda: not day.desk.is_connected, "the end of the bench")
        with pytest.raises(BenchError, match="not heard of"):
            tool.take(day, folder / "stopped", found)
    return found, folder, bench


@pytest.mark.slow
def test_the_texts_are_those_of_the_run_files_the_stores_and_what_was_told(taken: Any) -> None:
    found, _, bench = taken
    assert tool.problems(found, bench) == []


@pytest.mark.slow
@pytest.mark.parametrize("what", ["another gain", "another store", "a stale value", "another half-wave voltage", "other rates"])
def test_what_is_old_or_wrong_is_noticed(taken: Any, what: str) -> None:
    found, _, bench = taken
    harmed = copy.deepcopy(found)
    key, scan = harmed["pages"]["key"], harmed["scan"]
    if what == "another gain":
        key["told"]["block"]["gain"] *= 1.5
    elif what == "another store":
        key["texts"] = [text.replace(" delivered", " handed over") for text in key["texts"]]
    elif what == "a stale value":
        harmed["pages"]["bench"]["texts"].append("laser: armed, stale")
    elif what == "another half-wave voltage":
        harmed["scan"] = [text.replace("V", "kV") for text in scan]
    else:
        harmed["pages"]["acquire"]["told"]["rates_hz"]["D1"] *= 2

    assert tool.problems(harmed, bench)


@pytest.mark.slow
def test_a_picture_of_every_page_in_every_theme_is_there_and_not_blank(taken: Any) -> None:
    _, folder, _ = taken
    assert {path.name for path in (folder / "out").glob("*.png")} == {f"{name}-{theme}.png" for name in PAGES for theme in tool.THEMES}
    for path in (folder / "out").glob("*.png"):
        check(path)


@pytest.mark.slow
def test_a_bench_that_is_stopped_leaves_no_picture(taken: Any) -> None:
    _, folder, _ = taken
    assert list((folder / "stopped").glob("*.png")) == []


def check(path: Path) -> None:
    image = QImage(str(path))
    assert (image.width(), image.height()) == tool.SIZE
    assert len({image.pixel(x, y) for x in range(0, image.width(), 5) for y in range(0, image.height(), 5)}) >= 3
    assert path.stat().st_size < MOST_BYTES


def test_the_pictures_of_the_documentation_are_all_there() -> None:
    told = json.loads((FOLDER / "pages.json").read_text())
    assert set(told["pages"]) == set(PAGES)
    assert {path.name for path in FOLDER.glob("*.png")} == {f"{name}-{theme}.png" for name in PAGES for theme in tool.THEMES}
    for path in FOLDER.glob("*.png"):
        check(path)
    page = (ROOT / "docs" / "how-to" / "operate-the-bench.md").read_text()
    assert all(f"screenshots/{name}-light.png" in page for name in PAGES)
