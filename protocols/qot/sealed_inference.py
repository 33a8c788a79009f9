"""Layers evaluated between separate machines over one-time pads of the key stores: what the key accounting predicts is set aside first, then spent.

Trent deals states, both parties test them, in the open and under tags; then Alice and Bob, and the aggregator of counted openings, exchange everything else
through `channel.Sealed`. Here the three are played in one process, but one hears of another only what the lines carry.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isqrt
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...core.entropy import OsRandom, RandomSource
from ...core.errors import DesyncError, ParameterError, ProvenanceError
from ...postprocess.channel.sealed import Sealed
from ...postprocess.keystore.source import KeySource, pair_name
from ...postprocess.keystore.tags import StoreTags
from .announced import Announced
from .dealing import Trent, Validator, receive
from .frames import HEADER_BYTES
from .laws import Law
from .layer import Matrix, SecureLayer
from .leases import Leased, give_back, lease_all
from .opening import DUMMIES_PER_BIT, SEED_BYTES, Masks
from .parties import Aggregator, Agreement, Alice, Bob, Opening
from .states import MeasuredStates
from .validation import DecoyRule, Tested

Role = Literal["alice", "bob", "aggregator"]
Route = tuple[Role, Role]
TESTED = 4000
"""States tested in each basis, at least; one in 500 where there are more."""
SEALED_GATES = 1 << 19
"""Transfers of a message, about."""
MOST_BITS = 1024 * 4096
"""Of a message: a frame names 1,024 keys, which have 4,096 bits where a store gives them in small pieces."""
DELTA = 1e-6
"""Probability with which each check of states may fail."""
EPSILON = 5 * DELTA
"""Of all checks: decoys of either party, errors and unevenness in Z, purity in X."""
_ANNOUNCEMENTS = 4


@dataclass(frozen=True, slots=True)
class Lines:
    """What the parties have of their lines.

    names: of the parties, by role; the aggregator may be missing where every shot is opened.  keys: by party.  tags: by party and peer.  session: a number
    larger than any before on these lines; the next one is used as well.
    """

    names: Mapping[Role, str]
    keys: Mapping[str, KeySource]
    tags: Mapping[tuple[str, str], StoreTags]
    session: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Where each party's secrets come from, and Trent's states.

    Whoever knows a seed knows the states, and two evaluations under one seed use each state twice, which gives the inputs away: seeded sources raise
    ProvenanceError.  seeded: allows them all the same, for tests that must come out alike twice.
    """

    alice: RandomSource = field(default_factory=OsRandom)
    bob: RandomSource = field(default_factory=OsRandom)
    trent: RandomSource = field(default_factory=OsRandom)
    seeded: bool = False

    def __post_init__(self) -> None:
        named = {"Alice": self.alice, "Bob": self.bob, "Trent": self.trent}
        if not self.seeded and (found := [name for name, source in named.items() if source.origin == "simulated"]):
            remedy = "Draw from the operating system, or say seeded=True in a test."
            raise ProvenanceError("a seeded stream would be used for secrets, and again by the next run", where=", ".join(found), remedy=remedy)


@dataclass(frozen=True, slots=True)
class Dealt:
    """States as the parties expect them.  law: that Trent's have.  error: by which counts are corrected.  error_limit: above which states are dropped."""

    law: Law
    error: float
    error_limit: float


@dataclass(frozen=True, slots=True)
class Sealing:
    """What an evaluation over sealed lines took.

    drawn_bits: of key, by pair.  predicted_bits: by pair, computed before.  tags: pads of authentication, all directions.  transfers.  states: dealt, those of
    the tests included.  tested: what the tests showed.  seconds.
    """

    drawn_bits: dict[str, int]
    predicted_bits: dict[str, int]
    tags: int
    transfers: int
    states: int
    tested: Tested
    seconds: float


def agreements(layers: Sequence[SecureLayer], batch: int, opening: Opening, error: float | None = None) -> list[Agreement]:
    """Return what the parties agree on for each layer, one run each. Raises NoSignal where the noise would drown the outputs."""
    found = []
    for run, layer in enumerate(layers):
        dummies = DUMMIES_PER_BIT * 2 * layer.blocks * layer.knobs.shots if opening == "counted" else 0
        found.append(Agreement.of(layer, batch, error=error, opening=opening, dummies=dummies, most_gates=SEALED_GATES, run=run))
    return found


def message_sizes(agreed: Sequence[Agreement]) -> dict[Route, list[int]]:
    """Return the bytes of every sealed message of these evaluations, by sender and receiver, in order.

    Raises ParameterError for the mode of the paper.
    """
    if any(one.n for one in agreed):
        raise ParameterError("restarts of the mode of the paper cannot be foreseen", where="agreement", remedy="Take the derandomised mode.")
    sizes: dict[Route, list[int]] = {("alice", "bob"): [], ("bob", "alice"): []}
    if any(one.opening == "counted" for one in agreed):
        sizes = {**sizes, ("alice", "aggregator"): [], ("bob", "aggregator"): [], ("aggregator", "alice"): []}
        sizes["alice", "bob"].append(SEED_BYTES)
    for one in agreed:
        for group in one.groups:
            for route, bits in _group_bits(one, len(group)):
                sizes[route].append(HEADER_BYTES + (bits + 7) // 8)
    return sizes


def _group_bits(agreed: Agreement, outputs: int) -> Iterator[tuple[Route, int]]:
    gates = outputs * agreed.gates
    yield ("bob", "alice"), gates
    yield ("alice", "bob"), 2 * gates
    if agreed.opening == "shots":
        yield ("bob", "alice"), outputs * agreed.bits
        return
    for party in ("alice", "bob"):
        yield (party, "aggregator"), outputs * (agreed.bits + agreed.dummies)
    yield ("aggregator", "alice"), 64 * outputs


def pad_bits(layers: Sequence[SecureLayer], batch: int, opening: Opening) -> int:
    """Return the bits of one-time pads that so many inputs take over sealed lines, headers included."""
    return 8 * sum(map(sum, message_sizes(agreements(layers, batch, opening)).values()))


def evaluate_sealed(
    layers: Sequence[SecureLayer],
    inputs: ArrayLike,
    dealt: Dealt,
    lines: Lines,
    *,
    opening: Opening,
    purpose: str,
    sources: Sources | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Matrix, Sealing]:
    """Return the outputs of the last layer, (batch, outputs), and what it took; a ReLU stands between two layers.

    inputs: of the first, float64 (batch, inputs), not negative.  purpose: of the key, written into the ledgers.  progress: called with groups of outputs that
    are done, and all of them.
    Raises ParameterError, InsufficientKey, KeyStoreError or NoSignal before a state is dealt; ValidationAbort for bad states; the errors of lines and machines.
    """
    begun = perf_counter()
    x = np.asarray(inputs, np.float64)
    layers[0].draws(x)
    agreed = agreements(layers, len(x), opening, dealt.error)
    sizes = message_sizes(agreed)
    _require(lines, sizes)
    leases = lease_all(lines.keys, {(_name(lines, a), _name(lines, b)): bodies for (a, b), bodies in sizes.items()}, purpose)
    transfers = sum(one.batch * one.outputs * one.gates for one in agreed)
    try:
        chosen = sources or Sources()
        halves, tested, states = _tested_states(transfers, dealt, lines, chosen)
        wires = _Wires(lines, leases, sizes, purpose)
        machines = _Machines(wires, halves, chosen, opening, progress, sum(len(one.groups) for one in agreed))
        for place, (layer, one) in enumerate(zip(layers, agreed, strict=True)):
            x = machines.evaluate(layer, x if place == 0 else np.maximum(x, 0.0), one, dealt.error)
    finally:
        give_back(leases)
    tags = sum(map(len, sizes.values())) + 2 * _ANNOUNCEMENTS
    return x, Sealing(wires.drawn_bits, _by_pair(lines, sizes), tags, transfers, states, tested, perf_counter() - begun)


def _by_pair(lines: Lines, sizes: Mapping[Route, Sequence[int]]) -> dict[str, int]:
    """Return the bits of messages by pair."""
    found: dict[str, int] = {}
    for (a, b), bodies in sizes.items():
        pair = pair_name(_name(lines, a), _name(lines, b))
        found[pair] = found.get(pair, 0) + 8 * sum(bodies)
    return found


def _name(lines: Lines, role: Role) -> str:
    if role not in lines.names:
        raise ParameterError("a counted opening needs a third party, who counts", where="opening", remedy="Name one, or open every shot to Alice.")
    return lines.names[role]


def _require(lines: Lines, sizes: Mapping[Route, Sequence[int]]) -> None:
    """Raise KeyStoreError unless every line has tags for its messages, ParameterError for one that no frame can carry."""
    for (a, b), bodies in sizes.items():
        if (most := 8 * max(bodies)) > MOST_BITS:
            remedy = "Take fewer shots, or a device that needs fewer repetitions."
            raise ParameterError(f"a message of {most:,} bits is too long, at most {MOST_BITS:,} can be sealed", where="sealed lines", remedy=remedy)
        announcements = _ANNOUNCEMENTS if "aggregator" not in (a, b) else 0
        lines.tags[_name(lines, a), _name(lines, b)].require(len(bodies) + announcements)


def _tested_states(needed: int, dealt: Dealt, lines: Lines, sources: Sources) -> tuple[tuple[MeasuredStates, MeasuredStates], Tested, int]:
    """Let Trent deal states, and both parties test some of them; return their halves of the others, at least as many as are needed."""
    tests = max(TESTED, needed // 500)
    # Both coins together take 2 tests states on average, with a standard deviation below the root of that.
    n = needed + 2 * tests + 8 * (isqrt(2 * tests) + 1)
    rule = DecoyRule.of(0.0, DELTA)
    trent = Trent(dealt.law, sources.trent, rule)
    arrived = [receive(shipment, trent.announce(name), rule) for name, shipment in zip(("alice", "bob"), trent.deal(n), strict=True)]
    share, x_share = tests / n, tests / (n - tests)
    parties = [
        Validator(half, alice=alice, share=share, x_share=x_share, error_limit=dealt.error_limit, delta=DELTA, source=source)
        for half, alice, source in zip(arrived, (True, False), (sources.alice, sources.bob), strict=True)
    ]
    _announce(parties, (lines.names["alice"], lines.names["bob"]), lines)
    tested = parties[0].found
    if tested is None:
        raise DesyncError("the tests of the states did not come to an end", where="validation")
    return (parties[0].states, parties[1].states), tested, n


def _announce(parties: Sequence[Validator], names: tuple[str, str], lines: Lines) -> None:
    """Let both sides test, each message tagged."""
    ends = [Announced(mine, peer, lines.tags[mine, peer], session=lines.session) for mine, peer in (names, names[::-1])]
    messages: list[bytes | None] = [one.start() for one in parties]
    while all(message is not None for message in messages):
        sent = [end.send(message or b"") for end, message in zip(ends, messages, strict=True)]
        messages = [party.feed(body) for party, end, data in zip(parties, ends, reversed(sent), strict=True) for body in end.open(data)]


class _Wires:
    """The sealed lines among the parties: what goes in at one end comes out at the other."""

    def __init__(self, lines: Lines, leases: Mapping[tuple[str, str], Leased], sizes: Mapping[Route, Sequence[int]], purpose: str) -> None:
        self._ends: dict[Route, Sealed] = {}
        for a, b in dict.fromkeys(chain.from_iterable(((a, b), (b, a)) for a, b in sizes)):
            mine, peer = _name(lines, a), _name(lines, b)
            # Bob only listens to the aggregator's line, and has no key set aside there.
            keys: KeySource = leases.get((mine, peer)) or lines.keys[mine]
            self._ends[a, b] = Sealed(keys, peer, session=lines.session + 1, purpose=purpose, tags=lines.tags[mine, peer])
        self._names = {route: pair_name(_name(lines, route[0]), _name(lines, route[1])) for route in self._ends}

    def carry(self, sender: Role, receiver: Role, body: bytes) -> list[bytes]:
        """Return what arrives of a message."""
        return self._ends[receiver, sender].open(self._ends[sender, receiver].seal(body))

    @property
    def drawn_bits(self) -> dict[str, int]:
        """Return the key bits spent on each pair, as the ends counted them."""
        return {self._names[route]: end.spent_bits for route, end in self._ends.items()}


class _Machines:
    """The parties of one evaluation after the other, joined by the lines."""

    def __init__(
        self,
        wires: _Wires,
        halves: tuple[MeasuredStates, MeasuredStates],
        sources: Sources,
        opening: Opening,
        progress: Callable[[int, int], None] | None,
        groups: int,
    ) -> None:
        self._wires, self._halves, self._sources = wires, halves, sources
        self._masks: tuple[Masks, Masks] | None = self._common_masks() if opening == "counted" else None
        self._progress, self._groups, self._done = progress, groups, 0

    def _common_masks(self) -> tuple[Masks, Masks]:
        """Return both parties' copies of the key of shuffles, which Alice draws and sends under a pad."""
        seed = self._sources.alice.take(SEED_BYTES)
        (arrived,) = self._wires.carry("alice", "bob", seed)
        return Masks(seed), Masks(arrived)

    def evaluate(self, layer: SecureLayer, inputs: Matrix, agreed: Agreement, error: float) -> Matrix:
        """Return the outputs of one layer."""
        draws, sums = layer.draws(inputs)
        mine, theirs = self._masks or (None, None)
        alice = Alice(draws, agreed, self._halves[0], self._sources.alice, mine)
        bob = Bob(layer, agreed, self._halves[1], self._sources.bob, theirs)
        aggregator = Aggregator(agreed)
        waiting: deque[tuple[Role, Role, bytes]] = deque(_addressed("bob", bob.start()))
        before = 0
        while waiting:
            sender, receiver, data = waiting.popleft()
            for body in self._wires.carry(sender, receiver, data):
                if receiver == "alice":
                    waiting += _addressed("alice", alice.feed(body))
                elif receiver == "bob":
                    waiting += _addressed("bob", bob.feed(body))
                elif (counts := aggregator.feed("alice" if sender == "alice" else "bob", body)) is not None:
                    waiting.append(("aggregator", "alice", counts))
            self._tell(alice.groups_done - before)
            before = alice.groups_done
        return layer.outputs_of(alice.counts, sums, error)

    def _tell(self, more: int) -> None:
        self._done += more
        if more and self._progress is not None:
            self._progress(self._done, self._groups)


def _addressed(sender: Literal["alice", "bob"], sent: Sequence[tuple[str, bytes]]) -> list[tuple[Role, Role, bytes]]:
    peer: Role = "bob" if sender == "alice" else "alice"
    return [(sender, "aggregator" if to == "aggregator" else peer, data) for to, data in sent]
