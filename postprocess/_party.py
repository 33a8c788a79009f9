"""What Alice's and Bob's machines share: settings, sifting, counting, and the tags of a round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ..acquisition.pattern_stream import PatternStream
from ..acquisition.patterns import Pattern
from ..acquisition.sifting import EventBits, sift
from ..core.entropy import RandomSource
from ..core.errors import DesyncError, FrameError, HeliographError, NoKeyError, VerificationError
from ..core.statement import Provenance, SecurityStatement
from . import _messages as msg
from ._announced import Announced, Parts
from ._frames_kept import surviving
from .amplification import amplify
from .block import HASH_BITS, BlockSettings, Distilled, no_key, security_statement
from .channel.authentication import NO_TAG, ROUND_MESSAGE_BYTES, TAG_BYTES, forgery_bound, round_message
from .channel.frames import Frame, MessageType
from .finite_key import BlockCounts, KeyLength, binary_entropy, key_length
from .leakage import ParityTally
from .reconciliation import CascadeParameters, FrameLayout
from .round_tags import OpenTags, RoundTags

Q_EST_RANGE = (0.002, 0.11)
"""Expected error rates are clipped to this before correction."""
Packed = NDArray[np.uint8]
Handler = Callable[[Frame], list[bytes]]


class Party:
    """What both machines do: settings, sifting, counting, and the tags of a round."""

    _role: ClassVar[Literal["alice", "bob"]]
    _direction: ClassVar[int]
    _seed: Packed

    def __init__(self, own: EventBits, announced: Announced, settings: BlockSettings, source: RandomSource, tags: RoundTags | None = None) -> None:
        self._own = own
        self._announced = announced
        self._settings = settings
        self._source = source
        self._tags = OpenTags(settings.pair) if tags is None else tags
        self._tally = ParityTally(0)
        self._line = msg.Line(settings.session, self._direction)
        self._last_tag = NO_TAG
        self._forgery = 0.0
        self._pads = 0
        self._expected: tuple[MessageType, Handler] | None = None
        self._failure: HeliographError | None = None
        self._result: Distilled | None = None
        self._farewell: list[bytes] = []

    @classmethod
    def of_pattern(
        cls, pattern: Pattern | PatternStream, offset: int, announcement: Parts, settings: BlockSettings, source: RandomSource, tags: RoundTags | None = None
    ) -> Self:
        """Return the machine of a party that knows its pattern, where the pattern lies (slots), and what was announced.

        announcement: whole, or its parts; these are read twice, and never held together.
        Raises AnnouncementError if the announcement is malformed or leaves the block.
        """
        announced = Announced(announcement)
        own = announced.view(settings.first_slot, settings.n_sent, pattern, offset, cls._role)
        return cls(own, announced, settings, source, tags)

    def start(self) -> list[bytes]:
        """Return the first messages of this side; call once, before anything is fed."""
        raise NotImplementedError

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes from the other party, cut anywhere, and return the messages to send now.

        Raises the reason why there will be no key: FrameError, DesyncError, NoKeyError, ReconciliationError or VerificationError. From then on every call
        raises it again, and `farewell()` gives what to tell the other party. A finished machine keeps its result unless the other party says that it has none.
        """
        if self._failure is not None:
            raise self._failure
        answers: list[bytes] = []
        try:
            for frame in self._line.receive(data):
                answers += self._handle(frame)
        except HeliographError as error:
            self._give_up(error, answers)
            raise
        return answers

    @property
    def finished(self) -> bool:
        """Say whether the key is there and was acknowledged by the other party's tag."""
        return self._result is not None

    @property
    def result(self) -> Distilled:
        """Return the key and its account. Raises DesyncError before the end, the reason after a failure."""
        if self._result is not None:
            return self._result
        raise self._failure or DesyncError("the block is not finished: messages of the other party are missing", where=self._settings.link)

    @property
    def corrected_share(self) -> float:
        """Return the share of the frames whose correction has begun, for a progress bar; 0.0 before."""
        begun = self._tally.per_frame
        return float(np.count_nonzero(begun) / max(1, begun.size))

    def farewell(self) -> list[bytes]:
        """Return, once, what is still to be sent after `feed` has raised: the news that this side gave up, unless the other side did so first."""
        messages, self._farewell = self._farewell, []
        return messages

    def _handle(self, frame: Frame) -> list[bytes]:
        if self._expected is None or frame.type is not self._expected[0]:
            expected = "nothing" if self._expected is None else self._expected[0].name
            raise FrameError(f"{frame.type.name} came, {expected} was expected", where=self._settings.link)
        return self._expected[1](frame)

    def _expect(self, type_: MessageType, handler: Handler) -> None:
        self._expected = (type_, handler)

    def _give_up(self, error: HeliographError, unsent: list[bytes]) -> None:
        # What comes after the last message cannot take the key back, unless the other party says that it has none.
        if self._result is not None and not self._line.peer_gave_up:
            self._farewell = unsent
            return
        self._failure, self._result, self._expected = error, None, None
        if not self._line.peer_gave_up:
            self._farewell = [*unsent, self._line.send(MessageType.ABORT, msg.farewell(error))]
        self._forget()

    def _forget(self) -> None:
        """Drop everything secret: no message is answered any more."""
        self._drop("_own", "_sifted", "_key", "_reference", "_corrector")

    def _drop(self, *names: str) -> None:
        for name in names:
            self.__dict__.pop(name, None)

    def _send_parameters(self, **more: str) -> bytes:
        header = {"settings": self._settings.agreed(), "events": self._own.n, "source": self._source.origin, **more}
        return self._line.send(MessageType.PARAMS, header)

    def _check_parameters(self, frame: Frame) -> None:
        theirs, ours = frame.header.get("settings"), self._settings.agreed()
        if theirs != ours:
            names = [name for name in ours if not isinstance(theirs, dict) or theirs.get(name) != ours[name]]
            raise DesyncError(f"the parties hold different settings: {', '.join(names) or 'unknown fields'}", where=self._settings.link)
        if msg.integer(frame, "events") != self._own.n:
            raise DesyncError(f"the site announced {frame.header['events']:,} events to one party and {self._own.n:,} to the other", where=self._settings.link)
        self._origins = (self._source.origin, msg.text(frame, "source"))

    def _announcement_tag(self, key: bytes) -> str:
        """Return a universal hash (hex) of what was announced to this party, under a key of 8 bytes drawn afterwards."""
        return self._announced.tag(int.from_bytes(key, "little"))

    def _send_bases(self) -> bytes:
        return self._line.send(MessageType.BASES, basis=(self._own.basis, self._own.n))

    def _sift(self, frame: Frame) -> None:
        self._sifted = sift(self._own, msg.bits(frame, "basis", self._own.n))
        # Bob still has to send his bases.
        self._own = EventBits(self._own.basis, self._own.bit[:0], self._own.n)

    def _send_test_bits(self) -> bytes:
        return self._line.send(MessageType.TESTBITS, y=(self._sifted.y_bits, self._sifted.n_y))

    def _estimate(self, frame: Frame) -> None:
        """Count the Y errors, and give up where no key can come of the block whatever correction costs."""
        n_y = self._sifted.n_y
        m_y = _ones(self._sifted.y_bits ^ msg.bits(frame, "y", n_y))
        self._counts = BlockCounts(self._settings.n_sent, self._sifted.n_events, self._sifted.n_x, n_y, m_y)
        if m_y > self._settings.y_error_limit * n_y:
            raise NoKeyError(
                f"the Y error rate is {m_y / n_y:.1%} of {n_y:,} bits, the limit is {self._settings.y_error_limit:.1%}",
                where=self._settings.link,
                remedy="Check that both pattern files belong to this run, and the alignment; one half means that they do not.",
            )
        self._affordable = self._key_length(0, HASH_BITS, None)
        if self._affordable.bits < 1:
            raise no_key(self._settings, self._affordable, when="even without error correction")

    def _key_length(self, leak_bits: int, verify_bits: int, surviving: int | None) -> KeyLength:
        return key_length(
            self._counts,
            self._settings.mu,
            leak_bits,
            bound=self._settings.bound,
            epsilons=self._settings.epsilons,
            verify_bits=verify_bits,
            n_x_surviving=surviving,
            kato=self._settings.kato,
        )

    def _begin_correction(self) -> None:
        self._layout = FrameLayout.of(self._counts.n_x, self._settings.frame_bits)
        self._tally = ParityTally(self._layout.frames)

    def _cascade(self, q_est: float, seed: bytes) -> CascadeParameters:
        return CascadeParameters(q_est, seed, self._settings.block, self._settings.frame_bits, self._settings.schedule)

    def _count_parities(self, reply: bytes) -> None:
        """Count a reply, and give up as soon as correction has cost more than the block can yield."""
        self._tally.count(reply)
        leak = self._leak(self._tally.total)
        if leak > self._affordable.unclipped:
            when = f"once {self._tally.total:,} parities are disclosed, with more to come"
            raise no_key(self._settings, self._key_length(leak, HASH_BITS, None), when=when)

    def _leak(self, parities: int) -> int:
        return parities if self._settings.leak_rule == "alice_parities" else 2 * parities

    def _check_dropped(self, kept: NDArray[np.bool_]) -> None:
        frames = [int(frame) for frame in np.flatnonzero(~kept)]
        share = sum(self._layout.bits_of(frame) for frame in frames) / self._layout.n_bits
        if share > self._settings.dropped_limit:
            raise VerificationError(
                f"{len(frames)} of {kept.size} frames ({share:.0%} of the X bits) differ after correction, the limit is {self._settings.dropped_limit:.0%}",
                where=self._settings.link,
                remedy="Nothing of this block is used. Check the expected error rate and the light.",
            )

    def _settle(self, key: Packed, kept: NDArray[np.bool_], disclosed: int, corrected: int) -> None:
        """Fix the surviving key and the length. kept: bool (frames,).  disclosed: parities as error correction counted them.  corrected: in kept frames."""
        if disclosed != self._tally.total:
            raise DesyncError(f"{disclosed:,} parities were counted, the messages hold {self._tally.total:,}", where=self._settings.link)
        if corrected > self._counts.n_x:
            raise FrameError(f"{corrected:,} corrected bits of {self._counts.n_x:,}", where=self._settings.link)
        self._key, self._n_key = surviving(key, self._layout, kept)
        self._verify_bits = HASH_BITS if kept.all() else HASH_BITS * (1 + int(kept.sum()))
        self._parities, self._corrected = int(self._tally.per_frame[kept].sum()), corrected
        self._length = self._key_length(self._leak(self._parities), self._verify_bits, self._n_key)
        if self._length.bits < 1:
            raise no_key(self._settings, self._length, when="after error correction")
        self._drop("_own", "_sifted", "_reference", "_corrector")

    def _account(self) -> dict[str, Any]:
        """Return what both parties must have counted alike."""
        counts = {name: getattr(self._counts, name) for name in ("n_sent", "n_events", "n_x", "n_y", "m_y")}
        return {
            **counts,
            "surviving": self._n_key,
            "corrected": self._corrected,
            "parities": self._parities,
            "verify_bits": self._verify_bits,
            "key_bits": self._length.bits,
        }

    def _send_counts(self) -> bytes:
        return self._line.send(MessageType.COUNTS, self._account())

    def _check_counts(self, frame: Frame) -> None:
        ours = self._account()
        if frame.header != ours:
            names = [f"{name} {ours[name]:,} here" for name in ours if frame.header.get(name) != ours[name]]
            raise DesyncError(f"the parties counted differently: {', '.join(names) or 'unknown fields'}", where=self._settings.link)

    def _send_round_end(self) -> bytes:
        return self._line.send(MessageType.ROUND_END, self._line.extent(self._direction))

    def _check_round_end(self, frame: Frame) -> None:
        if frame.header != self._line.before_last:
            raise DesyncError("the parties disagree about what was sent", where=self._settings.link)

    def _tagged(self, direction: int, prev: bytes) -> Callable[[int], bytes]:
        """Return what makes the message of a tag, and book the chance that somebody forges it."""
        line, link_id, transcripts = self._line, self._tags.link_id, self._line.transcripts
        self._forgery += forgery_bound(ROUND_MESSAGE_BYTES + len(transcripts[0]) + len(transcripts[1]))
        self._pads += 1
        return lambda s_index: round_message(
            direction=direction, session=line.session, round_=line.round, s_index=s_index, link_id=link_id, transcripts=transcripts, prev=prev
        )

    def _make_tag(self, prev: bytes) -> tuple[int, bytes]:
        return self._tags.make(self._direction, self._tagged(self._direction, prev))

    def _send_tag(self, s_index: int, tag: bytes) -> bytes:
        return self._line.send(MessageType.TAG, {"s_index": s_index, "tag": tag.hex()})

    def _check_tag(self, frame: Frame, prev: bytes) -> bytes:
        s_index, tag = msg.integer(frame, "s_index"), msg.octets(frame, "tag", TAG_BYTES)
        self._tags.check(frame.direction, s_index, self._tagged(frame.direction, prev), tag)
        return tag

    def _finish(self) -> None:
        """Make the key. Nothing of it exists before the other party's tag was checked."""
        qber_x = self._corrected / self._n_key
        ideal = self._n_key * binary_entropy(qber_x)
        self._result = Distilled(
            key=amplify(self._key, self._n_key, self._seed, self._length.bits),
            bits=self._length.bits,
            counts=self._counts,
            n_x_surviving=self._n_key,
            qber_x=qber_x,
            qber_y=self._counts.m_y / self._counts.n_y,
            leak_bits=self._leak(self._parities),
            disclosed=self._disclosed(),
            f_ec=self._parities / ideal if ideal else None,
            length=self._length,
            forgery=self._forgery if self._tags.authenticated else None,
            statement=self._statement(),
        )
        self._expected = None
        self._forget()

    def _disclosed(self) -> dict[str, int]:
        return {
            "bases": 2 * self._counts.n_events,
            "y_bits": 2 * self._counts.n_y,
            "alice_parities": self._parities,
            # Bob says of every parity whether his own agrees: by naming odd blocks, then by a bit a step.
            "bob_diffs": self._parities,
            "parities_of_dropped_frames": self._tally.total - self._parities,
            "verification": self._verify_bits,
            "tags": 8 * TAG_BYTES * self._pads if self._tags.authenticated else 0,
        }

    def _statement(self) -> SecurityStatement:
        settings, authenticated = self._settings, self._tags.authenticated
        judged = Provenance.of(
            hardware=settings.hardware,
            pattern_mode=settings.pattern_mode,
            true_randomness=settings.pattern_randomness != "simulated",
            authenticated=authenticated,
        )
        if "simulated" in self._origins:
            judged = judged.joined(Provenance(True, ("hash keys and seeds come from a seeded generator",)))
        forgery = self._forgery if authenticated else None
        leaked = self._leak(self._parities) + self._verify_bits
        return security_statement(settings, self._length, leaked_bits=leaked, provenance=judged, forgery=forgery)


def _ones(packed: Packed) -> int:
    return int(np.unpackbits(packed).sum())
