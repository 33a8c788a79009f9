"""Who stands in the fault matrix: for each driver the instrument, what is set, two questions with different answers, and how its danger is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from heliograph.instruments.wire.mbx import BiasMode
from heliograph.mocks.world import World


@dataclass(frozen=True)
class Subject:
    """One driver in the matrix.

    name: in the station.  prepare: sets distinct values.  first, second: two questions with different answers.  answers: the right ones.
    budget_s: of one query at a timeout of 1 s, retries included.  dark: reads from the world whether the device is safe; None for one that cannot do harm.
    restarted: what the first question gives after a power cycle.  station: its file; empty for the default.  line: on which faults fall, if it is another's.
    """

    name: str
    prepare: Callable[[Any], None]
    first: Callable[[Any], float]
    second: Callable[[Any], float]
    answers: tuple[float, float]
    budget_s: float = 1.0
    dark: Callable[[World], bool] | None = None
    restarted: float | None = None
    station: str = ""
    line: str = ""

    @property
    def wire(self) -> str:
        """Return the instrument by whose name faults meet this one."""
        return self.line or self.name


def _laser(laser: Any) -> None:
    laser.power_setpoint_w = 7e-3
    laser.emission = True


def _attenuator(voa: Any) -> None:
    if not voa.homed:
        voa.home()
    voa.driver.attenuation_db = 12.34


def _generator(awg: Any) -> None:
    awg.set_offset_v(1, 0.25)
    awg.set_offset_v(2, -0.5)
    awg.output(1, True)


def _detector(snspd: Any) -> None:
    snspd.driver.enabled = True
    snspd.driver.biases_ua = [5.0, 6.0]
    snspd.driver.trigger_levels_mv = [120.0, 90.0]


def _tagger(tagger: Any) -> None:
    tagger.configure(1, -0.4, "FALLING", 1500, True)


def _paddles(mpc: Any) -> None:
    if not mpc.homed:
        mpc.home()
    mpc.move(0, 85.0)


def _voa(voa: Any) -> None:
    voa.attenuation_db = 7.0


def _bias(mbx: Any) -> None:
    mbx.bias_v = -2.5


def _wavelength(meter: Any) -> None:
    meter.wavelength_m = 1310e-9


def _diode(spd: Any) -> None:
    spd.set_bias(1, 57.5)


def _level(tdc: Any) -> None:
    tdc.driver.level_v = -0.5


def _holds_null(world: World) -> bool:
    bias = world.bias("mbx_2")
    return bias is not None and bias.mode is BiasMode.NULL


FULL_LINE, AVALANCHE = "full_station.toml", "avalanche_station.toml"
SUBJECTS = {
    "KoherasBasik": Subject(
        "laser",
        _laser,
        lambda laser: laser.power_setpoint_w,
        lambda laser: laser.temperature_degc,
        (7e-3, 26.5),
        budget_s=11 * 1.05,
        dark=lambda world: not world.laser.emission,
        restarted=10e-3,
    ),
    "OzDD100": Subject(
        "voa_in",
        _attenuator,
        lambda voa: voa.measured_db,
        lambda voa: voa.driver.position,
        (12.34, 4039.0),
        dark=lambda world: world.attenuation_db("voa_in") == 60.0,
    ),
    "Keysight81160A": Subject(
        "awg_im",
        _generator,
        lambda awg: awg.offset_v(1),
        lambda awg: awg.offset_v(2),
        (0.25, -0.5),
        budget_s=2.0,
        dark=lambda world: not world.drive("awg_im:1").on,
        restarted=0.0,
    ),
    "WebSQ": Subject(
        "snspd",
        _detector,
        # The labels of an answer have an order, and this one stands in its second half.
        lambda snspd: snspd.threshold_v(1),
        lambda snspd: snspd.bias(2),
        (0.12, 6e-6),
        dark=lambda world: not any(world.nanowire(k).bias_a for k in range(2)),
        restarted=0.1,
    ),
    "ID900": Subject(
        "tagger",
        _tagger,
        lambda tagger: tagger.snapshot()["D1_threshold_v"],
        lambda tagger: tagger.snapshot()["D1_delay_ps"],
        (-0.4, 1500.0),
        restarted=0.1,
    ),
    "ThorlabsMBX": Subject(
        "mbx_2",
        _bias,
        lambda mbx: mbx.bias_v,
        lambda mbx: float(mbx.mode),
        (-2.5, 7.0),
        dark=_holds_null,
        station=FULL_LINE,
    ),
    "ThorlabsMBXVoa": Subject(
        "voa_mbx",
        _voa,
        lambda voa: voa.driver.voa.attenuation_setpoint,
        lambda voa: float(voa.driver.voa.enabled),
        (7.0, 1.0),
        dark=lambda world: world.attenuation_db("voa_mbx") > 19.8,
        station=FULL_LINE,
        line="mbx_1",
    ),
    "ThorlabsPM100": Subject(
        "meter", _wavelength, lambda meter: meter.wavelength_m, lambda meter: meter.range_w[1], (1310e-9, 3e-3), budget_s=2.0, station=FULL_LINE
    ),
    "Mpc320": Subject("mpc", _paddles, lambda mpc: mpc.driver.paddle_1.angle, lambda mpc: mpc.driver.velocity, (85.0, 50.0), station=FULL_LINE),
    "SFifteenSPD": Subject(
        "spd",
        _diode,
        lambda spd: spd.bias(1),
        lambda spd: spd.threshold_v(1),
        (57.5, -0.15),
        dark=lambda world: world.diode(0).bias_v <= 40.0,
        station=AVALANCHE,
    ),
    "SFifteenTDC": Subject("tdc", _level, lambda tdc: tdc.driver.level_v, lambda tdc: tdc.driver.clock, (-0.5, 0.0), station=AVALANCHE),
}
