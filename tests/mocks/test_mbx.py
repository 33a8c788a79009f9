"""The simulated MBX, byte for byte and in its world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heliograph.mocks.devices.mbx import Mbx
from heliograph.mocks.layout import Layout
from heliograph.mocks.optics.light import Drive
from heliograph.mocks.randomness import Seeds
from heliograph.mocks.world import World

from .conftest import plain_bench


@pytest.fixture
def world() -> World:
    plain = plain_bench(bias_start_v=1.0)
    plain["instruments"]["mbx"] = {"wire": {"role": "BiasController", "driver": "ThorlabsMBX"}}
    plain["instruments"]["voa_mbx"] = {"wire": {"role": "Attenuator", "driver": "ThorlabsMBXVoa"}}
    plain["optics"]["modulators"]["im1"]["bias"] = "mbx"
    plain["optics"]["line"] = ("laser", "im1", "voa_mbx", "im2", "att_fixed", "voa_in", "bs", "loop(user_a, user_b, user_c)", "bs", "D2", "D1")
    world = World(Layout.of(plain))
    world.set_drive("awg_im:1", Drive(np.zeros(1), 1.0, False))
    return world


@pytest.fixture
def unit(world: World) -> Mbx:
    unit = Mbx(world, Seeds(1), "mbx", "BiasController")
    unit.serve("voa_mbx", "Attenuator")
    return unit


def say(unit: Mbx, command: str) -> str | None:
    replies = unit.link().feed(command.encode() + b"\r")
    assert all(reply.data.endswith(b"\r") for reply in replies)
    return replies[0].data.decode().removesuffix("\r") if replies else None


def number(unit: Mbx, question: str) -> float:
    reply = say(unit, question)
    assert reply is not None
    return float(reply)


def test_settings_are_silent_but_for_the_two_that_answer(unit: Mbx) -> None:
    for silent in ("MZM:MODE: 2", "MZM:HOLD:VOLTAGE: -2500", "MZM:HOLD:RATIO: 350", "VOA:ATTEN: 7.25", "VOA:OUTPUT:MW: 0.5", "VOA:POWER: 1", "RGB:RED: 5"):
        assert say(unit, silent) is None
    for answered in ("VOA:MODE: 1", "VOA:MODE: 0", "MZM:RESET"):
        assert say(unit, answered) == "1"
    settings = {"MZM:MODE?": 2, "MZM:HOLD:VOLTAGE?": -2500, "MZM:HOLD:RATIO?": 350, "VOA:ATTEN?": 7.25, "VOA:OUTPUT:MW?": 0.5, "VOA:POWER?": 1, "RGB:RED?": 5}
    assert {question: number(unit, question) for question in settings} == settings


@pytest.mark.parametrize(
    "command", ["", "NOSUCH?", "VOA:ATTEN: 20.1", "VOA:ATTEN: x", "MZM:MODE: 12", "MZM:HOLD:VOLTAGE: 10001", "RGB:PINK: 1", "RGB:PINK?", "VOA"]
)
def test_what_it_does_not_understand_it_ignores(unit: Mbx, command: str) -> None:
    assert say(unit, command) is None
    assert number(unit, "VOA:ATTEN?") == 20.0


def test_a_calibration_takes_a_moment(unit: Mbx) -> None:
    say(unit, "MZM:RESET")
    assert [number(unit, "MZM:CALIBRATING?") for _ in range(3)] == [1, 0, 0]


def test_it_measures_its_attenuation_and_dims_the_line_by_it(unit: Mbx, world: World) -> None:
    world.set_laser(power_w=10e-3, emission=True)
    say(unit, "MZM:MODE: 1")
    say(unit, "VOA:ATTEN: 10")

    measured = number(unit, "VOA:MEASURED?")

    assert measured == pytest.approx(10.0, abs=0.03)
    assert measured != 10.0
    assert number(unit, "VOA:ERROR?") == pytest.approx(measured - 10.0)
    assert number(unit, "VOA:SETPOINT?") == 1
    assert number(unit, "MZM:TAP:MW?") == pytest.approx(10.0, rel=1e-6)
    assert number(unit, "VOA:TAP:MW?") == pytest.approx(10.0 * 10 ** (-measured / 10.0), rel=1e-6)
    assert world.power_behind_w("voa_mbx") == pytest.approx(10e-3 * 10 ** (-measured / 10.0), rel=1e-6)


def test_in_power_mode_it_holds_the_power_behind_it(unit: Mbx, world: World) -> None:
    world.set_laser(power_w=10e-3, emission=True)
    say(unit, "MZM:MODE: 1")
    say(unit, "VOA:OUTPUT:MW: 2.5")
    say(unit, "VOA:MODE: 1")
    for power_w in (10e-3, 5e-3):
        world.set_laser(power_w=power_w)
        say(unit, "VOA:TAP:MW?")
        assert number(unit, "VOA:TAP:MW?") == pytest.approx(2.5, rel=0.005)


def test_an_attenuator_that_is_off_lets_the_light_through(unit: Mbx) -> None:
    say(unit, "VOA:POWER: 0")
    assert number(unit, "VOA:MEASURED?") == 0.5


def test_its_bias_is_at_the_set_point_in_light_only(unit: Mbx, world: World) -> None:
    say(unit, "MZM:MODE: 2")
    assert number(unit, "MZM:SETPOINT?") == 0
    world.set_laser(power_w=10e-3, emission=True)
    assert number(unit, "MZM:SETPOINT?") == 1
    # The darkest point of the modulator is where the seed has put it, and the unit finds it.
    assert 0.01 < abs(number(unit, "MZM:VOLTAGE?")) <= 1.0
    assert number(unit, "MZM:TAP:MW?") == pytest.approx(10e-3, rel=1e-6)


def test_a_unit_without_a_modulator_answers_all_the_same(world: World) -> None:
    alone = Mbx(world, Seeds(1), "nowhere", "BiasController")
    say(alone, "MZM:HOLD:VOLTAGE: 1500")
    say(alone, "MZM:MODE: 7")
    assert number(alone, "MZM:VOLTAGE?") == 1.5
    assert number(alone, "MZM:TAP:MW?") == 0.0


def test_a_power_cycle_loses_the_settings(unit: Mbx) -> None:
    for command in ("MZM:MODE: 2", "VOA:ATTEN: 1", "VOA:MODE: 1"):
        say(unit, command)
    unit.power_cycle()
    state: dict[str, Any] = {question: number(unit, question) for question in ("MZM:MODE?", "VOA:ATTEN?", "VOA:MODE?")}
    assert state == {"MZM:MODE?": 0, "VOA:ATTEN?": 20, "VOA:MODE?": 0}
