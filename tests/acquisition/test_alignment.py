from __future__ import annotations

import numpy as np
import pytest

from heliograph.acquisition.alignment import align, arrival_histogram, find_offset, find_phase, joint_check
from heliograph.acquisition.events import Events
from heliograph.acquisition.patterns import Pattern, preamble
from heliograph.acquisition.timetags import EventSelector, SlotTiming
from heliograph.core.errors import AlignmentError, SyncError
from heliograph.instruments.roles import TagBatch

N = 10_000
MILLISECONDS_5 = 500_000
A, B = preamble(N, "A"), preamble(N, "B")


def sent(pattern: Pattern, offset: int) -> np.ndarray:
    return np.roll(pattern.phases_rad, offset)


def swapped(batch: TagBatch) -> TagBatch:
    ch = np.array([0, 2, 1, 3], np.uint8)[batch.ch]
    return TagBatch(batch.seq, batch.t_ps, ch, batch.t_begin_ps, batch.t_end_ps)


def test_the_right_offset_is_found_in_100_of_100_recordings_of_5_ms(shine, timing):
    rng = np.random.default_rng(2024)
    found, wanted, peaks = [], [], []
    for seed in range(100):
        offset, delays = int(rng.integers(N)), rng.uniform(-2000, 2000, 2)
        batch = shine(seed, sent(A, offset), MILLISECONDS_5, delays_ps=tuple(delays), ppm=float(rng.uniform(-10, 10))).batch()
        phases = find_phase([batch], timing)
        result = align([batch], timing, A, phases)
        wanted.append(offset)
        found.append(result.slots)
        peaks.append(result.peak_sd)

    assert found == wanted
    assert min(peaks) > 15


@pytest.mark.parametrize("delays", [(0.0, 0.0), (1990.0, -1990.0), (-4900.0, 4200.0)])
def test_the_pulse_centre_is_found_for_each_detector(shine, timing, delays):
    batch = shine(3, np.linspace(0, 6, N), MILLISECONDS_5, delays_ps=delays).batch()

    phases = find_phase([batch], timing)

    assert phases.d1_ps == pytest.approx((5000 + delays[0]) % 10_000, abs=30)
    assert (phases.d2_ps - phases.d1_ps - (delays[1] - delays[0]) + 5000) % 10_000 - 5000 == pytest.approx(0, abs=40)
    assert abs(phases.d2_ps - phases.d1_ps) <= 5000
    assert min(phases.resultant) > 0.95


def test_dark_counts_alone_have_no_phase(shine, timing):
    batch = shine(3, np.zeros(N), MILLISECONDS_5, mu_t=0.0).batch()
    rng = np.random.default_rng(1)
    t = np.concatenate((batch.t_ps, rng.integers(0, 5 * 10**9, 400)))
    order = np.argsort(t)
    noisy = TagBatch(0, t[order], np.concatenate((batch.ch, rng.integers(1, 3, 400).astype(np.uint8)))[order], 0, 10**10)

    with pytest.raises(AlignmentError, match="no preferred place"):
        find_phase([noisy], timing)


def test_a_silent_detector_is_named(shine, timing):
    batch = shine(3, np.zeros(N), MILLISECONDS_5).batch()
    keep = batch.ch != 2

    with pytest.raises(AlignmentError, match="D2: the detector gave no tags"):
        find_phase([TagBatch(0, batch.t_ps[keep], batch.ch[keep], 0, 10**10)], timing)


def test_without_sync_there_is_no_phase(shine, timing):
    batch = shine(3, np.zeros(N), MILLISECONDS_5).batch()
    keep = batch.ch != 3

    with pytest.raises(SyncError):
        find_phase([TagBatch(0, batch.t_ps[keep], batch.ch[keep], 0, 10**10)], timing)


def test_a_pattern_loaded_from_its_offset_starts_in_slot_0(shine, timing):
    start = 8765
    loaded = np.roll(A.phases_from(start), start)
    batch = shine(5, loaded, MILLISECONDS_5).batch()

    assert align([batch], timing, A, find_phase([batch], timing)).slots == 0


def test_swapped_detectors_are_named(shine, timing):
    batch = swapped(shine(4, sent(A, 77), MILLISECONDS_5).batch())

    with pytest.raises(AlignmentError, match="D1 and D2 are swapped"):
        align([batch], timing, A, find_phase([batch], timing))


@pytest.mark.parametrize("pattern", [B, preamble(N, "C")])
def test_another_pattern_is_not_found(shine, timing, pattern):
    batch = shine(4, sent(A, 77), MILLISECONDS_5).batch()

    with pytest.raises(AlignmentError, match="no certain"):
        align([batch], timing, pattern, find_phase([batch], timing))


def test_no_light_is_not_aligned():
    with pytest.raises(AlignmentError, match="no clicks"):
        find_offset(np.zeros(N, np.int64), A)


def joint(shine, timing: SlotTiming, bob_phases: np.ndarray, *, swap: bool = False, slots: int = 10 * MILLISECONDS_5) -> Events:
    batch = shine(9, sent(A, 123) - np.roll(bob_phases, 4567), slots).batch()
    selector = EventSelector(timing, (5900.0, 3700.0) if not swap else (3700.0, 5900.0))
    return Events.joined((selector.feed(swapped(batch) if swap else batch), selector.flush()))


def test_joint_check_passes_on_a_sound_bench(shine, timing):
    errors = joint_check(joint(shine, timing, B.phases_rad), (A, B), (123, 4567))

    assert errors.e_x == pytest.approx(0.01, abs=0.01)
    assert errors.e_y == pytest.approx(0.01, abs=0.015)
    assert errors.n_x > 5 * errors.n_y > 500


def test_the_wrong_sign_of_a_users_half_pi_levels_is_named(shine, timing):
    wrong = np.where(B.basis == 1, -B.phases_rad, B.phases_rad)

    with pytest.raises(AlignmentError, match="pi/2 levels have the wrong sign"):
        joint_check(joint(shine, timing, wrong), (A, B), (123, 4567))


def test_swapped_detectors_are_named_by_the_joint_check(shine, timing):
    with pytest.raises(AlignmentError, match="D1 and D2 are swapped"):
        joint_check(joint(shine, timing, B.phases_rad, swap=True), (A, B), (123, 4567))


def test_an_offset_slip_by_one_slot_is_named(shine, timing):
    with pytest.raises(AlignmentError, match="offset slipped"):
        joint_check(joint(shine, timing, B.phases_rad), (A, B), (123, 4568))


def test_the_joint_check_needs_events(shine, timing):
    with pytest.raises(AlignmentError, match="too few"):
        joint_check(Events.none(), (A, B), (0, 0))


def test_arrivals_fold_to_the_pulse(shine, timing):
    batch = shine(3, np.linspace(0, 6, N), MILLISECONDS_5, delays_ps=(0.0, 1000.0)).batch()

    counts = arrival_histogram([batch], timing)

    assert counts.shape == (2, 100)
    assert counts.sum() == np.count_nonzero(batch.ch != 3)
    assert np.argmax(counts, axis=1) == pytest.approx([50, 60], abs=2)
