from __future__ import annotations

import stat

import numpy as np
import pytest

from heliograph.acquisition.pattern_stream import PatternChunk, PatternRecord, PatternWriter, SeededPattern, draw_chunk
from heliograph.acquisition.sent import erase_sent
from heliograph.core.entropy import SimRandom
from heliograph.core.errors import ParameterError, RunFileError, StorageError

CHUNK = 800


def stored(path, n_slots=2500, **about):
    """A record of a seeded pattern; three full chunks and a short one."""
    pattern = SeededPattern(7, 1, n_slots, 26, CHUNK)
    with PatternWriter(path, run_id="run-1", party="A", chunk_slots=CHUNK, **about) as writer:
        for chunk in pattern.chunks():
            writer.append(chunk)
    return pattern


def same(a: PatternChunk, b: PatternChunk) -> bool:
    return (a.first, a.n) == (b.first, b.n) and np.array_equal(a.basis, b.basis) and np.array_equal(a.bit, b.bit)


@pytest.mark.parametrize("n_slots", [2400, 2500, 5])
def test_a_record_gives_back_every_chunk_in_any_order(tmp_path, n_slots):
    pattern = stored(tmp_path / "a.record", n_slots)

    with PatternRecord(tmp_path / "a.record", run_id="run-1", party="A") as record:
        assert (record.n_slots, record.chunk_slots, record.mode) == (n_slots, CHUNK, "qrng")
        for index in reversed(range(-(-n_slots // CHUNK))):
            assert same(record.chunk(index), pattern.chunk(index))
        with pytest.raises(ParameterError):
            record.chunk(-(-n_slots // CHUNK))


def test_a_record_is_private_and_never_overwritten(tmp_path):
    path = tmp_path / "patterns" / "a.record"
    stored(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(StorageError):
        PatternWriter(path, run_id="run-1", party="A")


def test_a_record_cut_off_by_a_kill_is_read_to_its_last_whole_chunk(tmp_path):
    path = tmp_path / "a.record"
    pattern = stored(path)
    path.write_bytes(path.read_bytes()[:-1])

    with PatternRecord(path) as record:
        assert record.n_slots == 2400
        assert same(record.chunk(2), pattern.chunk(2))


def test_a_damaged_chunk_is_named_and_the_others_are_read(tmp_path):
    path = tmp_path / "a.record"
    pattern = stored(path)
    raw = bytearray(path.read_bytes())
    raw[-10] ^= 1
    path.write_bytes(raw)

    with PatternRecord(path) as record:
        assert same(record.chunk(2), pattern.chunk(2))
        with pytest.raises(RunFileError, match="chunk 3 .* damaged"):
            record.chunk(3)


@pytest.mark.parametrize("wanted", [{"run_id": "run-2"}, {"party": "B"}])
def test_somebody_elses_record_is_refused(tmp_path, wanted):
    stored(tmp_path / "a.record")

    with pytest.raises(RunFileError, match="is needed"):
        PatternRecord(tmp_path / "a.record", **wanted)


@pytest.mark.parametrize("raw", [b"", b"heliograph-pattern-record/1\n[]\n", b"heliograph-pattern-record/1\n{}\n", bytes(5000)])
def test_what_is_no_record_is_refused(tmp_path, raw):
    (tmp_path / "a.record").write_bytes(raw)

    with pytest.raises(RunFileError, match="not a pattern record"):
        PatternRecord(tmp_path / "a.record")
    with pytest.raises(RunFileError, match="cannot be read"):
        PatternRecord(tmp_path / "missing")


def test_a_record_without_a_whole_chunk_is_empty(tmp_path):
    with PatternWriter(tmp_path / "a.record", run_id="run-1", party="A"):
        pass

    with pytest.raises(RunFileError, match="empty"):
        PatternRecord(tmp_path / "a.record")


def test_only_the_last_chunk_may_be_short(tmp_path):
    short = draw_chunk(SimRandom(1), 0, CHUNK - 1, 128)
    with PatternWriter(tmp_path / "a.record", run_id="run-1", party="A", chunk_slots=CHUNK) as writer:
        writer.append(short)
        with pytest.raises(ParameterError, match="does not fit"):
            writer.append(short)
    with pytest.raises(ParameterError):
        PatternWriter(tmp_path / "b.record", run_id="run-1", party="A", chunk_slots=12)


def test_an_erased_record_leaves_zeros_and_no_name(tmp_path):
    path, kept = tmp_path / "a.record", tmp_path / "kept"
    stored(path)
    kept.hardlink_to(path)

    assert erase_sent(path)

    assert not path.exists()
    assert not any(kept.read_bytes())


@pytest.mark.parametrize("y_weight", [1, 26, 64, 128, 255])
def test_bases_are_drawn_with_the_weight_asked_for_and_bits_evenly(y_weight):
    n = 400_003
    chunk = draw_chunk(SimRandom(y_weight), 0, n, y_weight)

    share = y_weight / 256
    assert abs(int(np.unpackbits(chunk.basis).sum()) - n * share) < 5 * np.sqrt(n * share * (1 - share))
    assert abs(int(np.unpackbits(chunk.bit).sum()) - n / 2) < 2.5 * np.sqrt(n)
    assert chunk.basis[-1] < 8
    assert chunk.bit[-1] < 8


def test_parties_and_chunks_of_a_seed_differ_and_are_drawn_again_alike():
    a, b = SeededPattern(1, 0, 10**5, 128, 8000), SeededPattern(1, 1, 10**5, 128, 8000)

    assert same(a.chunk(3), a.chunk(3))
    for other in (b.chunk(3), a.chunk(4)):
        differing = int(np.unpackbits(a.chunk(3).bit ^ other.bit).sum())
        assert 3500 < differing < 4500
    with pytest.raises(ParameterError):
        a.chunk(13)
