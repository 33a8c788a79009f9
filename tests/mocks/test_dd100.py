from __future__ import annotations

import pytest

from heliograph.core.physics import transmission
from heliograph.instruments.wire import oz
from heliograph.mocks.devices.dd100 import DD100
from heliograph.mocks.layout import Layout
from heliograph.mocks.world import World

from .conftest import plain_bench


@pytest.fixture
def unit() -> DD100:
    return DD100(World(Layout.of(plain_bench())), "voa_in")


def say(unit: DD100, command: str) -> oz.Reply:
    (reply,) = unit.link().feed(command.encode() + b"\r")
    assert reply.data.endswith(b"Done\r\n\r\n")
    return oz.parse_reply(reply.data.decode(), command)


def test_after_power_up_it_blocks_and_wants_to_be_homed(unit):
    assert say(unit, "D").fields == {"DPos": "?", "ATTEN": "?"}
    assert say(unit, "A12.34").error == "Error: not homed"
    say(unit, "H")
    assert say(unit, "A12.34").error == ""
    assert say(unit, "D").number("ATTEN") == 12.34


def test_configuration_tells_the_range(unit):
    reply = say(unit, "CD")
    assert (reply.number("IL"), reply.number("MAX ATTEN")) == (0.8, 60.0)


@pytest.mark.parametrize("command", ["A0.79", "A60.01", "Axy", "A", "Z", "Anan"])
def test_what_it_cannot_do_is_refused(unit, command):
    say(unit, "H")
    say(unit, "A10.00")
    assert say(unit, command).error
    assert say(unit, "D").number("ATTEN") == 10.0


def test_the_answer_comes_when_the_motor_has_arrived(unit):
    say(unit, "H")
    (reply,) = unit.link().feed(b"A40.80\r")
    assert reply.delay_s == pytest.approx(0.05)


def test_a_restart_forgets_the_position(unit):
    say(unit, "H")
    say(unit, "RST")
    assert say(unit, "A10.00").error == "Error: not homed"


def test_attenuation_golden():
    assert transmission(12.34) == pytest.approx(0.05834451, abs=5e-9)
