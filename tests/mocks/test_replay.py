from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heliograph.core.errors import BadReply, BenchError, DataError, Timeout
from heliograph.instruments.attenuators import OzAttenuator
from heliograph.instruments.connect import connect
from heliograph.instruments.recording import recording
from heliograph.instruments.station import Station
from heliograph.instruments.wire import session
from heliograph.instruments.wire.session import Exchange, Port
from heliograph.mocks.devices.replay import Replay, matched
from heliograph.mocks.lab import Lab
from heliograph.mocks.replay import Replayed


@pytest.fixture(scope="module", autouse=True)
def locks_of_their_own(tmp_path_factory):
    """Ports are given out again; whoever was killed elsewhere on this machine may still hold the lock of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HELIOGRAPH_RUNTIME_DIR", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    path = tmp_path_factory.mktemp("station") / "station.toml"
    path.write_bytes((Path(__file__).parents[1] / "full_station.toml").read_bytes())
    return Station.load(path)


def work(station, resources):
    """Open every instrument, use each driver, make it safe and close it; return what was read."""
    with connect(station, resources.__getitem__, home=True) as instruments:
        instruments["laser"].power_setpoint_w = 5e-3
        instruments["voa_a"].attenuation_db = 12.34
        instruments["awg_a"].load(1, [0.0, 0.5, -0.5, 0.25], 1e8)
        instruments["snspd"].set_bias(1, 2e-6)
        instruments["meter"].wavelength_m = 1549.5e-9
        found: dict[str, Any] = dict(instruments.snapshot())
        found["counts"] = [int(n) for n in instruments["snspd"].counts(0.1).n]
        found["voa"] = instruments["voa_a"].attenuation_db
    # The fingerprint of a waveform has a salt of its own each time.
    found["awg_a"] = {key: value for key, value in found["awg_a"].items() if "salted" not in key}
    return found


@pytest.fixture(scope="module")
def recorded(station, tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "session.jsonl"
    with Lab(station.plain()).in_thread() as resources, recording(path, station):
        found = work(station, resources)
    return path, found


def test_a_recorded_session_replays_against_every_driver_without_a_difference(station, recorded):
    path, found = recorded
    replayed = Replayed(path)

    with replayed.in_thread() as resources:
        again = work(station, resources)

    assert replayed.differences == []
    assert again == found
    drivers = {entry.wire.driver for entry in station.instruments.values()}
    assert set(session.read(path).head["drivers"].values()) == drivers
    assert len(drivers) >= 9
    assert {name for name, _ in [*session.read(path).ports, *session.read(path).shared]} == set(station.instruments)


def test_the_first_byte_that_differs_is_named(station, tmp_path):
    path = tmp_path / "session.jsonl"
    with Lab(station.plain()).in_thread() as resources, recording(path, station) as recorder:
        recorder.expect("voa_a", "Attenuator", resources["voa_a"])
        voa = OzAttenuator.open("voa_a", station.instruments["voa_a"], resources["voa_a"], station="lab.toml")
        identity = voa.identify()
        voa.close()
    path.write_text(path.read_text().replace("CD\\r", "CX\\r"))
    replayed = Replayed(path)

    with pytest.raises(Timeout) as caught, replayed.in_thread() as resources:
        OzAttenuator.open("voa_a", station.instruments["voa_a"], resources["voa_a"], station="lab.toml").identify()

    assert identity.model == "DD-100-MC"
    assert replayed.differences == ["voa_a resource: byte 1 of message 1 differs: b'D' came in b'CD\\r', recorded is b'CX\\r' in line 3"]
    assert replayed.differences[0] in caught.value.__notes__


def port(*exchanges: tuple[str | int, str], transport: str = "tcp") -> Port:
    made = [
        Exchange((sent.encode(),) if isinstance(sent, str) else (b"#", sent), n, [reply.encode()] if reply else [])
        for n, (sent, reply) in enumerate(exchanges, 1)
    ]
    return Port(transport, [made])


def ask(link, *messages: str) -> str:
    return b"".join(reply.data for message in messages for reply in link.feed(message.encode())).decode()


def test_messages_may_come_in_any_pieces():
    told: list[str] = []
    link = Replay(port(("A1;", ""), ("B?;", "b"), ("C?;", "c")), "x", told.append).link()

    assert ask(link, "A", "1;B", "?;C?", ";") == "bc"
    assert told == []


def test_a_poll_may_come_more_or_less_often_and_a_new_question_may_not():
    told: list[str] = []
    record = port(("P?;", "1"), ("S;", ""), ("P?;", "2"), ("P?;", "3"), ("Q?;", "q"))

    device = Replay(record, "x", told.append)
    assert ask(device.link(), "P?;", "P?;", "S;", "P?;", "Q?;", "P?;") == "112q2"
    device.left()
    assert told == []

    strict = Replay(record, "x", told.append, polls=False)
    assert ask(strict.link(), "P?;", "P?;", "S;") == "1"
    assert told == ["x: byte 0 of message 2 differs: b'P' came in b'P?;', recorded is b'S;' in line 2"]


def test_what_never_came_and_what_came_behind_the_end_are_differences():
    told: list[str] = []
    device = Replay(port(("A?;", "a"), ("B;", "")), "x", told.append)
    ask(device.link(), "A?;")
    device.left()
    late = Replay(port(("A?;", "a")), "y", told.append)
    ask(late.link(), "A?;", "C;")
    Replay(port(("A?;", "a")), "z", told.append).left()

    assert told == [
        "x: 1 messages never came, the first is b'B;' of line 2",
        "y: b'C;' came behind the last message that was recorded",
        "z: nobody connected",
    ]


def test_masked_bytes_may_be_any_and_must_be_as_many():
    assert matched((b"D#14", 4, b"\n"), b"D#14abcd\nX") == 9
    assert matched((b"D#14", 4, b"\n"), b"D#14abc") == 0
    assert matched((b"D#14", 4, b"\n"), b"D#14abcdeX") == -1 - 8
    assert matched((b"D#14",), b"E") == -1


@pytest.mark.parametrize(
    "text", ["", "not json", '{"schema": "other/1"}', '{"schema": "heliograph-session/1"}\n{"t_s": 0, "name": "a", "port": "p", "sent": "x"}']
)
def test_what_is_no_session_is_refused_with_its_line(tmp_path, text):
    path = tmp_path / "session.jsonl"
    path.write_text(text)

    with pytest.raises(DataError, match=r"session\.jsonl"):
        Replayed(path)
    with pytest.raises(DataError):
        Replayed(tmp_path / "nowhere.jsonl")


def test_a_bad_end_is_an_error_and_does_not_hide_another(tmp_path):
    path = tmp_path / "session.jsonl"
    head = {"schema": session.SCHEMA}
    opens = {"t_s": 0, "name": "voa", "port": "resource", "opens": "serial"}
    path.write_text("\n".join(json.dumps(line) for line in (head, opens, {"t_s": 1, "name": "voa", "port": "resource", "sent": "CD\r"})))

    with pytest.raises(BenchError, match="voa resource: nobody connected|never came"), Replayed(path).in_thread() as resources:
        assert resources["voa"]["resource"].startswith("ASRL")
    with pytest.raises(BadReply, match="mine"), Replayed(path).in_thread():
        raise BadReply("mine")
