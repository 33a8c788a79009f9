"""Alice, Bob and the aggregator evaluating a layer: machines that are fed messages and answer messages, without socket, clock or file.

Alice holds the inputs, Bob the layer. For each group of outputs Bob sends his choices, Alice two masked messages a gate, and Bob what he got, either bit by bit
(`shots`: then Alice learns more than the outputs, see docs) or as a share to the aggregator (`counted`). A message that is not the one due ends the run for
whoever hears it, and the states of its gates are burned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...core.entropy import RandomSource
from ...core.errors import FrameError, HeliographError, ParameterError, StatesExhausted
from .frames import Flags, Kind, Message, pack, unpack
from .gates import Bits, beaver_choice, beaver_messages, beaver_output
from .inner_product import MOST_GATES, one_hot, random_bits, uniform
from .laws import Codes
from .layer import Matrix, SecureLayer, majority, refuse_without_signal
from .opening import SEED_BYTES, Shuffle, count_ones
from .states import StateSource

Opening = Literal["shots", "counted"]
To = Literal["peer", "aggregator"]
Sent = tuple[To, bytes]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both parties know of an evaluation beforehand.

    batch: input vectors.  outputs, blocks, block, shots, repetitions: of the layer.  scale: S_w.  opening: how counts are opened.  dummies: of an output, for
    `counted`.  twirled: whether states come dephased.  most_gates: of the outputs that are worked on together, one at least.  run: number of the evaluation,
    from 0 to 2^64 - 1; never the same twice under one seed, or masks repeat and the aggregator sees differences.
    """

    batch: int
    outputs: int
    blocks: int
    block: int
    shots: int
    repetitions: int
    scale: float
    opening: Opening = "shots"
    dummies: int = 0
    twirled: bool = True
    most_gates: int = MOST_GATES
    run: int = 0

    @classmethod
    def of(cls, layer: SecureLayer, batch: int, *, error: float | None = None, limit: float | None = None, **more: Any) -> Agreement:
        """Return the agreement about a layer and a number of inputs.

        error: of a transfer, if it is known.  limit: of the standard deviation of an output at S_x = 1 that it leaves, S_w unless given.  more: the fields that
        have defaults.  Raises NoSignal where the noise would drown the outputs.
        """
        if error is not None:
            refuse_without_signal(layer, error, layer.scale if limit is None else limit)
        knobs = layer.knobs
        return cls(batch, layer.outputs, layer.blocks, layer.positive.shape[2], knobs.shots, knobs.repetitions, layer.scale, **more)

    def __post_init__(self) -> None:
        if min(self.batch, self.outputs, self.blocks, self.block, self.shots, self.repetitions) < 1 or self.repetitions % 2 == 0:
            raise ParameterError("an evaluation has at least one of everything, and an odd number of repetitions", where="agreement")
        if not 0 <= self.run < 1 << 64:
            raise ParameterError(f"{self.run!r} is no number of a run", where="run", remedy="It lies from 0 to 2^64 - 1.")

    @property
    def bits(self) -> int:
        """Return the shots of one output, both signs and all blocks."""
        return 2 * self.blocks * self.shots

    @property
    def gates(self) -> int:
        """Return the transfers of one output."""
        return self.bits * self.block * self.repetitions

    @property
    def groups(self) -> list[range]:
        """Return the outputs, counted over the batch, that are worked on together."""
        n, most = self.batch * self.outputs, max(1, self.most_gates // self.gates)
        return [range(first, min(n, first + most)) for first in range(0, n, most)]

    @property
    def flags(self) -> Flags:
        """Return what every message says of the states."""
        return Flags.BEAVER | (Flags.TWIRLED if self.twirled else Flags(0))


class _Machine:
    """Hears nothing more once it has refused something."""

    def __init__(self) -> None:
        self._ended: HeliographError | None = None

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Raise again what ended this machine, or remember what does; what is owed then is burned."""
        if self._ended is not None:
            raise self._ended
        try:
            yield
        except HeliographError as error:
            self._ended = error
            self._burn()
            raise

    def _burn(self) -> None:
        """Use up the states that the other side may have used already."""


class _Party(_Machine):
    def __init__(self, agreement: Agreement, states: StateSource, source: RandomSource, seed: bytes) -> None:
        super().__init__()
        if agreement.opening == "counted" and len(seed) != SEED_BYTES:
            raise ParameterError(f"{len(seed)} bytes of seed cannot mask shares", where="opening", remedy=f"{SEED_BYTES} bytes of common key are needed.")
        self._agreed, self._states, self._source, self._seed = agreement, states, source, seed
        self._groups = agreement.groups
        self._turn = 0
        self._taken = 0

    @property
    def finished(self) -> bool:
        """Say whether all outputs have been dealt with."""
        return self._turn == len(self._groups)

    @property
    def _group(self) -> range:
        return self._groups[self._turn]

    @property
    def _first(self) -> int:
        return self._group.start * self._agreed.gates

    @property
    def _shape(self) -> tuple[int, int, int, int, int]:
        """Outputs of the group, signs, blocks, shots, coordinates."""
        return len(self._group), 2, self._agreed.blocks, self._agreed.shots, self._agreed.block

    def _require_states(self) -> None:
        """Raise StatesExhausted unless there are states for all outputs; none is used."""
        self._states.require(self._agreed.batch * self._agreed.outputs * self._agreed.gates)

    def _take_states(self) -> Codes:
        """Return own halves of the states of the next group for which none have been taken. Raises StatesExhausted."""
        found = self._states.next(len(self._groups[self._taken]) * self._agreed.gates)
        self._taken += 1
        return found

    def _say(self, kind: Kind, payload: bytes) -> bytes:
        return Message(kind, self._agreed.flags, 0, self._first, len(self._group) * self._agreed.gates, payload).encode()

    def _hear(self, kind: Kind, data: bytes, bits: int) -> Bits:
        if self.finished:
            raise FrameError("a message after the end", where="oblivious transfer")
        message = Message.decode(data, expected=kind, first=self._first)
        if message.gates != len(self._group) * self._agreed.gates or message.flags != self._agreed.flags or message.n:
            raise FrameError("the message is about other gates or states", where="oblivious transfer")
        return unpack(message.payload, bits)

    def _shares(self, bits: Bits, *, with_dummies: bool) -> list[Bits]:
        shuffles = (self._shuffle(number) for number in self._group)
        return [shuffle.share(row, with_dummies=with_dummies) for shuffle, row in zip(shuffles, bits, strict=True)]

    def _shuffle(self, number: int) -> Shuffle:
        return Shuffle.of(self._seed, number, self._agreed.bits, self._agreed.dummies, run=self._agreed.run)

    def _shares_message(self, bits: Bits, *, with_dummies: bool) -> Sent:
        return "aggregator", self._say(Kind.MASKED_SHARE, pack(*self._shares(bits, with_dummies=with_dummies)))

    def _repeated(self, plane: Bits) -> Bits:
        """Return a plane of the group once for each repetition, flat."""
        return np.asarray(np.broadcast_to(plane, (self._agreed.repetitions, *plane.shape)).ravel())


class Bob(_Party):
    """The owner of the layer.

    states: gives his halves, 2 s + t.  source: of his draws.  seed: 32 bytes of key shared with Alice, for `counted` openings.
    Raises StatesExhausted where they do not suffice for all outputs; none is used then.
    """

    def __init__(self, layer: SecureLayer, agreement: Agreement, states: StateSource, source: RandomSource, seed: bytes = b"") -> None:
        super().__init__(agreement, states, source, seed)
        self._require_states()
        self._weights = np.stack([layer.positive, layer.negative], axis=1)

    def start(self) -> list[Sent]:
        """Return his first choices. Raises StatesExhausted."""
        with self._alive():
            return self._choose()

    def _choose(self) -> list[Sent]:
        if self.finished:
            return []
        rows = self._weights[np.array(self._group) % self._agreed.outputs].reshape(-1, self._agreed.block)
        drawn = np.stack([one_hot(row, uniform(self._source, self._agreed.shots)) for row in rows])
        self._choice = self._repeated(drawn.reshape(self._shape))
        self._own = self._take_states()
        return [("peer", self._say(Kind.CHOICES, pack(beaver_choice(self._choice, self._own))))]

    def feed(self, data: bytes) -> list[Sent]:
        """Take Alice's messages; return what he got, and his next choices. Raises FrameError, StatesExhausted, and the same for whatever comes after."""
        with self._alive():
            return self._answer(data)

    def _answer(self, data: bytes) -> list[Sent]:
        e = self._hear(Kind.MESSAGES, data, 2 * self._choice.size)
        got = beaver_output(e[: self._choice.size], e[self._choice.size :], self._choice, self._own)
        planes = got.reshape(self._agreed.repetitions, *self._shape)
        bits = np.bitwise_xor.reduce(majority(list(planes)), axis=-1)
        # Shots of the negative part count where they are zero.
        bits[:, 1] ^= 1
        rows = bits.reshape(len(self._group), -1)
        if self._agreed.opening == "shots":
            answer: Sent = "peer", self._say(Kind.OUTPUTS, pack(rows.ravel()))
        else:
            answer = self._shares_message(rows, with_dummies=False)
        self._turn += 1
        return [answer, *self._choose()]


class Alice(_Party):
    """The owner of the inputs.

    draws: from `SecureLayer.draws`.  states: gives her halves, 2 b1 + b0.  source: of draws and pads.  seed: 32 bytes of key shared with Bob, for `counted`.
    counts: int64 (batch, outputs), filled as the run goes on; `SecureLayer.outputs_of` makes outputs of them.  Raises StatesExhausted as Bob does.
    """

    def __init__(self, draws: Matrix, agreement: Agreement, states: StateSource, source: RandomSource, seed: bytes = b"") -> None:
        super().__init__(agreement, states, source, seed)
        if draws.shape != (agreement.batch, agreement.blocks, agreement.block):
            raise ParameterError(f"draws of shape {draws.shape} do not fit the agreement", where="Alice")
        self._require_states()
        self._draws = draws
        self.counts: NDArray[np.int64] = np.zeros((agreement.batch, agreement.outputs), np.int64)
        self._pads: Bits | None = None
        self._early = b""

    def feed(self, data: bytes) -> list[Sent]:
        """Take a message of Bob, or a count; return her answers. Raises FrameError, StatesExhausted, and the same for whatever comes after."""
        with self._alive():
            return self._take(data)

    def _burn(self) -> None:
        # Bob chooses for the next group in the same breath in which he tells what he got in this one.
        reached = self._turn + (1 if self._pads is None else 2)
        with suppress(StatesExhausted):
            while self._taken < min(reached, len(self._groups)):
                self._take_states()

    def _take(self, data: bytes) -> list[Sent]:
        if self._pads is None:
            return self._answer(data)
        # Bob goes on while the aggregator still counts, and the two come by different ways.
        if self._agreed.opening == "counted" and not self._early and data[4:5] == bytes([Kind.CHOICES]):
            self._early = data
            return []
        self._open(data, self._pads)
        waiting, self._early = self._early, b""
        return self._answer(waiting) if waiting else []

    def _answer(self, data: bytes) -> list[Sent]:
        size = len(self._group) * self._agreed.gates if not self.finished else 0
        d = self._hear(Kind.CHOICES, data, size)
        own = self._take_states()
        shape = self._shape
        drawn = np.stack([self._drawn(number // self._agreed.outputs) for number in self._group])
        pads = random_bits(self._source, *shape)
        m0, m1 = self._repeated(pads), self._repeated(drawn ^ pads)
        e0, e1 = beaver_messages(m0, m1, own, d)
        answer: list[Sent] = [("peer", self._say(Kind.MESSAGES, pack(e0, e1)))]
        self._pads = np.bitwise_xor.reduce(pads, axis=-1).reshape(len(self._group), -1)
        if self._agreed.opening == "counted":
            answer.append(self._shares_message(self._pads, with_dummies=True))
        return answer

    def _drawn(self, sample: int) -> Bits:
        """Return fresh draws of one input for one output, uint8 (2, blocks, shots, block)."""
        each = [one_hot(row, uniform(self._source, self._agreed.shots)) for _ in range(2) for row in self._draws[sample]]
        return np.stack(each).reshape(2, self._agreed.blocks, self._agreed.shots, self._agreed.block)

    def _open(self, data: bytes, pads: Bits) -> None:
        if self._agreed.opening == "counted":
            self._take_counts(data)
        else:
            c = self._hear(Kind.OUTPUTS, data, len(self._group) * self._agreed.bits)
            self._enter((c.reshape(len(self._group), -1) ^ pads).sum(axis=1).tolist())

    def _take_counts(self, data: bytes) -> None:
        planes = self._hear(Kind.COUNT, data, 64 * len(self._group)).reshape(-1, 64)
        found = np.packbits(planes, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.int64)
        extra = [self._shuffle(number).extra for number in self._group]
        counts = (found - np.array(extra)).tolist()
        if min(counts) < 0 or max(counts) > self._agreed.bits:
            raise FrameError("a count that cannot be", where="opening")
        self._enter(counts)

    def _enter(self, counts: Sequence[int]) -> None:
        for number, count in zip(self._group, counts, strict=True):
            self.counts[divmod(number, self._agreed.outputs)] = count
        self._pads = None
        self._turn += 1


class Aggregator(_Machine):
    """Counts the ones of two parties' shares, and learns nothing else; it must collude with neither. Trent may serve."""

    def __init__(self, agreement: Agreement) -> None:
        super().__init__()
        self._agreed = agreement
        self._groups = agreement.groups
        self._turn = 0
        self._held: dict[str, Bits] = {}

    def feed(self, party: Literal["alice", "bob"], data: bytes) -> bytes | None:
        """Take a party's shares; return the counts for Alice once both are there. Raises FrameError, and the same for whatever comes after."""
        with self._alive():
            return self._take(party, data)

    def _take(self, party: Literal["alice", "bob"], data: bytes) -> bytes | None:
        if self._turn == len(self._groups) or party in self._held:
            raise FrameError(f"{party} sent shares that are not due", where="opening")
        group = self._groups[self._turn]
        message = Message.decode(data, expected=Kind.MASKED_SHARE, first=group.start * self._agreed.gates)
        each = self._agreed.bits + self._agreed.dummies
        self._held[party] = unpack(message.payload, each * len(group))
        if len(self._held) < 2:
            return None
        first, second = (self._held.pop(name).reshape(len(group), each) for name in ("alice", "bob"))
        counts = np.array([count_ones(a, b) for a, b in zip(first, second, strict=True)], "<u8")
        self._turn += 1
        return Message(Kind.COUNT, self._agreed.flags, 0, message.first, message.gates, counts.tobytes()).encode()
