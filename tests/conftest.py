"""What every test may rely on: no display, no skip that hides a fault, repeatable hypotheses."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from heliograph.instruments.guard import ramp

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).parents[1]
REQUIRE_ALL = bool(os.environ.get("HELIOGRAPH_REQUIRE_ALL"))
MAY_SKIP = frozenset({"slow", "hardware", "bert"})
EXTRAS = {"swabian": "TimeTagger", "spcm": "spcm", "flower": "flwr", "text": "sentence_transformers"}
LONGEST = frozenset({"test_docs.py", "test_demo.py", "test_examples.py", "test_lab_ci.py", "test_owner_kills.py", "test_acquire.py", "test_operator.py"})
"""Files that take half a minute or more begin first: a worker that got one last would keep the others waiting."""
NO_QT = "Qt's libraries are missing; on Debian: apt-get install libegl1 libxkbcommon0 libdbus-1-3 libfontconfig1"

# A bias rests 0.1 s on each step of its ramp; simulated detectors need not be waited for, except where the pace itself is tested.
ramp.BIAS_PAUSE_S = 0.002

# A shell begins background jobs deaf to Ctrl-C, and commands that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("heliograph", deadline=None, derandomize=REQUIRE_ALL, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("heliograph")


class WithoutQt(pytest.Module):
    """A module of GUI tests where Qt cannot be loaded."""

    def collect(self) -> Iterable[Any]:
        pytest.skip(NO_QT, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    if "gui" in module_path.relative_to(ROOT).parts and not parent.config.pluginmanager.hasplugin("pytest-qt"):
        return WithoutQt.from_parent(parent, path=module_path)
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)
    without_qt = not config.pluginmanager.hasplugin("pytest-qt")
    for item in items:
        for mark in item.iter_markers("extra"):
            if find_spec(EXTRAS[mark.args[0]]) is None:
                item.add_marker(pytest.mark.skip(reason=f"needs the extra {mark.args[0]}: pip install heliograph[{mark.args[0]}]"))
        if without_qt and "qtbot" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=NO_QT))


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Mapping[str, str], str], None]]:
    """Another package: name, modules by name with their text, text of its entry points; found as an installed one is."""
    from heliograph.core import plugins

    def install(name: str, modules: Mapping[str, str], points: str) -> None:
        site = tmp_path / f"site of {name}"
        about = site / f"{name}-0.1.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        (about / "entry_points.txt").write_text(points)
        for module, text in modules.items():
            (site / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(site)
        for known in (plugins.offered, plugins.load):
            known.cache_clear()

    before = set(sys.modules)
    yield install
    monkeypatch.undo()
    for module in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]
    for known in (plugins.offered, plugins.load):
        known.cache_clear()


def may_skip(item: pytest.Item) -> bool:
    names = {mark.name for mark in item.iter_markers()}
    return bool(names & MAY_SKIP) or any(mark.args[0] in EXTRAS for mark in item.iter_markers("extra"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail") and not may_skip(item) and not _wants_data(report):
        _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if REQUIRE_ALL and report.skipped:
        _refuse(report)
    return report


def _wants_data(report: pytest.TestReport) -> bool:
    """Larger data sets are required only where their folder is named."""
    return not os.environ.get("HELIOGRAPH_DATA") and "HELIOGRAPH_DATA" in str(report.longrepr)


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped, and HELIOGRAPH_REQUIRE_ALL forbids it: {reason}"
