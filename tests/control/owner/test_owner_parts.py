"""An owner's own threads, without a bench: what is told last is how it is, and no thread ends for an error."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heliograph.control.owner import idle
from heliograph.control.owner.owner import Owner
from heliograph.control.owner.owning import owning
from heliograph.control.owner.publishing import Topics
from heliograph.control.queueing.order import Queue
from heliograph.control.stations import station_lock
from heliograph.control.topics import EVENT
from heliograph.core.errors import ArmRefused, Tripped
from heliograph.instruments.guard import safe
from heliograph.instruments.roles import SafeReport
from heliograph.instruments.station import Station, default_text

from ...instruments.guarded_bench import Bench
from ..owned import wait_for


class Arbiter:
    """A bench that says how it is, and how it is looked at."""

    def __init__(self) -> None:
        self.state, self.cause, self.generation = "ARMED", "", 0
        self.released: tuple[str, ...] = ()
        self.reports: tuple[SafeReport, ...] = ()
        self.looks = 0

    def look(self) -> None:
        self.looks += 1
        raise (ZeroDivisionError, Tripped("light"), KeyError)[self.looks % 3]


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    made = Owner(Station.parse(default_text(), tmp_path / "station.toml"), tmp_path)
    made.instruments = SimpleNamespace(arbiter=Arbiter())  # type: ignore[assignment]
    made.runner = SimpleNamespace(job=None)  # type: ignore[assignment]
    made.watch = SimpleNamespace(soon=lambda: None)  # type: ignore[assignment]
    return made


def slow_once(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Hold up the first that is published until another thread had time to publish, too."""
    begun, publish, calls = threading.Event(), topics.publish, list[str]()

    def held_up(topic: str, body: Any) -> None:
        calls.append(topic)
        if len(calls) == 1:
            begun.set()
            threading.Event().wait(0.3)
        publish(topic, body)

    monkeypatch.setattr(topics, "publish", held_up)
    return begun


def both(first: Callable[[], None], begun: threading.Event, second: Callable[[], None]) -> None:
    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(20.0)
    second()
    thread.join()


def test_the_latest_safety_is_how_the_bench_is_also_at_the_watchdog(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(owner, "_watchdog", SimpleNamespace(pid=7, alive=True, tell=lambda state: told.append(state["state"])))
    begun = slow_once(owner.topics, monkeypatch)
    arbiter: Any = owner.instruments.arbiter

    def make_safe() -> None:
        arbiter.state = "SAFE"
        owner.tell()

    both(owner.tell, begun, make_safe)

    assert owner.topics.latest("safety")["state"] == "SAFE"
    assert told == ["ARMED", "SAFE"]


def test_the_latest_queue_is_how_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(Topics())
    begun = slow_once(queue.topics, monkeypatch)

    both(queue.publish, begun, lambda: queue.hold("enough"))

    assert queue.topics.latest("queue").held == "enough"


def test_an_armed_bench_is_looked_at_again_whatever_went_wrong(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "LOOK_S", 0.01)
    box = owner.topics.subscribe([EVENT])
    arbiter: Any = owner.instruments.arbiter
    thread = threading.Thread(target=idle.watch, args=(owner._look_idle, owner._closing, owner.topics))
    thread.start()
    wait_for(lambda: arbiter.looks > 8)
    owner._closing.set()
    thread.join(20.0)
    texts = [message.body.text for message in box.take()]
    assert "KeyError" in texts[0]
    assert "ZeroDivisionError" in texts[1]


def test_after_a_trip_the_reports_are_those_of_this_trip_and_the_bench_is_looked_at_again(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe, "DEADLINE_S", 0.5)
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(owner.topics, "publish", lambda topic, body: told.append(body) if topic == "safety" else None)
    bench = Bench()
    owner.instruments = SimpleNamespace(arbiter=bench.arbiter, make_safe=bench.arbiter.secure, values=bench.instruments.values)  # type: ignore[assignment]
    owner.runner = SimpleNamespace(job=None, abort=lambda _cause: None, wait_idle=lambda _seconds: True)  # type: ignore[assignment]
    bench.arbiter.subscribe(owner._heard)
    bench.arbiter.arm()
    owner.make_safe("pressed at first")
    wait_for(lambda: not owner._to_look.is_set())
    bench.arbiter.arm()
    bench.wires["snspd"].cut = True

    bench.arbiter.trip("D1 counts too much", name="snspd")

    tripped = [{one["name"]: one["state"] for one in body["reports"]} for body in told if body["state"] == "TRIPPED"]
    assert (tripped[0], tripped[-1]["snspd"], tripped[-1]["laser"]) == ({}, "FAILED", "CONFIRMED")
    bench.wires["snspd"].cut = False
    wait_for(lambda: {one["state"] for one in told[-1]["reports"]} == {"CONFIRMED"})
    owner.reset()
    assert (told[-1]["state"], told[-1]["cause"]) == ("SAFE", "")


def test_nobody_lights_a_bench_that_is_being_closed(owner: Owner) -> None:
    owner._closing.set()
    with pytest.raises(ArmRefused, match="closing"):
        owner._before_hazard()


def test_an_owner_that_cannot_open_its_door_leaves_no_thread_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station.parse(default_text(), tmp_path / "station.toml")
    station.path.write_bytes(default_text())

    def fails(*_: Any) -> None:
        raise RuntimeError("no door")

    monkeypatch.setattr("heliograph.control.owner.owning.Server", fails)
    with pytest.raises(RuntimeError, match="no door"), owning(station, tmp_path / "runs", lock=station_lock(station), watched=False, shared=True):
        pass

    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"watch idle", "watch station", "workers"}
