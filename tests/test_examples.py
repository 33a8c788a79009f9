"""The examples and the tutorial notebook do what they promise, on a bench of their own."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

from heliograph import Run

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOK = ROOT / "docs" / "tutorials" / "from-light-to-key.ipynb"


def _run(name, folder):
    """Run an example and return what it says."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short(path):
    assert len(path.read_text().splitlines()) < 25


def test_the_fringe_example_measures_and_draws(tmp_path):
    said = _run("fringe", tmp_path)

    found = {name: float(value) for name, value in re.findall(r"^(\w+) += ([\d.]+)", said, re.MULTILINE)}
    assert found["V_pi"] == pytest.approx(5.0, abs=0.03)
    assert 0.98 < found["visibility"] < 1.0
    assert (tmp_path / "fringe.png").read_bytes().startswith(b"\x89PNG")
    with Run.open(tmp_path / said.split()[-1]) as run:
        assert run.procedure == "PhaseScan"
        assert run["fringe/drive"].size == 31


def test_the_learning_example_makes_key_and_learns(tmp_path):
    said = _run("key_and_learn", tmp_path)

    bits = {pair: int(number.replace(",", "")) for pair, number in re.findall(r"^(\w-\w): .* ([\d,]+) key bits", said, re.MULTILINE)}
    accuracies = [int(number) for number in re.findall(r"accuracy (\d+)%", said)]
    assert bits.keys() == {"A-B", "A-C", "B-C"}
    assert min(bits.values()) > 10_000
    assert len(accuracies) == 8
    assert accuracies[-1] >= 80
    assert "holds simulated key" in said


def test_the_tutorial_notebook_runs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    options: dict[str, Any] = {"timeout": 120, "startup_timeout": 120, "kernel_name": "python3", "resources": {"metadata": {"path": str(tmp_path)}}}

    with tempfile.TemporaryDirectory() as folder:
        # TCP ports that are free when they are chosen may be another test's when the kernel comes; the names of sockets must be short.
        sockets = Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})
        NotebookClient(notebook, config=sockets, **options).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    said = "".join(output["text"] for output in outputs if output.get("name") == "stdout")
    complaints = [output["text"] for output in outputs if output.get("name") == "stderr"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert complaints == []
    assert len(pictures) == 3
    assert "equal: True" in said
    assert "no secrecy is claimed" in said
    assert not list(tmp_path.rglob("*.bench.json")), "the bench still runs"


def test_the_notebook_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
