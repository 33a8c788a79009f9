"""The simulated S-Fifteen devices, byte by byte."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.instruments.wire import tdc1 as wire
from heliograph.mocks.devices.sfifteen_spd import SfifteenSpd
from heliograph.mocks.devices.tdc1 import PIECE_PS, Tdc1
from heliograph.mocks.layout import Layout
from heliograph.mocks.world import World

from .conftest import plain_bench


class Line:
    """An outlet that keeps what was sent."""

    def __init__(self) -> None:
        self.sent = b""
        self.room = True

    def has_room(self) -> bool:
        return self.room

    def send(self, data: bytes) -> None:
        self.sent += data

    def clear(self) -> None:
        self.sent = b""


@pytest.fixture
def world() -> World:
    return World(Layout.of(plain_bench()))


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def tdc(world: World, line: Line) -> Tdc1:
    device = Tdc1(world, {1: "D1", 2: "D2", 3: "sync", 4: "frame"})
    device.outlet = line
    return device


def say(device: SfifteenSpd | Tdc1, text: str) -> str:
    return b"".join(reply.data for reply in device.link().feed(text.encode())).decode()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("*idn?;", "S-Fifteen Instruments,SPD,SPD-26111,1.4\n"),
        ("hvolt?;", "0.000\n"),
        ("threshvolt?;", "-0.150\n"),
        ("temp?;", "20.00\n"),
        ("settemp?;", "-20.00\n"),
        ("pvolt?;", "0.000\n"),
        ("loop?;", "0\n"),
        ("time?;", "1000\n"),
        ("delay?;", "0\n"),
        ("hvolt 61.5\r\nhvolt?;", "61.500\n"),
        ("hvolt 81\r\nhvolt?;", "0.000\n"),
        ("hvolt nan\r\nhvolt?;", "0.000\n"),
        ("threshvolt -0.2\r\nthreshvolt?;", "-0.200\n"),
        ("settemp -30\r\nsettemp?;", "-30.00\n"),
        ("loop 1\r\nloop?;", "1\n"),
        ("time 50\r\ntime?;", "50\n"),
        ("delay 2\r\ndelay?;", "2\n"),
        ("save\r\nnonsense\r\nwhat?;", ""),
    ],
)
def test_the_spd_answers_questions_and_takes_settings_in_silence(world: World, question: str, answer: str) -> None:
    assert say(SfifteenSpd(world, 0), question) == answer


def test_the_spd_counts_for_its_time_while_bench_time_moves(world: World) -> None:
    spd = SfifteenSpd(world, 1)
    dark = say(spd, "time 2000\r\nhvolt 40\r\ncounts?;")
    cold = say(spd, "loop 1\r\ntime 20000\r\ncounts?;hvolt 60\r\ntime 2000\r\ncounts?;")

    assert dark == "0\n"
    assert [int(n) for n in cold.split()] == [0, pytest.approx(100, abs=50)]
    assert world.clock_ps == 24_000 * 10**9
    assert float(say(spd, "pvolt?;")) == pytest.approx(2.4, abs=0.01)
    assert say(spd, "threshvolt -0.8\r\ncounts?;") == "0\n"


def test_an_spd_out_of_the_beam_has_darks_only_and_leaves_the_nanowires_where_they_are(world: World) -> None:
    spd = SfifteenSpd(world, 0, in_beam=False)
    world.set_bias(0, 18e-6)
    world.set_detectors_enabled(True)
    cold = say(spd, "loop 1\r\ntime 20000\r\nhvolt 60\r\ncounts?;time 2000\r\ncounts?;").split()

    assert int(cold[0]) > 20 * 50
    assert int(cold[1]) == pytest.approx(100, abs=50)
    assert world.clock_ps == 22 * 10**12
    assert world.counts(world.next_epoch("counts"), 0, 2.0)[0] == pytest.approx(100, abs=50)


def test_a_power_cycle_leaves_the_spd_without_bias_and_warm(world: World) -> None:
    spd = SfifteenSpd(world, 0)
    say(spd, "loop 1\r\nhvolt 60\r\ntime 5\r\n")
    spd.power_cycle()

    assert say(spd, "hvolt?;loop?;time?;temp?;").split() == ["0.000", "0", "1000", "20.00"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("*idn?\r\n", "S-Fifteen Instruments,TDC1,TDC-2611,2.0\n"),
        ("level?\r\n", "-0.5 V\n"),
        ("POS 1.2;level?\r\n", "1.2 V\n"),
        ("NEG -0.4\r\nlevel?\r\n", "-0.4 V\n"),
        ("time 65000;time?\r\n", "-536\n"),
        ("time 100;time?\r\n", "100\n"),
        ("REFCLK?\r\n", "0\n"),
        ("REFCLK 1;REFCLK?\r\n", "1\n"),
        ("REFCLK 7;REFCLK?\r\n", "0\n"),
        ("pairs;mode?\r\n", "1\n"),
        ("timestamp;mode?\r\n", "3\n"),
        ("timestamp;singles;mode?\r\n", "0\n"),
        ("NEG warm;level?\r\n", "-0.5 V\n"),
        ("nonsense\r\nwhat?\r\n", ""),
    ],
)
def test_the_tdc_answers_questions_and_takes_settings_in_silence(tdc: Tdc1, question: str, answer: str) -> None:
    assert say(tdc, question) == answer


def test_the_tdc_counts_edges_of_all_inputs(tdc: Tdc1, world: World) -> None:
    assert say(tdc, "time 100;singles;counts?\r\n").split()[2:] == ["10000", "1000"]
    assert len(say(tdc, "pairs;counts?\r\n").split()) == 8
    assert world.clock_ps == 200 * 10**9
    assert say(tdc, "NEG -1.5;singles;counts?\r\n") == "0 0 0 0\n"


def test_a_stream_has_every_edge_in_steps_of_two_nanoseconds_and_ends_with_its_time(tdc: Tdc1, line: Line, world: World) -> None:
    world.clock_ps = 12_345
    say(tdc, wire.stream_command(-0.5, 50) + "\r\n")
    due = []
    while (at := tdc.due_ps()) is not None:
        due.append(at)
        tdc.advance()

    t_ps, inputs = wire.WordDecoder().feed(line.sent)
    assert due == [100_000_000 + PIECE_PS, 100_000_000 + 2 * PIECE_PS, 100_000_000 + 50 * 10**9]
    assert t_ps[-1] == 50 * 10**9
    assert inputs[-1] == 0
    tags, channels = wire.tags(t_ps, inputs)
    assert np.array_equal(tags[channels == 3], np.arange(5000) * 10_000_000)
    assert np.array_equal(tags[channels == 4], np.arange(500) * 100_000_000)
    assert inputs[0] == 0b1100
    assert world.clock_ps == 100_000_000 + 50 * 10**9


def test_an_endless_stream_ends_with_abort_and_gives_up_what_has_not_left(tdc: Tdc1, line: Line) -> None:
    say(tdc, wire.stream_command(-0.5, 0) + "\r\n")
    for _ in range(20):
        tdc.advance()
    assert wire.WordDecoder().feed(line.sent)[0][-1] == 20 * PIECE_PS

    say(tdc, "abort\r\n")
    assert tdc.due_ps() is None
    assert line.sent == b""


def test_bench_time_waits_for_the_line(tdc: Tdc1, line: Line) -> None:
    line.room = False

    assert not tdc.has_room()


def test_without_a_line_nothing_is_due(world: World) -> None:
    device = Tdc1(world, {1: "D1"})
    say(device, wire.stream_command(-0.5, 0) + "\r\n")

    assert device.due_ps() is None
