"""Bias controllers, attenuator, power meter and paddles of the line: the real drivers on the simulated devices, from the knob to the tags."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.acquisition.light import prepare_light
from heliograph.core.errors import ArmRefused, DeviceFault, LimitError, NotHomed
from heliograph.core.physics import photons_per_pulse, train_fractions
from heliograph.instruments.bias_controllers import MbxBias
from heliograph.instruments.connect import connect
from heliograph.instruments.mbx_attenuators import MbxVoa
from heliograph.instruments.polarisation_controllers import Mpc320Controller
from heliograph.instruments.power_meters import Pm100Meter
from heliograph.instruments.roles import Attenuator, BiasController, PolarisationController, PowerMeter
from heliograph.instruments.station import Station
from heliograph.instruments.thorlabs import ThorlabsMBX, ThorlabsPM100, mbx_link, pm100_link
from heliograph.instruments.thorlabs_apt import Mpc320
from heliograph.instruments.wire.mbx import BiasMode
from heliograph.mocks.devices.mbx import Mbx
from heliograph.mocks.devices.mpc320 import Mpc320 as SimulatedMpc320
from heliograph.mocks.devices.pm100 import Pm100
from heliograph.mocks.lab import Lab
from heliograph.mocks.layout import Layout
from heliograph.mocks.listeners import Hub
from heliograph.mocks.optics.polarisation import HORIZONTAL, overlap, paddles
from heliograph.mocks.randomness import Seeds
from heliograph.mocks.world import World

from .in_process import InProcess

TEXT = (Path(__file__).parents[1] / "full_station.toml").read_text()
MINUTE_PS = 60 * 10**12


def station(sim: str = "") -> Station:
    return Station.parse(TEXT.replace("[sim]\n", f"[sim]\n{sim}\n").encode(), Path("full_station.toml"))


@contextmanager
def opened(sim: str = "") -> Iterator[tuple[Any, World]]:
    configured = station(sim)
    lab = Lab(configured.plain())
    with lab.in_thread() as resources, connect(configured, resources.__getitem__, home=True) as instruments:
        yield instruments, lab.world


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Any, World]]:
    with opened() as bench:
        yield bench


@pytest.fixture
def bench(shared: Any) -> Any:
    return shared[0]


def carve(bench: Any) -> None:
    volts = np.zeros(10)
    volts[5] = 2.5
    for output in (1, 2):
        bench["awg_im"].load(output, volts, 1e9)
        bench["awg_im"].output(output, True)


def light_up(bench: Any) -> None:
    """Light on the detectors, about 2e5 clicks a second, in the arms of A and B."""
    bench["laser"].emission = False
    for name in ("mbx_1", "mbx_2"):
        bench[name].mode = BiasMode.NULL
    carve(bench)
    bench["voa_in"].attenuation_db = 39.0
    bench["voa_mbx"].attenuation_db = 1.0
    for name in ("voa_a", "voa_b"):
        bench[name].attenuation_db = 1.0
    for channel in (1, 2):
        bench["snspd"].set_bias(channel, 18e-6)
    bench["snspd"].enabled = True
    bench["laser"].power_setpoint_w = 10e-3
    bench["laser"].emission = True


def clicks(bench: Any, seconds: float = 0.4) -> np.ndarray:
    """Tags of D1 and D2 in a recording."""
    batches = list(bench["tagger"].record(seconds))
    return np.array([sum(int((batch.ch == ch).sum()) for batch in batches) for ch in (1, 2)], float)


def test_each_instrument_has_its_role_and_says_who_it_is(bench: Any) -> None:
    for name, role, model in (
        ("mbx_1", BiasController, "MBX3"),
        ("voa_mbx", Attenuator, "MBX3"),
        ("meter", PowerMeter, "PM100D"),
        ("mpc", PolarisationController, "MPC320"),
    ):
        assert isinstance(bench[name], role)
        assert bench[name].identify().model == model
        assert bench[name].snapshot()


def test_the_bench_is_safe_with_every_modulator_at_its_darkest_and_every_attenuator_closed(bench: Any) -> None:
    bench["mbx_1"].mode = BiasMode.PEAK
    bench["voa_mbx"].attenuation_db = 3.0
    assert not bench["mbx_1"].is_safe()
    assert not bench["voa_mbx"].is_safe()

    reports = {report.name: report.state for report in bench.make_safe()}

    assert set(reports.values()) == {"CONFIRMED"}
    assert bench["mbx_1"].mode is BiasMode.NULL
    assert bench["voa_mbx"].measured_db == pytest.approx(20.0, abs=0.06)


def test_two_instruments_of_one_unit_share_its_port_and_its_bytes_are_counted_once(bench: Any) -> None:
    assert bench["mbx_1"].driver is bench["voa_mbx"].driver
    before = bench["mbx_1"].wire.sent
    bench["voa_mbx"].measured_db  # noqa: B018
    assert bench["mbx_1"].wire.sent > before
    assert bench["voa_mbx"].wire.sent == 0


def test_both_instruments_of_a_unit_are_let_go_together_and_come_back_together(bench: Any) -> None:
    other = next(name for name, one in bench.items() if one.role == "Attenuator" and not one.can_home)
    unit = [name for name in bench if bench.station.instruments[name].wire.resource == bench.station.instruments[other].wire.resource]
    assert len(unit) == 2

    assert {report.name for report in bench.release(other)} == set(unit) == set(bench.arbiter.released)
    assert [one.name for one in bench.take_back(unit[0])] == unit
    assert not bench.arbiter.released
    assert bench[unit[0]].identify() == bench[unit[1]].identify()


def test_both_instruments_of_a_unit_may_be_asked_at_once(bench: Any) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: bench["mbx_1"].mode if k % 2 else bench["voa_mbx"].measured_db, range(60)))

    assert set(found[1::2]) == {BiasMode.NULL}
    assert found[::2] == pytest.approx([20.0] * 30, abs=0.06)


def test_what_station_or_device_forbids_is_refused_before_anything_is_sent(bench: Any) -> None:
    before = bench["mbx_1"].wire.sent, bench["meter"].wire.sent
    for name, quantity, value in (
        ("mbx_1", "bias_v", 8.1),
        ("mbx_1", "bias_v", float("nan")),
        ("voa_mbx", "attenuation_db", 20.5),
        ("voa_mbx", "attenuation_db", 0.4),
    ):
        with pytest.raises(LimitError):
            setattr(bench[name], quantity, value)
    assert (bench["mbx_1"].wire.sent, bench["meter"].wire.sent) == before
    with pytest.raises(LimitError, match="limit of the sensor"):
        bench["meter"].wavelength_m = 300e-9


def test_the_tap_is_dark_before_emission_and_reads_the_laser_s_law_after(bench: Any) -> None:
    bench.make_safe()
    assert abs(bench["meter"].power_w) < 1e-9
    light_up(bench)
    bench["meter"].wavelength_m = 1550.12e-9
    assert bench["meter"].wavelength_m == pytest.approx(1550.12e-9)
    readings = [bench["meter"].power_w for _ in range(20)]
    assert np.mean(readings) == pytest.approx(0.01 * 0.1 * 10e-3, rel=0.01)
    bench["laser"].power_setpoint_w = 5e-3
    assert bench["meter"].power_w == pytest.approx(0.5 * 0.01 * 0.1 * 10e-3, rel=0.03)


def test_a_bench_whose_tap_sees_light_before_emission_is_not_armed(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, world = shared
    bench.make_safe()
    with monkeypatch.context() as stray:
        stray.setattr(world, "tapped_w", lambda meter: 1e-6)
        with pytest.raises(ArmRefused, match="although everything is off"):
            bench.arm()
    assert bench["laser"].emission is False
    bench.arm()
    assert bench["laser"].emission is True


def test_the_photons_that_leave_the_users_are_as_many_as_planned_with_tap_and_two_attenuators(shared: Any) -> None:
    bench, world = shared
    bench.make_safe()
    bench["laser"].power_setpoint_w = 10e-3
    bench["laser"].emission = True
    setting = prepare_light(bench, 0.017, {"A": 3.8, "B": 3.8})

    sent = float(photons_per_pulse(world.power_behind_w("mpc") / 2.0, world.laser.wavelength_m, 1e8))

    assert setting.mu == pytest.approx(0.017, rel=2e-3)
    # The MBX tells its attenuation to a hundredth of a decibel or so, and a tap that were not counted would be 1 % off.
    assert sent == pytest.approx(setting.mu, rel=3e-3)


def test_ten_decibels_at_the_mbx_leave_a_tenth_of_the_tags(bench: Any) -> None:
    light_up(bench)
    before, low = clicks(bench)[0], bench["voa_mbx"].measured_db
    bench["voa_mbx"].attenuation_db = 11.0
    after = clicks(bench)[0]

    factor = 10 ** (-(bench["voa_mbx"].measured_db - low) / 10)

    assert abs(after - factor * before) <= 5 * np.sqrt(after + factor**2 * before) + 0.01 * factor * before


def test_a_manual_bias_moves_the_light_as_the_sine_squared_says(bench: Any) -> None:
    bench.make_safe()
    bench["laser"].emission = True
    taps = []
    for bias_v in (0.0, 2.5, 5.0):
        bench["mbx_1"].bias_v = bias_v
        assert bench["mbx_1"].mode is BiasMode.MANUAL
        taps.append(bench["mbx_1"].tap_w)
    assert taps == pytest.approx([1e-3 * 10e-3, 0.5005 * 10e-3, 10e-3], rel=1e-6)


def send_ones(bench: Any) -> None:
    """User A shifts every pulse by pi, so that all light belongs to D2."""
    optics = bench.station.optics
    place = int(10 * train_fractions(optics.users["A"].distance_m, optics.loop.length_m, 10e-9)[0])
    volts = np.zeros(10)
    volts[place] = 2.5
    bench["awg_a"].load(1, volts, 1e9)
    bench["awg_a"].output(1, True)


def spoilt(bench: Any, world: World, seconds: float = 0.4) -> tuple[float, float]:
    """Share of the clicks that lie outside the 2 ns gate around the pulses, and error rate: share of those inside that come from D1."""
    batches = list(bench["tagger"].record(seconds))
    d1, d2 = (np.concatenate([batch.t_ps[batch.ch == ch] for batch in batches]) - world.cable_ps(f"D{ch}") for ch in (1, 2))
    centre = np.angle(np.exp(2j * np.pi * d2 / 10_000).mean()) / (2 * np.pi) * 10_000
    inside = [float((np.abs((tags - centre + 5000) % 10_000 - 5000) <= 1000).sum()) for tags in (d1, d2)]
    return 1.0 - sum(inside) / (len(d1) + len(d2)), inside[0] / sum(inside)


def test_a_bias_that_drifts_unheld_spoils_extinction_and_error_rate_and_a_controller_holds_them() -> None:
    with opened('bias_drift = "0.5 V"') as (bench, world):
        light_up(bench)
        send_ones(bench)
        fresh = spoilt(bench, world)
        world.clock_ps += 60 * MINUTE_PS
        held = spoilt(bench, world)
        for name in ("mbx_1", "mbx_2"):
            bench[name].bias_v = bench[name].bias_v
        world.clock_ps += 240 * MINUTE_PS
        adrift = spoilt(bench, world)
        for name in ("mbx_1", "mbx_2"):
            bench[name].mode = BiasMode.NULL
            bench[name].calibrate()
            assert bench[name].stable
        found_again = spoilt(bench, world)

    for outside, error in (fresh, held, found_again):
        assert outside < 0.002
        # The station's user A has an error of 0.37 %.
        assert error == pytest.approx(0.00373 * 0.701156 / 0.770355, abs=0.001)
    assert adrift[0] > 0.3
    assert adrift[1] > 0.1


@pytest.fixture(scope="module")
def drifting() -> Iterator[tuple[Any, World]]:
    with opened('warm_up = { lacking = "1 dB", time = "60 s" }\npolarisation_drift = "0.05 rad"') as bench:
        yield bench


def powers(bench: Any) -> tuple[float, float, float]:
    """Power by the laser, by the meter, and the clicks of both detectors as photons."""
    return bench["laser"].power_w, float(np.mean([bench["meter"].power_w for _ in range(20)])), float((clicks(bench) / [0.701156, 0.770355]).sum())


def test_a_laser_that_warms_up_is_seen_by_laser_meter_and_tags_alike(drifting: Any) -> None:
    bench, world = drifting
    light_up(bench)
    before = powers(bench)

    world.clock_ps += 10 * MINUTE_PS

    assert np.divide(powers(bench), before) == pytest.approx([10**0.1] * 3, rel=0.015)


def test_paddles_set_the_visibility_that_the_tags_tell(bench: Any) -> None:
    """Unmodulated light leaves at D1 but for the share of the power that the paddles turn away."""
    light_up(bench)
    for angles, share in (((0.0, 0.0, 0.0), 1.0), ((30.0, 50.0, 10.0), 0.530637), ((0.0, 45.0, 0.0), 0.0)):
        for paddle, angle in enumerate(angles):
            bench["mpc"].move(paddle, angle)
        bench["voa_in"].attenuation_db = 45.0
        d1, d2 = clicks(bench) / np.array([0.701156, 0.770355])
        # A paddle comes within 0.06 deg of its angle.
        assert (d1 - d2) / (d1 + d2) == pytest.approx(np.sqrt(share), abs=0.02)
        assert bench["mpc"].angles_deg == pytest.approx(angles, abs=0.07)


def test_a_polarisation_that_drifts_lowers_the_visibility(drifting: Any) -> None:
    bench, world = drifting
    light_up(bench)
    for paddle in range(3):
        bench["mpc"].move(paddle, 0.0)
    bench["voa_in"].attenuation_db = 45.0
    before = clicks(bench)

    world.clock_ps += 120 * MINUTE_PS

    after = clicks(bench)
    assert after[1] / after.sum() > 2 * before[1] / before.sum() + 0.005


def test_paddles_refuse_what_the_station_forbids_and_what_is_no_paddle(bench: Any) -> None:
    before = bench["mpc"].wire.sent
    for paddle, angle in ((0, -0.1), (0, 166.0), (0, float("nan")), (3, 45.0), (-1, 45.0)):
        with pytest.raises(LimitError):
            bench["mpc"].move(paddle, angle)
    assert bench["mpc"].wire.sent == before


# One body a role, on every transport


@pytest.fixture
def world() -> World:
    return World(Layout.of(station().plain()))


@contextmanager
def on_transport(device: Any, transport: str) -> Iterator[str]:
    """Serve a device and give its VISA resource."""
    hub = Hub()
    resource = hub.add_pty(device.link()) if transport == "pty" else f"TCPIP::127.0.0.1::{hub.add_tcp(device.link)}::SOCKET"
    thread = threading.Thread(target=hub.run, daemon=True)
    thread.start()
    try:
        yield resource
    finally:
        hub.stop()
        thread.join()


@contextmanager
def meter_on(world: World, transport: str) -> Iterator[Pm100Meter]:
    device = Pm100(world, "meter")
    entry = station().instruments["meter"]
    if transport == "in process":
        yield Pm100Meter("meter", entry, ThorlabsPM100(InProcess(device)), station="full_station.toml")
        return
    with on_transport(device, transport) as resource:
        link = pm100_link(resource, name="meter")
        yield Pm100Meter("meter", entry, ThorlabsPM100(link), station="full_station.toml")
        link.close()


@contextmanager
def mbx_on(world: World, transport: str) -> Iterator[ThorlabsMBX]:
    device = Mbx(world, Seeds(1), "mbx_1", "BiasController")
    device.serve("voa_mbx", "Attenuator")
    if transport == "in process":
        yield ThorlabsMBX(InProcess(device, command_end="\r", line_end="\r"))
        return
    with on_transport(device, transport) as resource:
        link = mbx_link(resource, name="mbx_1")
        yield ThorlabsMBX(link)
        link.close()


@contextmanager
def paddles_on(world: World, transport: str) -> Iterator[Mpc320Controller]:
    device, entry = SimulatedMpc320(world, "mpc"), station().instruments["mpc"]
    if transport == "in process":
        yield Mpc320Controller("mpc", entry, Mpc320(InProcess(device)), station="full_station.toml")
        return
    with on_transport(device, transport) as resource:
        controller = Mpc320Controller.open("mpc", entry, {"resource": resource}, station="full_station.toml")
        yield controller
        controller.close()


TRANSPORTS = ("in process", "pty", "tcp")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_power_meter_on_any_transport(world: World, transport: str) -> None:
    world.set_laser(power_w=10e-3, emission=True)
    with meter_on(world, transport) as meter:
        assert type(meter.driver) is ThorlabsPM100
        assert meter.identify().serial == "P2611001"
        meter.wavelength_m = 1550.12e-9
        assert meter.wavelength_m == pytest.approx(1550.12e-9)
        assert meter.range_w == (1e-9, 3e-3)
        assert meter.wavelength_range_m == pytest.approx((800e-9, 1700e-9))
        assert meter.power_w == pytest.approx(world.tapped_w("meter"), abs=1e-10, rel=0.03)
        assert meter.to_safe().state == "CONFIRMED"


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_bias_controller_on_any_transport(world: World, transport: str) -> None:
    world.set_laser(power_w=10e-3, emission=True)
    with mbx_on(world, transport) as driver:
        bias = MbxBias("mbx_1", station().instruments["mbx_1"], driver, station="full_station.toml")
        assert type(bias.driver) is ThorlabsMBX
        bias.mode = BiasMode.QUAD_POS
        bias.calibrate()
        assert (bias.mode, bias.stable) == (BiasMode.QUAD_POS, True)
        assert bias.bias_v == pytest.approx(2.5)
        assert bias.tap_w == pytest.approx(0.5005 * 10e-3)
        bias.bias_v = -2.5
        assert (bias.mode, bias.bias_v) == (BiasMode.MANUAL, -2.5)
        assert bias.to_safe().state == "CONFIRMED"
        assert bias.mode is BiasMode.NULL


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_attenuator_of_an_mbx_on_any_transport(world: World, transport: str) -> None:
    with mbx_on(world, transport) as driver:
        voa = MbxVoa("voa_mbx", station().instruments["voa_mbx"], driver, station="full_station.toml")
        driver.voa.enabled = False
        voa.attenuation_db = 7.25
        assert voa.measured_db == pytest.approx(7.25, abs=0.02)
        assert voa.settled
        assert driver.voa.enabled is True
        assert voa.range_db == (0.5, 20.0)
        assert voa.to_safe().state == "CONFIRMED"
        assert voa.measured_db > 19.9


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_paddles_on_any_transport(world: World, transport: str) -> None:
    with paddles_on(world, transport) as mpc:
        assert type(mpc.driver) is Mpc320
        assert mpc.identify().serial == "38449564"
        assert bool(mpc.homed) is False
        with pytest.raises(NotHomed):
            mpc.move(0, 45.0)
        mpc.home()
        assert bool(mpc.homed) is True
        mpc.move(1, 45.0)
        mpc.move(2, 165.0)
        assert mpc.angles_deg == pytest.approx((0.0, 45.0, 165.0), abs=0.07)
        assert mpc.driver.unasked >= 2
        assert not mpc.moving(1)
        assert mpc.snapshot()["velocity_percent"] == 50
        assert mpc.to_safe().state == "CONFIRMED"
        expected = overlap(HORIZONTAL, [paddles(mpc.angles_deg)])
        assert world._wandering.overlap(0) == pytest.approx(expected, abs=1e-9)


def test_one_half_of_a_unit_goes_on_when_the_other_is_closed(world: World) -> None:
    device, stations = Mbx(world, Seeds(1), "mbx_1", "BiasController"), station().instruments
    with on_transport(device, "pty") as resource:
        bias = MbxBias.open("mbx_1", stations["mbx_1"], {"resource": resource}, station="x")
        voa = MbxVoa.open("voa_mbx", stations["voa_mbx"], {"resource": resource}, station="x")
        bias.close()
        bias.close()
        assert voa.identify().model == "MBX3"
        voa.close()
        again = MbxBias.open("mbx_1", stations["mbx_1"], {"resource": resource}, station="x")
        assert again.wire.sent == 0
        assert again.mode is BiasMode.OFF
        again.close()


def test_a_mode_that_does_not_hold_is_a_fault(world: World) -> None:
    device = Mbx(world, Seeds(1), "mbx_1", "BiasController")
    device._settings["MZM:MODE"] = lambda _: None
    bias = MbxBias("mbx_1", station().instruments["mbx_1"], ThorlabsMBX(InProcess(device, command_end="\r", line_end="\r")), station="x")
    with pytest.raises(DeviceFault, match="PEAK was asked for, OFF reads back"):
        bias.mode = BiasMode.PEAK
