"""From Trent to two parties who trust their states: decoys, commitments, tested halves, and what happens to those who cheat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import DesyncError, FrameError, ParameterError, StatesExhausted, ValidationAbort, WrongPurity
from heliograph.protocols.qot.dealing import Channel, Shipment, Trent, Validator, receive
from heliograph.protocols.qot.frames import Flags
from heliograph.protocols.qot.gates import beaver_choice, beaver_messages, beaver_output
from heliograph.protocols.qot.laws import error_rate, ideal, iid, law_of, preset
from heliograph.protocols.qot.preparation import Basis, Half, Prepared, density
from heliograph.protocols.qot.validation import DecoyRule

RULE = DecoyRule.of(0.02, 1e-6)


def dealt(law: np.ndarray, n: int = 20_000, *, seed: int = 1, error: float = 0.0) -> tuple[Half, Half]:
    trent = Trent(law, SimRandom(seed), RULE)
    shipments = trent.deal(n, Channel(error), Channel(error))
    alice, bob = (receive(shipment, trent.announce(name), RULE) for name, shipment in zip(("alice", "bob"), shipments, strict=True))
    return alice, bob


def validators(alice: Half, bob: Half, *, limit: float = 0.1, **more: Any) -> tuple[Validator, Validator]:
    one = Validator(alice, alice=True, share=0.25, x_share=0.2, error_limit=limit, source=SimRandom(2), **more)
    return one, Validator(bob, alice=False, share=0.25, x_share=0.2, error_limit=limit, source=SimRandom(3), **more)


def validate(alice: Validator, bob: Validator, fault: Callable[[bytes], bytes] = lambda data: data) -> None:
    messages: list[bytes | None] = [alice.start(), bob.start()]
    while messages[0] is not None and messages[1] is not None:
        messages = [alice.feed(fault(messages[1])), bob.feed(fault(messages[0]))]


def test_what_arrives_are_halves_of_the_law_in_step_with_each_other():
    law = preset("santiago")

    alice, bob = dealt(law, 200_000, error=0.02)

    found = law_of(4 * alice.measure_all() + bob.measure_all())
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
    assert one.found.x_pass == pytest.approx(5 / 16, abs=0.04)
    kept = 20_000 - one.found.states - one.found.x_states
    assert kept == pytest.approx(20_000 * 0.75 * 0.8, abs=500)
    with pytest.raises(StatesExhausted):
        one.states.next(kept - n + 1)


def test_states_are_not_given_out_before_the_test():
    with pytest.raises(DesyncError, match="have not been tested"):
        _ = validators(*dealt(iid(0.0)))[0].states


def test_untested_states_are_had_once_however_often_they_are_asked_for():
    one, two = validators(*dealt(iid(0.0)))
    validate(one, two)
    left = 20_000 - (one.found.states + one.found.x_states if one.found else 0)

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
    alice, _ = dealt(iid(0.0))

    with pytest.raises(DesyncError, match="arrived there"):
        validate(*validators(alice, dealt(iid(0.0), 19_999)[1]))


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


COHERENT = Flags.BEAVER
TWIRLED = Flags.BEAVER | Flags.TWIRLED


def sent(trent: Trent, *, claims: Flags, n: int = 8000) -> tuple[Half, Half]:
    """Return what both parties hold of a dealer who says of his states what was agreed, whatever they are."""
    halves = []
    for name, shipment in zip(("alice", "bob"), trent.deal(n), strict=True):
        said = trent.announce(name)
        halves.append(receive(shipment, said[:5] + bytes([claims]) + said[6:], RULE, flags=claims))
    return halves[0], halves[1]


def refusals(alice: Validator, bob: Validator) -> list[Exception | None]:
    """Return what either side ends with; each hears the other to the last."""
    messages: list[bytes | None] = [alice.start(), bob.start()]
    ends: list[Exception | None] = [None, None]
    while all(message is not None for message in messages):
        answers: list[bytes | None] = [None, None]
        for side, party in enumerate((alice, bob)):
            try:
                answers[side] = party.feed(messages[1 - side] or b"")
            except ValidationAbort as error:
                ends[side] = error
        messages = answers
    return ends


def with_copy() -> np.ndarray:
    """Return what is left of the state when the dealer keeps a qubit beside each of the four that follows it: eight qubits, four of them his."""
    pure = np.zeros((16, 16))
    pure[np.arange(16), np.arange(16)] = np.sqrt(ideal())
    return pure @ pure.T


def mixed(weight: float) -> np.ndarray:
    """Return the state of a source that lets a part of the states lose their phase."""
    return (1 - weight) * density("paper") + weight * np.diag(ideal())


PURE = density("paper")


@pytest.mark.parametrize(
    ("state", "does", "agreed", "passes"),
    [
        pytest.param(PURE, COHERENT, TWIRLED, 1.0, id="dealer skips the twirl"),
        pytest.param(density("rccx"), COHERENT, COHERENT, 0.375, id="relative phase in coherent mode"),
        pytest.param(with_copy(), COHERENT, COHERENT, 0.3125, id="entangled copy"),
        pytest.param(PURE, TWIRLED, COHERENT, 0.3125, id="twirled where coherent was agreed"),
        pytest.param(mixed(0.3), COHERENT, COHERENT, 0.79375, id="a third dephased"),
        pytest.param(mixed(0.5), COHERENT, TWIRLED, 0.65625, id="half twirled"),
    ],
)
def test_states_of_another_purity_pass_in_z_and_are_dropped_by_both_in_x(state, does, agreed, passes):
    alice, bob = sent(Trent(Prepared.of(state), SimRandom(11), RULE, flags=does), claims=agreed)
    one, two = validators(alice, bob, flags=agreed, calibrated=1.0)

    ends = refusals(one, two)

    for end, party, half in zip(ends, (one, two), (alice, bob), strict=True):
        assert isinstance(end, WrongPurity)
        assert end.found == pytest.approx(passes, abs=0.06)
        assert "X test" in str(end)
        assert party.found is None
        with pytest.raises(DesyncError, match="have not been tested"):
            _ = party.states
        with pytest.raises(DesyncError, match="dropped"):
            half.measure_all()


@pytest.mark.parametrize("agreed", [COHERENT, TWIRLED])
def test_states_of_the_agreed_purity_pass(agreed):
    prepared = Prepared.of_circuit("one_ccx")
    for seed in range(20):
        halves = sent(Trent(prepared, SimRandom(seed), RULE, flags=agreed), claims=agreed, n=3000)
        one, two = validators(*halves, flags=agreed, calibrated=prepared.x_pass)
        validate(one, two)
        assert one.found is not None
        assert one.found == two.found
        assert one.found.x_pass == 1.0 if agreed is COHERENT else one.found.x_pass == pytest.approx(5 / 16, abs=0.1)


def test_a_noisy_device_passes_by_its_own_calibration_and_not_by_the_ideal_one():
    noisy = Prepared.of(mixed(0.2))
    for calibrated, expected in ((noisy.x_pass, []), (1.0, [WrongPurity, WrongPurity])):
        halves = sent(Trent(noisy, SimRandom(12), RULE, flags=COHERENT), claims=COHERENT)
        ends = refusals(*validators(*halves, flags=COHERENT, calibrated=calibrated))
        assert [type(end) for end in ends if end is not None] == expected


def test_tested_states_cannot_be_measured_again_nor_used():
    alice, bob = dealt(iid(0.0))
    one, two = validators(alice, bob)
    validate(one, two)

    with pytest.raises(DesyncError, match="measured before"):
        alice.measure_all()
    assert one.found is not None
    assert one.found.x_states > 0
    with pytest.raises(StatesExhausted):
        one.states.next(20_000 - one.found.states - one.found.x_states + 1)


def test_parties_that_expect_other_states_notice():
    halves = dealt(iid(0.0))
    one, _ = validators(*halves)
    _, two = validators(*halves, flags=COHERENT, calibrated=1.0)

    with pytest.raises(FrameError, match="another kind"):
        validate(one, two)


def test_states_announced_as_another_kind_are_refused():
    trent = Trent(Prepared.of_circuit(), SimRandom(6), RULE, flags=COHERENT)
    shipment, _ = trent.deal(100)

    with pytest.raises(FrameError, match="another kind"):
        receive(shipment, trent.announce("alice"), RULE)


def test_a_law_in_z_is_no_coherent_state():
    with pytest.raises(ParameterError, match="does not tell"):
        Trent(ideal(), SimRandom(1), RULE, flags=COHERENT)
    with pytest.raises(ParameterError, match="calibrate|Calibrate"):
        validators(*dealt(iid(0.0)), flags=COHERENT)


def test_a_message_after_the_end_is_refused_and_changes_nothing():
    one, two = validators(*dealt(iid(0.0)))
    validate(one, two)

    with pytest.raises(FrameError, match="after the end"):
        one.feed(two.start())
    assert one.states.next(10).size == 10
