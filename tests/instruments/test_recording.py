from __future__ import annotations

import json
import resource
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.core.errors import BenchError, StorageError
from heliograph.instruments import recording as module
from heliograph.instruments.connect import connect
from heliograph.instruments.recording import LONGEST, SHOWN, Mask, recording
from heliograph.instruments.station import Station


@pytest.fixture
def station(tmp_path, station_text):
    path = tmp_path / "lab.toml"
    path.write_text(station_text)
    return Station.load(path)


def lines(path: Path):
    head, *rest = (json.loads(line) for line in path.read_text().splitlines())
    return head, rest


def test_every_byte_of_every_link_is_kept_with_its_time(bench, station, tmp_path):
    path = tmp_path / "session.jsonl"

    with recording(path, station), connect(station, bench.addresses) as instruments:
        counted = instruments.wire_counts()["voa"]
        instruments["snspd"].counts(0.1)
    head, found = lines(path)

    assert head["schema"] == "heliograph-session/1"
    assert head["drivers"]["voa"] == "OzDD100"
    assert head["station_sha256"] == station.sha256
    voa = [line for line in found if line["name"] == "voa"]
    assert (voa[0]["opens"], voa[0]["role"]) == ("serial", "Attenuator")
    assert voa[1]["sent"] == "CD\r"
    assert "".join(line.get("received", "") for line in voa).startswith("IL:0.80\r\nMAX ATTEN:60.00\r\n")
    assert sum(len(line.get("sent", "")) for line in voa) >= counted.sent > 0
    assert {line["opens"] for line in found if "opens" in line} == {"serial", "socket", "tcp", "zmq"}
    assert {(line["name"], line["port"]) for line in found} >= {("snspd", "counts"), ("tagger", "datalink"), ("laser", "resource")}
    times = [line["t_s"] for line in found]
    assert times == sorted(times)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_waveform_leaves_its_length_only(bench, station, tmp_path):
    path = tmp_path / "session.jsonl"
    volts = np.sin(np.arange(1000.0))

    with recording(path, station), connect(station, bench.addresses) as instruments:
        instruments["awg"].load(1, volts, 1e6)
    _, found = lines(path)

    block = bench.awg.blocks[":DATA1:DAC VOLATILE,"]
    assert len(block) == 2000
    assert block[:8].decode("latin-1") not in path.read_text()
    sent = [line.get("sent") for line in found if line["name"] == "awg"]
    assert [":DATA1:DAC VOLATILE,#42000", {"masked": 2000}] in sent


def masked(mask: Mask, pieces: Iterable[bytes]) -> tuple[bytes, int]:
    """Return what a mask lets be seen, and how much it hides."""
    segments = [segment for piece in pieces for segment in mask.segments(piece)]
    return b"".join(one for one in segments if isinstance(one, bytes)), sum(one for one in segments if isinstance(one, int))


def cut(message: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """Yield pieces of the given lengths, and the rest."""
    for length in cuts:
        yield message[:length]
        message = message[length:]
    yield message


_TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="#"), max_size=80).map(str.encode)


@given(_TEXTS, st.binary(min_size=1, max_size=300), _TEXTS, st.lists(st.integers(1, 60), max_size=12))
def test_a_block_is_masked_wherever_it_or_its_header_is_cut(before, secret, after, cuts):
    header = f"#{len(str(len(secret)))}{len(secret)}".encode()

    assert masked(Mask(), cut(before + header + secret + after, cuts)) == (before + header + after, len(secret))


@pytest.mark.parametrize("cuts", [[1], [2], [3], [4], [5], [1, 1, 1, 1, 1], [2, 2]])
def test_a_header_that_is_cut_hides_its_block(cuts):
    assert masked(Mask(), cut(b"#41024" + bytes(range(256)) * 4, cuts)) == (b"#41024", 1024)


@pytest.mark.parametrize("piece", [1, 100, 500, LONGEST])
def test_a_message_that_comes_in_pieces_is_as_long_as_all_of_them(piece):
    seen, hidden = masked(Mask(), cut(b"7" * 25_000, [piece] * (25_000 // piece)))

    assert len(seen) <= LONGEST
    assert hidden == 25_000 - len(seen)


@given(st.binary(min_size=1, max_size=LONGEST), st.lists(st.integers(1, 60), max_size=12))
def test_nothing_is_seen_behind_a_byte_that_is_no_text_until_the_other_side_speaks(secret, cuts):
    mask = Mask()

    assert masked(mask, cut(b"tags: \xff" + secret, cuts))[0] == b"tags: "
    mask.turn()
    assert masked(mask, [b"OK\n"]) == (b"OK\n", 0)


def test_commands_that_nothing_answers_are_seen_line_by_line():
    commands = [b":OUTP1 ON\n"] * 100

    assert masked(Mask(lines=True), commands) == (b"".join(commands), 0)
    assert masked(Mask(lines=True), [b":VOLT " + b"1," * 200, b"2," * 200, b"3\n", b"*RST\n"])[1] > 400


def test_a_long_message_without_a_block_is_cut_and_what_only_looks_like_one_is_shown():
    assert list(Mask().segments(b"A" * LONGEST)) == [b"A" * LONGEST]
    assert list(Mask().segments(b"A" * (LONGEST + 1))) == [b"A" * SHOWN, LONGEST + 1 - SHOWN]
    assert list(Mask().segments(b"#9 of 3, #2x")) == [b"#9 of 3, #2x"]
    assert masked(Mask(), [b"number #", b"9 of 3, #", b"2x"]) == (b"number #9 of 3, #2x", 0)


def test_a_tagger_that_is_asked_again_and_again_shows_its_answers(tmp_path, station):
    path = tmp_path / "session.jsonl"
    with recording(path, station) as recorder:
        recorder.expect("tagger", "TagSource", {"resource": "place"})
        link = module.tape("place", "serial")
        for _ in range(30):
            link.sent(b"*IDN?\n")
            link.received(b"a device with a name, " * 2)
        link.sent(b"TAGS?\n")
        for _ in range(30):
            link.received(b"\x00\x01" * 50)
    _, found = lines(path)

    assert sum(line.get("received") == "a device with a name, " * 2 for line in found) == 30
    assert [line["received"] for line in found[-30:]] == [[{"masked": 100}]] * 30


def test_nothing_is_overwritten_recorded_twice_or_left_empty_in_silence(bench, station, tmp_path):
    path = tmp_path / "session.jsonl"
    path.touch()
    with pytest.raises(StorageError), recording(path, station):
        pass
    with (
        pytest.raises(BenchError, match="nothing"),
        recording(tmp_path / "one.jsonl", station),
        pytest.raises(BenchError, match="already"),
        recording(tmp_path / "two.jsonl", station),
    ):
        pass  # pragma: no cover
    with pytest.raises(BenchError, match="nothing was recorded"), recording(tmp_path / "three.jsonl", station):
        pass
    assert module.tape("ASRL1::INSTR", "serial").sent(b"x") is None


def test_a_full_disk_leaves_no_session_in_the_way_of_another_try(station, tmp_path):
    path = tmp_path / "session.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(StorageError, match="session.jsonl"), recording(path, station):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert not path.exists()
