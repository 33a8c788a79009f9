"""Trent hands out states, with decoys among them; both parties look whether somebody listened, and how good the states are, before one is used.

Qubits cannot be sent through this program. A `Shipment` stands for those on their way to one party: whoever holds it may measure, and that disturbs what he
measures as it would disturb light. What arrives is kept unmeasured until a seed has said which states are tested, in Z or in X; the others are measured in Z.
The messages are real: positions, bases and values of the decoys from Trent, then a seed to which both commit, then the tested halves.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.entropy import RandomSource
from ...core.errors import DesyncError, FrameError, HeliographError, ParameterError
from .frames import Flags, Kind, Message, pack_numbers, unpack_numbers
from .gates import Bits
from .inner_product import uniform
from .laws import Codes
from .preparation import Basis, Half, Prepared, Qubits
from .states import MeasuredStates
from .validation import BIAS_LIMIT, COMMITTED_BYTES, DecoyRule, PurityRule, Tested, commitment, common_seed, judge, sample, sample_in_x

_COUNT = struct.Struct("<I")
USUAL = Flags.BEAVER | Flags.TWIRLED
"""How states are used unless something else is agreed."""


class Shipment:
    """Qubits on their way to one party: pairs of the states, and single decoys.

    half: the pairs.  at: int64 (d,), positions of the decoys among all n + d.  basis, value: uint8 (d,), as prepared.
    error: probability that the channel flips a decoy.  source: of what measuring in the wrong basis gives.
    """

    def __init__(self, half: Half, at: NDArray[np.int64], basis: Bits, value: Bits, source: RandomSource, *, error: float = 0.0) -> None:
        self._half, self._at, self._basis, self._value, self._source = half, at, basis.copy(), value.copy(), source
        self._error = error

    @property
    def size(self) -> int:
        """Return how many positions arrive, decoys included."""
        return int(self._half.size + self._at.size)

    def resend(self, basis: Basis | None) -> Shipment:
        """Measure every decoy on the way, in a basis or at random in one of both, and send on what was found: the attack that decoys catch.

        The pairs are left alone, which favours the attacker.
        """
        hers = _bits(self._source, self._at.size) if basis is None else np.full(self._at.size, basis, np.uint8)
        found = np.where(hers == self._basis, self._value, _bits(self._source, self._at.size)).astype(np.uint8)
        return Shipment(self._half, self._at, hers, found, self._source, error=self._error)

    def measure_decoys(self, basis: Bits) -> Bits:
        """Return what the decoys give in the announced bases."""
        flips = uniform(self._source, self._at.size) < self._error
        found = np.where(basis == self._basis, self._value, _bits(self._source, self._at.size))
        return np.asarray(found ^ flips, np.uint8)

    def keep_pairs(self, decoys: NDArray[np.int64]) -> Half:
        """Return what is at every position that is no decoy, unmeasured. Raises FrameError if the announced positions are not those of decoys."""
        if not np.array_equal(np.sort(decoys), np.sort(self._at)):
            raise FrameError("decoys were announced where none are", where="dealing")
        return self._half


def _bits(source: RandomSource, n: int) -> Bits:
    return np.unpackbits(np.frombuffer(source.take((n + 7) // 8), np.uint8), count=n, bitorder="little")


@dataclass(frozen=True, slots=True)
class Channel:
    """Quantum channel from Trent to one party.  error: probability that it flips a decoy."""

    error: float = 0.0


class Trent:
    """Prepares states and hands out halves of them. He colludes with nobody: that is the assumption of the whole scheme.

    state: as prepared before the twirl, or the law of its bits in Z, which is enough where he twirls.  source: of states and decoys.  rule: how many decoys go
    along.  flags: how states come; with `TWIRLED` he applies a random Z to each qubit.  Raises ParameterError for a law where states are to be coherent.
    """

    def __init__(self, state: Prepared | ArrayLike, source: RandomSource, rule: DecoyRule, *, flags: Flags = USUAL) -> None:
        if not isinstance(state, Prepared):
            if Flags.TWIRLED not in flags:
                raise ParameterError("a law in Z does not tell a coherent state", where="Trent", remedy="Give what was prepared, or let him twirl.")
            state = Prepared.dephased(state)
        self._state = state.twirled() if Flags.TWIRLED in flags else state
        self._source, self._rule, self._flags = source, rule, flags
        self._decoys: dict[str, tuple[NDArray[np.int64], Bits, Bits]] = {}

    def deal(self, n: int, alice: Channel | None = None, bob: Channel | None = None) -> tuple[Shipment, Shipment]:
        """Return what is on its way to Alice and to Bob: halves of n fresh states, and decoys at places of their own for each."""
        if n < 1:
            raise ParameterError(f"{n} states cannot be dealt", where="n")
        qubits = Qubits(self._state, n, self._source)
        both = []
        for party, (name, channel) in enumerate((("alice", alice or Channel()), ("bob", bob or Channel()))):
            d = self._rule.decoys
            at = np.sort(np.argsort(np.frombuffer(self._source.take(8 * (n + d)), "<u8"), kind="stable")[:d])
            basis, value = _bits(self._source, d), _bits(self._source, d)
            self._decoys[name] = at, basis, value
            both.append(Shipment(Half(qubits, party), at, basis, value, self._source, error=channel.error))
        return both[0], both[1]

    def announce(self, party: str) -> bytes:
        """Return where the decoys of a party are, and what they were; to be sent once they have arrived."""
        at, basis, value = self._decoys.pop(party)
        payload = _COUNT.pack(at.size) + at.astype("<u4").tobytes() + pack_numbers(2 * basis.astype(np.int64) + value, 2)
        return Message(Kind.DECOYS, self._flags, 0, 0, at.size, payload).encode()


def receive(shipment: Shipment, announcement: bytes, rule: DecoyRule, *, flags: Flags = USUAL) -> Half:
    """Return a party's halves of the states that arrived, unmeasured.

    announcement: Trent's, of the decoys.  flags: how states were to come.
    Raises ValidationAbort if too many decoys were disturbed, FrameError for a malformed announcement, or one of other states.
    """
    message = Message.decode(announcement, expected=Kind.DECOYS, first=0)
    at, kinds = _positions(message.payload, 2)
    if at.size < rule.decoys or message.gates != at.size or (at.size and int(at[-1]) >= shipment.size):
        raise FrameError(f"{at.size} decoys were announced, {rule.decoys} were agreed on", where="dealing")
    if message.flags != flags or message.n:
        raise FrameError("states of another kind were announced", where="dealing")
    rule.check((kinds & 1).astype(np.uint8), shipment.measure_decoys((kinds >> 1).astype(np.uint8)))
    return shipment.keep_pairs(at)


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
    """One party's side of the tests that come before states are used: `start`, then a message in and a message out until `states` is there.

    half: what arrived, unmeasured.  alice: which side it is.  share, x_share: of the states that a first coin takes for the test in Z, and a second coin for
    the test in X among the others; both are lost.  error_limit, delta, bias_limit: see `validation.judge`.  flags: how states are to come.  calibrated: share
    that passes in X where they are not twirled, 1 without noise.  source: of the 32 bytes it commits to.
    """

    def __init__(
        self,
        half: Half,
        *,
        alice: bool,
        share: float,
        error_limit: float,
        source: RandomSource,
        x_share: float = 0.1,
        delta: float = 1e-6,
        bias_limit: float = BIAS_LIMIT,
        flags: Flags = USUAL,
        calibrated: float | None = None,
    ) -> None:
        self._half, self._alice, self._flags = half, alice, flags
        self._shares, self._limit, self._delta, self._bias = (share, x_share), error_limit, delta, bias_limit
        self._purity = PurityRule.of(twirled=Flags.TWIRLED in flags, calibrated=calibrated)
        self._secret = source.take(COMMITTED_BYTES)
        self._due = Kind.COMMIT
        self._committed = b""
        self._tests: list[tuple[NDArray[np.bool_], Codes]] = []
        self._in_z: Tested | None = None
        self.found: Tested | None = None
        self._states: MeasuredStates | None = None
        self._ended: HeliographError | None = None

    def start(self) -> bytes:
        """Return the commitment, the first message of either side."""
        return self._say(Kind.COMMIT, commitment(self._secret))

    def feed(self, data: bytes) -> bytes | None:
        """Take the other side's message and return the answer, None at the end.

        Raises FrameError, DesyncError, ValidationAbort, UnevenStates, WrongPurity; the whole batch is then dropped, and every later message raises the same.
        """
        if self._ended is not None:
            raise self._ended
        if self.found is not None:
            raise FrameError("a message after the end", where="validation")
        try:
            return self._take(data)
        except HeliographError as error:
            self._ended = error
            self._half.drop()
            raise

    def _take(self, data: bytes) -> bytes | None:
        message = Message.decode(data, expected=self._due, first=0)
        if message.gates != self._half.size:
            raise DesyncError(f"{message.gates:,} states arrived there, {self._half.size:,} here", where="validation")
        if message.flags != self._flags or message.n:
            raise FrameError("the other side expects states of another kind", where="validation")
        if self._due is Kind.COMMIT:
            # Whoever echoes a commitment can echo what it commits to as well, and the seed would be zero.
            if message.payload == commitment(self._secret):
                raise FrameError("our own commitment came back", where="validation")
            self._committed, self._due = message.payload, Kind.REVEAL
            return self._say(Kind.REVEAL, self._secret)
        if self._due is Kind.REVEAL:
            self._measure(common_seed(self._secret, message.payload, self._committed))
            self._due = Kind.TESTED
            return self._told(Basis.Z)
        if self._in_z is None:
            self._in_z = judge(*self._both(Basis.Z, message.payload), error_limit=self._limit, delta=self._delta, bias_limit=self._bias)
            return self._told(Basis.X)
        self._finish(self._in_z, message.payload)
        return None

    @property
    def states(self) -> MeasuredStates:
        """Return the halves that were not tested, to be used once each. Raises DesyncError before the tests are over."""
        if self._states is None:
            raise DesyncError("the states have not been tested", where="validation")
        return self._states

    def _measure(self, seed: bytes) -> None:
        in_z, coin = sample(seed, self._half.size, self._shares[Basis.Z]), sample_in_x(seed, self._half.size, self._shares[Basis.X])
        self._tests = [(which, self._half.measure(which, basis)) for basis, which in ((Basis.Z, in_z), (Basis.X, coin & ~in_z))]

    def _told(self, basis: Basis) -> bytes:
        which, found = self._tests[basis]
        at = np.flatnonzero(which)
        return self._say(Kind.TESTED, _COUNT.pack(at.size) + at.astype("<u4").tobytes() + pack_numbers(found.astype(np.int64), 2))

    def _both(self, basis: Basis, payload: bytes) -> tuple[Codes, Codes]:
        """Return Alice's and Bob's halves of the states tested in a basis."""
        at, theirs = _positions(payload, 2)
        which, mine = self._tests[basis]
        if not np.array_equal(at, np.flatnonzero(which)):
            raise FrameError("other states were tested there", where="validation")
        other = theirs.astype(np.uint8)
        return (mine, other) if self._alice else (other, mine)

    def _finish(self, in_z: Tested, payload: bytes) -> None:
        in_x = self._both(Basis.X, payload)
        passed = self._purity.check(*in_x, self._delta)
        rest = ~(self._tests[Basis.Z][0] | self._tests[Basis.X][0])
        self._states = MeasuredStates(self._half.measure(rest))
        self.found = replace(in_z, x_pass=passed, x_states=in_x[0].size)

    def _say(self, kind: Kind, payload: bytes) -> bytes:
        return Message(kind, self._flags, 0, 0, self._half.size, payload).encode()
