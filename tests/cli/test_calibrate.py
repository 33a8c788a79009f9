"""Calibrations from the command line: what is missing, measuring it, and what becomes of it."""

from __future__ import annotations

import pytest

from heliograph.acquisition.runs import Run
from heliograph.instruments.station import default_text


@pytest.fixture
def station(tmp_path):
    path = tmp_path / "station.toml"
    path.write_bytes(default_text())
    return path


def states(listed):
    return {one["name"]: one["state"] for one in listed["calibrations"]}


def test_a_calibration_is_missing_until_it_is_run_and_expires_after_its_days(heliograph, station):
    before = heliograph("calibrate", "list", "--station", station, "--json").json
    assert set(states(before).values()) == {"missing"}
    assert {"im1-bias", "im2-extinction", "pm_a-fringe", "pm_c-delay", "site-response", "voa_b-linearity"} <= set(before["stale"])
    assert before["calibrations"][0]["make"] == f"heliograph calibrate run im1-bias --station {station}"

    made = heliograph("calibrate", "run", "im1-extinction", "--station", station, "--param", "dark_s=2", "--json")
    assert made.code == 0, made.err
    (record,) = made.json["calibrations"]
    er = record["values"]["er_db"]
    assert abs(er["value"] - 30.0) < 4.0 * er["sigma"] < 1.0
    assert made.json["simulated"] is True

    shown = heliograph("calibrate", "show", "im1-extinction", "--station", station, "--json").json
    assert (shown["state"], shown["values"], shown["sha256"]) == ("valid", record["values"], record["sha256"])
    with Run.open(station.parent / "runs" / "calibrations" / record["run"]) as run:
        assert run.run_id == record["run_id"]
    path = station.parent / "runs" / "calibrations" / "im1-extinction.toml"
    path.write_text(path.read_text().replace("taken = 20", "taken = 19"))
    after = heliograph("calibrate", "list", "--station", station, "--json")
    assert states(after.json)["im1-extinction"] == "expired"
    assert "valid for 90 days only" in after.err


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("run", "im9-bias"), 3, "im9-bias"),
        (("run", "im1-bias", "--param", "modulator=im2"), 3, "modulator"),
        (("run", "im1-bias", "--param", "points"), 3, "points"),
        (("run", "im1-bias", "--param", "points=3"), 3, "points"),
        (("show", "im1-bias"), 4, "im1-bias"),
        (("show", "../../station"), 3, "station"),
    ],
)
def test_what_cannot_be_calibrated_or_shown_is_refused_before_the_bench_is_opened(heliograph, station, words, code, named):
    ended = heliograph("calibrate", *words, "--station", station, "--json")

    assert ended.code == code
    assert named in ended.json["error"]["message"] + ended.json["error"]["where"]
    assert ended.json["error"]["remedy"]
    assert not (station.parent / "station.toml.bench.json").exists()
