"""Faults of the optical bench are seen where they are on a real one: in counts and tags, whatever the devices say."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from heliograph.core.errors import ConfigError
from heliograph.mocks.faults import Fault, Faults
from heliograph.mocks.lab import Lab
from heliograph.mocks.layout import Layout
from heliograph.mocks.optics.light import Drive
from heliograph.mocks.world import World

from .conftest import plain_bench

SECOND_PS = 10**12
DEAD_S = 30e-9


def lit(*faults: Fault, power_w: float = 10e-3) -> World:
    """A bench whose users A and B hold equal phases, so that D1 is bright."""
    world = World(Layout.of(plain_bench(laser_noise_db=0.0)))
    for fault in faults:
        world.suffer(fault)
    world.set_laser(power_w=power_w, emission=True)
    pulse = np.zeros(10)
    pulse[5] = 2.5
    for source in ("awg_im:1", "awg_im:2"):
        world.set_drive(source, Drive(pulse, 1e8, True))
    for name, loss in (("voa_in", 33.61), ("voa_a", 1.0), ("voa_b", 1.0), ("voa_c", 60.0)):
        world.set_attenuation(name, loss)
    for source in ("awg_a:1", "awg_b:1"):
        world.set_drive(source, Drive(np.zeros(1), 1e8, True))
    for detector in range(2):
        world.set_bias(detector, 18e-6)
    world.set_detectors_enabled(True)
    return world


def rates(world: World, seconds: float = 1.0) -> np.ndarray:
    """Return the rates before the dead time."""
    counted = np.array(world.counts(world.next_epoch("counts"), 0, seconds), float) / seconds
    return counted if world.blinded else counted / (1.0 - counted * DEAD_S)


def tags(world: World, seconds: float = 0.5) -> dict[str, np.ndarray]:
    return {name: source.take(round(seconds * SECOND_PS)) for name, source in world.start_recording().items()}


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    return rates(lit())


def visibility(found: np.ndarray) -> float:
    return float((found[0] - found[1]) / found.sum())


@pytest.mark.parametrize(
    ("fault", "factor"),
    [
        (Fault("laser-drift", amount=-3.0), 10**-0.3),
        (Fault("mode-hop"), 10**-0.3 * 1549.32 / 1550.12),
        (Fault("fibre-cut", amount=10.0), 0.1),
        (Fault("missed-tags", amount=0.25), 0.75),
    ],
)
def test_less_light_or_fewer_clicks_are_fewer_counts(whole, fault, factor):
    assert rates(lit(fault))[0] == pytest.approx(whole[0] * factor, rel=0.03, abs=200)


def test_a_cut_in_one_arm_dims_and_spoils_the_interference(whole):
    cut = rates(lit(Fault("fibre-cut", "A", amount=60.0)))
    # Half of the light interferes with nothing: each detector sees a quarter of what D1 saw.
    assert cut[0] == pytest.approx(whole[0] / 4.0, rel=0.03)
    assert abs(visibility(cut)) < 0.1


def test_a_bias_that_drifts_lets_light_through_between_the_pulses():
    honest, drifted = (world.light() for world in (lit(), lit(Fault("bias-drift"))))
    assert (drifted.leak / drifted.pulses.mean(axis=1)).max() > 5.0 * (honest.leak / honest.pulses.mean(axis=1)).max()
    assert drifted.pulses[0].mean() == pytest.approx(honest.pulses[0].mean() * 0.8187, rel=0.01)


def test_a_jump_of_the_polarisation_lowers_the_visibility_by_the_cosine_of_half_its_angle(whole):
    turned = rates(lit(Fault("polarisation-jump", amount=0.5)))
    efficiency = np.array([0.701156, 0.770355])
    assert visibility(turned / efficiency) / visibility(whole / efficiency) == pytest.approx(np.cos(0.25), abs=0.005)


@pytest.mark.parametrize(("fraction", "error"), [(0.5, 0.125), (1.0, 0.25)])
def test_intercepted_pulses_go_to_the_wrong_detector(whole, fraction, error):
    found = rates(lit(Fault("intercept-resend", "A", amount=fraction))) / np.array([0.701156, 0.770355])
    honest = whole / np.array([0.701156, 0.770355])
    wrong = honest[1] / honest.sum()
    assert found[1] / found.sum() == pytest.approx(error + wrong * (1.0 - 2.0 * error), abs=0.005)


def test_dark_counts_become_frequent_at_one_detector_only():
    world = lit(Fault("dark", "D2", amount=100.0))
    world.set_laser(emission=False)
    found = rates(world, 10.0)
    assert found[0] == pytest.approx(50.0, abs=15.0)
    assert found[1] == pytest.approx(5000.0, rel=0.05)


def test_a_latched_nanowire_is_silent_until_its_bias_was_zero(whole):
    world = lit()
    world.suffer(Fault("latch", "D1"))
    assert world.is_latched(0)
    assert rates(world)[0] == 0.0
    world.set_bias(0, 0.0)
    world.set_bias(0, 18e-6)
    assert rates(world)[0] == pytest.approx(whole[0], rel=0.02)


def test_a_latch_comes_at_its_time_and_a_bench_that_recovers_has_none():
    world = lit(Fault("latch", "D2", after_s=0.25))
    times = tags(world, 0.5)["D2"]
    assert (times < 0.2 * SECOND_PS).sum() > 1000
    assert (times > 0.3 * SECOND_PS).sum() == 0
    world.clock_ps = SECOND_PS
    assert world.is_latched(1)
    assert not world.is_latched(0)
    world.recover()
    assert not world.is_latched(1)


def test_a_laser_that_does_not_stop_still_emits():
    world = lit(Fault("emission-stuck"))
    world.set_laser(emission=False)
    assert world.emitted_w() == 10e-3
    assert world.laser.emission


def test_a_stuck_attenuator_stays_where_it_is():
    world = lit()
    world.suffer(Fault("voa-stuck", "voa_in"))
    world.set_attenuation("voa_in", 60.0)
    assert world.attenuation_db("voa_in") == 33.61


def test_a_slip_moves_the_pattern_by_whole_slots():
    phases = np.zeros(100_000)
    phases[::40] = 2.5
    pattern = Drive(phases, 1e4, True)
    honest, slipped = lit(), lit(Fault("slip", "A", amount=1.0))
    for world in (honest, slipped):
        world.set_drive("awg_a:1", pattern)
    assert np.allclose(np.roll(honest.light().pulses, 1, axis=1), slipped.light().pulses)


def test_swapped_cables_swap_the_tags_of_the_detectors():
    plain, swapped = tags(lit()), tags(lit(Fault("swapped-channels")))
    assert np.array_equal(plain["D1"], swapped["D2"])
    assert np.array_equal(plain["D2"], swapped["D1"])
    assert np.array_equal(plain["sync"], swapped["sync"])


def test_a_bright_eavesdropper_leaves_the_rates_but_not_the_dead_time(whole):
    honest, blinded = tags(lit())["D1"], tags(lit(Fault("blinding")))["D1"]
    assert blinded.size == pytest.approx(honest.size, rel=0.05)
    assert int((np.diff(honest) < 30_000).sum()) == 0
    assert int((np.diff(blinded) < 30_000).sum()) > 0.005 * blinded.size
    assert lit(Fault("blinding")).blinded
    dark = lit(Fault("blinding"))
    dark.set_laser(emission=False)
    assert rates(dark, 10.0).sum() == 0.0


def test_light_too_weak_to_blind_is_more_counts(whole):
    found = rates(lit(Fault("blinding", amount=1e-12)))
    added = 1e-12 * 1550.12e-9 / (6.62607015e-34 * 299_792_458.0)
    assert found == pytest.approx(whole + added * np.array([0.701156, 0.770355]), rel=0.02)


def test_a_fault_begins_at_its_time_and_not_before():
    world = lit(Fault("fibre-cut", amount=60.0, after_s=0.25))
    times = tags(world, 0.5)["D1"]
    before, after = int((times < 0.2 * SECOND_PS).sum()), int((times > 0.3 * SECOND_PS).sum())
    assert before > 10_000
    assert after < 0.001 * before


def test_without_faults_and_before_them_the_tags_are_the_same_to_the_picosecond():
    honest, later = tags(lit(), 0.2), tags(lit(Fault("fibre-cut", after_s=5.0), Fault("intercept-resend", after_s=5.0)), 0.2)
    assert all(np.array_equal(honest[name], later[name]) for name in honest)


def test_the_same_attack_gives_the_same_tags():
    first, again = (tags(lit(Fault("intercept-resend"), Fault("missed-tags", "D1")), 0.2) for _ in range(2))
    assert all(np.array_equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("name", ["fibre-cut:Z", "intercept-resend:nobody", "dark:D3", "slip:z"])
def test_a_fault_of_the_world_that_falls_on_nothing_is_refused(name):
    with pytest.raises(ConfigError):
        Lab(plain_bench(), [name])


def test_a_running_lab_takes_faults_of_the_world_and_of_replies():
    lab, before = Lab(plain_bench()), threading.active_count()
    with lab.in_thread():
        lab.inject("laser-drift", amount=3.0)
        assert lab.world.harm().laser_db == 3.0
        lab.inject(Fault("timeout", "voa_in"))
        lab.heal()
        assert lab.world.harm() == World(lab.world.layout).harm()
        with pytest.raises(ConfigError):
            lab.inject("fibre-cut", "Z")
        with pytest.raises(ConfigError):
            lab.inject("laser-refuses")
        with pytest.raises(ConfigError):
            lab.inject("timeout", "nobody")
    assert threading.active_count() <= before + 1


def test_a_script_holds_faults_of_every_layer():
    faults = Faults.parse(["laser-refuses", "timeout:voa_a", "blinding"], ["voa_a"])
    assert [fault.layer for fault in faults.script] == ["device", "reply", "world"]
    assert faults.has("laser-refuses", "laser")
    assert faults.of_world() == [Fault("blinding")]
