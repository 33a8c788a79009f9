"""The whole protocol at once: states from Trent, decoys, validation, and layers evaluated over one-time pads of real key stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from heliograph.core.entropy import Origin, OsRandom, SimRandom
from heliograph.core.errors import FrameError, InsufficientKey, KeyStoreError, NoSignal, ParameterError, ProvenanceError, ValidationAbort
from heliograph.core.statement import Provenance, SecurityStatement
from heliograph.postprocess.channel.sealed import Sealed
from heliograph.postprocess.keystore import KeyBlock, PartyKeys, SplitPolicy, link, open_party
from heliograph.postprocess.keystore.tags import StoreTags
from heliograph.protocols.qot import exchange, sealed_inference
from heliograph.protocols.qot.accuracy import Knobs
from heliograph.protocols.qot.announced import Announced
from heliograph.protocols.qot.dealing import Trent, Validator, receive
from heliograph.protocols.qot.frames import unpack
from heliograph.protocols.qot.laws import ideal, iid, preset
from heliograph.protocols.qot.layer import SecureLayer, evaluate_joint
from heliograph.protocols.qot.opening import SEED_BYTES, Masks
from heliograph.protocols.qot.parties import Agreement, Alice, Bob, Opening
from heliograph.protocols.qot.sealed_inference import Dealt, Lines, Role, Sources, agreements, evaluate_sealed, message_sizes, pad_bits
from heliograph.protocols.qot.states import DrawnStates
from heliograph.protocols.qot.validation import DecoyRule

ERROR, X = 0.02, np.array([[1.0, 0.5], [0.2, 2.0]])
SIMULATED = Provenance(True, ("a test",))
PURPOSE = "qot infer test"
NAMES: dict[Role, str] = {"alice": "A", "bob": "B", "aggregator": "C"}


@contextmanager
def stores(folder: Path, names: str = "AB", *, size: int = 30_000, policy: SplitPolicy | None = None) -> Iterator[tuple[dict[str, PartyKeys], Lines]]:
    """Open the stores of some parties, every pair with so many bytes of common key."""
    with ExitStack() as stack:
        parties = {name: open_party(folder, name, policy=policy) for name in names}
        tags = {}
        for a, b in combinations(parties, 2):
            joined = stack.enter_context(link(parties[a], parties[b]))
            material = np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)
            statement = SecurityStatement(("a claim",), (), 1e-10, 0, SIMULATED)
            block = KeyBlock(f"{a}-{b}", 0, material, 8 * size, statement, SIMULATED)
            joined.ingest(block, block)
            tags |= {(a, b): StoreTags(joined.ends[0].store, joined.lock), (b, a): StoreTags(joined.ends[1].store, joined.lock)}
        roles = {role: name for role, name in NAMES.items() if name in names}
        yield parties, Lines(roles, parties, tags, session=5)


def spent(parties: dict[str, PartyKeys], purpose: str) -> dict[str, int]:
    """Return what the ledgers of either end of every pair say, which is the same: the bits spent on a purpose."""
    found = {}
    for a, b in combinations(parties, 2):
        ends = [sum(entry.bits for entry in parties[mine].ledger(peer).spendings if entry.purpose == purpose) for mine, peer in ((a, b), (b, a))]
        assert ends[0] == ends[1]
        if ends[0]:
            found[f"{a}-{b}"] = ends[0]
    return found


def spendable(parties: dict[str, PartyKeys]) -> list[int]:
    return [parties[a].available_bits(b) for a in parties for b in parties if a != b]


@pytest.fixture
def linked(tmp_path):
    """Two parties with a megabit of common key."""
    a, b = open_party(tmp_path, "A"), open_party(tmp_path, "B")
    with link(a, b) as joined:
        material = np.random.default_rng(1).integers(0, 256, 500_000, dtype=np.uint8)
        statement = SecurityStatement(("a claim",), (), 1e-10, 0, SIMULATED)
        block = KeyBlock("A-B", 0, material, 4_000_000, statement, SIMULATED)
        joined.ingest(block, block)
        yield joined


@pytest.fixture
def channels(linked):
    tags = [StoreTags(end.store, linked.lock) for end in linked.ends]
    return [Sealed(keys, peer, session=5, purpose="inference", tags=tag) for keys, peer, tag in zip(linked.parties, "BA", tags, strict=True)]


@pytest.fixture
def machines():
    layer = SecureLayer.of([[0.8, -0.7], [-0.8, 0.7]], None, Knobs(2, 1, 2000))
    draws, sums = layer.draws(X)
    agreed = Agreement.of(layer, 2)
    rule = DecoyRule.of(0.0, 1e-6)
    trent = Trent(iid(ERROR), SimRandom(2), rule)
    shipped = trent.deal(5 * layer.transfers)
    mine, theirs = (receive(shipment, trent.announce(name), rule) for name, shipment in zip(("alice", "bob"), shipped, strict=True))
    tests = [Validator(half, alice=side, share=0.4, x_share=0.2, error_limit=0.05, source=SimRandom(3, side)) for half, side in ((mine, True), (theirs, False))]
    messages: list[bytes | None] = [one.start() for one in tests]
    while messages[0] is not None and messages[1] is not None:
        messages = [tests[0].feed(messages[1]), tests[1].feed(messages[0])]
    found = tests[0].found
    assert found is not None
    return layer, sums, found.error, Alice(draws, agreed, tests[0].states, SimRandom(4)), Bob(layer, agreed, tests[1].states, SimRandom(5))


def test_a_layer_over_sealed_channels_gives_its_outputs_and_books_its_key(linked, channels, machines):
    layer, sums, error, alice, bob = machines
    ends = {"alice": (channels[0], alice), "bob": (channels[1], bob)}
    line: list[bytes] = []
    waiting = [("bob", data) for _, data in bob.start()]
    while waiting:
        sender, data = waiting.pop(0)
        receiver = "alice" if sender == "bob" else "bob"
        sealed = ends[sender][0].seal(data)
        line.append(sealed)
        for body in ends[receiver][0].open(sealed):
            waiting += [(receiver, answer) for _, answer in ends[receiver][1].feed(body)]

    outputs = layer.outputs_of(alice.counts, sums, error)

    assert alice.finished
    assert (np.abs(outputs - X @ np.array([[0.8, -0.7], [-0.8, 0.7]]).T) < 5 * sums[:, None] * layer.deviation(ERROR) + 0.1).all()
    gates = 2 * layer.transfers
    spent = channels[0].spent_bits
    assert spent == channels[1].spent_bits
    # Three bits a gate, one a shot for what Bob got, and the headers of the messages.
    assert 3 * gates + gates // 2 <= spent < 3.6 * gates
    assert b"QOT1" not in b"".join(line)
    for keys, peer in zip(linked.parties, "BA", strict=True):
        assert sum(entry.bits for entry in keys.ledger(peer).spendings if entry.purpose == "inference") >= spent / 2


def test_a_bit_flipped_on_the_line_ends_it_before_a_weight_is_used(channels, machines):
    *_, alice, bob = machines
    sealed = bytearray(channels[1].seal(bob.start()[0][1]))
    sealed[-5] ^= 4

    with pytest.raises(FrameError, match="tag does not belong"):
        channels[0].open(bytes(sealed))
    assert not alice.finished


def test_too_little_key_is_told_before_a_message_leaves(channels):
    with pytest.raises(InsufficientKey):
        channels[1].seal(bytes(1_000_000))


def two_layers(shots: int = 100, repetitions: int = 1) -> list[SecureLayer]:
    rng = np.random.default_rng(3)
    first = SecureLayer.of(rng.standard_normal((3, 2)), rng.standard_normal(3), Knobs(2, repetitions, shots))
    return [first, SecureLayer.of(rng.standard_normal((2, 3)), None, Knobs(3, 1, shots))]


class Taped:
    """A source that draws what has the size of a draw of inputs or weights apart from everything else."""

    origin: Origin = "simulated"

    def __init__(self, seed: int, shots: int = 100) -> None:
        self._draws, self._others, self._size = SimRandom(seed), SimRandom(seed, 1), 8 * shots

    def take(self, n: int) -> bytes:
        return (self._draws if n == self._size else self._others).take(n)


class Untouched:
    """A source of which nothing may be taken: no state has been dealt."""

    origin: Origin = "simulated"

    def take(self, n: int) -> bytes:
        raise AssertionError(f"{n} bytes were taken")


def untouched() -> Sources:
    return Sources(Untouched(), Untouched(), Untouched(), seeded=True)


def sim(seed: int = 1) -> Sources:
    return Sources(SimRandom(seed), SimRandom(seed, 1), SimRandom(seed, 2), seeded=True)


@pytest.mark.parametrize(("opening", "names"), [("shots", "AB"), ("counted", "ABC")])
def test_machines_over_sealed_lines_give_what_the_batched_tier_gives_for_the_same_draws_and_spend_what_was_predicted(tmp_path, opening, names):
    layers = two_layers()
    sources = Sources(Taped(1), Taped(2), SimRandom(3), seeded=True)
    with stores(tmp_path, names) as (parties, lines):
        before = tagged(parties)
        found, sealing = evaluate_sealed(layers, X, Dealt(ideal(), 0.0, 0.0), lines, opening=opening, purpose=PURPOSE, sources=sources)
        booked, tags = spent(parties, PURPOSE), tagged(parties) - before

    alice, bob, states = Taped(1), Taped(2), DrawnStates(ideal(), SimRandom(4))
    between = evaluate_joint(layers[0], X, 0.0, states, alice, bob)
    wanted = evaluate_joint(layers[1], np.maximum(between, 0.0), 0.0, states, alice, bob)
    np.testing.assert_allclose(found, wanted)
    assert sealing.transfers == states.cursor.used
    assert sealing.tested.error == 0.0
    assert sealing.tested.x_pass == pytest.approx(5 / 16, abs=0.05)
    assert sealing.states > sealing.transfers + sealing.tested.states + sealing.tested.x_states
    assert sealing.drawn_bits == sealing.predicted_bits == booked
    assert set(booked) == ({"A-B"} if opening == "shots" else {"A-B", "A-C", "B-C"})
    assert sum(booked.values()) == pad_bits(layers, len(X), opening)
    # A tag has 128 bits and is booked at both ends.
    assert tags == 2 * 128 * sealing.tags


def tagged(parties: dict[str, PartyKeys]) -> int:
    """Return the bits that all ends have spent on tags."""
    return sum(parties[a].ledger(b).authentication for a in parties for b in parties if a != b)


def test_what_is_predicted_is_three_bits_a_transfer_the_openings_and_the_headers():
    layers = two_layers()
    gates, bits = 2 * sum(one.transfers for one in layers), sum(2 * 2 * one.outputs * one.blocks * 100 for one in layers)

    shots, counted = (message_sizes(agreements(layers, 2, opening)) for opening in ("shots", "counted"))

    assert 8 * sum(map(sum, shots.values())) == 3 * gates + bits + 8 * 24 * (2 * 3)
    assert 8 * sum(map(sum, counted.values())) == 3 * gates + 2 * 10 * bits + 64 * 2 * 5 + 8 * 32 + 8 * 24 * (2 * 5)
    with pytest.raises(ParameterError, match="restarts"):
        message_sizes([Agreement.of(layers[0], 1, n=8)])


def test_too_little_key_is_told_before_a_state_is_dealt_and_none_is_spent(tmp_path):
    layers = two_layers()
    sources = untouched()
    with stores(tmp_path, size=2000) as (parties, lines):
        before = spendable(parties)
        with pytest.raises(InsufficientKey, match="qot infer test") as caught:
            evaluate_sealed(layers, X, Dealt(iid(ERROR), ERROR, ERROR), lines, opening="shots", purpose=PURPOSE, sources=sources)
        assert spendable(parties) == before
        assert spent(parties, PURPOSE) == {}

    sizes = message_sizes(agreements(layers, len(X), "shots"))
    assert (caught.value.pair, caught.value.need_bits, caught.value.have_bits) == ("A-B", 8 * sum(sizes["alice", "bob"]), before[0])


def test_too_few_tags_are_told_before_a_state_is_dealt(tmp_path):
    sources = untouched()
    with stores(tmp_path, policy=SplitPolicy(auth_share=0.0)) as (parties, lines):
        before = spendable(parties)
        with pytest.raises(KeyStoreError, match="authentication pads are left"):
            evaluate_sealed(two_layers() * 16, X, Dealt(ideal(), 0.0, 0.0), lines, opening="shots", purpose=PURPOSE, sources=sources)
        assert spendable(parties) == before


def test_what_cannot_be_evaluated_costs_neither_states_nor_key(tmp_path):
    """Negative inputs, an error that leaves nothing, a counted opening where nobody counts, and an output of more transfers than a message can be about."""
    many = [SecureLayer.of([[0.8, -0.7]], None, Knobs(2, 1, 600_000))]
    good, lost = Dealt(ideal(), 0.0, 0.0), Dealt(ideal(), 0.49, 0.49)
    rows: list[tuple[list[SecureLayer], np.ndarray, Dealt, Opening, type[Exception], str]] = [
        (two_layers(), -X, good, "shots", ParameterError, "negative"),
        (two_layers(), X, lost, "shots", NoSignal, "deviation"),
        (two_layers(), X, good, "counted", ParameterError, "third party"),
        (many, X, good, "shots", ParameterError, "too long"),
    ]
    with stores(tmp_path) as (parties, lines):
        before = spendable(parties)
        for layers, inputs, dealt, opening, error, said in rows:
            with pytest.raises(error, match=said):
                evaluate_sealed(layers, inputs, dealt, lines, opening=opening, purpose=PURPOSE, sources=untouched())
        assert spendable(parties) == before


def test_states_that_are_worse_than_measured_are_dropped_and_the_key_is_given_back(tmp_path):
    with stores(tmp_path) as (parties, lines):
        before = spendable(parties)
        with pytest.raises(ValidationAbort):
            evaluate_sealed(two_layers(), X, Dealt(preset("paper_device"), ERROR, ERROR), lines, opening="shots", purpose=PURPOSE, sources=sim())
        assert spendable(parties) == before
        assert spent(parties, PURPOSE) == {}


def test_progress_is_told_by_groups_and_noise_is_divided_out(tmp_path):
    layer, told = SecureLayer.of([[0.8, -0.7], [-0.8, 0.7]], None, Knobs(2, 3, 1000)), []
    with stores(tmp_path, size=60_000) as (_, lines):
        found, _ = evaluate_sealed(
            [layer], X, Dealt(iid(0.0868), 0.0868, 0.09), lines, opening="shots", purpose=PURPOSE, sources=sim(), progress=lambda *done: told.append(done)
        )

    assert told == [(1, 1)]
    sums = layer.draws(X)[1]
    assert (np.abs(found - X @ np.array([[0.8, -0.7], [-0.8, 0.7]]).T) < 5 * sums[:, None] * layer.deviation(0.0868)).all()


@pytest.mark.parametrize("name", ["Alice", "Bob", "Trent"])
def test_a_seeded_source_is_refused_unless_a_test_says_that_it_wants_one(name):
    alice, bob, trent = (SimRandom(0) if one == name else OsRandom() for one in ("Alice", "Bob", "Trent"))

    with pytest.raises(ProvenanceError, match="seeded stream") as caught:
        Sources(alice, bob, trent)

    assert caught.value.where == name
    assert Sources(alice, bob, trent, seeded=True).seeded


INPUT = np.array([[3.0, 0.5, 0.2, 1.3]])
Heard = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def two_runs(folder: Path, monkeypatch: pytest.MonkeyPatch, sources: Callable[[], Sources | None]) -> tuple[Heard, Heard]:
    """Evaluate one input twice and return what Bob has of either run: both messages under Alice's bits, his choice, his half of the states, by transfer."""
    heard: list[Heard] = []
    hear = exchange.AskingOnce.hear

    def noting(self: exchange.AskingOnce, payload: bytes) -> None:
        e = unpack(payload, 2 * self._choice.size).reshape(2, -1)
        heard.append((e[0], e[1], self._choice.copy(), self._own.copy()))
        hear(self, payload)

    monkeypatch.setattr(exchange.AskingOnce, "hear", noting)
    layer, dealt = [SecureLayer.of(np.array([[0.5, 0.5, 0.5, 0.5]]), None, Knobs(4, 1, 2000))], Dealt(ideal(), 0.0, 0.0)
    with stores(folder, size=120_000) as (_, lines):
        for session in (5, 15):
            evaluate_sealed(layer, INPUT, dealt, replace(lines, session=session), opening="shots", purpose=PURPOSE, sources=sources())
    first, second = heard
    return first, second


def joined(first: Heard, second: Heard) -> tuple[float, np.ndarray]:
    """Let Bob look for states that two runs have in common, and read Alice's draws where he has two s of one state, so both of its random bits.

    Tests take other states away in each run, so one run's states may be moved against the other's. Returns the largest share of equal t among equal s over all
    shifts, and the share of ones by input that he reads at that shift.
    """
    one, other = first[3], second[3]

    def at(shift: int) -> tuple[slice, slice]:
        return (slice(shift, None), slice(None, one.size - shift)) if shift >= 0 else (slice(None, shift), slice(-shift, None))

    def share(shift: int) -> float:
        mine, theirs = (run[part] for run, part in zip((one, other), at(shift), strict=True))
        same = mine >> 1 == theirs >> 1
        return float((mine[same] == theirs[same]).mean())

    best = max(range(-1500, 1501), key=share)
    a, b = at(best)
    (e0, e1, choice), q, t, t2 = (one_part[a] for one_part in first[:3]), one[a] >> 1, one[a] & 1, other[b] & 1
    both = q != other[b] >> 1
    r0, r1 = np.where(q == 0, t, t2), np.where(q == 1, t, t2)
    crossed = (choice ^ q).astype(bool)
    drawn = e0 ^ np.where(crossed, r1, r0) ^ e1 ^ np.where(crossed, r0, r1)
    place = np.arange(one.size)[a] % INPUT.size
    return share(best), np.array([drawn[both & (place == k)].mean() for k in range(INPUT.size)])


def test_two_evaluations_have_no_state_in_common_so_bob_cannot_read_the_inputs(tmp_path, monkeypatch):
    alike, read = joined(*two_runs(tmp_path, monkeypatch, lambda: None))

    assert alike < 0.6
    assert np.abs(read - 0.5).max() < 0.15


def test_a_dealer_who_repeats_himself_would_show_bob_the_inputs_which_is_why_seeds_are_refused(tmp_path, monkeypatch):
    alike, read = joined(*two_runs(tmp_path, monkeypatch, lambda: Sources(trent=SimRandom(0), seeded=True)))

    assert alike == 1.0
    assert np.abs(read - INPUT[0] / INPUT.sum()).max() < 0.05


class Noted:
    """The operating system's bytes, and which pieces of the size of a seed were taken."""

    origin: Origin = "os"

    def __init__(self) -> None:
        self.seeds: list[bytes] = []

    def take(self, n: int) -> bytes:
        found = OsRandom().take(n)
        if n == SEED_BYTES:
            self.seeds.append(found)
        return found


def test_the_common_key_of_a_counted_opening_is_alices_fresh_and_only_under_a_pad(tmp_path, monkeypatch):
    """Of the pieces of 32 bytes that Alice takes, the first is what she commits to in the tests of states, the second the key of shuffles."""
    line, masks, alice = [], [], Noted()

    def recorded(module: object, name: str, into: list[bytes]) -> None:
        said = getattr(module, name)

        def noting(self: object, body: bytes) -> bytes:
            into.append(said(self, body))
            return into[-1]

        monkeypatch.setattr(module, name, noting)

    recorded(Sealed, "seal", line)
    recorded(Announced, "send", line)
    monkeypatch.setattr(sealed_inference, "Masks", lambda seed: masks.append(seed) or Masks(seed))
    with stores(tmp_path, "ABC", size=80_000) as (_, lines):
        for session in (5, 15):
            sources = Sources(alice=alice)
            evaluate_sealed(two_layers(), X, Dealt(ideal(), 0.0, 0.0), replace(lines, session=session), opening="counted", purpose=PURPOSE, sources=sources)

    (_, first, _, second), on_line = alice.seeds, b"".join(line)
    assert masks == [first, first, second, second]
    assert first != second
    assert first not in on_line
    assert second not in on_line


def test_what_is_announced_and_what_is_sealed_have_sessions_of_their_own(tmp_path, monkeypatch):
    """Both number their frames from 0 on one line: under one session a frame of either could stand where one of the other is awaited."""
    sessions: dict[str, set[int]] = {"Announced": set(), "Sealed": set()}
    for name, seen in sessions.items():
        made = getattr(sealed_inference, name)
        monkeypatch.setattr(sealed_inference, name, lambda *args, _made=made, _seen=seen, **options: _seen.add(options["session"]) or _made(*args, **options))
    with stores(tmp_path) as (_, lines):
        evaluate_sealed(two_layers(), X, Dealt(ideal(), 0.0, 0.0), lines, opening="shots", purpose=PURPOSE)

    assert sessions == {"Announced": {5}, "Sealed": {6}}
