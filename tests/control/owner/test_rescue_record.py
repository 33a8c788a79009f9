"""What the watchdog did while the bench had no owner is told by the next one, once."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from heliograph.control import status
from heliograph.control.link import VERSION, Link, Message, address
from heliograph.control.owner import rescue_record
from heliograph.control.owner.journal import Journal, events_of
from heliograph.control.owner.owner import Owner
from heliograph.control.owner.owning import owning as here
from heliograph.control.owner.publishing import Topics
from heliograph.control.stations import station_lock
from heliograph.core.errors import DeviceFault
from heliograph.instruments.guard import safe
from heliograph.instruments.roles import SafeReport
from heliograph.instruments.station import Station, default_text

from ..owned import attached, owning, wait_for

CONFIRMED = {"name": "laser", "state": "CONFIRMED", "detail": "emission off"}


def record(**changes: Any) -> dict[str, Any]:
    return {"by": "watchdog", "cause": "the owner's pipe closed", "reports": [CONFIRMED], "time": time.time() - 60, "owner": 4321, **changes}


@dataclass
class Owning:
    """As much of an owner as a record needs."""

    journal: Journal
    topics: Topics = field(default_factory=Topics)


def test_a_rescue_is_told_at_its_time_and_only_once(tmp_path: Path) -> None:
    told, path = record(), tmp_path / "rescue"
    path.write_text(json.dumps(told))
    owner: Any = Owning(Journal(tmp_path / "journal"))

    for _ in range(2):
        rescue_record.tell(owner, path)

    (found,) = [event for file in sorted((tmp_path / "journal").iterdir()) for event in events_of(file)]
    assert (found.t, found.severity, found.source) == (told["time"], "error", "watchdog")
    assert "made 1 instruments safe by itself" in found.text
    assert f"{datetime.fromtimestamp(told['time'], UTC):%H:%M:%S} UTC: the owner's pipe closed (owner 4321)" in found.text
    assert not path.exists()


def test_a_rescue_that_failed_says_of_what() -> None:
    found = rescue_record.event(record(reports=[CONFIRMED, {"name": "snspd", "state": "FAILED", "detail": "no answer"}]))

    assert "could NOT make snspd safe" in found.text


@pytest.mark.parametrize("text", ["", "[]", "{", '{"time": 1e400, "reports": 3}', '{"time": "now", "reports": [1]}', "\xff"])
def test_a_damaged_record_is_told_too_and_stops_no_bench(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rescue"
    path.write_bytes(text.encode("latin-1"))
    owner: Any = Owning(Journal(tmp_path / "journal"))

    rescue_record.tell(owner, path)

    (found,) = owner.journal.since(0)
    assert abs(found.t - time.time()) < 5
    assert not path.exists()


def test_the_next_owner_tells_it_to_whoever_asks(tmp_path: Path) -> None:
    station = tmp_path / "station.toml"
    station.write_bytes(default_text())
    address(station, "rescue").write_text(json.dumps(record()))

    with owning(tmp_path) as path, attached(path) as bench:
        events = bench.link.ask("events", {"since": 0})

    assert any(event.source == "watchdog" and "the owner's pipe closed" in event.text for event in events)


@pytest.mark.slow
def test_an_owner_that_ends_in_order_leaves_word_that_it_made_the_bench_safe(tmp_path: Path) -> None:
    heard: list[Message] = []
    with owning(tmp_path) as station:
        path = address(station, "rescue")
        bench = attached(station)
        link = Link.to_owner(station, heard=heard.append)
        assert link is not None
        link.ask("hello", {"version": VERSION})
        link.ask("subscribe", {"topics": ["safety"]})
        wait_for(lambda: bool(heard))
        assert heard[0].body["watchdog"] is not None, "it watches before anybody looks"
        bench.arm()
        owner = bench.owner_pid

    told = json.loads(path.read_text())
    assert (told["by"], told["owner"], told["cause"]) == ("owner", owner, "the owner was told to end")
    assert {one["name"]: one["state"] for one in told["reports"]}["laser"] == "CONFIRMED"
    assert [message.body["state"] for message in heard][-1] == "SAFE", "the last word is heard before the line is closed"
    assert status.of(station)["state"] == "CLOSED"
    link.close()
    bench.link.close()
    if bench._line is not None:
        bench._line.close()

    journal = Journal(tmp_path / "journal")
    rescue_record.tell(Owning(journal), path)  # type: ignore[arg-type]
    assert not path.exists()
    assert not list((tmp_path / "journal").glob("*")), "its own journal has it"


def test_the_last_word_is_how_the_bench_was_as_it_was_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe, "DEADLINE_S", 1.0)
    station = Station.parse(default_text(), tmp_path / "station.toml")
    station.path.write_bytes(default_text())
    with (
        pytest.raises(DeviceFault, match="voa_b FAILED"),
        here(station, tmp_path / "runs", lock=station_lock(station), watched=False, shared=True) as owner,
    ):
        owner._say_safe("error", "asked for", [SafeReport("voa_a", "FAILED", "no answer, but it was repaired since")])
        voa = type(owner.instruments["voa_b"])
        to_safe = voa.to_safe
        monkeypatch.setattr(voa, "to_safe", lambda one: SafeReport("voa_b", "FAILED", "no answer") if one.name == "voa_b" else to_safe(one))
        names = set(owner.instruments)

    told = json.loads(address(station.path, "rescue").read_text())
    assert {one["name"] for one in told["reports"]} == names
    assert [one["name"] for one in told["reports"] if one["state"] == "FAILED"] == ["voa_b"]
    assert time.time() - told["time"] < 10.0


def test_an_owner_that_never_had_its_bench_open_leaves_no_word(tmp_path: Path) -> None:
    owner: Any = Owner(Station.parse(default_text(), tmp_path / "station.toml"), tmp_path / "runs")

    rescue_record.leave(owner, tmp_path / "rescue")

    assert not (tmp_path / "rescue").exists()
