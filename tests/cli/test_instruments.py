"""What there are drivers for, who answers, and a word with one of them."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys

import pytest

from heliograph.instruments.catalogue import DRIVERS
from heliograph.instruments.station import Station, default_text
from heliograph.mocks.simulators import SIMULATORS


@pytest.fixture
def station(tmp_path):
    path = tmp_path / "station.toml"
    path.write_bytes(default_text())
    return path


def test_the_list_is_the_catalogue_and_needs_no_station(heliograph, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = heliograph("instruments", "list", "--json").json

    rows = {row["driver"]: row for row in found["instruments"]}
    assert set(rows) >= set(DRIVERS)
    assert all(list(row) == ["driver", "role", "vendor", "model", "transport", "simulated"] for row in rows.values())
    assert rows["OzDD100"] == {
        "driver": "OzDD100",
        "role": "Attenuator",
        "vendor": "OZ Optics",
        "model": "DD-100-MC",
        "transport": "serial, text",
        "simulated": True,
    }
    assert {name for name, row in rows.items() if row["simulated"]} >= set(SIMULATORS)
    assert "broken" not in found
    assert list(tmp_path.iterdir()) == []


def test_a_driver_of_another_package_is_listed_and_a_broken_one_is_named(heliograph, foreign):
    text = 'from heliograph.instruments.catalogue import Entry\nDRIVER = Entry("PowerMeter", "x", "X", "Acme", "P9", "USB")\n'
    foreign("acme", {"acme_drivers": text}, "[heliograph.instruments]\nP9 = acme_drivers:DRIVER\nP8 = acme_drivers:OLD\n")

    ended = heliograph("instruments", "list", "--json")

    row = next(row for row in ended.json["instruments"] if row["driver"] == "P9")
    assert row == {"driver": "P9", "role": "PowerMeter", "vendor": "Acme", "model": "P9", "transport": "USB", "simulated": False}
    assert ended.code == 0
    assert "P8 of acme 0.1 cannot be loaded" in ended.json["broken"][0]["message"]
    assert "P8 of acme 0.1" in ended.err


def test_every_instrument_says_who_it_is_and_one_that_does_not_stops_no_other(heliograph, station):
    station.write_text(station.read_text().replace("voa_b.rules = { simulated = true,", 'voa_b.rules = { simulated = true, expect = { model = "DD-600" },'))

    ended = heliograph("instruments", "identify", "--station", station, "--fault", "garbage:tagger", "--json")

    rows = {row["name"]: row for row in ended.json["instruments"]}
    assert ended.code == 4
    assert (rows["laser"]["vendor"], rows["laser"]["model"], rows["laser"]["error"]) == ("NKT Photonics", "0x33", None)
    assert rows["voa_a"]["model"] == "DD-100-MC"
    assert rows["tagger"]["vendor"] is None
    assert rows["tagger"]["error"]["type"] in ("WrongIdentity", "BadReply")
    assert rows["voa_b"]["model"] == "DD-100-MC"
    assert rows["voa_b"]["error"]["type"] == "WrongIdentity"
    assert set(rows) == set(Station.load(station).instruments)


def typed(monkeypatch, *lines):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_what_is_typed_goes_out_as_it_is_and_the_state_is_read_back(heliograph, station, monkeypatch):
    typed(monkeypatch, "*IDN?", "OUTP1 1", "OUTP1?", "/hex 4F 55 54 50 31 3F 0A", "/help", "/history", "/nonsense", "/quit", "*RST")

    ended = heliograph("instruments", "console", "awg_a", "--station", station, "--timeout", "1", "--json")

    history = ended.json["history"]
    assert [said["sent"] for said in history] == ["*IDN?", "OUTP1 1", "OUTP1?", "OUTP1?"]
    assert [said["received"] for said in history[1:]] == ["", "1", "1"]
    assert "81160A" in history[0]["received"]
    assert [said["safe"] for said in history] == [True, False, False, False]
    assert "no limit and no interlock" in ended.err
    assert "not in its safe state" in ended.err
    assert "/nonsense is no command" in ended.json["errors"][0]["message"]
    assert ended.code == 3


def test_a_name_that_is_not_there_is_refused_with_those_there_are(heliograph, station):
    ended = heliograph("instruments", "console", "lamp", "--station", station, "--json")

    assert ended.code == 3
    assert "voa_in" in ended.json["error"]["remedy"]


def test_where_another_process_owns_the_bench_it_is_asked_and_nobody_goes_past_it(heliograph, station, tmp_path, monkeypatch):
    owner = subprocess.Popen(
        [sys.executable, "-m", "heliograph", "bench", "own", "--station", station], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert owner.stdout is not None
        assert json.loads(owner.stdout.readline())["pid"] == owner.pid
        typed(monkeypatch, "OUTP1 1")

        found = heliograph("instruments", "identify", "--station", station, "--json")
        by_hand = heliograph("instruments", "console", "awg_a", "--station", station, "--json")
        recorded = heliograph("instruments", "record", tmp_path / "session.jsonl", "--station", station, "--run", "CountRates", "--json")
    finally:
        owner.send_signal(signal.SIGINT)
        owner.communicate(timeout=30)

    assert found.code == 0
    assert {row["model"] for row in found.json["instruments"]} >= {"0x33", "DD-100-MC", "81160A", "WebSQ", "ID900"}
    assert by_hand.json["error"]["type"] == "InstrumentLocked"
    assert "interlocks" in by_hand.json["error"]["message"]
    assert recorded.json["error"]["type"] == "BenchError"
    assert not list(tmp_path.rglob("*.h5"))


def test_a_session_is_recorded_and_can_be_replayed(heliograph, station, tmp_path):
    from heliograph.instruments.wire import session

    path = tmp_path / "session.jsonl"
    words = ["instruments", "record", path, "--station", station, "--run", "CountRates", "--param", "duration_s=0.2"]

    found = heliograph(*words, "--json").json
    again = heliograph(*words, "--json")

    ports = session.read(path).ports
    assert set(found["instruments"]) == set(Station.load(station).instruments)
    assert {name for name, _ in ports} == set(found["instruments"])
    assert found["messages"] == len(path.read_text().splitlines()) - 1
    assert found["run"].endswith(".h5")
    secret = [json.loads(line)["sent"] for line in path.read_text().splitlines()[1:] if "masked" in line]
    assert len(secret) >= 3
    assert again.code == 3
    assert "remove the file" in again.json["error"]["remedy"]
