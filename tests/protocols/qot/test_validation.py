"""Decoys and tested states: positions, thresholds, and who is caught."""

import numpy as np
import pytest

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import FrameError, ParameterError, UnevenStates, ValidationAbort, WrongPurity
from heliograph.protocols.qot.laws import halves, ideal, iid, preset
from heliograph.protocols.qot.states import DrawnStates
from heliograph.protocols.qot.validation import DecoyRule, PurityRule, commitment, common_seed, judge, margin, sample, sample_in_x


def test_the_golden_positions():
    chosen = sample(bytes(32), 64, 0.25)

    assert np.flatnonzero(chosen).tolist() == [5, 7, 10, 11, 13, 16, 25, 27, 28, 33, 37, 43, 48, 55, 60]
    assert int(sample(bytes(32), 4000, 0.25).sum()) == 967
    with pytest.raises(ParameterError):
        sample(bytes(32), 64, 1.0)


def test_neither_party_chooses_the_seed():
    mine, theirs = SimRandom(1).take(32), SimRandom(2).take(32)

    seed = common_seed(mine, theirs, commitment(theirs))

    assert seed == common_seed(theirs, mine, commitment(mine))
    with pytest.raises(FrameError):
        common_seed(mine, bytes(32), commitment(theirs))


def test_the_published_margins_and_decoys():
    assert margin(1e-6, 1000) == pytest.approx(0.0831, abs=5e-5)
    assert [DecoyRule.of(0.0, bound).decoys for bound in (1e-3, 1e-6, 1e-9)] == [25, 49, 73]
    assert [1 - 0.75**d for d in (8, 16, 32)] == pytest.approx([0.8999, 0.98998, 0.99990], abs=5e-5)
    rule = DecoyRule.of(0.02, 1e-6)
    assert rule.threshold == pytest.approx(0.135)
    assert rule.decoys == 523


def test_states_as_good_as_agreed_pass_and_worse_ones_do_not():
    codes = DrawnStates(iid(0.05), SimRandom(3)).next(20_000)

    found = judge(*halves(codes), error_limit=0.05)

    assert found.error == pytest.approx(0.05, abs=0.01)
    assert found.cells_p > 1e-4
    with pytest.raises(ValidationAbort) as caught:
        judge(*halves(DrawnStates(iid(0.12), SimRandom(4)).next(20_000)), error_limit=0.05)
    assert caught.value.found == pytest.approx(0.12, abs=0.01)


def test_a_dealer_with_random_t_fails():
    codes = DrawnStates(ideal(), SimRandom(5)).next(20_000)
    random_t = codes ^ (np.random.default_rng(6).random(codes.size) < 0.5).astype(np.uint8)
    with pytest.raises(ValidationAbort) as caught:
        judge(*halves(random_t), error_limit=0.1)
    assert caught.value.found == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("kept", [lambda c: (c >> 1 & 1) == 0, lambda c: (c >> 2 & 1) == 0, lambda c: c >> 3 == 1, lambda c: (c >> 3) == (c >> 2 & 1)])
def test_a_dealer_who_hands_out_uneven_states_fails_though_t_is_right(kept):
    codes = DrawnStates(ideal(), SimRandom(5)).next(20_000)

    with pytest.raises(UnevenStates, match="uneven"):
        judge(*halves(codes[kept(codes)]), error_limit=0.1)


def test_a_device_that_is_a_little_uneven_passes_unless_evenness_was_agreed():
    codes = DrawnStates(preset("santiago"), SimRandom(5)).next(1_000_000)

    assert judge(*halves(codes), error_limit=0.1).cells_p < 1e-6
    with pytest.raises(UnevenStates):
        judge(*halves(codes), error_limit=0.1, bias_limit=0.002)


@pytest.mark.parametrize("basis", ["z", "x", "random"])
def test_who_measures_and_sends_on_is_caught_by_a_quarter_of_the_decoys(basis):
    rng, n = np.random.default_rng(7), 200_000
    decoy_basis, value = rng.integers(0, 2, (2, n), np.uint8)
    hers = {"z": np.zeros(n, np.uint8), "x": np.ones(n, np.uint8), "random": rng.integers(0, 2, n, np.uint8)}[basis]
    sent_on = np.where(hers == decoy_basis, value, rng.integers(0, 2, n, np.uint8))
    received = np.where(hers == decoy_basis, sent_on, rng.integers(0, 2, n, np.uint8)).astype(np.uint8)

    assert (received != value).mean() == pytest.approx(0.25, abs=0.01)
    rule = DecoyRule.of(0.02, 1e-6)
    with pytest.raises(ValidationAbort):
        rule.check(value[: rule.decoys], received[: rule.decoys])


def test_channel_noise_alone_raises_no_alarm():
    rng, rule = np.random.default_rng(8), DecoyRule.of(0.02, 1e-6)
    for _ in range(2000):
        rule.check(np.zeros(rule.decoys, np.uint8), (rng.random(rule.decoys) < 0.02).astype(np.uint8))


def x_halves(passing: int, of: int) -> tuple[np.ndarray, np.ndarray]:
    """Return halves of which so many pass the X test."""
    return halves(np.where(np.arange(of) < passing, 5, 4).astype(np.uint8))


def test_bounds_of_the_test_in_x():
    """10,000 tested, delta 1e-6: 0.0263 one-sided, 0.0269 two-sided."""
    coherent, twirled = PurityRule.of(twirled=False, calibrated=0.879), PurityRule.of(twirled=True)

    assert coherent.check(*x_halves(8528, 10_000)) == pytest.approx(0.8528)
    assert coherent.check(*x_halves(10_000, 10_000)) == 1.0
    assert twirled.check(*x_halves(2857, 10_000)) == pytest.approx(0.2857)
    assert twirled.check(*x_halves(3393, 10_000)) == pytest.approx(0.3393)
    for rule, passing in ((coherent, 8526), (twirled, 2855), (twirled, 3395)):
        with pytest.raises(WrongPurity) as caught:
            rule.check(*x_halves(passing, 10_000))
        assert caught.value.found == passing / 10_000


def test_a_test_in_x_that_nothing_could_fail_is_refused():
    with pytest.raises(ParameterError, match="no states"):
        PurityRule.of(twirled=True).check(*x_halves(0, 0))
    for rule in (PurityRule.of(twirled=True), PurityRule.of(twirled=False, calibrated=1.0)):
        with pytest.raises(ParameterError, match="tell nothing"):
            rule.check(*x_halves(10, 10))
    for calibrated in (None, 0.3125, 1.1):
        with pytest.raises(ParameterError, match="no share"):
            PurityRule.of(twirled=False, calibrated=calibrated)


def test_the_second_coin_is_another_one():
    first, second = sample(bytes(32), 100_000, 0.25), sample_in_x(bytes(32), 100_000, 0.25)

    assert second.mean() == pytest.approx(0.25, abs=0.01)
    assert (first & second).mean() == pytest.approx(0.0625, abs=0.005)
