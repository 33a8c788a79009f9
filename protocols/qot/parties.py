"""Alice, Bob and the aggregator evaluating a layer: machines that are fed messages and answer messages, without socket, clock or file.

Alice holds the inputs, Bob the layer. For each group of outputs Bob sends his choices, Alice two masked messages a gate, and Bob what he got, either bit by bit
(`shots`: then Alice learns more than the outputs, see docs) or as a share to the aggregator (`counted`). In the mode of the paper he names states instead,
Alice picks among them, and gates without a pick are tried again. A message that is not the one due ends the run for whoever hears it, and the states of its
gates are burned.
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
from .exchange import Answering, AnsweringByPicks, AnsweringOnce, Asking, AskingByNames, AskingOnce
from .frames import Flags, Kind, Message, pack, unpack
from .gates import Bits, subset_size
from .inner_product import MOST_GATES, one_hot, random_bits, uniform
from .layer import Matrix, SecureLayer, majority, refuse_without_signal
from .opening import Masks, Shuffle, count_ones
from .states import StateSource

Opening = Literal["shots", "counted"]
To = Literal["peer", "aggregator"]
Sent = tuple[To, bytes]
_QUESTIONS = {bytes([kind]) for kind in (Kind.CHOICES, Kind.OFFERED)}
_MOST_STATES = (1 << 16) - 1


@dataclass(frozen=True, slots=True)
class Agreement:
    """What both parties know of an evaluation beforehand.

    batch: input vectors.  outputs, blocks, block, shots, repetitions: of the layer.  scale: S_w.  opening: how counts are opened.  dummies: of an output, for
    `counted`.  twirled: whether states come dephased.  most_gates: of the outputs that are worked on together, one at least.  run: number of the evaluation,
    from 0 to 2^64 - 1; never the same twice under one seed, or masks repeat and the aggregator sees differences.  n: states of an attempt in the mode of the
    paper, at most 65,535; 0 for the derandomised mode, which takes one a gate.  symmetric: in the mode of the paper, whether Bob names as many states for every
    gate, see `gates.subset`.
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
    n: int = 0
    symmetric: bool = False

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
        if not 0 <= self.n <= _MOST_STATES or (self.symmetric and not subset_size(self.n)):
            raise ParameterError(f"{self.n} states make no attempt", where="n", remedy="Give 0 for the derandomised mode, 4 at least to name a quarter.")

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
        n, most = self.batch * self.outputs, max(1, self.most_gates // (self.gates * self.states_a_try))
        return [range(first, min(n, first + most)) for first in range(0, n, most)]

    @property
    def flags(self) -> Flags:
        """Return what every message says of the states."""
        return (Flags(0) if self.n else Flags.BEAVER) | (Flags.TWIRLED if self.twirled else Flags(0))

    @property
    def states_a_try(self) -> int:
        """Return the states that a gate takes if its first attempt succeeds."""
        return self.n or 1


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
    def __init__(self, agreement: Agreement, states: StateSource, source: RandomSource, masks: Masks | None) -> None:
        super().__init__()
        self._agreed, self._states, self._source = agreement, states, source
        self._groups = agreement.groups
        self._turn = 0
        self._masks = masks

    def _begin(self) -> None:
        """Raise StatesExhausted unless there are states for all outputs, restarts not counted, RunRepeated if masks would repeat; nothing is used then."""
        self._states.require(self._agreed.batch * self._agreed.outputs * self._agreed.gates * self._agreed.states_a_try)
        if self._agreed.opening == "counted":
            if self._masks is None:
                raise ParameterError("shares cannot be masked", where="opening", remedy="Give the common key of a counted opening.")
            self._masks.begin(self._agreed.run)

    @property
    def finished(self) -> bool:
        """Say whether all outputs have been dealt with."""
        return self._turn == len(self._groups)

    @property
    def groups_done(self) -> int:
        """Return how many groups of outputs have been dealt with."""
        return self._turn

    @property
    def _group(self) -> range:
        return self._groups[self._turn]

    @property
    def _gates(self) -> int:
        return len(self._group) * self._agreed.gates

    @property
    def _shape(self) -> tuple[int, int, int, int, int]:
        """Outputs of the group, signs, blocks, shots, coordinates."""
        return len(self._group), 2, self._agreed.blocks, self._agreed.shots, self._agreed.block

    def _say(self, kind: Kind, payload: bytes, *, offset: int = 0, gates: int | None = None) -> bytes:
        """Return a message about some gates of the group, all of them unless said."""
        first = self._group.start * self._agreed.gates + offset
        return Message(kind, self._agreed.flags, self._agreed.n, first, self._gates if gates is None else gates, payload).encode()

    def _hear(self, kind: Kind, data: bytes, *, offset: int = 0, gates: int | None = None) -> bytes:
        """Return the payload of the message that is due."""
        if self.finished:
            raise FrameError("a message after the end", where="oblivious transfer")
        message = Message.decode(data, expected=kind, first=self._group.start * self._agreed.gates + offset)
        _about(self._agreed, message, self._gates if gates is None else gates)
        return message.payload

    def _shares(self, bits: Bits, *, with_dummies: bool) -> list[Bits]:
        shuffles = (self._shuffle(number) for number in self._group)
        return [shuffle.share(row, with_dummies=with_dummies) for shuffle, row in zip(shuffles, bits, strict=True)]

    def _shuffle(self, number: int) -> Shuffle:
        seed = b"" if self._masks is None else self._masks.seed
        return Shuffle.of(seed, number, self._agreed.bits, self._agreed.dummies, run=self._agreed.run)

    def _shares_message(self, bits: Bits, *, with_dummies: bool) -> Sent:
        return "aggregator", self._say(Kind.MASKED_SHARE, pack(*self._shares(bits, with_dummies=with_dummies)))

    def _repeated(self, plane: Bits) -> Bits:
        """Return a plane of the group once for each repetition, flat."""
        return np.asarray(np.broadcast_to(plane, (self._agreed.repetitions, *plane.shape)).ravel())


def _about(agreed: Agreement, message: Message, gates: int) -> None:
    """Raise FrameError unless a message is about so many gates, and states of the agreed kind."""
    if message.gates != gates or message.flags != agreed.flags or message.n != agreed.n:
        raise FrameError("the message is about other gates or states", where="oblivious transfer")


class Bob(_Party):
    """The owner of the layer.

    states: gives his halves, 2 s + t.  source: of his draws.  masks: of the key shared with Alice, for `counted` openings.
    Raises StatesExhausted where the states do not suffice for all outputs, none is used then; RunRepeated.
    """

    def __init__(self, layer: SecureLayer, agreement: Agreement, states: StateSource, source: RandomSource, masks: Masks | None = None) -> None:
        super().__init__(agreement, states, source, masks)
        self._begin()
        self._weights = np.stack([layer.positive, layer.negative], axis=1)
        self._asking: Asking | None = None

    def start(self) -> list[Sent]:
        """Return his first question. Raises StatesExhausted."""
        with self._alive():
            return self._choose()

    def _choose(self) -> list[Sent]:
        if self.finished:
            return []
        rows = self._weights[np.array(self._group) % self._agreed.outputs].reshape(-1, self._agreed.block)
        drawn = np.stack([one_hot(row, uniform(self._source, self._agreed.shots)) for row in rows])
        choice, agreed = self._repeated(drawn.reshape(self._shape)), self._agreed
        if agreed.n:
            return self._ask(AskingByNames(choice, self._states, agreed.n, self._source, symmetric=agreed.symmetric))
        return self._ask(AskingOnce(choice, self._states))

    def _ask(self, asking: Asking) -> list[Sent]:
        self._asking = asking
        return [("peer", self._say(asking.asks, asking.ask(), offset=asking.offset, gates=asking.left))]

    def feed(self, data: bytes) -> list[Sent]:
        """Take Alice's answer; return what he got, and his next question. Raises FrameError, StatesExhausted, and the same for whatever comes after."""
        with self._alive():
            if self._asking is None:
                raise FrameError("an answer before a question, or after the end", where="oblivious transfer")
            return self._answer(data, self._asking)

    def _answer(self, data: bytes, asking: Asking) -> list[Sent]:
        asking.hear(self._hear(asking.hears, data, offset=asking.offset, gates=asking.left))
        if asking.left:
            return self._ask(asking)
        planes = asking.output.reshape(self._agreed.repetitions, *self._shape)
        bits = np.bitwise_xor.reduce(majority(list(planes)), axis=-1)
        # Shots of the negative part count where they are zero.
        bits[:, 1] ^= 1
        rows = bits.reshape(len(self._group), -1)
        if self._agreed.opening == "shots":
            answer: Sent = "peer", self._say(Kind.OUTPUTS, pack(rows.ravel()))
        else:
            answer = self._shares_message(rows, with_dummies=False)
        self._turn, self._asking = self._turn + 1, None
        return [answer, *self._choose()]


class Alice(_Party):
    """The owner of the inputs.

    draws: from `SecureLayer.draws`.  states: gives her halves, 2 b1 + b0.  source: of draws and pads.  masks: of the key shared with Bob, for `counted`.
    counts: int64 (batch, outputs), filled as the run goes on; `SecureLayer.outputs_of` makes outputs of them.  Raises StatesExhausted, RunRepeated as Bob does.
    """

    def __init__(self, draws: Matrix, agreement: Agreement, states: StateSource, source: RandomSource, masks: Masks | None = None) -> None:
        super().__init__(agreement, states, source, masks)
        if draws.shape != (agreement.batch, agreement.blocks, agreement.block):
            raise ParameterError(f"draws of shape {draws.shape} do not fit the agreement", where="Alice")
        self._begin()
        self._draws = draws
        self.counts: NDArray[np.int64] = np.zeros((agreement.batch, agreement.outputs), np.int64)
        self._answering: Answering | None = None
        self._pads: Bits | None = None
        self._early = b""

    def feed(self, data: bytes) -> list[Sent]:
        """Take a message of Bob, or a count; return her answers. Raises FrameError, StatesExhausted, and the same for whatever comes after."""
        with self._alive():
            return self._take(data)

    def _burn(self) -> None:
        if self._answering is not None and self._answering.left:
            due = self._answering.due
        else:
            # Bob asks for the next group in the same breath in which he tells what he got in this one.
            turn = self._turn if self._answering is None else self._turn + 1
            due = len(self._groups[turn]) * self._agreed.gates * self._agreed.states_a_try if turn < len(self._groups) else 0
        with suppress(StatesExhausted):
            self._states.next(due)

    def _take(self, data: bytes) -> list[Sent]:
        if self._answering is None or self._answering.left or self._pads is None:
            return self._answer(data)
        # Bob goes on while the aggregator still counts, and the two come by different ways.
        if self._agreed.opening == "counted" and not self._early and data[4:5] in _QUESTIONS:
            self._early = data
            return []
        self._open(data, self._pads)
        waiting, self._early = self._early, b""
        return self._answer(waiting) if waiting else []

    def _answer(self, data: bytes) -> list[Sent]:
        answering = self._answering or self._begun()
        offset, gates = answering.offset, answering.left
        payload = self._hear(answering.hears, data, offset=offset, gates=gates)
        self._answering = answering
        said: list[Sent] = [("peer", self._say(answering.says, answering.answer(payload), offset=offset, gates=gates))]
        if not answering.left and self._agreed.opening == "counted" and self._pads is not None:
            said.append(self._shares_message(self._pads, with_dummies=True))
        return said

    def _begun(self) -> Answering:
        """Draw inputs and pads of the group; what she has said of neither is drawn anew when the message is refused."""
        if self.finished:
            raise FrameError("a message after the end", where="oblivious transfer")
        drawn = np.stack([self._drawn(number // self._agreed.outputs) for number in self._group])
        pads = random_bits(self._source, *self._shape)
        self._pads = np.bitwise_xor.reduce(pads, axis=-1).reshape(len(self._group), -1)
        m0, m1, agreed = self._repeated(pads), self._repeated(drawn ^ pads), self._agreed
        if agreed.n:
            return AnsweringByPicks(m0, m1, self._states, agreed.n, self._source, symmetric=agreed.symmetric)
        return AnsweringOnce(m0, m1, self._states)

    def _drawn(self, sample: int) -> Bits:
        """Return fresh draws of one input for one output, uint8 (2, blocks, shots, block)."""
        each = [one_hot(row, uniform(self._source, self._agreed.shots)) for _ in range(2) for row in self._draws[sample]]
        return np.stack(each).reshape(2, self._agreed.blocks, self._agreed.shots, self._agreed.block)

    def _open(self, data: bytes, pads: Bits) -> None:
        if self._agreed.opening == "counted":
            self._take_counts(data)
        else:
            c = unpack(self._hear(Kind.OUTPUTS, data), len(self._group) * self._agreed.bits)
            self._enter((c.reshape(len(self._group), -1) ^ pads).sum(axis=1).tolist())

    def _take_counts(self, data: bytes) -> None:
        planes = unpack(self._hear(Kind.COUNT, data), 64 * len(self._group)).reshape(-1, 64)
        found = np.packbits(planes, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.int64)
        extra = [self._shuffle(number).extra for number in self._group]
        counts = (found - np.array(extra)).tolist()
        if min(counts) < 0 or max(counts) > self._agreed.bits:
            raise FrameError("a count that cannot be", where="opening")
        self._enter(counts)

    def _enter(self, counts: Sequence[int]) -> None:
        for number, count in zip(self._group, counts, strict=True):
            self.counts[divmod(number, self._agreed.outputs)] = count
        self._pads = self._answering = None
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
        _about(self._agreed, message, len(group) * self._agreed.gates)
        each = self._agreed.bits + self._agreed.dummies
        self._held[party] = unpack(message.payload, each * len(group))
        if len(self._held) < 2:
            return None
        first, second = (self._held.pop(name).reshape(len(group), each) for name in ("alice", "bob"))
        counts = np.array([count_ones(a, b) for a, b in zip(first, second, strict=True)], "<u8")
        self._turn += 1
        return Message(Kind.COUNT, self._agreed.flags, self._agreed.n, message.first, message.gates, counts.tobytes()).encode()
