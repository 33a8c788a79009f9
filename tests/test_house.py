"""The house as a whole: layers, laziness, packaging, licences, documentation."""

from __future__ import annotations

import ast
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("acquisition", "cli", "control", "core", "gui", "instruments", "mocks", "postprocess", "protocols")
HEAVY = ("torch", "qiskit", "numba", "scipy", "pymeasure", "pyvisa", "PySide6", "matplotlib", "pandas", "h5py", "sklearn", "zmq", "rich", "numpy", "pydantic")


def _sources() -> list[Path]:
    return [*sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")), *sorted(ROOT.glob("*.py"))]


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in (ROOT / name for name in listed.split("\0") if name) if path.is_file()]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the package and its configuration, under the name that the checkers know, for planting violations in."""
    copy = tmp_path_factory.mktemp("house") / "heliograph"
    for path in _sources():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def _layers(copy: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(copy.parent)}
    return subprocess.run([linter, "--no-logo", "--no-cache"], cwd=copy, env=environment, capture_output=True, text=True, check=False)


def test_layers_hold(house):
    ended = _layers(house)

    assert ended.returncode == 0, ended.stdout
    assert "0 broken" in ended.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("core/physics.py", "from ..instruments import roles"),
        ("core/errors.py", "from . import ledger"),
        ("core/units.py", "from . import statement"),
        ("instruments/roles.py", "from ..acquisition import timetags"),
        ("instruments/roles.py", "from ..mocks import world"),
        ("acquisition/timetags.py", "def late():\n    from ..postprocess import finite_key"),
        ("postprocess/finite_key.py", "from heliograph.control import lab"),
        ("protocols/learning/qnn.py", "from ..qunetqfl import client"),
        ("protocols/aggregation/quantiser.py", "from ...cli import output"),
        ("mocks/world.py", "from ..instruments import roles"),
        ("control/lab.py", "from ..cli import output"),
    ],
    ids=lambda text: text.rsplit("\n", 1)[-1].strip() if "import" in text else text,
)
def test_a_planted_violation_is_caught(house, module, line):
    path = house / module
    kept = path.read_text()
    path.write_text(f"{kept}\n\n{line}\n")
    try:
        ended = _layers(house)
    finally:
        path.write_text(kept)

    assert ended.returncode == 1
    assert "BROKEN" in ended.stdout


def test_a_room_that_nobody_planned_is_caught(house):
    room = house / "attic"
    room.mkdir()
    (room / "__init__.py").write_text('"""A room."""\n')
    try:
        ended = _layers(house)
    finally:
        shutil.rmtree(room)

    assert ended.returncode == 1


def test_rooms_are_never_imported_by_their_bare_name():
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            assert not {name.split(".")[0] for name in names} & {*ROOMS, "heliograph"}, path


def test_the_command_line_starts_without_any_heavy_library():
    code = "import json, sys, heliograph.cli; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"

    loaded = set(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout))

    assert not loaded & set(HEAVY)


def test_help_answers_at_once():
    took = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "heliograph", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    # Half a second on an idle machine, so of processor time, whatever else runs beside the tests.
    assert statistics.median(took) < 0.5


def test_every_package_folder_is_packed():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {"heliograph", *(f"heliograph.{path.parent.relative_to(ROOT)}".replace("/", ".") for room in ROOMS for path in (ROOT / room).rglob("__init__.py"))}

    assert listed == found


def test_every_data_file_of_a_room_is_packed():
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for path in _tracked():
        parts = path.relative_to(ROOT).parts
        if parts[0] in ROOMS and path.suffix != ".py":
            patterns = packed.get(".".join(("heliograph", *parts[:-1])), [])
            assert any(path.match(pattern) for pattern in patterns), f"{path} would be missing from the wheel"


def test_nothing_of_the_plain_install_is_under_the_gpl_alone():
    seen: set[str] = set()
    waiting = ["heliograph"]
    while waiting:
        name = re.match(r"[\w.-]+", waiting.pop())
        if name is None or name[0].lower() in seen or not _installed(name[0]):
            continue
        seen.add(name[0].lower())
        waiting += [need for need in metadata.requires(name[0]) or () if "extra ==" not in need]
        about = metadata.metadata(name[0])
        fields = [*(about.get_all("License-Expression") or about.get_all("License") or ()), *(about.get_all("Classifier") or ())]
        said = " ".join(field[:80] for field in fields)
        assert "GPL" not in said or "LGPL" in said or "Lesser" in said, f"{name[0]}: {said}"

    assert {"heliograph", "numpy", "torch", "pyside6-essentials"} <= seen


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def test_public_names_are_documented():
    missing = [f"{path.relative_to(ROOT)}:{name}" for path in _sources() for name in _undocumented(ast.parse(path.read_text()))]

    assert missing == []


def _undocumented(tree: ast.Module) -> list[str]:
    public = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")]
    return [*(["module"] if not ast.get_docstring(tree) else []), *(node.name for node in public if not ast.get_docstring(node))]


def test_no_module_takes_the_name_of_one_of_the_standard_library():
    names = {path.stem for path in _sources()} - {"__init__", "__main__"}

    assert not names & sys.stdlib_module_names - {"data"}


def test_nothing_unfinished_and_no_path_of_somebodys_machine_is_in_the_tree():
    marks = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", r"<<<<<" + "<<", r"/(?:ho" + r"me|Us" + r"ers|ro" + r"ot|wo" + r"rk)/\w")))
    for path in _tracked():
        if path.suffix in (".py", ".md", ".toml", ".ipynb", ".html", ".txt", "") and path.name != "LICENSE":
            found = marks.search(path.read_text())
            assert found is None, f"{path.relative_to(ROOT)}: {found and found[0]}"


def test_make_says_what_is_missing_in_one_line(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    ended = subprocess.run(["make", "test", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False)

    said = [line for line in ended.stderr.splitlines() if not line.startswith("make")]
    assert ended.returncode == 2
    assert len(said) == 1
    assert "no Python 3.11" in said[0]
    assert "PYTHON=" in said[0]


def test_make_says_that_no_index_answers(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    cut_off = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PATH": os.environ["PATH"]}

    ended = subprocess.run(["make", "demo", f"PYTHON={sys.executable}"], cwd=tmp_path, env=cut_off, capture_output=True, text=True, check=False)

    said = [line for line in ended.stderr.splitlines() if not line.startswith("make")]
    assert ended.returncode == 2
    assert "about 0.5 GB to download" in ended.stdout
    assert str(tmp_path) in ended.stdout
    assert len(said) == 1
    assert "no package index answers" in said[0]
    assert not (tmp_path / ".venv" / ".ready").exists()


def test_the_makefile_names_no_package_index():
    assert "://" not in (ROOT / "Makefile").read_text()


@pytest.mark.slow
def test_a_wheel_installs_and_runs_in_an_environment_of_its_own(tmp_path):
    copy = tmp_path / "sources"
    tracked = _tracked()
    for path in tracked:
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, copy], check=True)
    (wheel,) = tmp_path.glob("heliograph-*.whl")

    names = set(zipfile.ZipFile(wheel).namelist())
    assert "heliograph/py.typed" in names
    assert {f"heliograph/{path.relative_to(ROOT)}" for path in set(_sources()) & set(tracked)} <= names
    assert not [name for name in names if name.startswith(("heliograph/tests", "heliograph/docs", "heliograph/build"))]

    here = tmp_path / "here"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", here], check=True)
    site = next(here.glob("lib/python*/site-packages"))
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel], check=True)
    # The dependencies are lent by this environment, by a path and not by its .pth files, which would bring the editable install along.
    lent = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *(path for path in sys.path if path.endswith("site-packages"))])}
    code = "import heliograph, heliograph.cli; print(heliograph.__file__); heliograph.cli.main(['doctor', '--json'])"
    ended = subprocess.run([here / "bin" / "python", "-c", code], cwd=tmp_path, env=lent, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    where, result = ended.stdout.splitlines()
    assert Path(where).is_relative_to(here)
    assert json.loads(result)["healthy"] is True


def test_the_short_public_surface_is_there_when_asked_for():
    import heliograph

    procedures, benches = {"CountRates", "KeyExchange", "PhaseScan"}, {"Station", "network", "open_bench", "simulated_station"}
    learning = {"Settings", "digits_task", "learn", "mnist_task"}
    assert procedures | benches | learning | {"Run", "__version__"} == set(dir(heliograph))
    assert heliograph.__version__ == metadata.version("heliograph")
    assert all(callable(getattr(heliograph, name)) for name in dir(heliograph) if name != "__version__")
    with pytest.raises(AttributeError):
        heliograph.opend_bench  # noqa: B018
