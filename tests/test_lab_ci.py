"""Packages of others beside the built wheel: the repository of examples/lab-ci and the package that the how-to page makes. Their tests pass there."""

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

from heliograph.instruments.station import default_text

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "lab-ci"
PAGE = ROOT / "docs" / "how-to" / "add-an-instrument.md"
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
NO_NETWORK = """
import socket

class _Socket(socket.socket):
    def connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"no network here: {address}")
        return super().connect(address)

socket.socket = _Socket
"""
WITHOUT = tuple(f"-pno:{name}" for name in ("cacheprovider", "pytest-qt", "hypothesispytest", "timeout", "xdist"))
"""Plugins of this environment that the example does not ask for."""
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


def _from_the_page(folder: Path) -> Path:
    """Do what the how-to says: write its files, and add its tables to a new station file."""
    folder.mkdir()
    files = dict(FILE.findall(PAGE.read_text()))
    for header, lines in re.findall(r"(?m)^(\[\w+\]\n)((?:(?!\[).*\n?)*)", files.pop("additions.toml")):
        files["station.toml"] = files.get("station.toml", default_text().decode()).replace(header, header + lines)
    files["station.toml"] = files["station.toml"].replace('"att_fixed", ', '"tap_monitor", "att_fixed", ')
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@dataclass
class Installed:
    """Runs Python in a folder, with the site of its own."""

    site: Path
    example: Path
    page: Path
    environment: dict[str, str]

    def __call__(self, *words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *words]
        return subprocess.run(command, cwd=folder or self.example, env=self.environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install wheels of Heliograph and of both packages into a folder of their own, without any index, and give a runner of Python there."""
    here = tmp_path_factory.mktemp("lab")
    example = shutil.copytree(EXAMPLE, here / "lab-ci", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    page = _from_the_page(here / "page")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", here / "site", _sources(here / "heliograph"), example, page], check=True)
    # What is imported must be what was installed.
    for folder in (here / "heliograph", example / "cryolab", example / "build", page / "build"):
        shutil.rmtree(folder, ignore_errors=True)
    for path in page.glob("n*.py"):
        path.unlink()
    # The dependencies are lent by this environment; what stands in PYTHONPATH comes before its own Heliograph.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV_", "DISPLAY", "WAYLAND"))}
    lent = {**kept, "PYTHONPATH": str(here / "site")}
    (here / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    return Installed(here / "site", example, page, lent)


def test_the_package_that_is_tested_is_the_installed_one(installed):
    said = installed("-c", "import heliograph, cryolab; print(heliograph.__file__); print(cryolab.__file__)").stdout

    assert all(Path(line).is_relative_to(installed.site) for line in said.split())
    assert len(said.split()) == 2


def test_its_ten_tests_pass_in_a_minute_without_network_and_display(installed):
    assert installed("-c", "import socket; socket.create_connection(('192.0.2.1', 9), 0.1)").stderr.endswith("no network here: ('192.0.2.1', 9)\n")
    ended = installed("-m", "pytest", "-q", *WITHOUT)

    assert ended.returncode == 0, ended.stdout
    took = re.search(r"^10 passed, 1 skipped in ([\d.]+)s", ended.stdout, re.MULTILINE)
    assert took is not None, ended.stdout
    assert float(took[1]) < 60.0


def test_the_tests_of_the_how_to_pass_and_its_package_has_less_than_120_lines(installed):
    ended = installed("-m", "pytest", "-q", "-W", "error", *WITHOUT, folder=installed.page)

    assert ended.returncode == 0, ended.stdout
    assert re.search(r"^2 passed", ended.stdout, re.MULTILINE), ended.stdout
    files = dict(FILE.findall(PAGE.read_text()))
    assert set(files) == {"n7744a.py", "n7744a_simulator.py", "test_n7744a.py", "pyproject.toml", "additions.toml"}
    assert sum(len(text.splitlines()) for name, text in files.items() if name.endswith(".py")) < 120


def test_the_driver_of_the_how_to_answers_beside_the_others(installed):
    def heliograph(*words: str):
        ended = installed("-m", "heliograph", "instruments", *words, "--json", folder=installed.page)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)["instruments"]

    row = {"driver": "N7744A", "role": "PowerMeter", "vendor": "Keysight", "model": "N7744A", "transport": "TCP, SCPI", "simulated": True}
    assert row in heliograph("list")
    found = {one["name"]: one["model"] for one in heliograph("identify", "--station", "station.toml")}
    assert found["monitor"] == "N7744A"
    assert found["laser"] == "0x33"


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
