"""A layer evaluated between machines: the same numbers as in one process, over sealed channels, with every message checked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.entropy import Origin, RandomSource, SimRandom
from heliograph.core.errors import FrameError, ParameterError, RunRepeated, StatesExhausted
from heliograph.protocols.qot.accuracy import Knobs
from heliograph.protocols.qot.frames import Flags, Kind, Message
from heliograph.protocols.qot.laws import Codes, halves, iid
from heliograph.protocols.qot.layer import SecureLayer, evaluate_joint
from heliograph.protocols.qot.opening import Masks, Shuffle, count_ones, hidden_to
from heliograph.protocols.qot.parties import Aggregator, Agreement, Alice, Bob
from heliograph.protocols.qot.states import DrawnStates, MeasuredStates

W = np.array([[0.8, -0.7, 0.6], [-0.8, 0.7, -0.6]])
X = np.array([[1.0, 0.2, 0.5], [0.1, 2.0, 0.0], [0.0, 0.0, 0.0]])


Side = Literal["alice", "bob"]
INDEX = {"n": 16, "shots": 1000}
NAMING = (Kind.OFFERED, Kind.PICKED, Kind.OUTPUTS)


class Tapes:
    """A source that draws what has one size, the draws of inputs and weights, apart from everything else."""

    origin: Origin = "simulated"

    def __init__(self, other: RandomSource, size: int) -> None:
        self._draws, self._other, self._size = SimRandom(11), other, size

    def take(self, n: int) -> bytes:
        return (self._draws if n == self._size else self._other).take(n)


class Run:
    """Both parties and an aggregator, each with its own halves of common states."""

    def __init__(
        self,
        *,
        error: float = 0.0,
        shots: int = 4000,
        seed: int = 1,
        counts_last: bool = False,
        taped: bool = False,
        repetitions: int | None = None,
        **agreed: Any,
    ) -> None:
        self.counts_last = counts_last
        self.layer = SecureLayer.of(W, [0.1, -0.1], Knobs(2, repetitions or (3 if error else 1), shots))
        self.error = error
        draws, self.sums = self.layer.draws(X)
        self.agreed = Agreement.of(self.layer, len(X), **agreed)
        codes = DrawnStates(iid(error), SimRandom(seed)).next(self.layer.transfers * len(X) * (3 * self.agreed.n or 2))
        self.states: tuple[Codes, Codes] = halves(codes)
        key = SimRandom(seed, 1).take(32)
        self.streams = MeasuredStates(self.states[0]), MeasuredStates(self.states[1])
        self.masks = Masks(key), Masks(key)
        sources: list[RandomSource] = [SimRandom(seed, stream) for stream in (2, 3)]
        sources = [Tapes(source, 8 * shots) for source in sources] if taped else sources
        self.alice = Alice(draws, self.agreed, self.streams[0], sources[0], self.masks[0])
        self.bob = Bob(self.layer, self.agreed, self.streams[1], sources[1], self.masks[1])
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


@pytest.mark.parametrize("agreed", [{}, {"opening": "counted", "dummies": 5000}, {"opening": "counted", "counts_last": True, "most_gates": 1}, INDEX])
@pytest.mark.parametrize("error", [0.0, 0.0868])
def test_machines_give_the_outputs_of_the_layer(agreed, error):
    run = Run(error=error, **agreed)

    found = run.go()

    assert run.alice.finished
    assert run.bob.finished
    tolerance = 5 * run.sums[:, None] * run.layer.deviation(error) + 1e-12
    assert (np.abs(found - exact()) < tolerance).all()


@pytest.mark.parametrize("agreed", [{}, {"most_gates": 1}, {"opening": "counted", "dummies": 50}])
def test_machines_give_what_the_batched_tier_gives_for_the_same_draws_and_noisy_states(agreed):
    run = Run(shots=200, taped=True, repetitions=1, error=0.1, **agreed)
    codes = (run.states[0] << 2 | run.states[1]).astype(np.uint8)

    wanted = evaluate_joint(run.layer, X, 0.1, MeasuredStates(codes), Tapes(SimRandom(8), 1600), Tapes(SimRandom(9), 1600))

    np.testing.assert_allclose(run.go(), wanted)


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


def put(at: int, value: int) -> Callable[[bytes], bytes]:
    """Return what overwrites one byte of a message."""
    return lambda data: data[:at] + bytes([value]) + data[at + 1 :]


@pytest.mark.parametrize(("kind", "agreed"), [*((kind, {}) for kind in (Kind.CHOICES, Kind.MESSAGES, Kind.OUTPUTS)), *((kind, INDEX) for kind in NAMING)])
@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda data: data[:-1], id="shorter"),
        pytest.param(lambda data: data + b"\0", id="longer"),
        pytest.param(put(0, 0), id="magic"),
        pytest.param(put(4, 15), id="type"),
        pytest.param(put(5, 0), id="flags"),
        pytest.param(put(6, 7), id="states of an attempt"),
        pytest.param(put(8, 7), id="first gate"),
        pytest.param(put(16, 7), id="number of gates"),
    ],
)
def test_a_message_that_does_not_fit_ends_the_run(kind, agreed, harm):
    run = Run(**{"shots": 100, **agreed, "most_gates": 1})

    with pytest.raises(FrameError):
        run.go(lambda _to, data: harm(data) if data[4] == kind else data)

    assert not run.alice.finished
    used = [states.cursor.used for states in run.streams]
    assert used[0] == used[1] > 0


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


@pytest.mark.parametrize("agreed", [{}, INDEX])
def test_where_nothing_follows_nothing_more_is_burned(agreed):
    run = Run(**{"shots": 100, **agreed})
    with pytest.raises(FrameError):
        run.go(lambda _to, data: data[:-1] if data[4] == Kind.OUTPUTS else data)

    used = [states.cursor.used for states in run.streams]
    assert len(run.agreed.groups) == 1
    assert used[0] == used[1]
    run.streams[0].require(run.agreed.gates * run.agreed.states_a_try)


@pytest.mark.parametrize("size", [0, 16, 31])
def test_masks_need_a_whole_seed(size):
    with pytest.raises(ParameterError, match="cannot mask"):
        Masks(bytes(size))


def test_shares_without_a_seed_are_refused():
    run = Run(shots=100, opening="counted")
    streams = [MeasuredStates(half) for half in run.states]

    with pytest.raises(ParameterError, match="cannot be masked"):
        Bob(run.layer, run.agreed, streams[1], SimRandom(1))
    with pytest.raises(ParameterError, match="cannot be masked"):
        Alice(run.layer.draws(X)[0], run.agreed, streams[0], SimRandom(1))


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


@pytest.mark.parametrize("agreed", [{}, {"symmetric": True}, {"opening": "counted", "dummies": 300, "counts_last": True, "most_gates": 1}])
def test_the_mode_of_the_paper_gives_the_counts_of_the_default_one_where_there_is_no_noise(agreed):
    """Draws are the same, so each shot is: what differs is how its bits were transferred. So few gates are tried again that no pick has the size of a draw."""
    usual, named = Run(seed=4, shots=200, taped=True, most_gates=1), Run(seed=4, shots=200, taped=True, **{"most_gates": 1, "n": 32, **agreed})

    np.testing.assert_allclose(usual.go(), named.go())

    kinds = {Kind(data[4]) for _, data in named.heard}
    assert {Kind.OFFERED, Kind.PICKED} <= kinds
    assert not kinds & {Kind.CHOICES, Kind.MESSAGES}
    assert all(data[5] == Flags.TWIRLED and data[6] == 32 for _, data in named.heard)
    assert named.streams[0].cursor.used == named.streams[1].cursor.used > 32 * named.layer.transfers * len(X)


def test_gates_to_be_tried_again_are_named_by_their_first_and_their_number():
    run = Run(shots=200, n=4, most_gates=1)
    run.go()

    questions = [data for _, data in run.heard if data[4] == Kind.OFFERED]
    firsts, gates = zip(*((int.from_bytes(data[8:16], "little"), int.from_bytes(data[16:20], "little")) for data in questions), strict=True)
    assert gates[0] == run.agreed.gates
    assert gates[1] == pytest.approx(run.agreed.gates * (7 / 8) ** 4, rel=0.1)
    assert all(earlier > later for earlier, later in pairwise(gates[:8]))
    assert firsts[0] == 0
    assert all(earlier <= later for earlier, later in pairwise(firsts))
    assert any(0 < first < run.agreed.gates for first in firsts)


def test_a_restart_that_is_harmed_costs_both_the_same_states():
    run, seen = Run(shots=200, n=16, most_gates=1), []

    def harm(_to: str, data: bytes) -> bytes:
        seen.append(data[4])
        return data[:-1] if seen.count(Kind.OFFERED) == 2 and data[4] == Kind.OFFERED else data

    with pytest.raises(FrameError):
        run.go(harm)

    used = [states.cursor.used for states in run.streams]
    assert used[0] == used[1]
    assert run.agreed.gates * 16 < used[0] < run.agreed.gates * 32


def test_a_run_begins_with_states_for_every_first_attempt():
    run = Run(shots=100)
    agreed = Agreement.of(run.layer, len(X), n=16)

    with pytest.raises(StatesExhausted):
        Bob(run.layer, agreed, run.streams[1], SimRandom(1))
    assert run.streams[1].cursor.used == 0


@pytest.mark.parametrize("fields", [{"n": -1}, {"n": 65_536}, {"n": 3, "symmetric": True}, {"symmetric": True}])
def test_attempts_that_cannot_be_are_refused(fields):
    with pytest.raises(ParameterError, match="no attempt"):
        Run(**fields)


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_second_run_of_one_number_under_one_seed_is_refused_by_either(who):
    run = Run(shots=100, opening="counted", dummies=10)
    run.go()
    used = run.streams[0].cursor.used
    halves_left = [MeasuredStates(half) for half in run.states]
    draws = run.layer.draws(X)[0]

    def again(number: int) -> Alice | Bob:
        agreed = Agreement.of(run.layer, len(X), opening="counted", dummies=10, run=number)
        if who == "alice":
            return Alice(draws, agreed, halves_left[0], SimRandom(1), run.masks[0])
        return Bob(run.layer, agreed, halves_left[1], SimRandom(1), run.masks[1])

    with pytest.raises(RunRepeated, match="run 0 has had its masks"):
        again(0)
    again(1)
    with pytest.raises(RunRepeated):
        again(1)
    assert run.streams[0].cursor.used == used
    assert all(states.cursor.used == 0 for states in halves_left)


@pytest.mark.parametrize("sender", ["alice", "bob"])
@pytest.mark.parametrize(
    "harm", [pytest.param(put(16, 1), id="number of gates"), pytest.param(put(5, 1), id="flags"), pytest.param(put(6, 8), id="states of an attempt")]
)
def test_an_aggregator_refuses_shares_of_other_gates_or_states(sender, harm):
    run, shares = Run(shots=100, opening="counted", dummies=10), []
    run.go(lambda to, data: (shares.append(data) if to == "aggregator" else None) or data)
    by: dict[Side, bytes] = {"alice": shares[0], "bob": shares[1]}
    other: Side = "bob" if sender == "alice" else "alice"
    aggregator = Aggregator(run.agreed)
    aggregator.feed(other, by[other])

    with pytest.raises(FrameError, match="other gates or states") as caught:
        aggregator.feed(sender, harm(by[sender]))
    with pytest.raises(FrameError) as again:
        aggregator.feed(sender, by[sender])
    assert again.value is caught.value
    assert Aggregator(run.agreed).feed(other, by[other]) is None
