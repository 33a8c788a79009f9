"""Trent hands out states, with decoys among them; both parties look whether somebody listened, and how good the states are, before one is used.

Qubits cannot be sent through this program. A `Shipment` stands for those on their way to one party: whoever holds it may measure, and that disturbs what he
measures as it would disturb light. The messages are real: positions, bases and values of the decoys from Trent, then a seed to which both commit, then the
tested halves.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.entropy import RandomSource
from ...core.errors import DesyncError, FrameError, HeliographError, ParameterError
from .frames import Flags, Kind, Message, pack_numbers, unpack_numbers
from .gates import Bits
from .inner_product import uniform
from .laws import Codes, halves
from .states import AliasTable, MeasuredStates
from .validation import BIAS_LIMIT, COMMITTED_BYTES, DecoyRule, Tested, commitment, common_seed, judge, sample

_COUNT = struct.Struct("<I")


class Basis(IntEnum):
    """In which a qubit is prepared or measured."""

    Z = 0
    X = 1


class Shipment:
    """Qubits on their way to one party: pairs of the states, measured in Z, and single decoys.

    pairs: uint8 (n,), what Z gives for each pair.  at: int64 (d,), positions of the decoys among all n + d.  basis, value: uint8 (d,), as prepared.
    error: probability that the channel flips a decoy.  source: of what measuring in the wrong basis gives.
    """

    def __init__(self, pairs: Codes, at: NDArray[np.int64], basis: Bits, value: Bits, source: RandomSource, *, error: float = 0.0) -> None:
        self._pairs, self._at, self._basis, self._value, self._source = pairs, at, basis.copy(), value.copy(), source
        self._error = error

    @property
    def size(self) -> int:
        """Return how many positions arrive, decoys included."""
        return int(self._pairs.size + self._at.size)

    def resend(self, basis: Basis | None) -> Shipment:
        """Measure every decoy on the way, in a basis or at random in one of both, and send on what was found: the attack that decoys catch.

        The pairs are left alone, which favours the attacker.
        """
        hers = _bits(self._source, self._at.size) if basis is None else np.full(self._at.size, basis, np.uint8)
        found = np.where(hers == self._basis, self._value, _bits(self._source, self._at.size)).astype(np.uint8)
        return Shipment(self._pairs, self._at, hers, found, self._source, error=self._error)

    def measure_decoys(self, basis: Bits) -> Bits:
        """Return what the decoys give in the announced bases."""
        flips = uniform(self._source, self._at.size) < self._error
        found = np.where(basis == self._basis, self._value, _bits(self._source, self._at.size))
        return np.asarray(found ^ flips, np.uint8)

    def measure_pairs(self, decoys: NDArray[np.int64]) -> Codes:
        """Return what Z gives for every position that is no decoy. Raises FrameError if the announced positions are not those of decoys."""
        if not np.array_equal(np.sort(decoys), np.sort(self._at)):
            raise FrameError("decoys were announced where none are", where="dealing")
        return self._pairs


def _bits(source: RandomSource, n: int) -> Bits:
    return np.unpackbits(np.frombuffer(source.take((n + 7) // 8), np.uint8), count=n, bitorder="little")


@dataclass(frozen=True, slots=True)
class Channel:
    """Quantum channel from Trent to one party.  error: probability that it flips a decoy."""

    error: float = 0.0


class Trent:
    """Prepares states of a law and hands out halves of them. He colludes with nobody: that is the assumption of the whole scheme.

    source: of states and decoys.  rule: how many decoys go along.  flags: how states come.
    """

    def __init__(self, law: ArrayLike, source: RandomSource, rule: DecoyRule, *, flags: Flags = Flags.BEAVER | Flags.TWIRLED) -> None:
        self._table, self._source, self._rule, self._flags = AliasTable.of(law), source, rule, flags
        self._decoys: dict[str, tuple[NDArray[np.int64], Bits, Bits]] = {}

    def deal(self, n: int, alice: Channel | None = None, bob: Channel | None = None) -> tuple[Shipment, Shipment]:
        """Return what is on its way to Alice and to Bob: halves of n fresh states, and decoys at places of their own for each."""
        if n < 1:
            raise ParameterError(f"{n} states cannot be dealt", where="n")
        codes = self._table.draw(np.frombuffer(self._source.take(4 * n), "<u4"))
        both = []
        for name, half, channel in zip(("alice", "bob"), halves(codes), (alice or Channel(), bob or Channel()), strict=True):
            d = self._rule.decoys
            at = np.sort(np.argsort(np.frombuffer(self._source.take(8 * (n + d)), "<u8"), kind="stable")[:d])
            basis, value = _bits(self._source, d), _bits(self._source, d)
            self._decoys[name] = at, basis, value
            both.append(Shipment(half, at, basis, value, self._source, error=channel.error))
        return both[0], both[1]

    def announce(self, party: str) -> bytes:
        """Return where the decoys of a party are, and what they were; to be sent once they have arrived."""
        at, basis, value = self._decoys.pop(party)
        payload = _COUNT.pack(at.size) + at.astype("<u4").tobytes() + pack_numbers(2 * basis.astype(np.int64) + value, 2)
        return Message(Kind.DECOYS, self._flags, 0, 0, at.size, payload).encode()


def receive(shipment: Shipment, announcement: bytes, rule: DecoyRule) -> Codes:
    """Return a party's halves of the states that arrived.

    announcement: Trent's, of the decoys.  Raises ValidationAbort if too many decoys were disturbed, FrameError for a malformed announcement.
    """
    message = Message.decode(announcement, expected=Kind.DECOYS, first=0)
    at, kinds = _positions(message.payload, 2)
    if at.size < rule.decoys or (at.size and int(at[-1]) >= shipment.size):
        raise FrameError(f"{at.size} decoys were announced, {rule.decoys} were agreed on", where="dealing")
    rule.check((kinds & 1).astype(np.uint8), shipment.measure_decoys((kinds >> 1).astype(np.uint8)))
    return shipment.measure_pairs(at)


def _positions(payload: bytes, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return positions, strictly rising, and the value of `width` bits that belongs to each."""
    if len(payload) < _COUNT.size:
        raise FrameError("the positions are cut short", where="dealing")
    (count,) = _COUNT.unpack_from(payload)
    end = _COUNT.size + 4 * count
    if len(payload) < end:
        raise FrameError("the positions are cut short", where="dealing")
    at = np.frombuffer(payload[_COUNT.size : end], "<u4").astype(np.int64)
    if (np.diff(at) <= 0).any():
        raise FrameError("a position comes twice, or out of order", where="dealing")
    return at, unpack_numbers(payload[end:], count, width)


class Validator:
    """One party's side of the test that comes before states are used: `start`, then a message in and a message out until `states` is there.

    own: halves that arrived.  alice: which side it is.  share: of the states that are tested, and lost.  error_limit, delta, bias_limit: see
    `validation.judge`.  source: of the 32 bytes it commits to.
    """

    def __init__(
        self, own: Codes, *, alice: bool, share: float, error_limit: float, source: RandomSource, delta: float = 1e-6, bias_limit: float = BIAS_LIMIT
    ) -> None:
        self._own, self._alice, self._share, self._limit, self._delta, self._bias = own, alice, share, error_limit, delta, bias_limit
        self._secret = source.take(COMMITTED_BYTES)
        self._due = Kind.COMMIT
        self._committed = b""
        self._tested: NDArray[np.bool_] = np.zeros(own.size, bool)
        self.found: Tested | None = None
        self._states: MeasuredStates | None = None
        self._ended: HeliographError | None = None

    def start(self) -> bytes:
        """Return the commitment, the first message of either side."""
        return self._say(Kind.COMMIT, commitment(self._secret))

    def feed(self, data: bytes) -> bytes | None:
        """Take the other side's message and return the answer, None at the end.

        Raises FrameError, DesyncError, ValidationAbort; the states are then not to be used, and every later message raises the same.
        """
        if self._ended is not None:
            raise self._ended
        try:
            return self._take(data)
        except HeliographError as error:
            self._ended = error
            raise

    def _take(self, data: bytes) -> bytes | None:
        if self.found is not None:
            raise FrameError("a message after the end", where="validation")
        message = Message.decode(data, expected=self._due, first=0)
        if message.gates != self._own.size:
            raise DesyncError(f"{message.gates:,} states arrived there, {self._own.size:,} here", where="validation")
        if self._due is Kind.COMMIT:
            # Whoever echoes a commitment can echo what it commits to as well, and the seed would be zero.
            if message.payload == commitment(self._secret):
                raise FrameError("our own commitment came back", where="validation")
            self._committed, self._due = message.payload, Kind.REVEAL
            return self._say(Kind.REVEAL, self._secret)
        if self._due is Kind.REVEAL:
            self._tested = sample(common_seed(self._secret, message.payload, self._committed), self._own.size, self._share)
            self._due = Kind.TESTED
            return self._say(Kind.TESTED, self._test_bits())
        self._judge(message.payload)
        return None

    @property
    def states(self) -> MeasuredStates:
        """Return the halves that were not tested, to be used once each. Raises DesyncError before the test is over."""
        if self._states is None:
            raise DesyncError("the states have not been tested", where="validation")
        return self._states

    def _test_bits(self) -> bytes:
        at = np.flatnonzero(self._tested)
        return _COUNT.pack(at.size) + at.astype("<u4").tobytes() + pack_numbers(self._own[at].astype(np.int64), 2)

    def _judge(self, payload: bytes) -> None:
        at, theirs = _positions(payload, 2)
        if not np.array_equal(at, np.flatnonzero(self._tested)):
            raise FrameError("other states were tested there", where="validation")
        mine, other = self._own[at], theirs.astype(np.uint8)
        self.found = judge(*((mine, other) if self._alice else (other, mine)), error_limit=self._limit, delta=self._delta, bias_limit=self._bias)
        self._states = MeasuredStates(self._own[~self._tested])

    def _say(self, kind: Kind, payload: bytes) -> bytes:
        return Message(kind, Flags.BEAVER | Flags.TWIRLED, 0, 0, self._own.size, payload).encode()
