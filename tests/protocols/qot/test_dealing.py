"""From Trent to two parties who trust their states: decoys, commitments, tested halves, and what happens to those who cheat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import DesyncError, FrameError, StatesExhausted, ValidationAbort
from heliograph.protocols.qot.dealing import Basis, Channel, Shipment, Trent, Validator, receive
from heliograph.protocols.qot.gates import beaver_choice, beaver_messages, beaver_output
from heliograph.protocols.qot.laws import error_rate, iid, law_of, preset
from heliograph.protocols.qot.validation import DecoyRule

RULE = DecoyRule.of(0.02, 1e-6)


def dealt(law: np.ndarray, n: int = 20_000, *, seed: int = 1, error: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    trent = Trent(law, SimRandom(seed), RULE)
    shipments = trent.deal(n, Channel(error), Channel(error))
    alice, bob = (receive(shipment, trent.announce(name), RULE) for name, shipment in zip(("alice", "bob"), shipments, strict=True))
    return alice, bob


def validators(alice: np.ndarray, bob: np.ndarray, *, limit: float = 0.1) -> tuple[Validator, Validator]:
    one = Validator(alice, alice=True, share=0.25, error_limit=limit, source=SimRandom(2))
    return one, Validator(bob, alice=False, share=0.25, error_limit=limit, source=SimRandom(3))


def validate(alice: Validator, bob: Validator, fault: Callable[[bytes], bytes] = lambda data: data) -> None:
    messages: list[bytes | None] = [alice.start(), bob.start()]
    while messages[0] is not None and messages[1] is not None:
        messages = [alice.feed(fault(messages[1])), bob.feed(fault(messages[0]))]


def test_what_arrives_are_halves_of_the_law_in_step_with_each_other():
    law = preset("santiago")

    alice, bob = dealt(law, 200_000, error=0.02)

    found = law_of(4 * alice + bob)
    np.testing.assert_allclose(found, law, atol=5 * np.sqrt(0.12 / 200_000))


def test_tested_states_are_gone_and_the_others_transfer_bits():
    alice, bob = dealt(iid(0.05))
    one, two = validators(alice, bob)

    validate(one, two)

    assert one.found is not None
    assert one.found == two.found
    assert one.found.error == pytest.approx(0.05, abs=0.015)
    n = 10_000
    hers, his = one.states.next(n), two.states.next(n)
    m0, m1, choice = np.random.default_rng(4).integers(0, 2, (3, n), np.uint8)
    out = beaver_output(*beaver_messages(m0, m1, hers, beaver_choice(choice, his)), choice, his)
    assert (out != np.where(choice, m1, m0)).mean() == pytest.approx(0.05, abs=0.01)
    assert one.found.states + 15_000 == pytest.approx(alice.size, abs=500)


def test_states_are_not_given_out_before_the_test():
    with pytest.raises(DesyncError, match="have not been tested"):
        _ = validators(*dealt(iid(0.0)))[0].states


def test_untested_states_are_had_once_however_often_they_are_asked_for():
    one, two = validators(*dealt(iid(0.0)))
    validate(one, two)
    left = 20_000 - int(one.found.states if one.found else 0)

    first, second = one.states.next(left // 2), one.states.next(left - left // 2)

    assert first.size + second.size == left
    with pytest.raises(StatesExhausted):
        one.states.next(1)


@pytest.mark.parametrize("basis", [Basis.Z, Basis.X, None])
def test_somebody_who_measures_on_the_way_is_caught_by_the_decoys(basis):
    trent = Trent(iid(0.0), SimRandom(5), RULE)
    shipment, _ = trent.deal(1000)

    with pytest.raises(ValidationAbort) as caught:
        receive(shipment.resend(basis), trent.announce("alice"), RULE)
    assert caught.value.found == pytest.approx(0.25, abs=0.08)


def test_noise_that_was_agreed_on_raises_no_alarm():
    for seed in range(100):
        dealt(iid(0.0), 10, seed=seed, error=0.02)


def test_states_worse_than_agreed_are_dropped_by_both():
    one, two = validators(*dealt(preset("paper_device")), limit=0.1)

    with pytest.raises(ValidationAbort) as caught:
        validate(one, two)
    assert caught.value.found == pytest.approx(error_rate(preset("paper_device")), abs=0.02)
    assert two.found is None


@pytest.mark.parametrize("bit", [1, 2, 3])
def test_a_dealer_who_fixes_a_bit_is_noticed_by_both(bit):
    """Zero are s, b0 and b1 in turn; t is right throughout."""
    law = np.where(np.arange(16) >> bit & 1, 0.0, 2.0 * iid(0.0))
    for first in (0, 1):
        both = validators(*dealt(law))
        with pytest.raises(ValidationAbort, match="uneven"):
            validate(both[first], both[1 - first])
        assert both[first].found is None


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_a_message_altered_on_the_way_ends_the_test(turn):
    seen = []

    def altered(data: bytes) -> bytes:
        seen.append(data)
        return data[:30] + bytes([data[30] ^ 1]) + data[31:] if len(seen) == 2 * turn + 1 else data

    one, two = validators(*dealt(iid(0.0)))
    with pytest.raises((FrameError, ValidationAbort)):
        validate(one, two, altered)
    assert one.found is None


def test_a_party_that_echoes_our_commitment_does_not_choose_the_seed():
    one, _ = validators(*dealt(iid(0.0)))
    mine = one.start()

    with pytest.raises(FrameError, match="our own commitment"):
        one.feed(mine)


def test_a_test_that_failed_is_not_taken_again_with_better_halves():
    one, two = validators(*dealt(iid(0.0)))
    sent: list[bytes] = []
    with pytest.raises((FrameError, ValidationAbort)) as caught:
        validate(one, two, lambda data: sent.append(data) or (data[:-1] if len(sent) == 5 else data))

    with pytest.raises(type(caught.value)) as again:
        one.feed(sent[4])
    assert again.value is caught.value
    with pytest.raises(DesyncError):
        _ = one.states


def test_parties_that_received_different_numbers_of_states_notice():
    alice, bob = dealt(iid(0.0))

    with pytest.raises(DesyncError, match="arrived there"):
        validate(*validators(alice[:-1], bob))


@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: data[:24], lambda data: data[:24] + data[28:32] + data[28:]])
def test_a_malformed_announcement_is_refused(harm):
    trent = Trent(iid(0.0), SimRandom(6), RULE)
    shipment, _ = trent.deal(1000)
    announcement = trent.announce("alice")

    with pytest.raises(FrameError):
        receive(shipment, harm(announcement), RULE)


def test_decoys_announced_at_other_places_are_noticed():
    trent, other = (Trent(iid(0.0), SimRandom(seed), RULE) for seed in (7, 8))
    shipment, _ = trent.deal(1000)
    other.deal(1000)

    with pytest.raises((FrameError, ValidationAbort)):
        receive(shipment, other.announce("alice"), RULE)
    assert isinstance(shipment, Shipment)
