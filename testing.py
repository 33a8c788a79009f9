"""For tests of your own instruments and procedures, without a laboratory: a pytest plugin, there as soon as Heliograph is installed.

    def test_half_the_light_gives_half_the_counts(bench):
        before = bench["snspd"].counts(0.1).n
        bench["voa_in"].attenuation_db += 3.0103
        assert bench["snspd"].counts(0.1).n == pytest.approx(before / 2, rel=0.05)

`bench` is a simulated bench, armed, with instruments of your own where the station file names them; every test gets a new one with the same seed. `station`
is its station file, `lab` the simulated world behind it, `faults` lets things go wrong there, `expected_wire` checks a driver byte by byte. Tests marked
`hardware` are skipped unless `--hardware station.toml` names a real bench; then they get that one, with owner and watchdog. Where pytest's configuration has
`heliograph_station`, it is a station file of yours.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .control.bench import Bench
    from .instruments.station import Station
    from .mocks.lab import Lab

STATION_OPTION = "heliograph_station"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--hardware FILE` and the configuration option `heliograph_station`."""
    parser.getgroup("heliograph").addoption(
        "--hardware", metavar="STATION", default=None, help="Station file of the real bench on which tests marked `hardware` run."
    )
    parser.addini(STATION_OPTION, "Station file of the fixtures station and bench, beside the configuration; by default that of Heliograph.", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    config.addinivalue_line("markers", "hardware: needs real instruments; skipped unless --hardware names their station file")
    config.addinivalue_line("markers", "faults(name, ...): what goes wrong on the simulated bench from its start")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs real instruments where there are none."""
    if config.getoption("hardware") is None:
        skip = pytest.mark.skip(reason="needs real instruments: --hardware station.toml")
        for item in items:
            if item.get_closest_marker("hardware"):
                item.add_marker(skip)


@pytest.fixture
def station(request: pytest.FixtureRequest, tmp_path: Path) -> Station:
    """The station of `bench`, as a file in this test's own folder; its `path` can be given to anything that takes a station file.

    A test marked `hardware` gets the file named by `--hardware` itself.
    """
    from .instruments.station import Station, default_text

    if request.node.get_closest_marker("hardware"):
        return Station.load(request.config.getoption("hardware"))
    named = request.config.getini(STATION_OPTION)
    path = tmp_path / "station.toml"
    path.write_bytes((request.config.rootpath / named).read_bytes() if named else default_text())
    return Station.load(path)


@pytest.fixture
def lab(request: pytest.FixtureRequest, station: Station) -> Iterator[Lab]:
    """The simulated instruments of `station`, serving in a thread; `world` is the light between them, `resources` says where they listen."""
    from .mocks.lab import Lab

    broken = request.node.get_closest_marker("faults")
    serving = Lab(station.plain(), broken.args if broken else ())
    with serving.in_thread():
        yield serving


@pytest.fixture
def faults(lab: Lab) -> Lab:
    """What lets things go wrong while a test runs, `faults.inject("timeout", "voa_in", times=1)`, and right again, `faults.heal()`.

    What is to go wrong from the start stands in the marker `faults`, by the names of `heliograph bench serve --fault`.
    """
    return lab


@pytest.fixture
def bench(request: pytest.FixtureRequest, station: Station, tmp_path: Path) -> Iterator[Bench]:
    """A bench that is open and armed; run files go into this test's own folder. It is made safe and closed at the end.

    That of a test marked `hardware` is opened as a script opens it, with an owner, a watchdog and the station's lock, or attached to the owner that it has.
    """
    from .control.bench import open_bench

    if request.node.get_closest_marker("hardware"):
        with open_bench(station.path, folder=tmp_path / "runs") as opened:
            yield opened
    else:
        with _simulated(station, request.getfixturevalue("lab"), tmp_path / "runs") as opened:
            yield opened


@contextmanager
def _simulated(station: Station, lab: Lab, folder: Path) -> Iterator[Bench]:
    """Open and arm a bench in this process alone. Raises ConfigError if any of its instruments is real: nothing would watch it."""
    from .control.bench import Bench
    from .core.errors import ConfigError
    from .instruments.connect import connect

    real = [name for name, entry in station.instruments.items() if not entry.rules.simulated]
    if real:
        remedy = "Mark the test `hardware` and name the station file with --hardware."
        raise ConfigError(f"{real[0]} is a real instrument, and this test is not marked `hardware`", where=str(station.path), remedy=remedy)
    with _locks_apart(), connect(station, lab.resources.__getitem__, home=True) as instruments:
        bench = Bench(station, instruments, folder)
        bench.arm()
        yield bench


@contextmanager
def _locks_apart() -> Iterator[None]:
    """Lock in a folder apart: ports are given out again, and a killed bench elsewhere on this machine may still hold the lock of one."""
    with tempfile.TemporaryDirectory(prefix="heliograph-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HELIOGRAPH_RUNTIME_DIR", folder)
        yield


@pytest.fixture
def expected_wire() -> Callable[..., AbstractContextManager[Any]]:
    """What checks a driver byte by byte.

        with expected_wire(Driver, [("A12.34", "Done"), ("D", "ATTEN:12.34")]) as driver:

    What is sent must be what stands there, in this order and all of it; line ends are not part of the pairs, None is for nothing sent or no reply.
    """
    from pymeasure.test import expected_protocol

    found: Callable[..., AbstractContextManager[Any]] = expected_protocol
    return found
