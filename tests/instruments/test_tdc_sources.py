"""The TDC1 on a line: what one threshold allows, streams that fall silent or never ended, and a safe state that reaches a running recording."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from heliograph.core.errors import DeviceFault, LimitError, NotMonotonic, ParameterError, StreamMismatch, Timeout, WrongIdentity
from heliograph.instruments import word_stream
from heliograph.instruments.roles import Gap
from heliograph.instruments.station_models import InstrumentEntry
from heliograph.instruments.tdc_sources import SFifteenSource
from heliograph.instruments.wire import s_fifteen, tdc1

from .conftest import PtyServer

SAME = {name: {"threshold": "-0.4 V", "edge": "FALLING"} for name in ("D1", "D2", "sync")}


class Unit:
    """A TDC1 whose stream is what the test says.  pieces: sent one after the other, None for a pause of 0.8 s."""

    def __init__(self) -> None:
        self.settings = {"TIME": "1000", "REFCLK": "0", "LEVEL": "-0.5 V", "MODE": "0"}
        self.sent: list[str] = []
        self.pieces: list[bytes | None] = []
        self.name = "S-Fifteen Instruments,TDC1,26,2.0"
        self.deaf = self.babbles = False
        self._reader = s_fifteen.CommandReader()

    def feed(self, piece: bytes) -> bytes:
        return b"".join(self._one(command) for command in self._reader.feed(piece))

    def _one(self, command: str) -> bytes:
        self.sent.append(command)
        word, _, value = command.upper().partition(" ")
        match word:
            case "*IDN?":
                return b"\x01\x02\n" * 50 * self.babbles + self.name.encode() + b"\n"
            case "NEG" | "POS" if not self.deaf:
                self.settings["LEVEL"] = value
            case "ABORT":
                self.babbles = False
            case "SINGLES" | "PAIRS" | "TIMESTAMP":
                self.settings["MODE"] = str({"SINGLES": 0, "PAIRS": 1, "TIMESTAMP": 3}[word])
            case "COUNTS?" if self.settings["MODE"] == "3":
                threading.Thread(target=self._stream, daemon=True).start()
            case _ if word.endswith("?"):
                return f"{self.settings.get(word[:-1], '0')}\n".encode()
            case _ if not self.deaf:
                self.settings[word] = value
        return b""

    write: Callable[[bytes], object]

    def _stream(self) -> None:
        for piece in self.pieces:
            if piece is None:
                # Three times a roll-over: a reader that comes late must find it longer than one, too.
                time.sleep(0.8)
            else:
                self.write(piece)


@contextmanager
def opened(unit: Unit, *, inputs: Any = None, clock: str | None = None, channels: Any = None) -> Iterator[SFifteenSource]:
    import os

    server = PtyServer(unit)
    unit.write = lambda data: os.write(server.master, data)
    wire = {"role": "TagSource", "driver": "SFifteenTDC", "resource": server.resource, "map": channels or {"D1": 1, "D2": 2, "sync": 3}}
    rules = {"inputs": SAME if inputs is None else inputs, "timeout": "0.2 s"} | ({"clock": clock} if clock else {})
    source = SFifteenSource.open("tdc", InstrumentEntry.model_validate({"wire": wire, "rules": rules}), {"resource": server.resource}, station="lab.toml")
    try:
        yield source
    finally:
        source.close()
        server.close()


@pytest.fixture
def unit() -> Unit:
    return Unit()


def words(*ticks: int, inputs: int = 1) -> bytes:
    return tdc1.encode_words(list(ticks), [inputs] * len(ticks))


def test_the_inputs_of_the_station_are_set_once_and_read_back(unit: Unit) -> None:
    with opened(unit) as source:
        source.configure_inputs()

        assert [command for command in unit.sent if command.startswith(("NEG", "POS"))] == ["NEG -0.4"]
        assert source.snapshot()["threshold_v"] == pytest.approx(-0.4)


@pytest.mark.parametrize(
    "inputs",
    [
        SAME | {"sync": {"threshold": "-0.3 V", "edge": "FALLING"}},
        SAME | {"sync": {"threshold": "0.5 V", "edge": "RISING"}},
        SAME | {"D1": {"threshold": "-0.4 V", "edge": "RISING"}},
        SAME | {"D1": {"threshold": "0 V", "edge": "RISING"}},
        SAME | {"D2": {"threshold": "-0.4 V", "edge": "FALLING", "delay": "1 ns"}},
        SAME | {"D2": {"threshold": "-5 V", "edge": "FALLING"}},
    ],
)
def test_inputs_that_one_threshold_cannot_serve_are_refused_before_anything_is_sent(unit: Unit, inputs: Any) -> None:
    with opened(unit, inputs=inputs) as source:
        before = len(unit.sent)
        with pytest.raises(LimitError, match="Nothing was sent"):
            source.configure_inputs()

        assert unit.sent[before:] == []


def test_an_input_by_itself_keeps_to_the_threshold_of_the_others(unit: Unit) -> None:
    with opened(unit) as source:
        source.configure(1, -0.4, "FALLING", 0, True)
        with pytest.raises(LimitError, match=r"inputs \[1\] have -0.4 V"):
            source.configure(2, -0.3, "FALLING", 0, True)
        source.configure(1, -0.4, "FALLING", 0, False)
        source.configure(2, -0.3, "FALLING", 0, True)
        with pytest.raises(LimitError, match="no input 5"):
            source.configure(5, -0.3, "FALLING", 0, True)


def test_the_one_threshold_of_all_inputs_is_set_and_its_edge_stays(unit: Unit) -> None:
    with opened(unit) as source:
        source.configure_inputs()
        source.set_threshold_v(1, -0.3)

        assert unit.settings["LEVEL"] == "-0.3"
        assert source.accepted["threshold:1"] == pytest.approx(-0.3)
        assert source.delay_range_s == (0.0, 0.0)
        with pytest.raises(LimitError, match="falling edges below 0 V"):
            source.set_threshold_v(1, 0.3)
        with pytest.raises(LimitError, match="range 0 to 0 s"):
            source.set_delay_s(1, 1e-9)


def test_a_threshold_that_does_not_read_back_is_told(unit: Unit) -> None:
    unit.deaf = True
    with opened(unit) as source, pytest.raises(DeviceFault, match="reads back otherwise"):
        source.configure_inputs()


@pytest.mark.parametrize(("clock", "told"), [("external", "external"), ("internal", "internal"), (None, "internal")])
def test_the_clock_of_the_station_is_chosen_and_one_chosen_by_the_device_is_not_trusted(unit: Unit, clock: str | None, told: str) -> None:
    with opened(unit, clock=clock) as source:
        source.check_identity()

        assert source.clock == told
        assert unit.settings["REFCLK"] == {"external": "1", "internal": "2", None: "0"}[clock]


def test_a_clock_that_cannot_be_had_is_told(unit: Unit) -> None:
    unit.deaf = True
    with opened(unit, clock="external") as source, pytest.raises(DeviceFault, match="external clock"):
        source.check_identity()


def test_another_device_is_refused(unit: Unit) -> None:
    unit.name = "Acme,M1,1,1"
    with opened(unit) as source, pytest.raises(WrongIdentity, match="no TDC1"):
        source.identify()


def test_a_stream_that_somebody_left_running_is_ended_at_the_open(unit: Unit) -> None:
    unit.babbles = True
    with opened(unit) as source:
        assert source.identify().model == "TDC1"
        assert unit.sent[0] == "abort"


def test_a_recording_asks_for_its_time_and_yields_its_batches(unit: Unit) -> None:
    unit.pieces = [words(10, 9_999_999), words(10_000_000, 20_000_000)]
    with opened(unit) as source:
        source.configure_inputs()
        batches = list(source.record(0.04, 0.02))

        assert source.is_safe()
        assert unit.sent[-8:-2] == ["INPKT", "NEG -0.4", "time 40", "timestamp", "counts?", "abort"]
        assert [batch.t_ps.tolist() for batch in batches] == [[20_000, 19_999_998_000], [20_000_000_000]]


def test_the_last_batch_of_a_device_that_says_no_more_ends_with_a_gap(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_stream.WordRecording.read, "__defaults__", (0.3,))
    unit.pieces = [words(10, 9_999_000)]
    with opened(unit) as source:
        source.configure_inputs()
        (batch,) = source.record(0.02, 0.02)

    assert batch.t_ps.size == 2
    assert batch.gaps == (Gap(19_998_000_000, 20_000_000_000, "silence"),)


def test_a_pause_longer_than_a_roll_over_is_a_gap_and_a_dead_stream_a_timeout(unit: Unit) -> None:
    unit.pieces = [words(10), None, words(19_000_000)]
    with opened(unit) as source:
        source.configure_inputs()
        source.start(0.02)
        batch = source.read(5.0)

        assert batch.gaps == (Gap(20_000, 20_000_000_000, "silence"),)
        with pytest.raises(Timeout, match="no words"):
            source.read(0.1)
        with pytest.raises(ParameterError, match="in progress"):
            source.snapshot()
        source.stop()
        with pytest.raises(ParameterError, match="no recording"):
            source.read(0.1)


def test_a_recording_is_ended_behind_the_batch_read_last(unit: Unit) -> None:
    unit.pieces = [words(10), None, words(19_000_000), words(40_000_000)]
    with opened(unit) as source:
        source.configure_inputs()
        batches = []
        for batch in source.record(1.0, 0.02):
            batches.append(batch)
            source.end()

        assert [batch.gaps for batch in batches] == [(Gap(20_000, 20_000_000_000, "silence"),)]
        assert source.is_safe()


def test_a_time_that_goes_back_is_told_by_name(unit: Unit) -> None:
    unit.pieces = [words(100, 50)]
    with opened(unit) as source:
        source.configure_inputs()
        with pytest.raises(NotMonotonic, match="tdc .* goes back by 100 ns"):
            list(source.record(0.02, 0.02))


def test_only_enabled_inputs_are_in_the_batches(unit: Unit) -> None:
    unit.pieces = [words(10, inputs=7), words(10_000_000)]
    with opened(unit) as source:
        source.configure_inputs()
        source.configure(2, -0.4, "FALLING", 0, False)
        (batch,) = source.record(0.02, 0.02)

    assert batch.ch.tolist() == [1, 3]


def test_the_safe_state_ends_a_recording_from_another_thread(unit: Unit) -> None:
    unit.pieces = [words(*range(0, 9_000_000, 1000))]
    with opened(unit) as source:
        source.configure_inputs()
        found: list[BaseException] = []

        def record() -> None:
            try:
                list(source.record(10.0, 0.02))
            except StreamMismatch as error:
                found.append(error)

        reader = threading.Thread(target=record)
        reader.start()
        deadline = time.monotonic() + 20.0
        while source._recording is None and time.monotonic() < deadline:
            time.sleep(0.005)
        report = source.to_safe()
        reader.join(20.0)

        assert report.state == "CONFIRMED"
        assert "ended after 0 batches" in str(found[0])
        assert np.array_equal(unit.settings["MODE"], "0")


def test_recording_needs_inputs_and_one_at_a_time(unit: Unit) -> None:
    with opened(unit) as source:
        with pytest.raises(ParameterError, match="no input was set up"):
            list(source.record(0.02, 0.02))
        with pytest.raises(LimitError):
            list(source.record(0.2, 0.001))
        source.configure_inputs()
        source.start()
        with pytest.raises(ParameterError, match="in progress"):
            source.start()


@pytest.mark.parametrize(("seconds", "frame", "time_ms"), [(0.05, False, "60"), (65.5, False, "65500"), (66.0, False, "0"), (0.05, True, "160")])
def test_the_time_asked_for_covers_the_recording_or_is_endless(unit: Unit, seconds: float, frame: bool, time_ms: str) -> None:
    channels = {"D1": 1, "frame": 4} if frame else {"D1": 1}
    with opened(unit, channels=channels, inputs={}) as source:
        source.configure(1, -0.4, "FALLING", 0, True)
        source.configure(4, -0.4, "FALLING", 0, frame)
        unit.pieces = [words(0, 10_000_000, inputs=9)]
        recording = source.record(seconds, 0.02)
        next(recording)
        recording.close()

    assert f"time {time_ms}" in unit.sent
