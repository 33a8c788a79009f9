"""What drifts in the world, what holds it, and what both do to light and clicks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heliograph.core.physics import modulator_transmission, transmission
from heliograph.instruments.wire.mbx import BiasMode
from heliograph.mocks.layout import Layout
from heliograph.mocks.optics.bias import Bias
from heliograph.mocks.optics.light import Drive
from heliograph.mocks.optics.polarisation import HORIZONTAL, overlap, paddles
from heliograph.mocks.world import NOMINAL_BIAS_A, World

from .conftest import plain_bench

MINUTE_PS = 60 * 10**12
CARVING = Drive(np.array([0, 0, 0, 0, 0, 2.5, 0, 0, 0, 0.0]), 1e8, True)


def bench(line: tuple[str, ...] = (), **sim: Any) -> dict[str, Any]:
    """The default bench with bias controllers, a power meter and a polarisation controller, whose places in the line are given after its laser."""
    plain = plain_bench(laser_noise_db=0.0, **sim)
    for name, role in {"mbx1": "BiasController", "mbx2": "BiasController", "meter": "PowerMeter", "mpc": "PolarisationController"}.items():
        plain["instruments"][name] = {"wire": {"role": role, "driver": "any"}}
    plain["optics"]["taps"] = {"tap": {"meter": "meter", "share": 0.01}, "after": {"meter": "meter2", "share": 0.1}}
    plain["optics"]["line"] = line or plain["optics"]["line"]
    return plain


def controlled(**sim: Any) -> dict[str, Any]:
    plain = bench(**sim)
    plain["optics"]["modulators"]["im1"]["bias"], plain["optics"]["modulators"]["im2"]["bias"] = "mbx1", "mbx2"
    return plain


def lit(plain: dict[str, Any]) -> World:
    world = World(Layout.of(plain))
    world.set_laser(power_w=10e-3, emission=True)
    for n in (1, 2):
        world.set_drive(f"awg_im:{n}", CARVING)
    for name in ("voa_in", "voa_a", "voa_b", "voa_c"):
        world.set_attenuation(name, 1.0)
    world.set_detectors_enabled(True)
    for k in (0, 1):
        world.set_bias(k, NOMINAL_BIAS_A)
    return world


def bias_of(world: World, name: str) -> Bias:
    found = world.bias(name)
    assert found is not None
    return found


def extinction(world: World) -> float:
    carving = world.light().carving
    return float(carving.pulse.mean() / carving.leak.mean())


def test_a_bias_that_drifts_closes_the_modulators_worse_and_worse() -> None:
    world = lit(bench(bias_drift_v=0.5))
    before = extinction(world)

    world.clock_ps += 20 * MINUTE_PS

    assert extinction(world) < before / 10.0


def test_a_controller_that_sees_light_holds_the_darkest_point_and_one_in_the_dark_does_not() -> None:
    world = lit(controlled(bias_drift_v=0.5))
    for name in ("mbx1", "mbx2"):
        bias_of(world, name).set_mode(BiasMode.NULL, world.clock_ps)
    world.turned()
    world.clock_ps += 20 * MINUTE_PS
    held = extinction(world)

    world.set_laser(emission=False)
    world.clock_ps += 20 * MINUTE_PS

    assert held > 1e4
    assert extinction(world) < held / 10.0
    assert bias_of(world, "mbx1").error(world.clock_ps) == np.inf
    world.set_laser(emission=True)
    assert abs(bias_of(world, "mbx1").error(world.clock_ps)) < 0.3


@pytest.mark.parametrize(("mode", "share"), [(BiasMode.PEAK, 1.0), (BiasMode.NULL, 1e-3), (BiasMode.QUAD_POS, 0.5005), (BiasMode.QUAD_NEG, 0.5005)])
def test_every_automatic_mode_finds_its_working_point(mode: BiasMode, share: float) -> None:
    world = lit(controlled(bias_start_v=4.0))
    world.set_drive("awg_im:1", Drive(np.zeros(1), 1.0, False))
    bias_of(world, "mbx1").set_mode(mode, 0)
    world.turned()

    assert world.power_behind_w("im1") == pytest.approx(10e-3 * share, rel=1e-6)


def test_a_manual_bias_and_a_held_one_stay_where_they_are() -> None:
    world = lit(controlled(bias_drift_v=0.5, bias_start_v=2.0))
    bias = bias_of(world, "mbx1")
    bias.set_mode(BiasMode.HOLD_QUAD_POS, world.clock_ps)
    held = bias.voltage(world.clock_ps)
    bias.manual_v = -2.5

    world.clock_ps += 10 * MINUTE_PS

    assert bias.voltage(world.clock_ps) == held
    assert abs(bias.error(world.clock_ps)) > 0.01
    bias.set_mode(BiasMode.MANUAL, world.clock_ps)
    assert bias.voltage(world.clock_ps) == -2.5
    bias.set_mode(BiasMode.OFF, world.clock_ps)
    assert bias.voltage(world.clock_ps) == 0.0


def test_a_working_point_out_of_reach_is_found_again_two_half_waves_away() -> None:
    world = lit(controlled(bias_start_v=30.0))
    found = bias_of(world, "mbx1")
    found.set_mode(BiasMode.PEAK, 0)
    world.turned()
    assert abs(found.voltage(0)) <= 10.0
    assert found.error(0) == pytest.approx(0.0, abs=1e-9)
    world.set_drive("awg_im:1", Drive(np.zeros(1), 1.0, False))
    assert world.power_behind_w("im1") == pytest.approx(10e-3)


def test_a_power_ratio_is_held_on_either_slope() -> None:
    world = lit(controlled())
    world.set_drive("awg_im:1", Drive(np.zeros(1), 1.0, False))
    bias = bias_of(world, "mbx1")
    bias.power_ratio = 4.0
    for mode in (BiasMode.POWER_POS, BiasMode.POWER_NEG):
        bias.set_mode(mode, 0)
        world.turned()
        assert world.power_behind_w("im1") == pytest.approx(2.5e-3, rel=5e-3)


def test_the_laser_warms_up_after_it_is_switched_on_and_again_after_the_next_time() -> None:
    world = lit(bench(warm_up={"lacking_db": 1.0, "time_s": 60.0}))
    for _ in range(2):
        assert world.emitted_w() == pytest.approx(10e-3 * 10**-0.1)
        world.clock_ps += MINUTE_PS
        assert world.emitted_w() == pytest.approx(10e-3 * 10 ** (-0.1 * np.exp(-1.0)))
        world.set_laser(emission=False)
        world.set_laser(emission=True)


def test_a_laser_that_drifts_moves_the_counts_with_it() -> None:
    plain = bench(laser_drift_db=0.3)
    plain["optics"]["site"]["dead_time_s"] = 0.0
    world = lit(plain)
    world.set_attenuation("voa_in", 45.0)
    before, counts = world.emitted_w(), sum(world.counts(1, 0, 1.0))
    world.clock_ps += 30 * MINUTE_PS

    factor = world.emitted_w() / before

    assert abs(factor - 1.0) > 0.02
    assert sum(world.counts(2, 0, 1.0)) == pytest.approx(factor * counts, rel=0.01)


@pytest.mark.parametrize(
    ("place", "passed"),
    [
        (("tap", "im1", "im2", "att_fixed", "voa_in"), 1.0),
        (("im1", "tap", "im2", "att_fixed", "voa_in"), 0.1009),
        (("im1", "im2", "tap", "att_fixed", "voa_in"), 0.1000009),
        (("att_fixed", "voa_in", "tap", "im1", "im2"), 10**-6.1),
    ],
)
def test_a_tap_reads_what_the_laser_and_everything_before_it_leave(place: tuple[str, ...], passed: float) -> None:
    world = lit(bench(("laser", *place, "bs", "loop(user_a, user_b, user_c)", "bs", "D2", "D1")))
    assert world.tapped_w("meter") == pytest.approx(0.01 * 10e-3 * passed, rel=1e-6)


def test_a_tap_takes_its_share_from_everything_behind_it() -> None:
    tapped = lit(bench(("laser", "im1", "im2", "att_fixed", "tap", "voa_in", "bs", "loop(user_a, user_b, user_c)", "bs", "D2", "D1")))
    plain = lit(bench())
    np.testing.assert_allclose(tapped.light().pulses, 0.99 * plain.light().pulses, rtol=1e-9)


def test_a_tap_before_a_detector_dims_that_one_only_and_reads_its_light() -> None:
    world = lit(bench(("laser", "im1", "im2", "att_fixed", "voa_in", "bs", "loop(user_a, user_b, user_c)", "bs", "D2", "circ:2-3", "after", "D1")))
    plain = lit(bench())
    np.testing.assert_allclose(world.light().pulses[0], 0.9 * plain.light().pulses[0], rtol=1e-9)
    np.testing.assert_allclose(world.light().pulses[1], plain.light().pulses[1], rtol=1e-9)
    # Unmodulated light of both arms returns to D1: half of the line's power goes each way, and passes one arm.
    expected = world.power_behind_w("voa_in") * float(transmission(3.8)) / 2.0 * 2.0
    assert world.tapped_w("meter2") == pytest.approx(0.1 * expected, rel=1e-3)


def test_paddles_set_the_visibility_by_the_square_root_of_the_overlap() -> None:
    line = ("laser", "im1", "im2", "att_fixed", "voa_in", "mpc", "bs", "loop(user_a, user_b, user_c)", "bs", "D2", "D1")
    world = lit(bench(line))
    for angles in ((0.0, 0.0, 0.0), (30.0, 50.0, 10.0), (0.0, 45.0, 0.0)):
        world.turn_paddles("mpc", angles)
        d1, d2 = world.light().pulses.mean(axis=1) / np.array([0.701156, 0.770355])
        assert (d1 - d2) / (d1 + d2) == pytest.approx(np.sqrt(overlap(HORIZONTAL, [paddles(angles)])), abs=1e-6)


def test_polarisation_drifts_by_a_hundredth_of_a_radian_in_a_minute() -> None:
    lost = []
    for seed in range(30):
        world = World(Layout.of(bench(polarisation_drift_rad=0.01) | {"sim": {"seed": seed, "polarisation_drift_rad": 0.01}}))
        world.clock_ps = 100 * MINUTE_PS
        lost.append(1.0 - world._wandering.overlap(world.clock_ps))
    # A turn by a on the sphere leaves cos^2(a / 2); two independent turns of 0.1 rad rms, of which only those off the axis count.
    assert np.mean(lost) == pytest.approx(0.1**2 / 4 * 2, rel=0.5)


def test_a_random_start_of_the_polarisation_is_the_seed_s_own() -> None:
    def start(seed: int) -> float:
        return World(Layout.of(plain_bench(seed, polarisation_start="random")))._wandering.overlap(0)

    assert start(1) == start(1) != start(2)


def test_what_drifts_beside_changes_no_other_draw() -> None:
    def tags(**sim: Any) -> np.ndarray:
        world = lit(bench(**sim))
        world.set_laser(emission=False)
        return np.asarray(world.start_recording()["D1"].take(10**12))

    np.testing.assert_array_equal(tags(), tags(bias_drift_v=0.2, laser_drift_db=0.1, polarisation_drift_rad=0.01))


def test_the_bias_law_golden() -> None:
    assert modulator_transmission(0.0, 5.0, bias_v=-2.5) == pytest.approx(0.5005)
