"""Records of calibrations: what is written, what is used, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.acquisition.calibrated import apply, heeded, in_use, standing
from heliograph.acquisition.calibrations import PLAUSIBLE, Calibration, Calibrations, Measured, _as_toml, _from_toml, file_sha256
from heliograph.acquisition.runs import Run, RunLayout, RunWriter
from heliograph.core.errors import CalibrationError, ConfigError, Expired, ParameterError, StorageError, Suspect
from heliograph.instruments.station import Station, default_text

BIAS = {"v_pi_v": Measured(4.9, 0.01, "V"), "null_v": Measured(0.3, 0.004, "V")}


def station(folder: Path, text: str = "") -> Station:
    return Station.parse((text or default_text().decode()).encode(), folder / "station.toml")


def measured(
    folder: Path,
    values: Mapping[str, Measured] = BIAS,
    *,
    element: str = "im1",
    kind: str = "bias",
    days: float = 30.0,
    at: datetime | None = None,
    text: str = "",
) -> Run:
    """Return a closed run that found a calibration."""
    now_ns = int((at or datetime.now(UTC)).timestamp() * 1e9)
    writer = RunWriter.create(folder / "runs", "BiasScan", {}, station(folder, text), {}, layout=RunLayout(), clock_ns=lambda: now_ns)
    told = {name: {"value": one.value, "sigma": one.sigma, "unit": one.unit} for name, one in values.items()}
    writer.summary["calibration"] = {"element": element, "kind": kind, "valid_days": days, "values": told}
    return Run.open(writer.close())


@pytest.fixture
def store(tmp_path: Path) -> Calibrations:
    return Calibrations(tmp_path / "runs" / "calibrations")


def test_a_record_keeps_values_date_and_the_hash_of_its_run(store, tmp_path):
    with measured(tmp_path) as run:
        kept = store.keep(run)

    found = store.use("im1-bias")
    assert found == kept
    assert found.values == BIAS
    assert found["null_v"] == 0.3
    assert found.sha256 == file_sha256(run.path)
    assert (store.folder / found.run).resolve() == run.path
    assert found.run_id == run.run_id
    assert found.simulated is True
    assert found.until - found.taken == timedelta(days=30)
    assert store.names() == ("im1-bias",)
    assert [path.name for path in store.folder.iterdir()] == ["im1-bias.toml"]


def test_a_new_record_takes_the_place_of_the_old_one(store, tmp_path):
    for null in (0.3, 0.7):
        with measured(tmp_path, {**BIAS, "null_v": Measured(null, 0.004, "V")}) as run:
            store.keep(run)

    assert store.use("im1-bias")["null_v"] == 0.7


def test_what_is_too_old_is_refused_and_says_how_to_renew_it(store, tmp_path):
    with measured(tmp_path, at=datetime.now(UTC) - timedelta(days=31)) as run:
        store.keep(run)

    with pytest.raises(Expired, match="valid for 30 days only") as caught:
        store.use("im1-bias")
    assert "heliograph calibrate run im1-bias" in caught.value.remedy
    assert store.use("im1-bias", now=datetime.now(UTC) - timedelta(days=2))
    assert standing(station(tmp_path), store, "im1-bias").state == "expired"


def altered(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        stop = json.loads(file.attrs["stop"])
        stop["summary"]["calibration"]["values"]["null_v"]["value"] = 0.9
        file.attrs["stop"] = json.dumps(stop, sort_keys=True)


SPOILT = ["run altered", "run gone", "value edited", "days edited", "run id edited", "sigma gone", "no toml", "name of another", "from the future"]


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_cannot_be_trusted_is_refused(store, tmp_path, spoil):
    with measured(tmp_path) as run:
        store.keep(run)
    path = store.path("im1-bias")
    text = path.read_text()
    if spoil == "run altered":
        altered(run.path)
    elif spoil == "run gone":
        run.path.unlink()
    elif spoil == "name of another":
        path.rename(store.path("im2-bias"))
    else:
        edits = {
            "value edited": ("value = 0.3", "value = 0.5"),
            "run id edited": (f'run_id = "{run.run_id}"', 'run_id = "20200101T000000Z-abcdef"'),
            "days edited": ("valid_days = 30.0", "valid_days = 300.0"),
            "sigma gone": (", sigma = 0.004", ""),
            "no toml": ("schema =", "schema"),
            "from the future": (f"taken = {text.partition('taken = ')[2][:10]}", "taken = 2093-01-01"),
        }
        assert edits[spoil][0] in text
        path.write_text(text.replace(*edits[spoil]))

    name = "im2-bias" if spoil == "name of another" else "im1-bias"
    with pytest.raises(Suspect) as caught:
        store.use(name)
    assert name in caught.value.where
    assert standing(station(tmp_path), store, name).state == "suspect"


def test_a_stale_record_is_not_renewed_by_editing_its_date(store, tmp_path):
    with measured(tmp_path, at=datetime.now(UTC) - timedelta(days=31)) as run:
        kept = store.keep(run)
    path, text = store.path("im1-bias"), store.path("im1-bias").read_text()
    for days in (0, 15):
        path.write_text(text.replace(f"{kept.taken:%Y-%m-%dT%H:%M:%SZ}", f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"))
        with pytest.raises(Suspect, match="other taken than its run"):
            store.use("im1-bias")
    path.write_text(text)
    assert store.use("im1-bias", now=datetime.now(UTC) - timedelta(days=2)) == kept


@pytest.mark.parametrize("values", [{**BIAS, "v_pi_v": Measured(0.0, 0.1, "V")}, {**BIAS, "null_v": Measured(0.1, -1.0, "V")}, {"v_pi_v": BIAS["v_pi_v"]}])
def test_values_that_cannot_be_are_never_written(store, tmp_path, values):
    with measured(tmp_path, values) as run, pytest.raises(Suspect):
        store.keep(run)

    assert store.names() == ()


def test_a_run_that_was_broken_off_leaves_no_record(store, tmp_path):
    writer = RunWriter.create(tmp_path / "runs", "BiasScan", {}, station(tmp_path), {}, layout=RunLayout())
    with Run.open(writer.close("aborted")) as run, pytest.raises(CalibrationError, match="left no calibration"):
        store.keep(run)


def test_missing_records_and_impossible_names_are_told(store, tmp_path):
    with pytest.raises(CalibrationError, match="no such calibration"):
        store.use("im1-bias")
    assert standing(station(tmp_path), store, "im1-bias").state == "missing"
    for name in ("../im1-bias", "im1", "IM1-bias", "im1-bias.toml"):
        with pytest.raises(ParameterError):
            store.path(name)


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "calibrations").write_text("a file")
    with measured(tmp_path) as run, pytest.raises(StorageError):
        Calibrations(tmp_path / "runs" / "calibrations").keep(run)


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    values=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), st.builds(Measured, numbers, numbers, st.sampled_from(["V", "1/s", "dB"])), max_size=5
    ),
    run=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20),
    taken=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    days=st.floats(0.1, 1e4),
)
def test_a_record_is_read_as_it_was_written(values, run, taken, days):
    import tomllib

    record = Calibration(run[:3], "im1", "bias", values, taken.replace(microsecond=0), days, "20260101T000000Z-abcdef", run, "0" * 64, False)

    assert _from_toml(tomllib.loads(_as_toml(record))) == record


def record(element: str, kind: str, **values: float) -> Calibration:
    told = {name: Measured(value, 0.0, "") for name, value in values.items()}
    return Calibration("demo-lab", element, kind, told, datetime.now(UTC), 1.0, "", "", "", True)


def test_values_take_the_place_of_the_stations_own(tmp_path):
    nominal = station(tmp_path)
    site = {name: (low + high) / 3.0 for name, (low, high) in PLAUSIBLE["response"].items()}

    found = apply(
        nominal,
        [
            record("im1", "bias", v_pi_v=4.8, null_v=0.2),
            record("im1", "extinction", er_db=27.0),
            record("pm_a", "fringe", v_pi_v=5.2, visibility=0.99),
            record("pm_b", "delay", clockwise_s=2.6e-9, counter_s=5.5e-9),
            record("site", "response", **site),
            record("voa_in", "linearity", slope=1.0, worst_db=0.0),
        ],
    )

    im1 = found.optics.modulators["im1"]
    assert (im1.v_pi_v, im1.null_v, im1.er_db) == (4.8, 0.2, 27.0)
    assert found.optics.modulators["pm_a"].v_pi_v == 5.2
    assert found.optics.modulators["pm_b"].trains_s == (2.6e-9, 5.5e-9)
    assert found.optics.site.eta == (site["eta_1"], site["eta_2"])
    assert found.optics.modulators["im2"] == nominal.optics.modulators["im2"]
    assert nominal.optics.modulators["im1"].v_pi_v == 5.0
    with pytest.raises(CalibrationError, match="no im9"):
        apply(nominal, [record("im9", "bias", v_pi_v=4.8, null_v=0.2)])


def instruments(place: Station) -> Any:
    return SimpleNamespace(station=place, things={})


def test_runs_use_what_is_valid_and_stop_at_what_is_stale(store, tmp_path):
    place = station(tmp_path)
    with measured(tmp_path) as run:
        store.keep(run)
    with measured(tmp_path, element="im2", at=datetime.now(UTC) - timedelta(days=40)) as run:
        store.keep(run)
    bench = instruments(place)

    with pytest.raises(Expired, match="valid for 30 days"):
        in_use(bench, store)
    view, used = in_use(bench, store, measuring="im2-bias")

    assert [one.name for one in used] == ["im1-bias"]
    assert view.station.optics.modulators["im1"].null_v == 0.3
    assert vars(view)["things"] is bench.things
    assert bench.station is place
    assert in_use(bench, store, measuring="im1-bias")[1] == ()


def test_a_record_that_the_station_file_asks_for_must_be_there(store, tmp_path):
    text = default_text().decode().replace('er = "30 dB" }', 'er = "30 dB", calibration = "im1-bias.toml" }', 1)
    place = station(tmp_path, text)

    assert heeded(place, store) == ("im1-bias",)
    with pytest.raises(CalibrationError, match="no such calibration"):
        in_use(instruments(place), store)
    with measured(tmp_path) as run:
        store.keep(run)
    assert in_use(instruments(place), store)[0].station.optics.modulators["im1"].v_pi_v == 4.9


def test_records_of_another_bench_are_not_heeded(store, tmp_path):
    with measured(tmp_path, element="im7") as run:
        store.keep(run)
    with measured(tmp_path) as run:
        store.keep(run)
    neighbour = station(tmp_path, default_text().decode().replace('name = "demo-lab"', 'name = "next-door"'))

    assert heeded(station(tmp_path), store) == ("im1-bias",)
    assert heeded(neighbour, store) == ()
    assert standing(neighbour, store, "im1-bias").state == "missing"
    assert standing(station(tmp_path), store, "im1-bias").state == "valid"


def test_a_record_of_a_simulation_is_not_used_on_a_real_bench(store, tmp_path):
    with measured(tmp_path) as run:
        store.keep(run)
    real = station(tmp_path, default_text().decode().replace("simulated = true", "simulated = false"))

    with pytest.raises(Suspect, match="simulated instruments"):
        in_use(instruments(real), store)
    assert in_use(instruments(real), store, measuring="im2-bias")[1] == ()


def test_a_record_of_a_simulation_is_not_used_on_a_bench_that_is_real_in_part(store, tmp_path):
    with measured(tmp_path) as run:
        store.keep(run)
    text = default_text().decode()
    mixed = text.replace("laser.rules = { simulated = true", "laser.rules = { simulated = false")
    assert mixed != text
    assert station(tmp_path, mixed).simulated

    with pytest.raises(Suspect, match="simulated was laser, .* when it was measured, and is "):
        in_use(instruments(station(tmp_path, mixed)), store)


def test_a_record_of_a_bench_that_is_real_in_part_is_used_where_the_same_instruments_are(store, tmp_path):
    text = default_text().decode()
    mixed = text.replace("laser.rules = { simulated = true", "laser.rules = { simulated = false")
    other = text.replace("voa_in.rules = { simulated = true", "voa_in.rules = { simulated = false")
    with measured(tmp_path, text=mixed) as run:
        store.keep(run)

    assert [one.name for one in in_use(instruments(station(tmp_path, mixed)), store)[1]] == ["im1-bias"]
    for present in (text, other):
        assert standing(station(tmp_path, present), store, "im1-bias").state == "suspect"


def test_a_station_may_say_where_its_calibrations_are_only_by_name(tmp_path):
    text = default_text().decode().replace('er = "30 dB" }', 'er = "30 dB", calibration = 7 }', 1)
    with pytest.raises(ConfigError, match="calibration"):
        station(tmp_path, text)


def test_calibrations_lie_in_the_data_folder_beside_the_station_file(tmp_path):
    assert Calibrations.of(station(tmp_path)).folder == tmp_path / "runs" / "calibrations"


def test_numpy_numbers_are_written_as_numbers(store, tmp_path):
    with measured(tmp_path, {**BIAS, "null_v": Measured(float(np.float64(0.25)), 0.01, "V")}) as run:
        kept = store.keep(run)
    assert replace(kept) == store.read("im1-bias")
