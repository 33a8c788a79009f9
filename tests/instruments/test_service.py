"""An instrument that is let go for service: its line is closed, its lock free, the bench stays dark, and only the same device is taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heliograph.core.errors import (
    ArmRefused,
    Busy,
    DeviceFault,
    InstrumentLocked,
    InterlockOpen,
    ParameterError,
    Released,
    Timeout,
    UnknownInstrument,
    WrongIdentity,
)
from heliograph.instruments.connect import Instruments, connect
from heliograph.instruments.guard import turns, watchdog
from heliograph.instruments.guard.locks import ResourceLock
from heliograph.instruments.roles import Identity, SafeReport
from heliograph.instruments.station import Station
from heliograph.instruments.tag_sources import ID900Source


@pytest.fixture
def running(bench: Any, station_text: str) -> Iterator[Instruments]:
    with connect(Station.parse(station_text.encode(), Path("lab.toml")), bench.addresses) as instruments:
        instruments.share()
        yield instruments


def test_a_released_instrument_is_made_safe_closed_and_free_for_others(bench: Any, running: Any) -> None:
    running["voa"].attenuation_db = 5.0
    told: list[str] = []
    running.arbiter.subscribe(lambda event: told.append(event.text))

    assert running.release("voa") == [SafeReport("voa", "CONFIRMED")]

    assert bench.voa.db == 20.0
    ResourceLock("somebody else", bench.addresses("voa")["resource"]).release()
    assert told == ["voa released for service; the bench cannot be armed until it is taken back"]
    assert running.snapshot()["voa"] == {"simulated": False, "released": True}
    voa = running["voa"]
    assert (voa.released, voa.role, voa.homed, voa.can_home, voa.known_identity.serial) == (True, "Attenuator", True, False, "D1")
    for ask in (lambda: voa.attenuation_db, lambda: voa.settled, voa.identify, voa.home, lambda: voa.driver, lambda: setattr(voa, "attenuation_db", 1.0)):
        with pytest.raises(Released, match=r"voa \(.*released for service"):
            ask()
    with pytest.raises(ParameterError, match="released already"):
        running.release("voa")
    with pytest.raises(UnknownInstrument):
        running.release("voa_z")


def test_while_one_is_away_nothing_is_lit_and_the_others_can_be_made_safe(bench: Any, running: Any) -> None:
    running.release("voa")

    with pytest.raises(ArmRefused, match="voa is released for service"):
        running.arm()
    for ask in (lambda: setattr(running["laser"], "emission", True), lambda: running["snspd"].set_bias(1, 1e-6)):
        with pytest.raises(InterlockOpen, match="voa is released for service"):
            ask()
    assert running.arbiter.state == "SAFE"
    assert "voa" not in {report.name for report in running.make_safe()}
    assert running.arbiter.state == "SAFE", "a laser that was let go would not trip it either"
    assert bench.laser.registers


def test_it_is_taken_back_identified_set_up_and_arms_again(bench: Any, running: Any) -> None:
    running.release("tagger")
    sent = len(bench.tagger.commands)
    (tagger,) = running.take_back("tagger")

    assert tagger is running["tagger"]
    assert not tagger.released
    assert "*IDN?" in bench.tagger.commands[sent:]
    assert any(command.startswith("INPU1:ENAB ON") for command in bench.tagger.commands[sent:])
    with pytest.raises(InstrumentLocked):
        ResourceLock("somebody else", bench.addresses("tagger")["resource"])
    assert list(running) == list(running.station.instruments), "in the order of the station"
    running.arm()
    assert running.arbiter.state == "ARMED"
    with pytest.raises(InterlockOpen, match="the bench is armed"):
        running.release("tagger")
    with pytest.raises(ParameterError, match="not released"):
        running.take_back("tagger")


def test_another_device_or_one_that_somebody_has_is_not_taken_back(bench: Any, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    running.release("tagger")
    theirs = ResourceLock("somebody else", bench.addresses("tagger")["resource"])
    with pytest.raises(InstrumentLocked):
        running.take_back("tagger")
    theirs.release()

    monkeypatch.setattr(ID900Source, "identify", lambda _self: Identity("ID Quantique", "ID900", "T2", "1.12"))
    with pytest.raises(WrongIdentity, match=r"serial T2 answers, .*serial T1 did before") as caught:
        running.take_back("tagger")
    assert caught.value.remedy.endswith("to use this one, end the owner of the bench and start it again: heliograph bench own --station lab.toml.")
    assert running["tagger"].released
    ResourceLock("somebody else", bench.addresses("tagger")["resource"]).release()
    monkeypatch.undo()
    running.take_back("tagger")


def test_of_another_device_it_is_said_where_the_station_names_the_one_of_before(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    known = running["laser"].known_identity
    monkeypatch.setattr(type(running["laser"]), "identify", lambda _self: replace(known, serial="K2"))
    with pytest.raises(WrongIdentity, match="to use this one, enter it under `expect` of laser in lab.toml, end the owner"):
        running["laser"].check_identity()


def test_one_that_does_not_become_safe_stays_released(bench: Any, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    running.release("laser")
    monkeypatch.setattr(type(running["voa"]), "homed", True)
    bench.laser.obeys = False
    bench.laser.registers[0x30] = b"\x03"
    with pytest.raises(DeviceFault, match="not confirmed safe: laser"):
        running.take_back("laser")
    assert running["laser"].released
    assert running.arbiter.released == ("laser",)


def test_one_that_somebody_speaks_with_is_waited_for(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.instruments.connect._PATIENCE_S", 0.05)
    speaking, done = threading.Event(), threading.Event()

    def speak() -> None:
        with turns.alone(running["laser"].driver, 1.0, where="laser"):
            speaking.set()
            done.wait(5.0)

    thread = threading.Thread(target=speak)
    thread.start()
    speaking.wait(5.0)
    before = running["laser"]
    with pytest.raises(Busy, match="laser"):
        running.release("laser")
    assert not running["laser"].released
    assert running.arbiter.released == (), "nothing was let go"
    done.set()
    thread.join()
    running.release("laser")
    with pytest.raises(Released):
        _ = before.power_w


class ContestedTurn:
    """The turn with a driver; as soon as it is kept for a while, somebody has a command judged, for which the instrument is read."""

    def __init__(self, judge: Callable[[], None]) -> None:
        self._turn, self._asked = threading.RLock(), threading.Event()
        self._judging = threading.Thread(target=judge, daemon=True)

    def acquire(self, *, timeout: float) -> bool:
        got = self._turn.acquire(timeout=timeout)
        self._judging.start()
        assert self._asked.wait(20.0), "whoever judges waits for the turn"
        return got

    def __enter__(self) -> None:
        if threading.current_thread() is self._judging:
            self._asked.set()
        # Where everybody waits for everybody the test must end all the same.
        if not self._turn.acquire(timeout=20.0):
            raise Timeout("no turn")

    def release(self) -> None:
        self._turn.release()

    def __exit__(self, *_: object) -> None:
        self._turn.release()


def test_one_that_is_let_go_and_one_who_judges_do_not_wait_for_each_other(running: Any) -> None:
    refused: list[Exception] = []

    def judge() -> None:
        try:
            running.arbiter.permit("voa", "attenuation_db", 0.0)
        except (InterlockOpen, Timeout) as error:
            refused.append(error)

    turn = ContestedTurn(judge)
    object.__setattr__(running["voa"].driver, "_turn", turn)
    letting_go = threading.Thread(target=running.release, args=("voa",), daemon=True)
    letting_go.start()
    letting_go.join(10.0)
    hung = letting_go.is_alive()
    letting_go.join()
    turn._judging.join()

    assert not hung
    assert ["voa is released for service" in str(error) for error in refused] == [True]


def test_one_is_not_let_go_while_the_bench_is_judged_for_long(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.instruments.connect._PATIENCE_S", 0.05)
    judging, done = threading.Event(), threading.Event()

    def judge() -> None:
        with running.arbiter._lock:
            judging.set()
            done.wait(5.0)

    thread = threading.Thread(target=judge)
    thread.start()
    judging.wait(5.0)
    with pytest.raises(Busy, match="judged"):
        running.release("voa")
    done.set()
    thread.join()
    assert not running["voa"].released
    assert running.arbiter.released == ()


def test_a_watchdog_that_acts_by_itself_leaves_alone_what_was_released(running: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rescued: list[list[str]] = []
    monkeypatch.setattr(watchdog, "kill", lambda _pid: None)
    monkeypatch.setattr(watchdog, "rescue", lambda _station, addresses, **_: rescued.append(sorted(addresses)) or [])
    plan = {"pid": 0, "addresses": {name: {} for name in running}, "record": str(tmp_path / "record.json")}
    one = watchdog.Watchdog(plan, lambda _told: None, running.station)

    one.told = {"state": "SAFE", "released": ["voa", "tagger"]}
    one._act("the owner has ended")

    assert rescued == [["awg", "laser", "snspd"]]
