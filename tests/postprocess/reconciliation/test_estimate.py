"""The error rate is followed through a block, the same way at both ends and for any number of frames in flight."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import ReconciliationError
from heliograph.postprocess.reconciliation import CascadeParameters, Corrector, FrameLayout, Reference, reconcile
from heliograph.postprocess.reconciliation._plain import reconcile as plain_reconcile
from heliograph.postprocess.reconciliation.estimate import LAG, RateEstimate

FRAME = 4096


def _estimate(frames, q_est=0.05):
    return RateEstimate(CascadeParameters(q_est, bytes(32), frame_bits=FRAME), FrameLayout.of(frames * FRAME, FRAME))


def _keys(frames, rate, numpy_seed=1):
    generator = np.random.default_rng(numpy_seed)
    alice = generator.integers(0, 2, frames * FRAME, np.uint8)
    return alice, alice ^ (generator.random(alice.size) < rate).astype(np.uint8)


def _packed(bits):
    return np.packbits(bits, bitorder="little")


def test_the_first_frames_take_the_given_rate():
    estimate = _estimate(1000)
    for frame in range(LAG):
        estimate.finish(frame, 4)

    assert {estimate.rate(frame) for frame in range(LAG)} == {0.05}


def test_a_frame_learns_from_the_frames_that_lie_far_enough_before_it():
    estimate = _estimate(1000)
    found = np.random.default_rng(2).integers(0, 90, 800)
    for frame, errors in enumerate(found.tolist()):
        estimate.finish(frame, errors)

    for frame in (LAG, LAG + 1, 2 * LAG - 1, 2 * LAG, 700):
        assert estimate.rate(frame) == np.mean(found[max(0, frame - 2 * LAG + 1) : frame - LAG + 1]) / FRAME


@given(st.permutations(range(LAG + 3)))
def test_a_frame_waits_for_all_frames_that_it_could_learn_from(order):
    estimate = _estimate(3 * LAG)
    missing = set(range(LAG + 3))
    for frame in order:
        assert [estimate.choice(LAG + i) >= 0 for i in range(3)] == [missing.isdisjoint(range(i + 1)) for i in range(3)]
        estimate.finish(frame, 7)
        missing.discard(frame)
    assert estimate.choice(LAG + 2) >= 0


@pytest.mark.parametrize("in_flight", [1, 64, 300])
def test_a_wrong_first_guess_is_left_behind_by_both_parties_alike(in_flight, exchange, seed):
    alice, bob = _keys(2 * LAG + 11, 0.01)
    params = CascadeParameters(0.11, seed, frame_bits=FRAME, in_flight=in_flight)

    done = exchange(alice, bob, params)
    fused = reconcile(_packed(alice), _packed(bob), alice.size, params)

    assert done.alice.disclosed == done.bob.disclosed == fused.disclosed.sum()
    assert np.array_equal(done.bob.key, fused.key)
    assert np.array_equal(done.bob.rounds, fused.rounds)
    assert fused.disclosed[LAG + 20 :].mean() < 0.75 * fused.disclosed[:LAG].mean()


def test_every_frame_goes_as_in_the_plain_reference_at_the_rate_found_before(seed):
    alice, bob = _keys(LAG + 12, 0.02)

    fused = reconcile(_packed(alice), _packed(bob), alice.size, CascadeParameters(0.1, seed, frame_bits=FRAME))

    found = fused.corrected
    for frame in [0, LAG - 1, *range(LAG, LAG + 12)]:
        rate = found[: frame - LAG + 1].mean() / FRAME if frame >= LAG else 0.1
        bits = slice(frame * FRAME, (frame + 1) * FRAME)
        plain = plain_reconcile(alice[bits], bob[bits], rate, seed)
        assert (plain.leak, plain.rounds, plain.corrected) == (fused.disclosed[frame], fused.rounds[frame], found[frame])


def test_keys_without_an_error_end_too(exchange, seed):
    alice, _ = _keys(LAG + 30, 0.0)

    done = exchange(alice, alice, CascadeParameters(0.002, seed, frame_bits=FRAME, in_flight=LAG + 30))

    assert np.array_equal(done.bob.key, _packed(alice))
    assert done.alice.finished


def test_a_frame_begun_before_its_rate_is_known_is_refused(seed):
    alice, bob = _keys(LAG + 1, 0.01)
    params = CascadeParameters(0.01, seed, frame_bits=FRAME, in_flight=LAG + 1)
    request = Corrector(_packed(bob), bob.size, params).start()
    reference = Reference(_packed(alice), alice.size, params)
    early = request[:12] + struct.pack("<H", LAG + 1) + request[14:] + struct.pack("<IBBI", LAG, 0, 0, 0)

    with pytest.raises(ReconciliationError, match=f"item {LAG}: the item does not follow"):
        reference.feed(early)

    assert reference.disclosed == 0
    reference.feed(request)
