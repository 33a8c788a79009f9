"""Whatever happens to a message on its way, the two parties never accept different keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.core.entropy import SimRandom
from heliograph.core.errors import DesyncError, FrameError, HeliographError
from heliograph.postprocess.channel.authentication import NO_TAG, check_tag, one_time_tag, round_message
from heliograph.postprocess.channel.frames import A_TO_B, B_TO_A, Frame, FrameReader, MessageType, encode
from heliograph.postprocess.distillation import Alice, Bob, run_in_process
from heliograph.postprocess.round_tags import OpenTags

Fault = Callable[[int, bytes], Iterable[bytes]]


@pytest.fixture(scope="module")
def sizes(small):
    """The sizes of all messages of an undisturbed run, in order."""
    found: list[int] = []
    run_in_process(small.alice(), small.bob(), tap=lambda _, raw: found.append(len(raw)))
    return found


@pytest.fixture(scope="module")
def kinds(small):
    """The types of all messages of an undisturbed run, in order."""
    found: list[MessageType] = []
    run_in_process(small.alice(), small.bob(), tap=lambda _, raw: found.append(MessageType(raw[5])))
    return found


class OneFault:
    """Does something to the message of one number and lets all others pass."""

    def __init__(self, number: int, what: Callable[[bytes], Iterable[bytes]]) -> None:
        self.number, self.what, self.seen = number, what, -1

    def __call__(self, _end: int, data: bytes) -> Iterable[bytes]:
        self.seen += 1
        return self.what(data) if self.seen == self.number else (data,)


class Swapped:
    """Delivers the message of one number after the next one, whichever way that goes."""

    def __init__(self, number: int) -> None:
        self.number, self.seen, self.held = number, -1, b""

    def __call__(self, _end: int, data: bytes) -> Iterable[bytes]:
        self.seen += 1
        if self.seen == self.number:
            self.held = data
            return ()
        held, self.held = self.held, b""
        return (data, held) if held else (data,)


def outcome(small: Any, fault: Fault, **tags: Any) -> tuple[Alice, Bob, HeliographError | None]:
    """Run with a fault and hold the rule: no two different keys, ever."""
    alice, bob = small.alice(**tags), small.bob(**tags)
    try:
        run_in_process(alice, bob, fault=fault)
        error = None
    except HeliographError as caught:
        error = caught
    if alice.finished and bob.finished:
        assert np.array_equal(alice.result.key, bob.result.key)
        assert alice.result.statement == bob.result.statement
    return alice, bob, error


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    raw = bytearray(data)
    raw[at % len(raw)] ^= 1 << bit
    return bytes(raw)


def single(kinds: list[MessageType]) -> list[int]:
    """Return the numbers of all messages outside error correction, and of its first and last ones."""
    parity = [number for number, kind in enumerate(kinds) if kind is MessageType.PARITY]
    return [number for number, kind in enumerate(kinds) if kind is not MessageType.PARITY or number in (*parity[:3], *parity[-3:])]


def test_every_kind_of_message_altered_anywhere_gives_no_key(small, kinds, sizes):
    rng = np.random.default_rng(8)
    for number in single(kinds):
        for at in (5, 27, sizes[number] - 1, int(rng.integers(36, sizes[number]))):
            bit = int(rng.integers(8))
            alice, bob, error = outcome(small, OneFault(number, lambda data, at=at, bit=bit: (flipped(data, at, bit),)))  # type: ignore[misc]

            assert error is not None, (kinds[number], at)
            assert not alice.finished, (kinds[number], at)
            # The last message closes Alice's side only: Bob was done when he sent it.
            assert not bob.finished or number == len(kinds) - 1, (kinds[number], at)


def test_every_kind_of_message_dropped_gives_no_key(small, kinds):
    for number in single(kinds):
        alice, _, error = outcome(small, OneFault(number, lambda data: ()))

        assert isinstance(error, HeliographError), kinds[number]
        assert not alice.finished, kinds[number]


def test_every_kind_of_message_repeated_is_refused(small, kinds):
    for number in single(kinds):
        alice, bob, error = outcome(small, OneFault(number, lambda data: (data, data)))

        assert isinstance(error, FrameError), kinds[number]
        # Copies of the two tags come when their receiver is done already; what was agreed on stands.
        assert (alice.finished, bob.finished) in {(False, False), (True, True)}, kinds[number]
        assert not alice.finished or kinds[number] is MessageType.TAG


def test_every_kind_of_message_out_of_order_gives_no_key(small, kinds):
    for number in single(kinds):
        alice, _, error = outcome(small, Swapped(number))

        assert error is not None, kinds[number]
        assert not alice.finished, kinds[number]


@settings(max_examples=40)
@given(where=st.floats(0, 1), at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_bit_of_any_message_altered_gives_no_key(small, sizes, where, at, bit):
    number = round(where * (len(sizes) - 1))

    alice, bob, error = outcome(small, OneFault(number, lambda data: (flipped(data, at, bit),)))

    assert error is not None
    assert not alice.finished
    assert not bob.finished or number == len(sizes) - 1


@pytest.mark.slow
@pytest.mark.parametrize("what", [lambda data: (), lambda data: (data, data), lambda data: (flipped(data, 40),), lambda data: (flipped(data, -1),)])
def test_no_message_at_all_can_be_harmed_unnoticed(small, sizes, what):
    for number in range(len(sizes)):
        _, _, error = outcome(small, OneFault(number, what))

        assert error is not None, number


@pytest.mark.parametrize(("tail", "accepted"), [("frame", True), ("rubbish", False)])
def test_what_comes_behind_the_last_tag_leaves_both_with_a_key_or_none(small, kinds, tail, accepted):
    def more(data: bytes) -> Iterable[bytes]:
        seq = int.from_bytes(data[24:28], "big") + 1
        return (data + (encode(Frame(MessageType.COUNTS, 77, 5, seq)) if tail == "frame" else bytes(64)),)

    alice, bob, error = outcome(small, OneFault(len(kinds) - 2, more))

    assert isinstance(error, FrameError)
    assert (alice.finished, bob.finished) == (accepted, accepted)


def test_lost_messages_are_named_as_such(small, kinds):
    with pytest.raises(DesyncError, match="messages of the other party are missing"):
        run_in_process(small.alice(), small.bob(), fault=OneFault(kinds.index(MessageType.VERIFY), lambda data: ()))


def test_a_tag_written_in_capitals_is_not_the_tag(small, kinds):
    def capitals(data: bytes) -> Iterable[bytes]:
        at = data.index(b'"tag":"') + 7
        return (data[:at] + data[at:].upper(),)

    _, _, error = outcome(small, OneFault(kinds.index(MessageType.TAG), capitals))

    assert isinstance(error, FrameError)


def test_a_recorded_run_replayed_at_bob_gives_him_no_key(small):
    recorded: list[bytes] = []
    run_in_process(small.alice(), small.bob(), tap=lambda direction, raw: recorded.append(raw) if direction == A_TO_B else None)
    bob = small.bob(source=SimRandom(12345))
    bob.start()

    with pytest.raises(HeliographError):
        for raw in recorded:
            bob.feed(raw)

    assert not bob.finished


class ManInTheMiddle:
    """Alters one bit of the amplification seed in well-formed frames, and makes the tags that belong to it, under the key he knows or guesses."""

    def __init__(self, tags: OpenTags) -> None:
        self.tags = tags
        self.readers = (FrameReader(), FrameReader())
        # What each end believes was said, by direction.
        self.believed = ([b"", b""], [b"", b""])
        self.last_tag = NO_TAG

    def __call__(self, end: int, data: bytes) -> Iterable[bytes]:
        for frame in self.readers[end].feed(data):
            sent, made = encode(frame), self._made(frame)
            if frame.type is not MessageType.TAG:
                self.believed[end][frame.direction] += sent
                self.believed[1 - end][frame.direction] += made
            else:
                self._end_of_round(frame)
            yield made

    def _end_of_round(self, frame: Frame) -> None:
        if frame.direction == B_TO_A:
            self.believed = ([b"", b""], [b"", b""])

    def _made(self, frame: Frame) -> bytes:
        if frame.type is MessageType.PA_SEED:
            seed = frame.arrays["seed"].copy()
            seed[seed.size // 2] ^= 1
            return encode(Frame(frame.type, frame.session, frame.round, frame.seq, frame.direction, frame.header, {"seed": seed}, frame.bits))
        if frame.type is MessageType.TAG:
            return self._with_tag(frame)
        return encode(frame)

    def _with_tag(self, frame: Frame) -> bytes:
        receiver = 1 - frame.direction
        # The tags before the altered message are right as they are, so both ends know the same last tag until then.
        prev, self.last_tag = self.last_tag, bytes.fromhex(frame.header["tag"])
        tag = self.tags.make(
            frame.direction,
            lambda s_index: round_message(
                direction=frame.direction,
                session=frame.session,
                round_=frame.round,
                s_index=s_index,
                link_id=self.tags.link_id,
                transcripts=(self.believed[receiver][0], self.believed[receiver][1]),
                prev=prev,
            ),
        )[1]
        header = {"s_index": 0, "tag": tag.hex()}
        return encode(Frame(frame.type, frame.session, frame.round, frame.seq, frame.direction, header))


class SecretTags(OpenTags):
    """The same tags under a key that only the two parties hold."""

    authenticated = True

    def _key(self, direction: int) -> tuple[bytes, bytes]:
        stream = SimRandom(31).take(64)
        return stream[32 * direction : 32 * direction + 16], stream[32 * direction + 16 : 32 * direction + 32]


def test_secret_tags_stop_a_man_in_the_middle_whom_open_tags_do_not(small):
    alice, bob = small.alice(), small.bob()
    run_in_process(alice, bob, fault=ManInTheMiddle(OpenTags("A-B")))
    assert not np.array_equal(alice.result.key, bob.result.key)
    assert "the classical channel is not authenticated" in bob.result.statement.provenance.reasons

    alice, bob, error = outcome(small, ManInTheMiddle(OpenTags("A-B")), tags=SecretTags("A-B"))

    assert isinstance(error, FrameError)
    assert not alice.finished
    assert not bob.finished


def test_the_tags_are_those_of_the_frames_as_specified(small):
    frames: list[tuple[int, bytes]] = []
    run_in_process(small.alice(), small.bob(), tap=lambda direction, raw: frames.append((direction, raw)))
    opened, said, prev, rounds = OpenTags("A-B"), [b"", b""], NO_TAG, 0
    readers = FrameReader(), FrameReader()

    for way, raw in frames:
        (frame,) = readers[way].feed(raw)
        if frame.type is not MessageType.TAG:
            said[way] += raw
            continue
        tag = bytes.fromhex(frame.header["tag"])
        message = round_message(direction=way, session=77, round_=rounds, s_index=0, link_id=opened.link_id, transcripts=(said[0], said[1]), prev=prev)
        check_tag(*opened._key(way), message, tag)
        prev = tag
        if way == B_TO_A:
            said, rounds = [b"", b""], rounds + 1
    assert rounds == 3
    assert one_time_tag(*opened._key(0), b"") != one_time_tag(*opened._key(1), b"")
