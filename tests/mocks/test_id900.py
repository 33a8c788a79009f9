from __future__ import annotations

import json

import numpy as np
import pytest

from heliograph.instruments.wire import id900 as wire
from heliograph.mocks.devices.id900 import Id900

from .test_world import bench

WIDTH = 200_000_000_000
INPUTS = {1: "D1", 2: "D2", 3: "sync"}


class Shelf:
    """An outlet that keeps messages; has room for `room` of them."""

    def __init__(self, room: int = 100) -> None:
        self.room, self.open = room, True
        self.messages: list[bytes] = []

    def has_room(self) -> bool:
        return len(self.messages) < self.room

    def send(self, message: bytes) -> None:
        self.messages.append(message)

    def close(self) -> None:
        self.open = False


def device(**more) -> Id900:
    return Id900(bench(), INPUTS, **more)


def say(unit: Id900, text: str) -> str:
    return unit.control(text.encode()).decode()


def ready(unit: Id900, *, number: str = "2", delays: tuple[int, int, int] = (0, 0, 0)) -> dict[int, Shelf]:
    """Every command of a recording up to REC:PLAY, as the wire page lists them."""
    shelves = {n: Shelf() for n in INPUTS}
    unit.recorder.open_outlet = lambda port: shelves[port - 4241]
    for n in INPUTS:
        for command in (wire.input_command(n, -0.4, "FALLING"), wire.delay_command(n, delays[n - 1]), wire.combiner_command(n)):
            assert "Error" not in say(unit, command)
        for command in (f"RAW{n}:REF:LINK NONE", f"RAW{n}:STOP:LINK TSCO{n}", f"RAW{n}:ERRORS:CLEAR"):
            assert "Error" not in say(unit, command)
        assert json.loads(unit.data_link(wire.start_stream("127.0.0.1", n, 4241 + n).encode())) == {"id": str(n)}
        say(unit, f"RAW{n}:SEND ON")
    for command in ("REC:TRIG:ARM:MODE MANUal", "REC:ENABle ON", "REC:STOP", f"REC:NUM {number}", f"REC:PWID {WIDTH};PPER {WIDTH + 40_000}"):
        assert "Error" not in say(unit, command)
    return shelves


def run(unit: Id900) -> None:
    while unit.recorder.due_ps() is not None and unit.recorder.has_room():
        unit.recorder.advance()


def test_settings_are_read_back_in_one_message():
    unit = device()
    say(unit, "INPU1:ENAB ON;THRE -0.4V;COUP DC;EDGE FALLING")
    assert say(unit, "INPU1:ENAB?;THRE?;:INPU2:ENAB?") == "ON\n-0.4V\nOFF"
    assert say(unit, "DELA1:VALU 1000TB;LINK INPU1") == "Value set to 1000\nValue set to INPU1"
    assert say(unit, "DELA1:VALU?") == "1000"
    assert say(unit, "*IDN?").startswith("ID Quantique,ID900,")


@pytest.mark.parametrize(
    "command",
    ["INPO1:LINK X", "INPU9:ENAB ON", "INPU1:ENAB MAYBE", "DELA1:VALU soon", "DEVI:SYNC INT", "INPU1:ENAB", "NOSUCH?", "&?!", "HIST1:DATA?", "RAW9:SEND ON"],
)
def test_what_it_does_not_know_is_an_error_line(command):
    assert say(device(), command).startswith("Error")


def test_a_recording_sends_one_message_a_channel_and_sub_acquisition_and_stops_by_itself():
    unit = device()
    shelves = ready(unit)
    say(unit, "REC:PLAY")
    assert say(unit, "REC:STAGe?") == "PLAYING"
    run(unit)

    assert say(unit, "REC:STAGe?") == "STOPPED"
    for n, shelf in shelves.items():
        stamps = [wire.decode_stamps(m) for m in shelf.messages]
        status = json.loads(unit.data_link(f"status --id {n}".encode()))
        assert (status["acquisitions_count"], status["timestamps_count"]) == (2, sum(map(len, stamps)))
        assert all(np.all(np.diff(s) >= 0) and s[0] >= 0 and s[-1] < WIDTH for s in stamps)
        assert say(unit, f"RAW{n}:ERRORS?") == "0"
    sync = [wire.decode_stamps(m) for m in shelves[3].messages]
    assert sync[0].tolist() == list(range(0, WIDTH, 10_000_000))
    assert sync[1][0] == 10_000_000 - 40_000
    assert len(wire.decode_stamps(shelves[1].messages[0])) == pytest.approx(99_000, rel=0.03)
    assert json.loads(unit.data_link(b"stop --id 1")) == {"id": "1"}
    assert not shelves[1].open


def test_a_delay_moves_the_stamps_of_its_channel_only():
    plain, delayed = device(), device()
    a, b = ready(plain, number="1"), ready(delayed, number="1", delays=(3000, 0, 0))
    for unit in (plain, delayed):
        say(unit, "REC:PLAY")
        run(unit)
    one, other = wire.decode_stamps(a[1].messages[0]), wire.decode_stamps(b[1].messages[0])
    np.testing.assert_array_equal(one[one + 3000 < WIDTH] + 3000, other)
    assert a[2].messages == b[2].messages


def test_time_stands_while_a_stream_has_no_room_or_nobody_listens():
    unit = device()
    shelves = ready(unit, number="INF")
    shelves[2].room = 3
    say(unit, "REC:PLAY")
    run(unit)
    assert [len(s.messages) for s in shelves.values()] == [3, 3, 3]
    for n in INPUTS:
        say(unit, f"RAW{n}:SEND OFF")
    assert unit.recorder.due_ps() is None


def test_an_input_that_is_off_or_out_of_reach_gives_empty_messages():
    unit = device()
    shelves = ready(unit, number="1")
    say(unit, "INPU1:ENAB OFF")
    say(unit, "INPU2:THRE -1.5V")
    say(unit, "REC:PLAY")
    run(unit)
    assert shelves[1].messages == [b""]
    assert shelves[2].messages == [b""]
    assert len(shelves[3].messages[0]) == 8 * 20_000


def test_an_overflow_is_counted_and_its_stamps_are_missing():
    whole, short = device(), device(overflow=True)
    a, b = ready(whole), ready(short)
    for unit in (whole, short):
        say(unit, "REC:PLAY")
        run(unit)
    for n in (1, 2):
        full, cut = ([wire.decode_stamps(m) for m in shelves[n].messages] for shelves in (a, b))
        lost = int(say(short, f"RAW{n}:ERRORS?"))
        assert lost == len(full[0]) - len(cut[0]) > 0
        np.testing.assert_array_equal(full[0][: len(cut[0])], cut[0])
        np.testing.assert_array_equal(full[1], cut[1])
    say(short, "RAW1:ERRORS:CLEAR")
    assert say(short, "RAW1:ERRORS?") == "0"


@pytest.mark.parametrize("command", ["REC:PWID 200000000000;PPER 200000039999", "REC:ENAB OFF"])
def test_an_impossible_recording_does_not_start(command):
    unit = device()
    ready(unit)
    say(unit, command)
    assert say(unit, "REC:PLAY").startswith("Error")
    assert say(unit, "REC:STAG?") == "STOPPED"


@pytest.mark.parametrize("request_", ["status --id 99", "stop", "fly --id 1", "start-stream --address x", "start-stream --channel two --stream-port 1", "--id"])
def test_the_data_link_says_what_was_wrong(request_):
    unit = device()
    unit.recorder.open_outlet = lambda _port: Shelf()
    assert "error" in json.loads(unit.data_link(request_.encode()))


def test_a_stream_left_behind_by_a_dead_client_is_replaced():
    unit = device()
    shelves = ready(unit)
    fresh = Shelf()
    unit.recorder.open_outlet = lambda _port: fresh
    unit.data_link(wire.start_stream("127.0.0.1", 1, 5000).encode())
    assert not shelves[1].open
    say(unit, "REC:PLAY")
    run(unit)
    assert len(fresh.messages) == 2


def test_counters_integrate_for_their_time():
    unit = device()
    say(unit, "INPU1:ENAB ON;THRE -0.4V;:INPU1:COUN:INTE 100")
    assert int(say(unit, "INPU1:COUN?")) == pytest.approx(49_500, rel=0.03)
    say(unit, "INPU3:ENAB ON;THRE 0.4V")
    assert say(unit, "INPU3:COUN?") == "100000"
