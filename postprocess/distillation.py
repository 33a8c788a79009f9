"""From one block of announced events to one key: Alice and Bob as two machines that are fed bytes and answer bytes.

Neither machine holds a socket, clock, thread or file, and neither ever sees the other's memory: each is given its own pattern bits, the public announcement
and the agreed settings. The messages, in the frames of the classical channel (A: Alice, B: Bob; every one in this order, anything else is refused):

    PARAMS      A, B   settings; from Bob also a universal hash of the announcement, under a key that he draws
    BASES       A, B   the basis of every announced event
    TESTBITS    A, B   all Y bits; then counts, Y error rate and the parities the block can afford are known
                       end of round 0
    PARITY      A      start: expected error rate and permutation seed; then Bob's requests and Alice's replies; then Bob's `done`
    VERIFY      A, B   hash of the whole corrected block; on mismatch one hash a frame (A) and the frames that are dropped (B)
    COUNTS      A, B   everything the key length depends on, and the length: must agree
                       end of round 1
    PA_SEED     A      the amplification seed, drawn now
                       end of round 2

Each round, which is a phase of the block, ends with
    ROUND_END   A, B   bytes and frames of each direction
    TAG         A, B   tag over both transcripts of the round: the acknowledgement, without which nobody goes on

All other hash keys and all seeds are drawn by Alice, each after what it acts on is fixed. A machine that raises has no key and never will.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DesyncError, FrameError, HeliographError
from . import _messages as msg
from ._frames_kept import frame_tags
from ._party import Q_EST_RANGE, Party
from .block import BlockSettings, Distilled
from .channel.frames import A_TO_B, B_TO_A, Frame, MessageType
from .channel.in_process import Endpoint, Fault, pipe
from .reconciliation import Corrector, Reference
from .verification import polynomial_tag

__all__ = ["Alice", "BlockSettings", "Bob", "Distilled", "run_in_process"]

Tap = Callable[[int, bytes], None]


class Alice(Party):
    """The reference: her X bits are the key, she answers parities and draws the seeds."""

    _role = "alice"
    _direction = A_TO_B

    def start(self) -> list[bytes]:
        """Return her settings, the first message of all."""
        self._expect(MessageType.PARAMS, self._on_parameters)
        return [self._send_parameters()]

    def _on_parameters(self, frame: Frame) -> list[bytes]:
        self._check_parameters(frame)
        key = msg.octets(frame, "announcement_key", 8)
        if msg.text(frame, "announcement_tag") != self._announcement_tag(key):
            raise DesyncError("the site announced different events to the two parties", where=self._settings.link)
        self._expect(MessageType.BASES, self._on_bases)
        return [self._send_bases()]

    def _on_bases(self, frame: Frame) -> list[bytes]:
        self._sift(frame)
        self._expect(MessageType.TESTBITS, self._on_test_bits)
        return [self._send_test_bits()]

    def _on_test_bits(self, frame: Frame) -> list[bytes]:
        self._estimate(frame)
        return self._end_round(self._start_correction)

    def _start_correction(self) -> list[bytes]:
        q_est = self._counts.m_y / self._counts.n_y if self._settings.q_est is None else self._settings.q_est
        q_est = min(max(q_est, Q_EST_RANGE[0]), Q_EST_RANGE[1])
        seed = self._source.take(32)
        self._begin_correction()
        self._reference = Reference(self._sifted.x_key, self._sifted.n_x, self._cascade(q_est, seed))
        self._expect(MessageType.PARITY, self._on_parity)
        return [self._line.send(MessageType.PARITY, {"kind": "start", "q_est": q_est.hex(), "seed": seed.hex()})]

    def _on_parity(self, frame: Frame) -> list[bytes]:
        if msg.text(frame, "kind") == "done":
            return self._send_hash()
        reply = self._reference.feed(msg.body(frame))
        self._count_parities(reply)
        return [self._line.send(MessageType.PARITY, {"kind": "reply"}, body=msg.as_body(reply))]

    def _send_hash(self) -> list[bytes]:
        key = self._source.take(8)
        tag = polynomial_tag(self._sifted.x_key, self._sifted.n_x, int.from_bytes(key, "little"))
        self._expect(MessageType.VERIFY, self._on_verdict)
        return [self._line.send(MessageType.VERIFY, {"key": key.hex(), "tag": f"{tag:016x}"})]

    def _on_verdict(self, frame: Frame) -> list[bytes]:
        if msg.flag(frame, "equal"):
            return self._on_kept(frame, np.ones(self._layout.frames, bool))
        key = self._source.take(8)
        tags = frame_tags(self._sifted.x_key, self._layout, int.from_bytes(key, "little"))
        self._expect(MessageType.VERIFY, self._on_dropped)
        return [self._line.send(MessageType.VERIFY, {"key": key.hex()}, tags=msg.as_body(tags.astype("<u8").tobytes()))]

    def _on_dropped(self, frame: Frame) -> list[bytes]:
        kept = np.unpackbits(msg.bits(frame, "kept", self._layout.frames), count=self._layout.frames, bitorder="little").astype(bool)
        self._check_dropped(kept)
        return self._on_kept(frame, kept)

    def _on_kept(self, frame: Frame, kept: NDArray[np.bool_]) -> list[bytes]:
        self._settle(self._sifted.x_key, kept, self._reference.disclosed, msg.integer(frame, "corrected"))
        self._expect(MessageType.COUNTS, self._on_counts)
        return [self._send_counts()]

    def _on_counts(self, frame: Frame) -> list[bytes]:
        self._check_counts(frame)
        return self._end_round(self._start_amplification)

    def _start_amplification(self) -> list[bytes]:
        n_seed = self._n_key - 1
        self._seed = np.frombuffer(self._source.take((n_seed + 7) // 8), np.uint8).copy()
        if n_seed % 8:
            self._seed[-1] &= (1 << n_seed % 8) - 1
        return [self._line.send(MessageType.PA_SEED, seed=(self._seed, n_seed)), *self._end_round(self._accept)]

    def _accept(self) -> list[bytes]:
        self._finish()
        return []

    def _end_round(self, then: Callable[[], list[bytes]]) -> list[bytes]:
        """Close the round; once Bob's tag is checked, go on with `then`."""
        self._then = then
        self._expect(MessageType.ROUND_END, self._on_round_end)
        return [self._send_round_end()]

    def _on_round_end(self, frame: Frame) -> list[bytes]:
        self._check_round_end(frame)
        self._expect(MessageType.TAG, self._on_tag)
        s_index, self._own_tag = self._make_tag(self._last_tag)
        return [self._send_tag(s_index, self._own_tag)]

    def _on_tag(self, frame: Frame) -> list[bytes]:
        self._last_tag = self._check_tag(frame, self._own_tag)
        self._line.next_round()
        return self._then()


class Bob(Party):
    """The corrector: he flips his bits on D2, finds where his X bits differ from Alice's, and corrects them."""

    _role = "bob"
    _direction = B_TO_A

    def start(self) -> list[bytes]:
        """Return nothing: Alice speaks first."""
        self._expect(MessageType.PARAMS, self._on_parameters)
        return []

    def _on_parameters(self, frame: Frame) -> list[bytes]:
        self._check_parameters(frame)
        key = self._source.take(8)
        self._expect(MessageType.BASES, self._on_bases)
        return [self._send_parameters(announcement_key=key.hex(), announcement_tag=self._announcement_tag(key))]

    def _on_bases(self, frame: Frame) -> list[bytes]:
        self._sift(frame)
        self._expect(MessageType.TESTBITS, self._on_test_bits)
        return [self._send_bases()]

    def _on_test_bits(self, frame: Frame) -> list[bytes]:
        self._estimate(frame)
        self._await_round_end(lambda: self._expect(MessageType.PARITY, self._on_start))
        return [self._send_test_bits()]

    def _on_start(self, frame: Frame) -> list[bytes]:
        q_est = msg.real(frame, "q_est")
        if msg.text(frame, "kind") != "start" or not Q_EST_RANGE[0] <= q_est <= Q_EST_RANGE[1]:
            raise FrameError("no start of error correction", where=frame.type.name)
        self._begin_correction()
        self._corrector = Corrector(self._sifted.x_key, self._sifted.n_x, self._cascade(q_est, msg.octets(frame, "seed", 32)))
        self._expect(MessageType.PARITY, self._on_reply)
        return [self._send_request(self._corrector.start())]

    def _send_request(self, request: bytes) -> bytes:
        return self._line.send(MessageType.PARITY, {"kind": "request"}, body=msg.as_body(request))

    def _on_reply(self, frame: Frame) -> list[bytes]:
        reply = msg.body(frame)
        request = self._corrector.feed(reply)
        self._count_parities(reply)
        if request is not None:
            return [self._send_request(request)]
        self._expect(MessageType.VERIFY, self._on_hash)
        return [self._line.send(MessageType.PARITY, {"kind": "done"})]

    def _on_hash(self, frame: Frame) -> list[bytes]:
        key, tag = (msg.octets(frame, name, 8) for name in ("key", "tag"))
        if polynomial_tag(self._corrector.key, self._sifted.n_x, int.from_bytes(key, "little")) == int.from_bytes(tag, "big"):
            return self._on_kept(np.ones(self._layout.frames, bool), {"equal": True})
        self._expect(MessageType.VERIFY, self._on_frame_hashes)
        return [self._line.send(MessageType.VERIFY, {"equal": False})]

    def _on_frame_hashes(self, frame: Frame) -> list[bytes]:
        key = int.from_bytes(msg.octets(frame, "key", 8), "little")
        theirs = msg.bits(frame, "tags", 64 * self._layout.frames).view("<u8")
        kept = frame_tags(self._corrector.key, self._layout, key) == theirs
        self._check_dropped(kept)
        return self._on_kept(kept, {})

    def _on_kept(self, kept: NDArray[np.bool_], verdict: dict[str, bool]) -> list[bytes]:
        corrected = int(self._corrector.corrected[kept].sum())
        self._settle(self._corrector.key, kept, self._corrector.disclosed, corrected)
        self._expect(MessageType.COUNTS, self._on_counts)
        packed = {} if verdict else {"kept": (np.packbits(kept, bitorder="little"), kept.size)}
        return [self._line.send(MessageType.VERIFY, {**verdict, "corrected": corrected}, **packed)]

    def _on_counts(self, frame: Frame) -> list[bytes]:
        self._check_counts(frame)
        self._await_round_end(lambda: self._expect(MessageType.PA_SEED, self._on_seed))
        return [self._send_counts()]

    def _on_seed(self, frame: Frame) -> list[bytes]:
        self._seed = msg.bits(frame, "seed", self._n_key - 1)
        self._await_round_end(self._finish)
        return []

    def _await_round_end(self, then: Callable[[], None]) -> None:
        """Let Alice close the round; once her tag is checked, `then` says what comes next."""
        self._then = then
        self._expect(MessageType.ROUND_END, self._on_round_end)

    def _on_round_end(self, frame: Frame) -> list[bytes]:
        self._check_round_end(frame)
        self._expect(MessageType.TAG, self._on_tag)
        return [self._send_round_end()]

    def _on_tag(self, frame: Frame) -> list[bytes]:
        tag = self._check_tag(frame, self._last_tag)
        s_index, self._last_tag = self._make_tag(tag)
        acknowledgement = self._send_tag(s_index, self._last_tag)
        self._line.next_round()
        self._then()
        return [acknowledgement]


def run_in_process(alice: Alice, bob: Bob, tap: Tap | None = None, *, fault: Fault | None = None) -> tuple[Distilled, Distilled]:
    """Join both machines by a pipe inside this process, run them to the end, and return Alice's and Bob's result.

    tap: called with the direction (0: from Alice) and the bytes of every message that arrives.
    fault: decides what becomes of each message sent, to test what a bad line does.
    Raises the error of the party that gave up first; DesyncError where messages were lost.
    """
    failures: list[HeliographError] = []

    def serve(party: Party, end: Endpoint, data: bytes) -> None:
        try:
            answers = party.feed(data)
        except HeliographError as error:
            failures.append(error)
            answers = party.farewell()
        for raw in answers:
            end.send(raw)

    def watched(end: int, data: bytes) -> list[bytes]:
        arriving = [data] if fault is None else list(fault(end, data))
        if tap is not None:
            for raw in arriving:
                tap(end, raw)
        return arriving

    ends = pipe(watched)
    ends[0].on_bytes, ends[1].on_bytes = partial(serve, alice, ends[0]), partial(serve, bob, ends[1])
    for raw in bob.start():
        ends[1].send(raw)
    for raw in alice.start():
        ends[0].send(raw)
    if failures:
        raise failures[0]
    return alice.result, bob.result
