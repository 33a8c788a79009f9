"""Measurements by the command line on a bench of their own."""

import pytest

from heliograph.acquisition.runs import Run
from heliograph.instruments.station import default_text


@pytest.fixture
def station(tmp_path):
    path = tmp_path / "station.toml"
    path.write_bytes(default_text())
    return path


def test_count_rates_agree_with_what_the_station_predicts(heliograph, station):
    found = heliograph("acquire", "rates", "--station", station, "--duration", 1, "--json").json

    for detector in ("d1", "d2"):
        assert found[f"{detector}_hz"] == pytest.approx(found[f"{detector}_expected_hz"], rel=0.03)
    assert found["simulated"] is True
    assert found["security"] is None
    with Run.open(found["run"]) as run:
        assert run.procedure == "CountRates"
        assert run.stop["reason"] == "done"
        assert run.run_id == found["run_id"]


def test_a_fringe_shows_half_wave_voltage_and_visibility(heliograph, station, tmp_path):
    ended = heliograph("acquire", "fringe", "--station", station, "--user", "C", "--partner", "A", "--out", tmp_path / "here", "--json")

    found = ended.json
    assert found["v_pi_v"] == pytest.approx(5.0, abs=0.03)
    assert 0.96 < found["visibility"] < 1.0
    assert [path.suffix for path in (tmp_path / "here").iterdir()] == [".h5"]


def test_a_procedure_of_another_package_runs_by_name(heliograph, station, foreign):
    text = """
from pymeasure.experiment import FloatParameter
from heliograph.acquisition.procedures.base import BenchProcedure

class Park(BenchProcedure):
    \"\"\"Park an attenuator.\"\"\"
    at_db = FloatParameter("Park at", units="dB", default=10.0, minimum=1.0, maximum=60.0)

    def execute(self):
        self.instruments["voa_in"].attenuation_db = self.at_db
        self.writer.summary["measured_db"] = self.instruments["voa_in"].measured_db
"""
    foreign("acme", {"acme_plans": text}, "[heliograph.procedures]\nPark = acme_plans:Park\n")

    known = heliograph("acquire", "procedures", "--json").json["procedures"]
    assert known["Park"]["does"] == "Park an attenuator."
    assert {"CountRates", "PhaseScan"} <= set(known)

    found = heliograph("acquire", "run", "Park", "--station", station, "--param", "at_db=12.5", "--dark", "--json").json
    assert found["summary"] == {"measured_db": 12.5}
    assert found["parameters"] == {"at_db": 12.5}
    with Run.open(found["run"]) as run:
        assert run.procedure == "Park"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", "Dance"), 3),
        (("run", "CountRates", "--param", "duration_s"), 3),
        (("run", "CountRates", "--param", "lamp=1"), 3),
        (("rates", "--pair", "A-Z"), 3),
        (("rates", "--duration", "-1"), 3),
        (("key", "--store", "store", "--pairs", "A-Z"), 3),
        (("key",), 2),
        (("rates", "--fault", "nope"), 3),
        (("rates", "--fault", "garbage:nobody"), 3),
    ],
)
def test_what_cannot_be_measured_is_refused_with_a_remedy(heliograph, station, tmp_path, monkeypatch, words, code):
    monkeypatch.chdir(tmp_path)
    ended = heliograph("acquire", *words, "--station", station, "--json")
    assert ended.code == code
    assert ended.json["error"]["message"]
    assert ended.json["error"]["remedy"]
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(("fault", "kind", "named"), [("detector-unplugged", "Tripped", "D1"), ("tagger-overflow", "Overflow", "tagger")])
def test_light_that_cannot_be_read_makes_no_key(heliograph, station, tmp_path, fault, kind, named):
    store = tmp_path / "store"
    store.mkdir()
    ended = heliograph("acquire", "key", "--station", station, "--store", store, "--pairs", "A-B", "--seconds", 0.4, "--fault", fault, "--json")

    error = ended.json["error"]
    assert ended.code in (1, 4)
    assert error["type"] == kind
    assert named in error["message"] + error["where"]
    assert "Traceback" not in ended.err
    (run,) = (tmp_path / "runs").glob("*.h5")
    refused = heliograph("distil", run, "--store", store, "--json")
    assert refused.code == 3
    assert refused.json["error"]["type"] == "RunFileError"
    assert not list(store.glob("*/*.sqlite"))


def test_too_little_light_makes_no_key_and_says_why(heliograph, station, tmp_path):
    words = ("--store", tmp_path / "store", "--pairs", "B-C", "--seconds", 0.2, "--distil", "--json")
    ended = heliograph("acquire", "key", "--station", station, *words)

    assert ended.code == 1
    assert "finite-size terms" in ended.json["pairs"]["B-C"]["no_key"]
    assert "key" not in ended.json["pairs"]["B-C"]
    assert not list((tmp_path / "store").glob("*/patterns/*.bin"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["laser", "voa_in", "voa_a", "awg_im", "awg_a", "snspd", "tagger"])
def test_garbage_on_any_wire_is_one_clear_error_that_names_the_instrument(heliograph, station, name):
    ended = heliograph("acquire", "rates", "--station", station, "--fault", f"garbage:{name}", "--json")
    assert ended.code == 4
    assert name in ended.json["error"]["where"]
    assert "Traceback" not in ended.err
