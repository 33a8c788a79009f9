from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.instruments.wire import scpi
from heliograph.mocks.devices.awg81160a import Awg81160A
from heliograph.mocks.layout import Layout
from heliograph.mocks.world import World

from .conftest import plain_bench


class Spy(World):
    def set_drive(self, source, drive):
        super().set_drive(source, drive)
        self.drives = getattr(self, "drives", {}) | {source: drive}


@pytest.fixture
def world() -> Spy:
    return Spy(Layout.of(plain_bench()))


@pytest.fixture
def awg(world) -> Awg81160A:
    return Awg81160A(world, "awg_a")


def say(awg: Awg81160A, data: bytes | str) -> str:
    data = data.encode() + b"\n" if isinstance(data, str) else data
    return b"".join(reply.data for reply in awg.link().feed(data)).decode()


GOLDEN = b":DATA1:DAC VOLATILE,#210" + bytes.fromhex("e001e801000017ff1fff")


def test_the_golden_record_is_applied_with_amplitude_and_offset(awg, world):
    for command in (":FUNC1 USER", ":FREQ1 1e6", ":VOLT1 4.000000", ":VOLT1:OFFS 0.25"):
        say(awg, command)
    say(awg, GOLDEN)
    say(awg, "OUTP1 1")
    drive = world.drives["awg_a:1"]
    np.testing.assert_allclose(drive.volts, np.array([-2, -1.5, 0, 1.5, 2]) + 0.25, atol=3e-4)
    assert (drive.rate_hz, drive.on) == (1e6, True)


def test_no_newline_is_awaited_behind_a_block(awg):
    say(awg, GOLDEN)
    assert say(awg, ":SYST:ERR?") == '+0,"No error"\n'


def test_a_block_may_hold_newlines_and_be_followed_by_a_command_at_once(awg):
    payload = bytes.fromhex("0a0a0d0a")
    assert say(awg, b":DATA2:DAC VOLATILE," + scpi.encode_block(payload) + b"*OPC?\n") == "1\n"


@given(st.lists(st.integers(1, 40), max_size=10))
def test_any_split_of_the_stream_gives_the_same_answers(cuts):
    stream = b":VOLT1 3.0\n" + GOLDEN + b":VOLT1?;:FUNC1?\n*IDN?\n"
    edges = sorted({0, *(min(c, len(stream)) for c in np.cumsum([0, *cuts])), len(stream)})
    link = Awg81160A(World(Layout.of(plain_bench())), "awg_a").link()
    found = b"".join(r.data for a, b in itertools.pairwise(edges) for r in link.feed(stream[a:b]))
    assert found == b"+3.00000000E+00\nSIN\nAgilent Technologies,81160A,DE26110001,1.0.3.0-2.6\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (":VOLT1 5.1", "-222"),
        (":VOLT1 nan", "-222"),
        (":VOLT1 much", "-224"),
        (":FUNC1 SAW", "-224"),
        (":NOSUCH1 3", "-113"),
        (":VOLT7 1", "-113"),
        ("OUTP1 maybe", "-224"),
        (":FREQ1 -1", "-222"),
    ],
)
def test_a_refused_command_changes_nothing_and_stands_in_the_queue(awg, command, code):
    say(awg, ":VOLT1 2.0")
    assert say(awg, command) == ""
    assert say(awg, "SYST:ERR?").startswith(code)
    assert say(awg, "SYST:ERR?").startswith("+0")
    assert say(awg, ":VOLT1?") == "+2.00000000E+00\n"


def test_limits_hold_against_amplitude_and_offset(awg):
    for command in (":VOLT1:LIM:LOW -1", ":VOLT1:LIM:HIGH 1", ":VOLT1:LIM:STAT 1", ":VOLT1 2.0"):
        say(awg, command)
    assert say(awg, "SYST:ERR?").startswith("+0")
    say(awg, ":VOLT1:OFFS 0.5")
    assert say(awg, "SYST:ERR?").startswith("-222")
    assert say(awg, ":VOLT1:OFFS?") == "+0.00000000E+00\n"


def test_codes_beyond_full_scale_are_refused(awg):
    say(awg, b":DATA1:DAC VOLATILE," + scpi.encode_block(np.array([8192, 0], ">i2").tobytes()))
    assert say(awg, "SYST:ERR?").startswith("-222")


def test_the_error_queue_is_bounded(awg):
    for _ in range(50):
        say(awg, ":NOSUCH 1")
    entries = [say(awg, "SYST:ERR?") for _ in range(31)]
    assert entries[29].startswith("-350")
    assert entries[30].startswith("+0")


def test_reset_switches_the_outputs_off(awg, world):
    say(awg, "OUTP2 ON")
    say(awg, "*RST")
    assert say(awg, "OUTP2?") == "0\n"
    assert not world.drives["awg_a:2"].on
