"""The pytest plugin, in test sessions of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from heliograph.instruments.station import default_text

CONFIGURED = "[pytest]\naddopts = --import-mode=importlib --strict-markers -p no:cacheprovider -q\nfilterwarnings = error\n"


@pytest.fixture
def session(tmp_path):
    """Run a test file that knows nothing but the installed plugin; return what pytest said."""

    def run(text, *options, more=""):
        (tmp_path / "pytest.ini").write_text(CONFIGURED + more)
        (tmp_path / "test_x.py").write_text("import pytest\n" + text)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
        others = [f"-pno:{name}" for name in ("pytest-qt", "hypothesispytest", "timeout", "xdist")]
        command = [sys.executable, "-m", "pytest", *others, *options]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return run


def ended(said, counts):
    found = re.search(r"\d+ (?:passed|failed|skipped|error).*(?= in )", said)
    assert found is not None, said
    assert found[0] == counts, said


def test_the_plugin_costs_a_session_nothing_heavy(session):
    text = """
def test_x():
    import sys
    heavy = {"torch", "numpy", "scipy", "pydantic", "pymeasure", "pyvisa", "zmq", "h5py", "matplotlib", "pandas"}
    assert "heliograph.testing" in sys.modules
    assert not heavy & set(sys.modules)
"""
    ended(session(text), "1 passed")


def test_every_test_gets_a_bench_of_its_own_with_the_same_seed(session):
    text = """
SEEN = []

@pytest.mark.parametrize("n", [1, 2])
def test_x(bench, lab, station, n, tmp_path):
    assert station.path.parent == tmp_path == bench.folder.parent
    assert bench["laser"].emission
    SEEN.append(list(bench["snspd"].counts(0.5).n))
    assert SEEN[0] == SEEN[-1]
    assert min(SEEN[0]) > 5
    assert lab.world.clock_ps > 0
    assert str(lab.resources["voa_in"]["resource"]) in bench["voa_in"].place
"""
    ended(session(text), "2 passed")


def test_faults_come_from_the_start_or_while_a_test_runs(session):
    text = """
from heliograph.core.errors import BadReply, WrongIdentity
from heliograph.instruments.attenuators import OzAttenuator

@pytest.mark.faults("identity:voa_b")
def test_from_the_start(lab, station):
    for name, wrong in (("voa_a", False), ("voa_b", True)):
        voa = OzAttenuator.open(name, station.instruments[name], lab.resources[name], station="lab.toml")
        if wrong:
            with pytest.raises(WrongIdentity, match="voa_b"):
                voa.identify()
        else:
            assert voa.identify().model == "DD-100-MC"
        voa.close()

def test_meanwhile(bench, faults):
    faults.inject("text", "voa_a")
    with pytest.raises(BadReply, match="voa_a"):
        bench["voa_a"].attenuation_db
    faults.heal()
    assert bench["voa_a"].attenuation_db == 60.0
"""
    ended(session(text), "2 passed")


def test_what_needs_instruments_is_skipped_and_gets_them_where_they_are_named(session, tmp_path):
    text = """
@pytest.mark.hardware
def test_real(station, bench):
    assert station.path.name == "real.toml"
    assert bench["voa_a"].identify().vendor == "OZ Optics"

def test_other(station):
    assert station.path.name == "station.toml"
"""
    (tmp_path / "real.toml").write_bytes(default_text())

    ended(session(text), "1 passed, 1 skipped")
    ended(session(text, "--hardware", "real.toml"), "2 passed")


def test_a_real_bench_has_an_owner_a_watchdog_and_the_stations_lock(session, tmp_path):
    text = """
import os
import time
from heliograph.control import status
from heliograph.control.stations import station_lock
from heliograph.core.errors import InstrumentLocked

FOUND = {}

def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

@pytest.mark.hardware
def test_guarded(station, bench, tmp_path):
    FOUND.update(status.of(station.path), path=station.path)
    assert FOUND["state"] == "ARMED"
    assert FOUND["owner"] == os.getpid()
    assert FOUND["watchdog"] not in (None, os.getpid())
    assert lives(FOUND["watchdog"])
    with pytest.raises(InstrumentLocked, match=str(os.getpid())):
        station_lock(station)
    assert bench.folder == tmp_path / "runs"
    assert bench["laser"].emission

def test_afterwards():
    deadline = time.monotonic() + 10.0
    while lives(FOUND["watchdog"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not lives(FOUND["watchdog"])
    assert status.of(FOUND["path"])["state"] == "CLOSED"
"""
    (tmp_path / "real.toml").write_bytes(default_text())

    ended(session(text, "--hardware", "real.toml"), "2 passed")


def test_a_real_instrument_is_not_opened_for_a_test_that_does_not_say_so(session, tmp_path):
    text = """
def test_x(bench):
    raise AssertionError
"""
    real = default_text().replace(b"voa_b.rules = { simulated = true", b"voa_b.rules = { simulated = false")
    (tmp_path / "mine.toml").write_bytes(real)

    said = session(text, more="heliograph_station = mine.toml\n")
    assert "voa_b is a real instrument" in said
    ended(said, "1 error")


def test_a_station_file_of_ones_own_and_a_driver_byte_by_byte(session, tmp_path):
    text = """
from pymeasure.instruments import Instrument

class Meter(Instrument):
    level = Instrument.control("L?", "L%d", "Control the level (int).", cast=int)

    def __init__(self, adapter, **kwargs):
        super().__init__(adapter, "meter", includeSCPI=False)

def test_station(station):
    assert station.info.name == "mine"

def test_wire(expected_wire):
    with expected_wire(Meter, [("L3", None), ("L?", "3")]) as meter:
        meter.level = 3
        assert meter.level == 3

def test_wrong_wire(expected_wire):
    with pytest.raises(AssertionError), expected_wire(Meter, [("L3", None), ("L?", "3")]) as meter:
        meter.level = 4
"""
    (tmp_path / "mine.toml").write_bytes(default_text().replace(b"demo-lab", b"mine"))

    ended(session(text, more="heliograph_station = mine.toml\n"), "3 passed")
