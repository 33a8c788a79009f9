"""A skip must not hide a fault: what the tests' own configuration does with skips."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPPED = "import pytest\n\ndef test_x():\n    pytest.skip('no camera')\n"


@pytest.fixture
def outcome(tmp_path):
    """Run a test file under the configuration of this repository and return pytest's closing counts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")

    def run(text: str, *options: str, require_all: bool = False, name: str = "test_x.py") -> str:
        path = tmp_path / "tests" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        environment = {key: value for key, value in os.environ.items() if key != "HELIOGRAPH_REQUIRE_ALL" and not key.startswith("PYTEST_XDIST")}
        if require_all:
            environment["HELIOGRAPH_REQUIRE_ALL"] = "1"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False).stdout
        found = re.search(r"\d+ (?:passed|failed|skipped|error|deselected).*(?= in )", said)
        assert found is not None, said
        return found[0]

    return run


def test_a_skip_is_a_skip(outcome):
    assert outcome(SKIPPED) == "1 skipped"


def test_where_all_is_required_a_skip_is_a_failure(outcome):
    assert outcome(SKIPPED, require_all=True) == "1 failed"


def test_a_skip_of_a_whole_file_is_a_failure_too(outcome):
    text = "import pytest\n\npytest.importorskip('no_such_library')\n"

    assert outcome(text) == "1 skipped"
    assert outcome(text, require_all=True).startswith("1 error")


def test_marked_ones_and_those_of_an_absent_extra_may_be_skipped(outcome):
    marks = ["slow", "hardware", "bert", *(f"extra({name!r})" for name in ("swabian", "spcm", "flower", "text"))]
    tests = [f"@pytest.mark.{mark}\ndef test_{n}():\n    pytest.skip('not here')\n" for n, mark in enumerate(marks)]

    assert outcome("\n".join(["import pytest\n", *tests]), "-m", "", require_all=True) == "7 skipped"


def test_a_data_set_is_required_where_its_folder_is_named(outcome, monkeypatch):
    text = "import pytest\n\ndef test_x():\n    pytest.skip('MNIST is not under HELIOGRAPH_DATA')\n"

    monkeypatch.delenv("HELIOGRAPH_DATA", raising=False)
    assert outcome(text, require_all=True) == "1 skipped"
    monkeypatch.setenv("HELIOGRAPH_DATA", "somewhere")
    assert outcome(text, require_all=True) == "1 failed"


def test_slow_tests_and_those_of_hardware_are_left_out_by_default(outcome):
    text = "import pytest\n\n@pytest.mark.slow\ndef test_x():\n    pass\n\n@pytest.mark.hardware\ndef test_y():\n    pass\n"

    assert outcome(text) == "2 deselected"


def test_an_expected_failure_is_no_skip(outcome):
    text = "import pytest\n\n@pytest.mark.xfail(reason='known')\ndef test_x():\n    assert False\n"

    assert "xfailed" in outcome(text + "\n\ndef test_y():\n    pass\n", require_all=True)


def test_without_qt_gui_tests_are_skipped_before_they_import_anything(outcome):
    assert outcome("import no_such_library\n", "-p", "no:pytest-qt", name="gui/test_window.py") == "1 skipped"


def test_without_qt_tests_that_need_a_window_are_skipped(outcome):
    text = "def test_x(qtbot):\n    pass\n"

    assert outcome(text, "-p", "no:pytest-qt") == "1 skipped"
    assert outcome(text, "-p", "no:pytest-qt", require_all=True) == "1 error"


def test_a_warning_is_an_error(outcome):
    assert outcome("import warnings\n\ndef test_x():\n    warnings.warn('careless', stacklevel=1)\n") == "1 failed"
