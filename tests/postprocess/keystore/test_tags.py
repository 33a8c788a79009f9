"""Rounds authenticated with pads of the store: who does not hold them can alter nothing, and no pad is used twice."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.acquisition.announcements import encode_events
from heliograph.acquisition.events import Events
from heliograph.acquisition.patterns import demo_patterns
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import FrameError, KeyStoreError
from heliograph.postprocess.block import BlockSettings
from heliograph.postprocess.channel.frames import Frame, FrameReader, MessageType, encode
from heliograph.postprocess.distillation import Alice, Bob, run_in_process
from heliograph.postprocess.keystore.schema import Pool, State

SLOTS = 1000


@pytest.fixture(scope="module")
def parties():
    """Return a function that gives Alice and Bob the tags they are to use, over a little light without errors."""
    rng = np.random.default_rng(4)
    patterns = demo_patterns(SimRandom(4), SLOTS, 100, 20)
    slot = np.sort(rng.choice(1_200_000, 60_000, replace=False))
    phases = [pattern.phases_rad[slot % SLOTS] for pattern in patterns]
    equal = rng.random(slot.size) < (1 + np.cos(phases[0] - phases[1])) / 2
    announcement = encode_events(Events(slot, np.where(equal, 0, 1).astype(np.uint8)))
    settings = BlockSettings("A-B", 1, 1_200_000, (1e-3, 1e-3), bound="azuma", q_est=0.005, frame_bits=2**14, session=9)

    def made(tags):
        both = zip((Alice, Bob), patterns, tags, strict=True)
        return [kind.of_pattern(pattern, 0, announcement, settings, SimRandom(5, n), tag) for n, (kind, pattern, tag) in enumerate(both)]

    return made


def spent(end, pool: Pool) -> int:
    return int(end.store.db.one("SELECT count(*) FROM chunk WHERE pool=? AND state=?", pool, State.CONSUMED)[0])


def test_a_block_costs_three_pads_a_direction_at_both_ends_and_counts_as_authenticated(pair, parties):
    alice, bob = run_in_process(*parties(pair.link.round_tags()))

    assert np.array_equal(alice.key, bob.key)
    assert [[spent(end, pool) for pool in (Pool.AUTH_AB, Pool.AUTH_BA)] for end in pair.link.ends] == [[3, 3], [3, 3]]
    assert "the classical channel is not authenticated" not in alice.statement.provenance.reasons
    assert alice.forgery == bob.forgery
    assert alice.forgery is not None
    assert 0.0 < alice.forgery < 1e-24
    pair.reopen()
    run_in_process(*parties(pair.link.round_tags()))
    assert spent(pair.link.ends[0], Pool.AUTH_BA) == 6


class Forger:
    """Flips one bit of a message of the given type, in a well-formed frame; without the pads he cannot mend the tag."""

    def __init__(self, kind: MessageType, name: str) -> None:
        self.kind, self.name, self.readers = kind, name, (FrameReader(), FrameReader())

    def __call__(self, end: int, data: bytes):
        for frame in self.readers[end].feed(data):
            arrays = {name: array.copy() for name, array in frame.arrays.items()}
            if frame.type is self.kind and end == 0:
                arrays[self.name][arrays[self.name].size // 2] ^= 1
            yield encode(Frame(frame.type, frame.session, frame.round, frame.seq, frame.direction, frame.header, arrays, frame.bits))


@pytest.mark.parametrize(("kind", "name", "pads"), [(MessageType.BASES, "basis", 1), (MessageType.TESTBITS, "y", 1), (MessageType.PA_SEED, "seed", 3)])
def test_what_was_altered_is_found_at_the_end_of_its_round(pair, parties, kind, name, pads):
    alice, bob = parties(pair.link.round_tags())

    with pytest.raises(FrameError, match="tag does not belong"):
        run_in_process(alice, bob, fault=Forger(kind, name))

    assert not alice.finished
    assert not bob.finished
    assert spent(pair.link.ends[1], Pool.AUTH_AB) == pads


def test_three_wrong_tags_in_a_row_lock_the_link(pair):
    ours, theirs = pair.link.round_tags()
    for _ in range(2):
        index, _ = ours.make(0, lambda _index: b"one")
        with pytest.raises(FrameError):
            theirs.check(0, index, lambda _index: b"two", bytes(16))
    index, tag = ours.make(0, lambda _index: b"one")
    theirs.check(0, index, lambda _index: b"one", tag)

    for _ in range(3):
        index, _ = ours.make(0, lambda _index: b"one")
        with pytest.raises(FrameError):
            theirs.check(0, index, lambda _index: b"two", bytes(16))

    before = pair.link.ends[1].store.available(Pool.AUTH_AB)
    with pytest.raises(KeyStoreError, match="wrong tags came in a row"):
        theirs.make(1, lambda _index: b"more")
    with pytest.raises(FrameError, match="wrong tags came in a row"):
        theirs.check(0, index + 9, lambda _index: b"more", bytes(16))
    assert pair.link.ends[1].store.available(Pool.AUTH_AB) == before
    pair.link.close()
    with pytest.raises(KeyStoreError, match="wrong tags came in a row"):
        pair.open()


def test_a_pad_serves_one_attempt_and_old_ones_none(pair):
    ours, theirs = pair.link.round_tags()
    first, tag = ours.make(0, lambda index: b"message %d" % index)
    theirs.check(0, first, lambda index: b"message %d" % index, tag)

    with pytest.raises(FrameError, match=f"pad {first} of AUTH_AB cannot be used"):
        theirs.check(0, first, lambda index: b"message %d" % index, tag)
    with pytest.raises(FrameError, match="cannot be used"):
        theirs.check(0, first + 66, lambda index: b"message %d" % index, tag)


def test_a_crash_after_a_tag_was_made_never_gives_its_pad_out_again(pair):
    ours, _ = pair.link.round_tags()
    used = [ours.make(0, lambda _index: b"said")[0] for _ in range(3)]
    pair.crash()
    pair.open()

    ours, theirs = pair.link.round_tags()
    index, tag = ours.make(0, lambda _index: b"said again")

    assert index > max(used)
    theirs.check(0, index, lambda _index: b"said again", tag)


def test_a_pad_is_spent_on_disk_before_its_tag_exists(pair):
    ours, _ = pair.link.round_tags()
    lost: list[int] = []

    def message(index: int) -> bytes:
        lost.append(index)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ours.make(0, message)
    pair.crash()
    pair.open()

    assert pair.link.round_tags()[0].make(0, lambda _index: b"said")[0] > lost[0]


def test_too_few_pads_are_told_before_anything_is_disclosed(pair):
    ours, _ = pair.link.round_tags()
    while pair.link.ends[0].store.available(Pool.AUTH_AB) >= 7:
        ours.make(0, lambda _index: b"said")

    with pytest.raises(KeyStoreError, match=r"6 authentication pads are left, a block needs 7"):
        pair.link.round_tags()
