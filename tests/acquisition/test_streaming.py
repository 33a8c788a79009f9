"""Tags to sifted bits by chunks: what is held grows with the sifted planes and the announcement only."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from heliograph.acquisition.announcements import decode_events, encode_events
from heliograph.acquisition.pattern_stream import PatternRecord, PatternWriter, SeededPattern
from heliograph.acquisition.sifting import SiftedBlock, sift, view_announced
from heliograph.acquisition.timetags import EventSelector, SlotTiming
from heliograph.instruments.roles import TagBatch

SECOND = 100_000_000
RATE = 1_045_000
SHIFT = 4242


def tags(slots: int) -> Iterator[TagBatch]:
    """Clicks at the rate of the pair A-B, by tenths of a second, with their sync tags."""
    width = SECOND // 10
    for seq in range(slots // width):
        rng = np.random.default_rng(seq)
        n = rng.poisson(RATE / 10)
        first = seq * width
        click = (first + rng.integers(50 if first == 0 else 0, width - 50, n)) * 10_000 + 5000 + np.rint(rng.normal(0, 100, n)).astype(np.int64)
        sync = np.arange(first, first + width, 1000) * 10_000
        t, ch = np.concatenate((click, sync)), np.concatenate((rng.integers(1, 3, n), np.full(sync.size, 3))).astype(np.uint8)
        order = np.argsort(t, kind="stable")
        yield TagBatch(seq, t[order], ch[order], first * 10_000, (first + width) * 10_000)


def announced(slots: int) -> bytes:
    selector, announcement, last = EventSelector(SlotTiming(), (5000.0, 5000.0)), bytearray(), 0
    for events in chain(map(selector.feed, tags(slots)), iter([None])):
        released = selector.flush() if events is None else events
        announcement += encode_events(released, last)
        last = int(released.slot[-1]) if len(released) else last
    return bytes(announcement)


def recorded(path: Path, slots: int) -> None:
    with PatternWriter(path, run_id="r", party="B") as writer:
        for chunk in SeededPattern(1, 1, slots).chunks():
            writer.append(chunk)


def sifted(announcement: bytes, slots: int, path: Path) -> tuple[SiftedBlock, SiftedBlock]:
    """Sift for both parties; Alice's pattern is drawn again, Bob's lies in a record."""
    alice = view_announced(announcement, 0, slots, SeededPattern(1, 0, slots + SHIFT), -SHIFT, "alice")
    with PatternRecord(path) as record:
        bob = view_announced(announcement, 0, slots, record, 0, "bob")
    return sift(alice, bob.basis), sift(bob, alice.basis)


@pytest.mark.slow
def test_a_block_of_200_seconds_is_sifted_in_less_than_two_gigabytes(tmp_path):
    peaks = {}
    for seconds in (4, 10):
        slots, path = seconds * SECOND, tmp_path / f"b-{seconds}"
        recorded(path, slots)
        tracemalloc.start()
        try:
            announcement = announced(slots)
            a, b = sifted(announcement, slots, path)
            peaks[seconds] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

        assert (a.n_events, a.n_x, a.n_y) == (b.n_events, b.n_x, b.n_y)
        assert abs(a.n_events / (seconds * RATE) - 0.99) < 0.01
        assert abs(a.n_x / a.n_events - (230 / 256) ** 2) < 0.002
        assert abs(a.n_y / a.n_events - (26 / 256) ** 2) < 0.0005

    growth = (peaks[10] - peaks[4]) / 6
    assert peaks[10] + 190 * growth < 2e9


@pytest.mark.slow
def test_streamed_bits_are_those_of_the_patterns(tmp_path):
    slots = 2 * SECOND
    recorded(tmp_path / "b", slots)
    announcement = announced(slots)
    whole = decode_events(announcement, 0, slots)
    planes = []
    for pattern, shift in ((SeededPattern(1, 0, slots + SHIFT), SHIFT), (SeededPattern(1, 1, slots), 0)):
        for name in ("basis", "bit"):
            plane = np.concatenate([np.unpackbits(getattr(chunk, name), count=chunk.n, bitorder="little") for chunk in pattern.chunks()])
            planes.append(plane[whole.slot + shift])
    in_x = (planes[0] == 0) & (planes[2] == 0)

    a, b = sifted(announcement, slots, tmp_path / "b")

    assert np.array_equal(np.unpackbits(a.x_key, count=a.n_x, bitorder="little"), planes[1][in_x])
    assert np.array_equal(np.unpackbits(b.x_key, count=b.n_x, bitorder="little"), (planes[3] ^ whole.detector)[in_x])
