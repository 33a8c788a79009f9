"""A layer evaluated between machines: the same numbers as in one process, over sealed channels, with every message checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import FrameError, ParameterError
from heliograph.protocols.qot.accuracy import Knobs
from heliograph.protocols.qot.frames import Kind, Message
from heliograph.protocols.qot.laws import Codes, halves, iid
from heliograph.protocols.qot.layer import SecureLayer
from heliograph.protocols.qot.opening import Shuffle, count_ones, hidden_to
from heliograph.protocols.qot.parties import Aggregator, Agreement, Alice, Bob
from heliograph.protocols.qot.states import DrawnStates, MeasuredStates

W = np.array([[0.8, -0.7, 0.6], [-0.8, 0.7, -0.6]])
X = np.array([[1.0, 0.2, 0.5], [0.1, 2.0, 0.0], [0.0, 0.0, 0.0]])


class Run:
    """Both parties and an aggregator, each with its own halves of common states."""

    def __init__(self, *, error: float = 0.0, shots: int = 4000, seed: int = 1, counts_last: bool = False, **agreed: Any) -> None:
        self.counts_last = counts_last
        self.layer = SecureLayer.of(W, [0.1, -0.1], Knobs(2, 3 if error else 1, shots))
        self.error = error
        draws, self.sums = self.layer.draws(X)
        self.agreed = Agreement.of(self.layer, len(X), **agreed)
        codes = DrawnStates(iid(error), SimRandom(seed)).next(self.layer.transfers * len(X))
        self.states: tuple[Codes, Codes] = halves(codes)
        key = SimRandom(seed, 1).take(32)
        self.streams = MeasuredStates(self.states[0]), MeasuredStates(self.states[1])
        self.alice = Alice(draws, self.agreed, self.streams[0], SimRandom(seed, 2), key)
        self.bob = Bob(self.layer, self.agreed, self.streams[1], SimRandom(seed, 3), key)
        self.aggregator = Aggregator(self.agreed)
        self.heard: list[tuple[str, bytes]] = []

    def go(self, fault: Callable[[str, bytes], bytes] = lambda _to, data: data) -> np.ndarray:
        queue = [("bob", to, data) for to, data in self.bob.start()]
        while queue:
            sender, to, data = queue.pop(0)
            receiver = to if to == "aggregator" else "alice" if sender != "alice" else "bob"
            data = fault(receiver, data)
            self.heard.append((receiver, data))
            if receiver == "aggregator":
                counts = self.aggregator.feed("alice" if sender == "alice" else "bob", data)
                queue = [("aggregator", "peer", counts), *queue] if counts is not None else queue
            else:
                party = self.alice if receiver == "alice" else self.bob
                queue += [(receiver, where, answer) for where, answer in party.feed(data)]
            if self.counts_last:
                queue.sort(key=lambda item: item[0] == "aggregator" or item[1] == "aggregator")
        return self.layer.outputs_of(self.alice.counts, self.sums, self.error)


def exact() -> np.ndarray:
    return X @ W.T + [0.1, -0.1]


@pytest.mark.parametrize("agreed", [{}, {"opening": "counted", "dummies": 5000}, {"opening": "counted", "counts_last": True, "most_gates": 1}])
@pytest.mark.parametrize("error", [0.0, 0.0868])
def test_machines_give_the_outputs_of_the_layer(agreed, error):
    run = Run(error=error, **agreed)

    found = run.go()

    assert run.alice.finished
    assert run.bob.finished
    tolerance = 5 * run.sums[:, None] * run.layer.deviation(error) + 1e-12
    assert (np.abs(found - exact()) < tolerance).all()


def test_both_ways_of_opening_give_the_same_count():
    one, other = Run(seed=4), Run(seed=4, opening="counted", dummies=300)

    np.testing.assert_allclose(one.go(), other.go())


def test_a_shot_by_shot_opening_shows_bobs_vector_and_a_counted_one_shows_alice_a_number():
    open_run, counted = Run(seed=5, shots=50_000), Run(seed=5, shots=50_000, opening="counted", dummies=10)
    open_run.go()
    counted.go()

    to_alice = [Message.decode(data, expected=Kind(data[4]), first=int.from_bytes(data[8:16], "little")) for to, data in counted.heard if to == "alice"]
    assert {message.kind for message in to_alice} == {Kind.CHOICES, Kind.COUNT}
    assert all(len(message.payload) == 8 * counted.agreed.outputs * counted.agreed.batch for message in to_alice if message.kind is Kind.COUNT)
    assert any(data[4] == Kind.OUTPUTS for to, data in open_run.heard if to == "alice")


def test_messages_take_three_bits_a_gate():
    run = Run()
    run.go()

    sizes = {kind: sum(len(data) - 24 for _, data in run.heard if data[4] == kind) for kind in (Kind.CHOICES, Kind.MESSAGES, Kind.OUTPUTS)}
    gates = run.layer.transfers * len(X)
    assert sizes[Kind.CHOICES] == gates // 8
    assert sizes[Kind.MESSAGES] == 2 * gates // 8
    assert sizes[Kind.OUTPUTS] == gates // 2 // 8


def test_choices_tell_nothing_of_the_weights():
    """Every bit that Bob sends is under a fresh random bit of a state: heavy and light weights look alike."""
    shares = []
    for weights in ([[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]):
        layer = SecureLayer.of(weights, None, Knobs(3, 1, 20_000))
        codes = DrawnStates(iid(0.0), SimRandom(6)).next(layer.transfers)
        bob = Bob(layer, Agreement.of(layer, 1), MeasuredStates(codes & np.uint8(3)), SimRandom(7))
        payload = bob.start()[0][1][24:]
        shares.append(np.unpackbits(np.frombuffer(payload, np.uint8), bitorder="little").reshape(-1, 3).mean(axis=0))
    np.testing.assert_allclose(shares, 0.5, atol=4 * 0.5 / np.sqrt(40_000))


@pytest.mark.parametrize("kind", [Kind.CHOICES, Kind.MESSAGES, Kind.OUTPUTS])
@pytest.mark.parametrize(
    "harm", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: data[:8] + b"\7" + data[9:], lambda data: data[:4] + b"\x0f" + data[5:]]
)
def test_a_message_that_does_not_fit_ends_the_run(kind, harm):
    run = Run(shots=100)

    with pytest.raises(FrameError):
        run.go(lambda _to, data: harm(data) if data[4] == kind else data)
    assert not run.alice.finished


@pytest.mark.parametrize("agreed", [{}, {"opening": "counted", "dummies": 10}])
@pytest.mark.parametrize("kind", [Kind.CHOICES, Kind.MESSAGES, Kind.OUTPUTS, Kind.COUNT, Kind.MASKED_SHARE])
def test_a_machine_that_refused_a_message_refuses_the_right_one_too(kind, agreed):
    run = Run(shots=100, most_gates=1, **agreed)
    harmed: list[tuple[str, bytes]] = []

    def harm(to: str, data: bytes) -> bytes:
        if data[4] != kind:
            return data
        harmed.append((to, data))
        return data[:-1]

    if kind in ({Kind.COUNT, Kind.MASKED_SHARE} if not agreed else {Kind.OUTPUTS}):
        run.go(harm)
        assert not harmed
        return
    with pytest.raises(FrameError) as caught:
        run.go(harm)
    (to, right) = harmed[0]
    with pytest.raises(FrameError) as again:
        _ = run.aggregator.feed("bob", right) if to == "aggregator" else (run.alice if to == "alice" else run.bob).feed(right)
    assert again.value is caught.value


@pytest.mark.parametrize("kind", [Kind.CHOICES, Kind.OUTPUTS])
def test_states_that_bob_may_have_used_are_burned_by_alice(kind):
    run = Run(shots=100, most_gates=1)
    with pytest.raises(FrameError):
        run.go(lambda _to, data: data[:-1] if data[4] == kind else data)

    used = [states.cursor.used for states in run.streams]
    assert used[0] == used[1] == run.agreed.gates * (1 if kind is Kind.CHOICES else 2)


@pytest.mark.parametrize("size", [0, 16, 31])
def test_masks_need_a_whole_seed(size):
    run = Run(shots=100, opening="counted")
    with pytest.raises(ParameterError, match="cannot mask"):
        Bob(run.layer, run.agreed, run.streams[1], SimRandom(1), bytes(size))


def test_two_runs_under_one_seed_do_not_share_masks():
    one, two = (Shuffle.of(bytes(32), 0, 1000, 1000, run=run) for run in (1, 2))

    assert 800 < (one.masks ^ two.masks).sum() < 1200
    assert not np.array_equal(one.order, two.order)
    shares = []
    for number in (1, 2):
        run = Run(shots=100, opening="counted", run=number)
        run.go()
        shares.append(next(data for to, data in run.heard if to == "aggregator"))
    assert shares[0] != shares[1]
    with pytest.raises(ParameterError, match="no number of a run"):
        Run(run=-1)


def test_shares_come_once_from_each():
    run = Run(shots=100, opening="counted", dummies=10)
    shares = []
    run.go(lambda to, data: (shares.append(data) if to == "aggregator" else None) or data)

    with pytest.raises(FrameError, match="not due"):
        run.aggregator.feed("alice", shares[0])
    with pytest.raises(FrameError, match="after the end"):
        run.bob.feed(shares[0])


def test_a_count_that_cannot_be_is_refused():
    run = Run(shots=100, opening="counted", dummies=10)
    with pytest.raises(FrameError, match="cannot be"):
        run.go(lambda _to, data: data[:24] + b"\xff" * 8 + data[32:] if data[4] == Kind.COUNT else data)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.integers(0, 40), st.integers(0, 3))
def test_a_count_survives_masks_order_and_dummies(bits, dummies, number):
    z = np.array(bits, np.uint8)
    pads = np.random.default_rng(1).integers(0, 2, z.size, np.uint8)
    shuffle = Shuffle.of(bytes(range(32)), number, z.size, dummies)

    alice, bob = shuffle.share(pads, with_dummies=True), shuffle.share(z ^ pads, with_dummies=False)

    assert count_ones(alice, bob) - shuffle.extra == z.sum()
    assert 0 <= shuffle.extra <= dummies


def test_the_number_of_dummies_is_uniform_and_hides_the_count_up_to_its_distance():
    extras = np.array([Shuffle.of(bytes(32), number, 1, 9).extra for number in range(5000)])

    assert np.bincount(extras, minlength=10).min() > 500 - 5 * np.sqrt(500)
    assert hidden_to(20_000, 1_999_999) == pytest.approx(0.01)
    with pytest.raises(ParameterError):
        Shuffle.of(bytes(31), 0, 1, 1)


def test_an_agreement_that_cannot_be_is_refused():
    layer = SecureLayer.of(W, None, Knobs(3))
    with pytest.raises(ParameterError):
        Agreement.of(layer, 0)
    with pytest.raises(ParameterError, match="do not fit"):
        Alice(np.zeros((1, 1, 3)), Agreement.of(layer, 2), MeasuredStates(np.zeros(0, np.uint8)), SimRandom(1))
