"""Every condition under which oblivious transfer is given up: the error, which states are gone afterwards, and which key.

The cursors lie on disk and the key in two real stores, so that what a row says of them is what a next run would find. Bad input is refused before a state or a
key is used; a message that does not fit costs the states of its gates and the pads under which it came, and nothing twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import DesyncError, FrameError, HeliographError, NoSignal, ParameterError, StatesExhausted, ValidationAbort
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.channel.sealed import Sealed
from heliograph.postprocess.keystore import KeyBlock, link, open_party
from heliograph.postprocess.keystore.tags import StoreTags
from heliograph.protocols.qot.accuracy import Knobs
from heliograph.protocols.qot.dealing import Channel, Trent, Validator, receive
from heliograph.protocols.qot.frames import Kind
from heliograph.protocols.qot.gates import transfer, transfer_by_index
from heliograph.protocols.qot.inner_product import inner_product
from heliograph.protocols.qot.laws import halves, iid
from heliograph.protocols.qot.layer import SecureLayer, evaluate_joint
from heliograph.protocols.qot.parties import Agreement, Alice, Bob
from heliograph.protocols.qot.states import Cursor, DrawnStates, MeasuredStates
from heliograph.protocols.qot.validation import DecoyRule

ERROR, STATES = 0.02, 4000
U, V = np.array([0.6, 0.4]), np.array([0.3, 0.5])
W, X = np.array([[0.8, -0.7], [-0.8, 0.7]]), np.array([[1.0, 0.5]])
LAYER = SecureLayer.of(W, None, Knobs(2, 1, 100))
BITS, MANY = np.array([1, 0, 1], np.uint8), np.zeros(STATES + 1, np.uint8)
SIMULATED = Provenance(True, ("a test",))


@dataclass
class Place:
    """Two parties with states and key in common, and one law's states for calls that play both."""

    folder: Path
    linked: Any
    channels: list[Sealed]
    states: DrawnStates
    streams: list[MeasuredStates]

    def sources(self) -> tuple[SimRandom, SimRandom]:
        return SimRandom(1), SimRandom(2)

    def machines(self, layer: SecureLayer = LAYER, x: np.ndarray = X, error: float | None = ERROR, **agreed: Any) -> tuple[Alice, Bob]:
        """Return Alice and Bob, each with the own halves."""
        draws, _ = layer.draws(x)
        agreement = Agreement.of(layer, len(x), error=error, **agreed)
        return Alice(draws, agreement, self.streams[0], SimRandom(4)), Bob(layer, agreement, self.streams[1], SimRandom(5))

    def run(self, alice: Alice, bob: Bob, harm: Callable[[bytes], bytes] = lambda data: data) -> None:
        """Carry messages over the sealed channels; harm: done to a body before it is sealed, as by a party that does not follow the protocol."""
        parties: dict[str, tuple[Sealed, Alice | Bob]] = {"alice": (self.channels[0], alice), "bob": (self.channels[1], bob)}
        waiting = [("bob", data) for _, data in bob.start()]
        while waiting:
            sender, data = waiting.pop(0)
            channel, machine = parties["alice" if sender == "bob" else "bob"]
            for body in channel.open(parties[sender][0].seal(harm(data))):
                waiting += [("alice" if sender == "bob" else "bob", answer) for _, answer in machine.feed(body)]

    @property
    def cursors(self) -> list[Cursor]:
        return [self.states.cursor, *(stream.cursor for stream in self.streams)]

    @property
    def used(self) -> list[int]:
        """Return where the cursors stand: of the states that both are played with, of Alice's halves, of Bob's."""
        return [cursor.used for cursor in self.cursors]

    @property
    def booked(self) -> list[tuple[int, int]]:
        """Return the bits that were handed to inference, and those left, of either store."""
        ledgers = [keys.ledger(peer) for keys, peer in zip(self.linked.parties, "BA", strict=True)]
        return [(sum(one.bits for one in ledger.spendings if one.purpose == "inference"), sum(ledger.available.values())) for ledger in ledgers]

    def on_disk(self) -> list[int]:
        """Return the cursors as somebody finds them who comes after this run."""
        for cursor in self.cursors:
            cursor.close()
        found = []
        for name in ("both", "alice", "bob"):
            cursor = Cursor(self.folder / name)
            found.append(cursor.used)
            cursor.close()
        return found


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two stores with 400,000 bits of common key."""
    folder = tmp_path_factory.mktemp("stores")
    with link(open_party(folder, "A"), open_party(folder, "B")) as joined:
        material = np.random.default_rng(1).integers(0, 256, 50_000, dtype=np.uint8)
        block = KeyBlock("A-B", 0, material, 400_000, SecurityStatement(("a claim",), (), 1e-10, 0, SIMULATED), SIMULATED)
        joined.ingest(block, block)
        yield joined


SESSIONS = count(5)


@pytest.fixture
def place(tmp_path: Path, linked: Any) -> Place:
    session, tags = next(SESSIONS), [StoreTags(end.store, linked.lock) for end in linked.ends]
    channels = [Sealed(keys, peer, session=session, purpose="inference", tags=tag) for keys, peer, tag in zip(linked.parties, "BA", tags, strict=True)]
    both = DrawnStates(iid(ERROR), SimRandom(6), cursor=Cursor(tmp_path / "both"), limit=STATES)
    codes = halves(DrawnStates(iid(ERROR), SimRandom(7)).next(STATES))
    streams = [MeasuredStates(half, cursor=Cursor(tmp_path / name)) for half, name in zip(codes, ("alice", "bob"), strict=True)]
    return Place(tmp_path, linked, channels, both, streams)


def product(u: Any, v: Any = V, shots: int = 10, **more: Any) -> Callable[[Place], object]:
    return lambda at: inner_product(at.states, u, v, shots, *at.sources(), **more)


def both_modes(m0: Any, m1: Any, choice: Any) -> list[Callable[[Place], object]]:
    return [lambda at: transfer(at.states, m0, m1, choice), lambda at: transfer_by_index(at.states, m0, m1, choice, np.random.default_rng(1), 8)]


def layer(x: Any = X, error: float = ERROR, **more: Any) -> Callable[[Place], object]:
    return lambda at: evaluate_joint(LAYER, x, error, at.states, *at.sources(), **more)


def parties(**what: Any) -> Callable[[Place], object]:
    return lambda at: at.run(*at.machines(**what))


Row = tuple[Callable[[Place], object], type[HeliographError], str]
BAD_VALUES: dict[str, Row] = {
    "negative": (product([-0.1, 0.5]), ParameterError, "u: .*negative"),
    "not a number": (product([np.nan, 0.5]), ParameterError, "u: .*finite"),
    "infinite": (product(U, [np.inf, 0.5]), ParameterError, "v: .*finite"),
    "a sum above 1": (product([0.5, 0.5 + 2e-12]), ParameterError, "u: .*at most 1"),
    "two dimensions": (product([[0.5, 0.5]]), ParameterError, "u: .*no vector"),
    "no coordinate": (product([]), ParameterError, "u: .*no vector"),
    "other lengths": (product([0.5]), ParameterError, "1 and 2 coordinates"),
    "no shots": (product(U, shots=0), ParameterError, "0 shots"),
    "complex": (product([0.5 + 0.1j, 0.2]), ParameterError, "u: .*no real numbers"),
    "text": (product(["0.5", "0.2"]), ParameterError, "u: .*no real numbers"),
    "ragged": (product([[0.5], [0.2, 0.1]]), ParameterError, "u: .*no array"),
    **{f"messages of another size, {n}": (call, ParameterError, "m1") for n, call in enumerate(both_modes(BITS, BITS[:2], BITS))},
    **{f"messages of another type, {n}": (call, ParameterError, "m0") for n, call in enumerate(both_modes(BITS.astype(float), BITS, BITS))},
    **{f"a choice that is no bit, {n}": (call, ParameterError, "choice: .*no bit") for n, call in enumerate(both_modes(BITS, BITS, 2 * BITS))},
    "no attempt": (lambda at: transfer_by_index(at.states, BITS, BITS, BITS, np.random.default_rng(1), 0), ParameterError, "no attempt"),
}
LAYERS: dict[str, Row] = {
    "a negative input": (layer([[1.0, 0.5], [1.0, -0.5]]), ParameterError, "inputs: row 1"),
    "an input that is not finite": (layer([[np.inf, 0.5]]), ParameterError, "inputs: row 0"),
    "too few inputs": (layer([[1.0]]), ParameterError, "inputs"),
    "inputs of another type": (layer([["1", "2"]]), ParameterError, "inputs: .*no real numbers"),
    "a negative input of a party": (parties(x=-X), ParameterError, "inputs: row 0"),
    "a row above the scale": (lambda at: at.run(*at.machines(SecureLayer.of(W, None, Knobs(2), scale=0.75))), ParameterError, "weights: row 0"),
}
NO_SIGNAL: dict[str, Row] = {
    **{f"an error of {bad}, {n}": (call, NoSignal, "error of") for bad in (0.5, 0.7, -0.01, np.nan)
       for n, call in enumerate((product(U, error=bad), layer(error=bad), parties(error=bad)))},
    "too few shots": (product(U, shots=3, error=0.2), NoSignal, "0.802.*0.5 is the limit"),
    "a limit of the inner product": (product(U, error=ERROR, limit=0.01), NoSignal, "0.01 is the limit"),
    "a limit of the layer": (layer(limit=0.01), NoSignal, "0.01 is the limit"),
    "a limit of the parties": (parties(limit=0.01), NoSignal, "0.01 is the limit"),
}  # fmt: skip
TOO_FEW: dict[str, Row] = {
    "transfers": (both_modes(MANY, MANY, MANY)[0], StatesExhausted, "4,001 states are needed, 4,000 are left"),
    "attempts": (both_modes(MANY[:501], MANY[:501], MANY[:501])[1], StatesExhausted, "4,008 states are needed"),
    "an inner product": (product(U, shots=2001), StatesExhausted, "4,002 states are needed"),
    "a layer whose first outputs could be had": (layer(np.repeat(X, 6, axis=0)), StatesExhausted, "4,800 states are needed"),
    "parties whose first outputs could be had": (parties(x=np.repeat(X, 6, axis=0), most_gates=1), StatesExhausted, "4,800 states are needed"),
}


@pytest.mark.parametrize(
    "row", [*BAD_VALUES.values(), *LAYERS.values(), *NO_SIGNAL.values(), *TOO_FEW.values()], ids=[*BAD_VALUES, *LAYERS, *NO_SIGNAL, *TOO_FEW]
)
def test_what_cannot_go_well_is_refused_before_a_state_or_a_key_is_used(place: Place, row: Row) -> None:
    call, error, told = row
    before = place.booked

    with pytest.raises(error, match=told):
        call(place)

    assert place.used == place.on_disk() == [0, 0, 0]
    assert place.booked == before


def test_errors_carry_what_was_needed_and_what_there_was(place: Place) -> None:
    with pytest.raises(StatesExhausted) as few:
        product(U, shots=2001)(place)
    with pytest.raises(NoSignal) as loud:
        product(U, error=ERROR, limit=0.01)(place)

    assert (few.value.needed, few.value.left) == (4002, STATES)
    assert loud.value.predicted_sd == pytest.approx(0.1716, abs=1e-4)
    assert loud.value.limit == 0.01


HARMS: dict[str, Callable[[bytes], bytes]] = {
    "magic": lambda data: b"X" + data[1:],
    "length": lambda data: data + b"\0",
    "type": lambda data: data[:4] + b"\x0f" + data[5:],
    "gate index": lambda data: data[:8] + b"\x01" + data[9:],
}


@pytest.mark.parametrize(("kind", "groups", "messages"), [(Kind.CHOICES, 1, 1), (Kind.MESSAGES, 1, 2), (Kind.OUTPUTS, 2, 3)])
@pytest.mark.parametrize("harm", HARMS)
def test_a_message_that_does_not_fit_burns_the_states_of_its_gates_and_its_own_pad(place: Place, kind: Kind, groups: int, messages: int, harm: str) -> None:
    """Two outputs, one a group of 400 gates: Bob chooses for the second as soon as he has got the first."""
    alice, bob = place.machines(most_gates=1)
    sent: list[bytes] = []
    before = place.booked

    def change(data: bytes) -> bytes:
        sent.append(HARMS[harm](data) if data[4] == kind else data)
        return sent[-1]

    with pytest.raises(FrameError) as ended:
        place.run(alice, bob, change)

    assert not alice.finished
    heard = alice if kind is not Kind.MESSAGES else bob
    with pytest.raises(FrameError) as again:
        heard.feed(sent[-1])
    assert again.value is ended.value
    assert place.used == [0, 400 * groups, 400 * groups]
    assert len(sent) == messages
    spent = 8 * sum(map(len, sent))
    assert [channel.spent_bits for channel in place.channels] == [spent, spent]
    assert [booked[0] - earlier[0] for booked, earlier in zip(place.booked, before, strict=True)] == [spent, spent]
    assert place.on_disk() == [0, 400 * groups, 400 * groups]


def test_what_was_burned_is_not_used_by_the_run_that_comes_after(place: Place) -> None:
    with pytest.raises(FrameError):
        place.run(*place.machines(most_gates=1), lambda data: data[:-1] if data[4] == Kind.OUTPUTS else data)
    keys = [channel.spent_bits for channel in place.channels]
    left = [booked[1] for booked in place.booked]

    alice, bob = place.machines(most_gates=1)
    place.run(alice, bob)

    assert alice.finished
    assert bob.finished
    assert place.used == [0, 1600, 1600]
    assert all(channel.spent_bits > before for channel, before in zip(place.channels, keys, strict=True))
    assert all(booked[1] < before for booked, before in zip(place.booked, left, strict=True))


def test_a_message_changed_on_the_way_costs_its_pad_and_no_more_states_than_its_gates(place: Place) -> None:
    alice, bob = place.machines()
    sealed = bytearray(place.channels[1].seal(bob.start()[0][1]))
    sealed[-5] ^= 4

    with pytest.raises(FrameError, match="tag does not belong"):
        place.channels[0].open(bytes(sealed))

    assert not alice.finished
    assert place.used == [0, 0, 800]
    assert place.channels[0].spent_bits == 0


@pytest.mark.parametrize("found", [0.12, 0.5])
def test_states_worse_than_agreed_are_dropped_whole_by_both(place: Place, found: float) -> None:
    rule = DecoyRule.of(0.0, 1e-6)
    trent = Trent(iid(found - 1e-9), SimRandom(8), rule)
    before = place.booked
    arrived = [receive(shipment, trent.announce(name), rule) for name, shipment in zip(("alice", "bob"), trent.deal(8000), strict=True)]
    tests = [
        Validator(half, alice=side, share=0.4, x_share=0.1, error_limit=0.05, source=SimRandom(9, side))
        for half, side in zip(arrived, (True, False), strict=True)
    ]
    messages = [one.start() for one in tests]
    while all(not one.found for one in tests):
        try:
            messages = [tests[0].feed(messages[1]) or b"", tests[1].feed(messages[0]) or b""]
        except ValidationAbort:
            break

    for one, message in zip(tests, reversed(messages), strict=True):
        with pytest.raises(ValidationAbort) as aborted:
            one.feed(message)
        assert aborted.value.found == pytest.approx(found, abs=0.03)
        assert 0.05 < aborted.value.threshold < 0.1
        with pytest.raises(DesyncError):
            _ = one.states
    assert place.used == [0, 0, 0]
    assert place.booked == before


def test_a_batch_whose_decoys_were_disturbed_is_received_by_nobody(place: Place) -> None:
    rule = DecoyRule.of(0.02, 1e-6)
    trent, before = Trent(iid(ERROR), SimRandom(8), rule), place.booked

    for name, shipment in zip(("alice", "bob"), trent.deal(1000, Channel(0.02), Channel(0.02)), strict=True):
        with pytest.raises(ValidationAbort) as aborted:
            receive(shipment.resend(None), trent.announce(name), rule)
        assert aborted.value.found == pytest.approx(0.25, abs=0.08)
        assert aborted.value.threshold == rule.threshold
    assert place.used == [0, 0, 0]
    assert place.booked == before


def test_states_that_a_crash_caught_between_burning_and_use_are_lost_and_never_come_again(place: Place) -> None:
    """The process ends, without any cleaning up, when the cursor is on disk and the states are not yet drawn."""
    place.states.cursor.close()

    class Crash(SimRandom):
        def take(self, n: int) -> bytes:
            os._exit(9)

    if (child := os.fork()) == 0:
        DrawnStates(iid(ERROR), Crash(1), cursor=Cursor(place.folder / "both"), limit=STATES).next(300)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

    after = DrawnStates(iid(ERROR), SimRandom(6), cursor=Cursor(place.folder / "both"), limit=STATES)
    assert after.cursor.used == 300
    with pytest.raises(StatesExhausted) as few:
        after.next(STATES)
    assert few.value.left == STATES - 300
    after.cursor.close()
