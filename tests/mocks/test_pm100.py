"""The simulated power meter."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.mocks.devices.pm100 import Pm100
from heliograph.mocks.layout import Layout
from heliograph.mocks.world import World

from .conftest import plain_bench


@pytest.fixture
def world() -> World:
    plain = plain_bench()
    plain["instruments"]["meter"] = {"wire": {"role": "PowerMeter", "driver": "ThorlabsPM100"}}
    plain["optics"]["taps"] = {"tap": {"meter": "meter", "share": 0.01}}
    plain["optics"]["line"] = ("laser", "tap", "im1", "im2", "att_fixed", "voa_in", "bs", "loop(user_a, user_b, user_c)", "bs", "D2", "D1")
    return World(Layout.of(plain))


@pytest.fixture
def meter(world: World) -> Pm100:
    return Pm100(world, "meter")


def say(meter: Pm100, command: str) -> str | None:
    replies = meter.link().feed(command.encode() + b"\n")
    return replies[0].data.decode().removesuffix("\n") if replies else None


def power_w(meter: Pm100) -> float:
    return float(say(meter, "MEAS:POW?") or "nan")


def test_it_tells_its_sensor_in_either_spelling(meter: Pm100) -> None:
    assert say(meter, "SYST:SENSOR:IDN?") == "S154C,220101234,01-JAN-2026,1,18,33"
    assert say(meter, "SENSE:CORR:WAV?") == say(meter, "SENS:CORR:WAV?") == "+1.55000000E+03"


def test_in_the_dark_it_reads_its_noise(meter: Pm100) -> None:
    readings = [power_w(meter) for _ in range(300)]
    assert abs(np.mean(readings)) < 5 * 10e-12 / np.sqrt(300)
    assert np.std(readings) == pytest.approx(10e-12, rel=0.2)


def test_it_reads_its_share_of_the_light_as_that_fluctuates(meter: Pm100, world: World) -> None:
    say(meter, "SENS:CORR:WAV 1550.12")
    world.set_laser(power_w=10e-3, emission=True)
    readings = np.array([power_w(meter) for _ in range(300)])
    assert readings.mean() == pytest.approx(1e-4, rel=0.001)
    assert readings.std() == pytest.approx(1e-4 * 0.02 * np.log(10) / 10, rel=0.25)


def test_for_a_wrong_wavelength_it_tells_a_wrong_power(meter: Pm100, world: World) -> None:
    world.set_laser(power_w=10e-3, emission=True)
    say(meter, "SENS:CORR:WAV 1310")
    assert power_w(meter) == pytest.approx(1e-4 * 1550.12 / 1310, rel=0.02)


def test_too_much_light_is_an_overflow(meter: Pm100, world: World) -> None:
    world.set_laser(power_w=1.0, emission=True)
    assert say(meter, "MEAS:POW?") == "9.90000000E+37"
    world.set_laser(power_w=10e-3)
    say(meter, "SENS:POW:RANG 1e-6")
    assert say(meter, "MEAS:POW?") == "9.90000000E+37"
    say(meter, "SENS:POW:RANG:AUTO 1")
    assert power_w(meter) == pytest.approx(1e-4, rel=0.02)


@pytest.mark.parametrize(("command", "code"), [("SENS:CORR:WAV 300", -222), ("SENS:CORR:WAV x", -224), ("NOSUCH:THING 1", -113), ("SENS:POW:RANG 1", -222)])
def test_what_it_cannot_do_goes_into_its_error_queue(meter: Pm100, command: str, code: int) -> None:
    assert say(meter, command) is None
    assert (say(meter, "SYST:ERR?") or "").startswith(f"{code:+d},")
    assert say(meter, "SYST:ERR?") == '+0,"No error"'


def test_a_question_it_does_not_know_has_no_answer_but_an_error(meter: Pm100) -> None:
    assert say(meter, "SENS:CORR:WAV? MEDIAN") is None
    assert say(meter, "MEAS:ENER?") is None
    assert [(say(meter, "SYST:ERR?") or "")[:4] for _ in range(3)] == ["-224", "-113", '+0,"']


def test_a_power_cycle_loses_the_settings(meter: Pm100) -> None:
    say(meter, "SENS:CORR:WAV 1310")
    meter.power_cycle()
    assert say(meter, "SENS:CORR:WAV?") == "+1.55000000E+03"


def test_a_meter_at_no_tap_is_dark(world: World) -> None:
    world.set_laser(power_w=10e-3, emission=True)
    assert abs(power_w(Pm100(world, "drawer"))) < 1e-10
