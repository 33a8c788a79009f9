"""The foreign repository of examples/lab-ci: installed beside the built package, its tests pass, and everything of it is found by name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "lab-ci"
APART = ("tests", "docs", "examples", "benchmarks", ".ci")


def _sources(folder: Path) -> Path:
    """Copy what a wheel is built from."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(tuple(f"{part}/" for part in APART)) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@dataclass
class Installed:
    """Runs Python in the copy of the example, with the site of its own."""

    site: Path
    copy: Path
    environment: dict[str, str]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *words], cwd=self.copy, env=self.environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install wheels of Heliograph and of the foreign package into a folder of their own, without any index, and give a runner of commands there."""
    here = tmp_path_factory.mktemp("lab")
    copy = shutil.copytree(EXAMPLE, here / "lab-ci", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", here / "site", _sources(here / "heliograph"), copy], check=True)
    for folder in (here / "heliograph", copy / "cryolab", copy / "build"):
        shutil.rmtree(folder, ignore_errors=True)
    # The dependencies are lent by this environment; what stands in PYTHONPATH comes before its own Heliograph.
    lent = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_", "DISPLAY"))} | {"PYTHONPATH": str(here / "site")}

    return Installed(here / "site", copy, lent)


def test_the_package_that_is_tested_is_the_installed_one(installed):
    said = installed("-c", "import heliograph, cryolab; print(heliograph.__file__); print(cryolab.__file__)").stdout

    assert all(Path(line).is_relative_to(installed.site) for line in said.split())
    assert len(said.split()) == 2


def test_its_ten_tests_pass(installed):
    ended = installed("-m", "pytest", "-q", "-p", "no:cacheprovider")

    assert ended.returncode == 0, ended.stdout
    assert re.search(r"^10 passed, 1 skipped", ended.stdout, re.MULTILINE), ended.stdout


def test_its_driver_simulator_and_procedure_are_found_by_name(installed):
    imports = "from heliograph.acquisition.procedures import table; from heliograph.instruments import catalogue; from heliograph.mocks import simulators"
    code = f"import json; {imports}; print(json.dumps([list(one.names()) for one in (table, catalogue, simulators)]))"
    procedures, drivers, simulated = json.loads(installed("-c", code).stdout)

    assert {"CountRates", "DarkAndCold"} <= set(procedures)
    assert {"OzDD100", "LakeShore224"} <= set(drivers)
    assert {"OzDD100", "LakeShore224"} <= set(simulated)


def test_it_uses_nothing_private():
    for path in EXAMPLE.rglob("*.py"):
        assert not re.search(r"heliograph[\w.]*\._|import _|from heliograph[\w.]* import .*\b_", path.read_text()), path


def test_its_workflow_runs_its_tests():
    text = (EXAMPLE / ".github" / "workflows" / "test.yml").read_text()

    assert "- run: pytest" in text
    assert "actions/checkout@" in text
