"""Questions and answers about gates in both modes, message by message."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.entropy import Origin, SimRandom
from heliograph.core.errors import FrameError, StatesExhausted
from heliograph.protocols.qot.exchange import AnsweringByPicks, AnsweringOnce, AskingByNames, AskingOnce
from heliograph.protocols.qot.frames import pack, pack_numbers, unpack
from heliograph.protocols.qot.gates import subset_size, transfer, transfer_by_index
from heliograph.protocols.qot.laws import Codes, halves, iid
from heliograph.protocols.qot.states import DrawnStates, MeasuredStates

ONE, ZERO = np.array([1], np.uint8), np.array([0], np.uint8)
GOLDEN = np.array([8, 2, 15, 5, 0, 13, 6, 11], np.uint8)


class Numbers:
    """A source that gives the same numbers as a generator would."""

    origin: Origin = "simulated"

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def take(self, n: int) -> bytes:
        return self._generator.bytes(n)


def streams(codes: Codes) -> tuple[MeasuredStates, MeasuredStates]:
    alice, bob = halves(codes)
    return MeasuredStates(alice), MeasuredStates(bob)


def asked_to_the_end(asking: AskingByNames, answering: AnsweringByPicks) -> list[int]:
    """Return how many gates each attempt was about."""
    lefts = []
    while asking.left:
        assert (asking.offset, asking.left) == (answering.offset, answering.left)
        lefts.append(asking.left)
        asking.hear(answering.answer(asking.ask()))
    assert answering.left == 0
    return lefts


def test_the_golden_of_the_index_mode_goes_through_both_machines():
    hers, his = streams(GOLDEN)
    asking, answering = AskingByNames(ONE, his, 8, SimRandom(1)), AnsweringByPicks(ONE, ZERO, hers, 8, SimRandom(2))

    named = asking.ask()
    said = answering.answer(named)
    asking.hear(said)

    assert named.hex() == "c6"
    assert said.hex() == "06"
    assert (asking.left, asking.output.tolist()) == (0, [0])


def test_the_golden_of_the_derandomised_mode_goes_through_both_machines():
    hers, his = streams(np.array([8, 2, 15, 5], np.uint8))
    m0, m1, choice = (np.array(bits, np.uint8) for bits in ([1, 0, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]))
    asking, answering = AskingOnce(choice, his), AnsweringOnce(m0, m1, hers)

    d = asking.ask()
    e = answering.answer(d)
    asking.hear(e)

    assert unpack(d, 4).tolist() == [0, 1, 0, 1]
    assert unpack(e, 8).tolist() == [1, 0, 0, 0, 1, 1, 0, 0]
    assert asking.output.tolist() == [1, 0, 1, 1]
    assert (asking.left, answering.left) == (0, 0)


def test_a_gate_without_a_fitting_state_is_tried_again_alone():
    """The first gate wants s=1 and (b1, b0) = (0, 1), which only the second attempt has; the second gate is done at once."""
    hers, his = streams(np.array([8, 2, 15, 0, 6, 2, 11, 0, 6, 15, 8, 2], np.uint8))
    asking = AskingByNames(np.array([1, 1], np.uint8), his, 4, SimRandom(1))
    answering = AnsweringByPicks(np.array([1, 1], np.uint8), np.array([0, 0], np.uint8), hers, 4, SimRandom(2))

    first = answering.answer(asking.ask())
    asking.hear(first)

    assert first == pack_numbers(np.array([4, 0]), 3)
    assert (asking.offset, asking.left, answering.due) == (0, 1, 4)
    asking.hear(answering.answer(asking.ask()))
    assert asking.output.tolist() == [0, 0]
    assert his.cursor.used == hers.cursor.used == 12


@pytest.mark.parametrize("symmetric", [False, True])
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(4, 40), error=st.sampled_from([0.0, 0.2]))
def test_machines_give_what_the_batched_function_gives_with_the_same_states_and_lots(symmetric, seed, n, error):
    m0, m1, choice = np.random.default_rng(seed).integers(0, 2, (3, 30), np.uint8)
    codes = DrawnStates(iid(error), SimRandom(seed)).next(20_000)
    (hers, his), lots = streams(codes), Numbers(seed)

    asking = AskingByNames(choice, his, n, lots, symmetric=symmetric)
    attempts = asked_to_the_end(asking, AnsweringByPicks(m0, m1, hers, n, lots, symmetric=symmetric))
    whole = transfer_by_index(MeasuredStates(codes), m0, m1, choice, np.random.default_rng(seed), n, symmetric=symmetric)

    assert np.array_equal(asking.output, whole.output)
    assert his.cursor.used == hers.cursor.used == whole.states == n * sum(attempts)
    assert sum(attempts) - 30 == whole.restarts
    if error == 0.0:
        assert np.array_equal(asking.output, np.where(choice, m1, m0))


@given(seed=st.integers(0, 2**32 - 1), error=st.sampled_from([0.0, 0.2]))
def test_one_question_gives_what_a_batched_transfer_gives(seed, error):
    m0, m1, choice = np.random.default_rng(seed).integers(0, 2, (3, 30), np.uint8)
    codes = DrawnStates(iid(error), SimRandom(seed)).next(30)
    hers, his = streams(codes)
    asking = AskingOnce(choice, his)

    asking.hear(AnsweringOnce(m0, m1, hers).answer(asking.ask()))

    assert np.array_equal(asking.output, transfer(MeasuredStates(codes), m0, m1, choice))


def sizes(choice: int, *, symmetric: bool, law: np.ndarray, gates: int = 4000, n: int = 16) -> np.ndarray:
    his = DrawnStates(law, SimRandom(3))
    asking = AskingByNames(np.full(gates, choice, np.uint8), _Bobs(his), n, SimRandom(4), symmetric=symmetric)
    return unpack(asking.ask(), gates * n).reshape(gates, n).sum(axis=1)


class _Bobs:
    """Bob's halves of drawn states."""

    def __init__(self, states: DrawnStates) -> None:
        self._states = states

    def require(self, n: int) -> None:
        self._states.require(n)

    def next(self, n: int) -> Codes:
        return halves(self._states.next(n))[1]


def test_how_many_states_are_named_tells_the_choice_where_states_are_biased_and_a_subset_does_not():
    code = np.arange(16)
    biased = iid(0.0) * np.where(code >> 1 & 1, 0.8, 1.2)

    open_means = [sizes(choice, symmetric=False, law=biased).mean() for choice in (0, 1)]
    hidden = [sizes(choice, symmetric=True, law=biased) for choice in (0, 1)]

    assert open_means[0] - open_means[1] == pytest.approx(0.2 * 16, abs=0.3)
    for found in hidden:
        assert set(found.tolist()) <= {0, subset_size(16)}
        assert (found == subset_size(16)).mean() > 0.9


def test_the_subset_is_uniform_among_the_named():
    states = MeasuredStates(np.tile(np.array([2, 2, 0, 2, 2, 0, 2, 2], np.uint8), 20_000))
    asking = AskingByNames(np.ones(20_000, np.uint8), states, 8, SimRandom(5), symmetric=True)

    shares = unpack(asking.ask(), 160_000).reshape(-1, 8).mean(axis=0)

    assert shares == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3, 1 / 3, 0, 1 / 3, 1 / 3], abs=5 * np.sqrt(0.25 / 20_000))


@pytest.mark.parametrize("said", [b"", b"\x06\x00", b"\x16", b"\x09", b"\x00"])
def test_a_pick_that_cannot_be_is_refused(said):
    """Too short, too long, padding set, beyond restart, and a state that was not named."""
    asking = AskingByNames(ONE, streams(GOLDEN)[1], 8, SimRandom(1))
    asking.ask()

    with pytest.raises(FrameError):
        asking.hear(said)
    assert asking.left == 1


@pytest.mark.parametrize("named", [b"", b"\xc6\x00"])
def test_names_of_another_length_are_refused_and_no_state_is_used(named):
    hers = streams(GOLDEN)[0]
    answering = AnsweringByPicks(ONE, ZERO, hers, 8, SimRandom(1))

    with pytest.raises(FrameError):
        answering.answer(named)
    assert hers.cursor.used == 0
    assert answering.due == 8


def test_more_or_fewer_names_than_agreed_are_refused():
    for named in (0b11000110, 0b00000010):
        hers = streams(GOLDEN)[0]
        with pytest.raises(FrameError, match="named than agreed"):
            AnsweringByPicks(ONE, ZERO, hers, 8, SimRandom(1), symmetric=True).answer(bytes([named]))
        assert hers.cursor.used == 0
    answering = AnsweringByPicks(ONE, ZERO, streams(GOLDEN)[0], 8, SimRandom(1), symmetric=True)
    assert answering.answer(pack(np.zeros(8, np.uint8))) == b"\x08"


def test_without_states_nothing_is_said():
    hers, his = streams(GOLDEN[:7])

    with pytest.raises(StatesExhausted):
        AskingByNames(ONE, his, 8, SimRandom(1)).ask()
    with pytest.raises(StatesExhausted):
        AnsweringByPicks(ONE, ZERO, hers, 8, SimRandom(1)).answer(b"\xc6")
    assert hers.cursor.used == his.cursor.used == 0
