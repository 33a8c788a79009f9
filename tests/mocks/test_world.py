from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from scipy.stats import chi2

from heliograph.core.errors import ConfigError
from heliograph.core.physics import dead_time_rate, train_fractions
from heliograph.mocks.layout import Layout
from heliograph.mocks.optics.light import Drive
from heliograph.mocks.optics.tagging import window
from heliograph.mocks.world import NOMINAL_BIAS_A, World

from .conftest import plain_bench

SLOTS = 10_000
MU_17_DB = 10 * np.log10(10e-3 * 0.1 * 1e-6 / 2 / 2.178514e-13)


def carving(bias_v: float = 0.0) -> Drive:
    volts = np.zeros(10)
    volts[5] = 2.5
    return Drive(volts + bias_v, 1e8, True)


def pattern_drive(user: str, quarter_turns: np.ndarray, plain) -> Drive:
    entry = plain["optics"]["users"][user]
    side = 0 if user == "A" else 1
    fraction = train_fractions(entry["distance_m"], 6000.0, 10e-9)[side]
    volts = np.zeros((SLOTS, 10))
    volts[:, int(10 * fraction)] = quarter_turns * 1.25
    return Drive(volts.ravel(), 1e4, True)


def balanced(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    turns = np.concatenate([np.tile([0, 2], 4500), np.tile([1, 3], 500)])
    return generator.permutation(turns)


def bench(plain=None, *, modulated: bool = True) -> World:
    """The A-B bench at mu 0.017, lit and biased."""
    plain = plain or plain_bench()
    world = World(Layout.of(plain))
    world.set_laser(power_w=10e-3, emission=True)
    for output in (1, 2):
        world.set_drive(f"awg_im:{output}", carving())
    for name, attenuation in {"voa_in": MU_17_DB, "voa_a": 1.0, "voa_b": 1.0, "voa_c": 60.0}.items():
        world.set_attenuation(name, attenuation)
    world.set_detectors_enabled(True)
    for detector in (0, 1):
        world.set_bias(detector, NOMINAL_BIAS_A)
    if modulated:
        world.set_drive("awg_a:1", pattern_drive("A", balanced(1), plain))
        world.set_drive("awg_b:1", pattern_drive("B", balanced(2), plain))
    return world


def record(world: World, seconds: float) -> dict[str, np.ndarray]:
    sources = world.start_recording()
    return {name: window(source, 0, round(seconds * 1e12), 0) for name, source in sources.items()}


def ideal(seed: int, **sim) -> dict:
    plain = plain_bench(seed, laser_noise_db=0.0, **sim)
    plain["optics"]["site"]["dead_time_s"] = 0.0
    return plain


def test_the_world_says_since_when_it_is_dark(monkeypatch):
    now = itertools.count(1.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    world = World(Layout.of(plain_bench()))
    said = [world.dark_since]
    for turn in (
        lambda: world.set_laser(emission=True), lambda: world.set_laser(emission=False), lambda: world.set_bias(1, 1e-6), lambda: world.set_bias(1, 0.0),
        lambda: world.set_detectors_enabled(True), lambda: world.set_detectors_enabled(False), lambda: world.set_attenuation("voa_in", 60.0),
    ):  # fmt: skip
        turn()
        said.append(world.dark_since)

    assert said == [1.0, None, 2.0, None, 3.0, None, 4.0, 4.0]


def test_mean_photon_number_at_the_users_is_that_of_the_light_budget():
    light = bench(modulated=False).light()
    # V 1 without modulation: all light of both arms goes to D1.
    expected = 2 * 0.017 * 10**-0.38 * 0.701156
    np.testing.assert_allclose(light.pulses[0], expected, rtol=1e-4)
    np.testing.assert_allclose(light.pulses[1], 0.0, atol=1e-12)


def test_a_histogram_of_200_seconds_stays_at_the_click_law():
    world = bench(plain_bench(laser_noise_db=0.0))

    found = world.histogram(200.0)

    light = world.light()
    p = -np.expm1(-light.pulses - 1e-7)
    expected = 2_000_000 * np.stack([p[0] * (1 - p[1]), p[1] * (1 - p[0]), p[0] * p[1]], axis=1)
    assert np.all(np.abs(found.sum(axis=0) - expected.sum(axis=0)) < 5 * np.sqrt(expected.sum(axis=0)))
    assert world.clock_ps == 200 * 10**12


def slot_clicks(tags: np.ndarray, lag: int) -> np.ndarray:
    """Counts per slot inside the 2 ns gate."""
    tags = tags - lag
    inside = np.abs(tags % 10_000 - 5000) <= 1000
    return np.bincount((tags[inside] // 10_000) % SLOTS, minlength=SLOTS)


@pytest.mark.parametrize("seed", range(10))
def test_tags_agree_with_the_click_law_slot_by_slot(seed):
    world = bench(ideal(seed))
    tags = record(world, 2.0)
    light = world.light()
    for detector, name in enumerate(("D1", "D2")):
        expected = 20_000 * -np.expm1(-light.pulses[detector] - 1e-7)
        found = slot_clicks(tags[name], 0)
        strong = expected > 20
        statistic = float((((found - expected) ** 2) / expected)[strong].sum())
        assert chi2.sf(statistic, int(strong.sum())) > 1e-4
        weak = ~strong
        assert abs(found[weak].sum() - expected[weak].sum()) < 5 * np.sqrt(expected[weak].sum() + 1)


def test_tags_agree_with_the_histogram_in_rate_and_error():
    world = bench(ideal(5))
    tags, histogram = record(world, 5.0), world.histogram(5.0)
    found = [slot_clicks(tags[name], 0) for name in ("D1", "D2")]
    both = histogram[:, 2]
    for detector in (0, 1):
        a, b = float(found[detector].sum()), float((histogram[:, detector] + both).sum())
        assert abs(a - b) < 4 * np.sqrt(a + b)
    pulses = world.light().pulses
    # In a slot of one basis nearly all light leaves by one port; what the other one counts are errors, as in E_x and E_y.
    one_basis = pulses.min(axis=0) < 0.05 * pulses.max(axis=0)
    assert 0.5 < one_basis.mean() < 0.95
    wrong = np.zeros(2)
    for detector in (0, 1):
        dim = one_basis & (pulses[detector] < pulses[1 - detector])
        wrong += [float(found[detector][dim].sum()), float((histogram[:, detector] + both)[dim].sum())]
    assert wrong.min() > 10_000
    assert abs(wrong[0] - wrong[1]) < 4 * np.sqrt(wrong.sum())


def test_dead_time_costs_its_share():
    lively, dead = bench(ideal(7)), bench(plain_bench(7, laser_noise_db=0.0))
    for name in ("D1", "D2"):
        free, counted = len(record(lively, 2.0)[name]), len(record(dead, 2.0)[name])
        # Pulses come on a grid of 10 ns, so of the 30 ns two slots are lost for certain and the third in half of the cases (jitter).
        assert counted / free == pytest.approx(dead_time_rate(free / 2.0, 30e-9) / (free / 2.0), abs=4e-3)


def test_same_seed_same_tags_whatever_the_size_of_delivery():
    whole = record(bench(), 1.0)
    sources = bench().start_recording()
    for name, source in sources.items():
        pieces = [window(source, k * 10**11, (k + 1) * 10**11, 0) + k * 10**11 for k in range(10)]
        np.testing.assert_array_equal(np.concatenate(pieces), whole[name])


def test_another_seed_gives_other_tags_and_other_offsets():
    one, other = bench(plain_bench(1)), bench(plain_bench(2))
    assert not np.array_equal(one.light().pulses, other.light().pulses)
    assert len(record(one, 0.2)["D1"]) != len(record(other, 0.2)["D1"])


def test_another_element_on_the_bench_changes_nobody_elses_randomness():
    plain, more = plain_bench(), plain_bench()
    more["optics"]["modulators"]["pm_d"] = dict(more["optics"]["modulators"]["pm_c"], source="awg_d:1")
    more["optics"]["users"] = {"D": {"pm": "pm_d", "voa": "voa_d", "distance_m": 3300.3, "loss_db": 5.8}, **more["optics"]["users"]}
    more["instruments"]["awg_d"], more["instruments"]["voa_d"] = more["instruments"]["awg_c"], more["instruments"]["voa_c"]
    first, second = bench(plain), bench(more)
    second.set_attenuation("voa_d", 60.0)
    np.testing.assert_array_equal(record(first, 0.2)["D1"], record(second, 0.2)["D1"])


def test_the_order_of_instruments_and_users_means_nothing():
    plain, turned = plain_bench(), plain_bench()
    turned["instruments"] = dict(reversed(turned["instruments"].items()))
    turned["optics"]["users"] = dict(reversed(turned["optics"]["users"].items()))
    np.testing.assert_array_equal(record(bench(plain), 0.2)["D2"], record(bench(turned), 0.2)["D2"])


def test_a_clock_or_topology_that_is_not_simulated_is_refused():
    for plain in (plain_bench(clock="paced"), {**plain_bench(), "topology": "photonic_link"}):
        with pytest.raises(ConfigError):
            Layout.of(plain)


def test_recordings_begin_on_the_frame_so_that_an_offset_found_holds_in_the_next():
    world = bench(ideal(3))
    world.counts(1, 0, 0.01234567)
    first = record(world, 1.0)
    assert world.clock_ps % (SLOTS * 10_000) == 0
    second = record(world, 1.0)
    a, b = (slot_clicks(tags["D1"], 0).astype(float) for tags in (first, second))
    assert np.corrcoef(a, b)[0, 1] > 0.9
    assert not np.array_equal(first["D1"], second["D1"])


def test_loading_another_waveform_keeps_the_start_offset():
    world = bench()
    before = world.light().pulses.copy()
    world.set_drive("awg_a:1", Drive(np.zeros(10), 1e8, True))
    assert not np.array_equal(world.light().pulses, before)
    world.set_drive("awg_a:1", pattern_drive("A", balanced(1), plain_bench()))
    np.testing.assert_array_equal(world.light().pulses, before)


def total(world: World) -> float:
    counts = np.array([world.counts(world.next_epoch("counts"), 0, 1.0)])
    return float(counts.sum())


@pytest.mark.parametrize(
    ("turn", "factor"),
    [
        (lambda world: world.set_laser(power_w=10e-3 * 10**0.3), 10**0.3),
        (lambda world: world.set_attenuation("voa_in", MU_17_DB + 20.0), 0.1),
        (lambda world: world.set_laser(emission=False), 0.0),
        (lambda world: [world.set_attenuation(f"voa_{u}", 11.0) for u in "ab"], 0.1),
        (lambda world: [world.set_bias(k, 0.9 * NOMINAL_BIAS_A) for k in (0, 1)], 0.930),
        (lambda world: world.set_detectors_enabled(False), 0.0),
        # Both modulators biased to their maximum, where their pulses turn them dark: nine bright samples instead of one.
        (lambda world: [world.set_drive(f"awg_im:{n}", carving(2.5)) for n in (1, 2)], 9.0),
    ],
)
def test_every_knob_changes_the_counts_as_its_law_says(turn, factor):
    plain = ideal(11)
    plain["optics"]["site"]["dark_hz"] = (0.0, 0.0)
    world = bench(plain, modulated=False)
    world.set_attenuation("voa_in", MU_17_DB + 10.0)

    before = total(world)
    turn(world)
    after = total(world)

    # 0.3 % for clicks that share a slot.
    assert abs(after - factor * before) <= 5 * np.sqrt(after + factor**2 * before) + 0.003 * factor * before


def test_a_nanowire_above_its_switching_current_stays_dark_until_its_bias_is_zero():
    world = bench()
    world.set_bias(0, 27e-6)
    world.set_bias(0, NOMINAL_BIAS_A)
    assert world.light().pulses[0].max() == 0.0
    world.set_bias(0, 0.0)
    world.set_bias(0, NOMINAL_BIAS_A)
    assert world.light().pulses[0].max() > 0.0


def test_afterpulses_raise_the_rate_by_their_share():
    clean, ringing = bench(plain_bench(4, laser_noise_db=0.0)), bench(plain_bench(4, laser_noise_db=0.0, afterpulse=0.05))
    a, b = len(record(clean, 0.2)["D1"]), len(record(ringing, 0.2)["D1"])
    assert b / a == pytest.approx(1 / 0.95, abs=0.01)


def composed(n_y: int, overlap: int) -> tuple[np.ndarray, np.ndarray]:
    """Quarter turns of two users: n_y Y slots each, `overlap` of them in common, bits balanced within every combination of bases."""
    groups = [(1, 1, overlap), (1, 0, n_y - overlap), (0, 1, n_y - overlap), (0, 0, SLOTS - 2 * n_y + overlap)]
    a = np.concatenate([basis + 2 * (np.arange(size) % 2) for basis, _, size in groups])
    b = np.concatenate([basis + 2 * (np.arange(size) // 2 % 2) for _, basis, size in groups])
    order = np.random.default_rng(0).permutation(SLOTS)
    return a[order], b[order]


@pytest.mark.parametrize(
    ("users", "mu", "arm", "errors", "overlap", "row"),
    [
        ("AB", 0.017, 0.4195, (1434989 / 169216602, 10748 / 2171543), 104, (208796444, 169216602, 1434989, 2171543, 10748)),
        ("AC", 0.0085, 0.2099, (446184 / 42542127, 7221 / 575833), 110, (52455918, 42542127, 446184, 575833, 7221)),
    ],
)
def test_the_expected_counts_of_a_pair_meet_the_published_row(users, mu, arm, errors, overlap, row):
    pair = "-".join(users)
    plain = ideal(8, pairs={pair: {"error_x": errors[0], "error_y": errors[1]}})
    world = bench(plain, modulated=False)
    world.set_attenuation("voa_in", MU_17_DB + 10 * np.log10(0.017 / mu))
    turns = composed(1000, overlap)
    for user, quarter, side in zip(users, turns, (0, 1), strict=True):
        entry = plain["optics"]["users"][user]
        world.set_attenuation(entry["voa"], -10 * np.log10(arm) - entry["loss_db"])
        aligned = np.roll(quarter, -world._offsets[user][side])
        world.set_drive(f"awg_{user.lower()}:1", pattern_drive(user, aligned, plain))

    p = -np.expm1(-world.light().pulses - 1e-7)
    only = 2e6 * np.stack([p[0] * (1 - p[1]), p[1] * (1 - p[0])])
    same, wrong = (turns[0] - turns[1]) % 2 == 0, ((turns[0] - turns[1]) % 4 == 2).astype(int)
    errors_in = np.where(wrong == 1, only[0], only[1])
    x, y = same & (turns[0] % 2 == 0), same & (turns[0] % 2 == 1)
    found = [only.sum(), only[:, x].sum(), errors_in[x].sum(), only[:, y].sum(), errors_in[y].sum()]

    for value, expected, tolerance in zip(found, row, (0.0015, 0.0015, 0.015, 0.015, 0.015), strict=True):
        assert value == pytest.approx(expected, rel=tolerance)
