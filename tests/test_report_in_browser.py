"""A browser shows the demo's report with every plot: the one test that looks at the page as a reader does."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PLOTS = ("rates", "fringe-A", "fringe-B", "fringe-C", "qber", "budget", "accuracy", "key-spent")
HEIGHT = 6000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser():
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser is installed (looked for {', '.join(BROWSERS)}); on Debian: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "heliograph", "demo", "--seed", "3", "--rounds", "3", "--out", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert ended.returncode == 0, ended.stderr
    return folder / "report.html"


def _look(browser, profile, report, *options):
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size=1200,{HEIGHT}", f"--user-data-dir={profile}"]
    return subprocess.run([*command, *options, report.as_uri()], capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.fixture(scope="module")
def page(browser, report, tmp_path_factory):
    """Return the page as the browser understood it, with the place and size of every plot written into it."""
    measured = report.with_name("measured.html")
    script = """<script>for (const f of document.querySelectorAll("figure")) {
        const b = f.querySelector("svg").getBoundingClientRect();
        f.dataset.box = [b.x, b.y, b.width, b.height].map(Math.round).join(" "); }</script>"""
    measured.write_text(report.read_text().replace("</body>", f"{script}</body>"))
    return _look(browser, tmp_path_factory.mktemp("profile"), measured, "--dump-dom")


def _boxes(page):
    found = {}
    for tag in re.findall(r"<figure[^>]*>", page):
        name, box = re.search(r'id="plot-([\w-]+)"', tag), re.search(r'data-box="([\d -]+)"', tag)
        assert name, tag
        assert box, tag
        found[name[1]] = [int(number) for number in box[1].split()]
    return found


def test_every_plot_is_laid_out(page):
    boxes = _boxes(page)

    assert set(boxes) == set(PLOTS)
    assert all(width > 300 and height > 150 for _, _, width, height in boxes.values())


def test_every_plot_can_be_seen(browser, report, page, tmp_path):
    from matplotlib.image import imread

    _look(browser, tmp_path / "profile", report, f"--screenshot={tmp_path / 'page.png'}")

    pixels = (imread(tmp_path / "page.png")[..., :3] * 255).astype(int)
    assert pixels.shape[:2] == (HEIGHT, 1200)
    for name, (x, y, width, height) in _boxes(page).items():
        plot = pixels[y : y + height, x : x + width]
        assert plot.shape[:2] == (height, width), f"{name} lies outside the page"
        colourful = np.ptp(plot, axis=2) > 60
        assert colourful.sum() > 500, f"no curve or bar is seen in {name}"
        assert len(np.unique(plot.reshape(-1, 3), axis=0)) > 50, f"{name} is flat"


def test_the_page_needs_nothing_from_outside(page):
    assert not re.search(r'(?:src|href)="https?:', page)
    assert "Simulated" in page
