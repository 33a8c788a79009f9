from __future__ import annotations

import json
import stat
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


@given(st.binary(max_size=80), st.binary(min_size=1, max_size=300), st.binary(max_size=40), st.lists(st.integers(1, 60), max_size=12))
def test_a_block_is_masked_wherever_it_is_cut_behind_its_header(before, secret, after, cuts):
    before, after = before.replace(b"#", b""), after.replace(b"#", b"")
    header = f"#{len(str(len(secret)))}{len(secret)}".encode()
    message, mask, pieces = secret + after, Mask(), []
    for cut in cuts:
        pieces.append(message[:cut])
        message = message[cut:]
    segments = [segment for piece in (before + header, *pieces, message) for segment in mask.segments(piece)]

    assert sum(segment for segment in segments if isinstance(segment, int)) == len(secret)
    assert b"".join(segment for segment in segments if isinstance(segment, bytes)) == before + header + after


def test_a_long_message_without_a_block_is_cut_and_what_only_looks_like_one_is_shown():
    assert list(Mask().segments(b"A" * LONGEST)) == [b"A" * LONGEST]
    assert list(Mask().segments(b"A" * (LONGEST + 1))) == [b"A" * SHOWN, LONGEST + 1 - SHOWN]
    assert list(Mask().segments(b"#9 of 3, #2x")) == [b"#9 of 3, #2x"]


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
